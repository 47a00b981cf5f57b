"""Whether a model keeps a fixed limit: a verdict beside those on a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lts.measure.compare import Answer, Metric, Verdict, verdict


def limit_verdicts(values: Mapping[str, Sequence[float]], limits: Mapping[str, float]) -> dict[str, Verdict]:
    """By metric, whether what processes have measured is within its limit: at most, or where more is better at least.

    As a verdict's baseline the limit is a single value, and its bound is 0. A regression is beyond the limit with the
    whole interval of the median, ``same`` within it with all of it, and ``inconclusive`` on both sides of it.

    Raises
    ------
    UsageError
        For a limit or a value that is not finite or not above 0.
    """
    return {name: _verdict(Metric.named(name), values[name], limit) for name, limit in limits.items()}


def _verdict(metric: Metric, values: Sequence[float], limit: float) -> Verdict:
    known = verdict(metric, [limit], values, 0.0)
    low, high = known.contender.low, known.contender.high
    worst, best = (low, high) if metric.higher_is_better else (high, low)

    def beyond(value: float) -> bool:
        return value < limit if metric.higher_is_better else value > limit

    answer = Answer.same if not beyond(worst) else Answer.regression if beyond(best) else Answer.inconclusive
    return replace(known, answer=answer, change_interval=(low / limit - 1, high / limit - 1), p_value=None, enough=None)
