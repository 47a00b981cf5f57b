"""Reports on a comparison for other tools: their names, how they are written, and that no name breaks any of them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from ci_records import NASTY, instructions, record, several
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lts.errors import UsageError
from lts.report.ci.compared import read, tally
from lts.report.ci.formats import FORMATS, check_report, parse_report, write

NAMES = [form.name for form in FORMATS]


def test_a_report_is_a_format_and_a_file() -> None:
    assert parse_report("junit=gate.xml") == ("junit", Path("gate.xml"))
    assert parse_report(" gitlab-metrics =out/a=b.txt") == ("gitlab-metrics", Path("out/a=b.txt"))


@pytest.mark.parametrize("text", ["junit", "junit=", "junit= ", "=gate.xml", "", "JUnit=x", "xml=x"])
def test_other_reports_are_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"^(--report is '.*'; expected FORMAT=FILE, as in |unknown report '.*'; exp)"):
        parse_report(text)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_appears_whole_or_what_was_there_stays(name: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    write(name, several(), path)
    before = path.read_bytes()
    assert before.endswith(b"\n")
    with pytest.raises(UsageError, match="record 2 of the comparison has no change"):
        write(name, [record(), without("change")], path)
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["out"]
    with pytest.raises(UsageError, match=r"^cannot write the report .*: No such file or directory$"):
        write(name, several(), tmp_path / "absent" / "out")
    with pytest.raises(UsageError, match=r"^cannot write the report .*: Is a directory$"):
        check_report(tmp_path)
    with pytest.raises(UsageError, match=r"^cannot write the report .*: embedded null byte$"):
        check_report(Path("a\0b"))


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in record().items() if name != key}


@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "worse"},
        {"contender": None},
        {"contender": {"name": "x"}},
        {"baseline": {**record()["baseline"], "value": "nan"}},
        {"baseline": {**record()["baseline"], "interval": [1.0]}},
        {"change": float("inf")},
        {"change_interval": [1.0, "x"]},
        {"samples_ns": [3]},
    ],
)
def test_what_is_no_record_is_refused_with_a_sentence(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^record 1 of the comparison "):
        write("junit", [{**record(), **wrong}], tmp_path / "out")


def test_the_model_is_the_contender_where_no_name_is_said() -> None:
    rows = read([record(), record(model="m"), record(model=""), record(name=""), record()])
    assert [row.model for row in rows] == ["new.json", "m", "new.json (2)", "contender", "new.json (3)"]
    assert [row.given for row in rows] == ["new.json"] * 3 + ["contender", "new.json"]


def test_what_fails_the_gate() -> None:
    verdicts = ("regression", "inconclusive", "improvement", "same")
    records = [record(verdict=verdict) for verdict in verdicts]
    assert [row.fails for row in read(records)] == [True, False, False, False]
    assert [row.fails for row in read(records, inconclusive_fails=True)] == [True, True, False, False]
    assert tally(read(records + records[:1])) == "2 regressions, 1 inconclusive, 1 improvement, 1 same"
    assert tally([]) == "nothing was compared"


def test_the_sentence_says_values_with_their_uncertainty_and_provenance() -> None:
    assert read([record()])[0].text == (
        "request_ms (measured): regression, baseline 1.085 ±0.037 ms, contender 1.455 ±0.037 ms, "
        "change +34.1 % (+32.1 to +37.1 %), bound 5 %, for host on local with onnxruntime"
    )
    assert read([instructions()])[0].text.replace("\u202f", "") == (
        "instructions (emulated): regression, baseline 182728 ±0 instructions, contender 197924 ±0 instructions, "
        "change +8.32 %, bound 0 %, for arm64 on emulated with tvm"
    )
    once = {**record(half=0), "not_seen_again": True, "verdict": "inconclusive"}
    assert "baseline 1.085 ms" in read([once])[0].text  # of one process, no ± is known
    assert read([once])[0].text.endswith("; a regression was seen, but not when it was measured again")


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.text(max_size=30) | st.sampled_from(NASTY),
            st.text(max_size=12) | st.just("request_ms"),
            st.sampled_from(["regression", "inconclusive", "improvement", "same"]),
        ),
        max_size=5,
    )
)
def test_no_name_breaks_a_format(found: list[tuple[str, str, str]]) -> None:
    records = [
        record(metric, verdict, name=model, device=model, target=model, provenance=model)
        for model, metric, verdict in found
    ]
    rows = read(records)
    texts = {form.name: form.render(rows) for form in FORMATS}
    for text in texts.values():
        text.encode()
    smaller, bigger = (json.loads(texts[f"benchmark-action{end}"]) for end in ("", "-bigger"))
    assert len(smaller) + len(bigger) == len(rows)
    assert set(json.loads(texts["bencher"])) == {row.model for row in rows}
    root = ET.fromstring(texts["junit"])
    assert len(root.findall("testsuite/testcase")) == len(rows)
    assert len({(each.get("classname"), each.get("name")) for each in root.iter("testcase")}) == len(rows)
    findings = json.loads(texts["gitlab-codequality"])
    assert len({each["fingerprint"] for each in findings}) == len(findings)
    assert len(findings) == sum(verdict in ("regression", "inconclusive") for _, _, verdict in found)
    families = list(text_string_to_metric_families(texts["gitlab-metrics"]))
    assert sum(len(family.samples) for family in families) == 6 * len(rows)
