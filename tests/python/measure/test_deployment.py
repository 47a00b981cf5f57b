"""Deploying with stand-ins for what compiles and runs: what is written, kept, compared and told."""

from __future__ import annotations

import json
import platform
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import lts
from lts.backends.backend import BuildError
from lts.errors import MeasurementError, UsageError
from lts.export import export
from lts.export.files import FILES
from lts.jobs.job import MANIFEST, Job, JobResult, RunnerJob
from lts.jobs.toolchain import cxx
from lts.measure.deployer import Deployer
from lts.measure.deployment import Deployment, deploy, phases_of
from lts.measure.trial import COMPILED, CORRECT
from lts.system.progress import Work
from lts.targets.target import Target, load_target
from lts.targets.workload import Step, Workload

TARGET = Target(name="board", triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)
FOREIGN = load_target("x86-64-v3" if platform.machine() == "aarch64" else "arm64")
ARCHITECTURE = lts.SearchSpace.load("gpt2-tiny").sample(1, 0)[0]


class Compiler:
    """Writes a manifest and nothing else."""

    name = "compiler"
    needs = "runner"

    def __init__(self, fails_in: str = "") -> None:
        self.fails_in = fails_in
        self.steps: list[Step] = []

    def check(self, target: Target) -> None:
        pass

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        assert model.is_file()
        self.steps.append(step)
        if step.phase == self.fails_in:
            raise BuildError("no such operator")
        folder = Path(tempfile.mkdtemp(dir=model.parent))
        manifest = {"weights": [{"file": "weights.bin"}, {"file": "constants.bin"}]}
        (folder / MANIFEST).write_text(json.dumps(manifest))
        (folder / "constants.bin").write_bytes(b"1")
        return folder

    def job(self, built: Path, step: Step, **options: Any) -> RunnerJob:
        return RunnerJob(built, {}, options)

    def close(self) -> None:
        pass


class Board:
    """Answers with the results given, the last one again and again."""

    runs = ("runner",)
    parallel = 1

    def __init__(self, *results: JobResult, costs: tuple[str, ...] = ("instructions", "decode_instructions")) -> None:
        self.results = list(results)
        self.costs = costs
        self.jobs: list[RunnerJob] = []

    def check(self, target: Target) -> None:
        pass

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        assert isinstance(job, RunnerJob)
        assert Path(job.request()["expected"]["file"]).read_text() == "expected"
        self.jobs.append(job)
        return self.results.pop(0) if len(self.results) > 1 else self.results[0]

    def environment(self, threads: int) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


class Expected:
    """Stands for `lts.backends.reference.Reference`."""

    tolerance = 1e-4

    def write(self, model: Path, step: Step) -> Path:
        path = model.parent / "expected.f32"
        path.write_text("expected")
        return path

    def attach(self, job: RunnerJob, expected: Path) -> RunnerJob:
        options = {**job.options, "expected": {"file": "expected", "tolerance": 1e-4}}
        return RunnerJob(job.model, {**job.files, "expected": expected}, options)


def good(**changes: Any) -> JobResult:
    return JobResult({"output_error": 1e-7, "correct": True, "instructions": 1000, **changes})


def deployed(folder: Path, compiler: Compiler | None = None, board: Board | None = None, **options: Any) -> Any:
    given: dict[str, Any] = {"workload": Workload(5), **options}
    if board is not None:
        given |= {"device": board, "reference": Expected()}
    return deploy(ARCHITECTURE, folder, TARGET, compiler or Compiler(), **given)


def test_both_phases_are_compiled_and_checked(tmp_path: Path) -> None:
    compiler = Compiler()
    board = Board(good(), good(output_error=3e-7, instructions=40))
    result = deployed(tmp_path, compiler, board)
    assert result.error is None
    assert result.checked
    assert result.values == {"output_error": 3e-7, "instructions": 1000, "decode_instructions": 40}
    assert set(result.provenance.values()) == {"emulated"}
    assert result.files == [tmp_path / "board" / "prefill", tmp_path / "board" / "decode"]
    assert [w.dims["total"] for w in compiler.steps] == [5, 6]
    assert not (tmp_path / "expected.f32").exists()
    # A compiled model finds its weights from where it lies, and what is its own.
    manifest = json.loads((result.files[0] / MANIFEST).read_text())
    assert [weight["file"] for weight in manifest["weights"]] == ["../../weights.bin", "constants.bin"]
    assert (result.files[0] / "../../weights.bin").is_file()


def test_a_device_that_counts_nothing_still_checks(tmp_path: Path) -> None:
    value = {"output_error": 1e-7, "correct": True}
    result = deployed(tmp_path, board=Board(JobResult(value), costs=("latency_ms",)))
    assert result.values == {"output_error": 1e-7}
    assert result.provenance == {"output_error": "measured"}
    assert result.checked


def test_without_a_device_nothing_is_checked(tmp_path: Path) -> None:
    result = deployed(tmp_path)
    assert (result.error, result.checked, result.values) == (None, False, {})
    assert len(result.files) == 2


@pytest.mark.parametrize(
    ("formats", "weights", "expected"),
    [
        (("json",), True, {"architecture.json", "weights.bin", "board"}),
        (("json",), False, {"architecture.json", "board"}),
        (("onnx",), False, {*FILES["onnx"], "board"}),
        ((), True, {"weights.bin", "board"}),
    ],
)
def test_what_stays(tmp_path: Path, formats: tuple[str, ...], weights: bool, expected: set[str]) -> None:
    for _ in range(2):  # a second time is no different
        deployed(tmp_path, formats=formats, keep_weights=weights)
        assert {path.name for path in tmp_path.iterdir()} == {*expected, "manifest.json"}


