"""JUnit's XML: exact content, and what the schemas of Jenkins and of Windyroad ask for."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest
from ci_records import NASTY, record, several

from lts.report.ci import junit
from lts.report.ci.compared import read

# Of both schemas: attributes that are needed, elements within in their order, and how many of each at most.
SUITE = {"id", "name", "package", "timestamp", "hostname", "tests", "failures", "errors", "time"}
TEST = {"name", "classname", "time"}
WITHIN = ["properties", "testcase", "system-out", "system-err"]


def check(text: str) -> ET.Element:
    """Raise `AssertionError` for what one of the schemas refuses."""
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    for i, suite in enumerate(root):
        assert suite.tag == "testsuite"
        assert SUITE <= set(suite.attrib) <= SUITE | {"skipped"}
        assert suite.get("id") == str(i)
        assert suite.get("name")
        assert suite.get("hostname")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
        assert re.fullmatch(r"\d+\.\d{3}", suite.get("time", ""))
        tags = [each.tag for each in suite]
        assert tags == sorted(tags, key=WITHIN.index)
        assert all(tags.count(tag) == 1 for tag in set(WITHIN) - {"testcase"})
        for each in suite.iter("property"):
            assert set(each.attrib) == {"name", "value"}
            assert each.get("name")
        tests = suite.findall("testcase")
        assert suite.get("tests") == str(len(tests))
        assert suite.get("failures") == str(len(suite.findall("testcase/failure")))
        assert suite.get("skipped") == str(len(suite.findall("testcase/skipped")))
        for test in tests:
            assert set(test.attrib) == TEST
            assert len(test) <= 1
            for each in test:
                assert set(each.attrib) == ({"message", "type"} if each.tag == "failure" else {"message"})
                assert len(each) == 0
    return root


def test_the_exact_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "_now", lambda: "2026-11-30T12:00:00")
    said = (
        "request_ms (measured): regression, baseline 1.085 ±0.037 ms, contender 1.455 ±0.037 ms, change +34.1 % "
        "(+32.1 to +37.1 %), bound 5 %, for host on local with onnxruntime"
    )
    assert junit.document(read([record(name='<a&"b">', n_gen=None, threads=None)])) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<testsuites>\n"
        '  <testsuite id="0" name="&lt;a&amp;&quot;b&quot;&gt;" package="lts-engine" timestamp="2026-11-30T12:00:00" '
        'hostname="local" tests="1" failures="1" errors="0" skipped="0" time="1.750">\n'
        "    <properties>\n"
        '      <property name="target" value="host" />\n'
        '      <property name="device" value="local" />\n'
        '      <property name="backend" value="onnxruntime" />\n'
        '      <property name="n_prompt" value="64" />\n'
        "    </properties>\n"
        '    <testcase classname="lts-engine.&lt;a&amp;&quot;b&quot;&gt;" name="request_ms (measured)" time="1.750">\n'
        f'      <failure message="{said}" type="regression">{said}</failure>\n'
        "    </testcase>\n"
        f"    <system-out>{said}</system-out>\n"
        "    <system-err />\n"
        "  </testsuite>\n"
        "</testsuites>\n"
    )


def test_a_suite_per_model_and_a_test_per_metric() -> None:
    root = check(junit.document(read(several())))
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root] == [
        ("small", "3", "1", "0"),
        ("large", "2", "1", "1"),
    ]
    assert [test.get("name") for test in root[1].iter("testcase")] == [
        "latency_ms (measured)",
        "instructions (emulated)",
    ]
    skipped = root.find("testsuite/testcase/skipped")
    assert skipped is not None
    assert "inconclusive" in (skipped.text or "")
    strict = check(junit.document(read(several(), inconclusive_fails=True)))
    assert [suite.get("failures") for suite in strict] == ["1", "2"]
    assert strict.find("testsuite/testcase/failure[@type='inconclusive']") is not None
    assert len(check(junit.document([]))) == 0


@pytest.mark.parametrize("name", NASTY)
def test_every_name_is_text(name: str) -> None:
    rows = read([record(name=name, device=name), record(verdict="inconclusive", name=name)])
    root = check(junit.document(rows))
    assert [suite.get("name") for suite in root] == [row.model for row in rows]
