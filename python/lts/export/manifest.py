"""What an exported folder holds and where it comes from: `manifest.json`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from lts._core import Architecture, __version__
from lts.errors import UsageError
from lts.system.files import replace_file
from lts.system.outside import parse_json, read_bytes

MANIFEST_FILE = "manifest.json"
WEIGHTS_FILE = "weights.bin"
COMPILED_FOR = "tvm/"
"""How the names of formats begin that are compiled, each for a target."""
_SCHEMA = 1
_MOST = 64 << 20
_BLOCK = 1 << 22
_DIGEST = hashlib.sha256().digest_size * 2
_ORIGIN = ("trial", "workload", "study")


@dataclass(frozen=True)
class FileEntry:
    """A file: the format that it belongs to, its size in bytes, and the SHA-256 of its content."""

    format: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What was exported into a folder.

    Parameters
    ----------
    architecture
        Of all files.
    weights
        Where the numbers come from: ``given``, or ``random``.
    seed
        That of random weights.
    forms
        What each format was written with, by its name: precision, logits and cache, or target and workload.
    files
        By their paths in the folder, with ``/`` between the parts.
    origin
        The trial of a study with its values, intervals and provenance, what was run to measure them, and the study's
        name; empty for models that do not come from one.
    """

    architecture: Architecture
    weights: str
    seed: int | None
    forms: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, FileEntry]
    origin: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """The content of `manifest.json`."""
        said = {
            "schema": _SCHEMA,
            "lts_version": __version__,
            "written": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "architecture": json.loads(self.architecture.to_json()),
            "weights": self.weights,
            **({} if self.seed is None else {"seed": self.seed}),
            "forms": {name: dict(form) for name, form in sorted(self.forms.items())},
            "files": {name: vars(entry) for name, entry in sorted(self.files.items())},
            **self.origin,
        }
        return json.dumps(said, indent=1) + "\n"

    def updated(
        self,
        forms: Mapping[str, Mapping[str, Any]],
        files: Mapping[str, FileEntry],
        gone: Iterable[str] = (),
    ) -> Manifest:
        """The same with further files, in place of those of the same formats, and without those that are gone."""
        gone = set(gone)
        kept = {name: entry for name, entry in self.files.items() if entry.format not in forms and name not in gone}
        left = {**kept, **{name: entry for name, entry in files.items() if name not in gone}}
        formats = {entry.format for entry in left.values()}
        there = {name: form for name, form in {**self.forms, **forms}.items() if name in formats}
        return replace(self, forms=there, files=left)

    def goes_on(self, other: Manifest | None) -> Manifest:
        """The same with what an earlier export wrote beside it; nothing, where that was of another model."""
        same = ("architecture", "weights", "seed")
        if other is None or any(getattr(self, name) != getattr(other, name) for name in same):
            return self
        earlier, new = other.files.get(WEIGHTS_FILE), self.files.get(WEIGHTS_FILE)
        if earlier is not None and new is not None and earlier.sha256 != new.sha256:
            # Other numbers, or another precision of them: what was compiled for the earlier ones does not run any more.
            lasting = {name: each for name, each in other.files.items() if not each.format.startswith(COMPILED_FOR)}
            other = replace(other, files=lasting)
        kept = replace(other, origin=self.origin or other.origin)
        return kept.updated(self.forms, self.files)


def entry_of(path: Path, format: str) -> FileEntry:
    """The entry of a file that belongs to a format. Raises `OSError` when it cannot be read."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return FileEntry(format, size, digest.hexdigest())


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in a folder; None where there is none.

    Raises
    ------
    UsageError
        When it cannot be read, or says something that no manifest does.
    """
    path = folder / MANIFEST_FILE
    try:
        said = parse_json(read_bytes(path, _MOST))
        if said["schema"] != _SCHEMA:
            raise UsageError(f"{path} has schema {str(said['schema'])[:20]}, and this version reads {_SCHEMA}")
        return Manifest(
            Architecture.from_json(json.dumps(said["architecture"])),
            _text(said["weights"]),
            _seed(said.get("seed")),
            {_text(name): dict(form) for name, form in said["forms"].items()},
            {_inside(name): _entry(entry) for name, entry in said["files"].items()},
            {name: said[name] for name in _ORIGIN if name in said},
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UsageError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UsageError(f"{path} is not the manifest of an export; export the folder again") from None


def exported_folders(folder: Path) -> list[Path]:
    """The folder, or those in it that were exported where it was not.

    Raises
    ------
    UsageError
        When there is none.
    """
    if (folder / MANIFEST_FILE).is_file():
        return [folder]
    if found := sorted(path.parent for path in folder.glob(f"*/{MANIFEST_FILE}")):
        return found
    raise UsageError(f"{folder} has no {MANIFEST_FILE}; expected a folder that lts-engine export has written")


def update_manifest(
    folder: Path, forms: Mapping[str, Mapping[str, Any]], files: Mapping[Path, str], gone: Iterable[Path] = ()
) -> None:
    """Add files below the folder, each with its format, to its manifest, and leave out those that are gone.

    Raises
    ------
    OSError
        When a file cannot be read, or the manifest not written.
    """
    if (known := earlier_manifest(folder)) is None:
        return
    entries = {path.relative_to(folder).as_posix(): entry_of(path, format) for path, format in files.items()}
    left = known.updated(forms, entries, [path.relative_to(folder).as_posix() for path in gone])
    if left.files:
        replace_file(folder / MANIFEST_FILE, left.text())
    else:
        (folder / MANIFEST_FILE).unlink(missing_ok=True)


def earlier_manifest(folder: Path) -> Manifest | None:
    """The manifest of an earlier export; None also where it cannot be read, as it is going to be replaced."""
    try:
        return read_manifest(folder)
    except UsageError:
        return None


def has_own_weights(folder: Path) -> bool:
    """Whether a folder has weights that were given, or that somebody has put in the place of exported ones."""
    known = earlier_manifest(folder)
    if known is None:
        return False
    try:
        changed = any(
            (folder / name).is_file() and entry_of(folder / name, entry.format).sha256 != entry.sha256
            for name, entry in known.files.items()
            if name.endswith((".safetensors", ".bin", ".gguf"))
        )
    except OSError:
        return True
    return known.weights != "random" or changed


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _seed(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 0):
        raise TypeError
    return value


def _inside(name: Any) -> str:
    """A path that stays in the folder."""
    parts = PurePosixPath(_text(name)).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in name or "\\" in name:
        raise ValueError
    return str(PurePosixPath(name))


def _entry(said: Mapping[str, Any]) -> FileEntry:
    size, digest = said["bytes"], _text(said["sha256"])
    if type(size) is not int or size < 0 or len(digest) != _DIGEST or set(digest) - set("0123456789abcdef"):
        raise ValueError
    return FileEntry(_text(said["format"]), size, digest)
