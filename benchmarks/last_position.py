"""Fronts in the form that ships, against the GPT-2s that the authors of LiteTransformerSearch recommend.

Run: python benchmarks/last_position.py [--precision float32|int8|int4] [--objective latency_ms|request_ms]
     [--table FILE] [--unknown] [--each] [--trials 40] [--rounds 5] [--seed 0] [--save DIR]

The published models were found by timing prompt passes in float32 with logits at all positions. Here one search of
gpt2-lts, the space of the paper, measures what a user waits for: a prompt of 256 tokens with logits of the last
position alone (``request_ms``: and 32 generated tokens), in the precision that ships, by ONNX Runtime on one thread.
The published models are its baselines, as with ``lts-engine search --baseline``: they are measured first, are none of
the 40 measurements, and half of what is predicted goes to models as large as one of them. Its only bound is at least as
many decoder parameters as the smallest published model has. With ``--unknown``, the search does not know of them.

Every published model is then compared with the fastest member of the front that has at least as many decoder
parameters. Both are measured again, side by side, in further processes; the figures are ratios of these with their
95 % intervals. Prints a row for each published model. Exits with 1 where one of them is faster than the member beyond
the interval, or where the geometric mean of the ratios of times is above 0.93; with 3 where something could not be
measured.

What a member has too much of costs time. With ``--each``, there is a search for every published model instead, as
somebody would search who has that model: for the least time and the least memory, with at least as many decoder
parameters and at most 1.5 times as many.

`--table` takes other models of the same form as ``archai_gpt2_even.csv``. `--save` keeps the searches in a folder, so
that the same command measures again without searching again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from interleaved import cheapest, described, geometric_mean, measured, ratios
from published import recommended

import lts
from lts.errors import UsageError
from lts.measure.evaluator import TargetEvaluator
from lts.measure.opening import open_evaluator
from lts.measure.trial import Trial
from lts.study.front import Front
from lts.study.spread import center
from lts.study.study import Study

N_PROMPT, N_GEN = 256, 32
WORST, MEAN = 1.00, 0.93  # of the published time: at every size, within the interval; and their geometric mean
LARGEST = 1.5  # decoder parameters over those of the published model, at most, in a search for it alone
SIZE, MEMORY = "decoder_params", "peak_memory_mib"


def searched(
    evaluator: TargetEvaluator,
    objectives: list[str],
    constraints: list[str],
    baselines: dict[str, lts.Architecture],
    name: str,
    options: argparse.Namespace,
) -> Front:
    """The front of one search, which `--save` keeps under that name."""
    start = time.monotonic()
    if options.save is not None:
        options.save.mkdir(parents=True, exist_ok=True)
    with Study(
        lts.SearchSpace.load("gpt2-lts"),
        evaluator,
        objectives=objectives,
        constraints=constraints,
        seed=options.seed,
        baselines=baselines,
        store=None if options.save is None else options.save / f"{name}.db",
    ) as study:
        front = study.run(trials=options.trials)
        seconds = time.monotonic() - start
        print(f"{name}: {study.n_finished} measurements in {seconds:.0f} s, front {len(front)}", flush=True)
    return front


def fastest(
    evaluator: TargetEvaluator, models: dict[str, lts.Architecture], options: argparse.Namespace
) -> dict[str, Trial | None]:
    """For every published model the fastest member that has at least as many decoder parameters."""
    costs = [f"{options.objective}:min", f"{MEMORY}:min"]
    sizes = {name: lts.decoder_params(each) for name, each in models.items()}
    kind = f"{options.objective}-{options.precision}"
    if not options.each:
        bounds = [f"{SIZE}>={min(sizes.values())}"]
        baselines = {} if options.unknown else models
        front = searched(evaluator, [f"{SIZE}:max", *costs], bounds, baselines, kind, options)
        return {name: cheapest(front, n, options.objective) for name, n in sizes.items()}
    found = {}
    for name, n in sizes.items():
        bounds = [f"{SIZE}>={n}", f"{SIZE}<={int(LARGEST * n)}"]
        front = searched(evaluator, costs, bounds, {}, f"{kind}-{name}", options)
        found[name] = cheapest(front, n, options.objective)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=("float32", "float16", "int8", "int4"), default="float32")
    parser.add_argument("--objective", choices=("latency_ms", "request_ms"), default="latency_ms")
    parser.add_argument("--table", type=Path, help="published models (default: ../shared/data/lts)")
    parser.add_argument("--unknown", action="store_true", help="the search does not know the published models")
    parser.add_argument("--each", action="store_true", help="a search for every published model")
    parser.add_argument("--trials", type=int, default=40, help="measurements of a search")
    parser.add_argument("--rounds", type=int, default=5, help="further processes of every model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder that keeps the searches")
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error("--rounds must be at least 2")
    try:
        models = recommended(options.table)
    except UsageError as error:
        parser.error(error.args[0])
    cost = options.objective
    n_gen = N_GEN if cost == "request_ms" else 0
    with open_evaluator("host", n_prompt=N_PROMPT, n_gen=n_gen, precision=options.precision, threads=1) as evaluator:
        print(described(evaluator), flush=True)
        beside = fastest(evaluator, models, options)
        pairs = [(name, models[name], member) for name, member in beside.items() if member is not None]
        if not pairs:
            print("no member of the front has as many decoder parameters as a published model")
            sys.exit(1)
        order = [each for _, model, member in pairs for each in (member.architecture, model)]
        found = measured(evaluator, order, [cost, MEMORY], options.rounds)
    ours, published = found[::2], found[1::2]
    times, memories = (ratios([v[name] for v in ours], [v[name] for v in published]) for name in (cost, MEMORY))
    print(f"\n| published | decoder parameters | {cost} | trial | decoder parameters | {cost} | time | memory |")
    print("|---|---|---|---|---|---|---|---|")
    for (name, model, member), one, other, time_ratio, memory in zip(
        pairs, ours, published, times, memories, strict=True
    ):
        sizes = [lts.decoder_params(each) / 1e6 for each in (model, member.architecture)]
        print(
            f"| {name} | {sizes[0]:.2f} M | {center(other[cost]):.2f} | {member.id} | {sizes[1]:.2f} M "
            f"| {center(one[cost]):.2f} | {time_ratio} | {memory} |"
        )
    mean = geometric_mean(times)
    print(f"\ntime over the published one, geometric mean {mean}, goal {MEAN}; memory {geometric_mean(memories)}")
    missed = [name for name, member in beside.items() if member is None]
    missed += [name for (name, *_), each in zip(pairs, times, strict=True) if each.low > WORST]
    if missed:
        print(f"slower than the published model, or no member as large: {', '.join(missed)}")
    sys.exit(bool(missed) or mean.value > MEAN)


if __name__ == "__main__":
    main()
