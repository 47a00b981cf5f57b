"""GitLab's metrics report, in the text form of OpenMetrics: https://docs.gitlab.com/ci/testing/metrics_reports.

GitLab reads a line as a shell splits it, once it has cut off all from a # on: label values have none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lts.report.ci.compared import Compared


def metrics(rows: Sequence[Compared]) -> str:
    """The contender's values and the changes, each with the ends of its interval, as gauges."""
    families: dict[str, list[Compared]] = {}
    for row in rows:
        families.setdefault(row.metric, []).append(row)
    lines: list[str] = []
    taken: set[str] = set()
    for named, members in families.items():
        metric, name = _value(named), _name(named)
        while not taken.isdisjoint((name, f"{name}_change_percent")):  # two metrics that differ in other characters
            name += "_"
        change = f"{name}_change_percent"
        taken |= {name, change}
        lines += [f"# TYPE {name} gauge", f"# HELP {name} {metric} of the contender."]
        lines += [line for row in members for line in _samples(name, row, _of_contender(row))]
        lines += [f"# TYPE {change} gauge", f"# HELP {change} Change of {metric} from the baseline to the contender."]
        lines += [line for row in members for line in _samples(change, row, _of_change(row))]
    return "\n".join([*lines, "# EOF", ""])


def _samples(name: str, row: Compared, values: dict[str, float]) -> Iterator[str]:
    labels = {"model": row.model, "provenance": row.provenance}
    labels |= {key: row.place[key] for key in ("target", "device") if row.place.get(key)}
    for statistic, value in values.items():
        inside = ",".join(f'{key}="{_value(each)}"' for key, each in {**labels, "statistic": statistic}.items())
        yield f"{name}{{{inside}}} {_number(value)}"


def _of_contender(row: Compared) -> dict[str, float]:
    side = row.contender
    return {"median": side.value} | ({"low": side.low, "high": side.high} if side.processes > 1 else {})


def _of_change(row: Compared) -> dict[str, float]:
    found, interval = {"median": 100 * row.change}, row.change_interval
    spread = interval is not None and interval[0] < interval[1]
    return found | ({"low": 100 * interval[0], "high": 100 * interval[1]} if interval and spread else {})


def _name(metric: str) -> str:
    return "lts_" + re.sub(r"[^a-zA-Z0-9_]", "_", metric)


def _value(text: str) -> str:
    return text.replace("#", "\uff03").replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    """Counts exactly, others to six significant digits: GitLab compares values as text."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
