"""Reading what comes from outside: bounds, and sentences instead of tracebacks."""

from __future__ import annotations

import gzip
import os
import zipfile
from pathlib import Path

import pytest

from lts.errors import UsageError
from lts.system.outside import member, parse_json, read_bytes, sentence, unpacked


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000, "9" * 10_000, b"\xff\xfe\xff", "\ud800"])
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("two\nlines", "two lines"),
        ("\x1b[2Jgone\x07", "[2Jgone"),
        ("a\u202eb\u2066c", "a b c"),
        ("x" * 1000, "x" * 299 + "…"),
        (None, "None"),
        ("\x00", ""),
    ],
)
def test_sentences(said: object, shown: str) -> None:
    assert sentence(said) == shown


def test_files_have_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    assert read_bytes(path, 4) == b"1234"
    for endless in (path, Path("/dev/zero")):
        with pytest.raises(UsageError, match=f"{endless} is too large: it has more than 0 MiB"):
            read_bytes(endless, 3)


def test_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(b"one") + gzip.compress(b"two")
    assert unpacked(packed, tmp_path) == b"onetwo"
    assert unpacked(packed + bytes(512), tmp_path) == b"onetwo"
    assert unpacked(b"plain", tmp_path) == b"plain"
    assert unpacked(gzip.compress(bytes(1 << 20)), tmp_path) == bytes(1 << 20)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes(64 << 20)),
        gzip.compress(bytes(900_000)) * 4,
        gzip.compress(b"text")[:-6],
        gzip.compress(os.urandom(1000))[:500],
        gzip.compress(b"text") + b"garbage",
        b"\x1f\x8b",
        b"\x1f\x8b\x08" + b"\xff" * 100,
    ],
)
def test_gzip_that_is_damaged_or_too_large(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unpacks to more than 1 MiB|is no gzip file: "):
        unpacked(content, tmp_path / "file", 1 << 20)


def test_members_of_archives(tmp_path: Path) -> None:
    archive = tmp_path / "wheel.whl"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("lib/it.so", bytes(1 << 20))
        file.writestr("../../evil", b"evil")
    assert member(archive, "lib/it.so", 1 << 20) == bytes(1 << 20)
    assert [path.name for path in tmp_path.iterdir()] == ["wheel.whl"]
    for path, name in ((archive, "lib/other.so"), (archive, "lib/it.so"), (Path(__file__), "lib/it.so")):
        with pytest.raises(ValueError, match=r"has no lib/|has more than 1000 bytes"):
            member(path, name, 1000)
