"""Tests of llama-bench on a device: what is asked for, and whether the answer is about that."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lts.devices.device import Device
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.jobs.job import ProgramJob
from lts.jobs.llama_bench import PROGRAM
from lts.system.outside import sentence

FLASH_ATTENTION = ("auto", "on", "off")
FEWEST, MOST = 6, 100
"""How often a test is run: the fewest samples whose range covers the median with 95 %, and at most, where these take
less than the least time."""

_LASTING_NS = 500_000_000
# What never takes a part of the work from the processor.
_ON_PROCESSOR = {"CPU", "BLAS", "RPC", ""}


@dataclass(frozen=True)
class Test:
    """What llama-bench does in one test: a pass over a prompt, then steps, both after so many other tokens."""

    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0


def environment_with(version: str, flash_attention: str) -> dict[str, str]:
    """What belongs to the fingerprint of an environment: the version of llama-bench, and what it is told to do."""
    told = {} if flash_attention == FLASH_ATTENTION[0] else {"flash_attention": flash_attention}
    return {PROGRAM: version, **told}


def check_flash_attention(word: str) -> None:
    """Raise `UsageError` unless it is one of `FLASH_ATTENTION`."""
    if word not in FLASH_ATTENTION:
        raise UsageError(f"flash attention is '{sentence(word, 40)}'; expected one of {', '.join(FLASH_ATTENTION)}")


class BenchError(Exception):
    """Why a run has no answer, as one sentence."""


class WrongBenchError(BenchError):
    """An answer that cannot be right."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the device's answer is wrong: {what}")


@dataclass(frozen=True)
class BenchAnswer:
    """What a run gives. Numbers are as the device has said them; that there are as many samples as asked for is known.

    Attributes
    ----------
    samples_ns
        Nanoseconds of every repetition of every test.
    said
        All that the device says of the run, by the keys of `lts.jobs.llama_bench.run`.
    seconds
        What the run took by our clock.
    warnings
        Reasons for doubt that follow from what was answered.
    model_type
        What llama-bench calls the model.
    """

    samples_ns: list[list[Any]]
    said: Mapping[str, Any]
    seconds: float
    warnings: list[str] = field(default_factory=list)
    model_type: str = ""


