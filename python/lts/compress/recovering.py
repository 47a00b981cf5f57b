"""Members of a study after recovery: taught by the original, kept beside the study, and found again by exports."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lts._core import Architecture, weights
from lts.compress.source import SubnetworkSource
from lts.compress.subnetworks import Subnetworks
from lts.errors import UsageError, first_line
from lts.export.encodings import Array
from lts.system.files import Draft, make_directory
from lts.system.machine import allowed_cpus
from lts.system.progress import Observer, unobserved
from lts.system.uninterrupted import without_interrupts

_FOLDER, _WEIGHTS = "recovered", "weights.npz"


def recover_member(
    source: SubnetworkSource,
    subnetworks: Subnetworks,
    architecture: Architecture,
    seconds: float,
    *,
    device: str = "cpu",
    lora_rank: int | None = None,
    observe: Observer = unobserved,
) -> Mapping[str, Array]:
    """The weights of a sub-network that was taught for so many seconds what the original says on the texts.

    With `lora_rank`, adapters of that rank learn in place of its weights, and are merged into them (needs peft).

    Its checkpoints are kept: a call that was interrupted goes on, one that has ended gives the same weights at once.

    Raises
    ------
    UsageError
        When there are too few windows, or the weights cannot be written.
    KeyboardInterrupt
        After its state is written, when it was interrupted.
    """
    from lts.compress.recovery import Teaching, recover  # which needs PyTorch

    folder = _folder(source.folder, architecture)
    with without_interrupts() as interrupted:
        found = recover(
            source.original,
            architecture,
            subnetworks.weights(architecture),
            source.windows.calibration,
            folder / "checkpoints",
            Teaching(seconds, lora_rank=lora_rank, device=device),
            threads=len(allowed_cpus()),
            observe=observe,
            stop=interrupted,
        )
    return found.weights


def recovered_weights(folder: Path, architecture: Architecture) -> Mapping[str, Array] | None:
    """What `keep_recovered` has kept of a study with that folder; None where it has not.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    file = _folder(folder, architecture) / _WEIGHTS
    if not file.is_file():
        return None
    try:
        found = np.load(file, allow_pickle=False)
        shapes = {weight.name: weight.shape for weight in weights(architecture)}
        if {*found} != {*shapes}:
            raise ValueError("its weights are of something else")
        return dict(found)
    except (OSError, ValueError, BadZipFile) as error:
        raise UsageError(f"{file} is damaged ({first_line(error)}); remove it to go on without recovery") from None


def keep_recovered(folder: Path, architecture: Architecture, learned: Mapping[str, Array]) -> None:
    """Keep such weights for `recovered_weights`. Raises `UsageError` when they cannot be written."""
    file = _folder(folder, architecture) / _WEIGHTS
    make_directory(file.parent)
    draft = Draft(file)
    try:
        np.savez(draft.file, allow_pickle=False, **learned)
        draft.finish(durable=True)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror or error}") from None
    finally:
        draft.discard()


def _folder(folder: Path, architecture: Architecture) -> Path:
    return folder / _FOLDER / hashlib.sha256(architecture.to_json().encode()).hexdigest()[:16]
