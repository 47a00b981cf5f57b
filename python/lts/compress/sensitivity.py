"""What leaving something out of one part really costs: the divergence from the original, measured on short windows.

One pass over the layers serves all parts: where a layer's turn comes, its variants join the original, and all go on
together. So the weights of one layer are in memory, and what comes before a variant is computed once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lts._core import Architecture
from lts.compress.arrays import save, save_arrays
from lts.compress.blocks import Block, Ends, batches, computing
from lts.compress.evaluate import divergence
from lts.system.progress import Observer, Work, unobserved

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent
from torch import Tensor

if TYPE_CHECKING:
    from lts.compress.original import Original
    from lts.measure.tokens import Ids

_EVERY = 2  # tokens, of which one is compared: the output layer is a fifth of the work
TRIMMED = 1  # windows left out at either end: one odd window, such as a memorized text, would decide

Variant = tuple[Architecture, Mapping[str, Any]]
"""A model that differs from the original in one layer."""


class Sensitivities:
    """Divergences of variants of a model from it, kept in a folder: after every layer a file, so that it resumes.

    Parameters
    ----------
    original, windows
        The model, and token ids (n, length): short windows of different documents.
    variants
        By name the layer in which a variant differs.
    build
        Gives the variant of a name.
    """

    def __init__(
        self,
        original: Original,
        windows: Ids,
        variants: Mapping[str, int],
        build: Callable[[str], Variant],
        folder: Path,
        dtype: torch.dtype = torch.float32,
        threads: int = 1,
    ) -> None:
        self.original, self.variants, self.build, self.folder = original, variants, build, folder
        self.windows = torch.from_numpy(np.ascontiguousarray(windows, np.int64))
        self.dtype, self.threads = dtype, threads

    @torch.no_grad()
    def measure(self, observe: Observer = unobserved) -> dict[str, NDArray[np.float64]]:
        """By variant the mean divergence in each window, in nats per token, (n,)."""
        file = self.folder / "divergences.json"
        if file.is_file() and (known := json.loads(file.read_text())).keys() == self.variants.keys():
            return {name: np.array(each) for name, each in known.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        a, source = self.original.architecture, self.original.weights
        n = len(self.windows)
        with computing(self.dtype, self.threads):
            begin, names, states = self._resumed()
            for layer in range(begin, a.n_layer):
                observe(Work("sensitivities of the layers", layer, a.n_layer, f"layer {layer}"))
                joining = [name for name, at in self.variants.items() if at == layer]
                blocks = [Block(*_only(self.build(name), layer), self.dtype) for name in joining]
                entered = [self._through(block, states[:n]) for block in blocks]
                states = torch.cat([self._through(Block(a, layer, source, self.dtype), states), *entered])
                names += joining
                self._save(layer + 1, names, states)
            found = self._compare(Ends(a, source, self.dtype), names, states)
        save(file, json.dumps({name: each.tolist() for name, each in found.items()}))
        for left in self.folder.glob("variants-*.npz"):
            left.unlink()
        return found

    def _through(self, block: Block, states: Tensor) -> Tensor:
        return torch.cat([block(x) for x in batches(states)])

    def _compare(self, ends: Ends, names: Sequence[str], states: Tensor) -> dict[str, NDArray[np.float64]]:
        n, length, width = self.windows.shape[0], self.windows.shape[1], states.shape[-1]
        chosen = states.view(-1, n, length, width)[:, :, ::_EVERY]
        found = {name: np.zeros(n) for name in names}
        for i in range(n):
            reference = ends.logits(chosen[0, i])
            for j, name in enumerate(names):
                found[name][i] = float(divergence(ends.logits(chosen[j + 1, i]), reference).mean())
        return found

    def _resumed(self) -> tuple[int, list[str], Tensor]:
        files = sorted(self.folder.glob("variants-*.npz"))
        if not files:
            return 0, [], Ends(self.original.architecture, self.original.weights).embed(self.windows)
        with np.load(files[-1]) as file:
            return int(file["layer"]), list(file["names"]), torch.from_numpy(file["states"])

    def _save(self, layer: int, names: Sequence[str], states: Tensor) -> None:
        found = {"layer": np.array(layer), "names": np.array(names, str), "states": states.numpy()}
        save_arrays(self.folder / f"variants-{layer:04}.npz", found)
        (self.folder / f"variants-{layer - 1:04}.npz").unlink(missing_ok=True)


def trimmed_mean(values: NDArray[np.float64]) -> float:
    """The mean of all but the smallest and the largest; of two or fewer, of all."""
    inner = np.sort(values)[TRIMMED:-TRIMMED] if len(values) > 2 * TRIMMED else values
    return float(inner.mean())


def _only(variant: Variant, layer: int) -> tuple[Architecture, int, Mapping[str, Any]]:
    return variant[0], layer, variant[1]
