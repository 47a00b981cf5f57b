"""Gives every function of a module its schedule, by what its blocks compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lts.backends.tvm.elementwise import schedule_elements
from lts.backends.tvm.gemv import schedule_dots
from lts.backends.tvm.integer_tiles import schedule_integers
from lts.backends.tvm.matmul import schedule_tiles
from lts.backends.tvm.products import RULE
from lts.backends.tvm.reduction import schedule_rows, schedule_sums
from lts.backends.tvm.tiles import Tiles


def schedule_module(module: Any, tiles: Tiles, known: Callable[[Any], Any] | None = None) -> Any:
    """The module with all its TensorIR functions scheduled; `known` gives the schedule of a function, or None."""
    import tvm

    scheduled: dict[Any, Any] = {}
    for variable, function in module.functions_items():
        if is_unscheduled(function):
            short = narrow(function)
            found = known(short) if known else None
            scheduled[variable] = schedule_function(short, tiles) if found is None else _marked(found)
    result = tvm.IRModule(dict(module.functions_items()), attrs=module.attrs)
    for variable, function in scheduled.items():
        result.update_func(variable, function)
    return result


def schedule_function(function: Any, tiles: Tiles) -> Any:
    """A TensorIR function, scheduled by the rule for what it computes; unchanged where no rule fits."""
    import tvm
    from tvm.s_tir import Schedule

    if getattr(getattr(function.body, "block", None), "name_hint", "") != "root":
        return function  # written by hand
    sch = Schedule(tvm.IRModule({"main": function}))
    root = sch.get_sblock("root")
    blocks = sch.get_child_blocks(root)
    if not blocks:
        return function
    rules = [_rule(sch, block) for block in blocks]
    _inline(sch, blocks, rules)
    left = [(block, rule) for block, rule in zip(blocks, rules, strict=True) if _exists(sch, block)]
    by_rule: dict[str, list[Any]] = {}
    for block, rule in left:
        by_rule.setdefault(rule, []).append(block)
    last = left[-1][0]
    if "integers" in by_rule and tiles.integers is not None:
        schedule_integers(sch, by_rule, last, tiles, tiles.integers)
    elif "tile" in by_rule:
        packs, lefts, unpacked = (by_rule.get(rule, []) for rule in ("pack", "left", "unpack"))
        schedule_tiles(sch, by_rule["tile"][0], last, packs, lefts, tiles, unpacked)
    elif "dot" in by_rule:
        schedule_dots(sch, by_rule["dot"][0], by_rule.get("half", []), last, tiles)
    elif "row" in by_rule:
        schedule_rows(sch, [block for block, _ in left[:-1]], last, tiles)
    else:
        for block, rule in left:
            if rule in ("element", "pack"):
                schedule_elements(sch, block, tiles)
            elif rule == "sums":
                schedule_sums(sch, block, tiles)
    return _marked(sch.mod["main"])


def is_unscheduled(function: Any) -> bool:
    """Whether this is a TensorIR function without a schedule."""
    from tvm import tirx

    return isinstance(function, tirx.PrimFunc) and "tirx.is_scheduled" not in function.attrs


def _marked(function: Any) -> Any:
    return function.with_attr("tirx.is_scheduled", True)


def narrow(function: Any) -> Any:
    """The function with indices of 32 bits, where it reads and writes no other integers."""
    import tvm
    from tvm import tirx

    if any(str(parameter.dtype) == "int64" for parameter in function.params):
        return function
    return tirx.transform.ForceNarrowIndexToInt32()(tvm.IRModule({"main": function}))["main"]


def _rule(sch: Any, block: Any) -> str:
    node = sch.get(block)
    if RULE in node.annotations:
        return str(node.annotations[RULE])
    from tvm.tirx import IterVar

    return "element" if all(var.iter_type == IterVar.DataPar for var in node.iter_vars) else "other"


def _exists(sch: Any, block: Any) -> bool:
    try:
        sch.get(block)
    except (IndexError, RuntimeError, ValueError):
        return False
    return True


def _inline(sch: Any, blocks: list[Any], rules: list[str]) -> None:
    """Inline what is computed element by element into what reads it."""
    from tvm.s_tir.schedule import ScheduleError

    for block, rule in zip(blocks, rules, strict=True):
        if rule == "element":
            try:
                sch.compute_inline(block)
            except ScheduleError:
                continue  # an output, or a block that others read in a way that cannot be inlined
