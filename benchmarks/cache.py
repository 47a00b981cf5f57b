"""Decode steps that keep keys and values in place against those that copy them, in ONNX Runtime, on one thread.

Run: python benchmarks/cache.py [models|groups] [--rounds 24]

`models`: the four GPT-2s of `precision.py` and a LLaMA with 8 heads that share 2 keys and values, after 128, 512 and
2,048 tokens, in float32 and int8. `groups`: LLaMAs whose heads share keys and values by 1, 2, 4 and 8, and the two ways
of attention in place, an operation of ONNX Runtime and products; which one a layer gets is `FUSED_GROUP` of
`lts.export.attention`.

The forms take turns in this process, each in six sessions, because the memory of a session lies better or worse: two
sessions of one model in float32 may differ by a quarter. A sample is processor time, and a ratio that of two medians.
Before anything is timed, the forms are compared with the same weights. Prints milliseconds, then ratios (geometric
means); exits with 1 where they miss the goals.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from precision import ARCHITECTURES

import lts
from lts.backends.onnxruntime import OnnxRuntime, bound, make_feed, open_session
from lts.export import PooledWeights, attention, onnx_model
from lts.targets.workload import Step

CONTEXTS = (128, 512, 2048)
PRECISIONS = ("float32", "int8")
N_POSITIONS = CONTEXTS[-1] + 1
# The least ratio of the four GPT-2s, and over all contexts of the LLaMA; geometric means.
GOALS = {
    ("float32", 128): 0.97,
    ("float32", 512): 1.05,
    ("float32", 2048): 1.2,
    ("int8", 128): 1.0,
    ("int8", 512): 1.15,
    ("int8", 2048): 1.5,
}
GROUPED = 0.95
LARGEST_ERROR = 1e-4  # of the logits, relative to the largest; rounded activations may differ by more
RUNS = 5  # of a sample
SESSIONS = 6
FORMS = {"copied": ("copied", None), "operation": ("in_place", 2**31), "products": ("in_place", 0)}


def gpt2(name: str) -> lts.Architecture:
    """One of the models of `precision.py`, with positions enough."""
    a = ARCHITECTURES[name]
    return lts.Architecture("gpt2", a.vocab_size, N_POSITIONS, a.d_model, n_head=a.n_head, d_ff=a.d_ff)


def llama(n_kv_head: int) -> lts.Architecture:
    """8 layers of 8 heads, 64 wide."""
    return lts.Architecture(
        "llama", 32000, N_POSITIONS, 512, n_layer=8, n_head=8, n_kv_head=n_kv_head, d_ff=1408, tie_embedding=True
    )


@contextmanager
def fused_up_to(group: int | None) -> Iterator[None]:
    """Attention in place is the operation for groups of at most that many queries; None leaves it as it is."""
    known = attention.FUSED_GROUP
    attention.FUSED_GROUP = known if group is None else group
    yield
    attention.FUSED_GROUP = known


def loaded(
    architecture: lts.Architecture, precision: str, context: int, form: tuple[str, int | None], folder: Path
) -> Callable[[], list[Any]]:
    """A decode step, as `lts.backends.onnxruntime` runs it; the same keys and values in every form."""
    cache, group = form
    path = folder / "model.onnx"
    with fused_up_to(group):
        model = onnx_model(
            architecture, "decode", precision=precision, cache=cache, weights=PooledWeights(folder / "weights.bin")
        )
    path.write_bytes(model.SerializeToString())
    session = open_session(str(path), 1)
    feed = make_feed(session, Step.of(architecture, "decode", context).dims, architecture.vocab_size)
    for i, name in enumerate(name for name in feed if name.startswith("past")):
        numbers = np.random.default_rng(i).standard_normal(feed[name][:, :, :context].shape, dtype=np.float32)
        feed[name][:, :, :context] = numbers
    return bound(session, feed)


def ratios(
    name: str, architecture: lts.Architecture, forms: dict[str, tuple[str, int | None]], rounds: int
) -> dict[tuple[str, int, str], float]:
    """How many times as fast as the first form the others are, by precision, context and form."""
    found = {}
    print(f"{name}, {lts.total_params(architecture) / 1e6:.1f} million parameters")
    for precision in PRECISIONS:
        for context in CONTEXTS:
            with tempfile.TemporaryDirectory() as folder:
                runs = {
                    form: [loaded(architecture, precision, context, how, Path(folder)) for _ in range(SESSIONS)]
                    for form, how in forms.items()
                }
                check(
                    f"{name}, {precision}, {context}", precision, [run()[0] for each in runs.values() for run in each]
                )
                times = milliseconds(runs, rounds)
            first, *others = times
            for form in others:
                found[precision, context, form] = times[first] / times[form]
            print(
                f"  {precision:8}{context:5} tokens ",
                *(f"{form} {ms:.2f} ms " for form, ms in times.items()),
                *(f"{found[precision, context, form]:.2f}" for form in others),
                flush=True,
            )
    return found


def check(what: str, precision: str, logits: list[Any]) -> None:
    """The forms give the same logits; in int8, an activation between two integers may have gone to the other one."""
    for other in logits[1:]:
        error = float(np.abs(other - logits[0]).max() / np.abs(logits[0]).max())
        if not error < (LARGEST_ERROR if precision == "float32" else 0.1):
            sys.exit(f"{what}: the logits differ by {error:.2g} of the largest")


def milliseconds(runs: dict[str, list[Callable[[], list[Any]]]], rounds: int) -> dict[str, float]:
    """Median processor time of a step of each form, in `rounds` samples or a few more."""
    samples: dict[str, list[float]] = {form: [] for form in runs}
    for number in range(-(-rounds // SESSIONS) * SESSIONS):
        for form, sessions in runs.items():
            run = sessions[number % SESSIONS]
            begin = time.process_time()
            for _ in range(RUNS):
                run()
            samples[form].append((time.process_time() - begin) * 1e3 / RUNS)
    return {form: statistics.median(values) for form, values in samples.items()}


def models(rounds: int) -> bool:
    """Whether the ratios of the models reach the goals."""
    forms: dict[str, tuple[str, int | None]] = {"copied": ("copied", None), "in place": ("in_place", None)}
    found = {name: ratios(name, gpt2(name), forms, rounds) for name in ARCHITECTURES}
    grouped = ratios("llama, 8 heads to 2 keys", llama(2), forms, rounds)
    reached = True
    for precision, context, form in grouped:
        values = [each[precision, context, form] for each in found.values()]
        mean, goal = statistics.geometric_mean(values), GOALS[precision, context]
        print(
            f"{precision} after {context} tokens: GPT-2 in place {mean:.2f} times as fast as copied "
            f"({min(values):.2f} to {max(values):.2f}; goal {goal}), LLaMA {grouped[precision, context, form]:.2f}"
        )
        reached &= mean >= goal
    for precision in PRECISIONS:
        mean = statistics.geometric_mean(ratio for (each, _, _), ratio in grouped.items() if each == precision)
        print(f"{precision}, LLaMA over the contexts: {mean:.2f} times as fast (goal {GROUPED})")
        reached &= mean >= GROUPED
    return reached


def groups(rounds: int) -> bool:
    """Whether the way that each group size gets is about as fast as the other, on the whole."""
    reached = True
    for n_kv in (8, 4, 2, 1):
        found = ratios(f"llama, 8 heads to {n_kv} keys", llama(n_kv), FORMS, rounds)
        mean = {
            form: statistics.geometric_mean(ratio for (_, _, each), ratio in found.items() if each == form)
            for form in ("operation", "products")
        }
        chosen = "operation" if 8 // n_kv <= attention.FUSED_GROUP else "products"
        print(f"groups of {8 // n_kv}:", *(f"{form} {ratio:.2f}" for form, ratio in mean.items()), f"; {chosen}")
        reached &= mean[chosen] >= GROUPED * max(mean.values())
    return reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["models", "groups"], default="models")
    parser.add_argument("--rounds", type=int, default=24, help="samples of each model")
    arguments = parser.parse_args()
    if OnnxRuntime().cache({"onnxruntime": onnxruntime.__version__}) != "in_place":
        sys.exit("keys and values in place need ONNX Runtime 1.22 or newer")
    sys.exit(not (models if arguments.what == "models" else groups)(arguments.rounds))


if __name__ == "__main__":
    main()
