"""Time of models compiled by TVM with lts-engine's schedules against ONNX Runtime, on one thread of this processor.

Run: python benchmarks/bench_tvm.py [--precision float32|int8|int4] [--logits last|all] [--quick] [--seconds 2]

Ten fixed architectures, five GPT-2 and five LLaMA-style, most with layers that differ; a prompt of 128 tokens, and one
token after 128. Both sides run in this process, pinned to one core, in turns; a sample is the wall time, or the
processor time where the kernel gave the core to another program meanwhile. The outputs are compared before anything is
timed. Prints, for each model, the ratio of the minima (what a quiet machine gives) and of the medians, then geometric
means.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import lts
from lts.backends.onnxruntime import make_feed, open_session
from lts.backends.stored import without_rounding
from lts.backends.timing import time_runs
from lts.backends.tvm.compile import build
from lts.export.decoder import onnx_model
from lts.export.pool import PooledWeights
from lts.targets.target import detect_target
from lts.targets.workload import Step

N_PROMPT = 128
TOLERANCE = 1e-4  # root mean square of an output's differences over its spread
# In integers, both round activations to 8 bits, by scales of their own: ONNX Runtime takes one for all rows in int8 and
# one for each block in int4, TVM one for each row. So many times further from products without that, at most.
FURTHER = 3.0
PRECISIONS = ("float32", "int8", "int4")
# Largest ratios to ONNX Runtime, geometric means of the models.
GOALS = {("float32", "decode"): 1.0, ("int8", "decode"): 1.0, ("int4", "decode"): 1.0, ("int8", "prefill"): 1.5}


def gpt2(vocab_size: int, d_model: int, n_head: list[int], d_ff: list[int]) -> lts.Architecture:
    return lts.Architecture("gpt2", vocab_size, 1024, d_model, n_head=n_head, d_ff=d_ff)


def llama(vocab_size: int, d_model: int, n_head: list[int], n_kv_head: list[int], d_ff: list[int]) -> lts.Architecture:
    return lts.Architecture("llama", vocab_size, 1024, d_model, n_head=n_head, n_kv_head=n_kv_head, d_ff=d_ff)


ARCHITECTURES = {
    "gpt2 d128 l2": gpt2(8192, 128, [4, 2], [512, 384]),
    "gpt2 d256 l4": gpt2(50257, 256, [8, 4, 8, 2], [1024, 768, 512, 1024]),
    "gpt2 d384 l6": gpt2(16384, 384, [6, 4, 8, 12, 6, 6], [1536, 1024, 768, 1280, 1536, 1152]),
    "gpt2 d512 l8": gpt2(32000, 512, [8] * 4 + [4] * 4, [2048, 1536] * 4),
    "gpt2 d768 l12": gpt2(50257, 768, [12] * 12, [3072] * 12),
    "llama d128 l3": llama(8192, 128, [4, 2, 4], [4, 1, 2], [384, 256, 320]),
    "llama d256 l6": llama(32000, 256, [8, 4, 8, 4, 8, 8], [4, 2, 8, 4, 2, 4], [768, 512, 1024, 704, 640, 768]),
    "llama d384 l4": llama(16384, 384, [6, 12, 8, 4], [6, 4, 2, 4], [1024, 1536, 768, 1152]),
    "llama d512 l6": llama(32000, 512, [8] * 6, [4] * 6, [1408] * 6),
    "llama d768 l8": llama(32000, 768, [12] * 4 + [8] * 4, [4] * 8, [2048, 1792] * 4),
}
QUICK = ("gpt2 d256 l4", "llama d128 l3", "llama d256 l6")

Function = Callable[[], Any]


def with_onnxruntime(model: Path, step: Step) -> Function:
    """A run of the model, as `lts.backends.onnxruntime` sets it up."""
    session = open_session(str(model), 1)
    feed = make_feed(session, step.dims, step.vocab_size)
    names = [value.name for value in session.get_outputs()]
    return lambda: session.run(names, feed)


def with_tvm(model: Path, step: Step) -> tuple[Function, float]:
    """A run of the compiled model, and the seconds that compiling took."""
    import tvm

    folder = model.with_suffix("")
    start = time.perf_counter()
    target = {**asdict(detect_target()), "threads": 1}
    build(str(model), str(folder), target, step.phase, step.dims, step.vocab_size)
    seconds = time.perf_counter() - start
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    machine = tvm.relax.VirtualMachine(tvm.runtime.load_module(str(folder / manifest["library"])), tvm.cpu())

    def tensor(entry: dict[str, Any]) -> Any:
        path = folder / entry["file"]
        path = path if path.exists() else model.parent / entry["file"]
        array = np.memmap(path, entry["dtype"], "r", entry["offset"], tuple(entry["shape"]))
        return tvm.runtime.tensor(np.array(array))

    inputs = [tensor(entry) for entry in manifest["inputs"]]
    weights = list(machine["prepare"](*(tensor(entry) for entry in manifest["weights"])))
    main = machine["main"]
    return lambda: main(*inputs, *weights), seconds


def check(model: Path, step: Step, ours: list[Any], theirs: list[Any]) -> None:
    """End the program unless TVM's outputs are those of ONNX Runtime, or as right where both round activations."""
    proto = onnx.load_model(model, load_external_data=False)
    rounds = without_rounding(proto.graph)
    exact = theirs
    if rounds:
        path = model.with_suffix(".exact.onnx")
        path.write_bytes(proto.SerializeToString())
        exact = with_onnxruntime(path, step)()
    for output, other, right in zip(ours, theirs, exact, strict=True):
        error, usual = (float(np.sqrt(np.mean((found - right) ** 2)) / right.std()) for found in (output, other))
        if not error <= max(TOLERANCE, FURTHER * usual):
            sys.exit(f"{model.name}: the outputs differ by {error:.1e}; ONNX Runtime's own differ by {usual:.1e}")


