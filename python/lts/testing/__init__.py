"""Conformance suites for authors of devices and backends: subclass one in your tests, and pytest runs it all.

from lts.testing import DeviceSuite

class TestBoard(DeviceSuite):
    def make_device(self):
        return Board("board:/dev/ttyUSB0")
"""

from lts.testing.backend import BackendSuite
from lts.testing.device import DeviceSuite
from lts.testing.runner_device import RunnerDeviceSuite

__all__ = ["BackendSuite", "DeviceSuite", "RunnerDeviceSuite"]
