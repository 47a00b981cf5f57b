"""Algorithms compared on tables: what they find, what is kept, and what is said."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from tables import SPACE, values, write_surrogates, write_table

import lts
from lts.benchmarks.domain import domain_of
from lts.benchmarks.optimizers import NATIVE, OPTIMIZERS, BudgetSpent, Evaluations, optimizers_of
from lts.benchmarks.problem import open_problem
from lts.benchmarks.runs import run_benchmark
from lts.benchmarks.summary import Summary
from lts.errors import UsageError
from lts.measure.ranks import holm, signed_rank_test

OBJECTIVES = ["perplexity:min", "latency_ms:min"]
ON_OBJECTIVES = [word for objective in OBJECTIVES for word in ("--objective", objective)]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


# --- What is searched ---


def test_domain_has_the_members_of_its_space() -> None:
    domain = domain_of(list(SPACE), "small")
    assert domain.is_ratio
    assert set(domain.space) == set(SPACE)
    absolute = domain_of(list(lts.SearchSpace(n_layer=[1], d_model=[16, 32], n_head=[1], d_ff=[64, 128])), "widths")
    assert not absolute.is_ratio
    assert absolute.space.size == 4
    for x in np.random.default_rng(0).integers(domain.sizes, size=(200, len(domain.sizes))):
        architecture = domain.architecture(x.tolist())
        assert domain.space.contains(architecture)
        (found,) = domain.positions([architecture])
        assert ((found == x) | (found == -1)).all()
        assert domain.architecture(np.maximum(found, 0).tolist()) == architecture


def test_rows_have_their_own_values_and_others_the_nearest(tmp_path: Path) -> None:
    every = list(SPACE)
    kept = [each for i, each in enumerate(every) if i % 3]
    problem = open_problem(str(write_table(tmp_path / "some.csv", kept)), OBJECTIVES, pool=True)
    expected = np.array([list(values(each).values()) for each in kept])
    assert problem.points(kept) == pytest.approx(expected)
    front, point = problem.reference()
    assert front.tolist() == expected[lts.nondominated(expected)].tolist()
    assert point.tolist() == expected.max(axis=0).tolist()
    known = {tuple(row) for row in expected.tolist()}
    assert {tuple(row) for row in problem.points(every).tolist()} == known
    # One that differs in the heads of one layer alone is nearer than any of another width.
    missing = next(each for each in every if each not in kept and each.n_layer == 2)
    (found,) = problem.points([missing]).tolist()
    near = [each for each in kept if each.d_model == missing.d_model and each.n_layer == 2]
    assert tuple(found) in {tuple(values(each).values()) for each in near}


def test_maximized_objectives_are_turned(tmp_path: Path) -> None:
    path = str(write_table(tmp_path / "all.csv"))
    problem = open_problem(path, ["perplexity:max", "latency_ms:min"], pool=True)
    turned = open_problem(path, OBJECTIVES, pool=True)
    some = list(SPACE)[:5]
    assert problem.points(some).tolist() == (turned.points(some) * [-1, 1]).tolist()
    assert problem.digest != turned.digest


def test_a_budget_ends_a_run(tmp_path: Path) -> None:
    evaluations = Evaluations(open_problem(str(write_table(tmp_path / "all.csv")), OBJECTIVES, pool=True), 2)
    for each in list(SPACE)[:2]:
        evaluations.of(each)
    with pytest.raises(BudgetSpent):
        evaluations.at([0] * len(evaluations.problem.domain.sizes))


# --- Algorithms ---


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(each.name, marks=[pytest.mark.slow] if each.name.startswith("botorch") else [])
        for each in OPTIMIZERS
    ],
)
def test_every_algorithm_runs_and_repeats(tmp_path: Path, name: str) -> None:
    try:
        (optimizer,) = optimizers_of([name])
    except UsageError as error:
        pytest.skip(str(error))
    problem = open_problem(str(write_table(tmp_path / "some.csv", list(SPACE)[::2])), OBJECTIVES, pool=True)
    budget = 22 if name.startswith("botorch") else 32
    first, again, other = (optimizer.run(problem, budget, seed) for seed in (3, 3, 4))
    assert first.shape == (budget, 2)
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
    known = {tuple(row) for row in problem.points(list(SPACE)[::2]).tolist()}
    assert {tuple(row) for row in first.tolist()} <= known


def test_seeded_begins_near_the_front(tmp_path: Path) -> None:
    write_surrogates(tmp_path)
    problem = open_problem(f"hwgpt:{tmp_path}/s", ["latencies_a100:min", "decoder_params:max", "perplexity:min"])
    (seeded,) = optimizers_of(["seeded"])
    with pytest.raises(UsageError, match="decoder_params, which would stand for quality, is an objective itself"):
        seeded.run(problem, 30, 0)
    table = tmp_path / "all.csv"
    problem = open_problem(str(write_table(table)), ["latency_ms:min", "perplexity:max"], pool=True)
    assert seeded.run(problem, 40, 0).shape == (40, 2)  # costs are fitted in the units of the table


def test_seeded_is_better_than_what_it_is_made_of(published: Path) -> None:
    table = published.parent / "hwgpt" / "measured_s_first5000.csv.gz"
    if not table.is_file():
        pytest.skip(f"{table} is not there")
    problem = open_problem(str(table), ["ppl:min", "lat_ms_a100:min"], pool=True)
    front, point = problem.reference()
    for optimizer, least in zip(optimizers_of(["nsga2", "seeded"]), (0.9, 0.97), strict=True):
        shares = [lts.hypervolume(optimizer.run(problem, 300, seed), point) for seed in range(2)]
        assert min(shares) / lts.hypervolume(front, point) >= least


# --- Summaries ---


def test_signed_rank_test_equals_scipy() -> None:
    scipy = pytest.importorskip("scipy.stats")
    random = np.random.default_rng(0)
    for n in (1, 4, 9, 15):
        differences = random.normal(0.5, size=n)
        expected = scipy.wilcoxon(differences, mode="exact").pvalue
        assert signed_rank_test(differences.tolist())[0] == pytest.approx(expected, rel=1e-12)
    assert signed_rank_test([1.0, 2.0, 3.0]) == (0.25, 1.0)
    assert signed_rank_test([-1.0, 1.0]) == (1.0, 0.0)  # ties share a rank
    assert signed_rank_test([0.0, 0.0]) == (1.0, 0.0)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_summary_compares_by_seed(tmp_path: Path) -> None:
    problem = open_problem(str(write_table(tmp_path / "all.csv")), OBJECTIVES, pool=True)
    front, point = problem.reference()
    worst = point[None].repeat(4, axis=0)
    runs = {("best", seed): np.vstack([worst[:1], front])[:4] for seed in range(6)}
    runs |= {("worst", seed): worst for seed in range(6)}
    summary = Summary(problem, runs, 4)
    (difference,) = summary.differences
    assert (difference.one, difference.p, difference.effect) == ("best", 2 / 2**6, 1.0)
    assert str(difference).startswith("best finds more than worst (p 0.031, effect +1.00")
    assert summary.too_few == ""
    standing = summary.standings[0]
    assert standing.median == pytest.approx(lts.hypervolume(front[:3], point) / lts.hypervolume(front, point))
    assert summary.curves["best"][:, 0].tolist() == [0.0] * 6
    few = Summary(problem, {key: points for key, points in runs.items() if key[1] < 5}, 4)
    assert few.too_few.endswith("at a level of 5%: 1 comparison needs at least 6")
    assert not few.differences[0].differ
    same = Summary(problem, {**runs, **{("worst", seed): runs["best", seed] for seed in range(6)}}, 4)
    assert str(same.differences[0]).startswith("no difference between best and worst is shown (p 1, effect +0.00")


# --- The command ---


def test_command_writes_runs_summary_and_report(tmp_path: Path) -> None:
    table = write_table(tmp_path / "some.csv", list(SPACE)[::2])
    command = ["benchmark", table, "--pool", *ON_OBJECTIVES, "--seeds", 3, "--evaluations", 20, "-O", "out"]
    done = run(*command, "-o", "md", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "with 3 seeds no difference can be shown" in done.stdout
    found = rows(tmp_path / "out/runs.csv")
    assert [row["algorithm"] for row in found] == [name for name in NATIVE for _ in range(60)]
    known = {tuple(values(each).values()) for each in list(SPACE)[::2]}
    assert {(float(row["perplexity"]), float(row["latency_ms"])) for row in found} <= known
    summary = rows(tmp_path / "out/summary.csv")
    assert {row["evaluations"] for row in summary} == {"10", "20"}
    assert len(rows(tmp_path / "out/comparisons.csv")) == 10
    page = (tmp_path / "out/report.html").read_text()
    assert "Which differ" in page
    assert "with 3 seeds no difference can be shown" in page

    # The same again runs nothing; more seeds run what is new; something else is refused.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/runs").iterdir()}
    again = run(*command, "--seeds", 4, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(rows(tmp_path / "out/runs.csv")) == 5 * 4 * 20
    other = run(*command, "--evaluations", 21, cwd=tmp_path)
    assert other.returncode == 2
    assert "out holds another benchmark: evaluations is 20 there and 21 here" in other.stderr


@pytest.mark.alone
def test_a_killed_benchmark_goes_on(tmp_path: Path) -> None:
    table = write_table(tmp_path / "some.csv", list(SPACE)[::2])
    words = ["benchmark", table, "--pool", *ON_OBJECTIVES, "--algorithm", "nsga2", "--seeds", 60, "-O", "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lts", *map(str, words)],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = tmp_path / "out/runs"
    while process.poll() is None and (not folder.is_dir() or len(list(folder.glob("*.csv"))) < 3):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path: path.read_bytes() for path in folder.glob("*.csv")}
    assert 3 <= len(kept) < 60
    problem = open_problem(str(table), OBJECTIVES, pool=True)
    runs = run_benchmark(problem, optimizers_of(["nsga2"]), range(60), 1000, tmp_path / "out")
    assert {path: path.read_bytes() for path in kept} == kept
    assert len(runs) == 60
    whole = run_benchmark(problem, optimizers_of(["nsga2"]), range(60), 1000, tmp_path / "whole")
    assert all((runs[key] == points).all() for key, points in whole.items())
    assert (tmp_path / "out/runs.csv").read_bytes() == (tmp_path / "whole/runs.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["TABLE", *ON_OBJECTIVES], "some.csv has 20 of the 40 architectures that its choices make: --pool"),
        (["TABLE", "--pool"], "name two objectives, as in --objective COLUMN:min"),
        (["TABLE", "--pool", "--objective", "perplexity:min"], "needs two or more different objectives"),
        (["TABLE", "--pool", *ON_OBJECTIVES, "--objective", "x:min"], "some.csv has no column 'x'"),
        (["TABLE", "--pool", *ON_OBJECTIVES, "--algorithm", "nsga3"], "unknown algorithm 'nsga3'"),
        (
            ["TABLE", "--pool", *ON_OBJECTIVES, "--algorithm", "syne-tune:moasha"],
            "is not applicable: it stops trainings",
        ),
        (["TABLE", "--pool", *ON_OBJECTIVES, "--published-encodings"], "a table has no encodings"),
        (["hwgpt:nowhere/s"], "nowhere has no surrogates of HW-GPT-Bench for scale s"),
        (["hwgpt:nowhere"], "'hwgpt:nowhere' names no surrogates; expected hwgpt:FOLDER/SCALE"),
        (["none.csv", *ON_OBJECTIVES], "cannot read none.csv"),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    table = write_table(tmp_path / "some.csv", list(SPACE)[::2])
    done = run("benchmark", *[str(table) if word == "TABLE" else word for word in words], cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "benchmark").exists()


def test_a_damaged_run_is_named(tmp_path: Path) -> None:
    problem = open_problem(str(write_table(tmp_path / "all.csv")), OBJECTIVES, pool=True)
    arguments = (problem, optimizers_of(["random"]), range(1), 5, tmp_path / "out")
    run_benchmark(*arguments)
    path = tmp_path / "out/runs/random.0.csv"
    for content in ("", "algorithm,seed,evaluation\nrandom,0,0,1,nan\n", "x\n1,2\n"):
        path.write_text(content)
        with pytest.raises(UsageError, match=r"random.0.csv is damaged .*remove it, and the same command"):
            run_benchmark(*arguments)
