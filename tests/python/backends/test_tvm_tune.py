"""Schedules that were found by tuning: kept in a folder, and used instead of ours."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper
from tvm_models import compiled_outputs, error_of, expected_outputs

pytest.importorskip("tvm", reason="apache-tvm is not installed")

import tvm
from tvm import te

from lts.backends.tvm import products, tune
from lts.backends.tvm.compile import build
from lts.backends.tvm.llvm_target import tvm_target
from lts.backends.tvm.schedule import schedule_module
from lts.backends.tvm.tiles import Tiles
from lts.errors import UsageError
from lts.targets.target import Target, detect_target

pytestmark = pytest.mark.alone

HOST = tvm_target(detect_target())
TILES = Tiles(lanes=8, accumulators=12, rows=6)
PI = tvm_target(Target("pi", "aarch64-linux-gnu", "cortex-a72", 4))


def product() -> Any:
    x, y = te.placeholder((12, 16), "float32", "x"), te.placeholder((16, 32), "float32", "y")
    return te.create_prim_func([x, y, products.batched_product(x, y, False, TILES)])


def commit(database: Any, function: Any) -> None:
    """A record of a schedule that can be told from all others: its outermost loop is called parallel."""
    from tvm.s_tir import Schedule
    from tvm.s_tir.meta_schedule.arg_info import ArgInfo
    from tvm.s_tir.meta_schedule.database import TuningRecord

    module = tune._module(function)
    schedule = Schedule(module)
    schedule.parallel(schedule.get_loops(schedule.get_sblock("product"))[0])
    arguments = ArgInfo.from_entry_func(module, remove_preproc=False)
    workload = database.commit_workload(module)
    database.commit_tuning_record(TuningRecord(schedule.trace, workload, [1e-6], HOST, arguments))


def test_a_known_schedule_replaces_ours(tmp_path: Path) -> None:
    function = product()
    assert tune.tuned(function, HOST, tune.open_database(tmp_path / "new")) is None
    commit(tune.open_database(tmp_path / "new"), function)
    database = tune.open_database(tmp_path / "new")  # read from the files
    assert "T.parallel" in tune.tuned(function, HOST, database).script()
    module = tvm.IRModule({"product": function})
    plain = schedule_module(module, TILES).script()
    replaced = schedule_module(module, TILES, lambda one: tune.tuned(one, HOST, database)).script()
    assert "T.parallel" not in plain
    assert "T.parallel" in replaced


def test_building_with_a_database(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Exp", ["x"], ["y"])], "g", [x], [y])
    model = tmp_path / "model.onnx"
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model.write_bytes(proto.SerializeToString())
    dims, goal = {"batch": 3}, asdict(detect_target())
    build(str(model), str(tmp_path / "out"), goal, "prefill", dims, 10, database=str(tmp_path / "tuned"))
    assert error_of(compiled_outputs(tmp_path / "out", {}), expected_outputs(model, dims, 10)) < 1e-5
    with pytest.raises(UsageError, match=r"tuning \(5 trials\) needs a folder to keep the schedules in"):
        build(str(model), str(tmp_path / "out"), goal, "prefill", dims, 10, tune=5)


@pytest.mark.slow
def test_our_own_schedule_is_measured() -> None:
    """Without that, any schedule that is found would replace it."""
    function = schedule_module(tvm.IRModule({"main": product()}), TILES)["main"]
    assert 0 < tune._measure(function, HOST, tune._runner(HOST, None)) < 1


def test_tuning_needs_a_device(tmp_path: Path) -> None:
    database = tune.open_database(tmp_path)
    module = tvm.IRModule({"main": product()})
    with pytest.raises(UsageError, match="tuning for aarch64-linux-gnu needs a device"):
        tune.tune(module, PI, TILES, 16, database)
    with pytest.raises(UsageError, match=r"the tracker is 'pi\.local'; expected host:port/key"):
        tune.tune(module, PI, TILES, 16, database, tracker="pi.local")


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UsageError, match="is no folder of tuned schedules"):
        tune.open_database(tmp_path / "file")
