"""What sub-networks keep, in a report: the numbers of a table, and boxes for them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from studies import HOSTILE, store_of, trial_of

from lts.compress.keeping import keep, read_kept
from lts.report import subnetworks, write_report
from lts.report.contents import read
from lts.spaces.space import load_space

pytest.importorskip("plotly")

SPACE = load_space("gpt2-tiny")


def stored(folder: Path) -> Path:
    trials = [trial_of(SPACE, key) for key in range(6)]
    store = store_of(folder / "study.db", trials, space=SPACE, compress={"method": HOSTILE[0]})
    for trial in trials:
        a = trial.architecture
        kept = [{"heads": [0], "channels": [*range(0, a.d_ff[i], 2)]} for i in range(a.n_layer)]
        keep(folder / "compress", a, a, kept)
    return store


def test_heads_and_channels(tmp_path: Path) -> None:
    contents = read(stored(tmp_path))
    section = subnetworks.section(contents)
    assert section.startswith("<h2>What stays</h2>")
    assert "<script" not in section
    first = next(iter(contents.front.trials)) if contents.knee is None else contents.knee
    shown = section[section.index("<details") : section.index("</details>")]
    assert f"trial {first.id}" in shown
    rows = re.findall(
        r'<td class="n">(\d+)</td><td class="n">(\d+) of (\d+)</td>.*?<td class="n">(\d+) of (\d+)', shown
    )
    a = first.architecture
    expected = [(i, 1, a.n_head[i], (a.d_ff[i] + 1) // 2, a.d_ff[i]) for i in range(a.n_layer)]
    assert [tuple(map(int, row)) for row in rows] == expected
    write_report(tmp_path / "study.db", tmp_path / "report.html")
    assert "<h2>What stays</h2>" in (tmp_path / "report.html").read_text()


def test_other_studies_have_none(tmp_path: Path) -> None:
    assert subnetworks.section(read(store_of(tmp_path / "study.db", [trial_of(SPACE, 0)], space=SPACE))) == ""


def test_what_is_not_there_or_damaged(tmp_path: Path) -> None:
    store = stored(tmp_path)
    for file in (tmp_path / "compress").rglob("*.npz"):
        file.write_bytes(file.read_bytes()[:50])
    assert "What they keep is not there" in subnetworks.section(read(store))
    a = SPACE.at(0)
    assert read_kept(tmp_path / "absent", a) is None


def test_layers_of_different_sizes(tmp_path: Path) -> None:
    space = load_space("llama-tiny")
    a = next(each for each in space.sample(50, seed=1) if len({*each.d_ff}) > 1)
    keep(tmp_path, a, a, [{"heads": [], "channels": [a.d_ff[i] - 1]} for i in range(a.n_layer)])
    found = read_kept(tmp_path, a)
    assert found is not None
    assert [int((row >= 0).sum()) for row in found.channels] == a.d_ff
    assert [row[width - 1] for row, width in zip(found.channels, a.d_ff, strict=True)] == [1] * a.n_layer
    assert not (found.heads == 1).any()
