"""GGUF files: whether llama.cpp reads them, and how large a model is with all its parts."""

from __future__ import annotations

import re
import struct
from pathlib import Path

from lts.errors import UsageError

GGUF_SUFFIX = ".gguf"

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf", re.DOTALL | re.ASCII)
_MOST_PARTS = 10_000


def check_gguf(path: Path) -> int:
    """The size in bytes of a GGUF model with all its parts.

    Raises
    ------
    UsageError
        When it cannot be read, is no GGUF file of a version that llama.cpp reads, or is not its first part.
    """
    parts = _parts(path)
    for part in parts:
        try:
            with part.open("rb") as file:
                head = file.read(8)
        except OSError as error:
            raise UsageError(f"cannot read {part}: {error.strerror}; expected a GGUF file") from None
        if head[:4] != _MAGIC or len(head) < 8:
            raise UsageError(f"{part} is no GGUF file: it does not begin with GGUF and a version")
        (version,) = struct.unpack("<I", head[4:])
        if version >> 16:
            raise UsageError(f"{part} is a big-endian GGUF file; convert it for processors that are little-endian")
        if version not in _VERSIONS:
            raise UsageError(f"{part} is of GGUF version {version}; expected 2 or 3, so convert it anew")
    return sum(part.stat().st_size for part in parts)


def _parts(path: Path) -> list[Path]:
    """The files of a model, of which the first one is named. llama.cpp finds the others by their names."""
    if not (match := _PART.fullmatch(path.name)):
        return [path]
    stem, number, n = match[1], int(match[2]), int(match[3])
    if number != 1 or not 1 <= n <= _MOST_PARTS:
        raise UsageError(f"{path} is part {number} of {n} of a model; name the first one")
    return [path.with_name(f"{stem}-{i:05}-of-{n:05}.gguf") for i in range(1, n + 1)]
