"""lts-runner from end to end: a compiled model, and everything that can be wrong with it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding import ROOT, SANITIZED, build, command

from lts.backends.onnxruntime import run as run_onnx
from lts.errors import MeasurementError
from lts.jobs import bundle as bundles
from lts.jobs.runner_process import run as run_process
from lts.jobs.toolchain import cxx
from lts.system import machine
from lts.system.progress import unobserved

pytest.importorskip("tvm_ffi", reason="TVM is not installed")

TRIPLE = machine.triple()
ARM = "aarch64-linux-gnu"
LIBRARIES = ("libtvm_ffi.so", "libtvm_runtime.so")
# A crash shall look as it does without the sanitizer.
SANITIZERS = "handle_segv=0:handle_sigbus=0:handle_sigill=0:handle_sigfpe=0:handle_abort=0:abort_on_error=1"
TIMEOUT = 60.0


def make_model(folder: Path, triple: str) -> Path:
    script = Path(__file__).parents[1].joinpath("runner_models.py")
    subprocess.run([sys.executable, str(script), str(folder), triple, cxx(triple)], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("runner-model"), TRIPLE)


@pytest.fixture
def model(made: Path, tmp_path: Path) -> Path:
    """A compiled model whose files may be changed."""
    return Path(shutil.copytree(made, tmp_path / "model"))


@pytest.fixture(scope="session")
def plain() -> Path:
    return bundles.make_bundle(TRIPLE) / "lts-runner"


@pytest.fixture(scope="session")
def sanitized(plain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All but its versions as the C++ tests have it, so that it is compiled once for both."""
    folder = tmp_path_factory.mktemp("sanitized")
    for name in LIBRARIES:
        shutil.copy(plain.parent / name, folder)
    built = build(SANITIZED, "lts_runner", "lts_runner_parts") / "cpp" / "runner"
    versions = {"LTS_VERSION": bundles._versions()["lts-engine"], "LTS_TVM_VERSION": bundles._versions()["apache-tvm"]}
    flags = ["-std=c++20", "-O1", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    flags += [f'-D{name}="{version}"' for name, version in versions.items()]
    files = [ROOT / "cpp" / "runner" / "main.cpp", built / "liblts_runner.a", built / "liblts_runner_parts.a"]
    out = folder / "lts-runner"
    command(cxx(TRIPLE), *flags, f"-I{ROOT / 'third_party'}", *files, "-ldl", "-pthread", "-o", out)
    return out


@pytest.fixture(params=["plain", pytest.param("sanitized", marks=pytest.mark.slow)])
def runner(request: pytest.FixtureRequest) -> Path:
    """The runner as it is shipped, and with sanitizers that stop it at the first thing that it does wrong."""
    path: Path = request.getfixturevalue(request.param)
    return path


def environment() -> dict[str, str]:
    return {**os.environ, "ASAN_OPTIONS": SANITIZERS}


def request(model: Path, **options: Any) -> dict[str, Any]:
    return {"run": str(model / "model.json"), "min_time": 0, "min_repeats": 2, "max_repeats": 3, **options}


def change(model: Path, **fields: Any) -> None:
    path = model / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def raw(runner: Path, text: bytes, *arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [runner, *arguments],
        input=text,
        capture_output=True,
        timeout=TIMEOUT,
        env=environment(),
        check=False,
        **options,
    )


def answer(runner: Path, asked: Any) -> dict[str, Any]:
    """What the runner answers in both of its modes, where that is the same."""
    text = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    answers = []
    for folder in ("once", "forked"):
        if folder == "once":
            done = raw(runner, text, "--once")
            lines = done.stdout.splitlines()
        else:
            with Supervised(runner) as supervised:
                lines = [supervised.ask(text)]
        assert len(lines) == 1, lines
        answers.append(json.loads(lines[0]))
    once, forked = answers
    assert once.keys() == forked.keys()
    assert once.get("error") == forked.get("error")
    assert isinstance(forked, dict)
    return forked


def error(runner: Path, asked: Any) -> str:
    said = answer(runner, asked)
    assert set(said) == {"error"}, said
    return str(said["error"])


def value(runner: Path, asked: Any) -> dict[str, Any]:
    said = answer(runner, asked)
    assert set(said) == {"value"}, said
    found: dict[str, Any] = said["value"]
    return found


class Supervised:
    """The runner in the mode that answers many requests."""

    def __init__(self, runner: Path) -> None:
        self.process = subprocess.Popen(
            [runner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
        )

    def __enter__(self) -> Supervised:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(TIMEOUT) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()

    def send(self, asked: Any) -> None:
        assert self.process.stdin is not None
        text = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
        self.process.stdin.write(text.replace(b"\n", b" ") + b"\n")
        self.process.stdin.flush()

    def ask(self, asked: Any) -> bytes:
        self.send(asked)
        assert self.process.stdout is not None
        return self.process.stdout.readline()


def library(model: Path, code: str) -> None:
    """Replace the library of a model by one made from C."""
    source = model / "library.c"
    source.write_text(code)
    subprocess.run([cxx(TRIPLE), "-x", "c", "-shared", "-fPIC", "-o", model / "model.so", source], check=True)


CONSTRUCTOR = "#include <unistd.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <sys/prctl.h>\n" + (
    "__attribute__((constructor)) static void run(void) {{ {} }}"
)


def test_it_computes(runner: Path, model: Path) -> None:
    expected = {"file": str(model / "expected.bin"), "tolerance": 1e-5}
    said = value(
        runner, request(model, expected=expected, save=str(model / "out.bin"), cpus=[machine.allowed_cpus()[0]])
    )
    assert said["correct"] is True
    assert 0 <= said["output_error"] <= 1e-5
    assert said["warnings"] == []
    out = (model / "out.bin").read_bytes()
    assert said["checksum"] == f"{zlib.crc32(out):08x}"
    numbers = np.frombuffer(out, np.float32)
    assert np.allclose(numbers, np.fromfile(model / "expected.bin", np.float32), atol=1e-4)
    assert said["rms"] == pytest.approx(float(np.sqrt(np.mean(numbers.astype(np.float64) ** 2))))
    assert 2 <= len(said["samples_ns"]) == len(said["wall_ns"]) <= 3
    assert all(isinstance(sample, int) and sample > 0 for sample in said["samples_ns"])
    assert said["peak_memory_mib"] > 0
    assert said["load_seconds"] > 0
    assert said["run_seconds"] > 0


def test_its_values_are_those_of_onnx_runtime() -> None:
    documented = set(re.findall(r"``(\w+)``[:;,.]", run_onnx.__doc__ or "")) - {"decode", "prefill"}
    assert {"samples_ns", "wall_ns", "checksum"} <= documented
    source = (bundles._sources() / "response.cpp").read_text()
    assert documented <= set(re.findall(r'\{"(\w+)", result', source))


def test_without_preparation_there_is_the_same_output(runner: Path, model: Path) -> None:
    first = value(runner, request(model))
    change(model, function="plain", prepare=None, outputs=["logits"])
    second = value(runner, request(model, expected={"file": str(model / "expected.bin")}))
    assert second["correct"] is True
    assert second["rms"] == pytest.approx(first["rms"])


def test_files_are_found_by_their_names(runner: Path, model: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.bin"
    (model / "weights.bin").rename(elsewhere)
    assert error(runner, request(model)) == f"cannot open {model}/weights.bin: No such file or directory"
    assert value(runner, request(model, files={"weights.bin": str(elsewhere)}))


def test_a_relative_manifest(runner: Path, model: Path) -> None:
    done = raw(runner, b'{"run": "model.json", "max_repeats": 1}', "--once", cwd=model)
    assert "value" in json.loads(done.stdout)


def test_outputs_are_compared(runner: Path, model: Path) -> None:
    checksum = value(runner, request(model))["checksum"]
    assert value(runner, request(model, checksum=checksum))["correct"] is True
    assert value(runner, request(model, checksum="0badcafe"))["correct"] is False
    expected = np.fromfile(model / "expected.bin", np.float32)
    expected[3] += 2 * np.abs(expected).max()
    expected.tofile(model / "expected.bin")
    said = value(runner, request(model, expected={"file": str(model / "expected.bin")}))
    assert said["correct"] is False
    assert 0.5 < said["output_error"] <= 2
    (model / "expected.bin").write_bytes(b"1234")
    assert "has 4 bytes" in error(runner, request(model, expected={"file": str(model / "expected.bin")}))


def test_marks_replace_the_clock(runner: Path, model: Path) -> None:
    said = value(runner, request(model, mark=True, min_repeats=5, max_repeats=1, min_time=100))
    assert len(said["samples_ns"]) == 5


def test_threads_are_started(plain: Path, model: Path) -> None:
    # A function that TVM compiles for one thread does not need them; what counts is that they do no harm.
    assert value(plain, request(model, threads=2, cpus=machine.allowed_cpus()))


def test_processors_that_are_not_there_are_a_warning(plain: Path, model: Path) -> None:
    (warning,) = value(plain, request(model, cpus=[1023]))["warnings"]
    assert "cannot be pinned" in warning


def test_another_version_of_tvm_is_a_warning(plain: Path, model: Path) -> None:
    change(model, tvm="0.1")
    (warning,) = value(plain, request(model))["warnings"]
    assert warning.startswith("the model was compiled by TVM 0.1; it runs with ")


def test_environment(runner: Path) -> None:
    said = value(runner, {"environment": True})
    assert list(said) == ["cpu", "cores", "governor", "memory_mib", "triple", "kernel", "runner", "tvm"]
    assert said["cpu"] == machine.cpu_model()
    assert said["triple"] == TRIPLE
    assert said["kernel"] == os.uname().release
    assert said["tvm"] == bundles._versions()["apache-tvm"]


def test_it_names_the_same_processors_as_python() -> None:
    source = (bundles._sources() / "environment.cpp").read_text()
    parts = {int(number, 16): name for number, name in re.findall(r'\{(0x\w+), "([\w-]+)"\}', source)}
    assert parts == machine._ARM_PARTS


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.9999])
def test_a_truncated_library(runner: Path, model: Path, share: float) -> None:
    path = model / "model.so"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    said = error(runner, request(model))
    size = path.stat().st_size
    expected = f"{path} is truncated ({size} of " if size >= 4 else f"{path} is not a shared library"
    assert said.startswith(expected)


def test_a_library_for_another_processor(runner: Path, model: Path) -> None:
    path = model / "model.so"
    data = bytearray(path.read_bytes())
    machines = {"x86_64": 62, "aarch64": 183}
    here = TRIPLE.split("-")[0]
    (other,) = set(machines) - {here}
    data[18:20] = struct.pack("<H", machines[other])
    path.write_bytes(data)
    assert error(runner, request(model)) == f"{path} is for {other}; this machine is {here}"


def test_damage_anywhere_in_a_library_is_survived(plain: Path, model: Path) -> None:
    path = model / "model.so"
    whole = path.read_bytes()
    with Supervised(plain) as supervised:
        for at in range(0, len(whole), len(whole) // 40):
            data = bytearray(whole)
            data[at : at + 64] = b"\xa5" * len(data[at : at + 64])
            path.write_bytes(data)
            said = json.loads(supervised.ask(request(model, timeout=5)))
            assert len(said) == 1
        path.write_bytes(whole)
        assert "value" in json.loads(supervised.ask(request(model)))


@pytest.mark.parametrize("name", ["model.so", "inputs.bin", "weights.bin", "model.json"])
def test_a_missing_file(runner: Path, model: Path, name: str) -> None:
    (model / name).unlink()
    assert error(runner, request(model)) == f"cannot open {model / name}: No such file or directory"


def test_truncated_weights(runner: Path, model: Path) -> None:
    path = model / "weights.bin"
    size = path.stat().st_size - 1
    os.truncate(path, size)
    assert error(runner, request(model)) == f"{path} has {size} bytes; 'e' is 896 bytes from 12292 on"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schema": 3}, "'schema' must be 1 or 2, not 3"),
        ({"device": "cuda"}, "is compiled for the device 'cuda'; expected 'cpu'"),
        ({"weights": [{"name": "w", "shape": [-1], "dtype": "float32", "file": "w"}]}, "weights[0]: 'shape' must be"),
        ({"weights": [{"name": "w", "shape": [2**62, 4], "dtype": "float32", "file": "w"}]}, "larger than any memory"),
        ({"weights": [{"name": "w", "shape": [1], "dtype": "complex", "file": "w"}]}, "weights[0]: 'dtype' must be"),
        ({"inputs": {}}, "'inputs' must be an array"),
        ({"function": "absent"}, "the model has no function 'absent'"),
        ({"prepare": "absent"}, "the model has no function 'absent'"),
        ({"outputs": ["logits"]}, "the model gives 2 outputs; its manifest names 1"),
        ({"inputs": []}, "TVM: Invoking function main expects 4 arguments"),
        ({"library": "weights.bin"}, "weights.bin is not a shared library"),
    ],
)
def test_a_wrong_manifest(runner: Path, model: Path, fields: dict[str, Any], said: str) -> None:
    change(model, **fields)
    found = error(runner, request(model))
    assert said in found
    assert "Traceback" not in found
    assert ".cc" not in found


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\0\0\0", b'{"schema": 1}', b"\xff\xfe", b"[" * 100_000])
def test_a_manifest_that_is_none(runner: Path, model: Path, text: bytes) -> None:
    (model / "model.json").write_bytes(text)
    assert str(model / "model.json") in error(runner, request(model))


def test_a_wrong_shape_is_what_tvm_says(runner: Path, model: Path) -> None:
    inputs = json.loads((model / "model.json").read_text())["inputs"]
    inputs[0]["shape"] = [2, 128]
    change(model, inputs=inputs)
    assert error(runner, request(model)).startswith("TVM: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "the request is not JSON"),
        (b"\0", "the request is not JSON"),
        (b"[" * 100_000, "the request is not JSON"),
        (b'{"run": "' + b"x" * 2_000_000, "the request is longer than 1 MiB"),
        (b"{}", "the request has no 'run'"),
        (b'{"run": "m", "bogus": 1}', "the request has the key 'bogus'"),
        (b'{"run": "FOLDER/model.json"}', "cannot open FOLDER/model.json: No such file or directory"),
    ],
)
def test_a_wrong_request(runner: Path, text: bytes, said: str, tmp_path: Path) -> None:
    text, said = text.replace(b"FOLDER", bytes(tmp_path)), said.replace("FOLDER", str(tmp_path))
    assert said in error(runner, text)


