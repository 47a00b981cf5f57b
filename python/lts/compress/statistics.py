"""What a pretrained decoder does on calibration text, layer by layer, kept in files: a second call continues.

Forward, the input of every layer is kept. Backward, from the last layer to the first, every layer is computed again,
and per part come out the moments of what its last projection reads, x, and of the gradient there, g:

* `Moments.gram`, the mean of x x^T;
* `Moments.fisher`, the mean of g g^T. With labels drawn from the model itself, and g of the sum of their losses, half
  of tr(fisher D gram D^T) approximates the Kullback-Leibler divergence per token that a change D of the projection
  causes (Martens and Grosse 2015, section 3).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lts.compress.blocks import PARTS, Block, Ends, Part, batches, computing
from lts.system.files import replace_file
from lts.system.progress import Observer, Work, unobserved

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent
from torch import Tensor

if TYPE_CHECKING:
    from lts.compress.original import Original
    from lts.measure.tokens import Ids

Matrix = NDArray[np.float32]
_ROWS = 512  # of which there are logits at the same time


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

    def moments(self, layer: int, part: Part) -> Moments:
        """What was found about a part; `collect` first."""
        with np.load(self._moments_file(layer)) as file:
            return Moments(**{field.name: file[f"{part}.{field.name}"] for field in fields(Moments)})

    def collect(self, observe: Observer = unobserved) -> None:
        """Compute what is not there yet; files of a layer appear whole."""
        self.folder.mkdir(parents=True, exist_ok=True)
        missing = [layer for layer in range(self.n_layer) if not self._moments_file(layer).is_file()]
        if not missing:
            return
        with computing(self.dtype, self.threads):
            if not self._states_file(self.n_layer).is_file():
                self._forward(observe)
            if max(missing) == self.n_layer - 1:
                self._save(self._gradients_file(self.n_layer), self._last_gradients())
            for done, layer in enumerate(reversed(range(self.n_layer))):
                if layer in missing:
                    observe(Work("gradients of the layers", done, self.n_layer, f"layer {layer}"))
                    self._backward(layer)
        for name in ("states", "gradients"):
            for file in self.folder.glob(f"{name}-*.npy"):
                file.unlink()

    def _forward(self, observe: Observer) -> None:
        begin = max((layer for layer in range(self.n_layer) if self._states_file(layer).is_file()), default=None)
        if begin is None:
            with torch.no_grad():
                self._save(
                    self._states_file(0), Ends(self.original.architecture, self.original.weights).embed(self.windows)
                )
            begin = 0
        states = self._load(self._states_file(begin))
        for layer in range(begin, self.n_layer):
            observe(Work("activations of the layers", layer, self.n_layer, f"layer {layer}"))
            states = self._through(layer, states)
            self._save(self._states_file(layer + 1), states)

    @torch.no_grad()
    def _through(self, layer: int, states: Tensor) -> Tensor:
        block = Block(self.original.architecture, layer, self.original.weights, self.dtype)
        return torch.cat([block(x) for x in batches(states)])

    def _last_gradients(self) -> Tensor:
        """Gradients at the last layer's output of the summed loss on labels that the model draws."""
        ends = Ends(self.original.architecture, self.original.weights, self.dtype)
        states = self._load(self._states_file(self.n_layer))
        random = torch.Generator().manual_seed(0)
        found = []
        for rows in torch.split(states.flatten(0, 1), _ROWS):
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
        sums = {part: _Sums() for part in PARTS}
        gradients, cosine = [], 0.0
        for x, gradient in zip(batches(states), batches(after), strict=True):
            x.requires_grad_()
            y = block(x)
            for output in block.outputs.values():
                output.retain_grad()
            y.backward(gradient)
            assert x.grad is not None
            gradients.append(x.grad)
            with torch.no_grad(), torch.autocast("cpu", enabled=False):
                cosine += float(torch.nn.functional.cosine_similarity(x, y, dim=-1).sum())
                for part, read in block.inputs.items():
                    given = block.outputs[part].grad
                    assert given is not None
                    sums[part].add(_rows(read), _rows(given))
        self._save(self._gradients_file(layer), torch.cat(gradients))
        mean_cosine = np.array(cosine / self.windows.numel(), np.float32)
        arrays = {f"{part}.{name}": each for part in block.inputs for name, each in sums[part].means()}
        arrays |= {f"{part}.cosine": mean_cosine for part in block.inputs}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        replace_file(self._moments_file(layer), buffer.getbuffer())
        self._gradients_file(layer + 1).unlink(missing_ok=True)

    def _states_file(self, layer: int) -> Path:
        """The input of a layer; of one more than there are, the output of the last."""
        return self.folder / f"states-{layer:04}.npy"

    def _gradients_file(self, layer: int) -> Path:
        """The gradients there."""
        return self.folder / f"gradients-{layer:04}.npy"

    def _moments_file(self, layer: int) -> Path:
        return self.folder / f"moments-{layer:04}.npz"

    def _load(self, path: Path) -> Tensor:
        return torch.from_numpy(np.load(path))

    def _save(self, path: Path, values: Tensor) -> None:
        buffer = io.BytesIO()
        np.save(buffer, values.detach().numpy())
        replace_file(path, buffer.getbuffer())


def _rows(values: Tensor) -> Matrix:
    """[batch, T, n] as float32 (batch * T, n)."""
    found: Matrix = values.detach().flatten(0, 1).float().numpy()
    return found


class _Sums:
    """Sums of a part over tokens."""

    def __init__(self) -> None:
        self.n = 0
        self.gram: Any = 0.0
        self.mean: Any = 0.0
        self.fisher: Any = 0.0

    def add(self, x: Matrix, gradient: Matrix) -> None:
        """Add tokens: what is read (T, n), the gradients of what is given (T, d_model)."""
        self.n += len(x)
        self.gram = self.gram + x.T @ x  # NumPy computes one half of such products
        self.mean = self.mean + x.sum(0)
        self.fisher = self.fisher + gradient.T @ gradient

    def means(self) -> Iterator[tuple[str, Matrix]]:
        for name in ("gram", "mean", "fisher"):
            yield name, np.asarray(getattr(self, name) / self.n, np.float32)
