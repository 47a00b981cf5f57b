"""The headline of LiteTransformerSearch on this machine: how much faster and smaller than a usual 16-layer model.

Run: python benchmarks/headline.py [--backbone NAME] [--logits all|last] [--time prompt|request]
     [--precision float32|int8] [--trials 26] [--rounds 5] [--save DIR]
     python benchmarks/headline.py --eager [--backbone NAME] [--save DIR]
     python benchmarks/headline.py --tables

The baselines are those of the paper (arXiv 2203.02094): 16 equal layers, d_model 512, 8 heads and d_ff 2,048; of
Transformer-XL with d_embed 512, div_val 4 and the cutoffs of WikiText-103. A cell of the table is a search in the space
of the paper for the least time and the least peak memory, with at least as many decoder parameters as the baseline and
at most 1.5 times as many: a prompt of 192 tokens (``prompt``), or with 32 generated tokens after it (``request``),
batch 1, one thread, ONNX Runtime. The fastest and the smallest member of its front are then measured again beside the
baseline, in turns; the figures are how many times faster and smaller they are, with 95 % intervals.

``--eager`` instead runs the models of `lts.networks` in eager PyTorch, as the paper did, in float32 with logits at all
positions: the same search for the least time, and what each layer of width 16 takes for one token in PyTorch and in
ONNX Runtime, which is next to nothing but overhead. It times processor time. Needs PyTorch.

``--tables`` measures nothing: it fits the costs of the models of the paper (`lts.Surrogate`), GPT-2 on an Arm
Cortex-A72 and Transformer-XL on an Intel Core i7, predicts what the baseline would have taken there, with a 90 %
interval, and divides that by the published cost of the best model that has at least as many decoder parameters.

Each option that is left out goes through all its values. `--save` keeps searches and cells in a folder; what is there
is not measured again, so that the table can be made in parts. Prints all cells of this run, and what the paper
published.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from interleaved import Ratio, described, measured, ratios
from published import lts_table

import lts
from lts.measure.function import FunctionEvaluator
from lts.measure.opening import open_evaluator
from lts.study.front import Front
from lts.study.study import Study

BACKBONES = {
    "gpt2": (
        "gpt2-lts",
        lts.Architecture("gpt2", 50257, 1024, 512, n_head=[8] * 16, d_ff=[2048] * 16),
    ),
    "transformer_xl": (
        "transformer-xl-lts",
        lts.Architecture(
            "transformer_xl",
            267735,
            192,
            512,
            n_head=[8] * 16,
            d_ff=[2048] * 16,
            d_embed=512,
            div_val=4,
            cutoffs=[19997, 39997, 199997, 267735],
        ),
    ),
}
PUBLISHED = "GPT-2 up to 1.5, Transformer-XL up to 2.5 times faster, 1.2 and 2.0 times smaller"
COLUMNS = {"prompt": "latency_ms", "request": "request_ms"}
MEMORY = "peak_memory_mib"
N_PROMPT, N_GEN = 192, 32
LARGEST = 1.5  # decoder parameters of a candidate over those of the baseline, at most
EAGER_RUNS = 7


def bounds(baseline: lts.Architecture) -> list[str]:
    """Constraints: at least as large as the baseline, and not so large that nobody compares them."""
    n = lts.decoder_params(baseline)
    return [f"decoder_params>={n}", f"decoder_params<={int(LARGEST * n)}"]


def member(front: Front, column: str) -> lts.Architecture:
    return min(front, key=lambda trial: trial.values[column]).architecture


def cell(backbone: str, logits: str, what: str, precision: str, options: argparse.Namespace) -> dict[str, Any]:
    """One cell of the table: a search, and its best members beside the baseline."""
    space, baseline = BACKBONES[backbone]
    column = COLUMNS[what]
    name = f"{backbone}-{logits}-{what}-{precision}"
    with open_evaluator(
        "host",
        n_prompt=N_PROMPT,
        n_gen=N_GEN if what == "request" else 0,
        precision=precision,
        logits=logits,
        threads=1,
    ) as evaluator:
        with Study(
            lts.SearchSpace.load(space),
            evaluator,
            objectives=[f"{column}:min", f"{MEMORY}:min"],
            constraints=bounds(baseline),
            seed=options.seed,
            store=None if options.save is None else options.save / f"{name}.db",
        ) as study:
            front = study.run(trials=options.trials, confirm=False)  # what is compared is measured again anyway
        if not len(front):
            print(f"{name}: nothing on the front", file=sys.stderr)
            sys.exit(1)
        fastest, smallest = member(front, column), member(front, MEMORY)
        found = measured(evaluator, [fastest, baseline, smallest], (column, MEMORY), options.rounds)
        machine = described(evaluator)

    def against(place: int, quantity: str) -> Ratio:
        """How many times less the member has of a quantity than the baseline."""
        (ratio,) = ratios([found[1][quantity]], [found[place][quantity]])
        return ratio

    return {
        "cell": name,
        "backbone": backbone,
        "logits": logits,
        "time": what,
        "precision": precision,
        "baseline": {quantity: statistics.median(found[1][quantity]) for quantity in (column, MEMORY)},
        "fastest": {
            "architecture": fastest.to_dict(),
            "decoder_params": lts.decoder_params(fastest) / lts.decoder_params(baseline),
            "faster": asdict(against(0, column)),
            "smaller": asdict(against(0, MEMORY)),
        },
        "smallest": {
            "architecture": smallest.to_dict(),
            "decoder_params": lts.decoder_params(smallest) / lts.decoder_params(baseline),
            "faster": asdict(against(2, column)),
            "smaller": asdict(against(2, MEMORY)),
        },
        "trials": options.trials,
        "rounds": options.rounds,
        "machine": machine,
        "date": datetime.now(UTC).date().isoformat(),
    }


def table(cells: list[dict[str, Any]]) -> str:
    rows = [
        "| backbone | logits | time of | precision | fastest: times faster | times smaller | smallest: times faster "
        "| times smaller |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in cells:
        figures = [Ratio(**each[who][what]) for who in ("fastest", "smallest") for what in ("faster", "smaller")]
        head = [each[key] for key in ("backbone", "logits", "time", "precision")]
        rows.append(f"| {' | '.join([*head, *map(two_digits, figures)])} |")
    return "\n".join(rows)


def two_digits(ratio: Ratio) -> str:
    return f"{ratio.value:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


# --- Eager PyTorch ---


class Eager:
    """Processor time of prompt passes in eager PyTorch, on one thread."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch

    @contextmanager
    def model(self, architecture: lts.Architecture, n_prompt: int = N_PROMPT) -> Iterator[Any]:
        """A function that runs the model once and returns its milliseconds; it has run twice."""
        from lts.networks.network import Network

        network = Network(architecture).eval()
        ids = self.torch.arange(n_prompt)[None] % architecture.vocab_size

        def run() -> float:
            begin = time.process_time()
            with self.torch.inference_mode():
                network(ids)
            return (time.process_time() - begin) * 1e3

        run(), run()
        yield run

    def milliseconds(self, architecture: lts.Architecture, n_prompt: int = N_PROMPT) -> float:
        with self.model(architecture, n_prompt) as run:
            return statistics.median(run() for _ in range(EAGER_RUNS))


