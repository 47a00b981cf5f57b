"""The form of decoders that is compiled to generate."""

from __future__ import annotations

import pytest

import lts
from lts.errors import UsageError
from lts.export.decoder import decoder_graph
from lts.export.generation import generates, generation_graph, generation_model
from lts.export.weights import StructureOnly

LLAMA = lts.SearchSpace.load("llama-edge").sample(1, 0)[0]
XL = lts.Architecture(family="transformer_xl", d_model=8, n_layer=1, n_head=2, d_ff=8, vocab_size=10, n_positions=8)


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int4"])
@pytest.mark.parametrize("architecture", [LLAMA, lts.SearchSpace.load("gpt2-tiny").sample(1, 0)[0]])
def test_weights_are_those_of_the_other_forms(architecture: lts.Architecture, precision: str) -> None:
    own = generation_graph(architecture, precision)[1]
    others = decoder_graph(architecture, "prefill", logits="last", precision=precision)[1]
    assert [(tensor.name, tensor.shape) for tensor in own] == [(tensor.name, tensor.shape) for tensor in others]


def test_every_layer_has_its_attention_and_cache() -> None:
    graph = generation_model(LLAMA, weights=StructureOnly()).graph
    nodes = [node for node in graph.node if node.op_type == "CachedAttention"]
    heads = [{entry.name: entry.i for entry in node.attribute} for node in nodes]
    assert [(each["n_head"], each["n_kv_head"]) for each in heads] == list(
        zip(LLAMA.n_head, LLAMA.n_kv_head, strict=True)
    )
    inputs = [value.name for value in graph.input]
    caches = [f"{part}.{layer}" for layer in range(LLAMA.n_layer) for part in ("keys", "values")]
    assert inputs == ["input_ids", "past_length", "row", *caches]
    assert [value.name for value in graph.output] == ["logits", "hidden"]


def test_what_remembers_inputs_of_layers_does_not_generate() -> None:
    assert generates(LLAMA)
    assert not generates(XL)
    with pytest.raises(UsageError, match="transformer_xl remembers the inputs of its layers, not keys and values"):
        generation_model(XL)
