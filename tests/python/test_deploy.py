"""Deploying with stand-ins for what compiles and runs: what is written, kept, compared and told."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

import lts
from lts.backends import BuildError, Workload
from lts.deploy import deploy
from lts.device import MANIFEST, Job, JobResult, RunnerJob
from lts.errors import UsageError
from lts.target import Target

TARGET = Target(name="board", triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)
ARCHITECTURE = lts.SearchSpace.load("gpt2-tiny").sample(1, 0)[0]


class Compiler:
    """Writes a manifest and nothing else."""

    name = "compiler"
    needs = "runner"

    def __init__(self, fails_in: str = "") -> None:
        self.fails_in = fails_in
        self.workloads: list[Workload] = []

    def check(self, target: Target) -> None:
        pass

    def build(self, model: Path, target: Target, workload: Workload, timeout: float) -> Path:
        assert model.is_file()
        self.workloads.append(workload)
        if workload.phase == self.fails_in:
            raise BuildError("no such operator")
        folder = Path(tempfile.mkdtemp(dir=model.parent))
        manifest = {"weights": [{"file": "weights.bin"}, {"file": "constants.bin"}]}
        (folder / MANIFEST).write_text(json.dumps(manifest))
        (folder / "constants.bin").write_bytes(b"1")
        return folder

    def job(self, built: Path, workload: Workload, **options: Any) -> RunnerJob:
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
    """Stands for `lts.reference.Reference`."""

    def write(self, model: Path, workload: Workload) -> Path:
        path = model.parent / "expected.f32"
        path.write_text("expected")
        return path

    def attach(self, job: RunnerJob, expected: Path) -> RunnerJob:
        options = {**job.options, "expected": {"file": "expected", "tolerance": 1e-4}}
        return RunnerJob(job.model, {**job.files, "expected": expected}, options)


def good(**changes: Any) -> JobResult:
    return JobResult({"output_error": 1e-7, "correct": True, "instructions": 1000, **changes})


def deployed(folder: Path, compiler: Compiler | None = None, board: Board | None = None, **options: Any) -> Any:
    given: dict[str, Any] = {"n_prompt": 5, **options}
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
    assert [w.dims["total"] for w in compiler.workloads] == [5, 6]
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
        (("onnx",), False, {"prefill.onnx", "decode.onnx", "weights.bin", "board"}),
        ((), True, {"weights.bin", "board"}),
    ],
)
def test_what_stays(tmp_path: Path, formats: tuple[str, ...], weights: bool, expected: set[str]) -> None:
    for _ in range(2):  # a second time is no different
        deployed(tmp_path, formats=formats, weights=weights)
        assert {path.name for path in tmp_path.iterdir()} == expected


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


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("in the way")
    with pytest.raises(UsageError, match=r"cannot write .*board"):
        deployed(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"architecture.json", "board", "weights.bin"}
