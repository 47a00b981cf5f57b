"""The emulated device: what its plugin counts, whole models, and what it says when something is missing."""

from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from lts import Architecture
from lts.backends.backend import load_backend
from lts.backends.reference import Reference
from lts.devices import qemu
from lts.devices.device import open_device
from lts.devices.emulated import EmulatedDevice
from lts.errors import LtsError, MeasurementError, UsageError
from lts.jobs.job import Job, RunnerJob
from lts.jobs.toolchain import cxx
from lts.measure.candidate import measure
from lts.measure.compare import Answer, Metric, verdict
from lts.measure.outcome import Outcome
from lts.spaces.space import load_space
from lts.system import machine
from lts.targets.target import Target, detect_target
from lts.targets.workload import Workload
from lts.testing import RunnerDeviceSuite

CORTEX = Target(name="board", triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)
OWN = detect_target()
N = 10_000

# The loop is two instructions a turn on both.
COUNTED = """
#include <stdlib.h>
#include <sys/prctl.h>
static void turn(unsigned long n) {
#if defined(__aarch64__)
  __asm__ volatile("1: subs %0, %0, #1\\n b.ne 1b" : "+r"(n) : : "cc");
#else
  __asm__ volatile("1: dec %0\\n jnz 1b" : "+r"(n) : : "cc");
#endif
}
int main(int argc, char **argv) {
  const unsigned long n = strtoul(argv[1], 0, 10);
  for (unsigned long i = 0; i < 5; ++i) {
    prctl(0x4c5453, i, 0, 0, 0);
    turn(n * (1 + i / 2));
  }
  return 0;
}
"""
THREADED = """
#include <pthread.h>
#include <sys/prctl.h>
static void *nothing(void *argument) { return argument; }
int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, nothing, 0);
  pthread_join(thread, 0);
  prctl(0x4c5453, 0, 0, 0, 0);
  return 0;
}
"""


@functools.cache
def installed(target: Target) -> str:
    """What is missing to compile for the target and emulate it, empty when nothing is."""
    if find_spec("tvm") is None:
        return "TVM is not installed: pip install 'lts-engine[tvm]'"
    try:
        cxx(target.triple)
        qemu.find_emulator(target.triple, target.cpu)
    except MeasurementError as error:
        return str(error)
    return ""


@pytest.fixture(scope="session")
def cortex() -> Target:
    """An arm64 target that can be compiled for and emulated."""
    if reason := installed(CORTEX):
        pytest.skip(reason)
    return CORTEX


class Program:
    """A C program for a triple, run by the emulator with the plugin."""

    def __init__(self, folder: Path, triple: str, code: str) -> None:
        name = f"qemu-{qemu.architecture(triple)}"
        if (found := shutil.which(name)) is None:
            pytest.skip(f"{name} is not installed: apt-get install qemu-user")
        self.folder = folder
        self.emulator = found
        self.file = folder / "program"
        source = folder / "program.c"
        source.write_text(code)
        try:
            compiler = cxx(triple)
        except MeasurementError as error:
            pytest.skip(str(error))
        options = ("-x", "c", "-O1", "-pthread", "-static")
        subprocess.run([compiler, *options, "-o", str(self.file), str(source)], check=True)
        self.plugin = qemu.plugin(qemu.version_of(Path(found)))

    def marks(self, *arguments: str, padding: int = 0, out: str = "marks") -> list[dict[str, int]]:
        path = self.folder / out
        options = f"file={self.plugin},out={str(path).replace(',', ',,')}"
        command = [self.emulator, "-plugin", options, str(self.file), *arguments]
        done = subprocess.run(
            command, env={**os.environ, "PADDING": "x" * padding}, check=False, stderr=subprocess.PIPE, text=True
        )
        assert not done.stderr
        return [json.loads(line) for line in path.read_text().splitlines()]


