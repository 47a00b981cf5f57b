"""What a device says of a run, checked by type, number, range and plausibility: one place for all devices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypedDict

from lts.devices.device import ENERGY
from lts.system.meter import MOST_WATTS
from lts.system.outside import sentence

# By the rules of sampling, a run has fewer samples than this only when fewer were asked for.
_FEWEST = 6
_MOST_SAMPLES = 100_000
# A day. Nothing that is measured here takes as long.
_LONGEST_NS = 86_400 * 10**9
# A call of a model through a runtime takes longer, whatever the model and the processor.
_SHORTEST_NS = 100
_MOST_MIB = 1 << 40
_MOST_INSTRUCTIONS = 1 << 62
_MOST_SECONDS = 1e7
_LARGEST_ERROR = 1e30
_MOST_WARNINGS = 100
# Two clocks differ, if only because one of them is being set right: by at most this factor, and so many seconds.
_CLOCKS, _MOMENT = 1.1, 0.1
# What a machine says of its memory leaves out what its kernel has.
_KERNEL = 1.1


class WrongAnswerError(Exception):
    """An answer that cannot be right; the message says what is wrong with it, as one sentence."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the device's answer is wrong: {what}")


class Answer(TypedDict, total=False):
    """What a run gives, after the check; what it does not give is left out.

    `samples_ns` and `wall_ns` are equally long, `correct` comes with `output_error`, and `disturbed` says whether other
    programs disturbed the run.
    """

    samples_ns: list[int]
    wall_ns: list[int]
    peak_memory_mib: float
    instructions: int
    energy_mj: float
    energy_error: float
    meter: str
    output_error: float
    correct: bool
    disturbed: bool
    warnings: list[str]
    load_seconds: float
    run_seconds: float


def checked(
    said: Any,
    costs: Iterable[str] = (),
    *,
    repeats: int = 1,
    tolerance: float | None = None,
    seconds: float | None = None,
    memory_mib: float | None = None,
) -> Answer:
    """The answer of a device, without what nobody asked for.

    Parameters
    ----------
    said
        Whatever the device has given as the value of a run.
    costs
        Those that were asked for: see `lts.measure.costs.COSTS`. Energy may be missing: a warning says why.
    repeats
        The least number of samples that was asked for.
    tolerance
        The largest error of the output that is right; None when it was not to be compared.
    seconds
        What the run took by our clock; None when that is unknown.
    memory_mib
        Memory of the machine; None when that is unknown.

    Raises
    ------
    WrongAnswerError
        When it is not what was asked for, or cannot be true.
    """
    if not isinstance(said, Mapping):
        raise WrongAnswerError(f"it is {_shown(said)}; expected an object")
    costs = set(costs)
    answer: Answer = {"warnings": _warnings(said.get("warnings"))}
    samples, wall = _times(said, "samples_ns"), _times(said, "wall_ns")
    if costs & {"latency_ms", "decode_ms_per_token"}:
        _check_samples(samples, min(_FEWEST, repeats))
    if samples:
        if wall and len(wall) != len(samples):
            raise WrongAnswerError(f"it has {len(samples)} samples, but {len(wall)} times on the wall")
        answer["samples_ns"], answer["wall_ns"] = samples, wall or samples
        _check_clock(samples, answer["wall_ns"], seconds)
    if "peak_memory_mib" in costs or said.get("peak_memory_mib") is not None:
        answer["peak_memory_mib"] = _number(said, "peak_memory_mib", _MOST_MIB)
        if memory_mib is not None and answer["peak_memory_mib"] > _KERNEL * memory_mib:
            raise WrongAnswerError(
                f"'peak_memory_mib' is {answer['peak_memory_mib']:.6g}; the machine has {memory_mib:.6g} MiB in all"
            )
    if costs & {"instructions", "decode_instructions"} or said.get("instructions") is not None:
        answer["instructions"] = _integer(said.get("instructions"), "'instructions'", _MOST_INSTRUCTIONS)
    if costs & set(ENERGY) and said.get("energy_mj") is not None:
        _add_energy(answer, said, seconds)
    if tolerance is not None or said.get("output_error") is not None:
        error, correct = _number(said, "output_error", _LARGEST_ERROR), said.get("correct")
        if not isinstance(correct, bool):
            raise WrongAnswerError(f"'correct' is {_shown(correct)}; expected true or false")
        answer["output_error"] = error
        answer["correct"] = correct and (tolerance is None or error <= tolerance)
    if (disturbed := said.get("disturbed", False)) not in (False, True) or not isinstance(disturbed, bool):
        raise WrongAnswerError(f"'disturbed' is {_shown(disturbed)}; expected true or false")
    answer["disturbed"] = disturbed
    answer["load_seconds"] = _seconds(said, "load_seconds")
    answer["run_seconds"] = _seconds(said, "run_seconds")
    return answer


