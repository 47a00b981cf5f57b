"""Small models trained on a text that every Python has, for tests of `lts.compress`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from pydoc_data import topics

import numpy as np
import torch

from lts import Architecture
from lts.compress.original import Original
from lts.measure.tokens import Ids
from lts.networks.network import weights_of
from lts.networks.training import Corpus, Recipe, Trainer

LENGTH = 64


@cache
def text() -> bytes:
    return "".join(topics.topics.values()).encode()


@cache
def trained(family: str = "llama", steps: int = 300) -> Original:
    """A model of bytes with three layers, trained for a few seconds."""
    form = {"llama": {"n_kv_head": 2, "qkv_bias": True}, "gpt_neox": {"rotary_dim": 4}}.get(family, {})  # as in Qwen2
    a = Architecture(family, 256, LENGTH, 64, n_head=4, d_ff=96, n_layer=3, head_dim=16, tie_embedding=False, **form)
    recipe = Recipe(steps=steps, batch=16, length=LENGTH - 1)
    torch.set_num_threads(1)  # such small products are no faster on more
    trainer = Trainer(a, Corpus.of(text(), LENGTH - 1), recipe)
    for step in range(steps):
        trainer.step(step)
    return Original(Path("trained"), a, {name: each.copy() for name, each in weights_of(trainer.network).items()})


def windows(n: int, first: int = 0) -> Ids:
    """Windows of the text, (n, LENGTH), far from each other, from the `first` on."""
    data = np.frombuffer(text(), np.uint8).astype(np.int64)
    begins = np.linspace(0, len(data) - LENGTH - 1, 64).astype(int)[first : first + n]
    return data[begins[:, None] + np.arange(LENGTH)]
