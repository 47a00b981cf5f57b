"""Models in GGUF files, measured by llama-bench of llama.cpp where that is at hand."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lts.devices.device import Device
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.jobs.job import Job
from lts.jobs.llama_bench import PROGRAM, find_program, version_of
from lts.measure.answer import WrongAnswerError, checked
from lts.measure.costs import PEAK
from lts.measure.models.gguf_file import check_gguf
from lts.measure.models.model import SIZE, Model
from lts.measure.outcome import Outcome, shown
from lts.measure.request import derived_from, needed_for, together, with_request
from lts.measure.statistics import advice, summary
from lts.system import machine
from lts.system.environment import environment_hash
from lts.system.outside import sentence
from lts.targets.workload import Workload

AS_STORED = "as stored"
"""The precision of a workload whose model has its own."""

_TIMEOUT = 600.0
# As elsewhere: the fewest samples whose range covers the median with 95 %; more of a model so fast that these take
# less than the least time.
_FEWEST, _MOST = 6, 100
# Steps at either end of a long request that are measured.
_STEPS = 16
_PREFILL, _DECODE = "latency_ms", "decode_ms_per_token"
_SAMPLES_OF = {_PREFILL: "latency", _DECODE: "decode"}
_PHASES = {_PREFILL: "prefill", _DECODE: "decode", PEAK: "memory"}
# What never takes a part of the work from the processor.
_ON_PROCESSOR = {"CPU", "BLAS", "RPC", ""}


@dataclass(frozen=True)
class _Test:
    """What llama-bench does in one test: a pass over a prompt, then steps, both after so many other tokens."""

    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0


class _FailedError(Exception):
    """Why a run has no answer, as one sentence."""


class GgufModel(Model):
    """A GGUF file as llama.cpp runs it on processors of this machine.

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
        This machine, where others measure on it, too; by default a device of its own, see `close`.
    program
        Path or name of llama-bench; by default that in ``$LTS_LLAMA_BENCH``, else the one on PATH.
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
        min_time: float = 0.3,
        timeout: float | None = None,
    ) -> None:
        super().__init__(name)
        if device is not None and not isinstance(device, LocalDevice):
            raise UsageError(f"{name} is a GGUF file, which is measured on this machine alone; use --device local")
        self._size = check_gguf(path)
        _check_workload(name, workload)
        self._workload = replace(workload, precision=AS_STORED, cache="in_place")
        self._program = find_program(program)
        self._path = path.absolute()  # a link has the name by which llama.cpp finds other parts
        if "," in str(self._path):
            raise UsageError(f"{path} has a comma in its path, at which llama-bench ends a name; move it elsewhere")
        self._target, self._min_time, self._timeout = target, min_time, timeout or _TIMEOUT
        self._device = device or LocalDevice()
        self._own_device = device is None
        self.model_type = ""
        """What llama-bench calls it, such as "llama 1B Q4_0"; empty until it was measured."""

    @property
    def costs(self) -> tuple[str, ...]:
        return (_PREFILL, _DECODE, *derived_from((_PREFILL, _DECODE)), PEAK, SIZE)

    @property
    def default_costs(self) -> tuple[str, ...]:
        return self.costs if self._workload.n_gen else (_PREFILL, PEAK, SIZE)

    def describe(self) -> dict[str, Any]:
        known = {"target": self._target, **self._workload.describe(), "device": "local", "backend": "llamacpp"}
        return {**known, **({"model_type": self.model_type} if self.model_type else {})}

    def environment(self) -> dict[str, Any]:
        return {**self._device.environment(self._workload.threads), PROGRAM: self._version}

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        """See `Model.measure`. The prompt pass, the steps and the memory of a request each have their own process."""
        self.check(costs)
        begun = time.monotonic()
        end = begun + (timeout or self._timeout)
        found = Outcome(values={SIZE: float(self._size)}, provenance={SIZE: "exact"})
        for cost in (cost for cost in _PHASES if cost in needed_for(costs)):
            try:
                found |= self._memory(end) if cost == PEAK else self._times(cost, end)
            except (WrongAnswerError, _FailedError) as error:
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
        tests = [_Test(n_prompt=load.n_prompt)] if cost == _PREFILL else _steps(load)
        options = ["-p", str(load.n_prompt), "-n", "0"]
        if cost == _DECODE:
            depths = ",".join(str(test.n_depth) for test in tests)
            options = ["-p", "0", "-n", str(tests[0].n_gen), "-d", depths]
        samples, about = self._run(tests, options, _FEWEST, end)
        shortest = min(summary(each).median for each in samples) / 1e9
        repeats = min(_MOST, math.ceil(self._min_time / len(tests) / shortest))
        if repeats > _FEWEST:  # it is so fast that once more costs little
            samples, about = self._run(tests, options, repeats, end)
        per_step = [[round(time / (test.n_gen or 1)) for time in of] for test, of in zip(tests, samples, strict=True)]
        return about | together([_outcome_of(cost, each) for each in per_step])

    def _memory(self, end: float) -> Outcome:
        """The memory of the whole program for a request: one with depths keeps a second copy of keys and values."""
        load = self._workload
        test = _Test(load.n_prompt, load.n_steps)
        options = ["-p", str(load.n_prompt), "-n", "0"]
        if load.n_steps:
            options = ["-p", "0", "-n", "0", "-pg", f"{load.n_prompt},{load.n_steps}"]
        _, about = self._run([test], options, 1, end, memory=True)
        return about

    def _run(
        self, tests: Sequence[_Test], options: Sequence[str], repeats: int, end: float, *, memory: bool = False
    ) -> tuple[list[list[int]], Outcome]:
        """The samples of tests, in nanoseconds, and what else is known of their process."""
        threads = self._workload.threads
        # No layer on a gpu: what is measured is this machine's processor.
        common = ["-t", str(threads), "-ngl", "0", "-r", str(repeats), "-o", "json"]
        command = [self._program, "-m", str(self._path), *common, *options]
        if (left := end - time.monotonic()) <= 0:
            raise _FailedError("no time was left to run it")
        arguments = {"command": command, "timeout": left, "threads": threads}
        result = self._device.run(Job("lts.jobs.llama_bench:run", arguments, threads=threads), left)
        if result.error is not None:
            raise _FailedError(sentence(result.error, 1000))
        said: Mapping[str, Any] = result.value
        samples = [
            self._samples_of(each, test, repeats) for each, test in zip(_listed(said, len(tests)), tests, strict=True)
        ]
        if memory and said.get(PEAK) is None:
            raise _FailedError("its peak is not known, because it is hardly more than starting a program takes")
        answer = checked(
            {**said, "samples_ns": [time for each in samples for time in each]},
            [_PREFILL, *([PEAK] if memory else [])],
            repeats=repeats * len(tests),
            seconds=result.seconds,
            memory_mib=machine.meminfo().get("MemTotal", 0) / 1024 or None,
        )
        warnings = [*answer["warnings"], *_elsewhere(said["tests"][0].get("backends"))]
        about = Outcome(warnings=warnings, disturbed=answer["disturbed"])
        if memory:
            about = replace(about, values={PEAK: answer["peak_memory_mib"]}, provenance={PEAK: "measured"})
        return samples, about

    def _samples_of(self, said: Mapping[str, Any], test: _Test, repeats: int) -> list[int]:
        """The samples of one test. Raises `WrongAnswerError` when it is another one, or another model's."""
        asked = {
            "model_filename": str(self._path),
            "n_threads": self._workload.threads,
            "n_prompt": test.n_prompt,
            "n_gen": test.n_gen,
            "n_depth": test.n_depth,
        }
        for name, value in asked.items():
            # Earlier versions have no depth.
            if (found := said.get(name, 0 if name == "n_depth" else None)) != value or isinstance(found, bool):
                raise WrongAnswerError(f"'{name}' is {shown(found)}; {shown(value)} was asked for")
        samples = checked({"samples_ns": said.get("samples_ns")}, [_PREFILL], repeats=1)["samples_ns"]
        if len(samples) != repeats:
            raise WrongAnswerError(f"it has {len(samples)} samples; {repeats} were asked for")
        self.model_type = sentence(said.get("model_type", ""), 100)
        return samples

    @cached_property
    def _version(self) -> str:
        return version_of(self._program)


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


