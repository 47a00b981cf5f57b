"""llama.cpp: models are GGUF files, which llama-bench of the device times."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from lts.backends.llamacpp.bench import FEWEST, FLASH_ATTENTION, MOST, Bench, BenchError, Test, WrongBenchError
from lts.devices.device import Device
from lts.errors import UsageError
from lts.jobs.job import JobResult, Runs
from lts.jobs.llama_bench import PROGRAM
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
    open_sizes = True
    """What it builds: architectures are exported as this."""

    def __init__(self, flash_attention: str = FLASH_ATTENTION[0]) -> None:
        if flash_attention not in FLASH_ATTENTION:
            raise UsageError(
                f"flash attention is '{sentence(flash_attention, 40)}'; expected one of {', '.join(FLASH_ATTENTION)}"
            )
        self._flash_attention = flash_attention
        self._programs: dict[int, tuple[str, str]] = {}

    def check(self, target: Target) -> None:
        """Raise `UsageError` unless the target is a processor."""
        if target.kind != "cpu":
            raise UsageError(f"backend 'llamacpp' runs on the cpu; target '{target.name}' is a {target.kind}")

    def check_family(self, family: str) -> None:
        """Raise `UsageError` for architectures of a family that llama.cpp does not run."""
        if family not in _FAMILIES:
            raise UsageError(f"backend 'llamacpp' runs the families {' and '.join(_FAMILIES)}; this is '{family}'")

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
        """The version of llama-bench on the device, which is looked for once. Raises as `Device.llama_bench`."""
        return {PROGRAM: self._program(device)[1]}

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        """The GGUF file itself. Raises `UsageError` for another file."""
        if model.suffix != _SUFFIX:
            raise UsageError(f"backend 'llamacpp' runs GGUF files, and {model.name} is none; export it as gguf")
        return model

    def run(
        self,
        device: Device,
        built: Path,
        step: Step,
        *,
        threads: int,
        min_time: float,
        min_repeats: int,
        timeout: float,
    ) -> JobResult:
        """Run a step in processes of llama-bench: for its memory, and with a `min_time` above 0 for its times.

        The value is an answer for `lts.measure.answer.checked`: ``samples_ns`` of the step, ``peak_memory_mib`` of the
        whole program, ``warnings`` and ``disturbed``.
        """
        begun = time.monotonic()
        end = begun + timeout
        bench = Bench(
            device,
            self._program(device)[0],
            built,
            threads,
            flash_attention=self._flash_attention,
            keeps=False,
        )
        context = step.dims["past"] if step.phase == "decode" else step.dims["sequence"]
        decodes = step.phase == "decode"
        n_gen = min(_STEPS, context) if decodes else 0
        test = Test(n_gen=n_gen, n_depth=context - n_gen + 1) if decodes else Test(n_prompt=context)
        try:
            # With a depth, it keeps a second copy of keys and values: its memory is that of a request without one.
            answer = bench.run([Test(context, 1) if decodes else test], 1, end - time.monotonic())
            answers = [answer]
            if min_time > 0:
                answers.append(bench.run([test], FEWEST, end - time.monotonic()))
                times = _times(answers[-1].samples_ns[0], n_gen)
                repeats = min(MOST, max(min_repeats, math.ceil(min_time * 1e9 / max(1, median(times) * max(1, n_gen)))))
                if repeats > FEWEST:
                    answers.append(bench.run([test], repeats, end - time.monotonic()))
            samples = _times(answers[-1].samples_ns[0], n_gen)
        except BenchError as error:
            return JobResult(error=str(error), seconds=time.monotonic() - begun)
        peak = answer.said.get("peak_memory_mib")
        value = {
            "samples_ns": samples,
            "warnings": _joined([each.said.get("warnings") for each in answers], answer.warnings),
            "disturbed": any(each.said.get("disturbed") for each in answers),
            **({} if peak is None else {"peak_memory_mib": peak}),
        }
        return JobResult(value=value, seconds=time.monotonic() - begun)

    def close(self) -> None:
        """Nothing is held."""

    def _program(self, device: Device) -> tuple[str, str]:
        if id(device) not in self._programs:
            self._programs[id(device)] = device.llama_bench()
        return self._programs[id(device)]


def _times(samples: list[Any], n_gen: int) -> list[int]:
    """Times of a step, from those of `n_gen` steps. Raises `WrongBenchError` for what is no time."""
    for each in samples:
        if isinstance(each, bool) or not isinstance(each, int) or each <= 0:
            raise WrongBenchError(
                f"an entry of 'samples_ns' is {sentence(repr(each), 60)}; expected an integer above 0"
            )
    return [max(1, round(each / max(1, n_gen))) for each in samples]


def _joined(said: list[Any], own: list[str]) -> list[str]:
    """Warnings of several runs, each once; what is no list of texts is left out."""
    texts = [text for each in said if isinstance(each, list) for text in each if isinstance(text, str)]
    return list(dict.fromkeys([*texts, *own]))
