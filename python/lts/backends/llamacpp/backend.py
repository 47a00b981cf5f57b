"""llama.cpp: models are GGUF files, which llama-bench of the device times."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any
from weakref import WeakKeyDictionary

from lts.backends.backend import SeveralRuns
from lts.backends.llamacpp.bench import (
    FEWEST,
    FLASH_ATTENTION,
    MOST,
    Bench,
    BenchError,
    Test,
    WrongBenchError,
    check_flash_attention,
    environment_with,
)
from lts.devices.device import Device
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import JobResult, Runs
from lts.system.outside import sentence
from lts.targets.target import Target
from lts.targets.workload import Step, Workload

_FAMILIES = ("gpt2", "llama")
# A decode step at a context is the mean of so many that end there: one alone would be timed after the keys and values
# of the context were copied back, which empties the caches of the processor.
_STEPS = 16
_SUFFIX = ".gguf"


class LlamaCpp:
    """Runs GGUF files by llama-bench of llama.cpp, which is on the device.

    Parameters
    ----------
    flash_attention
        ``on``, ``off``, or ``auto``: as llama.cpp does by itself.

    Raises
    ------
    UsageError
        For another word.
    """

    name = "llamacpp"
    needs: Runs = "program"
    form = "gguf"
    """What it builds: architectures are exported as this."""
    open_sizes = True

    def __init__(self, flash_attention: str = FLASH_ATTENTION[0]) -> None:
        check_flash_attention(flash_attention)
        self._flash_attention = flash_attention
        self._programs: WeakKeyDictionary[Device, tuple[str, str]] = WeakKeyDictionary()

    def check(self, target: Target) -> None:
        """Raise `UsageError` unless the target is a processor."""
        if target.kind != "cpu":
            raise UsageError(f"backend 'llamacpp' runs on the cpu; target '{target.name}' is a {target.kind}")

    def check_family(self, family: str) -> None:
        """Raise `UsageError` for a family that is not run, and `MeasurementError` when nothing writes models."""
        if family not in _FAMILIES:
            raise UsageError(f"backend 'llamacpp' runs the families {' and '.join(_FAMILIES)}; this is '{family}'")
        if find_spec("gguf") is None:
            raise MeasurementError(
                "backend 'llamacpp' writes models with the package gguf, which is not installed: pip install "
                "'lts-engine[gguf]'"
            )

    def check_workload(self, workload: Workload) -> None:
        """Raise `UsageError` for what llama-bench does not measure."""
        wanted = {"batch": 1, "logits": "last", "cache": "in_place"}
        for name, value in wanted.items():
            if (found := getattr(workload, name)) != value:
                raise UsageError(f"llama-bench measures with {name} {value}; here {name} is {found}")

    def cache(self, environment: Mapping[str, Any]) -> str:
        """Always ``in_place``."""
        return "in_place"

    def environment(self, device: Device) -> dict[str, Any]:
        """The version of llama-bench on the device, and options. Raises as `Device.llama_bench`."""
        return environment_with(self.program(device)[1], self._flash_attention)

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        """The GGUF file itself. Raises `UsageError` for another file."""
        if model.suffix != _SUFFIX:
            raise UsageError(f"backend 'llamacpp' runs GGUF files, and {model.name} is none; export it as gguf")
        return model

    def job(self, built: Path, step: Step, *, threads: int, min_time: float, min_repeats: int) -> SeveralRuns:
        """Runs of llama-bench: for the memory of a step, and with a `min_time` above 0 for its times."""
        return _StepRuns(self, built, step, threads, min_time, min_repeats, self._flash_attention)

    def close(self) -> None:
        """Nothing is held."""

    def program(self, device: Device) -> tuple[str, str]:
        """Path and version of llama-bench on the device, which is looked for once."""
        if device not in self._programs:
            self._programs[device] = device.llama_bench()
        return self._programs[device]


@dataclass(frozen=True)
class _StepRuns(SeveralRuns):
    backend: LlamaCpp
    model: Path
    step: Step
    threads: int
    min_time: float
    min_repeats: int
    flash_attention: str

    def run_on(self, device: Device, timeout: float) -> JobResult:
        """An answer for `lts.measure.answer.checked`: ``samples_ns`` of the step, ``peak_memory_mib`` of the whole
        program, ``warnings`` and ``disturbed``."""
        begun = time.monotonic()
        program, _ = self.backend.program(device)
        options: dict[str, Any] = {"flash_attention": self.flash_attention, "keeps": False}
        bench = Bench(device, program, self.model, self.threads, **options)
        try:
            value = self._measured(bench, begun + timeout)
        except BenchError as error:
            return JobResult(error=str(error), seconds=time.monotonic() - begun)
        return JobResult(value=value, seconds=time.monotonic() - begun)

    def _measured(self, bench: Bench, end: float) -> dict[str, Any]:
        # With a depth, llama-bench keeps a second copy of keys and values: memory is that of a request without one.
        if self.step.phase == "decode":
            context = self.step.dims["past"]
            n = min(_STEPS, context)
            first, test = Test(context, 1), Test(n_gen=n, n_depth=context - n + 1)
        else:
            n = 1
            first = test = Test(self.step.dims["sequence"])
        answers = [bench.run_for_memory(first, end)]
        if self.min_time > 0:
            answers.append(bench.run([test], FEWEST, end - time.monotonic()))
            seconds = median(_times(answers[-1].samples_ns[0])) / 1e9
            repeats = min(MOST, max(self.min_repeats, math.ceil(self.min_time / seconds)))
            if repeats > FEWEST:
                answers.append(bench.run([test], repeats, end - time.monotonic()))
        peak = answers[0].said.get("peak_memory_mib")
        return {
            "samples_ns": [max(1, round(each / n)) for each in _times(answers[-1].samples_ns[0])],
            "warnings": _joined([each.said.get("warnings") for each in answers], answers[0].warnings),
            "disturbed": any(each.said.get("disturbed") for each in answers),
            **({} if peak is None else {"peak_memory_mib": peak}),
        }


def _times(samples: list[Any]) -> list[int]:
    """Raise `WrongBenchError` for what is no time."""
    for each in samples:
        if isinstance(each, bool) or not isinstance(each, int) or each <= 0:
            raise WrongBenchError(
                f"an entry of 'samples_ns' is {sentence(repr(each), 60)}; expected an integer above 0"
            )
    return samples


def _joined(said: list[Any], own: list[str]) -> list[str]:
    """Warnings of several runs, each once; what is no list of texts is left out."""
    texts = [text for each in said if isinstance(each, list) for text in each if isinstance(text, str)]
    return list(dict.fromkeys([*texts, *own]))
