"""Where the numbers of an exported model come from, and how weights are laid out as initializers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from lts._core import Architecture, Weight, weights
from lts.errors import UsageError
from lts.export.encodings import FLOAT32, Array, Encoding

ALIGNMENT = 4096  # bytes; external data begins at pages, so that a runtime can map it
INLINE_BYTES = 1024  # smaller initializers stay in the model file


@dataclass(frozen=True)
class Piece:
    """One weight of the inventory, or some of its rows (of a vector: elements), as part of a tensor."""

    weight: Weight
    rows: tuple[int, int] | None = None
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        shape = self.weight.shape if self.rows is None else (self.rows[1] - self.rows[0], *self.weight.shape[1:])
        return shape[::-1] if self.transposed else shape


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file: pieces of weights joined along an axis, and how it is stored.

    Each is cut into `interleaved` equal blocks along it, and blocks of all pieces alternate, as heads in GPT-NeoX.
    """

    name: str
    pieces: tuple[Piece, ...]
    axis: int = 0
    encoding: Encoding = FLOAT32
    interleaved: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that is stored."""
        return self.encoding.shape(self.shape_of_weights)

    @property
    def shape_of_weights(self) -> tuple[int, ...]:
        shape = list(self.pieces[0].shape)
        shape[self.axis] = sum(piece.shape[self.axis] for piece in self.pieces)
        return tuple(shape)

    @property
    def size(self) -> int:
        count = 1
        for dim in self.shape:
            count *= dim
        return count

    @property
    def n_bytes(self) -> int:
        return self.encoding.item_bytes * self.size

    @property
    def matrix(self) -> str:
        """The name without what tells how the weights are stored."""
        return self.name.removesuffix(f".{self.encoding.name}").removesuffix(".transposed")

    def joined(self, parts: Sequence[Array]) -> Array:
        """The pieces as one array."""
        if len(parts) == 1:
            return parts[0]
        blocks = (np.split(part, self.interleaved, self.axis) for part in parts)
        return np.concatenate([block for row in zip(*blocks, strict=True) for block in row], self.axis)

    def weight(self, values: Array, index: int) -> Array:
        """The weight that the piece of an index is all of, out of `values` of the tensor's shape."""
        if len(self.pieces) > 1:
            sizes = [piece.shape[self.axis] // self.interleaved for piece in self.pieces] * self.interleaved
            blocks = np.split(values, np.cumsum(sizes)[:-1], self.axis)[index :: len(self.pieces)]
            values = np.concatenate(blocks, self.axis) if len(blocks) > 1 else blocks[0]
        return values.T if self.pieces[index].transposed else values

    def encoded(self, encoding: Encoding) -> Tensor:
        """The same weights, stored in another way, under a name that says so if it is quantized."""
        name = f"{self.name}.{encoding.name}" if encoding.quantized else self.name
        return replace(self, name=name, encoding=encoding)

    def transposed(self) -> Tensor:
        """The matrix with rows and columns exchanged, under a name that says so."""
        pieces = tuple(replace(piece, transposed=not piece.transposed) for piece in self.pieces)
        return replace(self, name=f"{self.name}.transposed", pieces=pieces, axis=1 - self.axis)


class WeightSource(Protocol):
    """Gives the initializers of a model their numbers."""

    def initializers(self, architecture: Architecture, tensors: Sequence[Tensor]) -> list[Any]:
        """One `onnx.TensorProto` for each tensor."""


class ArrayWeights:
    """A source that has, or makes, the array of each weight."""

    def array(self, weight: Weight) -> Array:
        """The weight as an array of its shape."""
        raise NotImplementedError

    def check(self, architecture: Architecture) -> None:
        """Raise `UsageError` unless these are the weights that the architecture needs."""

    def assemble(self, tensor: Tensor) -> npt.NDArray[Any]:
        """The tensor as it is stored: contiguous, little-endian.

        Raises
        ------
        UsageError
            When it cannot be quantized.
        """
        with _naming(tensor):
            return np.ascontiguousarray(tensor.encoding.encode(self.joined(tensor)))

    def rounded(self, tensor: Tensor) -> Array:
        """The weights that the stored form of a tensor, of another encoding than scales, stands for.

        Raises
        ------
        UsageError
            When it cannot be quantized.
        """
        assert tensor.encoding.rounded is not None
        with _naming(tensor):
            return tensor.encoding.rounded(self.joined(tensor))

    def joined(self, tensor: Tensor) -> Array:
        """The weights of a tensor, whatever its encoding, in float32."""
        parts = []
        for piece in tensor.pieces:
            part = self.array(piece.weight)
            if piece.rows is not None:
                part = part[piece.rows[0] : piece.rows[1]]
            parts.append(part.T if piece.transposed else part)
        return tensor.joined(parts)

    def initializers(self, architecture: Architecture, tensors: Sequence[Tensor]) -> list[Any]:
        total = sum(tensor.n_bytes for tensor in tensors)
        if total >= 2**31 - 2**24:
            raise UsageError(
                f"the weights take {total / 2**30:.1f} GiB, more than the 2 GiB of one ONNX file; "
                "use lts.export.export, which keeps them in a file of their own"
            )
        self.check(architecture)
        return [inline(tensor, self.assemble(tensor)) for tensor in tensors]


class RandomWeights(ArrayWeights):
    """Matrices and tables from N(0, std^2), norm scales one, biases zero.

    Each weight depends on the seed, its name and its shape only.

    Parameters
    ----------
    seed
        At least 0.
    std
        Standard deviation; 0.02 is GPT-2's (Radford et al. 2019).
    """

    def __init__(self, seed: int = 0, std: float = 0.02) -> None:
        if seed < 0:
            raise UsageError(f"the seed of random weights is {seed}; it must be at least 0")
        if not 0 <= std < float("inf"):
            raise UsageError(f"the standard deviation of random weights is {std}; it must be at least 0 and finite")
        self.seed = seed
        self.std = std

    def array(self, weight: Weight) -> Array:
        if weight.kind == "scale":
            return np.ones(weight.shape, np.float32)
        if weight.kind == "bias":
            return np.zeros(weight.shape, np.float32)
        name = int.from_bytes(hashlib.blake2b(weight.name.encode(), digest_size=8).digest(), "little")
        values: Array = np.random.default_rng([self.seed, name]).standard_normal(weight.shape, dtype=np.float32)
        values *= np.float32(self.std)
        return values


class GivenWeights(ArrayWeights):
    """Weights by the names of the inventory (`lts.weights`), as arrays of its shapes."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = arrays

    def check(self, architecture: Architecture) -> None:
        inventory, given = {weight.name: weight for weight in weights(architecture)}, {*self._arrays}
        if missing := [name for name in inventory if name not in given]:
            raise UsageError(f"the given weights lack {_some(missing)}")
        if extra := [name for name in self._arrays if name not in inventory]:
            raise UsageError(f"the given weights hold {_some(extra)}, which this architecture does not have")
        for weight in inventory.values() if isinstance(self._arrays, dict) else ():  # others may compute them: later
            self.array(weight)

    def array(self, weight: Weight) -> Array:
        try:
            array = np.asarray(self._arrays[weight.name], dtype=np.float32)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UsageError(f"the given weight '{weight.name}' is no array of numbers: {error}") from None
        if array.shape != weight.shape:
            raise UsageError(f"the given weight '{weight.name}' has shape {array.shape}; it must be {weight.shape}")
        return array


class StructureOnly:
    """Weights without numbers: names and dimensions only. The model can be inspected but not run."""

    def initializers(self, architecture: Architecture, tensors: Sequence[Tensor]) -> list[Any]:
        from onnx import TensorProto

        return [TensorProto(name=t.name, data_type=_data_type(t), dims=t.shape) for t in tensors]


Weights: TypeAlias = WeightSource | Mapping[str, Any] | None


def weight_source(given: Weights) -> WeightSource:
    """The source that an argument `weights` means: None is `RandomWeights()`, a mapping holds arrays by name."""
    if given is None:
        return RandomWeights()
    if isinstance(given, Mapping):
        return GivenWeights(given)
    if not hasattr(given, "initializers"):
        raise UsageError(f"weights is a {type(given).__name__}; expected a source of weights or a mapping of arrays")
    return given


def array_source(architecture: Architecture, given: Weights, purpose: str = "compute with") -> ArrayWeights:
    """A source that has arrays, all of which fit the architecture. Raises `UsageError` for any other source."""
    source = weight_source(given)
    if not isinstance(source, ArrayWeights):
        raise UsageError(f"{type(source).__name__} has no numbers of its own to {purpose}; give arrays, or nothing")
    source.check(architecture)
    return source


def offsets(tensors: Sequence[Tensor], begin: int = 0) -> tuple[list[int], int]:
    """Disjoint aligned offsets of the tensors in one file, and where it ends."""
    places = []
    end = begin
    for tensor in tensors:
        place = -(-end // ALIGNMENT) * ALIGNMENT
        places.append(place)
        end = place + tensor.n_bytes
    return places, end


def inline(tensor: Tensor, array: npt.NDArray[Any]) -> Any:
    """A `TensorProto` that holds its data."""
    from onnx import TensorProto

    return TensorProto(name=tensor.name, data_type=_data_type(tensor), dims=tensor.shape, raw_data=array.tobytes())


def external(tensor: Tensor, location: str, offset: int) -> Any:
    """A `TensorProto` whose data lies in a file beside the model."""
    from onnx import StringStringEntryProto, TensorProto

    place = {"location": location, "offset": str(offset), "length": str(tensor.n_bytes)}
    return TensorProto(
        name=tensor.name,
        data_type=_data_type(tensor),
        dims=tensor.shape,
        data_location=TensorProto.EXTERNAL,
        external_data=[StringStringEntryProto(key=key, value=value) for key, value in place.items()],
    )


@contextmanager
def _naming(tensor: Tensor) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise UsageError(f"cannot quantize '{tensor.matrix}': {error}") from None


def _data_type(tensor: Tensor) -> int:
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(tensor.encoding.dtype)))


def _some(names: Sequence[str]) -> str:
    text = ", ".join(f"'{name}'" for name in names[:3])
    return text if len(names) <= 3 else f"{text} and {len(names) - 3} more"
