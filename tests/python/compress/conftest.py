"""A small decoder that was trained for seconds, as a user has it: in a folder, with files of text."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from reference_models import REASON

import lts
from lts.export import export


class Trained(NamedTuple):
    """The folder of a model as Hugging Face has it, its architecture, and files of text."""

    folder: Path
    architecture: lts.Architecture
    texts: list[Path]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The LLaMA of `trained.trained`, and what it was trained on in three files of alternating pages."""
    torch = pytest.importorskip("torch", reason=REASON)
    torch.set_num_threads(1)
    from trained import text, trained

    original = trained()
    place = tmp_path_factory.mktemp("trained")
    pages = text().decode().split("\n\n")
    texts = [place / "first.txt", place / "second.txt", place / "other.txt"]
    for i, file in enumerate(texts):
        file.write_text("\n\n".join(pages[i::3]), encoding="utf-8")
    export(original.architecture, place / "model", ["hf"], weights=original.weights)
    return Trained(place / "model", original.architecture, texts)
