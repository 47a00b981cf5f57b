"""Hypervolume, non-dominated filtering and sorting against moocore (C), and insertions into the archive.

Every result is checked against moocore's before anything is timed. Times are the minimum over repeats that alternate
between the two, in one run: ``python benchmarks/bench_pareto.py``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import moocore
import numpy as np

import lts

Points = np.ndarray
REPEATS = 15


def cube(rng: np.random.Generator, n: int, m: int) -> Points:
    """Uniform: few are non-dominated."""
    return rng.random((n, m))


def sphere(rng: np.random.Generator, n: int, m: int) -> Points:
    """On a sphere: all are non-dominated."""
    directions = np.abs(rng.normal(size=(n, m)))
    return 1.0 - directions / np.linalg.norm(directions, axis=1, keepdims=True)


def seconds(function: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def interleaved(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[float, float]:
    times = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    return min(t[0] for t in times), min(t[1] for t in times)


def row(what: str, m: int, n: int, shape: str, ours: float, theirs: float) -> None:
    print(f"{what:<14} {m:>2} {n:>6} {shape:<7} {ours * 1e6:>11.1f} {theirs * 1e6:>11.1f} {theirs / ours:>8.2f}")


def bench_hypervolume(points: Points, m: int, n: int, shape: str, repeats: int) -> None:
    reference = np.full(m, 1.1)
    ours, theirs = lts.hypervolume(points, reference), moocore.hypervolume(points, ref=reference)
    if abs(ours - theirs) > 1e-12 * theirs:
        raise SystemExit(f"hypervolume differs: {ours!r}, moocore {theirs!r} ({m} objectives, {n} points)")
    times = interleaved(
        lambda: lts.hypervolume(points, reference), lambda: moocore.hypervolume(points, ref=reference), repeats
    )
    row("hypervolume", m, n, shape, *times)


def bench_filter(points: Points, m: int, n: int, shape: str, repeats: int) -> None:
    if lts.nondominated(points).tolist() != np.flatnonzero(moocore.is_nondominated(points)).tolist():
        raise SystemExit(f"nondominated differs from moocore.is_nondominated ({m} objectives, {n} points)")
    times = interleaved(lambda: lts.nondominated(points), lambda: moocore.is_nondominated(points), repeats)
    row("non-dominated", m, n, shape, *times)


def bench_sort(points: Points, m: int, n: int, shape: str, repeats: int) -> None:
    if lts.nondominated_sort(points).tolist() != moocore.pareto_rank(points).tolist():
        raise SystemExit(f"nondominated_sort differs from moocore.pareto_rank ({m} objectives, {n} points)")
    times = interleaved(lambda: lts.nondominated_sort(points), lambda: moocore.pareto_rank(points), repeats)
    row("sort", m, n, shape, *times)


def bench_archive(rng: np.random.Generator, m: int, n: int, depth: float) -> None:
    """A stream of points `depth` deep behind a sphere; the deeper, the more of them are dominated."""
    points = sphere(rng, n, m) + depth * rng.random((n, 1))
    archive = lts.ParetoArchive(m)
    elapsed = seconds(lambda: archive.insert(points))
    if archive.ids.tolist() != np.flatnonzero(moocore.is_nondominated(points)).tolist():
        raise SystemExit(f"the archive differs from moocore.is_nondominated ({m} objectives, {n} points)")
    print(f"{m:>2} {n:>8} {depth:>6} {len(archive):>6} {elapsed / n * 1e9:>9.0f} {n / elapsed / 1e6:>9.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats and short streams: only the checks matter")
    quick = parser.parse_args().quick
    repeats = 2 if quick else REPEATS
    rng = np.random.default_rng(0)

    print(f"lts {lts.__version__}, moocore {moocore.__version__}; ratio above 1: lts is faster\n")
    print(f"{'what':<14} {'m':>2} {'n':>6} {'points':<7} {'lts us':>11} {'moocore us':>11} {'ratio':>8}")
    for bench in (bench_hypervolume, bench_filter, bench_sort):
        for m in (2, 3, 4):
            for n in (100, 1000):
                for make in (cube, sphere):
                    bench(make(rng, n, m), m, n, make.__name__, repeats)

    print(f"\narchive, one stream\n{'m':>2} {'n':>8} {'depth':>6} {'front':>6} {'ns/point':>9} {'M/s':>9}")
    n = 20_000 if quick else 1_000_000
    for m, depth in ((2, 1.0), (2, 0.01), (3, 1.0), (3, 0.1), (4, 1.0)):
        bench_archive(rng, m, n, depth)


if __name__ == "__main__":
    main()
