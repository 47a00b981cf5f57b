"""Search spaces in the words of their files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from lts._core import SearchSpace
from lts.spaces.space import CHOICES, FIXED, RULES, SHARED


def written(space: SearchSpace) -> dict[str, str]:
    """What a file says of the space: TOML by dotted key, ``{"choices.n_layer": "{min = 2, max = 8}"}``.

    What is as if it were not given is left out. Lines ``key = value`` of it are a file of the space.
    """
    known = {key: value for key, value in space.options.items() if value not in _UNSAID.get(key, (None,))}
    found = {key: _toml(known[key]) for key in ("name", "family")}
    chosen = {key for key in CHOICES if isinstance(known.get(key), list)}  # head_dim may be a choice, or fixed
    found |= {f"fixed.{key}": _toml(known[key]) for key in FIXED if key in known and key not in chosen}
    found |= {f"choices.{key}": _toml_choices(known[key]) for key in CHOICES if key in chosen}
    if shared := [name for name in SHARED if known.get(f"shared_{name}")]:
        found["rules.shared"] = _toml(shared)
    for key in RULES[1:]:
        if key in known:
            bounds = key.endswith("_params")
            value = dict(zip(("min", "max"), known[key], strict=True)) if bounds else known[key]
            found[f"rules.{key}"] = _toml(value)
    return found


# What the options of a space are where its file says nothing.
_UNSAID: Mapping[str, tuple[Any, ...]] = {
    "head_dim": (0,),
    "n_head": ([],),
    "heads": ([],),
    "cutoffs": ([],),
    "tie_projs": ([],),
    "n_kv_head": ([],),
    "d_ff": ([],),
    "d_ff_ratio": ([],),
    "bias": ([],),
    "d_embed": ([-1],),
    "div_val": ([1],),
    "min_ff_ratio": (0.0,),
    "head_dims": ([],),
    "decoder_params": ((None, None),),
    "total_params": ((None, None),),
}


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {_toml(each)}' for key, each in value.items() if each is not None)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value)


def _toml_choices(values: list[Any]) -> str:
    """Four or more integers with the same distance as a range."""
    if type(values[0]) is not int:
        return _toml(values)
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(values) < 4 or len(steps) > 1:
        return _toml(values)
    step = steps.pop()
    return _toml({"min": values[0], "max": values[-1], "step": step if step > 1 else None})
