"""github-action-benchmark: a list of values, which its tools customSmallerIsBetter and customBiggerIsBetter read.

Which of both is better is said by the tool, for a whole file (github.com/benchmark-action/github-action-benchmark,
README.md): a comparison with metrics of both directions is two files, and nothing is inverted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lts.measure.compare import Metric
from lts.report.ci.compared import Compared


def smaller_is_better(rows: Sequence[Compared]) -> str:
    """The contender's values of which less is better, for ``customSmallerIsBetter``: all but tokens_per_second."""
    return _listed(row for row in rows if not Metric.named(row.metric).higher_is_better)


def bigger_is_better(rows: Sequence[Compared]) -> str:
    """The contender's values of which more is better, for ``customBiggerIsBetter``."""
    return _listed(row for row in rows if Metric.named(row.metric).higher_is_better)


def _listed(rows: Iterable[Compared]) -> str:
    found = [_entry(row) for row in rows]
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _entry(row: Compared) -> dict[str, Any]:
    _, sign, half = row.shown(row.contender).partition("±")
    against = [
        f"baseline {row.shown(row.baseline)} {row.unit}",
        f"change {row.shown_change}",
        f"bound {row.shown_bound}",
        row.verdict.value,
    ]
    lines = [*([] if row.alone else against), row.where]
    return {
        "name": f"{row.model}: {row.metric} ({row.provenance})",
        "unit": row.unit,
        "value": row.contender.value,
        **({"range": f"±{half}"} if sign else {}),
        "extra": "\n".join(filter(None, lines)),
    }
