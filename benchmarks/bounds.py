"""How dense a measured front is at a bound that was given, and how good the best model within the bound is.

Run: python benchmarks/bounds.py function|tables [--seeds 20] [--share 0 --share 0.25]

Every search has 40 trials. ``--share`` is the share of the predicted candidates that is for the bound; with 0, a bound
is nothing but what excludes. Figures are medians over the seeds, with quartiles in brackets.

``function``: gpt2-lts, and costs by a function without noise that is no sum of terms: widths that are no multiple of
128 take 3 % longer. ``tables``: the measured architectures of HW-GPT-S with biases are all that can be measured.

* members: of the front within 5 and within 10 % of the bound;
* gap: the largest factor between neighbors of the front within 15 % of the bound, the bound and the end of these 15 %
  among them, in %: how much larger a member is, at most, than a model of the same range that it is compared with;
* hypervolume: of the front, as the share of the largest of any seed and share;
* regret: by how much in % the first objective of `--pick best` falls behind the best architecture within the bound that
  there is; found by looking at every row of the table, and for the function at every number of layers, width and sum of
  feed-forward widths, on which alone that optimum depends.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from published import HWGPT_COLUMNS, hwgpt_space, hwgpt_table

import lts
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.study import bounds
from lts.study.front import Front
from lts.study.study import Study

SPACE = lts.SearchSpace.load("gpt2-lts")
TERMS = lts.cost_term_names()
WEIGHTS = {"constant": 1.0, "layers": 0.2, "feed_forward": 1e-6, "attention": 1.5e-6, "output": 1e-6, "heads": 0.02}
COEFFICIENTS = np.array([WEIGHTS.get(name, 0.0) for name in TERMS])
SIZE, LATENCY, MEMORY = "decoder_params:max", "latency_ms:min", "peak_memory_mib:min"
# What is searched for, and the bound.
CASES = (
    ([SIZE, LATENCY], "decoder_params>=8e6"),
    ([SIZE, LATENCY, MEMORY], "decoder_params>=8e6"),
    ([SIZE, LATENCY], "latency_ms<=60"),
    ([SIZE, LATENCY, MEMORY], "latency_ms<=60"),
    ([SIZE, LATENCY], "peak_memory_mib<=200"),
    ([SIZE], "latency_ms<=60"),
)


def costs(architectures: Sequence[lts.Architecture]) -> dict[str, Any]:
    """Latency and memory of architectures, (n,) each."""
    slow = np.where(np.array([a.d_model for a in architectures]) % 128, 1.03, 1.0)
    memory = [30 + 4e-6 * lts.total_params(a) + 1e-3 * a.d_model + 2e-4 * max(a.d_ff) for a in architectures]
    return {"latency_ms": lts.cost_terms(architectures) @ COEFFICIENTS * slow, "peak_memory_mib": np.array(memory)}


def cost(architecture: lts.Architecture) -> dict[str, float]:
    return {name: float(value[0]) for name, value in costs([architecture]).items()}


def optima() -> Iterator[lts.Architecture]:
    """One of those with the least cost of every number of layers, width and sum of feed-forward widths."""
    for n_layer in range(2, 17):
        steps = np.arange(4 * n_layer, 64 * n_layer + 1)
        for d_model in range(128, 1025, 64):
            for total in steps:
                d_ff = [64 * int((total + i) // n_layer) for i in range(n_layer)]
                yield lts.Architecture(
                    "gpt2",
                    vocab_size=50257,
                    n_positions=1024,
                    d_model=d_model,
                    n_head=[2] * n_layer,
                    d_ff=d_ff,
                    n_layer=n_layer,
                )


@functools.cache
def best_of_function(bound: str) -> float:
    """The largest decoder within a bound."""
    constraint = lts.parse_constraint(bound)
    architectures = list(optima())
    within = constraint.holds
    values = costs(architectures)[constraint.name]
    return max(lts.decoder_params(a) for a, value in zip(architectures, values, strict=True) if within(float(value)))


class Table(FunctionEvaluator):
    """Rows of a table as the only architectures there are."""

    def __init__(self, rows: Mapping[str, dict[str, float]], architectures: list[lts.Architecture]) -> None:
        super().__init__(lambda architecture: rows[architecture.to_json()], name="table")
        self._known = architectures

    @property
    def architectures(self) -> list[lts.Architecture]:  # type: ignore[override]
        return self._known


def density(front: Front, bound: lts.Constraint) -> tuple[int, int, float]:
    """Members within 5 and 10 %, and the largest gap in the first 15 %."""
    values = np.array([trial.values[bound.name] for trial in front])
    away = values / bound.bound if bound.relation == ">=" else bound.bound / values
    inside = np.sort(away[(away >= 1) & (away <= 1.15)])
    gaps = np.diff(np.log(np.concatenate([[1.0], inside, [1.15]])))
    return int((inside <= 1.05).sum()), int((inside <= 1.10).sum()), 100 * float(np.expm1(gaps.max()))


def compare(
    name: str,
    space: lts.SearchSpace,
    evaluator: Evaluator,
    objectives: list[str],
    bound: str,
    best: float | None,
    arguments: argparse.Namespace,
) -> None:
    """Print a row for every share."""
    fronts: dict[float, list[Front]] = {}
    for share in arguments.share:
        bounds.SHARE = share
        fronts[share] = []
        for seed in range(arguments.seeds):
            with Study(
                space, evaluator, objectives=objectives, constraints=[bound], seed=seed, surrogate="additive"
            ) as study:
                study.run(trials=40)
                fronts[share].append(study.front())
    every = np.vstack([front.points() for each in fronts.values() for front in each if len(front)])
    low, high = every.min(axis=0), every.max(axis=0)
    side = np.where(high > low, high - low, 1.0)
    reference = np.full(len(low), 1.1)
    volumes = {
        share: np.array([lts.hypervolume((f.points() - low) / side, reference) if len(f) else 0.0 for f in each])
        for share, each in fronts.items()
    }
    most = max(each.max() for each in volumes.values())
    for share, each in fronts.items():
        figures = [*np.array([density(front, lts.parse_constraint(bound)) for front in each]).T, volumes[share] / most]
        if best is not None:
            figures.append(np.array([100 * (1 + f.points()[0, 0] / best) if len(f) else 100.0 for f in each]))
        names = " ".join(text.partition(":")[0] for text in objectives)
        print(f"| {name} {names} | {bound} | {share:g} | {' | '.join(map(quartiles, figures))} |", flush=True)


def quartiles(values: Any) -> str:
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3g} ({low:.3g} to {high:.3g})"


def functions(arguments: argparse.Namespace) -> None:
    for i, (objectives, bound) in enumerate(CASES):
        if arguments.case is None or i in arguments.case:
            best = None if bound.startswith("decoder_params") else best_of_function(bound)
            compare("function", SPACE, FunctionEvaluator(cost), objectives, bound, best, arguments)


def tables(arguments: argparse.Namespace) -> None:
    space = hwgpt_space()
    every = [(architecture, row) for architecture, row in hwgpt_table() if space.contains(architecture)]
    architectures = [architecture for architecture, _ in every]
    sizes = np.array([lts.decoder_params(architecture) for architecture in architectures])
    for device in ("A100", "Xeon Silver"):
        values = np.array([row[HWGPT_COLUMNS[device]] for _, row in every])
        rows = {a.to_json(): {"latency_ms": float(v)} for a, v in zip(architectures, values, strict=True)}
        members = lts.nondominated(np.column_stack([-sizes, values]))
        for column, relation, known in (("decoder_params", ">=", sizes), ("latency_ms", "<=", values)):
            bound = f"{column}{relation}{float(np.median(known[members])):.4g}"
            within = lts.parse_constraint(bound).holds
            best = float(max(s for s, v in zip(sizes, known, strict=True) if within(float(v))))
            table = Table(rows, architectures)
            compare(device, space, table, [SIZE, LATENCY], bound, best if relation == "<=" else None, arguments)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["function", "tables"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--share", type=float, action="append")
    parser.add_argument("--width", type=float, default=bounds.WIDTH)
    parser.add_argument("--case", type=int, action="append")
    arguments = parser.parse_args()
    arguments.share = arguments.share or [0.0, bounds.SHARE]
    bounds.WIDTH = arguments.width
    {"function": functions, "tables": tables}[arguments.what](arguments)


if __name__ == "__main__":
    main()
