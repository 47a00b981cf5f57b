"""What notebooks show of architectures, trials, fronts and studies: tables without scripts, and of pandas."""

from __future__ import annotations

import builtins
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import lts
from lts._core import parse_objective
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.front import Front
from lts.study.stored import read_study

NASTY = "</td><script>alert(1)</script><img src=https://example.org/x \"'>"
SPACE = "llama-tiny"
MIXED = lts.Architecture("llama", 512, 256, 64, n_head=[4, 2], d_ff=[256, 128], n_kv_head=[2, 2])


class Tables(HTMLParser):
    """What a browser makes of HTML: tags, attributes and the cells of its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def calm(text: str) -> Tables:
    """The tables of HTML that runs nothing, fetches nothing, and closes what it opens."""
    found = Tables(text)
    assert set(found.tags) <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "p"}
    assert found.attributes <= {"style"}
    assert "url(" not in text
    for tag in set(found.tags):
        assert text.count(f"<{tag}") - (text.count("<thead") if tag == "th" else 0) == text.count(f"</{tag}>"), tag
    return found


def trial_of(key: int, latency: float, architecture: lts.Architecture = MIXED, **more: Any) -> Trial:
    return Trial(
        id=key,
        state="complete",
        architecture=architecture,
        values={"latency_ms": latency, "decoder_params": float(lts.decoder_params(architecture))},
        provenance={"latency_ms": "measured", "decoder_params": "exact"},
        interval={"latency_ms": (latency - 0.25, latency + 0.5)},
        feasible=True,
        time="2026-11-20T19:25:00Z",
        **more,
    )


def gflops(architecture: lts.Architecture) -> dict[str, float]:
    """A cost of our own, which fails where it is high."""
    value = lts.flops_prefill(architecture) / 1e9
    if value > 0.055:
        raise ValueError(NASTY)
    return {"gflops": value}


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with failures, and trials beyond a constraint."""
    path = tmp_path_factory.mktemp("notebook") / "study.db"
    goals = ["decoder_params:max", "gflops:min"]
    space = lts.SearchSpace.load(SPACE)
    with lts.Study(
        space, gflops, objectives=goals, constraints=["gflops<=0.05"], algorithm="random", store=path
    ) as study:
        study.run(trials=40)
    return path


def test_an_architecture_has_its_dimensions_and_counts() -> None:
    rows = dict(calm(MIXED._repr_html_()).rows)
    assert rows["n_head"] == "4 2"
    assert rows["n_kv_head"] == "2×2"
    assert rows["d_model"] == "64"
    digits = rows["decoder_params (exact)"].replace("\u202f", "")
    assert int(digits) == lts.decoder_params(MIXED)


def test_a_trial_says_where_values_come_from_and_how_sure_they_are() -> None:
    rows = calm(trial_of(3, 8.25, warnings=["slow", "slow"])._repr_html_()).rows
    assert ["latency_ms (measured)", "8.250 ±0.5 ms"] in rows
    assert rows.count(["warning", "slow"]) == 1


def test_what_a_trial_holds_is_text() -> None:
    failed = replace(trial_of(1, 1.0), state="failed", values={}, provenance={NASTY: "exact"}, error=NASTY)
    assert ["error", NASTY] in calm(failed._repr_html_()).rows
    odd = replace(trial_of(1, 1.0), values={NASTY: 1.0}, warnings=[NASTY])
    assert [NASTY, "1"] in calm(odd._repr_html_()).rows


def test_a_front_has_provenance_and_bounds() -> None:
    small = lts.Architecture("llama", 512, 256, 32, n_head=[2], d_ff=[64])
    objectives = [parse_objective("decoder_params:max"), parse_objective("latency_ms:min")]
    front = Front([trial_of(4, 8.25), trial_of(7, 2.5, small)], objectives, {9: 4})
    found = calm(front._repr_html_())
    assert found.rows[0][:3] == ["trial", "decoder_params (exact)", "latency_ms (measured)"]
    assert found.rows[1][2] == "8.250 ±0.5"
    assert {row[0].split()[0] for row in found.rows[1:]} == {"4", "7"}
    assert sum("(knee)" in row[0] for row in found.rows) == 1
    assert "9 (from 4)" in found.text
    assert "no feasible trial yet" in calm(Front([], objectives)._repr_html_()).text


