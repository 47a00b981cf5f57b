"""What GitLab reads: findings of code quality, and metrics as OpenMetrics and as GitLab itself splits them."""

from __future__ import annotations

import json
import re
import shlex

import pytest
from ci_records import NASTY, instructions, record, several
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from lts.report.ci.compared import read
from lts.report.ci.gitlab_codequality import findings
from lts.report.ci.gitlab_metrics import metrics


def split_by_gitlab(text: str) -> dict[str, str]:
    """Names and values as Gitlab::Ci::Parsers::Metrics::Generic has them, which splits like a shell."""
    found = {}
    for line in text.splitlines():
        name, *values = shlex.split(re.sub(r"#.*$", "", line)) or [""]
        if name and values:
            found[name] = values[0]
    return found


def test_a_finding_for_what_got_worse_or_is_not_known() -> None:
    found = json.loads(findings(read(several())))
    assert [(each["check_name"], each["severity"]) for each in found] == [
        ("lts-engine/request_ms", "major"),
        ("lts-engine/latency_ms", "minor"),
        ("lts-engine/instructions", "major"),
    ]
    assert found[0] == {
        "description": "small: request_ms (measured): regression, baseline 1.085 ±0.037 ms, contender 1.455 ±0.037 ms, "
        "change +34.1 % (+32.1 to +37.1 %), bound 5 %, for host on local with onnxruntime",
        "check_name": "lts-engine/request_ms",
        "fingerprint": found[0]["fingerprint"],
        "severity": "major",
        "location": {"path": "new.json", "lines": {"begin": 1}},
    }
    assert json.loads(findings(read([record(verdict="same"), record(verdict="improvement")]))) == []
    strict = json.loads(findings(read(several(), inconclusive_fails=True)))
    assert [each["severity"] for each in strict] == ["major"] * 3


def test_fingerprints_stay_from_run_to_run_and_differ_from_each_other() -> None:
    def prints(*records: dict[str, object]) -> list[str]:
        return [each["fingerprint"] for each in json.loads(findings(read(records)))]

    assert prints(record()) == prints(record(values=(1.0, 9.0)))
    different = prints(*several(), record(), record(), record(verdict="inconclusive", model="other"))
    assert len(set(different)) == len(different) == 6
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in different)


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("models/new.json", "models/new.json"),
        ("./models//new.json", "models/new.json"),
        ("runs/study.db#3", "runs/study.db"),
        ("../other/new.json", "new.json"),
        ("/elsewhere/new.json", "new.json"),
        ("..", "contender"),
        (".", "contender"),
        ("#3", "#3"),
    ],
)
def test_the_file_is_named_relative_to_the_project(given: str, path: str) -> None:
    (found,) = json.loads(findings(read([record(name=given)])))
    assert found["location"]["path"] == path


def test_the_exact_metrics() -> None:
    said = 'provenance="measured",target="host",device="local"'
    counted = 'provenance="emulated",target="arm64",device="emulated"'
    assert metrics(read([record(values=(2.0, 2.5), half=0.25, name='a "b"\\'), instructions()])) == (
        "# TYPE lts_request_ms gauge\n"
        "# HELP lts_request_ms request_ms of the contender.\n"
        f'lts_request_ms{{model="a \\"b\\"\\\\",{said},statistic="median"}} 2.5\n'
        f'lts_request_ms{{model="a \\"b\\"\\\\",{said},statistic="low"}} 2.25\n'
        f'lts_request_ms{{model="a \\"b\\"\\\\",{said},statistic="high"}} 2.75\n'
        "# TYPE lts_request_ms_change_percent gauge\n"
        "# HELP lts_request_ms_change_percent Change of request_ms from the baseline to the contender.\n"
        f'lts_request_ms_change_percent{{model="a \\"b\\"\\\\",{said},statistic="median"}} 25\n'
        f'lts_request_ms_change_percent{{model="a \\"b\\"\\\\",{said},statistic="low"}} 23\n'
        f'lts_request_ms_change_percent{{model="a \\"b\\"\\\\",{said},statistic="high"}} 28\n'
        "# TYPE lts_instructions gauge\n"
        "# HELP lts_instructions instructions of the contender.\n"
        f'lts_instructions{{model="new.json",{counted},statistic="median"}} 197924\n'
        "# TYPE lts_instructions_change_percent gauge\n"
        "# HELP lts_instructions_change_percent Change of instructions from the baseline to the contender.\n"
        f'lts_instructions_change_percent{{model="new.json",{counted},statistic="median"}} 8.31619\n'
        "# EOF\n"
    )
    assert metrics([]) == "# EOF\n"


def test_metrics_are_grouped_by_family() -> None:
    text = metrics(read([record(model=model) for model in ("a", "b")] + several()))
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert len(families) == 10
    labels = [sample.labels for sample in families["lts_request_ms"].samples]
    assert [each["model"] for each in labels if each["statistic"] == "median"] == ["a", "b", "small"]
    assert {family.type for family in families.values()} == {"gauge"}


@pytest.mark.parametrize("name", NASTY)
def test_metrics_of_every_name(name: str) -> None:
    rows = read([record(name=name, device=name), record("peak_memory_mib", "same", name=name)])
    text = metrics(rows)
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {each.labels["model"] for each in samples} == {rows[0].model.replace("#", "\uff03")}
    found = split_by_gitlab(text)
    assert len(found) == len(samples) == 12
    assert all(value == f"{float(value):.6g}" for value in found.values())
