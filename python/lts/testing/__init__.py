"""Conformance suites for authors of devices, backends and samplers: subclass one in your tests, and pytest runs it.

from lts.testing import DeviceSuite

class TestBoard(DeviceSuite):
    def make_device(self):
        return Board("board:/dev/ttyUSB0")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lts.testing.backend import BackendSuite
    from lts.testing.device import DeviceSuite
    from lts.testing.runner_device import RunnerDeviceSuite
    from lts.testing.sampler import SamplerSuite

_WHERE = {
    "BackendSuite": "backend",
    "DeviceSuite": "device",
    "RunnerDeviceSuite": "runner_device",
    "SamplerSuite": "sampler",
}

__all__ = ["BackendSuite", "DeviceSuite", "RunnerDeviceSuite", "SamplerSuite"]


def __getattr__(name: str) -> Any:
    """A suite when it is asked for: `lts.testing.jobs` also runs on devices, which have no core."""
    if name not in _WHERE:
        raise AttributeError(f"module 'lts.testing' has no attribute '{name}'")
    globals()[name] = suite = getattr(import_module(f"lts.testing.{_WHERE[name]}"), name)
    return suite
