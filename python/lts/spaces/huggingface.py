"""Architectures from a `config.json` of Hugging Face: GPT-2, LLaMA, Mistral, and the per-layer form of lts-engine.

Such a file may name code beside it, by which `transformers` builds the model. That is never run here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lts._core import Architecture, families, family
from lts.errors import UsageError

# What a GPT-2 may call its activation: forms of GELU that cost the same.
_GELU = ("gelu_new", "gelu", "gelu_fast", "gelu_pytorch_tanh")
_SILU = ("silu", "swish")
# What a Mistral has where its configuration does not say.
_MISTRAL_WINDOW, _MISTRAL_KV_HEADS = 4096, 8
# What the per-layer form says of a family; numbers in it change no cost.
_TRAITS = (
    "attention",
    "attention_bias",
    "feed_forward",
    "feed_forward_bias",
    "norm",
    "norm_placement",
    "final_norm",
    "position",
    "encoder",
)


def architecture_of(config: Mapping[str, Any]) -> Architecture:
    """The architecture that a configuration describes. What changes neither parameters nor costs is not looked at:
    the base of rotary positions, epsilons, dropout, token ids.

    Raises
    ------
    UsageError
        For another kind of model, a field that is missing, or one with which the model would be another one.
    """
    kind = config.get("model_type")
    read = _KINDS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise UsageError(f"unknown model_type '{str(kind)[:60]}'; expected {', '.join(_KINDS)}")
    try:
        return read(config)
    except KeyError as error:
        raise UsageError(f"the configuration has no {error}, which a {kind} needs") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise UsageError(" ".join(str(error).split())) from None


def _gpt2(config: Mapping[str, Any]) -> Architecture:
    _must(config, "activation_function", _GELU)
    _must(config, "add_cross_attention", (False,))
    width = config["n_embd"]
    inner = config.get("n_inner")
    return Architecture(
        "gpt2",
        vocab_size=config["vocab_size"],
        n_positions=config["n_positions"],
        d_model=width,
        n_head=config["n_head"],
        d_ff=4 * width if inner is None else inner,
        n_layer=config["n_layer"],
        tie_embedding=_flag(config, "tie_word_embeddings", default=True),
    )


def _llama(config: Mapping[str, Any]) -> Architecture:
    _must(config, "hidden_act", _SILU)
    _must(config, "attention_bias", (False,))
    _must(config, "mlp_bias", (False,))
    width, n_head = config["hidden_size"], config["num_attention_heads"]
    head_dim, n_kv_head = config.get("head_dim"), config.get("num_key_value_heads")
    return Architecture(
        "llama",
        vocab_size=config["vocab_size"],
        n_positions=config["max_position_embeddings"],
        d_model=width,
        n_head=n_head,
        n_kv_head=n_head if n_kv_head is None else n_kv_head,
        d_ff=config["intermediate_size"],
        n_layer=config["num_hidden_layers"],
        head_dim=0 if head_dim is None or head_dim * n_head == width else head_dim,
        tie_embedding=_flag(config, "tie_word_embeddings", default=False),
    )


def _mistral(config: Mapping[str, Any]) -> Architecture:
    """A LLaMA, unless a sliding window hides tokens from it."""
    window = config.get("sliding_window", _MISTRAL_WINDOW)
    if window is not None and window < config["max_position_embeddings"]:
        raise UsageError(f"its sliding_window is {str(window)[:60]}; only null, or all positions, can be built here")
    n_kv_head = config.get("num_key_value_heads", _MISTRAL_KV_HEADS)
    return _llama({**config, "num_key_value_heads": n_kv_head, "attention_bias": None, "mlp_bias": None})


def _per_layer(config: Mapping[str, Any]) -> Architecture:
    name, layers, width = config["family"], config["layers"], config["d_model"]
    known = [each.name for each in families()]
    if name not in known:
        raise UsageError(f"unknown family '{str(name)[:60]}'; expected one of {', '.join(known)}")
    traits = family(name)
    for trait in _TRAITS:
        _must(config, trait, (getattr(traits, trait),))
    if type(layers) is not list or not layers or not all(type(layer) is dict for layer in layers):
        raise UsageError("its layers must be a list of objects with n_head, n_kv_head, head_dim and d_ff")
    of = {key: [layer[key] for layer in layers] for key in ("n_head", "n_kv_head", "head_dim", "d_ff")}
    mixed: dict[str, Any] = {}
    if traits.mixed:
        mixed = {key: [layer[key] for layer in layers] for key in ("n_ff", "mixer")}
    floor = traits.head_width == "floor"
    if all(dim == width // n_head and (floor or width % n_head == 0) for dim, n_head in _pairs(of)):
        head_dim = 0
    elif len(set(of["head_dim"])) == 1:
        head_dim = of["head_dim"][0]
    else:
        raise UsageError("its layers have heads of several widths that are not d_model / n_head")
    adaptive = config.get("adaptive")
    return Architecture(
        name,
        vocab_size=config["vocab_size"],
        n_positions=config["n_positions"],
        d_model=width,
        n_head=of["n_head"],
        n_kv_head=of["n_kv_head"],
        d_ff=of["d_ff"],
        head_dim=head_dim,
        d_embed=config.get("d_embed", -1) if adaptive else -1,
        div_val=config.get("div_val", 1) if adaptive else 1,
        cutoffs=config.get("cutoffs", []) if adaptive else [],
        tie_projs=config.get("tie_projs", []) if adaptive else [],
        tie_embedding=_flag(config, "tie_embedding", default=traits.tie_embedding),
        **mixed,
    )


def _pairs(of: Mapping[str, list[int]]) -> list[tuple[int, int]]:
    return list(zip(of["head_dim"], of["n_head"], strict=True))


def _must(config: Mapping[str, Any], name: str, allowed: tuple[Any, ...]) -> None:
    """Refuse what would be another model than the one that is counted and measured."""
    if (value := config.get(name)) is not None and value not in allowed:
        expected = " or ".join(map(_json, allowed))
        raise UsageError(f"its {name} is {_json(value)[:60]}; only {expected} can be built here")


def _json(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flag(config: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = config.get(name)
    if value is None:
        return default
    if type(value) is not bool:
        raise UsageError(f"its {name} is {str(value)[:60]}; expected true or false")
    return value


_KINDS: dict[str, Callable[[Mapping[str, Any]], Architecture]] = {
    "gpt2": _gpt2,
    "llama": _llama,
    "mistral": _mistral,
    "lts": _per_layer,
}
