"""Fronts from few measurements: how well costs are predicted, and how good the measured front is.

Run: python benchmarks/few_measurements.py tables|coverage|transfer|replay|errors|host [--seeds 20]

``tables``: surrogates fitted to 15 random architectures of the published device tables of LiteTransformerSearch, and to
50 of HW-GPT-S, predict the others; median of the mean absolute percentage error over 200 splits, and how many of the
90 % intervals hold the measurement.

``coverage``: how many of the 90 % intervals hold the measurement, and how wide they are, for fits to 4 to 50 random
architectures of these tables; the same for fits to one device of HW-GPT-S that start from 50 measurements of another.

``transfer``: from 50 measurements of one device of HW-GPT-S to another with 5 or 10.

``replay``: searches among 5,000 measured architectures of HW-GPT-S (Sukthanker et al. 2024), quality by decoder
parameters, which is all that a search knows; fronts are judged by measured perplexity and latency, as the share of the
hypervolume of the front of all 5,000 up to the worst perplexity and latency among them. The algorithm as published and
NSGA-II propose architectures of the whole space and get the nearest of the 5,000 that was not measured yet.

``errors``: 40 architectures of gpt2-any-shapes on this machine with ONNX Runtime, one thread, in each of --precisions,
measured in three processes each, interleaved; every value is their median. Surrogates fitted to 20 of them predict the
others: mean absolute percentage error, its median over the splits. Beside it what no sum over layers can predict: how
much processes differ, and by how much costs differ, in the mean, when ten of the models have their layers in reverse
order. Exits with 1 where latency is predicted with more than 1.7 % or peak memory with more than 0.2 % in any of the
precisions.

``host``: the space gpt2-any-shapes on this machine with ONNX Runtime: 40 measurements against 600 of the published
algorithm. Both fronts are measured again, interleaved; see --objectives for memory as a third objective.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from interleaved import Values, described, measured
from published import HWGPT_COLUMNS, hwgpt_space, hwgpt_table, lts_table

import lts
from lts.measure.opening import open_evaluator
from lts.measure.trial import Trial
from lts.study.cost_model import Additive
from lts.study.front import front_of
from lts.study.proposals import Proposer
from lts.study.spread import center, spread_of
from lts.study.study import Study

OBJECTIVES = [lts.parse_objective("decoder_params:max"), lts.parse_objective("latency_ms:min")]


def quartiles(values: Sequence[float], form: str = "{:.3f}") -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{form.format(middle)} ({form.format(low)} to {form.format(high)})"


# --- Predictions ---


Rows = Sequence[tuple[Any, float]]


def split_errors(rows: Rows, n: int, splits: int) -> tuple[list[float], float]:
    """Mean absolute percentage errors of every split, and the share of intervals that hold the measurement."""
    values = np.array([value for _, value in rows])
    errors, held = [], []
    for chosen, others in split(len(rows), n, splits):
        surrogate = lts.Surrogate.fit([rows[i][0] for i in chosen], values[chosen])
        rest = [rows[i][0] for i in others]
        errors.append(100 * float(np.mean(np.abs(surrogate.predict(rest) / values[others] - 1))))
        low, high = surrogate.interval(rest).T
        held.append(float(np.mean((low <= values[others]) & (values[others] <= high))))
    return errors, statistics.fmean(held)


def split(n_rows: int, n: int, splits: int, most: int = 1000) -> Iterator[tuple[Any, Any]]:
    """Indices of `n` random rows, and of at most so many others."""
    random = np.random.default_rng(0)
    for _ in range(splits):
        order = random.permutation(n_rows)
        yield order[:n], order[n : n + most]


def device_tables() -> dict[str, Rows]:
    """Every column of the published device tables, by name."""
    found: dict[str, Rows] = {}
    for name in ("arm", "corei7"):
        for column in ("latency", "memory"):
            found[f"{name} {column}"] = [(a, row[column]) for a, row in lts_table(name)]
    hwgpt = hwgpt_table()
    for name, column in HWGPT_COLUMNS.items():
        found[f"HW-GPT-S {name}"] = [(a, row[column]) for a, row in hwgpt]
    return found


def coverage_of(rows: Rows, n: int, splits: int, source: Rows | None = None) -> tuple[float, float]:
    """The share of 90 % intervals that hold the measurement, and the median of their half-widths over the prediction.

    With `source`, the same architectures on another device, fits start from 50 others of its measurements.
    """
    values = np.array([value for _, value in rows])
    n_known = 0 if source is None else 50
    held, widths = [], []
    for chosen, others in split(len(rows), n + n_known, splits, most=200):
        prior = None
        if source is not None:
            known = [source[i] for i in chosen[n:]]
            prior = lts.Surrogate.fit([a for a, _ in known], [value for _, value in known]).coefficients
        fitted = lts.Surrogate.fit([rows[i][0] for i in chosen[:n]], values[chosen[:n]], prior=prior)
        rest = [rows[i][0] for i in others]
        low, high = fitted.interval(rest).T
        held.append(float(np.mean((low <= values[others]) & (values[others] <= high))))
        widths.append(float(np.median(high / fitted.predict(rest) - 1)))
    return statistics.fmean(held), statistics.median(widths)


Covered = list[tuple[float, float]]


def covered(tables: dict[str, Rows], n: int, splits: int) -> tuple[Covered, Covered]:
    """`coverage_of` every table, and of every device of HW-GPT-S from every other one."""
    latency = [tables[f"HW-GPT-S {device}"] for device in ("A100", "RTX 2080", "Xeon Silver", "AMD 7452")]
    pairs = [(goal, source) for goal in latency for source in latency if goal is not source]
    return (
        [coverage_of(rows, n, splits) for rows in tables.values() if len(rows) >= n + 10],
        [coverage_of(goal, n, max(1, splits // 2), source) for goal, source in pairs],
    )


def coverage(splits: int) -> None:
    """Intervals by the number of measurements, in the mean over the tables and from the worst to the best."""
    tables = device_tables()
    print("| n | hold | half-width | with a prior, hold | half-width |\n|---|---|---|---|---|")
    for n in (4, 5, 6, 8, 10, 12, 14, 15, 20, 30, 50):
        cells = []
        for found in covered(tables, n, splits):
            held = [share for share, _ in found]
            cells.append(f"{statistics.fmean(held):.1%} ({min(held):.1%} to {max(held):.1%})")
            cells.append(f"{statistics.median(width for _, width in found):.1%}")
        print(f"| {n} | {' | '.join(cells)} |", flush=True)


def tables(splits: int) -> None:
    print("| table | n | error, % (quartiles over splits) | intervals of 90 % that hold |\n|---|---|---|---|")
    for name, rows in device_tables().items():
        n = 50 if name.startswith("HW-GPT-S") else 15
        errors, held = split_errors(rows, n, splits)
        print(f"| {name} | {n} | {quartiles(errors, '{:.2f}')} | {held:.1%} |", flush=True)


def transfer(splits: int) -> None:
    """From 50 measurements of one device to another with a few: started from its coefficients, and without."""
    print("| from | to | n | error, %, started from the other device | without |\n|---|---|---|---|---|")
    rows = hwgpt_table()
    for source, goal, n in [
        (source, goal, n)
        for source, goal in (("RTX 2080", "A100"), ("AMD 7452", "Xeon Silver"), ("Xeon Silver", "AMD 7452"))
        for n in (5, 10)
    ]:
        random = np.random.default_rng(0)
        before = np.array([row[HWGPT_COLUMNS[source]] for _, row in rows])
        after = np.array([row[HWGPT_COLUMNS[goal]] for _, row in rows])
        errors: list[list[float]] = [[], []]
        for _ in range(splits):
            order = random.permutation(len(rows))
            first, chosen, others = order[:50], order[50 : 50 + n], order[60:1060]
            known = lts.Surrogate.fit([rows[i][0] for i in first], before[first])
            rest = [rows[i][0] for i in others]
            for i, prior in enumerate((known.coefficients, None)):
                fitted = lts.Surrogate.fit([rows[k][0] for k in chosen], after[chosen], prior=prior)
                errors[i].append(100 * float(np.mean(np.abs(fitted.predict(rest) / after[others] - 1))))
        print(f"| {source} | {goal} | {n} | {quartiles(errors[0], '{:.2f}')} | {quartiles(errors[1], '{:.2f}')} |")


# --- Replaying ---


class Replay:
    """One device of HW-GPT-S."""

    def __init__(self, rows: list[tuple[Any, dict[str, float]]], column: str) -> None:
        self.architectures = [a for a, _ in rows]
        self.latency = np.array([row[column] for _, row in rows])
        self.perplexity = np.array([row["ppl"] for _, row in rows])
        self.index = {a.to_json(): i for i, a in enumerate(self.architectures)}
        self.params = np.array([lts.decoder_params(a) for a in self.architectures], dtype=np.float64)
        points = np.column_stack([self.perplexity, self.latency])
        self.reference = points.max(axis=0)
        self.best = lts.hypervolume(points, self.reference)

    def share(self, chosen: Sequence[int]) -> float:
        """Hypervolume of some architectures, as a share of that of all."""
        points = np.column_stack([self.perplexity[list(chosen)], self.latency[list(chosen)]])
        return lts.hypervolume(points, self.reference) / self.best

    def front(self, latency: Any, chosen: Sequence[int]) -> list[int]:
        """The front of some architectures: those with the most parameters for their latency."""
        points = np.column_stack([-self.params[list(chosen)], latency])
        return [chosen[i] for i in lts.nondominated(points)]

    def trial(self, i: int, key: int, predicted: Any = None) -> Trial:
        values = {"decoder_params": float(self.params[i]), "latency_ms": float(self.latency[i])}
        return Trial(key, "complete", self.architectures[i], values=values, feasible=True, predicted=predicted or {})


def predicted_front(replay: Replay, seed: int, n: int) -> tuple[float, float]:
    """Share of the measured front of n measurements, and of the whole predicted front."""
    proposer = Proposer(
        lts.SearchSpace.load("hw-gpt-tiny"),  # not used: candidates come from the pool
        OBJECTIVES,
        [],
        ["latency_ms"],
        Additive(),
        pool=replay.architectures,
        seed=seed,
    )
    trials: list[Trial] = []
    while len(trials) < n:
        batch = proposer.propose(trials, n)
        if not batch:
            break
        for proposal in batch:
            i = replay.index[proposal.architecture.to_json()]
            trials.append(replay.trial(i, len(trials), proposal.predicted))
    model, _ = Additive().fit(
        "latency_ms",
        [t.architecture for t in trials],
        np.array([t.values["latency_ms"] for t in trials]),
        np.zeros(len(trials)),
    )
    assert model is not None
    every = list(range(len(replay.architectures)))
    whole = replay.front(model.predict(replay.architectures), every)
    return replay.share([replay.index[t.architecture.to_json()] for t in trials]), replay.share(whole)


def features(architecture: Any) -> list[float]:
    d = architecture.d_model
    layers = list(zip(architecture.n_head, architecture.d_ff, strict=True))
    layers += [(0, 0)] * (12 - len(layers))
    return [4 * d / 192, 4.0 * architecture.n_layer, *(x for h, f in layers for x in (h / 4, f / d))]


def proposed_by(replay: Replay, algorithm: str, seed: int, budgets: Sequence[int], known: Any) -> list[float]:
    """Shares that an algorithm reaches with each number of measurements in `budgets`."""
    space = hwgpt_space(min_ff_ratio=2.0)
    options = {"population_size": 20, "n_parents": 5, "n_mutants": 8, "n_crossovers": 8} if algorithm == "lts" else {}
    if algorithm == "nsga2":
        options = {"population_size": 20}
    if max(budgets) >= 300:
        options = {}
    search = lts.Search(space, ["decoder_params:max", "latency_ms:min"], algorithm=algorithm, seed=seed, **options)
    free = np.ones(len(replay.architectures), dtype=bool)
    chosen: list[int] = []
    while len(chosen) < max(budgets):
        (candidate,) = search.ask(1)
        distance = np.abs(known - np.array(features(candidate.architecture))).sum(axis=1)
        distance[~free] = np.inf
        i = int(np.argmin(distance))
        free[i] = False
        chosen.append(i)
        search.tell(candidate.id, {"decoder_params": replay.params[i], "latency_ms": replay.latency[i]})
    return [replay.share(chosen[:n]) for n in budgets]


def replay(seeds: int, devices: Sequence[str], *, peers: bool) -> None:
    rows = hwgpt_table()
    known = np.array([features(a) for a, _ in rows])
    print("| device | search | measurements | measured front | whole predicted front |\n|---|---|---|---|---|")
    for device in devices:
        table = Replay(rows, HWGPT_COLUMNS[device])
        start = time.perf_counter()
        found = [predicted_front(table, seed, 40) for seed in range(seeds)]
        seconds = (time.perf_counter() - start) / seeds
        print(
            f"| {device} | ours | 40 | {quartiles([f[0] for f in found])} | {quartiles([f[1] for f in found])} |"
            f" {seconds:.1f} s",
            flush=True,
        )
        if not peers:
            continue
        random = np.random.default_rng(0)
        shares = [table.share(random.choice(len(rows), 40, replace=False).tolist()) for _ in range(seeds)]
        print(f"| {device} | random | 40 | {quartiles(shares)} | |")
        for algorithm, name in (("lts", "as published"), ("nsga2", "NSGA-II")):
            few = [proposed_by(table, algorithm, seed, [40], known) for seed in range(seeds)]
            many = [proposed_by(table, algorithm, seed, [400, 2000], known) for seed in range(seeds)]
            for n, column in ((40, [f[0] for f in few]), (400, [m[0] for m in many]), (2000, [m[1] for m in many])):
                print(f"| {device} | {name} | {n} | {quartiles(column)} | |", flush=True)


# --- This machine ---

GOALS = {"latency_ms": 1.7, "peak_memory_mib": 0.2}  # % of error
PREDICTED = ("latency_ms", "decode_ms_per_token", "request_ms", "peak_memory_mib")
N_FITTED, N_TURNED = 20, 10


def upside_down(architecture: lts.Architecture) -> lts.Architecture:
    """The same with its layers in reverse order: every count is the same."""
    record = architecture.to_dict()
    turned = {key: record[key][::-1] for key in ("n_head", "n_kv_head", "d_ff") if isinstance(record.get(key), list)}
    return lts.Architecture.from_dict({**record, **turned})


def on_this_machine(precision: str, n: int, rounds: int) -> tuple[list[lts.Architecture], list[Values], list[Values]]:
    """Random architectures of all sizes, with what processes say of them, and of the first with two orders of layers in
    reverse order."""
    architectures = lts.SearchSpace.load("gpt2-any-shapes").sample(n, seed=1, method="choices")
    turned = [a for each in architectures if (a := upside_down(each)) != each][:N_TURNED]
    with open_evaluator("host", precision=precision, threads=1) as evaluator:
        print(described(evaluator), flush=True)
        found = measured(evaluator, [*architectures, *turned], PREDICTED, rounds)
    return architectures, found[:n], found[n:]


def errors_of(
    architectures: Sequence[lts.Architecture], found: Sequence[Values], name: str, splits: int
) -> list[float]:
    """Errors of every split in %, of the model that a study fits."""
    values = np.array([center(each[name]) for each in found])
    errors = []
    for chosen, others in split(len(found), N_FITTED, splits):
        fitted, _ = Additive().fit(name, [architectures[i] for i in chosen], values[chosen], np.zeros(N_FITTED))
        if fitted is None:
            return [math.inf]
        predicted = fitted.predict([architectures[i] for i in others])
        errors.append(100 * float(np.mean(np.abs(predicted / values[others] - 1))))
    return errors


def errors(precisions: Sequence[str], n: int, rounds: int, splits: int, save: Path | None) -> None:
    missed = False
    rows = [
        "| precision | cost | error, % (quartiles over splits) | processes differ by, % | layers reversed, % |",
        "|---|---|---|---|---|",
    ]
    for precision in precisions:
        architectures, found, turned = on_this_machine(precision, n, rounds)
        if save is not None:
            with save.open("a", encoding="utf-8") as file:
                for architecture, values in zip(architectures, found, strict=True):
                    record = {"precision": precision, "architecture": architecture.to_dict(), "values": values}
                    file.write(json.dumps(record) + "\n")
        first = [i for i, each in enumerate(architectures) if upside_down(each) != each]
        for name in PREDICTED:
            error = errors_of(architectures, found, name, splits)
            trials = [
                Trial(i, "complete", a, rounds={name: values[name]})
                for i, (a, values) in enumerate(zip(architectures, found, strict=True))
            ]
            spread = spread_of(trials, name)
            order = [abs(center(v[name]) / center(found[i][name]) - 1) for i, v in zip(first, turned, strict=False)]
            rows.append(
                f"| {precision} | {name} | {quartiles(error, '{:.2f}')} | "
                f"{'' if spread is None else f'{100 * spread.relative:.2f}'} | {100 * statistics.fmean(order):.2f} |"
            )
            missed |= statistics.median(error) > GOALS.get(name, math.inf)
    print("\n".join(rows))
    sys.exit(missed)


def host(objectives: list[str], trials: int, timeout: float) -> None:
    space = lts.SearchSpace.load("gpt2-any-shapes")
    fronts, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for surrogate, n in (("additive", 40), ("none", trials)):
            with Study(
                space,
                open_evaluator("host"),
                objectives=objectives,
                surrogate=surrogate,
                store=Path(folder) / f"{surrogate}.db",
            ) as study:
                start = time.perf_counter()
                study.run(trials=n, timeout=timeout)
                seconds.append(time.perf_counter() - start)
                fronts.append(study.front().trials)
                print(
                    f"{surrogate}: {study.n_finished} trials in {seconds[-1]:.1f} s, front {len(fronts[-1])}",
                    flush=True,
                )
    again: list[list[Trial]] = [[], []]
    parsed = [lts.parse_objective(text) for text in objectives]
    with open_evaluator("host") as evaluator:
        columns = [o.name for o in parsed]
        queue = [(side, t) for side, front in enumerate(fronts) for t in front]
        order = np.random.default_rng(0).permutation(len(queue))
        for i in order:  # interleaved, so that both sides have the same machine
            side, trial = queue[i]
            found = evaluator.evaluate(trial.architecture, columns)
            again[side].append(
                Trial(trial.id, "complete", trial.architecture, values=dict(found.values), feasible=True)
            )
    fronts = [front_of(side, parsed, []).trials for side in again]
    signs = np.array([-1.0 if o.direction == "max" else 1.0 for o in parsed])
    points = [np.array([[t.values[c] for c in columns] for t in side]) * signs for side in again]
    every = np.vstack(points)
    low, high = every.min(axis=0), every.max(axis=0)
    reference = np.full(len(columns), 1.1)
    volumes = [lts.hypervolume((p - low) / (high - low), reference) for p in points]
    print(
        f"{', '.join(objectives)}: hypervolume of 40 measurements over {trials}: {volumes[0] / volumes[1]:.4f}, "
        f"in {seconds[0] / seconds[1]:.3f} of the time"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("tables", "coverage", "transfer", "replay", "errors", "host"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--devices", default="A100,Xeon Silver,RTX 2080,AMD 7452")
    parser.add_argument("--no-peers", action="store_true", help="replay without the other algorithms")
    parser.add_argument("--objectives", default="decoder_params:max,latency_ms:min")
    parser.add_argument("--trials", type=int, default=600, help="measurements of the published algorithm")
    parser.add_argument("--timeout", type=float, default=3600.0)
    parser.add_argument("--precisions", default="float32,int8,int4", help="of errors")
    parser.add_argument("--models", type=int, default=40, help="architectures of errors, more than 20")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each of them")
    parser.add_argument("--save", type=Path, help="append what errors measures to this file, as JSON Lines")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[], None]] = {
        "tables": lambda: tables(arguments.splits),
        "coverage": lambda: coverage(arguments.splits),
        "transfer": lambda: transfer(arguments.splits),
        "replay": lambda: replay(arguments.seeds, arguments.devices.split(","), peers=not arguments.no_peers),
        "errors": lambda: errors(
            arguments.precisions.split(","), arguments.models, arguments.rounds, arguments.splits, arguments.save
        ),
        "host": lambda: host(arguments.objectives.split(","), arguments.trials, arguments.timeout),
    }
    parts[arguments.part]()


if __name__ == "__main__":
    main()