def overhead(backbone: str, eager: Eager) -> dict[str, float]:
    """Milliseconds of each further layer of width 16 for one token, with nothing in it to compute."""
    _, baseline = BACKBONES[backbone]
    record = {**baseline.to_dict(), "d_model": 16, "vocab_size": 64}
    for key in ("n_kv_head", "d_embed", "div_val", "cutoffs", "tie_projs"):
        record.pop(key, None)
    deep, shallow = (
        lts.Architecture.from_dict({**record, "n_head": [2] * n, "d_ff": [16] * n, "n_layer": n}) for n in (16, 2)
    )
    found = {"eager": []}  # type: dict[str, list[float]]
    with eager.model(deep, 1) as one, eager.model(shallow, 1) as other:
        found["eager"] = [(one() - other()) / 14 for _ in range(200)]
    with open_evaluator("host", n_prompt=1, n_gen=0, logits="all", precision="float32", threads=1) as evaluator:
        values = measured(evaluator, [deep, shallow], ("latency_ms",), 5)
        found["onnxruntime"] = [(a - b) / 14 for a, b in zip(*(v["latency_ms"] for v in values), strict=True)]
    return {name: statistics.median(values) for name, values in found.items()}


def eager_cell(backbone: str, options: argparse.Namespace) -> dict[str, Any]:
    """The same search in eager PyTorch, and its fastest member beside the baseline in both runtimes."""
    space, baseline = BACKBONES[backbone]
    eager = Eager()
    name = f"{backbone}-eager"
    evaluator = FunctionEvaluator(
        lambda architecture: {"latency_ms": eager.milliseconds(architecture)}, name="eager", provenance="measured"
    )
    with Study(
        lts.SearchSpace.load(space),
        evaluator,
        objectives=["latency_ms:min"],
        constraints=bounds(baseline),
        surrogate="additive",
        seed=options.seed,
        store=None if options.save is None else options.save / f"{name}.db",
    ) as study:
        fastest = member(study.run(trials=options.trials), "latency_ms")
    with eager.model(fastest) as one, eager.model(baseline) as other:
        times = [(one(), other()) for _ in range(3 * options.rounds)]
    (ratio,) = ratios([[theirs for _, theirs in times]], [[ours for ours, _ in times]])
    with open_evaluator("host", n_prompt=N_PROMPT, n_gen=0, logits="all", precision="float32", threads=1) as measuring:
        values = measured(measuring, [fastest, baseline], ("latency_ms", MEMORY), options.rounds)
        machine = described(measuring)
    (same,) = ratios([values[1]["latency_ms"]], [values[0]["latency_ms"]])
    (memory,) = ratios([values[1][MEMORY]], [values[0][MEMORY]])
    return {
        "cell": name,
        "backbone": backbone,
        "baseline": {
            "eager": statistics.median(theirs for _, theirs in times),
            "onnxruntime": statistics.median(values[1]["latency_ms"]),
        },
        "fastest": {
            "architecture": fastest.to_dict(),
            "decoder_params": lts.decoder_params(fastest) / lts.decoder_params(baseline),
            "faster": asdict(ratio),
            "faster_in_onnxruntime": asdict(same),
            "smaller_in_onnxruntime": asdict(memory),
        },
        "overhead": overhead(backbone, eager),
        "trials": options.trials,
        "rounds": options.rounds,
        "machine": f"PyTorch {eager.torch.__version__}; {machine}",
        "date": datetime.now(UTC).date().isoformat(),
    }