@pytest.mark.slow
def test_a_line_of_100_mb_is_not_kept(plain: Path) -> None:
    limit = 64 << 20

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = raw(plain, b"x" * 100_000_000 + b"\n", "--once", preexec_fn=limited)
    assert json.loads(done.stdout) == {"error": "the request is longer than 1 MiB"}


def test_no_request(runner: Path) -> None:
    assert json.loads(raw(runner, b"", "--once").stdout) == {"error": "there is no request on stdin"}
    done = raw(runner, b"")
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_an_output_that_is_not_finite(runner: Path, model: Path, number: float) -> None:
    weights = bytearray((model / "weights.bin").read_bytes())
    weights[4096:4100] = struct.pack("<f", number)
    (model / "weights.bin").write_bytes(weights)
    assert error(runner, request(model)) == "the output 'logits' of prefill is not finite"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("*(volatile int *)0 = 1;", "killed by signal 11 (SIGSEGV)"),
        ("__builtin_trap();", r"killed by signal \d \(SIG(ILL|TRAP)\)"),
        ('fputs("all is lost\\n", stderr); abort();', r"killed by signal 6 \(SIGABRT\); its last words: all is lost"),
        ("_exit(3);", "ended .*with code 3"),
        ("_exit(0);", "ended .*with code 0"),
        ("for (;;) pause();", "no result within 0.5 s"),
    ],
)
def test_a_library_that_misbehaves(runner: Path, made: Path, model: Path, code: str, said: str) -> None:
    library(model, CONSTRUCTOR.format(code))
    with Supervised(runner) as supervised:
        found = json.loads(supervised.ask(request(model, timeout=0.5 if "pause" in code else TIMEOUT)))["error"]
        assert re.search(said, found) or said in found
        assert "value" in json.loads(supervised.ask(request(made))), "it answers on"
    once = [str(runner), "--once"]
    with pytest.raises(MeasurementError) as caught:
        run_process(once, request(model), 0.5 if "pause" in code else TIMEOUT)
    assert re.search(said, str(caught.value)) or said in str(caught.value)


