"""The exported model, which takes any number of tokens, against models of one phase alone, in ONNX Runtime, one thread.

Run: python benchmarks/one_model.py [copied|in_place] [--rounds 12] [--only NAME]

The four GPT-2s of `precision.py`, a LLaMA whose 8 heads share 2 keys and values, and a Transformer-XL; a prompt of 128
tokens, and decode steps after 128 and 512, logits of the last position; `copied` in float32, int8 and int4, and
`in_place` in float32 and int8. The model that is exported has all sizes open; those of a phase have no past, or one new
token, and a prompt pass alone is the same for both.

The forms take turns in this process, each in six sessions, as in `cache.py`; a sample is processor time, and a ratio
that of two medians. Before anything is timed, the logits are compared. Prints milliseconds and ratios, then geometric
means by precision and phase; exits with 1 where one misses the goal.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cache import SESSIONS, check, gpt2, llama, milliseconds
from precision import ARCHITECTURES

import lts
from lts.backends.onnxruntime import bound, make_feed, open_session
from lts.export import PooledWeights, onnx_model
from lts.targets.workload import Step

STEPS = (("prefill", 128), ("decode", 128), ("decode", 512))
PRECISIONS = {"copied": ("float32", "int8", "int4"), "in_place": ("float32", "int8")}
# The most that a mean may be above 1; in place, the prompt pass alone does not write to the cache.
MOST = {"copied": 0.035, "in_place": 0.1}


def transformer_xl() -> lts.Architecture:
    """8 layers with a vocabulary in three clusters."""
    return lts.Architecture(
        "transformer_xl", 32000, 1024, 384, n_layer=8, n_head=6, d_ff=1024, cutoffs=[4000, 12000, 32000]
    )


def models() -> dict[str, lts.Architecture]:
    return {**{name: gpt2(name) for name in ARCHITECTURES}, "llama": llama(2), "transformer_xl": transformer_xl()}


def loaded(architecture: lts.Architecture, form: str, step: Step, folder: Path, **options: str) -> Callable[[], Any]:
    """A step of a model, as `lts.backends.onnxruntime` runs it; the same keys and values in every form."""
    path = folder / "model.onnx"
    weights = PooledWeights(folder / "weights.bin")
    path.write_bytes(onnx_model(architecture, form, weights=weights, logits="last", **options).SerializeToString())
    session = open_session(str(path), 1)
    feed = make_feed(session, step.dims, architecture.vocab_size)
    for i, name in enumerate(name for name in feed if name.startswith(("past", "mems"))):
        feed[name][:] = np.random.default_rng(i).standard_normal(feed[name].shape, dtype=np.float32)
    return bound(session, feed)


def compare(
    name: str, architecture: lts.Architecture, precision: str, cache: str, step: Step, context: int, rounds: int
) -> float:
    """How many times as long as the model of a phase the exported one takes."""
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            form: [
                loaded(architecture, form, step, Path(folder), precision=precision, cache=cache)
                for _ in range(SESSIONS)
            ]
            for form in (step.phase, "any")
        }
        what = f"{name}, {precision}, {cache}, {step.phase} {context}"
        check(what, precision, [run()[0] for each in runs.values() for run in each])
        alone, together = milliseconds(runs, rounds).values()
    print(f"{what}: alone {alone:.2f} ms, exported {together:.2f} ms, ratio {together / alone:.3f}", flush=True)
    return together / alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache", nargs="?", choices=list(PRECISIONS), default="copied")
    parser.add_argument("--rounds", type=int, default=12, help="samples of each model")
    parser.add_argument("--only", choices=list(models()), help="one of the models")
    arguments = parser.parse_args()
    cache = arguments.cache
    found: defaultdict[tuple[str, str, int], list[float]] = defaultdict(list)
    for name, architecture in models().items():
        if arguments.only not in (None, name) or (cache == "in_place" and architecture.traits.position == "relative"):
            continue  # Transformer-XL has no such form
        for precision in PRECISIONS[cache]:
            for phase, context in STEPS:
                step = Step.of(architecture, phase, context)
                ratio = compare(name, architecture, precision, cache, step, context, arguments.rounds)
                found[precision, phase, context].append(ratio)
    reached = True
    for key, values in found.items():
        mean = statistics.geometric_mean(values)
        print(*key, f"{mean:.3f} times as long ({min(values):.3f} to {max(values):.3f})")
        reached &= mean <= 1 + MOST[cache]
    sys.exit(not reached)


if __name__ == "__main__":
    main()
