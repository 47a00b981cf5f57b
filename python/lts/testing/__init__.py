"""Conformance suites for authors of devices, backends and samplers: subclass one in your tests for pytest to run.

from lts.testing import DeviceSuite

class TestBoard(DeviceSuite):
    def make_device(self):
        return Board("board:/dev/ttyUSB0")
"""

from lts.testing.backend import BackendSuite
from lts.testing.device import DeviceSuite
from lts.testing.runner_device import RunnerDeviceSuite
from lts.testing.sampler import SamplerSuite

__all__ = ["BackendSuite", "DeviceSuite", "RunnerDeviceSuite", "SamplerSuite"]
