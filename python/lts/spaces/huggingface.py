"""Architectures from a `config.json` of Hugging Face: GPT-2, GPT-NeoX, LLaMA, Mistral, Qwen2, and our per-layer form.

Such a file may name code beside it, by which `transformers` builds the model. That is never run here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lts._core import Architecture, families, family
from lts.errors import UsageError
from lts.spaces.configuration import Configuration, number, require, shown

# The names of one function each: GELU by tanh, exact GELU, SiLU.
_GELU, _GELU_ERF, _SILU = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh"), ("gelu", "gelu_python"), ("silu", "swish")
# What a configuration means that does not say it, as transformers has it.
_ROTARY_THETA, _RMS_EPSILON, _LAYER_EPSILON = 10_000.0, 1e-6, 1e-5
_MISTRAL_WINDOW, _MISTRAL_KV_HEADS = 4096, 8
_QWEN2_WINDOW, _QWEN2_WINDOW_LAYERS, _QWEN2_KV_HEADS = 4096, 28, 32
_NEOX_ROTARY = 0.25
# What the per-layer form says of a family.
_TRAITS = ("attention", "feed_forward", "norm", "norm_placement", "parallel", "final_norm", "position", "encoder")
_LAYER = ("n_head", "n_kv_head", "head_dim", "d_ff")


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a configuration describes, which computes what the model does.

    What changes nothing in an inference pass is not looked at, such as dropout, initialization and token ids.

    Raises
    ------
    UsageError
        For another kind of model, a field that is missing, and every field with which it would be another model than
        the one that is counted, measured and exported here.
    """
    kind = config.get("model_type")
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise UsageError(f"unknown model_type '{shown(kind)}'; expected {', '.join(_KINDS)}")
    fields = Configuration(config, str(kind))
    try:
        architecture = Architecture(**read(fields))
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(" ".join(str(error).split())) from None
    fields.finish()
    return architecture


def _gpt2(fields: Configuration) -> dict[str, Any]:
    fields.must("activation_function", _GELU, _GELU[0])
    fields.must("add_cross_attention", (False,), default=False)
    fields.must("scale_attn_weights", (True,), default=True)
    fields.must("scale_attn_by_inverse_layer_idx", (False,), default=False)
    width = fields.size("n_embd")
    return {
        "family": "gpt2",
        "vocab_size": fields.size("vocab_size"),
        "n_positions": fields.size("n_positions"),
        "d_model": width,
        "n_head": fields.size("n_head"),
        "d_ff": fields.size("n_inner", 4 * width),
        "n_layer": fields.size("n_layer"),
        "norm_epsilon": fields.number("layer_norm_epsilon", _LAYER_EPSILON),
        "tie_embedding": fields.flag("tie_word_embeddings", default=True),
    }


def _decoder(fields: Configuration) -> dict[str, Any]:
    """What configurations of LLaMA's kind and GPT-NeoX call by the same names."""
    fields.must("is_causal", (True,), default=True)
    return {
        "vocab_size": fields.size("vocab_size"),
        "n_positions": fields.size("max_position_embeddings"),
        "d_model": fields.size("hidden_size"),
        "n_head": fields.size("num_attention_heads"),
        "d_ff": fields.size("intermediate_size"),
        "n_layer": fields.size("num_hidden_layers"),
        "tie_embedding": fields.flag("tie_word_embeddings", default=False),
    }


def _llama_like(fields: Configuration, n_kv_head: int | None = None) -> dict[str, Any]:
    """A LLaMA without biases, which has that many `n_kv_head` where the configuration has no such field."""
    fields.must("hidden_act", _SILU, _SILU[0])
    found = _decoder(fields)
    width, n_head = found["d_model"], found["n_head"]
    head_dim = fields.size("head_dim", 0)
    if fields.given("num_key_value_heads", n_kv_head) is None:
        n_kv_head = n_head
    rotary, rotated = _rotary(fields, "rope_theta", "partial_rotary_factor", 1.0)
    if rotated != 1.0:
        raise UsageError(
            f"its partial_rotary_factor is {shown(rotated)}; the class of transformers rotates whole heads"
        )
    return {
        "family": "llama",
        **found,
        "n_kv_head": fields.size("num_key_value_heads", n_kv_head),
        "head_dim": 0 if head_dim * n_head == width else head_dim,
        "norm_epsilon": fields.number("rms_norm_eps", _RMS_EPSILON),
        **rotary,
    }


