"""The architecture that the metadata of a GGUF file describe, whoever wrote it."""

from __future__ import annotations

from typing import Any

import numpy as np

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import BLOCK
from lts.export.gguf_file import GgufFile
from lts.export.gguf_form import SCALED, GgufForm
from lts.export.gguf_tensors import ROTARY_FACTORS
from lts.export.rotary_factors import scaling_of
from lts.system.outside import printable, sentence

_FAMILIES = {"llama": "llama", "qwen2": "llama", "deci": "llama", "gpt2": "gpt2", "gptneox": "gpt_neox"}
_TABLE, _OUTPUT = "token_embd.weight", "output.weight"

# What is read of a model, beside what only says how a file came about; all else must be absent or switch nothing on.
_READ = {
    "context_length",
    "embedding_length",
    "block_count",
    "vocab_size",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scaling.original_context_length",
    "use_parallel_residual",
    "rope.scaling.finetuned",
    "tensor_data_layout",
}
_OFF: dict[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.scale": (0.0,),
    "attention.sliding_window": (0,),
    "attention.clamp_kqv": (0.0,),
    "attention.max_alibi_bias": (0.0,),
    "expert_count": (0,),
    "expert_used_count": (0,),
    "rope.scaling.type": ("none", "linear"),  # the factor says by how much
    "rope.scaling.factor": (0.0, 1.0),
    "rope.scale_linear": (0.0, 1.0),
    "rope.scaling.attn_factor": (1.0,),
    "embedding_scale": (0.0, 1.0),
    "residual_scale": (0.0, 1.0),
    "logit_scale": (0.0, 1.0),
}


def read_architecture(file: GgufFile) -> tuple[Architecture, GgufForm]:
    """The architecture of a model, and how the file has it.

    Raises
    ------
    UsageError
        When the file holds something else, says less than is needed, or says something with which it would be another
        model than can be built here.
    """
    kind = file.text("general.architecture")
    if kind not in _FAMILIES:
        raise UsageError(
            f"{file.path}: its architecture is {sentence(kind, 60)}; expected one of {', '.join(_FAMILIES)}"
        )
    _check_general(file)
    _check_known(file, kind)
    said = _Said(file, kind)
    try:
        return said.architecture(), said.form
    except UsageError:
        raise
    except ValueError as error:  # of the core, about widths that do not fit one another
        raise UsageError(f"{file.path}: {sentence(error)}") from None


def _check_general(file: GgufFile) -> None:
    what = file.text("general.type", "model")
    if what != "model":
        raise UsageError(f"{file.path} holds no model but {sentence(what, 60)}; give the file of the model")
    parts = file.whole("split.count", 1)
    if parts > 1:
        raise UsageError(f"{file.path} is one of {parts} parts of a model; join them with llama-gguf-split --merge")


def _check_known(file: GgufFile, kind: str) -> None:
    """Refuse what would be another model than the one that is built."""
    for key in file.keys:
        name = key.removeprefix(f"{kind}.")
        if name == key or name in _READ or (value := file.value(key)) in _OFF.get(name, ()):
            continue
        without = " or ".join(map(str, _OFF[name])) if name in _OFF else "a model without it"
        raise UsageError(
            f"{file.path}: its {printable(key)} is {sentence(value, 60)}; only {without} can be built here"
        )


