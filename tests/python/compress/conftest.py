"""A small decoder that was trained for seconds, and the text that it was trained on."""

from __future__ import annotations

from pathlib import Path
from pydoc_data.topics import topics
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
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A LLaMA of 190 thousand parameters over bytes, trained on half of Python's documentation of its topics."""
    torch = pytest.importorskip("torch", reason=REASON)
    from lts.networks.training import Corpus, Recipe, Trainer

    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("trained")
    pages = [topics[name] for name in sorted(topics)]
    texts = [place / "first.txt", place / "second.txt", place / "other.txt"]
    for i, file in enumerate(texts):
        file.write_text("\n".join(pages[i::3]), encoding="utf-8")
    architecture = lts.Architecture(
        "llama", vocab_size=256, n_positions=128, d_model=64, n_head=4, n_kv_head=2, d_ff=192, n_layer=4
    )
    recipe = Recipe(120, batch=8, length=127, lr=4e-3)
    trainer = Trainer(architecture, Corpus.of(b"".join(file.read_bytes() for file in texts[:2]), 127), recipe)
    for step in range(recipe.steps):
        trainer.step(step)
    weights = {name: p.detach().numpy() for name, p in trainer.network.by_name.items()}
    export(architecture, place / "model", ["hf"], weights=weights)
    return Trained(place / "model", architecture, texts)
