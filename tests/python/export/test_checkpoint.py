"""Weights that other programs wrote: every form of names, in one file or several, and what is wrong with them."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lts
from lts.errors import UsageError
from lts.export.checkpoint import read_checkpoint
from lts.export.huggingface import safetensors_header, tensors
from lts.export.safetensors import read_tensors
from lts.export.weights import Piece, RandomWeights, Tensor
from lts.measure.pretrained import read_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from safetensors.torch import save_file  # noqa: E402

from lts.networks.network import Network  # noqa: E402

GPT2 = lts.Architecture("gpt2", 60, 16, 24, n_head=2, d_ff=40, n_layer=2)
LLAMA = lts.Architecture("llama", 60, 16, 24, n_head=2, n_kv_head=1, d_ff=40, n_layer=2)
PER_LAYER = lts.Architecture("gpt2", 60, 16, 24, n_head=[2, 4], d_ff=[40, 56], n_layer=2)
XL = lts.Architecture("transformer_xl", 60, 16, 24, n_head=5, d_ff=40, n_layer=1, cutoffs=[20, 60], div_val=2)


def theirs(architecture: lts.Architecture) -> Any:
    """The class of transformers, with random weights."""
    torch.manual_seed(0)
    common: dict[str, Any] = {"vocab_size": architecture.vocab_size, "initializer_range": 0.2}
    if architecture.family == "gpt2":
        config = transformers.GPT2Config(n_positions=16, n_embd=24, n_layer=2, n_head=2, n_inner=40, **common)
        return transformers.GPT2LMHeadModel(config)
    config = transformers.LlamaConfig(
        max_position_embeddings=16,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        rms_norm_eps=1e-5,
        **common,
    )
    return transformers.LlamaForCausalLM(config)


def same_logits(architecture: lts.Architecture, path: Path, model: Any) -> None:
    """Weights read from a checkpoint compute in our own network what the model computes."""
    ids = torch.arange(12)[None]
    with torch.no_grad():
        ours = Network(architecture, read_weights(architecture, path))(ids)
        torch.testing.assert_close(ours, model.eval()(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("architecture", [GPT2, LLAMA], ids=["gpt2", "llama"])
def test_what_transformers_writes(architecture: lts.Architecture, tmp_path: Path) -> None:
    """As one file, in parts, without its output layer, and by the names that wrappers give."""
    model = theirs(architecture)
    model.save_pretrained(tmp_path / "whole")
    same_logits(architecture, tmp_path / "whole", model)
    same_logits(architecture, tmp_path / "whole" / "model.safetensors", model)
    model.save_pretrained(tmp_path / "parts", max_shard_size="12KB")
    assert len(list((tmp_path / "parts").glob("model-*.safetensors"))) > 1
    same_logits(architecture, tmp_path / "parts", model)
    same_logits(architecture, tmp_path / "parts" / "model.safetensors.index.json", model)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}  # with a tied output, if it is
    for wrapper in ("_orig_mod.", "module."):
        save_file({wrapper + name: tensor for name, tensor in state.items()}, tmp_path / "wrapped.safetensors")
        same_logits(architecture, tmp_path / "wrapped.safetensors", model)
    if architecture.tie_embedding:
        bare = {f"{name}": tensor.clone() for name, tensor in model.transformer.state_dict().items()}
        masks = {f"h.{i}.attn.bias": torch.ones(1, 1, 16, 16, dtype=torch.uint8) for i in range(2)}
        save_file(bare | masks, tmp_path / "body.safetensors")
        same_logits(architecture, tmp_path / "body.safetensors", model)


def test_what_a_trainer_writes(tmp_path: Path) -> None:
    """Loss falls, and the checkpoint that is read is what was trained."""
    model = theirs(LLAMA)
    data = [{"input_ids": torch.tensor(ids), "labels": torch.tensor(ids)} for ids in np.arange(96).reshape(8, 12) % 60]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=3, save_steps=3, report_to=[], use_cpu=True, disable_tqdm=True
    )
    transformers.Trainer(model=model, args=arguments, train_dataset=data).train()
    same_logits(LLAMA, tmp_path / "checkpoint-3", model)


@pytest.mark.parametrize("architecture", [GPT2, LLAMA, PER_LAYER, XL], ids=["gpt2", "llama", "per-layer", "xl"])
def test_what_a_network_writes(architecture: lts.Architecture, tmp_path: Path) -> None:
    source = RandomWeights(5)
    network = Network(architecture, source)
    save_file(network.state_dict(), tmp_path / "network.safetensors")
    arrays = {weight.name: torch.tensor(source.array(weight)) for weight in lts.weights(architecture)}
    save_file(arrays, tmp_path / "inventory.safetensors")
    for name in ("network", "inventory"):
        read = read_checkpoint(architecture, tmp_path / f"{name}.safetensors")
        assert set(read) == set(arrays)
        for weight in lts.weights(architecture):
            np.testing.assert_array_equal(read[weight.name], source.array(weight))


def changed(state: dict[str, Any], **tensors: Any) -> dict[str, Any]:
    return {name: tensor for name, tensor in (state | tensors).items() if tensor is not None}


WTE = "transformer.wte.weight"
NAN = torch.full((60, 24), 0.5)
NAN[30, 3] = torch.nan
HUGE = torch.full((60, 24), 1e300, dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: changed(s, **{WTE: None}), f"lacks the tensor '{WTE}', which this architecture has"),
        (lambda s: {"a": torch.ones(2)}, r"has 'a', and no tensor of this architecture, such as '.*wte\.weight'"),
        (lambda s: {}, "is empty, and no tensor of this architecture"),
        (lambda s: changed(s, extra=torch.ones(2)), "has 'extra', which this architecture does not have"),
        (lambda s: changed(s, **{"a.lora_A.weight": torch.ones(2)}), "merge the adapter first, with merge_and_unload"),
        (lambda s: changed(s, **{WTE: NAN}), f"'{WTE}' has values that are no finite numbers"),
        (lambda s: changed(s, **{WTE: HUGE}), f"'{WTE}' has values that are no finite numbers"),
        (lambda s: changed(s, **{WTE: torch.ones(24, 60)}), r"has shape \[24, 60\]; this architecture has \[60, 24\]"),
        (lambda s: changed(s, **{WTE: torch.ones(60, 24, dtype=torch.int32)}), "has type I32; expected one of F64"),
        (lambda s: changed(s, **{"lm_head.weight": torch.ones(60, 24)}), "is not the token embedding, and this archit"),
    ],
)
def test_wrong_tensors(change: Callable[[dict[str, Any]], dict[str, Any]], message: str, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in theirs(GPT2).state_dict().items() if name != "lm_head.weight"}
    path = tmp_path / "model.safetensors"
    save_file(change(state), path)
    with pytest.raises(UsageError, match=message) as caught:
        read_checkpoint(GPT2, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_wrong_parts(tmp_path: Path) -> None:
    theirs(LLAMA).save_pretrained(tmp_path, max_shard_size="12KB")
    index = tmp_path / "model.safetensors.index.json"
    whole = json.loads(index.read_text())
    (name, part), *_ = whole["weight_map"].items()
    for places, message in (
        (whole["weight_map"] | {name: "model-99.safetensors"}, "model-99.safetensors is missing, which"),
        (whole["weight_map"] | {"more": part}, f"{part} lacks 'more', which"),
        (whole["weight_map"] | {name: f"../{tmp_path.name}/{part}"}, "is no index of tensors"),
        (whole["weight_map"] | {name: 3}, "is no index of tensors"),
        ({}, "is no index of tensors"),
    ):
        index.write_text(json.dumps({"weight_map": places}))
        with pytest.raises(UsageError, match=message):
            read_checkpoint(LLAMA, tmp_path)
    index.write_text(json.dumps(whole))
    (tmp_path / part).unlink()
    with pytest.raises(UsageError, match=rf"{part} is missing, which .* names; the checkpoint is incomplete"):
        read_checkpoint(LLAMA, tmp_path)


def test_pickles_are_not_read(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"weight": Trap()}, tmp_path / "pytorch_model.bin")
    for path in (tmp_path, tmp_path / "pytorch_model.bin"):
        with pytest.raises(UsageError, match="write it with save_pretrained or"):
            read_checkpoint(GPT2, path)
    assert not (tmp_path / "sprung").exists()


def test_the_configuration_beside_the_weights_must_agree(tmp_path: Path) -> None:
    """Shapes alone do not tell two heads of 12 from four of 6, or one base of rotary positions from another."""
    model = theirs(GPT2)
    model.save_pretrained(tmp_path)
    other = lts.Architecture("gpt2", 60, 16, 24, n_head=4, d_ff=40, n_layer=2)
    read_checkpoint(other, tmp_path)
    with pytest.raises(UsageError, match=r"another architecture: n_head \[2, 2\], not \[4, 4\]; n_kv_head"):
        read_weights(other, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_epsilon": 1e-3}))
    with pytest.raises(UsageError, match=r"another architecture: norm_epsilon 0\.001, not 1e-05"):
        read_weights(GPT2, tmp_path)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_of_every_type(dtype: Any, tmp_path: Path) -> None:
    """Also subnormal ones, in a tensor without elements, and where a number lies at an odd place."""
    values = torch.randn(7, 5).to(dtype)
    values[0, :3] = torch.tensor([1e-40, -6e-8, 6e4]).to(dtype)
    saved = {"a": torch.ones(3, dtype=torch.float16), "b": values, "c": torch.ones(0, 4, dtype=dtype)}
    save_file(saved, tmp_path / "some.safetensors")
    read = read_tensors(tmp_path / "some.safetensors")
    for name, tensor in saved.items():
        read[name].check()
        np.testing.assert_array_equal(read[name].array(), tensor.float().numpy())
    values[6, 4] = torch.inf
    save_file(saved, tmp_path / "some.safetensors")
    assert np.isfinite(read["b"].array()).all(), "the file that was opened is still read after it was replaced"
    with pytest.raises(UsageError, match="'b' has values that are no finite numbers"):
        read_tensors(tmp_path / "some.safetensors")["b"].check()


def test_memory(tmp_path: Path) -> None:
    """A checkpoint is checked in pieces, and takes memory for one weight at a time."""
    architecture = lts.Architecture("llama", 2**17, 64, 256, n_head=4, n_layer=3, d_ff=2048, tie_embedding=False)
    path = tmp_path / "model.safetensors"
    header = safetensors_header(tensors(architecture))
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 4 * lts.total_params(architecture))  # zeros, which take no place
    tracemalloc.start()
    try:
        read = read_checkpoint(architecture, path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
        assert sum(read[name].size for name in read) == lts.total_params(architecture)
        assert tracemalloc.get_traced_memory()[1] < (4 << 17) * 256 + (64 << 20)  # its embedding
    finally:
        tracemalloc.stop()


def test_heads_that_alternate() -> None:
    """Rows of a tensor that holds query, key and value head by head: head, one of the three, row of the head."""
    architecture = lts.Architecture("gpt2", 60, 16, 24, n_head=4, d_ff=40, n_layer=1)
    inventory = {weight.name: weight for weight in lts.weights(architecture)}
    source, names = RandomWeights(5, std=1.0), ["query", "key", "value"]
    pieces = tuple(Piece(inventory[f"layers.0.{name}.weight"], transposed=True) for name in names)
    tensor = Tensor("fused", pieces, interleaved=4)
    fused = source.assemble(tensor)
    assert fused.shape == tensor.shape == (72, 24)
    for head in range(4):
        for i, piece in enumerate(pieces):
            expected = source.array(piece.weight)[:, 6 * head : 6 * head + 6].T
            np.testing.assert_array_equal(fused.reshape(4, 3, 6, 24)[head, i], expected)
    for i, piece in enumerate(pieces):
        np.testing.assert_array_equal(tensor.weight(fused, i), source.array(piece.weight))


BILLION = """
import json, re, sys
from pathlib import Path
from lts import total_params
from lts.measure.pretrained import read_pretrained

