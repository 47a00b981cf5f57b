"""Runs exported models in ONNX Runtime; used by the tests of `lts.export`."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

import lts
from lts.export import GivenWeights, export
from lts.export.decoder import PHASES, decoder_graph
from lts.export.phases import one_phase


def session(model: Any, **entries: str) -> ort.InferenceSession:
    """A session on one thread, of an `onnx.ModelProto`, its bytes, or a path."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    for key, value in entries.items():
        options.add_session_config_entry("session." + key, value)
    if hasattr(model, "SerializeToString"):
        model = model.SerializeToString()
    return ort.InferenceSession(
        model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
    )


def run(model: ort.InferenceSession, feeds: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """All outputs by name."""
    names = [output.name for output in model.get_outputs()]
    return dict(zip(names, model.run(names, dict(feeds)), strict=True))


def nothing(model: ort.InferenceSession, batch: int) -> dict[str, np.ndarray]:
    """Keys and values, or memory, of no tokens, for the inputs of a session that are that."""
    past = (value for value in model.get_inputs() if value.name.startswith(("past_key_values", "mems")))
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
    return {
        value.name: np.zeros(
            [{"batch": batch}.get(dim, 0) if isinstance(dim, str) else dim for dim in value.shape], types[value.type]
        )
        for value in past
    }


def kept(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a run gives to the next one, by the names of its inputs."""
    return {
        name.replace("present", "past_key_values").replace("new_", ""): value
        for name, value in outputs.items()
        if name != "logits"
    }


class Runner:
    """Prompt pass, then one token at a time, carrying the cache or memory over by the names of inputs and outputs.

    Of one model for both, or of a model for each.
    """

    def __init__(self, prefill: Any, decode: Any = None) -> None:
        self.prefill = session(prefill)
        self.decode = self.prefill if decode is None else session(decode)

    def __call__(self, ids: np.ndarray, n_prompt: int, mask: np.ndarray | None = None) -> list[np.ndarray]:
        """Logits [batch, n_prompt, vocab_size] of the prompt, then [batch, vocab_size] of every further token."""
        mask = np.ones_like(ids) if mask is None else mask
        prompt = {"input_ids": ids[:, :n_prompt], "attention_mask": mask[:, :n_prompt]}
        outputs = run(self.prefill, {**prompt, **nothing(self.prefill, len(ids))})
        logits = [outputs["logits"]]
        for step in range(n_prompt, ids.shape[1]):
            feeds = {"input_ids": ids[:, step : step + 1], "attention_mask": mask[:, : step + 1], **kept(outputs)}
            outputs = run(self.decode, feeds)
            logits.append(outputs["logits"][:, 0])
        return logits


def exported(architecture: lts.Architecture, weights: Any, **sizes: int) -> Runner:
    """The model with these weights; with sizes, both phases."""
    from lts.export import onnx_model

    if not sizes:
        return Runner(onnx_model(architecture, weights=weights))
    return Runner(*(onnx_model(architecture, phase, weights=weights, **sizes) for phase in ("prefill", "decode")))


def export_pair(architecture: lts.Architecture, folder: Path, **options: Any) -> list[Path]:
    """What earlier versions wrote as ``onnx``: a model for each phase, which share their weights."""
    written = export(architecture, folder, ["onnx"], **options)
    pair = []
    for phase in PHASES:
        model = one_phase(folder / "model.onnx", phase)
        assert model is not None
        pair.append(model.rename(folder / f"{phase}.onnx"))
    kept_files = [*pair, folder / "weights.bin"]
    for path in {*written, folder / "manifest.json"} - set(kept_files):
        path.unlink(missing_ok=True)
    return kept_files


def arrays(architecture: lts.Architecture, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that leave no term of the network without influence."""
    random_state = np.random.default_rng(seed)
    result = {}
    for weight in lts.weights(architecture):
        values = random_state.standard_normal(weight.shape, dtype=np.float32)
        if weight.kind == "scale":
            result[weight.name] = 1 + values / 5
        elif weight.kind == "bias":
            result[weight.name] = values / 3
        elif weight.kind == "table":
            result[weight.name] = values / np.float32(np.sqrt(architecture.d_model))
        else:
            result[weight.name] = values * np.float32(1.5 / np.sqrt(weight.shape[0]))
    return result


def tokens(architecture: lts.Architecture, batch: int, length: int, seed: int = 0) -> np.ndarray:
    """Token numbers from all over the vocabulary, [batch, length]."""
    ids = np.random.default_rng(seed).integers(0, architecture.vocab_size, (batch, length))
    edges = [end - 1 for end in architecture.clean_cutoffs] + [0, *architecture.clean_cutoffs[:-1]]
    ids.flat[: len(edges)] = edges[: ids.size]
    return ids


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference in units of the largest value."""
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def draw(family: str, source: random.Random) -> lts.Architecture:
    """An architecture from the ranges of the published spaces (arXiv 2203.02094), with every option of its family."""
    n_layer = source.randint(1, 16)
    d_model = 64 * source.randint(1, 16)
    options: dict[str, Any] = {
        "vocab_size": source.choice([257, 50257, 267735]),
        "n_positions": source.choice([192, 1024]),
        "n_head": [source.choice([2, 4, 8]) for _ in range(n_layer)],
        "d_ff": [64 * source.randint(4, 64) for _ in range(n_layer)],
    }
    traits = lts.family(family)
    if traits.attention == "grouped_query":
        options["n_kv_head"] = [source.choice([k for k in (1, 2, 4, 8) if h % k == 0]) for h in options["n_head"]]
    if traits.head_width == "floor":
        d_model += source.randint(0, 7)
        options["n_head"] = [source.randint(1, 12) for _ in range(n_layer)]
    if traits.embedding == "adaptive" or (traits.adaptive_allowed and source.random() < 0.5):
        cutoffs = source.choice([[], [100], [100, 200, 257], [19997, 39997, 199997, 267735]])
        options["cutoffs"] = cutoffs
        options["div_val"] = source.choice([1, 2, 4])
        options["d_embed"] = source.choice([-1, 128, 256, 512])
        options["tie_projs"] = source.choice([[], [source.random() < 0.5 for _ in range(len(cutoffs) + 1)]])
    elif source.random() < 0.5:
        options["tie_embedding"] = source.random() < 0.5
    if source.random() < 0.2:
        options["head_dim"] = source.choice([16, 32, 80])
    return lts.Architecture(family, d_model=d_model, **options)


def rounded(architecture: lts.Architecture, precision: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights that a quantized model stands for, in float32."""
    source = GivenWeights(given)
    result = {name: np.array(array) for name, array in given.items()}
    for tensor in decoder_graph(architecture, "prefill", precision=precision)[1]:
        if tensor.encoding.rounded is None or len(tensor.shape_of_weights) == 1:
            continue
        values = source.rounded(tensor)
        begin = 0
        for piece in tensor.pieces:
            end = begin + piece.shape[tensor.axis]
            part = np.take(values, range(begin, end), axis=tensor.axis)
            first, last = piece.rows or (0, piece.weight.shape[0])
            result[piece.weight.name][first:last] = part.T if piece.transposed else part
            begin = end
    return result