def _llama(fields: Configuration) -> dict[str, Any]:
    bias = fields.flag("attention_bias", default=False)
    return {
        **_llama_like(fields),
        "qkv_bias": bias,
        "attention_output_bias": bias,
        "feed_forward_bias": fields.flag("mlp_bias", default=False),
    }


def _mistral(fields: Configuration) -> dict[str, Any]:
    """A LLaMA, unless a sliding window hides tokens from it."""
    found = _llama_like(fields, _MISTRAL_KV_HEADS)
    _all_positions(fields.given("sliding_window", _MISTRAL_WINDOW), found["n_positions"])
    return found


def _qwen2(fields: Configuration) -> dict[str, Any]:
    """A LLaMA with biases of queries, keys and values, unless a sliding window hides tokens from some layers."""
    found = _llama_like(fields, _QWEN2_KV_HEADS)
    window = fields.given("sliding_window", _QWEN2_WINDOW)
    first = fields.size("max_window_layers", _QWEN2_WINDOW_LAYERS)
    if fields.flag("use_sliding_window", default=False) and first < found["n_layer"]:
        _all_positions(window, found["n_positions"])
    return {**found, "qkv_bias": True}


def _all_positions(window: Any, n_positions: int) -> None:
    if window is not None and not (type(window) is int and window >= n_positions):
        raise UsageError(f"its sliding_window is {shown(window)}; only null, or all positions, can be built here")


def _gpt_neox(fields: Configuration) -> dict[str, Any]:
    fields.must("hidden_act", _GELU_ERF, _GELU_ERF[0])
    fields.must("use_parallel_residual", (True,), default=True)
    found = _decoder(fields)
    bias = fields.flag("attention_bias", default=True)
    rotary, rotated = _rotary(fields, "rotary_emb_base", "rotary_pct", _NEOX_ROTARY)
    width = found["d_model"] // found["n_head"] if found["n_head"] > 0 else 0
    if width and not 1 <= int(width * rotated) <= width:
        raise UsageError(f"its rotary_pct is {shown(rotated)}; expected a part of a head, above 0 and at most 1")
    return {
        "family": "gpt_neox",
        **found,
        "rotary_dim": int(width * rotated) if rotated != 1 else 0,
        "norm_epsilon": fields.number("layer_norm_eps", _LAYER_EPSILON),
        "qkv_bias": bias,
        "attention_output_bias": bias,
        **rotary,
    }


def _rotary(fields: Configuration, theta: str, part: str, whole: float) -> tuple[dict[str, Any], float]:
    """What the configuration says of rotary positions, and which part of a head is rotated.

    Releases of transformers before 5 write `rope_scaling` and fields beside it, later ones all in `rope_parameters`.
    """
    table, older = dict(fields.table("rope_parameters")), fields.table("rope_scaling")
    if table and older and table != older:
        raise UsageError("it has rope_scaling and another rope_parameters; expected one of them")
    table = table or dict(older)
    base = _agreed(fields, table, ("rope_theta", theta), _ROTARY_THETA)
    rotated = _agreed(fields, table, ("partial_rotary_factor", part), whole)
    kind = table.pop("type", None)
    kind = table.pop("rope_type", kind)
    require("rope_scaling", "default" if kind is None else kind, ("default", "llama3"))
    original = fields.get("original_max_position_embeddings", table.pop("original_max_position_embeddings", None))
    found: dict[str, Any] = {"rotary_theta": base}
    if kind == "llama3":
        names = ("factor", "low_freq_factor", "high_freq_factor")
        if missing := [name for name in names if table.get(name) is None]:
            raise UsageError(f"its rope_scaling is llama3 and has no '{missing[0]}'")
        found["rotary_scaling"] = {
            **{name: number(name, table.pop(name)) for name in names},
            "original_positions": fields.size("max_position_embeddings") if original is None else original,
        }
    for name, value in table.items():
        require(f"{shown(name)} of rope_scaling", value, (None,))
    return found, rotated