model = read_pretrained(Path(sys.argv[1]))
size = sum(model.weights[name].size for name in model.weights)
# Not ru_maxrss, which begins with what the process that has started this one takes.
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps([total_params(model.architecture), size, peak]))
"""


@pytest.mark.slow
def test_a_billion_weights_in_half_a_gigabyte(tmp_path: Path) -> None:
    """A LLaMA of TinyLlama's widths in bfloat16: opened, all of it looked at, and every weight given out in float32."""
    architecture = lts.Architecture("llama", 32000, 2048, 2048, n_head=32, n_kv_head=4, d_ff=5632, n_layer=22)
    config = transformers.LlamaConfig(
        vocab_size=32000,
        hidden_size=2048,
        intermediate_size=5632,
        num_hidden_layers=22,
        num_attention_heads=32,
        num_key_value_heads=4,
        rms_norm_eps=1e-5,
    )
    config.save_pretrained(tmp_path)
    header, end = {}, 0
    for tensor in tensors(architecture):
        begin, end = end, end + 2 * tensor.size
        header[tensor.name] = {"dtype": "BF16", "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    block = torch.randn(1 << 22).to(torch.bfloat16).view(torch.int16).numpy().tobytes()
    path = tmp_path / "model.safetensors"
    try:
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for begin in range(0, end, len(block)):
                file.write(block[: end - begin])
        done = subprocess.run(
            [sys.executable, "-c", BILLION, tmp_path], capture_output=True, text=True, check=True, timeout=300
        )
    finally:
        path.unlink()
    expected, size, kilobytes = json.loads(done.stdout)
    assert size == expected == 1_100_048_384
    assert kilobytes < 512 << 10
