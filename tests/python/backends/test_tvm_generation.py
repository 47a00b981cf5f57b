"""Decoders that TVM compiles to generate, as pretrained models have them: logits are those of transformers' classes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from export_runner import arrays, relative_error, tokens
from transformers_classes import KINDS, logits, model
from tvm_models import Generator

import lts
from lts.export.files import export
from lts.export.generation import write_generation
from lts.jobs.job import GENERATION
from lts.targets.target import detect_target

pytest.importorskip("tvm", reason="apache-tvm is not installed")
pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from lts.backends.tvm.compile import build

CLOSE = 2e-5


def compiled(architecture: lts.Architecture, weights: dict[str, np.ndarray], folder: Path) -> Generator:
    export(architecture, folder, ["onnx"], weights=weights)
    path, _ = write_generation(architecture, folder, "float32", weights)
    build(str(path), str(folder / "out"), asdict(detect_target()), GENERATION, {}, architecture.vocab_size)
    return Generator(folder / "out", {"weights.bin": folder / "weights.bin"})


def architecture(family: str, **options: object) -> lts.Architecture:
    return lts.Architecture(family, 131, 300, 48, head_dim=12, rotary_theta=1e5, norm_epsilon=1e-6, **options)


ARCHITECTURES = {
    "llama": architecture(
        "llama",
        n_head=[4, 0, 4],
        n_kv_head=[2, 0, 2],
        d_ff=[40, 40, 0],
        rotary_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 16},
    ),
    "qwen2": architecture("llama", n_head=4, n_kv_head=1, d_ff=40, n_layer=1, qkv_bias=True),
    "gpt_neox": architecture("gpt_neox", n_head=[4, 4, 0], d_ff=[40, 0, 40], rotary_dim=4),
    "empty layers": architecture("llama", n_head=[0, 4, 0], n_kv_head=[0, 4, 0], d_ff=[0, 40, 0]),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    """A prompt, single tokens, and several behind what is cached."""
    weights, ids = arrays(ARCHITECTURES[name]), tokens(ARCHITECTURES[name], 1, 60)
    kind = name if name in KINDS else "llama"
    expected = logits(model(kind, ARCHITECTURES[name], weights), ids)[0]
    generator, end = compiled(ARCHITECTURES[name], weights, tmp_path), 0
    for size in (20, 1, 1, 30, 1, 7):
        end += size
        found = generator.step(ids[0, end - size : end].tolist())
        assert relative_error(found, expected[end - 1]) < CLOSE, end
