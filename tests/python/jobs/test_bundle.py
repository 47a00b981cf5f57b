"""The folder with lts-runner for a device. Compilers and wheels are small imitations, but for one real build."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lts.cli import app
from lts.errors import MeasurementError, UsageError
from lts.jobs import bundle as bundles
from lts.jobs.bundle import data_folder, make_bundle, write_bundle
from lts.system import machine

pytest.importorskip("tvm_ffi", reason="TVM is not installed")

HERE = machine.triple()
FOREIGN = "riscv64-linux-gnu" if not HERE.startswith("riscv64") else "aarch64-linux-gnu"
FILES = ["README.md", "libtvm_ffi.so", "libtvm_runtime.so", "lts-runner"]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept yet, and nothing comes from the network."""
    folder = tmp_path / "data" / "lts-engine"
    monkeypatch.setattr(bundles, "data_folder", lambda: folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts shell scripts on the path."""
    folder = tmp_path / "tools"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def add(name: str, script: str) -> None:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)

    return add


COMPILES = """
while [ $# -gt 0 ]; do case $1 in -o) shift; printf 'a runner\\0GLIBC_2.17\\0' > "$1"; chmod +x "$1";; esac; shift; done
"""


@pytest.fixture
def compiler(tools: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Imitations of the compilers, and the file with a line for each time that one was called."""
    calls = tmp_path / "calls"
    script = f'echo "$@" >> {calls}\n{COMPILES}'
    tools("imitation-g++", script)
    tools(f"{FOREIGN}-g++", script)
    monkeypatch.setenv("CXX", "imitation-g++")
    return calls


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Imitations of the wheels for another processor."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    versions = bundles._versions()
    platform = f"manylinux_2_28_{FOREIGN.split('-')[0]}"
    for package, distribution, tag in (("tvm", "apache-tvm", "py3-none"), ("tvm_ffi", "apache-tvm-ffi", "cp311-cp311")):
        name = f"{distribution.replace('-', '_')}-{versions[distribution]}"
        library = "libtvm_runtime.so" if package == "tvm" else "libtvm_ffi.so"
        with zipfile.ZipFile(folder / f"{name}-{tag}-{platform}.whl", "w") as wheel:
            wheel.writestr(f"{package}/lib/{library}", f"{library}\0GLIBC_2.27\0GLIBC_2.9\0")
            wheel.writestr(f"{package}/lib/libtvm_compiler.so", "large")
            wheel.writestr(
                f"{name}.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {versions[distribution]}\n",
            )
            wheel.writestr(f"{name}.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}-{platform}\n")
            wheel.writestr(f"{name}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def in_folder(data: Path) -> str:
    """Code for another process that makes bundles there."""
    return f"from pathlib import Path; from lts.jobs import bundle as b; b.data_folder = lambda: Path({str(data)!r})"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def calls(compiler: Path) -> int:
    return len(compiler.read_text().splitlines()) if compiler.exists() else 0


@pytest.mark.slow
def test_a_real_one_runs(data: Path) -> None:
    folder = make_bundle(HERE)
    assert folder.is_relative_to(data)
    assert names(folder) == FILES
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8e6
    done = subprocess.run([folder / "lts-runner", "--version"], capture_output=True, text=True, check=True)
    assert (
        done.stdout
        == f"lts-runner {bundles._versions()['lts-engine']} (TVM {bundles._versions()['apache-tvm']}, {HERE})\n"
    )
    readme = (folder / "README.md").read_text()
    assert len(readme.splitlines()) == 5
    assert "glibc 2." in readme


def test_it_is_made_once(compiler: Path) -> None:
    first = make_bundle(HERE)
    assert names(first) == FILES
    assert make_bundle(HERE) == first
    assert calls(compiler) == 1
    assert os.access(first / "lts-runner", os.X_OK)
    assert first.stat().st_mode & 0o777 == 0o755


def test_another_runner_is_another_bundle(
    compiler: Path, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_bundle(FOREIGN, fetch=True)
    monkeypatch.delenv("PIP_FIND_LINKS")
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "main.cpp").write_text("changed")
    monkeypatch.setattr(bundles, "_sources", lambda: sources)
    second = make_bundle(FOREIGN)
    assert second != first
    assert calls(compiler) == 2
    assert (second / "libtvm_ffi.so").read_bytes() == (first / "libtvm_ffi.so").read_bytes(), "not fetched again"


def test_what_is_incomplete_is_made_again(compiler: Path) -> None:
    folder = make_bundle(HERE)
    (folder / "libtvm_ffi.so").unlink()
    assert make_bundle(HERE) == folder
    assert names(folder) == FILES
    assert calls(compiler) == 2


def test_a_killed_process_leaves_nothing_that_counts(
    data: Path, compiler: Path, tools: Callable[[str, str], None], tmp_path: Path
) -> None:
    started = tmp_path / "started"
    tools("imitation-g++", f"{COMPILES}\ntouch {started}\nexec sleep 600")
    script = f"{in_folder(data)}; b.make_bundle({HERE!r})"
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    while not started.exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, 9)
    process.wait()
    assert not any(bundles._complete(path) for path in (data / "bundle").iterdir())
    assert any(path.name.startswith("unfinished-") for path in (data / "bundle").iterdir())
    tools("imitation-g++", f"echo once >> {compiler}\n{COMPILES}")
    folder = make_bundle(HERE)
    assert names(folder) == FILES
    assert names(data / "bundle") == sorted([folder.name, "lock"])


def test_two_processes_make_one(data: Path, compiler: Path, tools: Callable[[str, str], None]) -> None:
    tools("imitation-g++", f"echo once >> {compiler}\nsleep 0.5\n{COMPILES}")
    script = f"{in_folder(data)}; print(b.make_bundle({HERE!r}))"
    processes = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    folders = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(folders) == 1
    assert calls(compiler) == 1


def test_libraries_for_another_processor_are_fetched(compiler: Path, wheels: Path, data: Path) -> None:
    with pytest.raises(MeasurementError, match=f"^the TVM runtime for {FOREIGN} is not here; get it with: lts-engine"):
        make_bundle(FOREIGN)
    folder = make_bundle(FOREIGN, fetch=True)
    assert names(folder) == FILES
    assert (folder / "libtvm_ffi.so").read_bytes().startswith(b"libtvm_ffi.so\0")
    assert "glibc 2.27 or later" in (folder / "README.md").read_text()
    assert make_bundle(FOREIGN) == folder
    assert all(path.suffix != ".whl" for path in data.rglob("*")), "the wheels are not kept"


def test_arm64_is_called_by_its_name(compiler: Path, tools: Callable[[str, str], None]) -> None:
    other = "aarch64-linux-gnu"
    if machine.same_architecture(other, HERE):
        pytest.skip("this machine is one")
    tools(f"{other}-g++", COMPILES)
    with pytest.raises(MeasurementError, match=r"lts-engine target bundle arm64$"):
        make_bundle(other)


def test_no_network_is_one_sentence(compiler: Path, data: Path) -> None:
    with pytest.raises(MeasurementError) as caught:
        make_bundle(FOREIGN, fetch=True)
    assert str(caught.value).startswith(f"cannot fetch the TVM runtime for {FOREIGN}: No matching distribution found")
    assert "\n" not in str(caught.value)
    assert names(data / "bundle") == ["lock"]


def test_a_damaged_wheel(compiler: Path, wheels: Path) -> None:
    (wheel,) = wheels.glob("apache_tvm_ffi-*")
    with zipfile.ZipFile(wheel) as old:
        content = {name: old.read(name) for name in old.namelist() if not name.endswith("libtvm_ffi.so")}
    with zipfile.ZipFile(wheel, "w") as new:
        for name, data in content.items():
            new.writestr(name, data)
    with pytest.raises(MeasurementError, match=r"has no tvm_ffi/lib/libtvm_ffi\.so"):
        make_bundle(FOREIGN, fetch=True)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "absent-g++")
    with pytest.raises(MeasurementError, match="'absent-g\\+\\+' is not there"):
        make_bundle(HERE)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'main.cpp:7: error: no good' >&2; exit 1", "does not compile lts-runner: main.cpp:7: error: no good"),
        ("exit 4", "does not compile lts-runner: it ended with code 4"),
        ("exit 0", "does not compile lts-runner: it ended with code 0"),
    ],
)
def test_a_compiler_that_fails(
    tools: Callable[[str, str], None], monkeypatch: pytest.MonkeyPatch, data: Path, script: str, said: str
) -> None:
    tools("bad-g++", script)
    monkeypatch.setenv("CXX", "bad-g++")
    with pytest.raises(MeasurementError) as caught:
        make_bundle(HERE)
    assert said in str(caught.value)
    assert names(data / "bundle") == ["lock"]