def _steps(workload: Workload) -> list[_Test]:
    """The steps of a request that are measured: all of them, or as many at the beginning and at the end.

    Time grows evenly with the context, so that the mean of both is that of all steps.
    """
    n = max(1, workload.n_steps)
    if n <= 2 * _STEPS:
        return [_Test(n_gen=n, n_depth=workload.n_prompt)]
    return [_Test(n_gen=_STEPS, n_depth=workload.n_prompt + skipped) for skipped in (0, n - _STEPS)]


def _listed(said: Any, n: int) -> list[Mapping[str, Any]]:
    """The tests in an answer of the worker. Raises `WrongAnswerError` when these are not so many objects."""
    tests = said.get("tests") if isinstance(said, Mapping) else None
    if not isinstance(tests, list) or not all(isinstance(test, Mapping) for test in tests):
        raise WrongAnswerError(f"its tests are {shown(tests)}; expected a list of objects")
    if len(tests) != n:
        raise WrongAnswerError(f"it has {len(tests)} tests; {n} were asked for")
    return tests


def _elsewhere(backends: Any) -> list[str]:
    """A sentence where what runs besides processors may have a part in it."""
    names = backends if isinstance(backends, str) else ""
    if {name.strip() for name in names.split(",")} <= _ON_PROCESSOR:
        return []
    return [f"llama-bench has the backends {sentence(names, 60)}, which may do a part of the work, also without -ngl"]


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
