"""Results that were compared with nothing, for github-action-benchmark and Bencher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lts.errors import UsageError
from lts.measure.result import Result
from lts.report.ci.compared import of_results
from lts.report.ci.formats import write_results
from lts.targets.workload import Workload


def result(model: str = "small.json", n_prompt: int = 128, saved: str = "") -> Result:
    return Result(
        model=model,
        values={"latency_ms": 1.5, "tokens_per_second": 20.0},
        interval={"latency_ms": (1.25, 1.75), "tokens_per_second": (19.0, 21.0)},
        provenance={"latency_ms": "measured", "tokens_per_second": "measured"},
        rounds={"latency_ms": [1.25, 1.5, 1.75], "tokens_per_second": [19.0, 20.0, 21.0]},
        samples_ns={"latency": [1_500_000] * 3},
        workload=Workload(n_prompt=n_prompt),
        target="host",
        device="local",
        backend="onnxruntime",
        saved=saved,
    )


def test_values_without_a_verdict(tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    write_results("benchmark-action", [result()], file)
    assert json.loads(file.read_text()) == [
        {
            "name": "small.json: latency_ms (measured)",
            "unit": "ms",
            "value": 1.5,
            "range": "±0.25",
            "extra": "host on local with onnxruntime",
        }
    ]
    write_results("benchmark-action-bigger", [result()], file)
    assert [each["value"] for each in json.loads(file.read_text())] == [20.0]
    write_results("bencher", [result(saved="main")], file)
    assert json.loads(file.read_text()) == {
        "main": {
            "latency-ms-measured": {"value": 1.5, "lower_value": 1.25, "upper_value": 1.75},
            "tokens-per-second-measured": {"value": 20.0, "lower_value": 19.0, "upper_value": 21.0},
        }
    }


def test_several_workloads_have_names_of_their_own() -> None:
    rows = of_results([result(n_prompt=16), result(n_prompt=32), result("other.json")])
    names = [row.model for row in rows if row.metric == "latency_ms"]
    assert names[0].startswith("small.json, 16 tokens of prompt")
    assert names[1].startswith("small.json, 32 tokens of prompt")
    assert names[2] == "other.json"


def test_what_failed_has_no_values() -> None:
    assert of_results([Result(model="broken", error="it crashed")]) == []


@pytest.mark.parametrize("name", ["junit", "github", "gitlab-codequality", "gitlab-metrics"])
def test_what_needs_a_comparison_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"the report '{name}' is of a comparison; expected one of benchmark-action"):
        write_results(name, [result()], tmp_path / "out")
    assert not (tmp_path / "out").exists()
