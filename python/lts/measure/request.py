"""What a user waits for, from what was measured of the steps of a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lts.devices.device import ENERGY
from lts.measure.costs import ENERGY_OF, INSTRUCTIONS, OUTPUT_ERROR, PEAK
from lts.measure.outcome import Outcome
from lts.targets.workload import Workload

REQUEST, SPEED, REQUEST_ENERGY = "request_ms", "tokens_per_second", "energy_mj"
# What follows from which costs.
DERIVED: Mapping[str, tuple[str, ...]] = {
    REQUEST: ("latency_ms", "decode_ms_per_token"),
    SPEED: ("decode_ms_per_token",),
    REQUEST_ENERGY: ENERGY,
}
_DECODE = "decode_ms_per_token"
# What a decode step at both ends of a request gives the mean of.
_MEANS = (_DECODE, INSTRUCTIONS["decode"], ENERGY_OF["decode"])


def derived_from(costs: Iterable[str]) -> tuple[str, ...]:
    """The columns that follow where these costs are measured."""
    known = set(costs)
    return tuple(name for name, needed in DERIVED.items() if known.issuperset(needed))


def needed_for(columns: Iterable[str], workload: Workload | None = None) -> list[str]:
    """The costs that have to be measured for columns, each once.

    The energy of a request without decode steps is that of its prompt pass, and needs nothing else.
    """
    return list(dict.fromkeys(cost for name in columns for cost in _parts(name, workload)))


def _parts(name: str, workload: Workload | None) -> tuple[str, ...]:
    """What a column follows from: itself, where it is measured."""
    if name == REQUEST_ENERGY and workload is not None and not workload.n_steps:
        return (ENERGY_OF["prefill"],)
    return DERIVED.get(name, (name,))


def joined(one: Outcome, other: Outcome) -> Outcome:
    """Two outcomes of an architecture as one, with the larger one of their peaks and errors."""
    both = one | other
    for name in (PEAK, OUTPUT_ERROR):
        if name in one.values and name in other.values:
            both.values[name] = max(one.values[name], other.values[name])
    return both


def together(steps: Sequence[Outcome]) -> Outcome:
    """What the steps of one phase say together: the mean of their times, of peak and error the largest.

    Time grows evenly with the context, so that the mean of a decode step at both ends of a request is that of all its
    steps. The samples of the second step are kept as ``decode_last``.
    """
    found = steps[0]
    for later in steps[1:]:
        samples = {name.replace("decode", "decode_last", 1): values for name, values in later.samples_ns.items()}
        both = joined(found, replace(later, samples_ns=samples))
        for name in _MEANS:
            if name in found.values and name in later.values:
                both.values[name] = (found.values[name] + later.values[name]) / 2
            if name in found.mad and name in later.mad:
                both.mad[name] = (found.mad[name] + later.mad[name]) / 2
            if name in found.interval and name in later.interval:
                low, high = zip(found.interval[name], later.interval[name], strict=True)
                both.interval[name] = (sum(low) / 2, sum(high) / 2)
        for name in ENERGY:  # of one step alone is not that of both
            if name in found.values.keys() ^ later.values.keys():
                for known in (both.values, both.provenance, both.interval):
                    known.pop(name, None)
        found = both
    return found


def with_request(outcome: Outcome, workload: Workload) -> Outcome:
    """The outcome with what follows from its costs: time and energy of a request, tokens per second of all sequences.

    An interval follows from the ends of those of the costs, as if these erred together.
    """
    values, intervals = dict(outcome.values), dict(outcome.interval)
    provenance = dict(outcome.provenance)
    for name in DERIVED:
        parts = _parts(name, workload)
        if not values.keys() >= set(parts):
            continue
        kinds = {provenance[cost] for cost in parts}
        if len(kinds) > 1:
            continue
        provenance[name] = kinds.pop()
        values[name] = _derived(name, outcome.values, workload)
        if all(cost in intervals for cost in parts):
            ends = [_derived(name, {c: outcome.interval[c][end] for c in parts}, workload) for end in (0, 1)]
            intervals[name] = (min(ends), max(ends))
    return replace(outcome, values=values, provenance=provenance, interval=intervals)


def _derived(name: str, costs: Mapping[str, float], workload: Workload) -> float:
    if name == SPEED:
        return 1000 * workload.batch / costs[_DECODE]
    once, per_step = DERIVED[name]
    return costs[once] + workload.n_steps * costs.get(per_step, 0.0)