def test_a_library_that_is_no_model(runner: Path, model: Path) -> None:
    library(model, "int nothing;")
    assert error(runner, request(model)).startswith(f"{model / 'model.so'} is not a compiled model: ")


def test_what_a_model_prints_is_not_an_answer(runner: Path, model: Path) -> None:
    library(model, CONSTRUCTOR.format('puts("{\\"value\\": 1}"); fflush(stdout);'))
    assert "is not a compiled model" in error(runner, request(model))


def test_memory_that_is_not_there(plain: Path, model: Path) -> None:
    limit = 1536 << 20
    n = 1 << 28
    with (model / "weights.bin").open("ab") as file:
        file.truncate(4 * n + 4)
    # Off by four bytes, so that it has to be copied.
    change(model, weights=[{"name": "w", "shape": [n], "dtype": "float32", "file": "weights.bin", "offset": 4}])

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = raw(plain, json.dumps(request(model)).encode(), "--once", preexec_fn=limited)
    assert json.loads(done.stdout) == {"error": "out of memory"}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_damaged_runtime(runner: Path, model: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(runner.parent, tmp_path / "bundle"))
    path = folder / name
    whole = path.read_bytes()
    for content, said in (
        (whole[:5000], f"{path} is truncated (5000 of {len(whole)} bytes)"),
        (whole[:18] + struct.pack("<H", 243) + whole[20:], f"{path} is for riscv64; this machine is"),
        (b"no library", f"{path} is not a shared library"),
    ):
        path.write_bytes(content)
        assert said in error(folder / "lts-runner", request(model))
    path.unlink()
    assert error(folder / "lts-runner", request(model)) == f"cannot open {path}: No such file or directory"
    shutil.copy(bundles._libraries(TRIPLE, bundles._versions(), False, unobserved)[LIBRARIES.index(name)], path)
    library(model, "int nothing;")
    shutil.copy(model / "model.so", path)
    assert "error" in answer(folder / "lts-runner", request(model)), "a library of somebody else"


