"""Compiles an ONNX model into a folder: a library, its inputs, and a manifest that says how to call it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts.backends.inputs import make_inputs
from lts.backends.stored import Stored
from lts.backends.tvm import tune as tuning
from lts.backends.tvm.llvm_target import tvm_target
from lts.backends.tvm.onnx_model import CONSTANTS_FILE, FixedModel, fixed_model
from lts.backends.tvm.rewrite import rewrite
from lts.backends.tvm.schedule import schedule_module
from lts.backends.tvm.tiles import tiles_of
from lts.errors import LtsError, MeasurementError, UsageError
from lts.jobs.job import MANIFEST
from lts.jobs.toolchain import cxx
from lts.targets.target import Target

SCHEMA = 1
LIBRARY = "model.so"
INPUTS_FILE = "inputs.bin"
_ALIGNMENT = 64
# Fields of a target that the code depends on.
_FIELDS = ("name", "triple", "cpu", "cores", "threads", "features", "kind")


def build(
    model: str,
    directory: str,
    target: Mapping[str, Any],
    phase: str,
    dims: Mapping[str, int],
    vocab_size: int,
    tune: int = 0,
    database: str | None = None,
    tracker: str | None = None,
) -> dict[str, Any]:
    """Compile a model. For a worker process.

    Parameters
    ----------
    model
        Path of an ONNX file.
    directory
        Where to write the library, the inputs and the manifest; created if absent.
    target
        The fields of an `lts.targets.target.Target`.
    phase
        ``prefill`` or ``decode``; goes into the manifest.
    dims
        Size of every symbolic dimension of the inputs.
    vocab_size
        Token ids are below this.
    tune
        Schedules to try for the heaviest functions; 0 for none.
    database
        Folder with schedules that tuning has found, which replace ours. Tuning adds to it.
    tracker
        ``host:port/key`` of a TVM RPC tracker whose devices measure schedules; by default this machine does.

    Returns
    -------
    dict
        The manifest, as in ``model.json``.

    Raises
    ------
    MeasurementError
        When the model cannot be read or compiled, or a compiler is missing.
    UsageError
        When TVM does not compile for the target, or tuning lacks a database or a device.
    """
    if tune and database is None:
        raise UsageError(f"tuning ({tune} trials) needs a folder to keep the schedules in")
    goal = Target(**{key: _tuple(target[key]) for key in _FIELDS if key in target})
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    fixed = fixed_model(Path(model), dims)
    try:
        executable, prepare = compile_model(fixed, goal, tune, database, tracker)
        _export(executable, folder / LIBRARY, goal.triple)
    except LtsError:
        raise
    except Exception as error:
        raise MeasurementError(f"TVM does not compile {model}: {_sentence(error)}") from error
    return _write(folder, fixed, goal, phase, dims, vocab_size, prepare)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def compile_model(
    fixed: FixedModel, target: Target, tune: int = 0, database: str | None = None, tracker: str | None = None
) -> tuple[Any, bool]:
    """The Relax executable, and whether it has a function that prepares the weights; arguments as for `build`."""
    import tvm
    from tvm import relax

    goal = tvm_target(target)
    module, stored = import_model(fixed)
    if target.kind == "gpu":
        return _compile_gpu(module, goal), False
    tiles = tiles_of(goal, target.threads)
    passes = relax.transform
    # Arguments are what the manifest says: checking them again in every function would take half of the compile time.
    with goal, tvm.transform.PassContext(opt_level=3, config={"tirx.disable_assert": True}):
        module = rewrite(module, tiles, stored)
        entries = ["main"]
        if fixed.weights:
            module = _prepare_apart(passes.LiftTransformParams()(module))
            entries.append("prepare")
        module = tvm.transform.Sequential(
            [
                passes.LegalizeOps(),
                passes.AnnotateTIROpPattern(),
                passes.FoldConstant(),
                passes.FuseOps(),
                passes.FuseTIR(),
                passes.DeadCodeElimination(entries),
            ]
        )(module)
        known = None
        if database is not None:
            records = tuning.open_database(database)
            if tune:
                tuning.tune(module, goal, tiles, tune, records, tracker)
            known = lambda function: tuning.tuned(function, goal, records)  # noqa: E731
        return tvm.compile(schedule_module(module, tiles, known), goal), bool(fixed.weights)


def import_model(fixed: FixedModel) -> tuple[Any, dict[str, Stored]]:
    """The model as a Relax module with the function ``main`` of the inputs and weights, in their order.

    The last parameters are placeholders of stored matrices, which come by the names of these parameters, with the names
    of the parameters that hold them.
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
    return module, stored


def _prepare_apart(module: Any) -> Any:
    """Add ``prepare``, which is TVM's lifted transformation of the weights with an argument for each of them."""
    from tvm import relax

    lifted = module.get_global_var("main_transform_params")
    variables = [relax.Var(f"weight{i}", ty) for i, ty in enumerate(module[lifted].params[0].ty.fields)]
    builder = relax.BlockBuilder(module)
    with builder.function("prepare", variables):
        packed = builder.emit(relax.Tuple(variables))
        builder.emit_func_output(builder.emit(relax.Call(lifted, [packed])))
    return builder.get()


def _compile_gpu(module: Any, goal: Any) -> Any:
    import tvm
    from tvm import relax
    from tvm.s_tir import dlight

    passes = relax.transform
    with goal:
        module = tvm.transform.Sequential(
            [
                passes.LegalizeOps(),
                passes.AnnotateTIROpPattern(),
                passes.FoldConstant(),
                passes.FuseOps(),
                passes.FuseTIR(),
                dlight.ApplyDefaultSchedule(
                    dlight.gpu.Matmul(),
                    dlight.gpu.GEMV(),
                    dlight.gpu.Reduction(),
                    dlight.gpu.GeneralReduction(),
                    dlight.gpu.Fallback(),
                ),
            ]
        )(module)
        return tvm.compile(module, goal)


def _export(executable: Any, path: Path, triple: str) -> None:
    from tvm.support import cc

    executable.export_library(str(path), fcompile=cc.cross_compiler(cxx(triple), options=["-s"]))


def _write(
    folder: Path,
    fixed: FixedModel,
    target: Target,
    phase: str,
    dims: Mapping[str, int],
    vocab_size: int,
    prepare: bool,
) -> dict[str, Any]:
    import tvm

    arrays = make_inputs(fixed.inputs, dims, vocab_size)
    inputs = []
    with (folder / INPUTS_FILE).open("wb") as file:
        for name, array in arrays.items():
            file.write(b"\0" * (-file.tell() % _ALIGNMENT))
            place = {"file": INPUTS_FILE, "offset": file.tell()}
            inputs.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.name, **place})
            file.write(array.tobytes())
    if fixed.constants:
        (folder / CONSTANTS_FILE).write_bytes(fixed.constants)
    manifest = {
        "schema": SCHEMA,
        "phase": phase,
        "triple": target.triple,
        "device": "cuda" if target.kind == "gpu" else "cpu",
        "threads": target.threads,
        "tvm": tvm.__version__,
        "library": LIBRARY,
        "function": "main",
        "prepare": "prepare" if prepare else None,
        "inputs": inputs,
        "weights": [
            {"name": w.name, "shape": list(w.shape), "dtype": w.dtype, "file": w.file, "offset": w.offset}
            for w in fixed.weights
        ],
        "outputs": fixed.outputs,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _sentence(error: BaseException) -> str:
    """The line of a TVM error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found: Callable[[str], bool] = lambda line: "rror" in line or "Check failed" in line  # noqa: E731
    return next(filter(found, lines), lines[0] if lines else type(error).__name__)
