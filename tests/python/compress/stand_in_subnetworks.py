"""Sub-networks by magnitude, in a few lines: what the study around them is tried with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import lts
from lts.compress.original import Original


class ByMagnitude:
    """Keeps all heads, and the channels with the largest output weights; loses what the norms of the others say."""

    def __init__(self, original: Original, windows: Any, folder: Path, *, step_d_ff: int = 64, **_: Any) -> None:
        self.original, self.step, self.a = original, step_d_ff, original.architecture

    def prepare(self) -> None:
        """Nothing is to be found out."""

    @property
    def space(self) -> lts.SearchSpace:
        a = self.a
        return lts.SearchSpace(
            name="tiny-by-magnitude",
            family=a.family,
            vocab_size=a.vocab_size,
            n_positions=a.n_positions,
            head_dim=a.head_dims[0],
            tie_embedding=a.tie_embedding,
            n_layer=[a.n_layer],
            d_model=[a.d_model],
            n_head=[a.n_head[0]],
            n_kv_head=[a.n_kv_head[0]],
            d_ff=[*range(self.step, max(a.d_ff) + 1, self.step)],
        )

    def _norms(self, layer: int) -> Any:
        return (self.original.weights[f"layers.{layer}.down.weight"] ** 2).sum(axis=1)

    @property
    def table(self) -> Mapping[str, Any]:
        attention, feed_forward = [], []
        for layer in range(self.a.n_layer):
            channels = np.sort(self._norms(layer))[::-1] / self._norms(layer).sum()
            attention.append(
                {"layer": layer, "n_head": self.a.n_head[0], "n_kv_head": self.a.n_kv_head[0], "loss": 0.0}
            )
            for n in range(self.step, len(channels) + 1, self.step):
                feed_forward.append({"layer": layer, "d_ff": n, "loss": float(channels[n:].sum())})
        return {"attention": attention, "feed_forward": feed_forward}

    def predicted_loss(self, architecture: lts.Architecture) -> float:
        known = {(row["layer"], row["d_ff"]): row["loss"] for row in self.table["feed_forward"]}
        return sum(known[place] for place in enumerate(architecture.d_ff))

    def kept(self, architecture: lts.Architecture) -> list[dict[str, Any]]:
        channels = [np.sort(np.argsort(-self._norms(layer))[:width]) for layer, width in enumerate(architecture.d_ff)]
        heads = {"heads": [*range(self.a.n_head[0])], "kv_heads": [*range(self.a.n_kv_head[0])]}
        return [{**heads, "channels": each.tolist()} for each in channels]

    def weights(self, architecture: lts.Architecture) -> dict[str, Any]:
        found = dict(self.original.weights)
        for layer, kept in enumerate(self.kept(architecture)):
            for name in ("gate", "up"):
                found[f"layers.{layer}.{name}.weight"] = found[f"layers.{layer}.{name}.weight"][:, kept["channels"]]
            found[f"layers.{layer}.down.weight"] = found[f"layers.{layer}.down.weight"][kept["channels"]]
        return found
