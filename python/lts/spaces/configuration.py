"""A `config.json` of Hugging Face as its readers see it: typed fields, and nothing that is overlooked.

A class of transformers ignores fields that it does not know, but whoever wrote one may have had another release in
mind, or code of their own. What a reader here did not ask for is therefore refused where its name says that it changes
what is computed, unless its value says that it does not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from lts.errors import UsageError

_SHOWN = 60  # characters of a value in a sentence
# Words that begin a part of a name that changes what is computed, in families that we know and so perhaps in others.
_COMPUTED = re.compile(
    r"(?:^|_)(?:act|alibi|attn|attention|bias|bidirectional|bottleneck|cap|causal|clip|compress|conv|cross|embd|embed"
    r"|encoder|expert|factor|feed|ffn|gate|head|hidden|hybrid|inner|kernel|key|kv|layer|linear|logit|lora|mamba|memory|mixer"
    r"|mlp|moe|mtp|mup|multiplier|nope|norm|parallel|partial|per_layer|pos|pruned|qk|quant|query|recurrent|residual|rms"
    r"|rope|rotary|rout|scal|share|skip|soft|sparse|ssm|state|swa|tie|tied|use_bias|value|width|window)"
)
# Names with such words that change nothing: of what is private, only in training, implemented otherwise, or given out.
_HARMLESS = re.compile(
    r"_.*|.*drop.*|.*flash.*|attn_implementation|attention_implementation|reorder_and_upcast_attn|summary_.*"
    r"|output_(attentions|hidden_states|router_logits|scores|logits)|.*_token_id"
)
# What some of them say where nothing is changed.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "is_causal": (True,),
    "position_embedding_type": ("absolute",),
    "tie_encoder_decoder": (False,),
}


class Configuration:
    """The fields of a model.

    A field that is null is one that is not there, for which classes have a default.

    Parameters
    ----------
    fields
        The content of the file.
    kind
        Its `model_type`.
    """

    def __init__(self, fields: Mapping[str, Any], kind: str) -> None:
        self._fields = fields
        self._kind = kind
        self._asked = {"model_type"}

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a field as it is."""
        self._asked.add(name)
        value = self._fields.get(name)
        return default if value is None else value

    def given(self, name: str, absent: Any) -> Any:
        """The value of a field that means something where it is null; `absent` where it is not there at all."""
        self._asked.add(name)
        return self._fields.get(name, absent)

    def needed(self, name: str) -> Any:
        """The value of a field that has no default. Raises `UsageError` without it."""
        value = self.get(name)
        if value is None:
            raise UsageError(f"the configuration has no '{name}', which a {self._kind} needs")
        return value

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number. Raises `UsageError` for anything else, and without one that has no default."""
        value = self.needed(name) if default is None else self.get(name, default)
        if type(value) is not int:
            raise UsageError(f"its {name} is {shown(value)}; expected a whole number")
        return value

    def number(self, name: str, default: float) -> float:
        """A finite number. Raises `UsageError` for anything else."""
        return number(name, self.get(name, default))

    def flag(self, name: str, default: bool) -> bool:
        """Raises `UsageError` for anything but true and false."""
        value = self.get(name, default)
        if type(value) is not bool:
            raise UsageError(f"its {name} is {shown(value)}; expected true or false")
        return value

    def table(self, name: str) -> Mapping[str, Any]:
        """An object; empty where there is none. Raises `UsageError` for anything else."""
        value = self.get(name, {})
        if not isinstance(value, dict):
            raise UsageError(f"its {name} is {shown(value)}; expected an object")
        return value

    def must(self, name: str, allowed: tuple[Any, ...], default: Any) -> None:
        """Refuse, with `UsageError`, a value with which this would be another model."""
        require(name, self.get(name, default), allowed)

    def finish(self) -> None:
        """Refuse, with `UsageError`, what nobody asked for and what would change what is computed."""
        if self._fields.get("quantization_config"):
            raise UsageError(
                "its quantization_config says that its weights are quantized; expected the model that they were made "
                "from, or one saved after dequantizing them"
            )
        asked = "auto_map" in self._asked
        if not asked and (own := [name for name in self.table("auto_map") if name.startswith("AutoModel")]):
            raise UsageError(
                f"its auto_map names code of its own for {shown(own[0])}, which is never run here; only the classes of "
                "transformers are known"
            )
        for name, types in self._fields.items():
            if name.endswith("layer_types") and name not in self._asked and types is not None:
                self._asked.add(name)
                for each in types if isinstance(types, list) else [types]:
                    require(name, each, ("full_attention",))
        for name, value in self._fields.items():
            if name not in self._asked and not _changes_nothing(name, value):
                raise UsageError(
                    f"its {shown(name)} is {shown(value)}, which is not known of a {self._kind} here; an export could "
                    "be another model"
                )


def number(name: str, value: Any) -> float:
    """A finite number. Raises `UsageError` for anything else."""
    if type(value) not in (int, float) or not math.isfinite(value):
        raise UsageError(f"its {name} is {shown(value)}; expected a number")
    return float(value)


def require(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Refuse, with `UsageError`, a value with which this would be another model than the one that is built."""
    if not any(type(value) is type(each) and value == each for each in allowed):
        expected = " or ".join(map(shown, allowed))
        raise UsageError(f"its {name} is {shown(value)}; only {expected} can be built here")


def shown(value: object) -> str:
    """A value of the file, as it stands there, in a sentence."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _changes_nothing(name: str, value: Any) -> bool:
    if value is None or value in (False, "", 0) or value == [] or value == {}:
        return True
    if _HARMLESS.fullmatch(name) or value in _NEUTRAL.get(name, ()):
        return True
    if value == 1 and type(value) in (int, float) and re.search("scal|factor|multiplier", name):
        return True
    return _COMPUTED.search(name) is None
