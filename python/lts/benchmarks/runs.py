"""Runs of a benchmark, kept in a folder: one file each, so that a killed benchmark goes on where it was."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lts._core import __version__
from lts.benchmarks.optimizers import Optimizer
from lts.benchmarks.problem import BenchmarkProblem
from lts.errors import UsageError
from lts.system.files import make_directory, replace_file
from lts.system.outside import parse_json, read_bytes
from lts.system.progress import Observer, Work, unobserved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MOST_EVALUATIONS, MOST_SEEDS = 1_000_000, 1000
_ABOUT, _RUNS, _ALL = "benchmark.json", "runs", "runs.csv"
_HEAD = ("algorithm", "seed", "evaluation")

Runs = dict[tuple[str, int], "Array"]
"""Objectives by algorithm and seed, in the order of evaluation, minimized: each (n, n_objectives)."""


def run_benchmark(
    problem: BenchmarkProblem,
    optimizers: Sequence[Optimizer],
    seeds: Sequence[int],
    budget: int,
    folder: Path,
    observe: Observer = unobserved,
) -> Runs:
    """Run every algorithm with every seed, but for those runs that the folder has already.

    ``runs.csv`` there has all of them at the end, a row for each evaluation, with values in the directions of the
    objectives. All seeds of an algorithm come before the next algorithm.

    Raises
    ------
    UsageError
        For a folder with another benchmark, a file in it that is damaged, or one that cannot be written.
    """
    make_directory(folder / _RUNS)
    _claim(folder, problem, budget)
    runs: Runs = {}
    wanted = [(optimizer, seed) for optimizer in optimizers for seed in seeds]
    for done, (optimizer, seed) in enumerate(wanted):
        observe(Work("benchmark", done, len(wanted), f"{optimizer.name}, seed {seed}"))
        path = folder / _RUNS / f"{optimizer.name.replace(':', '-')}.{seed}.csv"
        if path.exists():
            points = _read(path, problem, budget)
        else:
            points = optimizer.run(problem, budget, seed)
            _write(path, _rows(problem, optimizer.name, seed, points, heading=True))
        runs[optimizer.name, seed] = points
    observe(Work("benchmark", len(wanted), len(wanted)))
    texts = [_rows(problem, *key, points, heading=not i) for i, (key, points) in enumerate(runs.items())]
    _write(folder / _ALL, "".join(texts))
    return runs


def write_rows(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a CSV file whole or not at all. Raises `UsageError` when it cannot be written."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([head, *rows])
    _write(path, text.getvalue())


def _rows(problem: BenchmarkProblem, name: str, seed: int, points: Array, *, heading: bool) -> str:
    values = points * problem.signs + 0.0  # no negative zeros
    lines = [",".join([*_HEAD, *(o.name for o in problem.objectives)])] if heading else []
    lines += [f"{name},{seed},{i},{','.join(map(repr, row))}" for i, row in enumerate(values.tolist())]
    return "".join(f"{line}\n" for line in lines)


def _write(path: Path, text: str) -> None:
    try:
        replace_file(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None


def _claim(folder: Path, problem: BenchmarkProblem, budget: int) -> None:
    """Write what the folder's runs are of, or check that it is this."""
    about = {
        "schema": 1,
        "problem": problem.name,
        "digest": problem.digest,
        "objectives": [str(objective) for objective in problem.objectives],
        "evaluations": budget,
    }
    path = folder / _ABOUT
    if not path.exists():
        _write(path, json.dumps({**about, "lts_version": __version__}, indent=2) + "\n")
        return
    try:
        known = parse_json(read_bytes(path).decode())
        differing = [name for name in about if known.get(name) != about[name]]
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is no description of a benchmark: {error}") from None
    if differing:
        raise UsageError(
            f"{folder} holds another benchmark: {differing[0]} is {known.get(differing[0])} there and "
            f"{about[differing[0]]} here; use another --output-dir"
        )


def _read(path: Path, problem: BenchmarkProblem, budget: int) -> Array:
    """The points of an earlier run, checked."""
    try:
        lines = read_bytes(path).decode().splitlines()[1:]
        points = np.array([[float(cell) for cell in line.split(",")[len(_HEAD) :]] for line in lines])
        if points.ndim != 2 or points.shape[1] != len(problem.objectives) or not 0 < len(points) <= budget:
            raise ValueError("its rows are not those of a run")
        if not np.isfinite(points).all():
            raise ValueError("a value is not finite")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error}); remove it, and the same command runs it again") from None
    return np.asarray(points * problem.signs)
