"""The dimensions of an architecture by name, for tables: what tells those of one space apart."""

from __future__ import annotations

from lts._core import Architecture
from lts.system.text import runs

PerLayer = tuple[int, ...] | tuple[str, ...]


def dimensions(architecture: Architecture) -> dict[str, int | PerLayer]:
    """The dimensions that an architecture of its family has; those of layers are tuples, from first to last."""
    a = architecture
    found: dict[str, int | PerLayer] = {
        "n_layer": a.n_layer,
        "d_model": a.d_model,
        "n_head": tuple(a.n_head),
        "d_ff": tuple(a.d_ff),
    }
    if a.traits.mixed:
        found |= {"mixer": tuple(a.mixer), "n_ff": tuple(a.n_ff)}
    if a.traits.attention == "grouped_query":
        found["n_kv_head"] = tuple(a.n_kv_head)
    if a.adaptive:
        found |= {"d_embed": a.embedding_width, "div_val": a.div_val}
    return found


def in_words(architecture: Architecture) -> dict[str, str]:
    """The same as text, repeated layers counted, without `n_kv_head` where it is `n_head`."""
    found = dimensions(architecture)
    if found.get("n_kv_head") == found["n_head"]:
        del found["n_kv_head"]
    return {name: str(value) if isinstance(value, int) else runs(value) for name, value in found.items()}
