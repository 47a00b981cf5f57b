"""What github-action-benchmark and Bencher read: exact content, their schemas, and slugs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ci_records import NASTY, instructions, record, several
from hypothesis import given
from hypothesis import strategies as st

from lts.report.ci.bencher import metric_format, slug
from lts.report.ci.benchmark_action import bigger_is_better, smaller_is_better
from lts.report.ci.compared import read

# As https://bencher.dev/docs/reference/bencher-metric-format has it.
BENCHER = {
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {each: {"type": "number"} for each in ("value", "lower_value", "upper_value")},
                    "required": ["value"],
                }
            },
        }
    },
}


def test_benchmark_action_has_one_direction_per_file() -> None:
    rows = read(several())
    smaller, bigger = json.loads(smaller_is_better(rows)), json.loads(bigger_is_better(rows))
    assert [each["name"] for each in smaller] == [
        "small: request_ms (measured)",
        "small: peak_memory_mib (measured)",
        "large: latency_ms (measured)",
        "large: instructions (emulated)",
    ]
    assert [each["name"] for each in bigger] == ["small: tokens_per_second (measured)"]
    assert smaller[0] == {
        "name": "small: request_ms (measured)",
        "unit": "ms",
        "value": 1.455,
        "range": "±0.037",
        "extra": "baseline 1.085 ±0.037 ms\nchange +34.1 % (+32.1 to +37.1 %)\nbound 5 %\nregression\n"
        "host on local with onnxruntime",
    }
    assert (smaller[3]["unit"], smaller[3]["value"], smaller[3]["range"]) == ("instructions", 197924, "±0")
    assert bigger[0]["unit"] == "tokens per second"
    assert "range" not in json.loads(smaller_is_better(read([record(half=0)])))[0]
    assert json.loads(smaller_is_better([])) == []


@pytest.mark.parametrize("name", NASTY)
def test_benchmark_action_reads_every_name(name: str) -> None:
    """Its schema (src/extract.ts): name, unit, range and extra are text, value is a number."""
    (found,) = json.loads(smaller_is_better(read([record(name=name)])))
    assert {key: type(value) for key, value in found.items()} == {
        "name": str,
        "unit": str,
        "value": float,
        "range": str,
        "extra": str,
    }


def test_bencher_has_a_benchmark_per_model_and_a_measure_per_metric() -> None:
    found = json.loads(metric_format(read(several())))
    assert found["small"]["request-ms-measured"] == {
        "value": 1.455,
        "lower_value": pytest.approx(1.418),
        "upper_value": pytest.approx(1.492),
    }
    assert list(found["small"]) == ["request-ms-measured", "peak-memory-mib-measured", "tokens-per-second-measured"]
    assert found["large"]["instructions-emulated"] == {"value": 197924}


@pytest.mark.parametrize("name", NASTY)
def test_bencher_reads_every_name(name: str) -> None:
    schema: Any = pytest.importorskip("jsonschema", reason="check-jsonschema, which brings it, is not installed")
    found = json.loads(metric_format(read([record(name=name), instructions(name=name)])))
    schema.validate(found, BENCHER)
    (benchmark,) = found
    assert 1 <= len(benchmark.encode()) <= 1024
    assert set(found[benchmark]) == {"request-ms-measured", "instructions-emulated"}


def test_what_becomes_a_slug() -> None:
    assert slug("Latency MS (measured)") == "latency-ms-measured"
    assert slug("模型") == "metric"
    assert slug(f"{'x' * 63}_y") == "x" * 63


@given(st.text())
def test_slugs(name: str) -> None:
    found = slug(name)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found)
    assert len(found) <= 64
    assert slug(found) == found
