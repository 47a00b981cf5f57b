"""The front of sub-networks in the precision that ships, against equal layers; and whether predicted losses hold.

Run: python benchmarks/compress_fronts.py speed    [--shares 0.9 0.8 ...] [--by decoder_params] ...
     python benchmarks/compress_fronts.py coverage [--measured 20] [--others 20] ...

Model, texts and windows are those of compress.py, which says where they come from; nothing is chosen on the windows
that the figures are of.

`speed`: for each share of the decoder that equal layers keep, `request_ms` of that sub-network (int8, ONNX Runtime, one
thread), and of the one that we choose for the same time: costs are fitted to a few measured sub-networks, and the one
with the least predicted loss among those that are predicted to be faster is exact, by dynamic programming; or, with
`--by decoder_params`, among those that are no larger: sizes do not move with the load of the machine. Both are measured
by turns; perplexities are those of the int8 files. Equal layers are chosen by our order with least squares, and by FLAP
with its biases.
`coverage`: the table of losses is fitted to the perplexities of some sub-networks, evenly over the front; how many of
others lie in the predicted 90 % intervals, random ones and members of the front.
Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from compress import Bench, arguments, opened, random_of_size
from interleaved import described, measured, ratios
from scipy.optimize import nnls

import lts
from lts.compress.compression import Compression
from lts.compress.members import LikelyMembers, uniform
from lts.compress.predicting import QualityModel
from lts.measure.evaluator import TargetEvaluator
from lts.measure.perplexity import Perplexity, perplexities

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5)
LOWER, HOLDS = 0.9, (0.85, 0.95)
LEARNED = 12  # sub-networks that the cost model is fitted to
SLOWER = 0.99  # of the time of equal layers, which ours is predicted to take
PRECISION = "int8"
TERMS = ("constant", "attention", "feed_forward", "heads")


@dataclass(frozen=True)
class Side:
    """A sub-network with the weights that a method gives it."""

    name: str
    architecture: lts.Architecture
    compression: Compression

    def perplexity(self, bench: Bench) -> Perplexity:
        weights = dict(self.compression.weights(self.architecture))
        return perplexities(self.architecture, weights, bench.test, [PRECISION])[PRECISION]


def cost_model(architectures: Sequence[lts.Architecture], times: Sequence[float]) -> lts.Surrogate:
    """Times as a sum over the parts of layers, which a knapsack needs: a constant, and amounts per element and head."""
    fitted = lts.Surrogate.fit(architectures, times)
    state = json.loads(fitted.to_json())
    names = lts.cost_term_names()
    rows = lts.cost_terms(architectures)[:, [names.index(each) for each in TERMS]]
    relative = rows / np.array(times)[:, None]
    scale = relative.max(axis=0)
    found = nnls(relative / scale, np.ones(len(rows)))[0] / scale
    error = float(np.abs(relative @ found - 1).mean())
    print(f"cost model of request_ms from {len(rows)} sub-networks: mean error {100 * error:.1f} % on these")
    state["coefficients"] = dict.fromkeys(names, 0.0) | dict(zip(TERMS, found.tolist(), strict=True))
    return lts.Surrogate.from_json(json.dumps(state))


def as_fast(
    bench: Bench,
    evaluator: TargetEvaluator,
    likely: LikelyMembers,
    equal: Sequence[lts.Architecture],
    ours: Compression,
) -> list[lts.Architecture]:
    """For each of the sub-networks the one with the least predicted loss that is predicted to be faster."""
    sizes = np.linspace(1.0, min(map(lts.decoder_params, equal)) / bench.size - 0.1, LEARNED // 2)
    random = [random_of_size(ours, size * bench.size, 1, seed=i)[0] for i, size in enumerate(sizes[1:])]
    learned = [likely.whole, *likely.first(LEARNED - len(random) - 1, list), *random]
    times = [each["request_ms"][0] for each in measured(evaluator, learned, ["request_ms"], 1)]
    front = lts.knapsack_front(ours.space, ours.table, cost_model(learned, times), unit=times[0] / 20_000)
    equal_times = [each["request_ms"] for each in measured(evaluator, equal, ["request_ms"], 2)]
    return [front.at(front.best(SLOWER * min(each))) for each in equal_times]


def speed(bench: Bench, evaluator: TargetEvaluator, shares: Sequence[float], rounds: int, by: str) -> bool:
    """Print perplexities at equal times; whether ours are lower by a tenth at each."""
    ours, flap = bench.compression("ours"), bench.compression("flap")
    likely = LikelyMembers(ours.space, ours.table, bench.original.architecture)
    print(described(evaluator))
    equal = [uniform(ours.space, likely.whole, share) for share in shares]
    if by == "decoder_params":
        chosen = [ours.smaller(lts.decoder_params(each)) for each in equal]
    else:
        chosen = as_fast(bench, evaluator, likely, equal, ours)
    pairs = [each for pair in zip(chosen, equal, strict=True) for each in pair]
    times, *both = (each["request_ms"] for each in measured(evaluator, [likely.whole, *pairs], ["request_ms"], rounds))
    mine, theirs = both[::2], both[1::2]
    whole = Side("original", likely.whole, ours).perplexity(bench)
    print(
        f"original: {np.median(times):.1f} ms, perplexity {whole.value:.2f} in {PRECISION}, {len(bench.test)} windows"
    )
    met = True
    for share, a, same, ratio, time in zip(shares, chosen, equal, ratios(mine, theirs), theirs, strict=True):
        losses = Side("ours", a, ours).perplexity(bench).losses
        line = f"{np.median(time):6.1f} ms (equal layers, {share:.0%}); ours takes {ratio} of it, "
        line += f"{lts.decoder_params(a) / bench.size:.0%}, perplexity {math.exp(losses.mean()):.2f}"
        for name, compression in (("ours, equal layers", ours), ("FLAP, equal layers", flap)):
            other = Side(name, same, compression).perplexity(bench).losses
            difference = losses - other
            value, error = math.exp(difference.mean()), difference.std(ddof=1) / math.sqrt(len(difference))
            line += f"; {value:.3f} ± {value * error:.3f} of {name} ({math.exp(other.mean()):.2f})"
            met = met and value <= LOWER
        met = met and ratio.value <= 1.005
        print(line, flush=True)
    print("at every speed at least a tenth lower" if met else "missed: not everywhere a tenth lower at no more time")
    return met


def coverage(bench: Bench, n: int, others: int) -> bool:
    """Print the share of the intervals that hold; whether it is as promised."""
    ours = bench.compression("ours")
    likely = LikelyMembers(ours.space, ours.table, bench.original.architecture)
    known = likely.first(n, list)

    def values(architectures: Sequence[lts.Architecture]) -> np.ndarray:
        found = []
        for a in architectures:
            found.append(bench.evaluated(a, ours.weights(a)).perplexity)
            print(f"evaluated {len(found)} of {len(architectures)}", file=sys.stderr, flush=True)
        return np.array(found)

    whole = bench.reference[1].perplexity
    model = QualityModel.fit(ours.table, whole, known, values(known), np.full(len(known), 1e-3))
    print(f"fitted to {len(known)} sub-networks, mean error {100 * model.error:.1f} % on these")
    members = [each for each in likely.members if each not in known]
    picked = [members[int(i)] for i in np.linspace(1, len(members) * 2 // 3, others).round()]
    groups = {"members of the front": picked}
    for share in (0.2, 0.3):
        groups[f"random, {share:.0%} removed"] = random_of_size(ours, (1 - share) * bench.size, others // 2)
    holds: list[bool] = []
    for name, each in groups.items():
        true, bounds = values(each), model.interval(each)
        inside = (bounds[:, 0] <= true) & (true <= bounds[:, 1])
        error = np.abs(model.predict(each) / true - 1).mean()
        width = np.log(bounds[:, 1] / bounds[:, 0]).mean() / 2
        print(f"{name}: {inside.sum()} of {len(each)} hold; errors {100 * error:.1f} %, half width {100 * width:.1f} %")
        holds.extend(inside.tolist())
    share = float(np.mean(holds))
    print(f"after {len(known)} evaluations the 90 % interval holds {100 * share:.1f} % of {len(holds)}")
    return HOLDS[0] <= share <= HOLDS[1]


def main() -> int:
    parser = arguments(__doc__, ["speed", "coverage"])
    parser.add_argument("--shares", type=float, nargs="*", default=[*SHARES], help="of the decoder in equal layers")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument(
        "--by", choices=["request_ms", "decoder_params"], default="request_ms", help="what ours has no more of"
    )
    parser.add_argument("--measured", type=int, default=20)
    parser.add_argument("--others", type=int, default=20)
    parser.add_argument("--n-prompt", type=int, default=128)
    parser.add_argument("--n-gen", type=int, default=32)
    chosen = parser.parse_args()
    bench = opened(parser, chosen)
    if chosen.what == "coverage":
        return 0 if coverage(bench, chosen.measured, chosen.others) else 1
    with lts.open_evaluator(
        precision=PRECISION, n_prompt=chosen.n_prompt, n_gen=chosen.n_gen, threads=1, timeout=600
    ) as evaluator:
        return 0 if speed(bench, evaluator, chosen.shares, chosen.rounds, chosen.by) else 1


if __name__ == "__main__":
    sys.exit(main())
