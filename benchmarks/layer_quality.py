"""How well quality by layer ranks the sub-networks of the super-networks of HW-GPT-Bench, from few evaluations.

Run: python benchmarks/layer_quality.py FOLDER [--scales s m l] [--evaluations 30] [--seeds 10]
[--trained gpt2=TABLE transformer_xl=TABLE]

FOLDER has the published perplexity surrogates (perplexity_s.pt and so on), which stand for the super-networks. Of 2,000
random sub-networks, as many of the third with the most decoder parameters as are evaluated are what `LayerQuality` is
fitted to. Printed are, over the seeds: Spearman's correlation with true perplexity over the best tenth of 3,000 others,
by decoder parameters and by the fit; the mean error on the third of these with the most parameters; and how many of
them its 90 % intervals hold.
Of tables of models that were trained from scratch (LiteTransformerSearch), as many random rows are evaluated, and the
correlations are those over the others: there the fit is not expected to be better.
Exits with 1 where the fit ranks sub-networks no better than decoder parameters.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import lts
from lts.measure.tables.hwgpt_surrogates import SCALES, HwGptSurrogates
from lts.measure.tables.reader import Table, read_table

DRAWN, OTHERS = 2000, 3000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scales", nargs="+", choices=sorted(SCALES), default=list(SCALES))
    parser.add_argument("--evaluations", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trained", nargs="+", default=[], metavar="FAMILY=TABLE")
    chosen = parser.parse_args()
    print("| scale | decoder_params | by layer | error | in the intervals |\n|---|---|---|---|---|")
    met = True
    for scale in chosen.scales:
        surrogates = HwGptSurrogates(chosen.folder, scale)
        space = lts.SearchSpace.load(f"hw-gpt-{scale}")
        rows = np.array([row(surrogates, space, chosen.evaluations, seed) for seed in range(chosen.seeds)])
        (by_size, by_layer, error, inside), spread = rows.mean(axis=0), rows.std(axis=0)
        print(
            f"| {scale} | {by_size:.2f} | {by_layer:.2f} ± {spread[1]:.2f} | {error:.1%} | {inside:.0%} |", flush=True
        )
        met = met and by_layer > by_size
    for each in chosen.trained:
        family, path = each.split("=", 1)
        table = read_table(Path(path), family)
        rows = np.array([trained(table, chosen.evaluations, seed) for seed in range(chosen.seeds)])
        (by_size, by_layer), spread = rows.mean(axis=0), rows.std(axis=0)
        print(f"| {Path(path).stem} | {by_size:.3f} | {by_layer:.3f} ± {spread[1]:.3f} | | |", flush=True)
    return 0 if met else 1


def trained(table: Table, n: int, seed: int) -> tuple[float, float]:
    """Correlations with the perplexity of models that were not evaluated, by parameters and by the fit."""
    architectures, values = list(table.architectures), np.array(table.columns["valid_ppl"])
    order = np.random.default_rng(seed).permutation(len(values))
    seen, others = ([architectures[i] for i in part] for part in (order[:n], order[n:]))
    model = lts.LayerQuality.fit(seen, values[order[:n]])
    true = values[order[n:]]
    return lts.spearman(-np.array(sizes(others)), true), lts.spearman(model.predict(others), true)


def row(surrogates: HwGptSurrogates, space: lts.SearchSpace, n: int, seed: int) -> tuple[float, float, float, float]:
    """Correlations by parameters and by the fit, its error, and the share in its intervals."""
    drawn, others = space.sample(DRAWN, seed), space.sample(OTHERS, 1000 + seed)
    large = largest(drawn)
    seen = [large[i] for i in np.random.default_rng(seed).choice(len(large), n, replace=False)]
    model = lts.LayerQuality.fit(seen, surrogates.predict("perplexity", seen), n_layer=max(surrogates.scale.n_layer))
    true = surrogates.predict("perplexity", others)
    best = np.argsort(true)[: OTHERS // 10]
    tenth = [others[i] for i in best]
    ranks = [lts.spearman(each, true[best]) for each in (-np.array(sizes(tenth)), model.predict(tenth))]
    fresh = largest(others)
    value = surrogates.predict("perplexity", fresh)
    low, high = model.interval(fresh).T
    error = np.abs(model.predict(fresh) / value - 1).mean()
    return ranks[0], ranks[1], float(error), float(((low <= value) & (value <= high)).mean())


def sizes(architectures: list[lts.Architecture]) -> list[int]:
    return [lts.decoder_params(a) for a in architectures]


def largest(architectures: list[lts.Architecture]) -> list[lts.Architecture]:
    """The third with the most decoder parameters."""
    order = np.argsort(sizes(architectures), kind="stable")[::-1]
    return [architectures[i] for i in order[: len(order) // 3]]


if __name__ == "__main__":
    sys.exit(main())
