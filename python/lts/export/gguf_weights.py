"""Weights read back from a GGUF file: the inverse of `lts.export.gguf`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.gguf_file import GgufFile
from lts.export.gguf_form import GgufForm, gguf_form
from lts.export.gguf_tensors import GgufTensor, gguf_tensors, neighbors_apart
from lts.system.outside import printable


class GgufWeights(Mapping[str, Array]):
    """Weights by the names of the inventory, each read when it is asked for, in float32."""

    def __init__(self, file: GgufFile, tensors: list[GgufTensor]) -> None:
        self._file = file
        self._places = {}
        for each in tensors:
            begin = 0
            for piece in each.tensor.pieces:
                rows = begin, begin + piece.shape[0]
                self._places[piece.weight.name] = each, rows, piece.transposed
                begin = rows[1]

    def __getitem__(self, name: str) -> Array:
        each, rows, transposed = self._places[name]
        array = self._file.array(each.name, rows)
        if each.heads:
            array = neighbors_apart(array, each.heads)
        return array.T if transposed else array

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def read_gguf_weights(architecture: Architecture, path: Path) -> GgufWeights:
    """The weights of the architecture in a GGUF file, by the names of `lts.weights`, as its stored numbers stand for.

    Raises
    ------
    UsageError
        When the file cannot be read, there is no such form of the architecture, a tensor is missing, left over, of
        another shape, or has a value that is no finite number.
    """
    return weights_of(GgufFile(path), architecture, gguf_form(architecture))


def weights_of(
    file: GgufFile, architecture: Architecture, form: GgufForm, besides: frozenset[str] = frozenset()
) -> GgufWeights:
    """The weights of an architecture in an open file that has them in this form.

    Parameters
    ----------
    besides
        Names of tensors that the file may have although the architecture does not.

    Raises
    ------
    UsageError
        As `read_gguf_weights`.
    """
    expected = gguf_tensors(architecture, "float32", form)
    if left := sorted({*file.tensors} - {each.name for each in expected} - besides):
        raise UsageError(f"{file.path} has the tensor '{printable(left[0])}', which this architecture does not have")
    for each in expected:
        if each.name not in file.tensors:
            raise UsageError(f"{file.path} lacks the tensor '{each.name}', which this architecture has")
        if (shape := file.shape(each.name)) != each.shape:
            raise UsageError(
                f"{file.path}: '{each.name}' has shape {list(shape)}; this architecture has {list(each.shape)}"
            )
    for each in expected:
        file.array(each.name)  # its values are looked at
    return GgufWeights(file, expected)
