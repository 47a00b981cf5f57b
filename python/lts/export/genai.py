"""What onnxruntime-genai needs to know of an exported model: `genai_config.json`."""

from __future__ import annotations

from typing import Any

from lts._core import Architecture
from lts.export.builder import attending


def genai_config(architecture: Architecture, cache: str = "copied", *, position_ids: bool = False) -> dict[str, Any]:
    """The content of `genai_config.json` for a `model.onnx` beside it, with greedy search up to its positions.

    Where heads differ from layer to layer, onnxruntime-genai (from 0.18 on) reads them from the model. Its layers are
    those that have keys and values. No token ends a
    text: a tokenizer's is put into ``eos_token_id``.

    Parameters
    ----------
    architecture
        Of a family with keys and values, with attention in one layer at least.
    cache, position_ids
        As the model was exported.
    """
    a = architecture
    first, n_caches = attending(a)[0], len(attending(a))
    inputs = {
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        **({"position_ids": "position_ids"} if position_ids else {}),
        "past_key_names": "past_key_values.%d.key",
        "past_value_names": "past_key_values.%d.value",
    }
    decoder = {
        "session_options": {"provider_options": []},
        "filename": "model.onnx",
        "head_size": a.head_dims[first],
        "hidden_size": a.d_model,
        "num_attention_heads": a.n_head[first],
        "num_hidden_layers": n_caches,
        "num_key_value_heads": a.n_kv_head[first],
        "inputs": inputs,
        "outputs": {
            "logits": "logits",
            "present_key_names": "present.%d.key",
            "present_value_names": "present.%d.value",
        },
    }
    model = {
        "type": "decoder",
        "vocab_size": a.vocab_size,
        "context_length": a.n_positions,
        "bos_token_id": 0,
        "eos_token_id": [],
        "pad_token_id": 0,
        "decoder": decoder,
    }
    search = {"max_length": a.n_positions, "do_sample": False, "past_present_share_buffer": cache == "in_place"}
    return {"model": model, "search": search}