def _times(said: Mapping[Any, Any], name: str) -> list[int]:
    times = said.get(name)
    if times is None:
        return []
    if not isinstance(times, list):
        raise WrongAnswerError(f"'{name}' is {_shown(times)}; expected a list")
    if len(times) > _MOST_SAMPLES:
        raise WrongAnswerError(f"'{name}' has {len(times)} entries; expected at most {_MOST_SAMPLES}")
    return [_integer(time, f"an entry of '{name}'", _LONGEST_NS) for time in times]


def _check_samples(samples: list[int], fewest: int) -> None:
    if len(samples) < max(1, fewest):
        raise WrongAnswerError(f"it has {len(samples)} samples; expected at least {max(1, fewest)}")
    if max(samples) < _SHORTEST_NS:
        raise WrongAnswerError(f"no sample is longer than {max(samples)} ns, which is no time for a model")


def _check_clock(samples: list[int], wall: list[int], seconds: float | None) -> None:
    """One run comes after another, so that together they take no longer than the whole job."""
    claimed = sum(map(max, samples, wall)) / 1e9
    if seconds is not None and claimed > _CLOCKS * seconds + _MOMENT:
        raise WrongAnswerError(f"its runs took {claimed:.3g} s together; by our clock all of it took {seconds:.3g} s")


def _add_energy(answer: Answer, said: Mapping[Any, Any], seconds: float | None) -> None:
    """What one call takes, above 0, and no more than any machine can in the longest call; its error, and the meter."""
    energy = _number(said, "energy_mj", 1000 * MOST_WATTS * _MOST_SECONDS)
    longest = max(answer.get("wall_ns", ()), default=0) / 1e9 or seconds
    if energy <= 0:
        raise WrongAnswerError("'energy_mj' is 0, and everything takes energy")
    if longest is not None and energy > 1000 * MOST_WATTS * longest:
        raise WrongAnswerError(f"'energy_mj' is {energy:.3g} for {longest:.3g} s, which no machine takes")
    meter = said.get("meter")
    if not isinstance(meter, str) or not sentence(meter):
        raise WrongAnswerError(f"'meter' is {_shown(meter)}; expected what has measured the energy")
    answer["energy_mj"], answer["meter"] = energy, sentence(meter)
    if said.get("energy_error") is not None:
        answer["energy_error"] = _number(said, "energy_error", 1.0)


def _warnings(said: Any) -> list[str]:
    """Sentences of the device, cut to a readable length."""
    if said is None:
        return []
    if not isinstance(said, list) or not all(isinstance(warning, str) for warning in said):
        raise WrongAnswerError(f"'warnings' is {_shown(said)}; expected a list of sentences")
    if len(said) > _MOST_WARNINGS:
        raise WrongAnswerError(f"it has {len(said)} warnings; expected at most {_MOST_WARNINGS}")
    return [text for text in map(sentence, said) if text]


def _seconds(said: Mapping[Any, Any], name: str) -> float:
    return _number(said, name, _MOST_SECONDS) if said.get(name) is not None else 0.0


def _number(said: Mapping[Any, Any], name: str, most: float) -> float:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise WrongAnswerError(f"'{name}' is {_shown(value)}; expected a number from 0 to {most:g}")
    return float(value)


def _integer(value: Any, what: str, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise WrongAnswerError(f"{what} is {_shown(value)}; expected an integer from 1 to {most:g}")
    return value


def _shown(value: Any) -> str:
    """A value for a message, whatever it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value}, which is no number"
    if isinstance(value, list | tuple | dict) and len(value) > 8:
        return f"a {type(value).__name__} of {len(value)}"
    try:
        return "missing" if value is None else sentence(repr(value), 60)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists in lists
        return f"a {type(value).__name__} without an end"
