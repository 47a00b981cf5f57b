"""Models in GGUF files, measured by llama-bench of llama.cpp where that is at hand."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts.backends.llamacpp.bench import FEWEST, FLASH_ATTENTION, MOST, Bench, BenchError, Test, environment_with
from lts.devices.device import Device
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.measure.answer import WrongAnswerError, checked
from lts.measure.costs import PEAK
from lts.measure.models.gguf_file import check_gguf
from lts.measure.models.model import SIZE, Model
from lts.measure.outcome import Outcome
from lts.measure.request import derived_from, needed_for, together, with_request
from lts.measure.run import memory_mib
from lts.measure.statistics import advice, summary
from lts.system.environment import environment_hash
from lts.targets.workload import Workload

AS_STORED = "as stored"
"""The precision of a workload whose model has its own."""

_TIMEOUT = 600.0
# Steps at either end of a long request that are measured.
_STEPS = 16
_PREFILL, _DECODE = "latency_ms", "decode_ms_per_token"
_SAMPLES_OF = {_PREFILL: "latency", _DECODE: "decode"}
_PHASES = {_PREFILL: "prefill", _DECODE: "decode", PEAK: "memory"}


class GgufModel(Model):
    """A GGUF file as llama.cpp runs it on processors of a device.

    Parameters
    ----------
    name
        What the user calls it.
    path
        The file, or the first one of a model that is split into several.
    workload
        What is run. Its precision does not count: that is the file's own; keys and values are kept in place.
    target
        Name of the target, as in records.
    device
        One that has llama-bench, where others measure on it, too; by default this machine, see `close`.
    program
        Path or name of llama-bench there; by default wherever it is found.
    flash_attention
        See `lts.backends.llamacpp.bench.Bench`.
    min_time
        Seconds of samples to take of each time, as far as 100 samples do.
    timeout
        Seconds for one measurement, where it is not said.

    Raises
    ------
    UsageError
        When the file is no GGUF file that llama.cpp reads, a program that is named is not there, or llama-bench does
        not measure the workload.
    MeasurementError
        When there is no llama-bench.
    """

    kind = "gguf"

    def __init__(
        self,
        name: str,
        path: Path,
        workload: Workload,
        *,
        target: str = "host",
        device: Device | None = None,
        program: str | None = None,
        flash_attention: str = FLASH_ATTENTION[0],
        min_time: float = 0.3,
        timeout: float | None = None,
    ) -> None:
        super().__init__(name)
        if device is not None and "program" not in device.runs:
            raise UsageError(f"{name} is a GGUF file, and this device has no llama-bench; use --device local or ssh://")
        self._size = check_gguf(path)
        if self._size > path.stat().st_size and not isinstance(device, LocalDevice | None):
            raise UsageError(f"{name} is split into several files, which is measured on this machine alone")
        _check_workload(name, workload)
        self._workload = replace(workload, precision=AS_STORED, cache="in_place")
        self._target, self._min_time, self._timeout = target, min_time, timeout or _TIMEOUT
        self._device = device or LocalDevice()
        self._own_device = device is None
        self._flash_attention = flash_attention
        try:
            found, self._version = self._device.llama_bench(program)
            self._bench = Bench(self._device, found, path, workload.threads, flash_attention=flash_attention)
        except BaseException:
            self.close()
            raise
        self.model_type = ""
        """What llama-bench calls it, such as "llama 1B Q4_0"; empty until it was measured."""

    @property
    def costs(self) -> tuple[str, ...]:
        return (_PREFILL, _DECODE, *derived_from((_PREFILL, _DECODE)), PEAK, SIZE)

    @property
    def default_costs(self) -> tuple[str, ...]:
        return self.costs if self._workload.n_gen else (_PREFILL, PEAK, SIZE)

    def describe(self) -> dict[str, Any]:
        known = {
            "target": self._target,
            **self._workload.describe(),
            "device": self._device.uri or "local",
            "backend": "llamacpp",
        }
        return {**known, **({"model_type": self.model_type} if self.model_type else {})}

    def environment(self) -> dict[str, Any]:
        known = self._device.environment(self._workload.threads)
        return {**known, **environment_with(self._version, self._flash_attention)}

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        """See `Model.measure`. The prompt pass, the steps and the memory of a request each have their own process."""
        self.check(costs)
        begun = time.monotonic()
        end = begun + (timeout or self._timeout)
        found = Outcome(values={SIZE: float(self._size)}, provenance={SIZE: "exact"})
        for cost in (cost for cost in _PHASES if cost in needed_for(costs)):
            try:
                found |= self._memory(end) if cost == PEAK else self._times(cost, end)
            except (WrongAnswerError, BenchError) as error:
                found |= Outcome(error=f"{_PHASES[cost]}: {error}")
                break
        return replace(
            with_request(found, self._workload),
            warnings=list(dict.fromkeys(found.warnings)),
            seconds={"run": time.monotonic() - begun},
            environment=environment_hash(self.environment()),
        )

    def close(self) -> None:
        """End the device, unless it was given. Harmless when repeated."""
        if self._own_device:
            self._device.close()

    def _times(self, cost: str, end: float) -> Outcome:
        """The time of a prompt pass, or of a step at both ends of the request."""
        load = self._workload
        tests = [Test(n_prompt=load.n_prompt)] if cost == _PREFILL else _steps(load)
        samples, about = self._run(tests, FEWEST, end)
        shortest = min(summary(each).median for each in samples) / 1e9
        repeats = min(MOST, math.ceil(self._min_time / len(tests) / shortest))
        if repeats > FEWEST:  # it is so fast that once more costs little
            samples, about = self._run(tests, repeats, end)
        per_step = [[round(time / (test.n_gen or 1)) for time in of] for test, of in zip(tests, samples, strict=True)]
        return about | together([_outcome_of(cost, each) for each in per_step])

    def _memory(self, end: float) -> Outcome:
        """The memory of the whole program for a request: one with depths keeps a second copy of keys and values."""
        return self._run([Test(self._workload.n_prompt, self._workload.n_steps)], 1, end, memory=True)[1]

    def _run(
        self, tests: Sequence[Test], repeats: int, end: float, *, memory: bool = False
    ) -> tuple[list[list[int]], Outcome]:
        """The samples of tests, in nanoseconds, and what else is known of their process."""
        if memory:
            found = self._bench.run_for_memory(tests[0], end)
            repeats = len(found.samples_ns[0])
        else:
            found = self._bench.run(tests, repeats, end - time.monotonic())
        samples = [checked({"samples_ns": each}, [_PREFILL], repeats=1)["samples_ns"] for each in found.samples_ns]
        if memory and found.said.get(PEAK) is None:
            raise BenchError("its peak is not known, because it has ended too soon")
        answer = checked(
            {**found.said, "samples_ns": [time for each in samples for time in each]},
            [_PREFILL, *([PEAK] if memory else [])],
            repeats=repeats * len(tests),
            seconds=found.seconds,
            memory_mib=memory_mib(self._device, self.environment()),
        )
        self.model_type = found.model_type
        about = Outcome(warnings=[*answer["warnings"], *found.warnings], disturbed=answer["disturbed"])
        if memory:
            about = replace(about, values={PEAK: answer["peak_memory_mib"]}, provenance={PEAK: "measured"})
        return samples, about


def _check_workload(name: str, workload: Workload) -> None:
    """Raise `UsageError` for what llama-bench does not measure."""
    if workload.batch != 1:
        raise UsageError(
            f"{name} is a GGUF file, of which one sequence at a time is measured; batch is {workload.batch}"
        )
    if workload.logits != "last":
        raise UsageError(
            f"{name} is a GGUF file, of which prompts are measured with logits of the last position; logits is "
            f"{workload.logits}"
        )


def _steps(workload: Workload) -> list[Test]:
    """The steps of a request that are measured: all of them, or as many at the beginning and at the end.

    Time grows evenly with the context, so that the mean of both is that of all steps.
    """
    n = max(1, workload.n_steps)
    if n <= 2 * _STEPS:
        return [Test(n_gen=n, n_depth=workload.n_prompt)]
    return [Test(n_gen=_STEPS, n_depth=workload.n_prompt + skipped) for skipped in (0, n - _STEPS)]


def _outcome_of(cost: str, samples: Sequence[int]) -> Outcome:
    """The median of samples with its interval, and the doubts that they give rise to."""
    told = summary(samples)
    return Outcome(
        values={cost: told.median / 1e6},
        provenance={cost: "measured"},
        interval={cost: (told.low / 1e6, told.high / 1e6)},
        mad={cost: told.mad / 1e6},
        samples_ns={_SAMPLES_OF[cost]: list(samples)},
        warnings=[f"{cost}: {sentence}" for sentence in advice(samples)],
    )
