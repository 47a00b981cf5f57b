"""The suite for devices."""

from __future__ import annotations

import json
import signal
from typing import Any

from lts.devices.device import Device
from lts.errors import UsageError
from lts.jobs.job import Job
from lts.system.environment import environment_hash
from lts.targets.target import Target, detect_target

# Seconds. Everything here takes less than one, but can take many on a busy machine.
_TIMEOUT = 60.0


class DeviceSuite:
    """What every device must do. Override `make_device`, and `target` when it is not this machine.

    It runs the functions of `lts.testing.jobs`, so lts-engine must be installed where the device runs jobs.
    """

    device: Device

    def make_device(self) -> Device:
        """A new device."""
        raise NotImplementedError("override make_device")

    def target(self) -> Target:
        """A target that the device runs."""
        return detect_target()

    def setup_method(self) -> None:
        self.device = self.make_device()

    def teardown_method(self) -> None:
        self.device.close()

    def run(self, function: str, timeout: float = _TIMEOUT, **arguments: Any) -> Any:
        """The result of a function of `lts.testing.jobs`."""
        return self.device.run(Job(f"lts.testing.jobs:{function}", arguments), timeout)

    def works(self) -> bool:
        """Whether the device runs a harmless job."""
        return bool(self.run("echo", value="still here").value == "still here")

    def test_a_value_comes_back(self) -> None:
        value = {"text": "ä\n\0", "numbers": [1, -2.5, 1e300, 2**62], "nothing": None, "nested": {"": [True]}}
        result = self.run("echo", value=value)
        assert result.error is None
        assert result.value == value
        assert result.seconds > 0

    def test_a_large_value_comes_back(self) -> None:
        value = list(range(200_000))
        assert self.run("echo", value=value).value == value

    def test_jobs_share_no_state(self) -> None:
        assert self.run("count").value == 1
        assert self.run("count").value == 1

    def test_an_exception_is_its_message(self) -> None:
        result = self.run("fail", message="no such\noperator")
        assert result.value is None
        assert "no such operator" in result.error
        assert "ValueError" in result.error
        assert self.works()

    def test_a_usage_error_is_its_message_alone(self) -> None:
        assert self.run("refuse", message="this is not supported").error == "this is not supported"

    def test_a_long_message_is_cut(self) -> None:
        assert 100 < len(self.run("fail", message="x" * 1_000_000).error) < 1000

    def test_an_unknown_function_is_an_error(self) -> None:
        assert "nonsense" in (self.run("nonsense").error or "")
        assert "nonsense" in (self.device.run(Job("lts.nonsense:run"), _TIMEOUT).error or "")
        assert self.works()

    def test_a_value_that_is_not_json_is_an_error(self) -> None:
        result = self.run("give_an_object")
        assert result.value is None
        assert "JSON" in result.error

    def test_exits_are_errors(self) -> None:
        assert "SystemExit" in self.run("exit_by_exception", code=0).error
        assert "code 3" in self.run("exit_at_once", code=3).error
        assert "no result" in self.run("exit_at_once", code=0).error
        assert self.works()

    def test_signals_are_errors_with_the_cause(self) -> None:
        assert "SIGABRT" in self.run("kill_itself", number=int(signal.SIGABRT)).error
        assert "SIGSEGV" in self.run("touch_address_zero").error
        assert "out of memory" in self.run("kill_itself", number=int(signal.SIGKILL)).error
        assert self.works()

    def test_last_words_are_in_the_error(self) -> None:
        assert "the runtime is unhappy" in self.run("abort_with", words="the runtime is unhappy").error

    def test_a_hanging_job_ends_at_its_timeout(self) -> None:
        result = self.run("hang", timeout=0.5)
        assert result.error == "no result within 0.5 s"
        assert self.works()

    def test_a_hanging_job_that_ignores_signals_ends(self) -> None:
        assert "no result within" in self.run("hang_deaf", timeout=0.5).error
        assert self.works()

    def test_floods_of_output_do_no_harm(self) -> None:
        result = self.run("flood", mib=32)
        assert result.error is None
        assert result.value == 32

    def test_memory_running_out_is_an_error(self) -> None:
        assert "MemoryError" in self.run("allocate_beyond", limit_mib=512).error
        assert self.works()

    def test_it_checks_its_target(self) -> None:
        import pytest

        self.device.check(self.target())
        with pytest.raises(UsageError, match="vax-dec-ultrix"):
            self.device.check(Target(name="museum", triple="vax-dec-ultrix", cpu="vax", cores=1))

    def test_its_environment_is_json_and_steady(self) -> None:
        first, second = self.device.environment(1), self.device.environment(1)
        assert json.loads(json.dumps(first)) == first
        assert environment_hash(first) == environment_hash(second)
        assert environment_hash(self.device.environment(2)) != environment_hash(first)

    def test_it_closes_twice(self) -> None:
        self.works()
        self.device.close()
        self.device.close()
