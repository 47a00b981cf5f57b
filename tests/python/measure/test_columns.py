"""The table of columns has all that the core counts and that models are measured for, and says of each what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lts
from lts.measure.columns import COLUMNS, QUALITY, RECOVERED, Column
from lts.measure.compare import Metric
from lts.measure.costs import COSTS, OUTPUT_ERROR
from lts.measure.counted import counted_provenance
from lts.measure.models.model import SHORT, SIZE, columns_of
from lts.measure.opening import open_evaluator
from lts.measure.request import DERIVED
from lts.spaces.space import load_space
from lts.system.text import unit
from lts.targets.estimate.costs import ESTIMATED_COLUMNS

ROOT = Path(__file__).resolve().parents[3]
KNOWN = {column.name: column for column in COLUMNS}


def named_by_a_page(name: str) -> set[str]:
    """Columns that a page names in code: words with an underscore, but not the options of a workload and files."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    return {code for code in re.findall(r"`([a-z_]+)`", text) if "_" in code}


def used_as(use: str) -> set[str]:
    return {column.name for column in COLUMNS if use in column.uses}


def test_each_is_there_once() -> None:
    assert len(KNOWN) == len(COLUMNS)


def test_what_a_search_can_use() -> None:
    assert used_as("search") == {*lts.analytic_names(), *COSTS, *DERIVED, *ESTIMATED_COLUMNS}


def test_what_only_sub_networks_have() -> None:
    assert used_as("compress") == {*QUALITY}


def test_what_can_be_compared() -> None:
    assert used_as("metric") == {*COSTS, *DERIVED, SIZE}


def test_the_others_are_shown() -> None:
    assert set(KNOWN) - used_as("search") - used_as("compress") - used_as("metric") == {OUTPUT_ERROR, RECOVERED}


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_its_words(column: Column) -> None:
    assert column.what[0].islower()
    assert not column.what.endswith(".")
    assert len(column.what) < 100
    assert column.provenance
    assert unit(column.name) in ("", column.unit)


@pytest.mark.parametrize("column", [each for each in COLUMNS if "metric" in each.uses], ids=lambda column: column.name)
def test_better_is_what_a_comparison_calls_better(column: Column) -> None:
    assert Metric.named(column.name).higher_is_better == (column.direction == "max")


@pytest.mark.parametrize("name", lts.analytic_names())
def test_provenance_of_what_the_core_counts(name: str) -> None:
    assert KNOWN[name].provenance == (counted_provenance(name),)


def test_provenance_of_estimates() -> None:
    architecture = load_space("gpt2-tiny").sample(1)[0]
    with open_evaluator("cortex-a72", device="none", n_prompt=96) as evaluator:
        found = evaluator.evaluate(architecture, [*evaluator.costs, *lts.analytic_names()])
    assert set(ESTIMATED_COLUMNS) <= set(found.values)
    for name, kind in found.provenance.items():
        assert kind in KNOWN[name].provenance, name


def test_provenance_of_measurements() -> None:
    architecture = load_space("gpt2-tiny").sample(1)[0]
    with open_evaluator("host", device="local", n_prompt=8, n_gen=2, min_time=0.01) as evaluator:
        costs = [name for name in evaluator.costs if "energy" not in name]
        found = evaluator.evaluate(architecture, costs)
    assert set(costs) <= set(found.values)
    for name, kind in found.provenance.items():
        assert kind in KNOWN[name].provenance, name


def test_shorter_names_are_those_of_metrics() -> None:
    assert len(SHORT) == len([column for column in COLUMNS if column.short])
    assert columns_of(["latency,decode", "speed", "size"]) == [
        "latency_ms",
        "decode_ms_per_token",
        "tokens_per_second",
        "size_bytes",
    ]


def test_pages_name_all_of_them() -> None:
    said = named_by_a_page("measuring.md") | named_by_a_page("counting.md") | named_by_a_page("estimates.md")
    said |= named_by_a_page("compress.md")
    # Scores are of docs/proxies.md, and the size of a model of docs/ci-gates.md; names without an underscore.
    others = {"geometric", "zerolm", "depth_weighted", "instructions", "perplexity", SIZE}
    assert set(KNOWN) - said - others == set()
    assert "size" in (ROOT / "docs/ci-gates.md").read_text(encoding="utf-8")
    scores = (ROOT / "docs/proxies.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in scores for name in ("geometric", "zerolm", "depth_weighted"))


def test_the_table_of_measuring_is_of_columns() -> None:
    text = (ROOT / "docs/measuring.md").read_text(encoding="utf-8")
    table = text[text.index("| column | unit |") : text.index("[Devices]")]
    names = [row.split("|")[1] for row in table.splitlines()[2:] if row.startswith("|")]
    named = {name for cell in names for name in re.findall(r"`(\w+)`", cell)}
    assert named == {*COSTS, *DERIVED, OUTPUT_ERROR}
