"""Dimensions in which a front lies at the edge of its space: where to doubt the space, or the proxy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lts._core import Architecture, Objective, SearchSpace, analytic, analytic_names
from lts.spaces.space import choices

_LAYERED = ("n_head", "n_kv_head", "d_ff")
_DIMENSIONS = ("n_layer", "d_model", *_LAYERED, "head_dim", "d_embed", "div_val")
_SHARE = 0.8
_LEAST_MEMBERS = 3  # fewer are at some edge by chance
_PROBED = 8  # members that show whether a proxy sees a dimension

_Ends = tuple[int, int]  # the least and the greatest value that the space allows


def edge_notes(front: Sequence[Architecture], space: SearchSpace, objectives: Iterable[Objective]) -> list[str]:
    """A sentence for every dimension that is at one edge of its choices in four fifths of the front or more.

    It names the maximized counts and closed forms, which stand for the quality, that are the same whatever the
    dimension is. A value is at an edge only where the rules of the space leave another one beside it; what layers may
    differ in is counted by layers. Bounds of parameters are no edges. No sentence for fewer than three members.
    """
    proxies = [o.name for o in objectives if o.direction == "max" and o.name in analytic_names()]
    edges = _Edges(space)
    notes = []
    for name in _DIMENSIONS:
        by_layer = name in _LAYERED and not space.options[f"shared_{name}"]
        n_members = n_places = n_low = n_high = 0
        for a in front:
            places = list(edges.places(a, name, by_layer=by_layer))
            n_members += bool(places)
            n_places += len(places)
            n_low += sum(value == low for value, (low, _) in places)
            n_high += sum(value == high for value, (_, high) in places)
        if n_members < _LEAST_MEMBERS:
            continue
        for size, n in (("small", n_low), ("large", n_high)):
            if n < _SHARE * n_places:
                continue
            where = f"{n} of {n_places} {'layers' if by_layer else 'members'} of the front"
            blind = [proxy for proxy in proxies if edges.unseen(proxy, name, front)]
            what = f", and {' and '.join(blind)} cannot see it" if blind else ": what is best may lie beyond"
            notes.append(f"{name} is as {size} as the space allows in {where}{what}")
    return notes


class _Edges:
    """The ends of what a space leaves to choose, by dimension, width and layer."""

    def __init__(self, space: SearchSpace) -> None:
        free = (None, None)
        self._choices = choices(space)
        # What the rules allow a layer, whatever the parameters.
        self._layers = SearchSpace(**{**space.options, "n_layer": [1], "decoder_params": free, "total_params": free})
        self._ends: dict[tuple[str, int, int], _Ends] = {}

    def places(self, a: Architecture, name: str, *, by_layer: bool) -> Iterator[tuple[int, _Ends]]:
        """The values of a dimension in an architecture and their ends, where there is a choice."""
        if name in _LAYERED:
            values = getattr(a, name)
            found = [(values[i], self._ends_of_layer(a, i, name)) for i in range(a.n_layer if by_layer else 1)]
        else:
            own = [a.d_model if choice < 0 else choice for choice in self._choices[name]]  # d_embed -1
            value = a.embedding_width if name == "d_embed" else getattr(a, name)
            found = [(value, (min(own), max(own)))]
        return ((value, ends) for value, ends in found if ends[0] < ends[1])

    def _ends_of_layer(self, a: Architecture, layer: int, name: str) -> _Ends:
        # Heads and d_ff have to go with d_model, keys with the heads that they serve, and nothing with anything else.
        key = (name, a.d_model, a.n_head[layer] if name == "n_kv_head" else 0)
        if key not in self._ends:
            values = {each: getattr(a, each)[layer] for each in _LAYERED}
            only = self._changed(a, {**values, "n_layer": 1}) or a
            low = next((choice for choice in self._choices[name] if self._allows(only, name, choice)), values[name])
            high = next(
                (choice for choice in reversed(self._choices[name]) if self._allows(only, name, choice)), values[name]
            )
            self._ends[key] = (low, high)
        return self._ends[key]

    def _allows(self, only: Architecture, name: str, choice: int) -> bool:
        """Whether the architecture of one layer may have that value; heads come before the keys that serve them."""
        keys = self._choices["n_kv_head"] if name == "n_head" else []
        others: list[dict[str, int]] = [{"n_kv_head": n} for n in keys] or [{}]
        changed = (self._changed(only, {name: choice, **other}) for other in others)
        return any(a is not None and a in self._layers for a in changed)

    def unseen(self, proxy: str, name: str, front: Sequence[Architecture]) -> bool:
        """Whether the proxy is the same for all that members could be with other values of the dimension."""
        n_others = 0
        for a in front[:: max(1, len(front) // _PROBED)]:
            here = analytic(proxy, a)
            for choice in self._ends_of_layer(a, 0, name) if name in _LAYERED else self._choices[name]:
                other = self._changed(a, {name: choice})
                if other is None or other == a:
                    continue
                n_others += 1
                if analytic(proxy, other) != here:
                    return False
        return n_others > 0

    def _changed(self, a: Architecture, values: Mapping[str, int]) -> Architecture | None:
        """The architecture with other values, in all layers; None where the family has none such."""
        record = a.to_dict()
        n_layer = values.get("n_layer", a.n_layer)
        for name in _LAYERED:
            kept = record[name][:n_layer]
            record[name] = [values[name]] * n_layer if name in values else kept + kept[-1:] * (n_layer - len(kept))
        if not self._choices["n_kv_head"]:
            record["n_kv_head"] = record["n_head"]
        record |= {name: value for name, value in values.items() if name not in _LAYERED}
        try:
            return Architecture.from_dict(record)
        except ValueError:
            return None
