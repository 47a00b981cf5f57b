"""The conformance suites, run on what comes with lts-engine, and on things that must fail them."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from lts.backends.onnxruntime import OnnxRuntime
from lts.devices.local import LocalDevice
from lts.jobs.job import JobResult
from lts.testing import BackendSuite, DeviceSuite, RunnerDeviceSuite

pytestmark = pytest.mark.alone


class TestForkedWorkers(DeviceSuite):
    def make_device(self) -> LocalDevice:
        return LocalDevice()


class TestSpawnedWorkers(DeviceSuite):
    def make_device(self) -> LocalDevice:
        return LocalDevice(fork=False)


@pytest.mark.skipif(find_spec("tvm") is None, reason="TVM is not installed: pip install 'lts-engine[tvm]'")
@pytest.mark.slow
class TestLocalRunner(RunnerDeviceSuite):
    def make_device(self) -> LocalDevice:
        return LocalDevice()


class TestOnnxRuntime(BackendSuite):
    def make_backend(self) -> OnnxRuntime:
        return OnnxRuntime()


class _Forgetful(LocalDevice):
    """Says that everything went well."""

    def run(self, *_: Any) -> JobResult:
        return JobResult(value=1, seconds=1.0)


def test_a_device_that_does_nothing_fails_the_suite() -> None:
    class Suite(DeviceSuite):
        def make_device(self) -> LocalDevice:
            return _Forgetful()

    suite = Suite()
    failed = 0
    names = [name for name in dir(suite) if name.startswith("test_")]
    for name in names:
        suite.setup_method()
        try:
            getattr(suite, name)()
        except (AssertionError, TypeError):
            failed += 1
        suite.teardown_method()
    assert failed >= len(names) - 4


def test_the_suites_say_what_to_override() -> None:
    with pytest.raises(NotImplementedError, match="make_device"):
        DeviceSuite().make_device()
    with pytest.raises(NotImplementedError, match="make_device"):
        RunnerDeviceSuite().make_device()
    with pytest.raises(NotImplementedError, match="make_backend"):
        BackendSuite().make_backend()
