"""Compiles the parts of a decoder that generates into one Relax executable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lts.backends.tvm.attention import attention
from lts.backends.tvm.generation import CHUNK, Generation, Layer, read_generation
from lts.backends.tvm.llvm_target import tvm_target
from lts.backends.tvm.lowering import CONFIG, executable, import_model
from lts.backends.tvm.packs import Packs
from lts.backends.tvm.rewrite import Special, rewrite
from lts.backends.tvm.tiles import Tiles, tiles_of
from lts.errors import UsageError
from lts.targets.target import Target

PREPARE = "prepare"


class Library(NamedTuple):
    """A Relax executable and how its functions are called.

    Attributes
    ----------
    executable
        For `export_library`.
    arguments
        Of each function, by name: inputs, weights and packed weights, by their names.
    packed
        Names of what ``prepare`` gives, in order.
    """

    executable: Any
    arguments: dict[str, list[str]]
    packed: list[str]


def compile_generation(
    path: Path, target: Target, tune: int = 0, database: str | None = None, tracker: str | None = None
) -> tuple[Generation, Library]:
    """Compile a model of `lts.export.generation`; tuning arguments are those of `lts.backends.tvm.compile.build`.

    Raises
    ------
    MeasurementError
        When the file is no such model.
    UsageError
        For a target that is not a processor.
    """
    import tvm

    if target.kind == "gpu":
        raise UsageError(f"target '{target.name}' is a gpu; models that generate are compiled for processors")
    goal = tvm_target(target)
    tiles = tiles_of(goal, target.threads)
    generation = read_generation(path, tiles)
    with goal, tvm.transform.PassContext(opt_level=3, config=CONFIG):
        return generation, _library(generation, goal, tiles, tune, database, tracker)


def _library(
    generation: Generation, goal: Any, tiles: Tiles, tune: int, database: str | None, tracker: str | None
) -> Library:
    import tvm

    packs = Packs(CHUNK)
    functions: dict[str, Any] = {}
    special: dict[str, Special] = {}
    names: dict[str, str] = {}  # of parameters: as the model calls them
    for name, part in generation.parts.items():
        module, stored, own = import_model(part.model)
        for model_name, variable in own.items():
            if names.setdefault(variable, model_name) != model_name:
                raise AssertionError(f"{variable} is {names[variable]} and {model_name}")
        placed = {own[layer.placeholder]: _placed(layer, own, tiles) for layer in part.layers}
        special[name] = Special(stored, placed, packs)
        functions[name] = module["main"].with_attr("global_symbol", name)
    module = rewrite(tvm.IRModule(functions), tiles, special)
    module, weights = packs.add_function(module, PREPARE)
    arguments = {name: [variable.name for variable in module[name].params] for name in functions}
    arguments[PREPARE] = weights
    found = executable(module, list(arguments), goal, tiles, tune, database, tracker)
    called = {name: [names.get(each, each) for each in given] for name, given in arguments.items()}
    return Library(found, called, list(packs.made))


def _placed(layer: Layer, own: Mapping[str, str], tiles: Tiles) -> Callable[[Any, Mapping[str, Any], Any], Any]:
    return partial(_attend, layer, own[layer.past_length], own[layer.keys], own[layer.values], tiles)


def _attend(
    layer: Layer,
    past_length: str,
    keys: str,
    values: str,
    tiles: Tiles,
    builder: Any,
    parameters: Mapping[str, Any],
    joined: Any,
) -> Any:
    """The call of attention, for joined queries, keys and values."""
    from tvm import relax

    kind = layer.attention
    arguments = [joined, parameters[past_length], parameters[keys], parameters[values]]
    if layer.frequencies is not None:
        arguments.append(relax.const(layer.frequencies))
    result = relax.TensorType((kind.tokens, kind.n_head * kind.width), "float32")
    return relax.call_tir(builder.add_func(attention(kind, tiles), "attention"), arguments, result)