class TestPlugin:
    @pytest.mark.parametrize("triple", ["aarch64-linux-gnu", "x86_64-linux-gnu"])
    def test_it_counts_a_loop_exactly(self, tmp_path: Path, triple: str) -> None:
        program = Program(tmp_path, triple, COUNTED)
        found = set()
        for padding in (0, 1, 777):
            marks = program.marks(str(N), padding=padding)
            assert [mark["mark"] for mark in marks] == [0, 1, 2, 3, 4]
            assert {mark["threads"] for mark in marks} == {1}
            counts = [mark["instructions"] for mark in marks]
            assert counts[0] > 0
            first, second, third, fourth = (after - before for before, after in pairwise(counts))
            assert second == first
            assert third == second + 2 * N
            assert fourth == third
            assert 2 * N < second < 2 * N + 200
            found.add((second, third, fourth))
        assert len(found) == 1

    def test_the_number_of_turns_is_all_that_counts(self, tmp_path: Path) -> None:
        program = Program(tmp_path, machine.triple(), COUNTED)
        for n in (1000, 1001, 5000):
            few, many = program.marks("1000"), program.marks(str(n))
            taken = [marks[4]["instructions"] - marks[3]["instructions"] for marks in (few, many)]
            assert taken[1] - taken[0] == 2 * 2 * (n - 1000)

    def test_it_says_how_many_threads_there_were(self, tmp_path: Path) -> None:
        (mark,) = Program(tmp_path, machine.triple(), THREADED).marks()
        assert mark["threads"] == 2

    def test_a_comma_in_a_path_is_no_harm(self, tmp_path: Path) -> None:
        assert len(Program(tmp_path, machine.triple(), COUNTED).marks("10", out="a,b")) == 5

    def test_a_file_that_cannot_be_written_ends_the_emulator(self, tmp_path: Path) -> None:
        program = Program(tmp_path, machine.triple(), COUNTED)
        for options in ("", f",out={tmp_path}/no/such/folder/marks"):
            command = [program.emulator, "-plugin", f"file={program.plugin}{options}", str(program.file), "10"]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode == 1
            assert "cannot write" in done.stderr


@pytest.mark.slow
class TestEmulatedArm(RunnerDeviceSuite):
    def setup_method(self) -> None:
        if reason := installed(self.target()):
            pytest.skip(reason)
        super().setup_method()

    def make_device(self) -> EmulatedDevice:
        return EmulatedDevice()

    def target(self) -> Target:
        return CORTEX


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are written, and the weights that they share."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def reference() -> Iterator[Reference]:
    made = Reference()
    yield made
    made.close()


def measured(target: Target, workdir: Path, reference: Reference | None, space: str, seed: int = 3) -> Outcome:
    """Both phases of a tiny architecture, on a new device."""
    (architecture,) = load_space(space).sample(1, seed)
    compiler, emulated = load_backend("tvm"), open_device("emulated")
    try:
        return measure(
            architecture,
            target,
            emulated,
            compiler,
            workload=Workload(9),
            timeout=300,
            workdir=workdir,
            reference=reference,
        )
    finally:
        compiler.close()
        emulated.close()