def compare(model: Path, step: Step, seconds: float) -> tuple[list[int], list[int], float]:
    """Samples in nanoseconds of TVM and ONNX Runtime, and the seconds that compiling took."""
    theirs = with_onnxruntime(model, step)
    ours, compiling = with_tvm(model, step)
    check(model, step, [output.numpy() for output in ours()], theirs())
    samples: tuple[list[int], list[int]] = ([], [])
    end = time.perf_counter() + 2 * seconds
    while time.perf_counter() < end:
        for function, taken in zip((ours, theirs), samples, strict=True):
            timing = time_runs(function, threads=1, min_time=0.02, min_repeats=3, max_repeats=100, max_time=0.02)
            taken.extend(timing.samples_ns)
    return *samples, compiling


def geometric_mean(ratios: list[float]) -> float:
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="three models only")
    parser.add_argument("--seconds", type=float, default=2.0, help="seconds of samples for each side of each model")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32", help="of the weights")
    parser.add_argument("--logits", choices=["last", "all"], default="last", help="of which positions of the prompt")
    arguments = parser.parse_args()
    precision = arguments.precision
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"{'model':<16}{'phase':<9}{'TVM ms':>10}{'ORT ms':>10}{'minima':>8}{'medians':>9}{'compile s':>11}")
    ratios: dict[str, list[float]] = {"prefill": [], "decode": []}
    with tempfile.TemporaryDirectory() as folder:
        weights = PooledWeights(Path(folder) / "weights.bin")
        for name, architecture in ARCHITECTURES.items():
            if arguments.quick and name not in QUICK:
                continue
            for phase, found in ratios.items():
                model = Path(folder) / f"{name.replace(' ', '-')}.{phase}.onnx"
                proto = onnx_model(architecture, phase, weights=weights, precision=precision, logits=arguments.logits)
                model.write_bytes(proto.SerializeToString())
                step = Step.of(architecture, phase, N_PROMPT)
                ours, theirs, compiling = compare(model, step, arguments.seconds)
                least = min(ours) / min(theirs)
                medians = statistics.median(ours) / statistics.median(theirs)
                found.append(least)
                print(
                    f"{name:<16}{phase:<9}{min(ours) / 1e6:>10.3f}{min(theirs) / 1e6:>10.3f}"
                    f"{least:>8.2f}{medians:>9.2f}{compiling:>11.2f}",
                    flush=True,
                )
    missed = False
    for phase, found in ratios.items():
        mean, goal = geometric_mean(found), GOALS.get((precision, phase))
        said = "no goal" if goal is None else f"goal: at most {goal}"
        print(f"{phase} {precision}: geometric mean of the minima's ratios {mean:.2f} ({said})")
        missed |= goal is not None and mean > goal
    sys.exit(missed)


if __name__ == "__main__":
    main()
