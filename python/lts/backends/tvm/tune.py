"""Better schedules by measuring: TVM's MetaSchedule for the heaviest products, kept in a folder for later builds."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lts.backends.tvm.products import RULE
from lts.backends.tvm.schedule import is_unscheduled, narrow, schedule_function
from lts.backends.tvm.tiles import Tiles
from lts.errors import UsageError
from lts.system import machine

# Fewer trials than this find nothing.
_LEAST_TRIALS = 16
_TIMEOUT = 10  # seconds for one trial on a device


def open_database(folder: str | Path) -> Any:
    """The schedules in a folder, which is created if absent.

    Raises
    ------
    UsageError
        When the folder cannot be created or holds something else.
    """
    from tvm.s_tir.meta_schedule.database import JSONDatabase

    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
        return JSONDatabase(str(path / "workloads.json"), str(path / "records.json"))
    except Exception as error:
        raise UsageError(f"{path} is no folder of tuned schedules: {str(error).strip().splitlines()[-1]}") from None


def tuned(function: Any, target: Any, database: Any) -> Any:
    """The function with the best schedule that the database has for it; None where there is none."""
    found = database.query_ir_module(_module(function), target, "main")
    return None if found is None else found["main"].without_attr("global_symbol")


def tune(module: Any, target: Any, tiles: Tiles, trials: int, database: Any, tracker: str | None = None) -> None:
    """Search schedules for the heaviest products of a module; those that beat our own go into the database.

    Parameters
    ----------
    module
        A `tvm.IRModule` before scheduling.
    target
        The `tvm.target.Target`.
    tiles
        Register tiles of the target, for our own schedules.
    trials
        Schedules to measure in all.
    database
        From `open_database`.
    tracker
        ``host:port/key`` of a TVM RPC tracker whose devices measure; by default this machine does.

    Raises
    ------
    UsageError
        When this machine cannot run the code and there is no tracker, or the tracker's address is malformed.
    """

    runner = _runner(target, tracker)
    functions = _heaviest(module, max(1, trials // _LEAST_TRIALS), target, database)
    logging.disable(logging.ERROR)  # it logs every step
    try:
        for function in functions:
            _tune_one(function, target, tiles, max(1, trials // len(functions)), database, runner)
    finally:
        logging.disable(logging.NOTSET)


def _tune_one(function: Any, target: Any, tiles: Tiles, trials: int, database: Any, runner: Any) -> None:
    from tvm.s_tir import meta_schedule
    from tvm.s_tir.schedule import ScheduleError

    found = meta_schedule.database.MemoryDatabase()
    try:
        with tempfile.TemporaryDirectory() as folder:
            meta_schedule.tune_tir(
                _module(function),
                target,
                folder,
                max_trials_global=trials,
                num_trials_per_iter=_LEAST_TRIALS,
                builder=_builder(),
                runner=runner,
                database=found,
                # Which schedules are worth measuring: learned where XGBoost is installed (the extra `tune`).
                cost_model="xgb" if find_spec("xgboost") else "random",
                num_tuning_cores=1,
                seed=1,
            )
    except ScheduleError:
        return  # it has no schedule for this one; ours stays
    best = found.query_tuning_record(_module(function), target, "main")
    if best is None or _seconds(best.run_secs) >= _measure(schedule_function(function, tiles), target, runner):
        return
    workload = database.commit_workload(_module(function))
    record = meta_schedule.database.TuningRecord(best.trace, workload, best.run_secs, target, best.args_info)
    database.commit_tuning_record(record)


def _module(function: Any) -> Any:
    import tvm

    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")})


def _heaviest(module: Any, count: int, target: Any, database: Any) -> list[Any]:
    """The distinct products with the most operations over all calls, without those tuned before."""
    import tvm
    from tvm import relax
    from tvm.s_tir.analysis import estimate_tir_flops

    calls: Counter[str] = Counter()

    def visit(node: Any) -> None:
        if isinstance(node, relax.Call) and getattr(node.op, "name", "") == "relax.call_tir":
            calls[node.args[0].name_hint] += 1

    for _, function in module.functions_items():
        if isinstance(function, relax.Function):
            relax.analysis.post_order_visit(function, visit)
    weights = []
    for variable, function in module.functions_items():
        if is_unscheduled(function) and calls[variable.name_hint] and _is_product(function):
            short = narrow(function)
            operations = estimate_tir_flops(tvm.IRModule({"main": short})) * calls[variable.name_hint]
            if operations > 0 and tuned(short, target, database) is None:
                weights.append((operations, variable.name_hint, short))
    return [function for *_, function in sorted(weights, key=lambda entry: entry[:2], reverse=True)[:count]]


def _is_product(function: Any) -> bool:
    """Whether it is a product of matrices: MetaSchedule cannot improve rows that are reduced in several stages."""
    text = function.script()
    return any(f'"{RULE}": "{rule}"' in text for rule in ("tile", "dot"))


def _build(module: Any, target: Any, _params: Any) -> Any:
    """As MetaSchedule's own, which first spends half a minute of each new process on parsing intrinsics for GPUs."""
    from tvm.driver import build
    from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock

    return build(RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module), target)


def _builder() -> Any:
    from tvm.s_tir.meta_schedule.builder import LocalBuilder

    return LocalBuilder(f_build=_build)


def _runner(target: Any, tracker: str | None) -> Any:
    from tvm.s_tir.meta_schedule.runner import EvaluatorConfig, LocalRunner, RPCConfig, RPCRunner

    evaluator = EvaluatorConfig(number=3, repeat=3, min_repeat_ms=10)
    if tracker is None:
        triple = str(target.attrs["mtriple"])
        if not machine.same_architecture(triple, machine.triple()):
            raise UsageError(f"tuning for {triple} needs a device that runs it: give a tracker as host:port/key")
        return LocalRunner(evaluator_config=evaluator, timeout_sec=_TIMEOUT)
    address, _, key = tracker.partition("/")
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit() and key):
        raise UsageError(f"the tracker is {tracker!r}; expected host:port/key")
    config = RPCConfig(host, int(port), key, session_timeout_sec=_TIMEOUT)
    return RPCRunner(config, evaluator_config=evaluator)


def _measure(function: Any, target: Any, runner: Any) -> float:
    """Seconds that a scheduled function takes; 0, which nothing beats, where it cannot be measured."""
    from tvm.s_tir.meta_schedule.arg_info import ArgInfo
    from tvm.s_tir.meta_schedule.builder import BuilderInput
    from tvm.s_tir.meta_schedule.runner import RunnerInput

    module = _module(function)
    (built,) = _builder().build([BuilderInput(module, target)])
    if built.artifact_path is None:
        return 0.0
    arguments = ArgInfo.from_entry_func(module, remove_preproc=False)
    (future,) = runner.run([RunnerInput(built.artifact_path, "cpu", arguments)])
    result = future.result()
    return 0.0 if result.run_secs is None else _seconds(result.run_secs)


def _seconds(samples: Any) -> float:
    return min(float(sample) for sample in samples)
