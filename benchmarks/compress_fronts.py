"""The front of sub-networks in the precision that ships, against equal layers; and whether predicted losses hold.

Run: python benchmarks/compress_fronts.py speed    [--shares 0.9 0.8 ...] [--by decoder_params] ...
     python benchmarks/compress_fronts.py coverage [--measured 20] [--others 20] ...
     python benchmarks/compress_fronts.py targets  [--shares 0.8 0.6] ...

Model, texts and windows are those of compress.py, which says where they come from; nothing is chosen on the windows
that the figures are of.

`speed`: for each share of the decoder that equal layers keep, `request_ms` of that sub-network (int8, ONNX Runtime, one
thread), and of the one that we choose for the same time, as a study does: losses are fitted to the int8 perplexities
of --measured sub-networks on windows that parts were chosen on, costs to some measured ones, and the one with the least
predicted loss among those that are predicted to be faster is exact, by dynamic programming; or, with `--by
decoder_params`, among those that are no larger: sizes do not move with the load of the machine. Both are measured by
turns; perplexities are those of the int8 files on the other windows. Equal layers are chosen by our order with least
squares, and by FLAP with its biases.
`coverage`: the table of losses is fitted to the perplexities of the sub-networks that a study begins with; how many of
others lie in the predicted 90 % intervals, random ones and members of the front.
`targets`: for shares of the cost of the whole model on each of two targets, request_ms here and decode_instructions on
an emulated arm64 (TVM), the best sub-network of that target's own front and the best one of the other target's front:
what they keep and cost there, what they are predicted to lose, and the perplexities.
Exits with 1 where a goal is missed.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from compress import Bench, arguments, opened, random_of_size
from interleaved import described, measured, ratios
from scipy.optimize import nnls

import lts
from lts.compress.compression import Compression
from lts.compress.members import LikelyMembers, uniform
from lts.compress.predicting import QualityModel
from lts.compress.slicing import with_levels
from lts.measure.evaluator import TargetEvaluator
from lts.measure.perplexity import Perplexity, perplexities

SHARES = (0.8, 0.7, 0.6, 0.5, 0.4)
LOWER, HOLDS = 0.9, (0.85, 0.95)
COST_WIDTHS = 6  # of feed-forward networks, among the sub-networks that costs are fitted to
LAYERS = 6  # of sub-networks that an emulator learns costs from
CHOOSING = 16  # windows of those that parts were chosen on, which losses are fitted on
NOISE = 1e-3  # relative, of a perplexity over the original's, below which nothing is fitted
UNITS = 20_000  # of the cost of the whole model, which sums of costs are rounded to
CORRECTIONS = 2  # of what is predicted to take as long as equal layers, by measuring that
AIM = 0.995  # of their time, as predicted
PRECISION = "int8"
TERMS = ("constant", "layers", "attention", "feed_forward", "heads", "key_value")


@dataclass(frozen=True)
class Side:
    """A sub-network with the weights that a method gives it."""

    name: str
    architecture: lts.Architecture
    compression: Compression

    def perplexity(self, bench: Bench, windows: Any) -> Perplexity:
        a = self.architecture
        heads = list(zip(a.n_head, a.n_kv_head, strict=True))
        a = with_levels(self.compression.smaller(bench.size), heads, a.d_ff)  # with the biases that the method adds
        return perplexities(a, dict(self.compression.weights(a)), windows, [PRECISION])[PRECISION]


def cost_model(column: str, architectures: Sequence[lts.Architecture], values: Sequence[float]) -> lts.Surrogate:
    """Costs as a sum over the parts of layers, which a knapsack needs: the terms of costs that are such sums."""
    fitted = lts.Surrogate.fit(architectures, values)
    state = json.loads(fitted.to_json())
    names = lts.cost_term_names()
    rows = lts.cost_terms(architectures)[:, [names.index(each) for each in TERMS]]
    relative = rows / np.array(values)[:, None]
    scale = relative.max(axis=0)
    found = nnls(relative / scale, np.ones(len(rows)))[0] / scale
    error = float(np.abs(relative @ found - 1).mean())
    said = ", ".join(f"{name} {value:.3g}" for name, value in zip(TERMS, found, strict=True))
    print(f"{column} = {said}; mean error {100 * error:.1f} % of {len(rows)} sub-networks")
    state["coefficients"] = dict.fromkeys(names, 0.0) | dict(zip(TERMS, found.tolist(), strict=True))
    return lts.Surrogate.from_json(json.dumps(state))


def learned_costs(
    evaluator: TargetEvaluator, column: str, ours: Compression, rounds: int
) -> tuple[list[lts.Architecture], list[float]]:
    """Sub-networks that tell what a column costs on a device by its parts, the whole model first, and what they cost.

    What heads and channels cost is told apart best by sub-networks that have few or none of one and all of the other.
    The first layer stays whole: without any attention there is no cache, and layers cost less than elsewhere.
    Where an emulator counts, which is slow and exact, a few layers say what each of them costs.
    """
    a = ours.original.architecture
    if rounds == 1:
        a = lts.Architecture.from_dict(
            a.to_dict() | {"n_layer": LAYERS, "n_head": a.n_head[0], "n_kv_head": a.n_kv_head[0], "d_ff": a.d_ff[0]}
        )
    pairs, widths = ours.levels(0)
    shapes = [(pair, widths[0]) for pair in pairs]
    shapes += [(pairs[0], widths[int(i)]) for i in np.linspace(1, len(widths) - 1, COST_WIDTHS).round()]
    others = a.n_layer - 1
    learned = [with_levels(a, [pairs[0]] + [pair] * others, [widths[0]] + [w] * others) for pair, w in shapes]
    return learned, [float(np.median(each[column])) for each in measured(evaluator, learned, [column], rounds)]


def fitted(bench: Bench, ours: Compression, likely: LikelyMembers, n: int) -> lts.LossTable:
    """The table of losses, fitted to perplexities of the files that ship, on windows that parts were chosen on."""
    windows = bench.calibration[:: len(bench.calibration) // CHOOSING]
    known = likely.first(n, list)
    values = []
    for a in known:
        values.append(Side("ours", a, ours).perplexity(bench, windows).value)
        print(f"evaluated {len(values)} of {n}", file=sys.stderr, flush=True)
    whole = values[known.index(likely.whole)]
    model = QualityModel.fit(ours.table, whole, known, np.array(values), np.full(n, NOISE))
    assert model.table.fit is not None
    scales = [model.table.fit[f"{part}_scale"] for part in ("attention", "feed_forward")]
    print("losses of attention are {:.2f} times the table's, of feed-forward networks {:.2f}".format(*scales))
    return model.table


def as_fast(
    evaluator: TargetEvaluator, equal: Sequence[lts.Architecture], ours: Compression, table: lts.LossTable, rounds: int
) -> list[lts.Architecture]:
    """For each of the sub-networks the one with the least predicted loss that is predicted to take as long.

    What is predicted to do so is measured with it, and costs are fitted anew to all measurements.
    """
    column = "request_ms"
    known, values = learned_costs(evaluator, column, ours, rounds)
    for _ in range(CORRECTIONS):
        pairs = [
            each for pair in zip(best_in_time(known, values, equal, ours, table), equal, strict=True) for each in pair
        ]
        times = [each[column] for each in measured(evaluator, pairs, [column], rounds)]
        took = ", ".join(f"{each.value:.3f}" for each in ratios(times[::2], times[1::2]))
        print("what is predicted to take as long as equal layers takes", took, "of it")
        known += pairs
        values += [float(np.median(each)) for each in times]
    return best_in_time(known, values, equal, ours, table)


def best_in_time(
    known: Sequence[lts.Architecture],
    values: Sequence[float],
    equal: Sequence[lts.Architecture],
    ours: Compression,
    table: lts.LossTable,
) -> list[lts.Architecture]:
    """For each sub-network the best of the exact front for no more time, by what known ones take."""
    model = cost_model("request_ms", known, values)
    front = lts.knapsack_front(ours.space, table, model, unit=values[0] / UNITS)
    return [front.at(front.best(AIM * float(cost))) for cost in model.predict(equal)]


def speed(
    bench: Bench, evaluator: TargetEvaluator, shares: Sequence[float], rounds: int, by: str, n_measured: int
) -> bool:
    """Print perplexities at equal times; whether ours are lower by a tenth at each."""
    ours, flap = bench.compression("ours"), bench.compression("flap")
    likely = LikelyMembers(ours.space, ours.table, bench.original.architecture)
    print(described(evaluator))
    equal = [uniform(ours.space, likely.whole, share) for share in shares]
    table = fitted(bench, ours, likely, n_measured)
    if by == "decoder_params":
        front = lts.knapsack_front(ours.space, table)
        chosen = [front.at(front.best(lts.decoder_params(each))) for each in equal]
    else:
        chosen = as_fast(evaluator, equal, ours, table, rounds)
    pairs = [each for pair in zip(chosen, equal, strict=True) for each in pair]
    times, *both = (each["request_ms"] for each in measured(evaluator, [likely.whole, *pairs], ["request_ms"], rounds))
    mine, theirs = both[::2], both[1::2]
    whole = Side("original", likely.whole, ours).perplexity(bench, bench.test)
    print(
        f"original: {np.median(times):.1f} ms, perplexity {whole.value:.2f} in {PRECISION}, {len(bench.test)} windows"
    )
    met = True
    for share, a, same, ratio, time in zip(shares, chosen, equal, ratios(mine, theirs), theirs, strict=True):
        losses = Side("ours", a, ours).perplexity(bench, bench.test).losses
        line = f"{np.median(time):6.1f} ms (equal layers, {share:.0%}); ours takes {ratio} of it, "
        line += f"{lts.decoder_params(a) / bench.size:.0%}, perplexity {math.exp(losses.mean()):.2f}"
        for name, compression in (("ours, equal layers", ours), ("FLAP, equal layers", flap)):
            other = Side(name, same, compression).perplexity(bench, bench.test).losses
            difference = losses - other
            value, error = math.exp(difference.mean()), difference.std(ddof=1) / math.sqrt(len(difference))
            line += f"; {value:.3f} ± {value * error:.3f} of {name} ({math.exp(other.mean()):.2f})"
            met = met and value <= LOWER
        met = met and ratio.low <= 1
        print(line, flush=True)
    print("at every speed at least a tenth lower" if met else "missed: not everywhere a tenth lower at equal time")
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
    model = QualityModel.fit(ours.table, whole, known, values(known), np.full(len(known), NOISE))
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


@dataclass(frozen=True)
class Priced:
    """What counts on a device, what it costs there by parts, and the exact front for it."""

    column: str
    evaluator: TargetEvaluator
    rounds: int
    model: lts.Surrogate
    front: lts.KnapsackFront

    @property
    def members(self) -> list[lts.Architecture]:
        return [self.front.at(i) for i in range(len(self.front))]


def targets(bench: Bench, devices: Sequence[tuple[str, TargetEvaluator, int]], shares: Sequence[float], n: int) -> bool:
    """Print the best of two targets' fronts at equal costs on each; whether they differ, its own one being better."""
    ours = bench.compression("ours")
    likely = LikelyMembers(ours.space, ours.table, bench.original.architecture)
    print(described(devices[0][1]))
    table = fitted(bench, ours, likely, n)
    priced = []
    for column, evaluator, rounds in devices:
        print(f"{column} of {evaluator.backend_name} on the device {evaluator.device_name}:")
        known, values = learned_costs(evaluator, column, ours, rounds)
        model = cost_model(column, known, values)
        front = lts.knapsack_front(ours.space, table, model, unit=values[0] / UNITS)
        priced.append(Priced(column, evaluator, rounds, model, front))
    met = True
    for here, other in (priced, priced[::-1]):
        whole = float(here.model.predict([likely.whole])[0])
        members = other.members
        costs = here.model.predict(members)
        pairs = []
        for share in shares:
            own = here.front.at(here.front.best(share * whole))
            (affordable,) = np.nonzero(costs <= share * whole)
            pairs.append((own, members[affordable[other.front.losses[affordable].argmin()]]))
        asked = [likely.whole, *(each for pair in pairs for each in pair)]
        values = measured(here.evaluator, asked, [here.column], here.rounds)
        base, *taken = (float(np.median(each[here.column])) for each in values)
        changes = []
        for share, pair, took in zip(shares, pairs, zip(taken[::2], taken[1::2], strict=True), strict=True):
            found = [Side("ours", each, ours).perplexity(bench, bench.test) for each in pair]
            for side, a, cost, perplexity in zip((here, other), pair, took, found, strict=True):
                print(
                    f"{share:.0%} of {here.column}, by the front for {side.column}: {cost / base:.1%} measured, "
                    f"{lts.decoder_params(a) / bench.size:.0%} of the parameters, {sum(a.n_head)} heads, "
                    f"{sum(a.d_ff)} channels, predicted loss {table.predict([a])[0]:.3f}, "
                    f"perplexity {perplexity.value:.2f}"
                )
            change, error = found[0].change(found[1])
            print(f"the own front's perplexity is {1 + change:.3f} ± {error:.3f} of the other's", flush=True)
            changes.append(math.log1p(change))
            met = met and pair[0] != pair[1]
        mean = math.exp(float(np.mean(changes)))
        print(f"over the shares of {here.column}, it is {mean:.3f} of the other's", flush=True)
        met = met and mean < 1
    return met


def main() -> int:
    parser = arguments(__doc__, ["speed", "coverage", "targets"])
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
    load = {"precision": PRECISION, "n_prompt": chosen.n_prompt, "n_gen": chosen.n_gen, "threads": 1, "timeout": 600}
    with lts.open_evaluator(**load) as here:
        if chosen.what == "speed":
            return 0 if speed(bench, here, chosen.shares, chosen.rounds, chosen.by, chosen.measured) else 1
        with lts.open_evaluator("arm64", device="emulated", **load) as there:
            devices = [("request_ms", here, chosen.rounds), ("decode_instructions", there, 1)]
            return 0 if targets(bench, devices, chosen.shares, chosen.measured) else 1


if __name__ == "__main__":
    sys.exit(main())