def test_a_model_that_is_wrong_or_fails_is_told(tmp_path: Path) -> None:
    result = deployed(tmp_path, board=Board(good(), good(correct=False, output_error=0.25)))
    assert result.error == "decode: the output differs from ONNX Runtime's by 0.25 of its largest value"
    assert not result.checked
    assert result.values["output_error"] == 0.25
    result = deployed(tmp_path, board=Board(JobResult(error="killed by signal 4 (SIGILL)")))
    assert result.error == "prefill: killed by signal 4 (SIGILL)"
    result = deployed(tmp_path, Compiler(fails_in="decode"))
    assert result.error == "the decode model cannot be built: no such operator"
    assert [file.name for file in result.files] == ["prefill"]


def test_what_became_of_it() -> None:
    assert Deployment(Path()).outcome == COMPILED
    assert Deployment(Path(), checked=True).outcome == CORRECT
    assert Deployment(Path(), error="decode: it crashed").outcome == "decode: it crashed"


def test_what_onnxruntime_does_not_run_is_told(tmp_path: Path) -> None:
    class Nothing(Expected):
        def write(self, model: Path, step: Step) -> Path:
            raise BuildError("ONNX Runtime gives no outputs")

    result = deploy(
        ARCHITECTURE, tmp_path, TARGET, Compiler(), device=Board(good()), reference=Nothing(), workload=Workload(5)
    )
    assert result.error == "prefill: ONNX Runtime gives no outputs"


def test_files_that_were_there_stay(tmp_path: Path) -> None:
    export(ARCHITECTURE, tmp_path, ("onnx",))
    names = {path.name for path in tmp_path.iterdir()}
    deployed(tmp_path, formats=(), keep_weights=False)
    assert {path.name for path in tmp_path.iterdir()} == {*names, "board"}


def test_no_decode_step_where_the_positions_end(tmp_path: Path) -> None:
    compiler = Compiler()
    result = deployed(tmp_path, compiler, Board(good()), workload=Workload(ARCHITECTURE.n_positions))
    assert result.checked
    assert [step.phase for step in compiler.steps] == ["prefill"]
    assert phases_of(ARCHITECTURE, ARCHITECTURE.n_positions - 1) == ("prefill", "decode")
    with pytest.raises(UsageError, match="n_prompt is 257; the architecture has 256 positions"):
        deployed(tmp_path, workload=Workload(257))
    (relative,) = lts.SearchSpace.load("transformer-xl-tiny").sample(1, 0)
    assert phases_of(relative, 10_000) == ("prefill", "decode")


def test_it_can_be_stopped(tmp_path: Path) -> None:
    for n_compiled, n_run in ((0, 0), (1, 0), (2, 0), (2, 1)):
        compiler, board = Compiler(), Board(good())
        answers = iter([*[False] * (n_compiled + n_run), True])
        result = deployed(tmp_path, compiler, board, stop=lambda answers=answers: next(answers))
        assert result.error == "stopped before the end"
        assert not result.checked
        assert (len(compiler.steps), len(board.jobs)) == (n_compiled, n_run)


def test_what_has_run_is_not_run_again(tmp_path: Path) -> None:
    board = Board(good(instructions=40))
    result = deployed(tmp_path, board=board, known={"prefill"})
    assert result.checked
    assert len(board.jobs) == 1
    assert result.values == {"output_error": 1e-7, "decode_instructions": 40}
    board = Board(good())
    assert deployed(tmp_path, board=board, known={"prefill", "decode"}).checked
    assert board.jobs == []


def test_both_are_compiled_where_the_time_is_for_others(tmp_path: Path) -> None:
    """Running a model may not take the time that others need to be compiled; it is no failure then."""
    compiler, board = Compiler(), Board(good())
    result = deployed(tmp_path, compiler, board, timeout=100.0, reserve=lambda: 100.0)
    assert len(compiler.steps) == len(result.files) == 2
    assert (board.jobs, result.checked, result.error) == ([], False, None)
    assert result.outcome == COMPILED


def test_every_step_is_told(tmp_path: Path) -> None:
    told: list[Work] = []
    deployed(tmp_path, board=Board(good()), observe=told.append)
    assert [(work.what, work.done, work.now) for work in told] == [
        ("exporting", 0, ""),
        ("compiling", 0, "prefill"),
        ("compiling", 1, "decode"),
        ("checking", 0, "prefill"),
        ("checking", 1, "decode"),
    ]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (load_target("sm_80"), "target 'sm_80' is a gpu, which no device runs yet"),
        (replace(FOREIGN, threads=2), "the emulator runs one thread, the models have 2"),
    ],
)
def test_why_nothing_is_checked(target: Target, sentence: str) -> None:
    pytest.importorskip("tvm", reason="tvm is not installed")
    try:
        cxx(target.triple)
    except MeasurementError as error:
        pytest.skip(str(error))
    deployer = Deployer(target)
    assert deployer.unchecked == sentence
    deployer.close()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write .*board"):
        deployed(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"architecture.json", "board", "weights.bin", "manifest.json"}


def test_weights_that_other_files_need_are_not_replaced(tmp_path: Path) -> None:
    export(ARCHITECTURE, tmp_path, ("onnx",), seed=7, cache="in_place")
    there = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UsageError, match=r"weights.bin has other weights, or these in another precision"):
        deployed(tmp_path, formats=())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == there
    deployed(tmp_path, formats=(), seed=7)
    assert {name: (tmp_path / name).read_bytes() for name in there if name != "manifest.json"} == {
        name: content for name, content in there.items() if name != "manifest.json"
    }
