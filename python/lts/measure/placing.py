"""Compiled models are moved to where they stay."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from lts.errors import UsageError
from lts.jobs.job import MANIFEST


def placed(built: Path, folder: Path, place: Path) -> Path:
    """Move what a backend has built to its place, instead of what was there; from there it finds the folder's weights.

    Raises
    ------
    UsageError
        When the place cannot be written.
    """
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            shutil.rmtree(place)
        shutil.move(built, place)
        place.chmod(0o755)  # a temporary folder is for its owner alone
        manifest = place / MANIFEST
        description = json.loads(manifest.read_text(encoding="utf-8"))
        for weight in description["weights"]:
            if not (place / weight["file"]).exists():
                weight["file"] = os.path.relpath(folder / weight["file"], place)
        manifest.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        shutil.rmtree(built, ignore_errors=True)
        raise UsageError(f"cannot write {place}: {error.strerror or error}") from None
    return place
