"""What a pretrained decoder does on calibration text, layer by layer, kept in files: a second call continues.

Forward, per part come out the moments of what its last projection reads, x:

* `Moments.gram`, the mean of x x^T. It decides which rows can make up for others, and needs many tokens: as many more
  than x has numbers as there are, or what stays makes up for the noise of the text at hand.

Backward over some of the windows, from the last layer to the first, every layer is computed again, and out come those
of the gradient at the output of the projection, g:

* `Moments.fisher`, the mean of g g^T. With labels drawn from the model itself, and g of the sum of their losses, half
  of tr(fisher D gram D^T) approximates the Kullback-Leibler divergence per token that a change D of the projection
  causes (Martens and Grosse 2015, section 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lts.compress.arrays import save_array, save_arrays
from lts.compress.blocks import Block, Ends, Part, batches, computing
from lts.system.files import make_directory
from lts.system.progress import Observer, Work, unobserved

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent
from torch import Tensor

if TYPE_CHECKING:
    from lts.compress.original import Original
    from lts.measure.tokens import Ids

Matrix = NDArray[np.float32]
SCRATCH = ("states-*.npy", "gradients-*.npy", "all-*.npy")
"""Files between one layer and the next, which go when all layers are done."""
_ROWS = 512  # of which there are logits at the same time
_GRADIENTS = 12  # windows with gradients, which cost twice as much: what matters shows with few of them


@dataclass(frozen=True)
class Moments:
    """What the last projection of a part reads, n numbers per token, and how its output, d_model, matters.

    Attributes
    ----------
    gram
        Second moments of what is read, (n, n).
    mean
        Mean of what is read, (n,).
    fisher
        Second moments of the gradients, (d_model, d_model), in nats per token.
    cosine
        Mean cosine of the residual stream before and after the whole layer.
    """

    gram: Matrix
    mean: Matrix
    fisher: Matrix
    cosine: Matrix


class Statistics:
    """The statistics of a model on windows of text, in a folder.

    Parameters
    ----------
    original
        The model.
    windows
        Token ids, (n, length).
    folder
        Where the files are; made where it is not there.
    dtype, threads
        As for `lts.compress.blocks.computing`.
    """

    def __init__(
        self, original: Original, windows: Ids, folder: Path, dtype: torch.dtype = torch.float32, threads: int = 1
    ) -> None:
        self.original, self.folder, self.dtype, self.threads = original, folder, dtype, threads
        self.windows = torch.from_numpy(np.ascontiguousarray(windows, np.int64))
        self.n_layer = original.architecture.n_layer
        chosen = np.linspace(0, len(windows) - 1, min(len(windows), _GRADIENTS)).round().astype(int)
        self.chosen = torch.from_numpy(np.unique(chosen))

    def moments(self, layer: int, part: Part) -> Moments:
        """What was found about a part; `collect` first."""
        found: dict[str, Matrix] = {}
        for file in (self._read_file(layer), self._given_file(layer)):
            with np.load(file) as arrays:
                found |= {name.rpartition(".")[2]: arrays[name] for name in arrays if name.startswith(f"{part}.")}
        return Moments(**found)

    def collect(self, observe: Observer = unobserved) -> None:
        """Compute what is not there yet; files of a layer appear whole."""
        make_directory(self.folder)
        missing = [layer for layer in range(self.n_layer) if not self._given_file(layer).is_file()]
        if missing:
            self._compute(missing, observe)
        for pattern in SCRATCH:  # also what a kill in this loop has left
            for file in self.folder.glob(pattern):
                file.unlink()

    def _compute(self, missing: Sequence[int], observe: Observer) -> None:
        with computing(self.dtype, self.threads):
            self._forward(observe)
            if max(missing) == self.n_layer - 1 and not self._gradients_file(self.n_layer).is_file():
                self._save(self._gradients_file(self.n_layer), self._last_gradients(observe))
            for layer in reversed(missing):
                observe(Work("gradients of the layers", self.n_layer - 1 - layer, self.n_layer, f"layer {layer}"))
                self._backward(layer)

    def _forward(self, observe: Observer) -> None:
        """Moments of what is read, and the inputs of all layers in the windows with gradients."""
        begin = next((layer for layer in range(self.n_layer) if not self._read_file(layer).is_file()), self.n_layer)
        if begin == 0:
            with torch.no_grad():
                states = Ends(self.original.architecture, self.original.weights).embed(self.windows)
        elif begin < self.n_layer:
            states = self._load(self._all_file(begin))
        for layer in range(begin, self.n_layer):
            observe(Work("activations of the layers", layer, self.n_layer, f"layer {layer}"))
            self._save(self._states_file(layer), states[self.chosen])
            states, sums = self._through(layer, states)
            self._save(self._all_file(layer + 1), states)
            if layer + 1 == self.n_layer:
                self._save(self._states_file(self.n_layer), states[self.chosen])
            save_arrays(self._read_file(layer), sums)
            self._all_file(layer).unlink(missing_ok=True)

    @torch.no_grad()
    def _through(self, layer: int, states: Tensor) -> tuple[Tensor, dict[str, Matrix]]:
        """What a layer gives, and moments of what its parts read."""
        block = Block(self.original.architecture, layer, self.original.weights, self.dtype)
        n, given, cosine = self.windows.numel(), [], 0.0
        sums: dict[str, Any] = {}
        for x in batches(states):
            given.append(block(x))
            cosine += float(torch.nn.functional.cosine_similarity(x, given[-1], dim=-1).sum())
            for part in block.inputs:
                read = _rows(block.inputs[part])
                # NumPy computes one half of a product with itself.
                for name, each in (("gram", read.T @ read), ("mean", read.sum(0))):
                    sums[f"{part}.{name}"] = sums.get(f"{part}.{name}", 0.0) + each
        found = {name: np.asarray(each / n, np.float32) for name, each in sums.items()}
        return torch.cat(given), found | {f"{part}.cosine": np.array(cosine / n, np.float32) for part in block.inputs}

    def _last_gradients(self, observe: Observer) -> Tensor:
        """Gradients at the last layer's output of the summed loss on labels that the model draws."""
        ends = Ends(self.original.architecture, self.original.weights, self.dtype)
        states = self._load(self._states_file(self.n_layer))
        random = torch.Generator().manual_seed(0)
        found = []
        parts = torch.split(states.flatten(0, 1), _ROWS)
        for done, rows in enumerate(parts):
            observe(Work("gradients of the output layer", done, len(parts)))
            x = rows.requires_grad_()
            logits = ends.logits(x)
            labels = torch.multinomial(logits.detach().softmax(-1), 1, generator=random)[:, 0]
            torch.nn.functional.cross_entropy(logits, labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
            assert x.grad is not None
            found.append(x.grad)
        return torch.cat(found).view_as(states)

    def _backward(self, layer: int) -> None:
        block = Block(self.original.architecture, layer, self.original.weights, self.dtype)
        states, after = self._load(self._states_file(layer)), self._load(self._gradients_file(layer + 1))
        sums: dict[str, Any] = {}
        before = []
        for x, gradient in zip(batches(states), batches(after), strict=True):
            x.requires_grad_()
            y = block(x)
            for output in block.outputs.values():
                output.retain_grad()
            y.backward(gradient)
            assert x.grad is not None
            before.append(x.grad)
            for part, output in block.outputs.items():
                assert output.grad is not None
                rows = _rows(output.grad)
                sums[part] = sums.get(part, 0.0) + rows.T @ rows
        self._save(self._gradients_file(layer), torch.cat(before))
        n = states.shape[0] * states.shape[1]
        save_arrays(self._given_file(layer), {f"{part}.fisher": each / n for part, each in sums.items()})
        self._gradients_file(layer + 1).unlink(missing_ok=True)

    def _states_file(self, layer: int) -> Path:
        """The input of a layer in the windows with gradients; of one more than there are, the output of the last."""
        return self.folder / f"states-{layer:04}.npy"

    def _gradients_file(self, layer: int) -> Path:
        """The gradients there."""
        return self.folder / f"gradients-{layer:04}.npy"

    def _all_file(self, layer: int) -> Path:
        """The input of a layer in all windows."""
        return self.folder / f"all-{layer:04}.npy"

    def _read_file(self, layer: int) -> Path:
        """Moments of what the parts of a layer read."""
        return self.folder / f"read-{layer:04}.npz"

    def _given_file(self, layer: int) -> Path:
        """Moments of the gradients of what they give."""
        return self.folder / f"given-{layer:04}.npz"

    def _load(self, path: Path) -> Tensor:
        return torch.from_numpy(np.load(path))

    def _save(self, path: Path, values: Tensor) -> None:
        save_array(path, values.detach().numpy())


def _rows(values: Tensor) -> Matrix:
    """[batch, T, n] as float32 (batch * T, n)."""
    found: Matrix = values.detach().flatten(0, 1).float().numpy()
    return found
