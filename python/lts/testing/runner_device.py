"""The suite for devices that run compiled models."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts.backends.reference import Reference
from lts.devices.device import Device
from lts.errors import UsageError
from lts.jobs.job import MANIFEST, JobResult, RunnerJob
from lts.jobs.toolchain import cxx
from lts.system.environment import environment_hash
from lts.targets.target import Target, detect_target
from lts.targets.workload import Step, Workload

# Seconds. A model runs in milliseconds, but an emulator, a network or a busy machine can take much longer.
_TIMEOUT = 120.0
_HANG_TIMEOUT = 2.0
_N_PROMPT = 6

# C code of libraries that crash, hang or end the process that loads them.
_CRASHES = "int *volatile nowhere;\n__attribute__((constructor)) static void run(void) { *nowhere = 1; }"
_HANGS = '__attribute__((constructor)) static void run(void) { for (;;) __asm__ volatile(""); }'
_ENDS = "#include <unistd.h>\n__attribute__((constructor)) static void run(void) { _exit(3); }"
_DOES_NOTHING = "int nothing;"


class RunnerDeviceSuite:
    """What every device that runs `RunnerJob` must do. Override `make_device`; `target` if it is not this one.

    The models are compiled by TVM, which must be installed here, and so must a compiler that links for the target.
    """

    device: Device
    folder: Path

    def make_device(self) -> Device:
        """A new device."""
        raise NotImplementedError("override make_device")

    def target(self) -> Target:
        """A target that the device runs."""
        return detect_target()

    def setup_method(self) -> None:
        self.device = self.make_device()
        self.device.check(self.target())
        self.folder = Path(tempfile.mkdtemp(prefix="lts-suite-"))

    def teardown_method(self) -> None:
        self.device.close()
        shutil.rmtree(self.folder)

    def job(self, phase: str = "prefill") -> RunnerJob:
        """A small model with the output that it must have; the files may be changed."""
        made = _compiled(self.target(), phase)
        model = self.folder / phase
        shutil.copytree(made.model, model, dirs_exist_ok=True)
        files = {name: self.folder / path.name for name, path in made.files.items()}
        for name, path in made.files.items():
            shutil.copy(path, files[name])
        return replace(made, model=model, files=files)

    def run(self, job: RunnerJob, timeout: float = _TIMEOUT) -> JobResult:
        """The result of a job on the device."""
        return self.device.run(job, timeout)

    def run_library(self, code: str, timeout: float = _TIMEOUT) -> JobResult:
        """The small model with a library made from C code."""
        job = self.job()
        source = self.folder / "library.c"
        source.write_text(code)
        library = str(job.model / "model.so")
        compiler = cxx(self.target().triple)
        subprocess.run([compiler, "-x", "c", "-O1", "-shared", "-fPIC", "-o", library, str(source)], check=True)
        return self.run(job, timeout)

    def works(self) -> bool:
        """Whether the device runs the small model."""
        return self.run(self.job()).error is None

    def test_it_says_what_it_is(self) -> None:
        assert "runner" in self.device.runs
        assert self.device.costs
        assert self.device.parallel >= 1

    def test_it_computes_what_onnx_runtime_says(self) -> None:
        for phase in ("prefill", "decode"):
            result = self.run(self.job(phase))
            assert result.error is None, (phase, result.error)
            assert result.seconds > 0
            assert result.value["correct"] is True
            assert 0 <= result.value["output_error"] < 1e-4
            assert result.value["rms"] > 0
            assert all(isinstance(warning, str) for warning in result.value["warnings"])
            self.check_costs(result.value)

    def check_costs(self, value: dict[str, Any]) -> None:
        """A value for every cost of the device that a prompt pass gives."""
        costs = self.device.costs
        if "latency_ms" in costs:
            assert len(value["samples_ns"]) >= 2
            assert all(isinstance(sample, int) and sample > 0 for sample in value["samples_ns"])
        if "peak_memory_mib" in costs:
            assert value["peak_memory_mib"] > 0
        if "instructions" in costs:
            assert isinstance(value["instructions"], int)
            assert value["instructions"] > 0
            assert "latency_ms" not in costs, "who counts the instructions of an emulator has no times"
            assert "samples_ns" not in value

    def test_the_same_model_gives_the_same_outputs(self) -> None:
        first, second = (self.run(self.job()) for _ in range(2))
        assert first.value["checksum"] == second.value["checksum"]
        assert first.value["checksum"] != self.run(self.job("decode")).value["checksum"]

    def test_a_wrong_output_is_seen(self) -> None:
        job = self.job()
        expected = job.files["expected"]
        data = bytearray(expected.read_bytes())
        data[3] ^= 0xC0  # sign and exponent of the first number
        expected.write_bytes(data)
        result = self.run(job)
        assert result.error is None
        assert result.value["correct"] is False
        assert result.value["output_error"] > 1e-4

    def test_a_damaged_library_is_an_error(self) -> None:
        job = self.job()
        (job.model / "model.so").write_bytes(b"this is not a library " * 50)
        result = self.run(job)
        assert result.value is None
        assert result.error
        assert self.works()

    def test_a_library_that_is_no_model_is_an_error(self) -> None:
        assert self.run_library(_DOES_NOTHING).error
        assert self.works()

    def test_a_damaged_manifest_is_an_error(self) -> None:
        for text in ("{", "[]", '{"schema": 1}', '{"schema": 77}'):
            job = self.job()
            (job.model / MANIFEST).write_text(text)
            result = self.run(job)
            assert result.value is None
            assert result.error, text
        assert self.works()

    def test_missing_weights_are_an_error(self) -> None:
        job = self.job()
        weights = job.files["weights.bin"]
        weights.write_bytes(weights.read_bytes()[:100])
        assert self.run(job).error
        assert self.works()

    def test_a_crash_is_an_error_with_the_signal(self) -> None:
        assert "SIGSEGV" in (self.run_library(_CRASHES).error or "")
        assert self.works()

    def test_an_early_end_is_an_error(self) -> None:
        result = self.run_library(_ENDS)
        assert result.value is None
        assert result.error
        assert self.works()

    def test_a_hanging_model_ends_at_its_timeout(self) -> None:
        result = self.run_library(_HANGS, timeout=_HANG_TIMEOUT)
        assert result.error == f"no result within {_HANG_TIMEOUT:.3g} s"
        assert self.works()

    def test_it_checks_its_target(self) -> None:
        import pytest

        self.device.check(self.target())
        with pytest.raises(UsageError, match="vax-dec-ultrix"):
            self.device.check(Target(name="museum", triple="vax-dec-ultrix", cpu="vax", cores=1))
        assert self.works()

    def test_its_environment_is_json_and_steady(self) -> None:
        first, second = self.device.environment(1), self.device.environment(1)
        assert json.loads(json.dumps(first)) == first
        assert environment_hash(first) == environment_hash(second)
        assert environment_hash(self.device.environment(2)) != environment_hash(first)
        assert self.works()
        assert environment_hash(self.device.environment(1)) == environment_hash(first)

    def test_it_closes_twice(self) -> None:
        assert self.works()
        self.device.close()
        self.device.close()


@functools.cache
def _compiled(target: Target, phase: str) -> RunnerJob:
    """A model of the space gpt2-tiny, compiled for the target, that lasts until this process ends."""
    from lts.backends.backend import load_backend
    from lts.measure.candidate import export_pooled
    from lts.spaces.space import load_space

    folder = _folder()
    (architecture,) = load_space("gpt2-tiny").sample(1, 7)
    step = Step.of(architecture, phase, _N_PROMPT)
    model = export_pooled(architecture, phase, folder, Workload())
    compiler, reference = load_backend("tvm"), Reference()
    try:
        built = compiler.build(model, target, step, _TIMEOUT)
        job = compiler.job(built, step, threads=target.threads, min_time=0.0, min_repeats=3)
        assert isinstance(job, RunnerJob)
        return reference.attach(job, reference.write(model, step))
    finally:
        compiler.close()
        reference.close()


@functools.cache
def _folder() -> Path:
    """A temporary folder, which is removed when this process ends."""
    import atexit

    folder = Path(tempfile.mkdtemp(prefix="lts-suite-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