def test_a_long_front_says_what_it_leaves_out() -> None:
    trials = [trial_of(i, 1.0 + i) for i in range(53)]
    found = calm(Front(trials, [parse_objective("latency_ms:min")])._repr_html_())
    assert len(found.rows) == 51
    assert "3 more members are not shown" in found.text


def test_a_study_shows_counts_and_its_front(stored: Path) -> None:
    study = read_study(stored)
    n_failed = sum(trial.state == "failed" for trial in study.trials)
    assert n_failed
    found = calm(study._repr_html_())
    assert f"40 trials ({40 - n_failed} complete, {n_failed} failed)" in found.text
    assert len(found.rows) == 1 + len(study.front)
    with lts.Study(
        lts.SearchSpace.load(SPACE),
        gflops,
        objectives=["decoder_params:max", "gflops:min"],
        constraints=["gflops<=0.05"],
        algorithm="random",
        store=stored,
    ) as opened:
        assert calm(opened._repr_html_()).rows == found.rows


def test_showing_an_architecture_loads_nothing_heavy() -> None:
    code = f"""
import sys, lts
architecture = lts.Architecture.from_json({MIXED.to_json()!r})
assert "lts.measure" not in sys.modules and "html" not in sys.modules
architecture._repr_html_()
heavy = [name for name in ("onnxruntime", "onnx", "pandas", "plotly", "torch", "lts.study") if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_table_is_the_trials(stored: Path) -> None:
    pytest.importorskip("pandas")
    study = read_study(stored)
    frame = study.trials_dataframe()
    assert list(frame["trial"]) == [trial.id for trial in study.trials]
    for row, trial in zip(frame.to_dict("records"), study.trials, strict=True):
        assert row["state"] == trial.state
        assert row["n_head"] == tuple(trial.architecture.n_head)
        assert row["n_layer"] == trial.architecture.n_layer
        assert row["n_kv_head"] == tuple(trial.architecture.n_kv_head)
        for name in ("decoder_params", "gflops"):
            assert row[name] == trial.values[name] if name in trial.values else row[name] != row[name]  # NaN
        if trial.state == "complete":
            assert row["feasible"] == (trial.values["gflops"] <= 0.05)
            assert row["provenance_gflops"] == "given"
        else:
            assert NASTY in row["error"]
        assert row["time"].strftime("%Y-%m-%dT%H:%M:%SZ") == trial.time
    lean = study.trials_dataframe(provenance=False)
    assert [name for name in frame.columns if not name.startswith(("provenance_", "low_", "high_"))] == [*lean.columns]
    assert [*lean.columns[:3], *lean.columns[-2:]] == ["trial", "state", "feasible", "error", "time"]


def test_the_table_has_intervals_and_tells_equal_names_apart() -> None:
    pytest.importorskip("pandas")
    odd = trial_of(2, 5.0)
    odd = replace(odd, values={**odd.values, "state": 7.0, "n_layer": 8.0})
    frame = Front([odd], [parse_objective("latency_ms:min")]).trials_dataframe()
    (row,) = frame.to_dict("records")
    assert (row["low_latency_ms"], row["high_latency_ms"]) == (4.75, 5.5)
    assert (row["state"], row["values_state"]) == ("complete", 7.0)
    assert (row["n_layer"], row["values_n_layer"]) == (2, 8.0)
    empty = Front([], [parse_objective("latency_ms:min")]).trials_dataframe()
    assert len(empty) == 0
    assert "trial" in empty.columns


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *more: Any, **options: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return original(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match="pip install pandas"):
        Front([], [parse_objective("latency_ms:min")]).trials_dataframe()
