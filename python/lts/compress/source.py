"""Where the sub-networks of a study come from: the model, the windows and the folder of what was found out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lts.compress.original import Original, read_original
from lts.compress.subnetworks import Subnetworks
from lts.compress.text import Windows, load_windows, save_windows
from lts.errors import UsageError
from lts.system.files import make_directory, replace_file
from lts.system.machine import allowed_cpus
from lts.system.outside import parse_json, read_bytes
from lts.system.progress import Observer, unobserved

KEY = "compress"
"""The entry of a study's configuration that says how its sub-networks were made."""
FOLDER = "compress"
"""The folder beside the store of a study that has what was found out about the model."""
METHODS = ("ours", "flap", "wanda", "magnitude", "layers")
"""As `lts.compress.methods` has them, which needs PyTorch."""

_WINDOWS, _ABOUT = "windows.npz", "source.json"
_SAMPLE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """How sub-networks are made.

    Parameters
    ----------
    method
        What decides which parts stay, of `METHODS`.
    step_d_ff
        Channels that a feed-forward network loses at a time.
    keep_heads
        Whether all heads stay.
    """

    method: str = "ours"
    step_d_ff: int = 64
    keep_heads: bool = False

    def check(self, original: Original) -> None:
        """Raise `UsageError` for what is unknown or out of range."""
        if self.method not in METHODS:
            raise UsageError(f"unknown method '{self.method}'; expected one of {', '.join(METHODS)}")
        most = max(original.architecture.d_ff)
        if not 1 <= self.step_d_ff <= most:
            raise UsageError(
                f"the step of d_ff is {self.step_d_ff}; the model has {most}, so it must be from 1 to {most}"
            )


@dataclass(frozen=True)
class SubnetworkSource:
    """What the sub-networks of a model follow from.

    Parameters
    ----------
    original
        The model.
    windows
        Of the texts.
    settings
        How they are made.
    folder
        Where is kept what was found out.
    """

    original: Original
    windows: Windows
    settings: Settings
    folder: Path

    def describe(self) -> dict[str, Any]:
        """What makes them the same, as JSON."""
        path = self.original.path.resolve()
        return {"model": str(path), "weights": _digest(path), **asdict(self.settings), "text": self.windows.digest}

    @property
    def perplexities(self) -> Path:
        """The folder of measured perplexities."""
        return self.folder / "perplexity"

    def open(self, observe: Observer = unobserved) -> Subnetworks:
        """The sub-networks, prepared: what is missing is found out, which takes minutes and resumes where it was."""
        self._claim()
        from lts.compress.compression import Compression  # which needs PyTorch

        made = Compression(
            self.original,
            self.windows.calibration,
            self.folder,
            threads=len(allowed_cpus()),
            observe=observe,
            **asdict(self.settings),
        )
        made.prepare()
        return made

    def _claim(self) -> None:
        """Keep the windows in the folder, with what they and the weights are; refuse a folder of others."""
        about = {"weights": _digest(self.original.path), "text": self.windows.digest}
        file = self.folder / _ABOUT
        make_directory(self.folder)
        try:
            known = parse_json(read_bytes(file)) if file.is_file() else about
            if known != about:
                what = "another model" if known.get("weights") != about["weights"] else "other texts"
                raise UsageError(
                    f"{self.folder} is of {what}, or the same taken otherwise; repeat its arguments to resume it, or "
                    "use another --output-dir"
                )
            save_windows(self.windows, self.folder / _WINDOWS)
            replace_file(file, json.dumps(about))
        except OSError as error:
            raise UsageError(f"cannot write in {self.folder}: {error.strerror or error}") from None
        except (ValueError, AttributeError) as error:
            if isinstance(error, UsageError):
                raise
            raise UsageError(f"{file} is damaged; use another --output-dir") from None


def stored_source(store: Path, configuration: Mapping[str, Any]) -> SubnetworkSource:
    """That of a stored study, whose configuration has the entry `KEY`.

    Raises
    ------
    UsageError
        When the model or what was found out about it is gone, or is another one.
    """
    try:
        known = dict(configuration[KEY])
        settings = Settings(**{name: known[name] for name in Settings.__dataclass_fields__})
        model, weights, text = Path(known["model"]), known["weights"], known["text"]
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"store {store} is damaged ({error}); restore a copy") from None
    folder = store.parent / FOLDER
    original = read_original(model).with_tokenizer(folder)
    if _digest(model) != weights:
        raise UsageError(f"{model} is not the model that was compressed: its weights have changed since")
    windows = load_windows(folder / _WINDOWS)
    if windows.digest != text:
        raise UsageError(f"{folder} is of another study; expected what was found out beside {store}")
    return SubnetworkSource(original, windows, settings, folder)


def _digest(path: Path) -> str:
    """The first digits of a SHA-256 of the names, sizes and beginnings of a model's files, which tells models apart
    without reading gigabytes."""
    files = [path] if path.is_file() else sorted([*path.glob("*.safetensors"), path / "config.json"])
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            found.update(f"{file.name} {file.stat().st_size} ".encode() + opened.read(_SAMPLE))
            opened.seek(max(0, file.stat().st_size - _SAMPLE))
            found.update(opened.read(_SAMPLE))
    return found.hexdigest()[:16]