class Bench:
    """llama-bench on a device with a model file.

    Parameters
    ----------
    device
        Where it runs.
    program
        Its path there.
    model
        A GGUF file.
    threads
        Threads that it runs with.
    flash_attention
        One of `FLASH_ATTENTION`; ``auto`` is what llama-bench does by itself.
    keeps
        See `lts.jobs.job.ProgramJob`.

    Raises
    ------
    UsageError
        When llama-bench would not take the path, or for another word.
    """

    def __init__(
        self,
        device: Device,
        program: str,
        model: Path,
        threads: int,
        *,
        flash_attention: str = FLASH_ATTENTION[0],
        keeps: bool = True,
    ) -> None:
        check_flash_attention(flash_attention)
        self._model = model.absolute()  # a link has the name by which llama.cpp finds other parts
        if "," in str(self._model):
            raise UsageError(f"{model} has a comma in its path, at which llama-bench ends a name; move it elsewhere")
        self._device, self._program, self._threads, self._keeps = device, program, threads, keeps
        self._flash = () if flash_attention == FLASH_ATTENTION[0] else ("-fa", flash_attention)

    def run(self, tests: Sequence[Test], repeats: int, timeout: float, *, memory: bool = False) -> BenchAnswer:
        """Run tests of one kind, in one process, each so many times; with `memory`, its peak is wanted.

        Raises
        ------
        BenchError
            When there is no answer, or it is not about these tests.
        MeasurementError
            When the device runs nothing at all.
        """
        if timeout <= 0:
            raise BenchError("no time was left to run it")
        # No layer on a gpu: what is measured is the machine's processor.
        common = ("-t", str(self._threads), "-ngl", "0", "-r", str(repeats), "-o", "json")
        options = (*common, *_options(tests), *self._flash)
        job = ProgramJob(self._program, self._model, options, self._threads, self._keeps, memory)
        result = self._device.run(job, timeout)
        if result.error is not None:
            raise BenchError(sentence(result.error, 1000))
        said: Mapping[str, Any] = result.value if isinstance(result.value, Mapping) else {}
        found = _listed(said, len(tests))
        samples = [self._samples_of(each, test, repeats) for each, test in zip(found, tests, strict=True)]
        warnings = _elsewhere(found[0].get("backends"))
        kind = sentence(found[0].get("model_type", ""), 100)
        return BenchAnswer(samples, said, result.seconds, warnings, kind)

    def run_for_memory(self, test: Test, end: float) -> BenchAnswer:
        """Run a test for the peak of its memory, until `end` of the monotonic clock; raises as `run`.

        Another machine looks at a running program from time to time, so that there it has to last for a while.
        """
        answer = self.run([test], 1, end - time.monotonic(), memory=True)
        took = answer.samples_ns[0][0]
        if isinstance(self._device, LocalDevice) or not isinstance(took, int) or not 0 < took < _LASTING_NS:
            return answer
        return self.run([test], min(MOST, math.ceil(_LASTING_NS / took)), end - time.monotonic(), memory=True)

    def _samples_of(self, said: Mapping[str, Any], test: Test, repeats: int) -> list[Any]:
        """The samples of one test. Raises `WrongBenchError` when it is another one, or another model's."""
        model = said.get("model_filename")
        if not self._is_ours(model):
            raise WrongBenchError(f"'model_filename' is {_shown(model)}; {_shown(str(self._model))} was asked for")
        asked = {
            "n_threads": self._threads,
            "n_prompt": test.n_prompt,
            "n_gen": test.n_gen,
            "n_depth": test.n_depth,
        }
        for name, value in asked.items():
            # Earlier versions have no depth.
            if (found := said.get(name, 0 if name == "n_depth" else None)) != value or isinstance(found, bool):
                raise WrongBenchError(f"'{name}' is {_shown(found)}; {value} was asked for")
        samples = said.get("samples_ns", [])
        if not isinstance(samples, list):
            raise WrongBenchError(f"'samples_ns' is {_shown(samples)}; expected a list")
        if len(samples) != repeats:
            raise WrongBenchError(f"it has {len(samples)} samples; {repeats} were asked for")
        return samples

    def _is_ours(self, name: Any) -> bool:
        """Whether a name is that of the model: elsewhere it lies in another folder."""
        if isinstance(self._device, LocalDevice):
            return bool(name == str(self._model))
        return isinstance(name, str) and name.rpartition("/")[2] == self._model.name


def _options(tests: Sequence[Test]) -> list[str]:
    """What llama-bench is asked for by tests of one kind."""
    first = tests[0]
    if not first.n_gen:
        return ["-p", str(first.n_prompt), "-n", "0"]
    if first.n_prompt:
        return ["-p", "0", "-n", "0", "-pg", f"{first.n_prompt},{first.n_gen}"]
    return ["-p", "0", "-n", str(first.n_gen), "-d", ",".join(str(test.n_depth) for test in tests)]


def _listed(said: Mapping[str, Any], n: int) -> list[Mapping[str, Any]]:
    """The tests in an answer of the worker. Raises `WrongBenchError` when these are not so many objects."""
    tests = said.get("tests")
    if not isinstance(tests, list) or not all(isinstance(test, Mapping) for test in tests):
        raise WrongBenchError(f"its tests are {_shown(tests)}; expected a list of objects")
    if len(tests) != n:
        raise WrongBenchError(f"it has {len(tests)} tests; {n} were asked for")
    return tests


def _elsewhere(backends: Any) -> list[str]:
    """A sentence where what runs besides processors may have a part in it."""
    names = backends if isinstance(backends, str) else ""
    if {name.strip() for name in names.split(",")} <= _ON_PROCESSOR:
        return []
    return [f"llama-bench has the backends {sentence(names, 60)}, which may do a part of the work, also without -ngl"]


def _shown(value: Any) -> str:
    """A value for a message, whatever it is."""
    try:
        return sentence(repr(value), 100)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists in lists
        return f"a {type(value).__name__} without an end"
