"""lts-runner in a control group with little memory: what a user is told of a search there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from control_group import control_group, forget

import lts
from lts.cli.live import Live
from lts.jobs import bundle as bundles
from lts.jobs.job import RunnerJob
from lts.jobs.toolchain import cxx
from lts.measure.measured import MeasuredEvaluator
from lts.study.study import Study
from lts.system import machine
from lts.targets.target import detect_target
from lts.targets.workload import Workload

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("tvm") is None, reason="TVM is not installed: pip install 'lts-engine[tvm]'"),
]

ROWS, COLUMNS = 4096, 8192
LIMIT_MIB = 64
MAKE = """
import json, sys
from pathlib import Path
import numpy as np
import tvm
from tvm.script import ir as I
from tvm.script import relax as R

@I.ir_module
class Model:
    @R.function
    def main(x: R.Tensor((4096,), "float32"), w: R.Tensor((4096, 8192), "float32")):
        with R.dataflow():
            a = R.add(R.sum(w, axis=[1]), x)
            R.output(a)
        return a

folder, triple, linker = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
target = tvm.target.Target({"kind": "llvm", "mtriple": triple})
cross = tvm.support.cc.cross_compiler(linker)
tvm.compile(Model, target).export_library(str(folder / "model.so"), fcompile=cross)
(folder / "inputs.bin").write_bytes(np.zeros(4096, np.float32).tobytes())
(folder / "weights.bin").write_bytes(np.ones((4096, 8192), np.float32).tobytes())
x = {"name": "x", "shape": [4096], "dtype": "float32", "file": "inputs.bin", "offset": 0}
w = {"name": "w", "shape": [4096, 8192], "dtype": "float32", "file": "weights.bin", "offset": 0}
(folder / "model.json").write_text(json.dumps({
    "schema": 1, "phase": "prefill", "triple": triple, "device": "cpu", "threads": 1, "tvm": tvm.__version__,
    "library": "model.so", "function": "main", "prepare": None, "inputs": [x], "weights": [w], "outputs": ["logits"],
}))
"""


class Summing:
    """A backend whose models all are one that reads 128 MiB of weights in every run."""

    name, needs = "summing", "runner"

    def __init__(self, model: Path) -> None:
        self.model = model

    def check(self, target: Any) -> None:
        pass

    def build(self, model: Path, *_: Any) -> Path:
        built = model.parent / "built"
        shutil.rmtree(built, ignore_errors=True)
        return Path(shutil.copytree(self.model, built, ignore=shutil.ignore_patterns("weights.bin")))

    def job(self, built: Path, workload: Any, *, threads: int, min_time: float, min_repeats: int) -> RunnerJob:
        forget(self.model / "weights.bin")
        options = {"min_time": min_time, "min_repeats": min_repeats}
        return RunnerJob(built, {"weights.bin": self.model / "weights.bin"}, options, threads)

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("summing")
    triple = machine.triple()
    script = tmp_path_factory.mktemp("script") / "make.py"  # TVM reads the source of functions
    script.write_text(MAKE)
    subprocess.run([sys.executable, str(script), str(folder), triple, cxx(triple)], check=True)
    return folder


def search(model: Path, monkeypatch: pytest.MonkeyPatch) -> list[lts.Trial]:
    """Two trials, with the progress that the command shows."""
    monkeypatch.setattr("lts.measure.measured.load_backend", lambda name, **options: Summing(model))
    space = lts.SearchSpace.load("gpt2-tiny")
    with (
        MeasuredEvaluator(detect_target(), "local", backend="summing", workload=Workload(8)) as evaluator,
        Study(
            space, evaluator, objectives=["latency_ms:min", "peak_memory_mib:min"], surrogate="none", algorithm="random"
        ) as study,
    ):
        with Live(study) as live:
            study.run(trials=2, progress=live)
        return list(study.trials)


def test_little_memory_is_in_the_trial_and_on_stderr(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = bundles.make_bundle(machine.triple())
    with control_group(LIMIT_MIB) as enter:
        limited = tmp_path / "limited"
        limited.mkdir()
        runner = limited / "lts-runner"
        runner.write_text(f'#!/bin/sh\necho $$ > {enter} || exit 9\nexec {bundle / "lts-runner"} "$@"\n')
        runner.chmod(0o755)
        monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: limited)
        trials = search(model, monkeypatch)
    for trial in trials:
        assert trial.state == "complete", trial.error
        assert trial.disturbed
        (warning,) = [warning for warning in trial.warnings if "major page faults" in warning]
        assert warning.startswith("prefill: ")
        assert f"memory is short (the memory limit is {LIMIT_MIB} MiB, reached " in warning
        assert trial.values["peak_memory_mib"] < LIMIT_MIB
        assert json.loads(trial.to_json())["disturbed"] is True
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    first, last = said
    assert first.startswith("warning: trial 0: prefill: ")
    assert "major page faults" in first
    assert last.startswith("warning: too little memory disturbed 2 trials, 0, 1;")


def test_enough_memory_is_no_disturbance(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for trial in search(model, monkeypatch):
        assert trial.state == "complete", trial.error
        assert not [warning for warning in trial.warnings if "major page faults" in warning]
        assert trial.values["peak_memory_mib"] > LIMIT_MIB
    assert "major page faults" not in capsys.readouterr().err
