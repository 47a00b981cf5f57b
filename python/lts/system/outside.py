"""What comes from outside, from a device, a file or another program: bounded in size, parsed, made fit to be shown."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

from lts.errors import UsageError

ANSWER_BYTES = 4 << 20
"""The most that an answer of a device, a worker or lts-runner may have: a thousand samples are some 10 KiB."""

FILE_BYTES = 256 << 20
"""The most that a table or a file of records may have, also when it is unpacked."""

_SENTENCE = 300


def sentence(text: object, most: int = _SENTENCE) -> str:
    """What somebody else says, as one line that is safe to print: cut, and without control characters."""
    cut = str(text)[: 16 * most]
    line = " ".join("".join(c if c.isprintable() else " " for c in cut).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def printable(text: str) -> str:
    """A text in which what a terminal would not print, or obey, is replaced: a name may have spaces, but no lines."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def parse_json(text: str | bytes) -> Any:
    """The value of a text in JSON. Raises `ValueError` for anything else, also when it is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_bytes(path: Path, most: int = FILE_BYTES) -> bytes:
    """The content of a file, which may also be a pipe.

    Raises
    ------
    UsageError
        When it has more than `most` bytes.
    OSError
        When it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UsageError(f"{path} is too large: it has more than {most >> 20} MiB")
    return content


def unpacked(content: bytes, path: Path, most: int = FILE_BYTES) -> bytes:
    """What a gzip file unpacks to; content that is not compressed stays as it is.

    Raises
    ------
    UsageError
        When the file is damaged, ends too early, or unpacks to more than `most` bytes.
    """
    if content[:2] != b"\x1f\x8b":
        return content
    pieces: list[bytes] = []
    have = 0
    while content:  # a file may have several members
        unpacker = zlib.decompressobj(wbits=31)
        while not unpacker.eof:
            try:
                piece = unpacker.decompress(content, most + 1 - have)
            except zlib.error as error:
                if pieces and not content.strip(b"\0"):
                    return b"".join(pieces)  # padding after the last member
                raise UsageError(f"{path} is no gzip file: {error}") from None
            have += len(piece)
            pieces.append(piece)
            if have > most:
                raise UsageError(f"{path} is too large: it unpacks to more than {most >> 20} MiB")
            content = unpacker.unconsumed_tail
            if not content and not piece and not unpacker.eof:
                raise UsageError(f"{path} is no gzip file: it ends too early")
        content = unpacker.unused_data.lstrip(b"\0")
    return b"".join(pieces)


def member(archive: Path, name: str, most: int) -> bytes:
    """One file of a zip archive, of which nothing else is unpacked. Raises `ValueError` without it, or when it has
    more than `most` bytes."""
    import zipfile

    try:
        with zipfile.ZipFile(archive) as opened, opened.open(name) as file:
            content = file.read(most + 1)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise ValueError(f"{archive.name} has no {name}") from None
    if len(content) > most:
        raise ValueError(f"{name} in {archive.name} has more than {most} bytes")
    return content