def eager_table(cells: list[dict[str, Any]]) -> str:
    rows = [
        "| backbone | baseline: eager, ONNX Runtime, ms | fastest in eager: times faster there | in ONNX Runtime "
        "| times smaller there | overhead of a layer: eager, ONNX Runtime, ms |",
        "|---|---|---|---|---|---|",
    ]
    for each in cells:
        figures = (
            two_digits(Ratio(**each["fastest"][key]))
            for key in ("faster", "faster_in_onnxruntime", "smaller_in_onnxruntime")
        )
        baseline, overhead = (
            ", ".join(f"{each[key][runtime]:{form}}" for runtime in ("eager", "onnxruntime"))
            for key, form in (("baseline", ".0f"), ("overhead", ".3f"))
        )
        rows.append(f"| {' | '.join([each['backbone'], baseline, *figures, overhead])} |")
    return "\n".join(rows)


# --- The published tables ---


def tables() -> str:
    """What the published costs say of the baselines, which are not among the published models."""
    rows = [
        "| table | cost | baseline, predicted | best published, as large | times less | of the baseline: by heads |",
        "|---|---|---|---|---|---|",
    ]
    for name, backbone in (("arm", "gpt2"), ("corei7", "transformer_xl")):
        published = lts_table(name)
        of_table = published[0][0].to_dict()
        record = BACKBONES[backbone][1].to_dict()
        same = ("vocab_size", "n_positions", "d_embed", "div_val", "cutoffs", "tie_projs")
        baseline = lts.Architecture.from_dict({**record, **{key: of_table[key] for key in same}})
        for cost in ("latency", "memory"):
            fitted = lts.Surrogate.fit([a for a, _ in published], [values[cost] for _, values in published])
            (predicted,), ((low, high),) = fitted.predict([baseline]), fitted.interval([baseline])
            large = [v[cost] for a, v in published if lts.decoder_params(a) >= lts.decoder_params(baseline)]
            heads = fitted.coefficients["heads"] * sum(baseline.n_head) / predicted
            rows.append(
                f"| {name} | {cost} | {predicted:.0f} ({low:.0f} to {high:.0f}) | {min(large):.0f} "
                f"| {predicted / min(large):.2f} ({low / min(large):.2f} to {high / min(large):.2f}) | {heads:.0%} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", choices=list(BACKBONES))
    parser.add_argument("--logits", choices=("all", "last"))
    parser.add_argument("--time", choices=list(COLUMNS))
    parser.add_argument("--precision", choices=("float32", "int8"))
    parser.add_argument("--eager", action="store_true", help="in eager PyTorch instead")
    parser.add_argument("--tables", action="store_true", help="what the published tables say, without measuring")
    parser.add_argument("--trials", type=int, default=26, help="measurements of every search")
    parser.add_argument("--rounds", type=int, default=5, help="further processes of what is compared")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder that keeps searches and cells")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be at least 2")
    if options.tables:
        print(tables())
        return
    known: dict[str, dict[str, Any]] = {}
    kept = None if options.save is None else options.save / "cells.jsonl"
    if kept is not None:
        options.save.mkdir(parents=True, exist_ok=True)
        if kept.exists():
            known = {each["cell"]: each for each in map(json.loads, kept.read_text(encoding="utf-8").splitlines())}
    backbones = [options.backbone] if options.backbone else list(BACKBONES)
    if options.eager:
        wanted = {f"{each}-eager": (each,) for each in backbones}
    else:
        choices = product(
            [options.precision] if options.precision else ["float32", "int8"],
            [options.time] if options.time else list(COLUMNS),
            [options.logits] if options.logits else ["all", "last"],
            backbones,
        )
        wanted = {f"{b}-{l}-{t}-{p}": (b, l, t, p) for p, t, l, b in choices}  # noqa: E741
    cells = []
    for name, what in wanted.items():
        if name not in known:
            print(f"{name} ...", file=sys.stderr, flush=True)
            known[name] = eager_cell(*what, options) if options.eager else cell(*what, options)
            if kept is not None:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(known[name]) + "\n")
        cells.append(known[name])
    for line in sorted({f"{each['machine']} ({each['date']})" for each in cells}):
        print(line)
    print(f"published, in eager PyTorch: {PUBLISHED}\n")
    print(eager_table(cells) if options.eager else table(cells))


if __name__ == "__main__":
    main()
