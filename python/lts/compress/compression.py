"""All that is found out about a trained model to compress it: orders, losses, and the weights of its sub-networks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lts._core import Architecture, LossTable, SearchSpace, knapsack_front
from lts.compress.blocks import Part, check_family, fast_dtype
from lts.compress.methods import METHODS, Levels, find_orders
from lts.compress.order import Heads, head_levels
from lts.compress.quality import Losses, Orders
from lts.compress.sensitivity import Sensitivities, trimmed_mean
from lts.compress.slicing import Kept, Sliced, with_levels
from lts.compress.statistics import Statistics
from lts.errors import InfeasibleError, UsageError
from lts.system.files import make_directory, replace_file
from lts.system.progress import Observer, unobserved

import torch  # isort: skip  # after lts.networks, which says what to install where it is absent

if TYPE_CHECKING:
    from lts.compress.original import Original
    from lts.export.encodings import Array
    from lts.measure.tokens import Ids

_SENSITIVITY_WINDOWS, _SENSITIVITY_LENGTH = 8, 128
# Fields of an architecture that a space has choices for, or that such a model cannot have.
_OF_LAYERS = (
    *("n_layer", "d_model", "n_head", "n_kv_head", "d_ff", "head_dim"),
    *("d_embed", "div_val", "cutoffs", "tie_projs", "mixer", "n_ff"),
)
_FORMAT = 1  # of what is kept in the folder


class Compression:
    """Sub-networks of a trained model, chosen on text; what is found out is kept in a folder, and found out once.

    Parameters
    ----------
    original
        The model.
    windows
        Token ids of the text to choose on, (n, length).
    folder
        Where results are kept, every layer's as soon as it is there; that of another model, text or method is refused.
    method
        How heads and channels are chosen: ``ours``, or a baseline of `lts.compress.methods`.
    step_d_ff
        Feed-forward widths are multiples of it, and the original's.
    keep_heads
        Whether all heads stay.
    threads
        Threads that PyTorch computes with.
    observe
        Told of progress.
    dtype
        Type of matrix products; by default `lts.compress.blocks.fast_dtype`.

    Raises
    ------
    UsageError
        For a family that cannot be compressed, an unknown method, or a folder of something else.
    """

    def __init__(
        self,
        original: Original,
        windows: Ids,
        folder: Path,
        *,
        method: str = "ours",
        step_d_ff: int = 64,
        keep_heads: bool = False,
        threads: int = 1,
        observe: Observer = unobserved,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_family(original.architecture)
        if method not in METHODS:
            raise UsageError(f"unknown method '{method}'; expected {', '.join(METHODS)}")
        self.original, self.folder, self.method = original, folder, method
        self.observe, self.threads = observe, threads
        self.dtype = fast_dtype() if dtype is None else dtype
        self.windows = np.ascontiguousarray(windows, np.int64)
        self._chosen = folder / f"{method}-{step_d_ff}{'-heads' if keep_heads else ''}"
        self.levels = levels_of(original.architecture, step_d_ff, keep_heads, METHODS[method].whole)
        self._statistics = Statistics(original, self.windows, folder / "statistics", self.dtype, threads)

    def prepare(self) -> None:
        """Find out what is not known yet: statistics, orders, and a few measured divergences per part."""
        self._claim()
        self._statistics.collect(self.observe)
        _ = self.losses

    @cached_property
    def orders(self) -> Orders:
        """In which order heads and channels go, and what that costs by the method alone."""
        return find_orders(self.method, self.original, self._statistics, self.levels, self._chosen, self.observe)

    @cached_property
    def losses(self) -> Losses:
        """Losses by layer, part and level, in nats per token over the original's."""
        curves = self.orders.losses
        if not METHODS[self.method].measured:
            return curves
        anchors = curves.anchors()
        measured = Sensitivities(
            self.original,
            self._sensitivity_windows(),
            {name: layer for name, (layer, _, _) in anchors.items()},
            lambda name: self._variant(*anchors[name]),
            self._chosen / "sensitivities",
            self.dtype,
            self.threads,
        ).measure(self.observe)
        return curves.scaled({name: trimmed_mean(each) for name, each in measured.items()})

    @cached_property
    def table(self) -> LossTable:
        """The losses of sub-networks, as sums of those."""
        return self.losses.table

    @property
    def space(self) -> SearchSpace:
        """The architectures of the sub-networks: heads and widths of every layer."""
        a = self.original.architecture
        values = {key: value for key, value in a.to_dict().items() if key not in _OF_LAYERS} | self._biases
        both = [self.levels(layer) for layer in range(a.n_layer)]
        values["heads"] = sorted({each for heads, _ in both for each in heads}, reverse=True)
        values["d_ff"] = sorted({width for _, widths in both for width in widths}, reverse=True)
        return SearchSpace.from_json(
            json.dumps(values | {"n_layer": [a.n_layer], "d_model": [a.d_model], "head_dim": max(a.head_dims)})
        )

    def smaller(self, max_decoder_params: int) -> Architecture:
        """The sub-network with the least predicted loss that has at most so many parameters in its decoder.

        Raises
        ------
        InfeasibleError
            When even the smallest has more.
        """
        front = knapsack_front(self.space, self.table)
        if not front.costs.size or max_decoder_params < front.costs[0]:
            raise InfeasibleError(
                f"the smallest sub-network has {int(front.costs[0])} decoder parameters; at most {max_decoder_params} "
                "were asked for"
            )
        return front.at(front.best(max_decoder_params))

    def predicted_loss(self, architecture: Architecture) -> float:
        """The expected divergence from the original, in nats per token.

        Raises
        ------
        UsageError
            For an architecture that is none of the sub-networks.
        """
        try:
            return float(self.table.predict([architecture])[0])
        except ValueError as error:
            raise UsageError(str(error)) from None

    def kept_of(self, architecture: Architecture) -> list[Kept]:
        """By layer what the sub-network of that architecture keeps."""
        return [self.orders.kept(architecture, layer) for layer in range(architecture.n_layer)]

    def kept(self, architecture: Architecture) -> list[dict[str, list[int]]]:
        """By layer the indices of the ``heads``, ``kv_heads`` and ``channels`` that a sub-network keeps."""
        return [each.to_dict() for each in self.kept_of(architecture)]

    def weights(self, architecture: Architecture) -> Mapping[str, Array]:
        """The weights of a sub-network by the names of `lts.weights`, computed as they are asked for."""
        a, source, chosen = self.original.architecture, self.original.weights, METHODS[self.method]
        kept, moments = self.kept_of(architecture), self._statistics.moments
        return Sliced(a, source, architecture, kept, moments, least_squares=chosen.least_squares, bias=chosen.bias)

    @property
    def _biases(self) -> dict[str, bool]:
        """Fields for the biases that the method needs, and the original's family has not."""
        traits = self.original.architecture.traits
        if not METHODS[self.method].bias or (traits.attention_bias and traits.feed_forward_bias):
            return {}
        return {"attention_output_bias": True, "feed_forward_bias": True}

    def _variant(self, layer: int, part: Part, level: Heads | int) -> tuple[Architecture, Mapping[str, Any]]:
        a = self.original.architecture
        heads: list[Any] = [*zip(a.n_head, a.n_kv_head, strict=True)]
        widths: list[Any] = [*a.d_ff]
        (heads if part == "attention" else widths)[layer] = level
        found = with_levels(a, heads, widths)
        return found, self.weights(found)

    def _sensitivity_windows(self) -> Ids:
        n, length = self.windows.shape
        chosen = np.unique(np.linspace(0, n - 1, _SENSITIVITY_WINDOWS).round().astype(int))
        return self.windows[chosen, : min(length, _SENSITIVITY_LENGTH)]

    def _claim(self) -> None:
        """Say in the folder what it is of; refuse one of something else."""
        about = {
            "format": _FORMAT,
            "architecture": self.original.architecture.to_dict(),
            "windows": hashlib.sha256(repr(self.windows.shape).encode() + self.windows.tobytes()).hexdigest(),
            "dtype": str(self.dtype),
        }
        make_directory(self.folder)
        file = self.folder / "about.json"
        if not file.is_file():
            replace_file(file, json.dumps(about, indent=1))
        elif json.loads(file.read_text()) != about:
            raise UsageError(f"{self.folder} is of another model or text; choose another folder")


def levels_of(architecture: Architecture, step_d_ff: int, keep_heads: bool, whole: bool) -> Callable[[int], Levels]:
    """The levels of a layer; with `whole`, a part stays as it is or goes."""
    if step_d_ff < 1:
        raise UsageError(f"widths in steps of {step_d_ff} do not exist; expected 1 or more")

    def levels(layer: int) -> Levels:
        a = architecture
        heads = (a.n_head[layer], a.n_kv_head[layer])
        d_ff, step = a.d_ff[layer], a.d_ff[layer] if whole else step_d_ff
        below = [(0, 0)] if whole else head_levels(*heads)[1:]
        return [heads, *([] if keep_heads else below)], [d_ff, *range((d_ff - 1) // step * step, -1, -step)]

    return levels
