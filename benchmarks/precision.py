"""Times of exported models in int8 and int4 against float32 in ONNX Runtime, on one thread of this processor.

Run: python benchmarks/precision.py [--rounds 40] [--logits last|all]

Four GPT-2s with a vocabulary of 50,257 and random weights; a prompt of 128 tokens, and one token after 128. The
precisions take turns in this process, a sample is processor time, and a ratio is that of two medians. Before anything
is timed, each model is compared with float32 of the same weights. Prints the milliseconds and the weights' bytes of
each model, then ratios (geometric means); exits with 1 where they miss the goals.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lts
from lts.backends.onnxruntime import make_feed, open_session
from lts.backends.precisions import check_runtime
from lts.export import PooledWeights, RandomWeights, onnx_model

N_PROMPT = 128
ARCHITECTURES = {
    f"{n_layer} x {d_model}": lts.Architecture(
        "gpt2", 50257, 1024, d_model, n_head=[d_model // 64] * n_layer, d_ff=[d_ff] * n_layer
    )
    for n_layer, d_model, d_ff in ((8, 320, 1536), (3, 512, 2048), (14, 256, 1024), (6, 384, 1536))
}
PRECISIONS = ("float32", "int8", "int4")
GOALS = {("prefill", "int8"): 2.0, ("decode", "int8"): 2.2, ("decode", "int4"): 2.2}
LARGEST_ERROR = {"int8": 0.05, "int4": 0.4}  # of the logits, relative to their spread: what rounding to nearest costs
RUNS = {"prefill": 1, "decode": 5}  # of a sample


def loaded(model: Any, folder: Path) -> Callable[[], Any]:
    """A run of the model that returns its logits, with the settings of `lts.backends.onnxruntime`."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    session = open_session(str(path), 1)
    feed = make_feed(session, {}, 50257)
    names = [value.name for value in session.get_outputs()]
    return lambda: session.run(names, feed)[0]


def check(architecture: lts.Architecture, phase: str, logits: str, folder: Path) -> None:
    """Compare the precisions, with the same weights."""
    outputs = {}
    for precision in PRECISIONS:
        model = onnx_model(
            architecture,
            phase,
            logits=logits,
            precision=precision,
            weights=RandomWeights(0),
            n_prompt=N_PROMPT,
            batch=1,
        )
        outputs[precision] = loaded(model, folder)()
    expected = outputs["float32"]
    for precision, bound in LARGEST_ERROR.items():
        error = float(np.sqrt(np.mean((outputs[precision] - expected) ** 2)) / expected.std())
        if not error < bound:
            sys.exit(f"{phase} in {precision} is {error:.1%} away from float32, above {bound:.0%}")


def milliseconds(
    architecture: lts.Architecture, phase: str, logits: str, rounds: int, folder: Path
) -> dict[str, float]:
    """Median processor time of a run in each precision."""
    pool = PooledWeights(folder / "weights.bin")
    runs = {}
    for precision in PRECISIONS:
        model = onnx_model(
            architecture, phase, logits=logits, precision=precision, weights=pool, n_prompt=N_PROMPT, batch=1
        )
        runs[precision] = loaded(model, folder)
        runs[precision]()
    samples: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for _ in range(rounds):
        for precision, run in runs.items():
            begin = time.process_time()
            for _ in range(RUNS[phase]):
                run()
            samples[precision].append((time.process_time() - begin) * 1e3 / RUNS[phase])
    return {precision: statistics.median(values) for precision, values in samples.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40, help="samples of each model")
    parser.add_argument("--logits", choices=["last", "all"], default="last", help="of which positions of the prompt")
    arguments = parser.parse_args()
    for precision in PRECISIONS:
        check_runtime(precision)
    ratios: dict[tuple[str, str], list[float]] = {}
    for name, architecture in ARCHITECTURES.items():
        sizes = ", ".join(f"{lts.weight_bytes(architecture, precision=p) / 2**20:.0f} MiB {p}" for p in PRECISIONS)
        print(f"{name}, {lts.total_params(architecture) / 1e6:.1f} million parameters: {sizes}")
        for phase in RUNS:
            with tempfile.TemporaryDirectory() as folder:
                check(architecture, phase, arguments.logits, Path(folder))
                times = milliseconds(architecture, phase, arguments.logits, arguments.rounds, Path(folder))
            for precision in PRECISIONS[1:]:
                ratios.setdefault((phase, precision), []).append(times["float32"] / times[precision])
            print(f"  {phase:8}", *(f"{precision} {ms:.2f} ms " for precision, ms in times.items()), flush=True)
    missed = False
    for (phase, precision), values in ratios.items():
        mean = statistics.geometric_mean(values)
        goal = GOALS.get((phase, precision))
        said = "no goal" if goal is None else f"goal {goal}"
        print(
            f"{phase} {precision}: {mean:.2f} times as fast as float32 ({min(values):.2f} to {max(values):.2f}; {said})"
        )
        missed |= goal is not None and mean < goal
    sys.exit(missed)


if __name__ == "__main__":
    main()