def test_a_full_disk(runner: Path, model: Path) -> None:
    full = model / "full"
    full.symlink_to("/dev/full")
    absent = model / "absent" / "out"
    assert error(runner, request(model, save=str(absent))) == f"cannot write {absent}: No such file or directory"
    done = raw(runner, json.dumps(request(model, save=str(full))).encode(), "--once")
    assert json.loads(done.stdout) == {"error": f"cannot write {full}: No space left on device"}
    assert not full.is_symlink(), "what could not be written is removed"
    for arguments in ((), ("--once",), ("--version",), ("--help",)):
        with Path("/dev/full").open("wb") as file, (model / "in").open("w+b") as requests:
            requests.write(json.dumps({"environment": True}).encode() + b"\n")
            requests.seek(0)
            done = subprocess.run(
                [runner, *arguments],
                stdin=requests,
                stdout=file,
                stderr=subprocess.PIPE,
                env=environment(),
                check=False,
            )
        assert done.returncode == 3
        assert b"No space left on device" in done.stderr


def test_arguments(runner: Path) -> None:
    done = raw(runner, b"", "--version")
    versions = bundles._versions()
    expected = f"lts-runner {versions['lts-engine']} (TVM {versions['apache-tvm']}, {TRIPLE})\n"
    assert (done.returncode, done.stdout.decode()) == (0, expected)
    done = raw(runner, b"", "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(b"Usage: lts-runner")
    for arguments in (["--twice"], ["--once", "more"], [""]):
        done = raw(runner, b"", *arguments)
        assert done.returncode == 2
        assert done.stdout == b""
        assert arguments[-1] in done.stderr.decode()


def test_many_requests(runner: Path, model: Path) -> None:
    with Supervised(runner) as supervised:
        checksums = {json.loads(supervised.ask(request(model)))["value"]["checksum"] for _ in range(3)}
        assert len(checksums) == 1
        assert "value" in json.loads(supervised.ask({"environment": True}))


@pytest.fixture
def hanging(model: Path) -> tuple[Path, Path]:
    """A model that hangs, and a file with the number of its process once it does."""
    mark = model / "process"
    code = f'FILE *f = fopen("{mark}.new", "w"); fprintf(f, "%d", (int)getpid()); fclose(f); '
    library(model, CONSTRUCTOR.format(code + f'rename("{mark}.new", "{mark}"); for (;;) pause();'))
    return model, mark


def alive(number: int) -> bool:
    try:
        status = Path(f"/proc/{number}/status").read_text()
    except OSError:
        return False
    return "State:\tZ" not in status


def wait_for(condition: Any) -> None:
    for _ in range(int(TIMEOUT / 0.01)):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come to pass")


@pytest.mark.parametrize("end", ["stdin", signal.SIGTERM, signal.SIGKILL])
def test_a_run_ends_with_whoever_asked_for_it(runner: Path, hanging: tuple[Path, Path], end: Any) -> None:
    model, mark = hanging
    supervised = Supervised(runner)
    supervised.send(request(model))
    wait_for(mark.exists)
    number = int(mark.read_text())
    assert alive(number)
    if end == "stdin":
        with supervised:
            pass
    else:
        supervised.process.send_signal(end)
        supervised.process.communicate()
    wait_for(lambda: not alive(number))


def test_what_comes_from_a_plain_file_is_answered(runner: Path, model: Path) -> None:
    path = model / "requests"
    path.write_text(f"{json.dumps(request(model))}\nnonsense\n{json.dumps({'environment': True})}")
    with path.open("rb") as file:
        done = subprocess.run([runner], stdin=file, capture_output=True, env=environment(), check=False)
    assert [list(json.loads(line)) for line in done.stdout.splitlines()] == [["value"], ["error"], ["value"]]


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """A command that starts the runner for aarch64, and a model for it."""
    qemu = shutil.which("qemu-aarch64")
    if qemu is None:
        pytest.skip("qemu-aarch64 is not installed")
    try:
        compiled = bundles.make_bundle(ARM) / "lts-runner"
    except MeasurementError as missing:
        pytest.skip(str(missing))
    return [qemu, "-L", f"/usr/{ARM}", str(compiled)], make_model(tmp_path_factory.mktemp("arm-model"), ARM)


@pytest.mark.slow
def test_aarch64(emulated: tuple[list[str], Path]) -> None:
    command, model = emulated
    asked = request(model, expected={"file": str(model / "expected.bin")}, mark=True)
    said = run_process([*command, "--once"], asked, TIMEOUT)
    assert said["correct"] is True
    assert len(said["samples_ns"]) == 2
    assert run_process([*command, "--once"], {"environment": True}, TIMEOUT)["triple"] == ARM


@pytest.mark.slow
def test_aarch64_supervised(emulated: tuple[list[str], Path]) -> None:
    command, model = emulated
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        absent = {"run": str(model / "absent")}
        for asked, key in ((request(model), "value"), (absent, "error"), ({"environment": True}, "value")):
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            process.stdin.flush()
            assert list(json.loads(process.stdout.readline())) == [key]
        process.stdin.close()
        assert process.wait(TIMEOUT) == 0
