"""The published surrogates of HW-GPT-Bench (Sukthanker et al. 2024, arXiv 2405.10299): small networks, as files.

Perplexity reads a one-hot encoding of an architecture, hardware metrics one number for each of its dimensions. The
networks are those of the benchmark's `Net`: five linear layers with ReLU in between.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_N_LINEAR = 5
_MOST_BYTES = 50_000_000


@dataclass(frozen=True)
class Scale:
    """The choices of one of the three search spaces."""

    d_model: tuple[int, ...]
    n_layer: tuple[int, ...]
    ratios: tuple[int, ...]
    n_head: tuple[int, ...]

    @property
    def n_one_hot(self) -> int:
        """Numbers of the one-hot encoding."""
        return 3 + 3 + 6 * max(self.n_layer) + 2

    @property
    def n_dimensions(self) -> int:
        """Numbers of the encoding by dimensions."""
        return 3 + 2 * max(self.n_layer)


SCALES = {
    "s": Scale((192, 384, 768), (10, 11, 12), (2, 3, 4), (4, 8, 12)),
    "m": Scale((256, 512, 1024), (22, 23, 24), (2, 3, 4), (8, 12, 16)),
    "l": Scale((320, 640, 1280), (34, 35, 36), (2, 3, 4), (8, 16, 20)),
}


class HwGptSurrogates:
    """The networks of one scale in a folder, by the column that they predict.

    Columns are called as the files: ``perplexity`` of ``perplexity_s.pt``, ``latencies_a100`` of
    ``latencies_median_s_a100.pth``.

    Parameters
    ----------
    folder
        Where the files are, at any depth.
    scale
        ``s``, ``m`` or ``l``.
    published
        Encode as the benchmark's interface does today, where it differs from what the networks of hardware metrics were
        trained with: it fills missing layers with -1 and says whether there are biases, while in training there were
        zeros and always a 1 for biases (`bool` of a text is true). Of the published measurements of scale S, latency on
        an A100 is then predicted with a mean error of 14 % rather than 0.9 %.

    Raises
    ------
    UsageError
        For another scale, a folder without such files, or PyTorch missing, which reads them.
    """

    def __init__(self, folder: Path, scale: str, *, published: bool = False) -> None:
        if scale not in SCALES:
            raise UsageError(f"unknown scale '{scale}' of HW-GPT-Bench; expected {', '.join(SCALES)}")
        self.scale = SCALES[scale]
        self.published = published
        self._files = _files(folder, scale)
        self._networks: dict[str, list[tuple[Array, Array]]] = {}
        if not self._files:
            raise UsageError(
                f"{folder} has no surrogates of HW-GPT-Bench for scale {scale}; expected perplexity_{scale}.pt, and "
                f"latencies_median_{scale}_a100.pth and the like"
            )

    @property
    def columns(self) -> list[str]:
        """What can be predicted; perplexity first."""
        return sorted(self._files, key=lambda name: (name != "perplexity", name))

    def predict(self, column: str, architectures: Sequence[Architecture]) -> Array:
        """Predictions of a column, (n,), in the unit in which it was published.

        Raises
        ------
        UsageError
            For a column that there is no file of, a file that is none, or an architecture of another space.
        """
        if column not in self._files:
            raise UsageError(f"no surrogate of '{column}' among the files; expected one of {', '.join(self.columns)}")
        if column not in self._networks:
            self._networks[column] = read_network(self._files[column])
        network = self._networks[column]
        width = network[0][0].shape[1]
        if width == self.scale.n_one_hot:
            encoded = np.array([self._one_hot(a) for a in architectures])
        elif width == self.scale.n_dimensions:
            encoded = np.array([self._dimensions(a) for a in architectures])
        else:
            raise UsageError(
                f"{self._files[column]} reads {width} numbers; expected {self.scale.n_one_hot} or "
                f"{self.scale.n_dimensions} for this scale"
            )
        return forward(network, encoded)

    def _choices(self, a: Architecture) -> tuple[int, int, list[int], list[int]]:
        """Positions of d_model and n_layer, and per layer those of the ratio and the heads."""
        n, scale = a.n_layer, self.scale
        heads = [a.n_head] * n if isinstance(a.n_head, int) else list(a.n_head)
        widths = [a.d_ff] * n if isinstance(a.d_ff, int) else list(a.d_ff)
        try:
            return (
                scale.d_model.index(a.d_model),
                scale.n_layer.index(n),
                [scale.ratios.index(width / a.d_model) for width in widths],
                [scale.n_head.index(head) for head in heads],
            )
        except ValueError:
            raise UsageError(f"{a} is no architecture of this scale of HW-GPT-Bench") from None

    def _one_hot(self, a: Architecture) -> Array:
        d_model, depth, ratios, heads = self._choices(a)
        most, found = max(self.scale.n_layer), np.zeros(self.scale.n_one_hot)
        found[[d_model, 3 + depth]] = 1
        for i, (ratio, head) in enumerate(zip(ratios, heads, strict=True)):
            found[[6 + 3 * i + ratio, 6 + 3 * most + 3 * i + head]] = 1
        found[-2 if _has_biases(a) else -1] = 1
        return found

    def _dimensions(self, a: Architecture) -> Array:
        """Every dimension from 0 to 1 in its choices."""
        d_model, depth, ratios, heads = self._choices(a)
        most, scale = max(self.scale.n_layer), self.scale
        missing = [-1.0 if self.published else 0.0] * (most - len(heads))
        bias = float(_has_biases(a)) if self.published else 1.0
        return np.array(
            [
                _scaled(scale.d_model, d_model),
                _scaled(scale.n_layer, depth),
                *(_scaled(scale.ratios, each) for each in ratios),
                *missing,
                *(_scaled(scale.n_head, each) for each in heads),
                *missing,
                bias,
            ]
        )


def read_network(path: Path) -> list[tuple[Array, Array]]:
    """Weights (out, in) and biases (out,) of the linear layers of a file that `torch.save` wrote, checked.

    Raises
    ------
    UsageError
        When PyTorch is missing or the file is not such a network.
    """
    try:
        import torch
    except ImportError:
        raise UsageError(f"reading {path} needs PyTorch: pip install 'lts-engine[torch]'") from None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        # Tensors only: nothing in the file is run.
        state = torch.load(path, weights_only=True, map_location="cpu")
        layers: list[tuple[Array, Array]] = []
        for i in range(1, _N_LINEAR + 1):
            weight, bias = (state[f"fc{i}.{part}"].to(torch.float64).numpy() for part in ("weight", "bias"))
            if weight.ndim != 2 or bias.shape != weight.shape[:1] or (layers and weight.shape[1] != len(layers[-1][1])):
                raise ValueError(f"fc{i} does not fit to the layer before it")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(f"fc{i} has numbers that are not finite")
            layers.append((weight, bias))
        if layers[-1][0].shape[0] != 1:
            raise ValueError("its last layer has more than one output")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # of torch.load, of several types
        reason = f"no {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:200]
        raise UsageError(f"{path} is no network of HW-GPT-Bench: {reason}") from None
    return layers


def forward(network: Sequence[tuple[Array, Array]], x: Array) -> Array:
    """Outputs (n,) of inputs (n, m)."""
    for i, (weight, bias) in enumerate(network):
        x = x @ weight.T + bias
        if i < len(network) - 1:
            x = np.maximum(x, 0.0)
    return np.asarray(x[:, 0])


def _scaled(choices: Sequence[int], position: int) -> float:
    return (choices[position] - choices[0]) / (choices[-1] - choices[0])


def _has_biases(a: Architecture) -> bool:
    return bool(a.qkv_bias)


def _files(folder: Path, scale: str) -> dict[str, Path]:
    name = re.compile(rf"(?P<metric>[a-z0-9_]+?)(_median)?_{scale}(_(?P<device>\w+))?\.(pt|pth)")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.pt*")) if folder.is_dir() else ():
        if match := name.fullmatch(path.name):
            found.setdefault("_".join(filter(None, (match["metric"], match["device"]))), path)
    return found
