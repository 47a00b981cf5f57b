"""From ONNX to Relax, and from a rewritten Relax module to an executable."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lts.backends.stored import Stored
from lts.backends.tvm import tune as tuning
from lts.backends.tvm.onnx_model import FixedModel
from lts.backends.tvm.schedule import schedule_module
from lts.backends.tvm.tiles import Tiles

# Arguments are what the manifest says: checking them again in every function would take half of the compile time.
CONFIG = {"tirx.disable_assert": True}


def import_model(fixed: FixedModel) -> tuple[Any, dict[str, Stored], dict[str, str]]:
    """The model as a Relax module with the function ``main`` of the inputs and weights, in their order.

    The last parameters are placeholders of stored matrices, which come by the names of these parameters, with the names
    of the parameters that hold them. At the end come the names of parameters by those in the model.
    """
    from tvm.relax.frontend.onnx import from_onnx

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = from_onnx(fixed.proto)
    # TVM takes the weights, which are inputs of the graph, for inputs of the model.
    main = module["main"].with_attr("num_input", len(fixed.inputs))
    module["main"] = main
    names = [*(name for name, *_ in fixed.inputs), *(weight.name for weight in fixed.weights), *fixed.stored]
    own = {name: variable.name for name, variable in zip(names, main.params, strict=True)}
    stored = {
        own[name]: replace(matrix, values=own[matrix.values], scales=matrix.scales and own[matrix.scales])
        for name, matrix in fixed.stored.items()
    }
    return module, stored, own


def executable(
    module: Any,
    entries: Sequence[str],
    goal: Any,
    tiles: Tiles,
    tune: int = 0,
    database: str | None = None,
    tracker: str | None = None,
) -> Any:
    """The Relax executable of a rewritten module with these functions. To be called with the target and `CONFIG`.

    The other arguments are those of `lts.backends.tvm.compile.build`.
    """
    import tvm
    from tvm import relax

    passes = relax.transform
    module = tvm.transform.Sequential(
        [
            passes.LegalizeOps(),
            passes.AnnotateTIROpPattern(),
            passes.FoldConstant(),
            passes.FuseOps(),
            passes.FuseTIR(),
            passes.DeadCodeElimination(list(entries)),
        ]
    )(module)
    known = None
    if database is not None:
        records = tuning.open_database(database)
        if tune:
            tuning.tune(module, goal, tiles, tune, records, tracker)
        known = lambda function: tuning.tuned(function, goal, records)  # noqa: E731
    return tvm.compile(schedule_module(module, tiles, known), goal)