def test_without_tvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundles._LIBRARIES, "libtvm_ffi.so", ("tvm_ffi", "absent-distribution"))
    with pytest.raises(MeasurementError) as caught:
        make_bundle(HERE)
    assert str(caught.value) == ("absent-distribution is not installed; install it with: pip install 'lts-engine[tvm]'")


@pytest.mark.parametrize("triple", ["", "aarch64", "../../etc", "a-b/c", "-x-y"])
def test_what_is_no_triple(triple: str) -> None:
    with pytest.raises(UsageError, match="is not a triple"):
        make_bundle(triple)


def test_a_folder_that_cannot_be_written(compiler: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "data_folder", lambda: Path("/proc/nowhere"))
    with pytest.raises(MeasurementError, match="cannot make /proc/nowhere"):
        make_bundle(HERE)


def test_it_is_copied(compiler: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "deep"
    out.mkdir(parents=True)
    (out / "lts-runner").write_text("an older one")
    (out / "notes").write_text("mine")
    files = write_bundle(HERE, out)
    assert sorted(path.name for path in files) == FILES
    assert names(out) == sorted([*FILES, "notes"])
    assert (out / "lts-runner").read_bytes().startswith(b"a runner")
    assert os.access(out / "lts-runner", os.X_OK)
    with pytest.raises(UsageError, match="cannot write"):
        write_bundle(HERE, out / "notes" / "below")


def test_where_it_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert data_folder() == tmp_path / "share" / "lts-engine"
    monkeypatch.setattr(sys, "prefix", "/proc")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "xdg" / "lts-engine"
    monkeypatch.setenv("XDG_DATA_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert data_folder() == tmp_path / "home" / ".local" / "share" / "lts-engine"


class TestCommandLine:
    def invoke(self, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["target", "bundle", *arguments])
        return result.exit_code, result.output

    def test_it_writes_the_folder(self, compiler: Path, tmp_path: Path) -> None:
        code, output = self.invoke("host", "-O", str(tmp_path / "out"), "-o", "json")
        assert code == 0
        records = json.loads(output)
        assert [Path(record["file"]).name for record in records] == FILES
        assert all(record["bytes"] == Path(record["file"]).stat().st_size for record in records)
        assert names(tmp_path / "out") == FILES

    def test_it_prepares_the_folder(self, compiler: Path, data: Path) -> None:
        code, output = self.invoke("host", "-o", "jsonl")
        assert code == 0
        assert all(json.loads(line)["file"].startswith(str(data)) for line in output.splitlines())

    def test_wrong_arguments(self, compiler: Path) -> None:
        assert self.invoke("nowhere")[0] == 2
        code, output = self.invoke("sm_80")
        assert code == 2
        assert "is a gpu" in output
        code, output = self.invoke("host", "-O", "/proc/nowhere")
        assert code == 2
        assert "cannot write /proc/nowhere" in output

    def test_what_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CXX", "absent-g++")
        code, output = self.invoke("host")
        assert code == 3
        assert "absent-g++" in output
