"""GGUF files: what llama.cpp computes with them, and what gguf's own reader finds in them, against our networks."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_models
from export_runner import arrays, tokens
from llama_cpp import LlamaModel
from trained_tokenizers import TEXT, trained

import lts
from lts.errors import UsageError
from lts.export import export
from lts.export.gguf_form import check_gguf_form
from lts.export.gguf_random import write_random_gguf
from lts.export.gguf_tensors import TYPES, gguf_tensors, not_quantized
from lts.export.gguf_weights import read_gguf_weights

gguf = pytest.importorskip("gguf", reason="the package gguf is not installed: pip install 'lts-engine[gguf]'")
pytest.importorskip("torch", reason=reference_models.REASON)

GPT2 = lts.Architecture("gpt2", 300, 64, 96, n_head=4, d_ff=160, n_layer=2)
LLAMA = lts.Architecture("llama", 300, 64, 96, n_head=6, n_kv_head=3, d_ff=160, n_layer=2, tie_embedding=True)
NARROW = lts.Architecture("llama", 300, 64, 96, n_head=4, n_kv_head=2, d_ff=128, n_layer=2, head_dim=16)
DECI = lts.Architecture("llama", 300, 64, 96, n_head=[6, 3, 2], n_kv_head=[2, 3, 1], d_ff=[160, 96, 224], head_dim=16)
# Two matrices with rows of 48 numbers, which are no multiple of 32.
ODD = lts.Architecture("llama", 300, 64, 48, n_head=[3, 2], n_kv_head=[1, 2], d_ff=[96, 48], head_dim=16)
KINDS = {"gpt2": GPT2, "llama": LLAMA, "narrow": NARROW, "deci": DECI, "odd": ODD}

SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 32}
BIASES = {"qkv_bias": True, "attention_output_bias": True, "feed_forward_bias": True}
EQUAL: dict[str, Any] = {"n_head": 6, "n_kv_head": 3, "d_ff": 160, "n_layer": 2}
PER_LAYER: dict[str, Any] = {"n_head": [4, 6], "n_kv_head": [2, 3], "d_ff": [160, 64], "head_dim": 16}
PARTS: dict[str, Any] = {"n_head": [6, 0, 6, 0], "n_kv_head": [3, 0, 3, 0], "d_ff": [160, 64, 0, 0], "head_dim": 16}


def llama(**options: Any) -> lts.Architecture:
    return lts.Architecture("llama", 300, 64, 96, **options)


# What they are called here, as what llama.cpp has them, and how far its logits may be off: it has the tanh form of GELU
# alone, and looks it up in float16.
FIELDS: dict[str, tuple[lts.Architecture, str, float]] = {
    "theta": (llama(**EQUAL, rotary_theta=1e5, norm_epsilon=1e-2), "llama", 1e-4),
    "llama 3": (llama(**EQUAL, rotary_theta=500.0, rotary_scaling=SCALING), "llama", 1e-4),
    "llama 3 per layer": (llama(**PER_LAYER, rotary_theta=500.0, rotary_scaling=SCALING), "deci", 1e-4),
    "qwen2": (llama(**EQUAL, qkv_bias=True), "qwen2", 1e-4),
    "qwen2 narrow": (llama(**EQUAL | {"head_dim": 8}, qkv_bias=True), "llama", 1e-4),
    "qwen2 scaled": (llama(**EQUAL, qkv_bias=True, rotary_theta=500.0, rotary_scaling=SCALING), "llama", 1e-4),
    "qwen2 per layer": (llama(**PER_LAYER, qkv_bias=True), "deci", 1e-4),
    "biases": (llama(**EQUAL, **BIASES), "llama", 1e-4),
    "biases per layer": (llama(**PER_LAYER, **BIASES), "deci", 1e-4),
    "parts": (llama(**PARTS), "deci", 1e-4),
    "parts and biases": (llama(**PARTS, **BIASES), "deci", 1e-4),
    "no attention first": (llama(n_head=[0, 6], n_kv_head=[0, 3], d_ff=[160, 0], head_dim=16, **BIASES), "deci", 1e-4),
    "attention alone": (llama(n_head=[6, 4], n_kv_head=[2, 2], d_ff=[0, 0], head_dim=16), "deci", 1e-4),
    "no attention": (llama(n_head=[0, 0], n_kv_head=[0, 0], d_ff=[160, 64], head_dim=16), "deci", 1e-4),
    "an empty layer": (llama(n_head=[6, 0, 6], n_kv_head=[3, 0, 3], d_ff=[160, 0, 160], head_dim=16), "llama", 1e-4),
    "gpt2": (lts.Architecture("gpt2", 300, 64, 96, n_head=6, d_ff=160, n_layer=2, norm_epsilon=1e-2), "gpt2", 5e-3),
    "gpt2 and an empty layer": (
        lts.Architecture("gpt2", 300, 64, 96, n_head=[0, 6], d_ff=[0, 160], head_dim=16),
        "gpt2",
        5e-3,
    ),
    "gpt_neox": (
        lts.Architecture("gpt_neox", 300, 64, 96, n_head=6, d_ff=160, n_layer=2, rotary_dim=4),
        "gptneox",
        1e-2,
    ),
    "gpt_neox, theta": (
        lts.Architecture("gpt_neox", 300, 64, 96, n_head=6, d_ff=160, n_layer=2, rotary_theta=500.0, norm_epsilon=1e-2),
        "gptneox",
        1e-2,
    ),
}


def written(architecture: lts.Architecture, folder: Path, precision: str = "float32", **options: Any) -> Path:
    options = {"weights": arrays(architecture), **options}
    paths = export(architecture, folder, ["gguf"], precision=precision, **options)
    assert folder / "model.gguf" in paths
    return folder / "model.gguf"


def ours(architecture: lts.Architecture, weights: Any, ids: np.ndarray) -> np.ndarray:
    """Logits [ids, tokens] of the plain network, which other tests compare with transformers."""
    return reference_models.logits(architecture, weights, ids[None])[0]


@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_computes_the_same(kind: str, tmp_path: Path) -> None:
    architecture = KINDS[kind]
    path = written(architecture, tmp_path)
    ids = tokens(architecture, 1, 64)[0]
    got = LlamaModel(path).logits(ids)
    expected = ours(architecture, arrays(architecture), ids)
    assert got.shape == (64, 300)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    assert np.std(expected) > 0.1, "there is something to compare"


@pytest.mark.parametrize("name", FIELDS)
def test_what_architectures_of_a_family_differ_in(name: str, tmp_path: Path) -> None:
    architecture, kind, bound = FIELDS[name]
    assert check_gguf_form(architecture) == kind
    ids = tokens(architecture, 1, 64)[0]
    model = LlamaModel(written(architecture, tmp_path))
    expected = ours(architecture, arrays(architecture), ids)
    np.testing.assert_allclose(model.logits(ids), expected, atol=bound)
    changed = family_defaults(architecture)
    if changed != architecture:
        other = ours(changed, arrays(changed), ids)
        assert np.abs(other - expected).max() > 10 * bound, "the fields change what is computed"


def family_defaults(a: lts.Architecture) -> lts.Architecture:
    """The same widths with all else as the family has it."""
    widths = {"n_head": a.n_head, "n_kv_head": a.n_kv_head, "d_ff": a.d_ff, "head_dim": a.head_dim}
    return lts.Architecture(a.family, a.vocab_size, a.n_positions, a.d_model, **widths, tie_embedding=a.tie_embedding)


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", ["parts and biases", "llama 3 per layer", "gpt_neox"])
def test_fields_in_other_precisions(name: str, precision: str, tmp_path: Path) -> None:
    architecture = FIELDS[name][0]
    path = written(architecture, tmp_path, precision)
    ids = tokens(architecture, 1, 32)[0]
    expected = ours(architecture, read_gguf_weights(architecture, path), ids)
    assert rms_error(LlamaModel(path).logits(ids), expected) < 0.05


@pytest.mark.parametrize("name", ["parts", "gpt_neox"])
def test_random_weights_for_measuring(name: str, tmp_path: Path) -> None:
    architecture = FIELDS[name][0]
    path = tmp_path / "model.gguf"
    write_random_gguf(path, architecture, "int8")
    assert np.isfinite(LlamaModel(path).logits([1, 2, 3])).all()


@pytest.mark.parametrize("kind", ["gpt2", "deci"])
def test_llama_cpp_generates_the_same_tokens(kind: str, tmp_path: Path) -> None:
    """The most likely tokens, one step each with the cache, against whole passes of ours."""
    architecture = KINDS[kind]
    path = written(architecture, tmp_path)
    ids = list(tokens(architecture, 1, 8)[0])
    expected = []
    for _ in range(12):
        logits = ours(architecture, arrays(architecture), np.array([*ids, *expected]))
        expected.append(int(logits[-1].argmax()))
    assert LlamaModel(path).generate(ids, 12) == expected


@pytest.mark.parametrize(("precision", "bound"), [("float16", 2e-3), ("int8", 0.05), ("int4", 0.05)])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "deci", "odd"])
def test_other_precisions(kind: str, precision: str, bound: float, tmp_path: Path) -> None:
    """Against our network with the weights that the file holds: what is left is the rounding of activations."""
    architecture = KINDS[kind]
    path = written(architecture, tmp_path, precision)
    ids = tokens(architecture, 1, 32)[0]
    got = LlamaModel(path).logits(ids)
    expected = ours(architecture, read_back(architecture, path, precision), ids)
    assert rms_error(got, expected) < bound
    if precision == "int4":
        assert rms_error(got, ours(architecture, arrays(architecture), ids)) > 2 * bound, "other weights are far off"


def rms_error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2)))


def read_back(architecture: lts.Architecture, path: Path, precision: str) -> dict[str, np.ndarray]:
    """The weights in a GGUF file by our names, read by gguf; rows of q and k as Hugging Face has them."""
    found = {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors
    }
    result: dict[str, np.ndarray] = {}
    for each in gguf_tensors(architecture, precision):
        array = np.asarray(found.pop(each.tensor.name), np.float32)
        if each.heads:  # the inverse of what transformers' own conversion does
            width = array.shape[0] // each.heads
            array = array.reshape(each.heads, width // 2, 2, -1).swapaxes(1, 2).reshape(array.shape)
        begin = 0
        for piece in each.tensor.pieces:
            end = begin + piece.shape[0]
            result[piece.weight.name] = array[begin:end].T if piece.transposed else array[begin:end]
            begin = end
    assert not found, "the file has tensors that the architecture does not have"
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", TYPES)
def test_the_file_holds_the_weights(kind: str, precision: str, tmp_path: Path) -> None:
    architecture, given = KINDS[kind], arrays(KINDS[kind])
    path = written(architecture, tmp_path, precision)
    found = read_back(architecture, path, precision)
    assert found.keys() == given.keys()
    kept = set(not_quantized(architecture, precision))
    assert bool(kept) == (kind in ("deci", "odd") and precision.startswith("int"))
    # A block's largest number is 127 steps of Q8_0, 8 of Q4_0 whose range has 7 on the other side: one step at most.
    step = {"F32": 0, "F16": 2**-11, "Q8_0": 0.6 / 127, "Q4_0": 1.1 / 8}
    for each in gguf_tensors(architecture, precision):
        for piece in each.tensor.pieces:
            name = piece.weight.name
            error = np.abs(found[name] - given[name]).max()
            assert error <= step[each.type] * np.abs(given[name]).max(), name
            assert each.type == "F32" or error > 0


@pytest.mark.parametrize("kind", ["gpt2", "llama", "deci"])
def test_what_the_file_says(kind: str, tmp_path: Path) -> None:
    architecture = KINDS[kind]
    fields = gguf.GGUFReader(written(architecture, tmp_path, "int8")).fields
    said = {name: field.contents() for name, field in fields.items()}
    assert said["general.architecture"] == kind == check_gguf_form(architecture)
    one = kind != "deci"
    expected = {
        "context_length": 64,
        "embedding_length": 96,
        "block_count": architecture.n_layer,
        "vocab_size": 300,
        "attention.head_count": architecture.n_head[0] if one else list(architecture.n_head),
        "feed_forward_length": architecture.d_ff[0] if one else list(architecture.d_ff),
    }
    assert {name: said[f"{kind}.{name}"] for name in expected} == expected
    assert said["tokenizer.ggml.model"] == "no_vocab"
    assert said["general.file_type"] == gguf.LlamaFileType.MOSTLY_Q8_0


@pytest.mark.slow
def test_random_architectures(tmp_path: Path) -> None:
    """Of all shapes, in float32: logits of llama.cpp equal ours to 1e-3; its GELU comes from a table in float16."""
    source = random.Random(5)
    for number in range(20):
        n_layer = source.randint(1, 6)
        heads = [source.choice([1, 2, 4, 6]) for _ in range(n_layer)]
        shapes: dict[str, Any] = {
            "n_head": heads,
            "n_kv_head": [source.choice([k for k in (1, 2, 3) if h % k == 0]) for h in heads],
            "d_ff": [source.randint(1, 9) * 16 for _ in heads],
            "head_dim": source.choice([8, 16, 32, 64]),
            "tie_embedding": source.random() < 0.5,
            "rotary_theta": source.choice([1e4, 1e5]),
            "rotary_scaling": source.choice([None, SCALING]),
            **{name: source.random() < 0.3 for name in BIASES},
        }
        for names in (("n_head", "n_kv_head"), ("d_ff",)):
            gone = [source.random() < 0.2 for _ in heads]
            for name in names:
                shapes[name] = [0 if none else n for n, none in zip(shapes[name], gone, strict=True)]
        if not any(map(sum, zip(shapes["n_head"], shapes["d_ff"], strict=True))):
            shapes["d_ff"][0] = 16
        architecture = lts.Architecture("llama", 200, 48, 16 * source.randint(1, 8), **shapes)
        if source.random() < 0.3:
            n_head = source.choice([1, 2, 4])
            options = {"n_head": n_head, "d_ff": 16 * source.randint(1, 9), "n_layer": n_layer}
            architecture = lts.Architecture("gpt2", 200, 48, 8 * n_head * source.randint(1, 8), **options)
        ids = tokens(architecture, 1, 48, seed=number)[0]
        got = LlamaModel(written(architecture, tmp_path / str(number))).logits(ids)
        expected = ours(architecture, arrays(architecture), ids)
        bound = 1e-3 if architecture.family == "llama" else 5e-3
        np.testing.assert_allclose(got, expected, atol=bound, err_msg=architecture.to_json())


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        (lts.Architecture("gpt2", 300, 64, 96, n_head=[4, 2], d_ff=160), "a GPT-2 whose layers differ"),
        (
            lts.Architecture("gpt2", 300, 64, 96, n_head=4, d_ff=160, n_layer=2, head_dim=16),
            "whose 4 heads of 16 are not as wide as the model, 96",
        ),
        (lts.Architecture("llama", 300, 64, 96, n_head=[6, 3], d_ff=160), "heads of different widths, 16, 32"),
        (lts.Architecture("transformer_xl", 300, 64, 96, n_head=4, d_ff=160, n_layer=2), "family 'transformer_xl'"),
        (
            lts.Architecture("gpt2", 300, 64, 96, n_head=[4, 0], d_ff=160, n_layer=2, head_dim=24),
            "a GPT-2 whose layers differ",
        ),
        (
            lts.Architecture("gpt2", 300, 64, 96, n_head=[4, 4], d_ff=0, n_layer=2),
            "a GPT-2 without feed-forward network",
        ),
        (
            lts.Architecture("gpt2", 300, 64, 96, n_head=4, d_ff=160, n_layer=2, qkv_bias=False),
            "a GPT-2 with qkv_bias false; llama.cpp's has all biases",
        ),
        (
            lts.Architecture("gpt_neox", 300, 64, 96, n_head=4, d_ff=160, n_layer=2, tie_embedding=True),
            "a GPT-NeoX with tie_embedding; llama.cpp's has an output layer",
        ),
        (
            lts.Architecture("gpt_neox", 300, 64, 96, n_head=4, d_ff=160, n_layer=2, rotary_scaling=SCALING),
            "a GPT-NeoX with rotary_scaling",
        ),
        (llama(**EQUAL, rotary_dim=8), "a LLaMA that rotates 8 of the 16 channels of a head"),
        (
            lts.Architecture("gpt2", 300, 64, 96, n_head=4, d_ff=160, n_layer=2, d_embed=48, cutoffs=[300]),
            "an adaptive embedding",
        ),
    ],
)
def test_what_llama_cpp_does_not_run(architecture: lts.Architecture, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        export(architecture, tmp_path / "new", ["onnx", "gguf"])
    assert not (tmp_path / "new").exists(), "it is refused before anything is written"


@pytest.mark.parametrize("precision", ["float16", "int8", "int4"])
def test_numbers_that_are_not_finite(precision: str, tmp_path: Path) -> None:
    weights = arrays(DECI)
    weights["layers.1.up.weight"][0, 3] = np.nan
    with pytest.raises(UsageError, match=r"cannot store 'blk.1.ffn_up.weight' as .*: it holds numbers that are not"):
        written(DECI, tmp_path, precision, weights=weights)
    assert list(tmp_path.iterdir()) == []


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(UsageError, match=r"the package gguf, which is not installed: pip install 'lts-engine\[gguf\]'"):
        export(DECI, tmp_path / "new", ["json", "gguf"])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_llama_cpp_cuts_a_text_the_same(kind: str, tmp_path: Path) -> None:
    tokenizer = trained(tmp_path, kind)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>", "chat_template": "{{ 1 }}"}))
    path = written(DECI, tmp_path / "new", tokenizer=tmp_path)
    text = f"{TEXT}<|end|>You'd 99 it's"
    assert LlamaModel(path).tokenize(text) == tokenizer.encode(text).ids
    fields = gguf.GGUFReader(path).fields
    assert fields["tokenizer.ggml.pre"].contents() == kind
    names = fields["tokenizer.ggml.tokens"].contents()
    assert names[:290] == [tokenizer.id_to_token(i) for i in range(290)]
    assert names[290:] == [f"[PAD{i}]" for i in range(290, 300)]
    assert fields["tokenizer.ggml.eos_token_id"].contents() == tokenizer.token_to_id("<|end|>")
    assert fields["tokenizer.chat_template"].contents() == "{{ 1 }}"


def changed(folder: Path, **fields: Any) -> None:
    """A tokenizer with other fields, by paths such as "model.type"."""
    trained(folder, "gpt-2")
    path = folder / "tokenizer.json"
    said = json.loads(path.read_text())
    for name, value in fields.items():
        place = said
        *above, last = name.split("__")
        for key in above:
            place = place[key]
        place[last] = value
    path.write_text(json.dumps(said))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None}, "it is no tokenizer of Hugging Face"),
        ({"model__type": "Unigram"}, "it is Unigram; tokenizers that merge pairs are written to GGUF"),
        (
            {"model__byte_fallback": True},
            "it merges characters, and prepares texts for that in a way that is not known",
        ),
        ({"normalizer": {"type": "NFC"}}, "it changes a text before it cuts it"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "it cuts texts in a way that is not known; expected one of those"),
        ({"pre_tokenizer": None}, "in a way that is not known"),
        ({"pre_tokenizer__add_prefix_space": True}, "in a way that is not known"),
        ({"model__ignore_merges": True}, "in a way that is not known"),
        ({"model__vocab": []}, "it has no vocabulary"),
        ({"model__vocab": {"a": 0, "b": -1}}, "the token 'b' has the id -1"),
        ({"model__vocab": {"a": 0, "b": "1"}}, "the token 'b' has the id 1; expected a number"),
        ({"model__vocab": {"a": 5, "b": 5}}, "it has two tokens with the id 5"),
        ({"model__vocab": {"a": 10**40}}, "and the model has 300; expected at most as many"),
        ({"added_tokens": [{"id": 4}]}, "one of its added tokens has no text"),
        ({"added_tokens": [{"id": 290, "content": "a"}]}, "it has the same token under two ids"),
        ({"added_tokens": [{"id": 300, "content": "new"}]}, "it has 301 tokens, and the model has 300"),
        ({"model__merges": [1]}, "not as expected"),
        ({"model__merges": ["a b", 1]}, "its merges are no texts"),
        ({"post_processor": 7}, "not as expected"),
    ],
)
def test_a_tokenizer_that_does_not_fit(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    changed(tmp_path, **fields)
    with pytest.raises(UsageError, match=message) as raised:
        written(DECI, tmp_path / "new", tokenizer=tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'tokenizer.json'}: ")
    assert not (tmp_path / "new").exists()


def test_a_tokenizer_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*tokenizer.json: No such file .*; expected a folder with"):
        written(DECI, tmp_path / "new", tokenizer=tmp_path)
    (tmp_path / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match=r"tokenizer.json is no JSON"):
        written(DECI, tmp_path / "new", tokenizer=tmp_path)
    (tmp_path / "tokenizer.json").write_text("7")
    with pytest.raises(UsageError, match=r"it is no tokenizer of Hugging Face"):
        written(DECI, tmp_path / "new", tokenizer=tmp_path)
    with pytest.raises(UsageError, match="a tokenizer is put into GGUF files; add gguf to the formats"):
        export(DECI, tmp_path / "new", ["json"], tokenizer=tmp_path)
    assert not (tmp_path / "new").exists()
