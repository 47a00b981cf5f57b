"""Compiles an ONNX model into a folder: a library, its inputs, and a manifest that says how to call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lts.backends.tvm.library import compile_generation
from lts.backends.tvm.llvm_target import tvm_target
from lts.backends.tvm.lowering import CONFIG, executable, import_model
from lts.backends.tvm.manifest import LIBRARY, write_fixed, write_generation
from lts.backends.tvm.onnx_model import FixedModel, fixed_model
from lts.backends.tvm.rewrite import Special, rewrite
from lts.backends.tvm.tiles import tiles_of
from lts.errors import LtsError, MeasurementError, UsageError
from lts.jobs.job import GENERATION
from lts.jobs.toolchain import cxx
from lts.targets.target import Target

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
        ``prefill``, ``decode`` or ``generation``; goes into the manifest.
    dims
        Size of every symbolic dimension of the inputs; for ``generation``, nothing.
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
    try:
        if phase == GENERATION:
            generation, library = compile_generation(Path(model), goal, tune, database, tracker)
            _export(library.executable, folder / LIBRARY, goal.triple)
            return write_generation(folder, generation, library, goal)
        fixed = fixed_model(Path(model), dims)
        built, prepare = compile_model(fixed, goal, tune, database, tracker)
        _export(built, folder / LIBRARY, goal.triple)
    except LtsError:
        raise
    except Exception as error:
        raise MeasurementError(f"TVM does not compile {model}: {_sentence(error)}") from error
    return write_fixed(folder, fixed, goal, phase, dims, vocab_size, prepare)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def compile_model(
    fixed: FixedModel, target: Target, tune: int = 0, database: str | None = None, tracker: str | None = None
) -> tuple[Any, bool]:
    """The Relax executable, and whether it has a function that prepares the weights; arguments as for `build`."""
    import tvm
    from tvm import relax

    goal = tvm_target(target)
    module, stored, _ = import_model(fixed)
    if target.kind == "gpu":
        return _compile_gpu(module, goal), False
    tiles = tiles_of(goal, target.threads)
    with goal, tvm.transform.PassContext(opt_level=3, config=CONFIG):
        module = rewrite(module, tiles, {"main": Special(stored)})
        entries = ["main"]
        if fixed.weights:
            module = _prepare_apart(relax.transform.LiftTransformParams()(module))
            entries.append("prepare")
        return executable(module, entries, goal, tiles, tune, database, tracker), bool(fixed.weights)


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


def _export(built: Any, path: Path, triple: str) -> None:
    from tvm.support import cc

    built.export_library(str(path), fcompile=cc.cross_compiler(cxx(triple), options=["-s"]))


def _sentence(error: BaseException) -> str:
    """The line of a TVM error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    found: Callable[[str], bool] = lambda line: "rror" in line or "Check failed" in line  # noqa: E731
    return next(filter(found, lines), lines[0] if lines else type(error).__name__)