class _Said:
    """What the metadata of one kind of model say."""

    def __init__(self, file: GgufFile, kind: str) -> None:
        self.file, self.kind, self.family = file, kind, _FAMILIES[kind]
        self.n_layer = self.whole("block_count")
        if self.n_layer < 1:
            raise UsageError(f"{file.path}: its {kind}.block_count is 0; expected at least one layer")
        self.n_head = self.of_layers("attention.head_count")
        self.n_kv_head = self.of_layers("attention.head_count_kv", self.n_head)
        self.d_ff = self.of_layers("feed_forward_length")
        self.d_model = self.whole("embedding_length")
        self.head_dim = self.width_of_heads()
        self.form = GgufForm(
            kind,
            layers=tuple(range(self.n_layer)),
            n_head=tuple(self.n_head),
            n_kv_head=tuple(self.n_kv_head),
            d_ff=tuple(self.d_ff),
            head_dim=self.head_dim,
        )

    def whole(self, name: str, default: int | None = None) -> int:
        return self.file.whole(f"{self.kind}.{name}", default)

    def of_layers(self, name: str, default: list[int] | None = None) -> list[int]:
        return self.file.of_layers(f"{self.kind}.{name}", self.n_layer, default)

    def has(self, tensor: str) -> bool:
        """Whether some layer has a tensor."""
        return any(f"blk.{i}.{tensor}" in self.file.tensors for i in range(self.n_layer))

    def width_of_heads(self) -> int:
        """The width of a head, and that of its values, which is the same."""
        n_head = self.n_head[0]
        default = self.d_model // n_head if n_head else None
        width = self.whole("attention.key_length", default)
        values = self.whole("attention.value_length", default)
        if values != width:
            raise UsageError(
                f"{self.file.path}: its keys are {width} wide and its values {values}; expected the same width"
            )
        return width

    def architecture(self) -> Architecture:
        path, kind, rotary = self.file.path, self.kind, self.family != "gpt2"
        if self.kind == "deci":
            self.check_deci()
            self.leave_out_filling()
        if kind == "gptneox" and not self.file.flag(f"{kind}.use_parallel_residual", True):
            raise UsageError(f"{path}: its {kind}.use_parallel_residual is false; only true can be built here")
        if len(self.file.shape(_TABLE) if _TABLE in self.file.tensors else ()) != 2:
            raise UsageError(f"{path} has no table '{_TABLE}'; expected the weights of a language model")
        wide = all(n_head and n_head * self.head_dim == self.d_model for n_head in self.n_head)
        norm = "attention.layer_norm_rms_epsilon" if self.family == "llama" else "attention.layer_norm_epsilon"
        options: dict[str, Any] = {}
        if rotary:
            theta = self.file.number(f"{kind}.rope.freq_base", 10000.0)
            rotated = self.whole("rope.dimension_count", self.head_dim)
            options = {
                "rotary_theta": theta,
                "rotary_dim": 0 if rotated == self.head_dim else rotated,
                "rotary_scaling": self.scaling(theta),
            }
        if self.family == "llama":
            options |= {
                "n_kv_head": self.n_kv_head,
                "qkv_bias": self.has("attn_q.bias"),
                "attention_output_bias": self.has("attn_output.bias"),
                "feed_forward_bias": self.has("ffn_down.bias"),
            }
        vocab_size = self.file.shape(_TABLE)[0]
        if (said := self.whole("vocab_size", vocab_size)) != vocab_size:
            raise UsageError(f"{path}: its {kind}.vocab_size is {said}, and its '{_TABLE}' has {vocab_size} rows")
        return Architecture(
            self.family,
            vocab_size=vocab_size,
            n_positions=self.whole("context_length"),
            d_model=self.d_model,
            n_head=self.n_head,
            d_ff=self.d_ff,
            head_dim=0 if wide else self.head_dim,
            tie_embedding=self.tied(),
            norm_epsilon=self.file.number(f"{kind}.{norm}"),
            **options,
        )

    def check_deci(self) -> None:
        """What llama.cpp computes with a layer that lacks parts is not always what one would think."""
        for i, (n_head, n_kv_head, d_ff) in enumerate(zip(self.n_head, self.n_kv_head, self.d_ff, strict=True)):
            if n_head and not n_kv_head:
                raise UsageError(
                    f"{self.file.path}: layer {i} has {n_head} heads and none of keys and values, a matrix in place of "
                    "attention; only attention, or none, can be built here"
                )
            if n_head and not d_ff:
                raise UsageError(
                    f"{self.file.path}: layer {i} has attention and no feed-forward network; llama.cpp leaves out the "
                    "attention, too, so that what is meant is not known"
                )

    def leave_out_filling(self) -> None:
        """Take the parts that `lts.export.gguf_form` adds because llama.cpp needs them for none."""
        if (self.n_head[0], self.n_kv_head[0]) == (1, 1) and self.adds_nothing("blk.0.attn_output"):
            self.n_head[0] = self.n_kv_head[0] = 0
        for i, d_ff in enumerate(self.d_ff):
            if d_ff == BLOCK and self.adds_nothing(f"blk.{i}.ffn_down"):
                self.d_ff[i] = 0

    def adds_nothing(self, matrix: str) -> bool:
        has, weight, bias = self.file.tensors, f"{matrix}.weight", f"{matrix}.bias"
        return weight in has and bias not in has and not self.file.array(weight).any()

    def scaling(self, theta: float) -> dict[str, Any] | None:
        """The rule by which its wavelengths are scaled."""
        if self.kind not in SCALED or ROTARY_FACTORS not in self.file.tensors:
            return None
        factors = self.file.array(ROTARY_FACTORS)
        if factors.shape != (self.head_dim // 2,):
            raise UsageError(
                f"{self.file.path}: '{ROTARY_FACTORS}' has shape {list(factors.shape)}; expected [{self.head_dim // 2}]"
            )
        if (factors == 1).all():
            return None
        scaling = scaling_of(factors, theta, self.whole("rope.scaling.original_context_length", 0) or None)
        if scaling is None:
            raise UsageError(
                f"{self.file.path}: its '{ROTARY_FACTORS}' do not follow the rule of Llama 3, the only one that can be "
                "built here"
            )
        return scaling

    def tied(self) -> bool:
        """Whether the output layer is the embedding: absent, or the same numbers again."""
        if _OUTPUT not in self.file.tensors:
            return True
        return self.file.shape(_OUTPUT) == self.file.shape(_TABLE) and np.array_equal(
            self.file.array(_OUTPUT), self.file.array(_TABLE)
        )
