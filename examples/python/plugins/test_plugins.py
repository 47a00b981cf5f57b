"""What a package of plug-ins tests: the conformance suites of lts-engine, on what it offers. Run it with pytest."""

from __future__ import annotations

import os

import pytest
from lts_example.backend import OnnxReference
from lts_example.device import Cores
from lts_example.sampler import Even

from lts.devices.device import Device, open_device
from lts.errors import UsageError
from lts.study.problem import Problem
from lts.testing import BackendSuite, DeviceSuite, SamplerSuite


class TestEven(SamplerSuite):
    def make_sampler(self, problem: Problem) -> Even:
        return Even(problem, pool=20)


class TestOnnxReference(BackendSuite):
    def make_backend(self) -> OnnxReference:
        return OnnxReference()


class TestCores(DeviceSuite):
    def make_device(self) -> Device:
        return open_device(f"cores:{min(os.sched_getaffinity(0))}")  # by its entry point


@pytest.mark.parametrize("uri", ["cores:", "cores:a", "cores:1-", "cores:3-1", "cores:9999", "cores"])
def test_wrong_devices_are_told(uri: str) -> None:
    with pytest.raises(UsageError, match=f"device '{uri}'"):
        Cores(uri)
