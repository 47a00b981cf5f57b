"""Intervals of fits to few measurements, on the published device tables."""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from few_measurements import Rows


@pytest.fixture(scope="module")
def tables(published: Path) -> dict[str, Rows]:
    few_measurements = pytest.importorskip("few_measurements")  # with benchmarks/ in the path
    file = published.parent / "hwgpt" / "measured_s_first5000.csv.gz"
    if not file.is_file():
        pytest.skip(f"{file} is not there; set LTS_DATA to the folder that holds lts and hwgpt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "LTS_DATA", str(published.parent))
        return few_measurements.device_tables()  # type: ignore[no-any-return]


@pytest.mark.parametrize("n", [5, 8, 10, 12])
def test_intervals_hold_what_they_promise(n: int, tables: dict[str, Rows]) -> None:
    from few_measurements import covered

    for found in covered(tables, n, splits=20):
        held = [share for share, _ in found]
        assert 0.87 <= statistics.fmean(held) <= 0.96, held
        assert min(held) > 0.75, held
