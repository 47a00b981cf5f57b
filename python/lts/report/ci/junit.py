"""JUnit's XML, which Jenkins, GitLab and most others show: a suite per model, a test per metric.

There is no standard. The file follows the two schemas that others check against: junit-10.xsd of Jenkins' xunit plugin,
and JUnit.xsd of github.com/windyroad/JUnit-Schema, which has no output of a single test.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import UTC, datetime

from lts.measure.compare import Answer
from lts.report.ci.compared import Compared


def document(rows: Sequence[Compared]) -> str:
    """What fails the gate is a failure; what is inconclusive and does not fail it is skipped."""
    root = ET.Element("testsuites")
    models: dict[str, list[Compared]] = {}
    for row in rows:
        models.setdefault(row.model, []).append(row)
    for i, (model, metrics) in enumerate(models.items()):
        _suite(root, i, model, metrics)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(root: ET.Element, i: int, model: str, rows: list[Compared]) -> None:
    suite = ET.SubElement(
        root,
        "testsuite",
        id=str(i),
        name=model,
        package="lts-engine",
        timestamp=_now(),
        hostname=rows[0].place.get("device") or "unknown",
        tests=str(len(rows)),
        failures=str(sum(row.fails for row in rows)),
        errors="0",
        skipped=str(sum(_skipped(row) for row in rows)),
        # All metrics of a model are of the same runs.
        time=f"{max(row.seconds for row in rows):.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in {key: value for row in rows for key, value in row.place.items()}.items():
        ET.SubElement(properties, "property", name=key, value=value)
    for row in rows:
        test = ET.SubElement(
            suite,
            "testcase",
            classname=f"lts-engine.{model}",
            name=f"{row.metric} ({row.provenance})",
            time=f"{row.seconds:.3f}",
        )
        if row.fails:
            ET.SubElement(test, "failure", message=row.text, type=row.verdict.value).text = row.text
        elif _skipped(row):
            ET.SubElement(test, "skipped", message=row.text).text = row.text
    ET.SubElement(suite, "system-out").text = "\n".join(row.text for row in rows)
    ET.SubElement(suite, "system-err")


def _skipped(row: Compared) -> bool:
    return row.verdict is Answer.inconclusive and not row.fails


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
