"""Bencher: its metric format, https://bencher.dev/docs/reference/bencher-metric-format."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from lts.report.ci.compared import Compared

# Of a slug.
_MOST = 64


def metric_format(rows: Sequence[Compared]) -> str:
    """The contender's values with their intervals: a benchmark for each model, a measure for each metric.

    A measure has the metric's slug with its provenance, as in ``request-ms-measured``: Bencher makes what it does not
    know yet. Its own ``latency`` is in nanoseconds and therefore another one.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        value = {"value": row.contender.value}
        if row.contender.processes > 1:
            value |= {"lower_value": row.contender.low, "upper_value": row.contender.high}
        found.setdefault(row.model, {})[slug(f"{row.metric} {row.provenance}")] = value
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def slug(name: str) -> str:
    """A name in lower-case letters, digits and single hyphens between them."""
    return "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:_MOST].strip("-") or "metric"
