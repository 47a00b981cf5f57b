"""Which of llama.cpp's architectures an architecture is, and with which layers.

GPT-2 with equal layers is its architecture ``gpt2``, GPT-NeoX ``gptneox``, LLaMA ``llama``, and with biases of queries,
keys and values alone ``qwen2``; other LLaMAs are ``deci``, whose loader reads heads, heads of keys and values and
feed-forward widths layer by layer, but one width of a head for all.
"""

from __future__ import annotations

from dataclasses import dataclass

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import BLOCK

# llama.cpp's limit of layers.
_MOST_LAYERS = 512
_FAMILIES = {"gpt2": "GPT-2", "llama": "LLaMA", "gpt_neox": "GPT-NeoX"}
# What llama.cpp's llama and deci rotate by: they take a tensor of factors, the others do not.
SCALED = ("llama", "deci")


@dataclass(frozen=True)
class GgufForm:
    """How llama.cpp has an architecture.

    Attributes
    ----------
    name
        Of llama.cpp's architecture, such as ``deci``.
    layers
        The layers that the file has, by their places in the architecture: those without any weights are left out.
    n_head, n_kv_head, d_ff
        Of these layers in the file. Where a layer has no attention or no feed-forward network and llama.cpp needs one,
        it has the smallest, all of whose weights are zeros.
    head_dim
        The width of a head.
    """

    name: str
    layers: tuple[int, ...]
    n_head: tuple[int, ...]
    n_kv_head: tuple[int, ...]
    d_ff: tuple[int, ...]
    head_dim: int

    @property
    def equal(self) -> bool:
        """Whether all layers of the file have the same widths."""
        return len(set(zip(self.n_head, self.n_kv_head, self.d_ff, strict=True))) == 1


def check_gguf_form(architecture: Architecture) -> str:
    """The name of llama.cpp's architecture that this one is. Raises as `gguf_form`."""
    return gguf_form(architecture).name


def gguf_form(architecture: Architecture) -> GgufForm:
    """How llama.cpp has an architecture.

    Raises
    ------
    UsageError
        When it does not, with what it would take.
    """
    a = architecture
    if a.family not in _FAMILIES:
        raise UsageError(f"there is no GGUF form of the family '{a.family}'; llama.cpp runs {', '.join(_FAMILIES)}")
    if a.adaptive:
        raise UsageError("there is no GGUF form of an adaptive embedding; llama.cpp has one table as wide as the model")
    layers = tuple(i for i in range(a.n_layer) if a.n_head[i] or a.d_ff[i])
    if len(layers) > _MOST_LAYERS:
        raise UsageError(f"the architecture has {len(layers)} layers; llama.cpp runs at most {_MOST_LAYERS}")
    form = GgufForm(
        name="",
        layers=layers,
        n_head=tuple(a.n_head[i] for i in layers),
        n_kv_head=tuple(a.n_kv_head[i] for i in layers),
        d_ff=tuple(a.d_ff[i] for i in layers),
        head_dim=_width(a),
    )
    return _llama(a, form) if a.family == "llama" else _equal_layers(a, form)


def _width(a: Architecture) -> int:
    widths = list(dict.fromkeys(width for n_head, width in zip(a.n_head, a.head_dims, strict=True) if n_head))
    if len(widths) > 1 and a.family == "llama":
        raise UsageError(
            f"there is no GGUF form of heads of different widths, {', '.join(map(str, widths))}; llama.cpp has one for "
            "all layers, which a space sets with head_dim"
        )
    return widths[0] if widths else a.head_dim


def _llama(a: Architecture, form: GgufForm) -> GgufForm:
    if a.rotary_dim not in (0, form.head_dim):
        raise UsageError(
            f"there is no GGUF form of a LLaMA that rotates {a.rotary_dim} of the {form.head_dim} channels of a head; "
            "llama.cpp rotates all of them"
        )
    whole = form.equal and form.n_head[0] and form.d_ff[0]
    if not whole:
        return _filled(form)
    as_wide = form.n_head[0] * form.head_dim == a.d_model
    as_qwen2 = a.qkv_bias and not (a.attention_output_bias or a.feed_forward_bias or a.rotary_scaling)
    return _named(form, "qwen2" if as_qwen2 and as_wide else "llama")


def _equal_layers(a: Architecture, form: GgufForm) -> GgufForm:
    """The form of a GPT-2 or GPT-NeoX."""
    name = _FAMILIES[a.family]
    if not form.equal:
        raise UsageError(f"there is no GGUF form of a {name} whose layers differ; llama.cpp runs those that are equal")
    if not (form.n_head[0] and form.d_ff[0]):
        part = "feed-forward network" if form.n_head[0] else "attention"
        raise UsageError(f"there is no GGUF form of a {name} without {part}; llama.cpp has both in every layer")
    if form.n_head[0] * form.head_dim != a.d_model:
        raise UsageError(
            f"there is no GGUF form of a {name} whose {form.n_head[0]} heads of {form.head_dim} are not as wide as the"
            f" model, {a.d_model}"
        )
    for bias in ("qkv_bias", "attention_output_bias", "feed_forward_bias"):
        if not getattr(a, bias):
            raise UsageError(f"there is no GGUF form of a {name} with {bias} false; llama.cpp's has all biases")
    if a.family == "gpt2":
        return _named(form, "gpt2")
    if a.rotary_scaling:
        raise UsageError(
            f"there is no GGUF form of a {name} with rotary_scaling; llama.cpp scales those of LLaMA alone"
        )
    if a.tie_embedding:
        raise UsageError(f"there is no GGUF form of a {name} with tie_embedding; llama.cpp's has an output layer")
    return _named(form, "gptneox")


def _named(form: GgufForm, name: str) -> GgufForm:
    return GgufForm(name, form.layers, form.n_head, form.n_kv_head, form.d_ff, form.head_dim)


def _filled(form: GgufForm) -> GgufForm:
    """The form as ``deci``, with what llama.cpp cannot do without.

    It leaves out the attention of a layer without feed-forward network, too, and takes the first layer's heads for a
    sign of whether the model has any.
    """
    n_head, n_kv_head = list(form.n_head), list(form.n_kv_head)
    if n_head[0] == 0:
        n_head[0] = n_kv_head[0] = 1
    d_ff = tuple(width or BLOCK for width in form.d_ff)
    return GgufForm("deci", form.layers, tuple(n_head), tuple(n_kv_head), d_ff, form.head_dim)
