"""How proxies rank architectures, for the commands that show it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lts.cli.log import say
from lts.cli.output import Results
from lts.cli.progress import Waiting
from lts.system.progress import Work
from lts.system.text import time_each

if TYPE_CHECKING:
    from lts._core import Architecture
    from lts.proxies.ranking import Ranking, Scored
    from lts.proxies.zero_cost import Batch

_COLUMNS = ("proxy", "best", "n", "Spearman", "95 %", "Kendall tau-b", "95 %", "tied", "time each", "front")


def scored(
    architectures: Sequence[Architecture], names: Iterable[str], batch: Batch | None, alpha: float = 0.5
) -> dict[str, Scored]:
    """`score` while people see how far it is; proxies that give no number for an architecture are left out."""

    from lts.errors import MeasurementError
    from lts.proxies.ranking import score
    from lts.system.text import plural

    with Waiting("scoring") as waiting:
        found = score(architectures, names, alpha=alpha, batch=batch, observe=waiting)
    for name, each in list(found.items()):
        if n := sum(not math.isfinite(value) for value in each.values):
            say(f"{name} left out: it gives no number for {plural(n, 'architecture')}")
            del found[name]
    if not found:
        raise MeasurementError("no proxy gives a number for all architectures")
    return found


def ranked(
    architectures: Sequence[Architecture],
    quality: Sequence[float],
    scores: Mapping[str, Scored],
    **options: Any,
) -> list[Ranking]:
    """`rank` by all proxies while people see how far it is."""
    from lts.proxies.ranking import rank

    found = []
    with Waiting("resampling", len(scores)) as waiting:
        for done, (name, score) in enumerate(scores.items()):

            def observed(work: Work, done: int = done, name: str = name) -> None:
                waiting(Work("resampling", done, len(scores), f"{name}, {work.what}: {work.done} of {work.total}"))

            found.append(rank(architectures, quality, name, scored=score, observe=observed, **options))
    return found


def results(rankings: Sequence[Ranking], title: str) -> Results:
    """One row for every proxy and share of the best."""
    records = [
        {
            "proxy": ranking.proxy,
            "best": f"{each.share:.0%}",
            "n": each.n,
            "spearman": _known(each.spearman),
            "spearman_interval": [_known(bound) for bound in each.spearman_interval],
            "kendall_tau_b": _known(each.kendall),
            "kendall_interval": [_known(bound) for bound in each.kendall_interval],
            "ties": ranking.ties,
            "microseconds": ranking.seconds * 1e6,
            "front_ratio": None if ranking.front_ratio is None else _known(ranking.front_ratio),
        }
        for ranking in rankings
        for each in ranking.agreements
    ]
    times = [time_each(ranking.seconds) for ranking in rankings for _ in ranking.agreements]
    rows = [
        (
            r["proxy"],
            r["best"],
            r["n"],
            _text(r["spearman"]),
            _range(r["spearman_interval"]),
            _text(r["kendall_tau_b"]),
            _range(r["kendall_interval"]),
            r["ties"],
            seconds,
            _text(r["front_ratio"]),
        )
        for r, seconds in zip(records, times, strict=True)
    ]
    return Results(records, _COLUMNS, rows, title)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else ""


def _range(interval: object) -> str:
    low, high = interval if isinstance(interval, list) else (None, None)
    return f"{low:.3f} to {high:.3f}" if isinstance(low, float) and isinstance(high, float) else ""
