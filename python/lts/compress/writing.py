"""Sub-networks as files: with their weights, and with what belongs to the tokenizer of the original."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.compress.recovering import recovered_weights
from lts.compress.source import KEY, stored_source
from lts.compress.zeros import Zeroed
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.files import export
from lts.measure.pretrained import TOKENIZER
from lts.study.exportable import Exportable, origin_of
from lts.study.schema import store_path
from lts.targets.workload import Workload

# What stands beside a tokenizer and belongs to it.
_BESIDE = (TOKENIZER, "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt", "vocab.txt")


def with_weights(members: Sequence[Exportable], source: str, *, zeros: bool = False) -> list[Exportable]:
    """Members of a study that a user names, those of sub-networks with their weights, after recovery where they were
    recovered; others stay as they are.

    With `zeros`, in the shape of the whole model: see `lts.compress.zeros.Zeroed`.

    Raises
    ------
    UsageError
        When the model that was compressed, or what was found out about it, is gone; with `zeros`, for members of
        another study.
    """
    if not members or KEY not in members[0].configuration:
        if zeros:
            raise UsageError(
                f"{source} has no sub-network of a trained model, whose shape hf-zeros has; export it as hf"
            )
        return [*members]
    study = source.rpartition("#")[0] if not Path(source).exists() else source
    found = stored_source(store_path(Path(study)), members[0].configuration)
    subnetworks = found.open()
    tokenizer = found.original.tokenizer

    def weights_of(architecture: Architecture) -> Mapping[str, Array]:
        return recovered_weights(found.folder, architecture) or subnetworks.weights(architecture)

    made = [replace(each, weights=weights_of(each.architecture), tokenizer=tokenizer) for each in members]
    if not zeros:
        return made
    whole = found.original.architecture

    def zeroed(member: Exportable) -> Mapping[str, Array]:
        assert member.weights is not None
        return Zeroed(whole, member.weights, subnetworks.kept(member.architecture))

    return [replace(each, architecture=whole, weights=zeroed(each)) for each in made]


def write_member(member: Exportable, folder: Path, formats: Iterable[str], **options: Any) -> list[Path]:
    """Write a sub-network in some formats; `options` are those of `lts.export.export`.

    The tokenizer comes along: into a GGUF file, and beside the files of Hugging Face and ONNX.
    """
    formats = tuple(formats)
    load = Workload.of(member.configuration)
    if "gguf" in formats and member.tokenizer is not None:
        options.setdefault("tokenizer", member.tokenizer.parent)
    origin = origin_of(member.trial, load)
    files = export(member.architecture, folder, formats, weights=member.weights, origin=origin, **options)
    if {"hf", "onnx"} & {*formats}:
        copy_tokenizer(member.tokenizer, folder)
    return files


def copy_tokenizer(tokenizer: Path | None, folder: Path) -> None:
    """Copy the files of a tokenizer, where there is one, into the folder of a model."""
    if tokenizer is None:
        return
    for name in _BESIDE:
        file = tokenizer.with_name(name)
        if file.is_file() and file.resolve() != (folder / name).resolve():
            try:
                shutil.copyfile(file, folder / name)
            except OSError as error:
                raise UsageError(f"cannot write {folder / name}: {error.strerror or error}") from None