class TestModels:
    @pytest.mark.parametrize("space", ["gpt2-tiny", "llama-tiny"])
    @pytest.mark.slow
    def test_a_model_is_right_and_its_instructions_are_the_same_twice(
        self, cortex: Target, workdir: Path, reference: Reference, space: str
    ) -> None:
        first = measured(cortex, workdir, reference, space)
        assert first.error is None
        assert first.values["output_error"] < 1e-4
        assert first.values["instructions"] > first.values["decode_instructions"] > 1000
        assert set(first.values) == {"instructions", "decode_instructions", "output_error"}
        assert set(first.provenance.values()) == {"emulated"}
        assert not first.samples_ns
        assert not first.warnings
        second = measured(cortex, workdir, reference, space)
        assert second.values == first.values
        assert second.environment == first.environment

    @pytest.mark.slow
    @pytest.mark.parametrize("cpu", ["cortex-a72", "cortex-a76"])
    @pytest.mark.parametrize("precision", ["int8", "int4", "float16"])
    def test_a_model_in_another_precision_is_right(
        self, cortex: Target, workdir: Path, cpu: str, precision: str
    ) -> None:
        """In integers by dot products, or by multiplications that widen; measured: up to 0.03 and 0.001."""
        reference = Reference(precision)
        target = replace(cortex, cpu=cpu, precision=precision)
        found = measured(target, workdir, reference, "llama-tiny")
        reference.close()
        assert found.error is None
        assert found.values["output_error"] < (5e-3 if precision == "float16" else 5e-2)

    @pytest.mark.slow
    def test_another_process_and_environment_count_the_same(
        self, cortex: Target, workdir: Path, reference: Reference, tmp_path: Path
    ) -> None:
        here = measured(cortex, workdir, reference, "gpt2-tiny")
        script = textwrap.dedent(
            f"""
            import sys, pathlib
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            from test_emulated import CORTEX, Reference, measured
            reference = Reference()
            values = measured(CORTEX, pathlib.Path(sys.argv[1]), reference, "gpt2-tiny").values
            reference.close()
            print(values["instructions"], values["decode_instructions"])
            """
        )
        folder = tmp_path / "a folder with a long name, and a comma"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            env={**os.environ, "PADDING": "x" * 999, "TMPDIR": str(folder)},
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == [str(here.values["instructions"]), str(here.values["decode_instructions"])]

    @pytest.mark.slow
    def test_a_wrong_output_fails_the_candidate(
        self, cortex: Target, workdir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reference = Reference()
        write = reference.write

        def wrong(*arguments: object) -> Path:
            path = write(*arguments)  # type: ignore[arg-type]
            path.write_bytes(b"\0\0\x80\x3f" * (path.stat().st_size // 4))
            return path

        monkeypatch.setattr(reference, "write", wrong)
        found = measured(cortex, workdir, reference, "gpt2-tiny")
        reference.close()
        assert "differs from ONNX Runtime's" in (found.error or "")

    @pytest.mark.slow
    def test_more_work_takes_more_instructions(self, cortex: Target, workdir: Path) -> None:
        counts = []
        for n_layer in (1, 2, 4):
            architecture = Architecture("gpt2", 256, 64, 64, n_head=2, d_ff=256, n_layer=n_layer)
            with EmulatedDevice() as emulated:
                compiler = load_backend("tvm")
                found = measure(
                    architecture,
                    cortex,
                    emulated,
                    compiler,
                    costs=["instructions"],
                    workload=Workload(8),
                    workdir=workdir,
                )
                compiler.close()
            assert found.error is None
            counts.append(found.values["instructions"])
        assert counts[0] < counts[1] < counts[2]
        # The layers are equal, so what each adds is equal, but for the first and the last.
        assert (counts[2] - counts[1]) / (counts[1] - counts[0]) == pytest.approx(2, rel=0.1)

    @pytest.mark.slow
    @pytest.mark.alone
    def test_a_gate_sees_small_changes_and_no_load(self, cortex: Target) -> None:
        """A feed-forward that is 1 % wider, another tile of a schedule, and busy programs on every core."""
        from bench_instructions import busy, count_scheduled, counted_anew

        model, wider = (Architecture("gpt2", 256, 8, 128, n_head=2, d_ff=d_ff, n_layer=1) for d_ff in (400, 404))
        counts = [counted_anew(model, cortex, 8)]
        with busy():
            counts += [counted_anew(model, cortex, 8) for _ in range(2)]
            more = counted_anew(wider, cortex, 8)
        assert len(set(counts)) == 1
        found = verdict(Metric.named("instructions"), counts[:1], [more])
        assert (found.answer, found.max_regression) == (Answer.regression, 0)
        assert 0 < found.change < 0.05
        before, after = (count_scheduled(model, cortex, 8, n) for n in (None, 16))
        assert before == pytest.approx(counts[0], rel=0.002)
        assert after != before

    @pytest.mark.slow
    def test_threads_of_ours_count_at_the_same_time(self, cortex: Target) -> None:
        suite = TestEmulatedArm()
        suite.setup_method()
        try:
            job = suite.job()
            results = [suite.run(job)]
            many = [threading.Thread(target=lambda: results.append(suite.run(job))) for _ in range(4)]
            for thread in many:
                thread.start()
            for thread in many:
                thread.join()
        finally:
            suite.teardown_method()
        assert [result.error for result in results] == [None] * 5
        assert len({result.value["instructions"] for result in results}) == 1

    @pytest.mark.slow
    def test_this_machine_s_own_architecture(self, workdir: Path, reference: Reference) -> None:
        if reason := installed(OWN):
            pytest.skip(reason)
        # Without AVX-512, which qemu 7.2 does not have.
        features = tuple(feature for feature in OWN.features if not feature.startswith(("avx512", "amx")))
        target = Target(name="own", triple=OWN.triple, cpu=OWN.cpu, cores=1, features=features)
        found = measured(target, workdir, reference, "gpt2-tiny")
        assert found.error is None
        assert found.values["output_error"] < 1e-4
        assert found.values["instructions"] > 1000


class TestRefusals:
    def test_targets(self, cortex: Target) -> None:
        with EmulatedDevice() as emulated:
            with pytest.raises(UsageError, match="is for gpu"):
                emulated.check(Target(name="h", triple=OWN.triple, cpu="sm_90", cores=1, kind="gpu"))
            with pytest.raises(UsageError, match="wants 4 threads"):
                emulated.check(Target(name="b", triple=cortex.triple, cpu="cortex-a72", cores=4, threads=4))
            with pytest.raises(UsageError, match="aarch64-apple-darwin"):
                emulated.check(Target(name="b", triple="aarch64-apple-darwin", cpu="apple-m1", cores=4))

    def test_jobs(self, tmp_path: Path) -> None:
        with EmulatedDevice() as emulated:
            with pytest.raises(UsageError, match="compiled models"):
                emulated.run(Job("lts.testing.jobs:echo", {"value": 1}), 10)
            with pytest.raises(UsageError, match="2 threads"):
                emulated.run(RunnerJob(tmp_path, threads=2), 10)
            with pytest.raises(UsageError, match="not a compiled model"):
                emulated.run(RunnerJob(tmp_path), 10)
            (tmp_path / "model.json").write_text('{"triple": "vax-dec-ultrix"}')
            with pytest.raises(UsageError, match="vax-dec-ultrix"):
                emulated.run(RunnerJob(tmp_path), 10)

    def test_an_unknown_processor_has_everything(self, cortex: Target) -> None:
        assert qemu.find_emulator(cortex.triple, "cortex-a72").cpu == "cortex-a72"
        assert qemu.find_emulator(cortex.triple, "cortex-z99").cpu == "max"

    def test_a_uri_has_nothing_behind_the_name(self) -> None:
        with pytest.raises(UsageError, match="emulated"):
            open_device("emulated:arm")

    def test_an_instruction_that_the_processor_does_not_have(self, cortex: Target) -> None:
        suite = TestEmulatedArm()
        suite.setup_method()
        try:
            result = suite.run_library('__attribute__((constructor)) static void run(void) { __asm__("udf #0"); }')
        finally:
            suite.teardown_method()
        assert (result.error or "").startswith("killed by signal 4 (SIGILL): qemu-aarch64")
        assert "does not have an instruction of the model on its processor 'cortex-a72'" in (result.error or "")

    def test_a_library_for_another_processor(self, cortex: Target, tmp_path: Path) -> None:
        suite = TestEmulatedArm()
        suite.setup_method()
        try:
            job = suite.job()
            source = tmp_path / "x.c"
            source.write_text("int x;")
            library = str(job.model / "model.so")
            subprocess.run([cxx(machine.triple()), "-x", "c", "-shared", "-o", library, str(source)], check=True)
            result = suite.run(job)
        finally:
            suite.teardown_method()
        assert result.value is None
        assert "model.so" in (result.error or "")


class TestMissing:
    """What the device says when a part of it is not installed."""

    def test_the_emulator(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with EmulatedDevice() as emulated, pytest.raises(MeasurementError, match="apt-get install qemu-user"):
            emulated.check(CORTEX)

    def test_the_c_library(self) -> None:
        if shutil.which("qemu-riscv64") is None:
            pytest.skip("qemu-riscv64 is not installed")
        target = Target(name="r", triple="riscv64-linux-nolibc", cpu="generic-rv64", cores=1)
        with EmulatedDevice() as emulated, pytest.raises(MeasurementError, match="apt-get install"):
            emulated.check(target)

    def test_the_compiler(self, cortex: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """The plugin has to be compiled, where it has not been yet."""
        bin_folder = tmp_path / "bin"
        bin_folder.mkdir()
        (bin_folder / "qemu-aarch64").symlink_to(str(shutil.which("qemu-aarch64")))
        monkeypatch.setenv("PATH", str(bin_folder))
        monkeypatch.delenv("CXX", raising=False)
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        with pytest.raises(MeasurementError, match=r"apt-get install g\+\+"):
            qemu.plugin("7.2.99", tmp_path / "data")

    def test_a_compiler_that_fails(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("CXX", shutil.which("false") or "false")
        with pytest.raises(MeasurementError, match=r"instructions\.c"):
            qemu.plugin("7.2.99", tmp_path / "data")
        assert not list(tmp_path.rglob("*.so"))

    def test_an_emulator_without_plugins(self, cortex: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        stub = tmp_path / "qemu-aarch64"
        stub.write_text(
            "#!/bin/sh\n"
            'case "$1" in\n'
            '  --version) echo "qemu-aarch64 version 10.0.2 (Museum)";;\n'
            '  -cpu) echo "Available CPUs:";;\n'
            "  *) echo \"qemu: unknown option 'plugin'\" >&2; exit 1;;\n"
            "esac\n"
        )
        stub.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setattr(qemu, "data_folder", lambda: tmp_path / "data")
        with EmulatedDevice() as emulated, pytest.raises(MeasurementError) as caught:
            emulated.check(cortex)
        assert "10.0.2" in str(caught.value)
        assert "unknown option 'plugin'" in str(caught.value)

    def test_something_else_of_that_name(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        stub = tmp_path / "qemu-aarch64"
        stub.write_text("#!/bin/sh\necho hello\n")
        stub.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        with pytest.raises(LtsError, match="names no version"):
            qemu.find_emulator(CORTEX.triple, CORTEX.cpu)


def test_ctrl_c_leaves_nothing_behind(cortex: Target, tmp_path: Path) -> None:
    """Neither a running emulator nor a file."""
    script = textwrap.dedent(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from lts.testing import runner_device
        from test_emulated import TestEmulatedArm
        suite = TestEmulatedArm()
        suite.setup_method()
        try:
            job = suite.job()
            print("ready", flush=True)
            suite.run_library(runner_device._HANGS, timeout=600)
        finally:
            suite.teardown_method()
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 60
        while not (running := emulators_of(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running
        os.kill(process.pid, signal.SIGINT)
        process.wait(60)
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{pid}").exists() for pid in running) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not any(Path(f"/proc/{pid}").exists() for pid in running)
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.iterdir())


def emulators_of(ancestor: int) -> list[int]:
    """Processes below another one that are emulators running a library of the suite."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            text = machine.read(folder / "stat")
            if ")" in text:
                parents[int(folder.name)] = int(text.rpartition(")")[2].split()[1])
                names[int(folder.name)] = machine.read(folder / "cmdline")
    found = []
    for pid, name in names.items():
        above = pid
        while above in parents and above != ancestor:
            above = parents[above]
        if above == ancestor and "-plugin" in name:
            found.append(pid)
    return found
