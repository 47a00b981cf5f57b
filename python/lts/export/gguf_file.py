"""A GGUF file that is read: what it says of itself, checked by type where it is asked for, and its tensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.gguf_package import package
from lts.system.outside import printable, sentence

_Value = TypeVar("_Value")


class GgufFile:
    """A GGUF file whose tensors are mapped, and become float32 when they are asked for.

    Parameters
    ----------
    path
        Of one whole file.

    Attributes
    ----------
    keys, tensors
        Names of its metadata and of its tensors, in the order of the file.

    Raises
    ------
    UsageError
        When it cannot be read or is no such file, or the package gguf is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gguf = package()
        try:
            reader = _strict(self._gguf)(path)
            self._tensors = {str(each.name): each for each in reader.tensors}
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
        except Exception as error:  # whatever its reader raises for a damaged file
            raise UsageError(f"{path} is no GGUF file that can be read: {sentence(error)}") from None
        if reader.byte_order != "I":
            raise UsageError(f"{path} is a big-endian GGUF file; convert it for processors that are little-endian")
        self._fields = {str(name): field for name, field in reader.fields.items()}
        self.keys = list(self._fields)
        self.tensors = list(self._tensors)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The shape of a tensor as NumPy has it, rows first."""
        return tuple(int(size) for size in reversed(self._tensors[tensor].shape))

    def array(self, tensor: str, rows: tuple[int, int] | None = None) -> Array:
        """A tensor, or some of its rows, in float32.

        Raises
        ------
        UsageError
            When it is of a type that the package gguf does not know, or a value is no finite number.
        """
        stored = self._tensors[tensor]
        try:
            data = stored.data if rows is None else stored.data[rows[0] : rows[1]]
            with np.errstate(all="ignore"):  # numbers that are not finite are found below
                values: Array = np.asarray(self._gguf.quants.dequantize(data, stored.tensor_type), np.float32)
        except Exception as error:  # an unknown type, or blocks that do not fit
            raise UsageError(f"{self.path}: '{printable(tensor)}' cannot be read: {sentence(error)}") from None
        if not np.isfinite(values).all():
            raise UsageError(f"{self.path}: '{printable(tensor)}' has values that are no finite numbers")
        return values

    def value(self, key: str) -> Any:
        """What the file says under a key: a number, a text, a truth value or a list; None where it says nothing."""
        field = self._fields.get(key)
        try:
            return None if field is None else field.contents()
        except (UnicodeDecodeError, ValueError, IndexError) as error:
            raise UsageError(f"{self.path}: its {printable(key)} cannot be read: {sentence(error)}") from None

    def typed(self, key: str) -> tuple[Any, Any, Any]:
        """A value with its type and, of an array, the type of its elements, as the package gguf writes them."""
        types = self._fields[key].types
        return self.value(key), types[0], types[-1] if len(types) > 1 else None

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number from 0."""
        return self._checked(key, default, _is_whole, "a whole number")

    def number(self, key: str, default: float | None = None) -> float:
        """A positive number; of a float32 the shortest decimal that is it, so that 1e-5 is 1e-5."""
        return float(str(np.float32(self._checked(key, default, _is_positive, "a positive number"))))

    def flag(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        return self._checked(key, default, lambda value: isinstance(value, bool), "true or false")

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        return self._checked(key, default, lambda value: isinstance(value, str), "a text")

    def of_layers(self, key: str, n_layer: int, default: list[int] | None = None) -> list[int]:
        """A whole number of each layer; the file may say one for all of them."""
        said: int | list[int] = self._checked(
            key,
            default,
            lambda value: (
                _is_whole(value) or (isinstance(value, list) and len(value) == n_layer and all(map(_is_whole, value)))
            ),
            f"a whole number, or one for each of {n_layer} layers",
        )
        return said if isinstance(said, list) else [said] * n_layer

    def _checked(self, key: str, default: _Value | None, fits: Callable[[Any], bool], expected: str) -> _Value:
        value = self.value(key)
        if value is None:
            if default is None:
                raise UsageError(f"{self.path}: it does not say '{key}'; expected {expected}")
            return default
        if not fits(value):
            raise UsageError(f"{self.path}: its {key} is {sentence(value, 60)}; expected {expected}")
        checked: _Value = value
        return checked


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _strict(gguf: Any) -> Any:
    """The reader of the package gguf, which takes what lies beyond the end of a file for nothing, without that."""

    def get(self: Any, offset: int, dtype: Any, count: int = 1, override_order: Any = None) -> Any:
        found = gguf.GGUFReader._get(self, offset, dtype, count, override_order)
        if len(found) < int(count):
            raise EOFError("it ends too early")
        return found

    return type("StrictReader", (gguf.GGUFReader,), {"_get": get})