def _agreed(fields: Configuration, table: dict[str, Any], names: tuple[str, ...], default: float) -> float:
    """A number that may stand in a table, under the first of the names, and beside it, under all of them."""
    said = [(name, fields.get(name)) for name in names] + [
        (f"{names[0]} of rope_parameters", table.pop(names[0], None))
    ]
    given = {name: number(name, value) for name, value in said if value is not None}
    if len(set(given.values())) > 1:
        raise UsageError("its " + " and its ".join(f"{n} is {v}" for n, v in given.items()) + "; expected one value")
    return next(iter(given.values()), default)


def _per_layer(fields: Configuration) -> dict[str, Any]:
    name, layers, width = fields.needed("family"), fields.needed("layers"), fields.size("d_model")
    known = [each.name for each in families()]
    if name not in known:
        raise UsageError(f"unknown family '{shown(name)}'; expected one of {', '.join(known)}")
    traits = family(name)
    for trait in _TRAITS:
        fields.must(trait, (getattr(traits, trait),), getattr(traits, trait))
    names = _LAYER + (("n_ff", "mixer") if traits.mixed else ())
    if type(layers) is not list or not layers or not all(type(layer) is dict for layer in layers):
        raise UsageError("its layers must be a list of objects with n_head, n_kv_head, head_dim and d_ff")
    for index, layer in enumerate(layers):
        if wrong := sorted(set(names) ^ set(layer)):
            raise UsageError(f"its layer {index} {'lacks' if wrong[0] in names else 'has'} '{shown(wrong[0])}'")
    of = {key: [layer[key] for layer in layers] for key in names}
    adaptive = fields.flag("adaptive", default=False)
    embedding = {key: fields.get(key) for key in ("d_embed", "div_val", "cutoffs", "tie_projs")}
    for key in ("auto_map", "n_layer"):
        fields.get(key)
    # One field in files of earlier versions.
    bias = fields.flag("attention_bias", default=traits.attention_bias)
    scaling = fields.table("rotary_scaling")
    return {
        "family": name,
        "vocab_size": fields.size("vocab_size"),
        "n_positions": fields.size("n_positions"),
        "d_model": width,
        **{key: values for key, values in of.items() if key != "head_dim"},
        "head_dim": _head_dim(of, width, floor=traits.head_width == "floor"),
        "norm_epsilon": fields.number("norm_epsilon", traits.norm_epsilon),
        "rotary_theta": fields.number("rotary_theta", traits.rotary_theta),
        "rotary_dim": fields.size("rotary_dim", 0),
        "rotary_scaling": dict(scaling) or None,
        "qkv_bias": fields.flag("qkv_bias", default=bias),
        "attention_output_bias": fields.flag("attention_output_bias", default=bias),
        "feed_forward_bias": fields.flag("feed_forward_bias", default=traits.feed_forward_bias),
        **({key: value for key, value in embedding.items() if value is not None} if adaptive else {}),
        "tie_embedding": fields.flag("tie_embedding", default=traits.tie_embedding),
    }


def _head_dim(of: Mapping[str, list[int]], width: int, *, floor: bool) -> int:
    """The width of heads as an architecture is given it; a layer without heads says one only where that is given."""
    heads = [(dim, n_head) for dim, n_head in zip(of["head_dim"], of["n_head"], strict=True) if dim or n_head]
    if all(n_head and dim == width // n_head and (floor or width % n_head == 0) for dim, n_head in heads):
        return 0
    if len({dim for dim, _ in heads}) == 1:
        return heads[0][0]
    raise UsageError("its layers have heads of several widths that are not d_model / n_head")


_KINDS: dict[str, Callable[[Configuration], dict[str, Any]]] = {
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "mistral": _mistral,
    "qwen2": _qwen2,
    "lts": _per_layer,
}
