"""What people install: the source distribution, a wheel built from it without a network, and that wheel at work."""

from __future__ import annotations

import email
import email.message
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = f"lts_engine-{PROJECT['version']}"
DIST_INFO = f"{NAME}.dist-info"
MACHINE = os.uname().machine
PYTHON_TAG = f"cp{sys.version_info.major}{sys.version_info.minor}"
LEFT_OUT = (".ci", ".github", "benchmarks")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def need(*names: str) -> None:
    """Skip unless these programs and modules are there; what the environment has comes first on the path."""
    missing = [n for n in names if shutil.which(n, path=environment()["PATH"]) is None and find_spec(n) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (install.sh --dev)")


def environment() -> dict[str, str]:
    """Ours without what would change a build, pip or another pytest: flags, options, a cache of the compiler."""
    dropped = ("CMAKE", "SKBUILD", "PIP_", "PYTEST", "PYTHON", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = f"{Path(sys.executable).parent}:{kept['PATH']}"
    return kept | {"CCACHE_DISABLE": "1", "PIP_CONFIG_FILE": os.devnull, "PATH": path}


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, env=env or environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr)[-6000:]}"
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> None:
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments, cwd=cwd)


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def fields(wheel: Path, file: str) -> email.message.Message:
    """A file of headers in the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"{DIST_INFO}/{file}"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this tree."""
    need("scikit_build_core", "pybind11", "pip", "cmake", "ninja", "g++", "nm")
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-c", "import sys, scikit_build_core.build as b; b.build_sdist(sys.argv[1])", folder, cwd=ROOT)
    (file,) = folder.iterdir()
    assert file.name == f"{NAME}.tar.gz"
    return file


@pytest.fixture(scope="module")
def unpacked(sdist: Path) -> Path:
    """The folder that the source distribution unpacks to."""
    run("tar", "-xzf", sdist, cwd=sdist.parent)
    return sdist.parent / NAME


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is built: empty at first."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture(scope="module")
def wheel(unpacked: Path, build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the source distribution; this takes a minute of two processors, nearly all of it compiling."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ("--no-build-isolation", "--no-index", "--no-deps", "--no-cache-dir")
    pip("wheel", *offline, f"--config-settings=build-dir={build}", "-w", folder, unpacked, cwd=folder)
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel; what it depends on is taken from ours, for lack of a network."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    (site,) = folder.glob("lib/python*/site-packages")
    # The .pth files in the folders of this list are not read, so an editable lts in them is not found.
    ours = [path for path in sys.path if path.endswith("-packages")]
    (site / "dependencies.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
    pip("--python", python, "install", "--no-index", "--no-deps", "--ignore-installed", wheel, cwd=folder)
    return folder / "bin"


def test_the_source_distribution_is_the_tree(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        files = {str(PurePosixPath(m.name).relative_to(NAME)) for m in archive.getmembers() if m.isfile()}
    for wanted in (
        *("LICENSE", "third_party/nlohmann/LICENSE.MIT", "third_party/nlohmann/json.hpp", "CMakeLists.txt"),
        *("cpp/src/search.cpp", "cpp/include/lts/lts.hpp", "cpp/runner/main.cpp", "bindings/exports.map", "PKG-INFO"),
        *("tests/python/conftest.py", "tests/golden/search_state.json", "scripts/check_wheel"),
    ):
        assert wanted in files
    unwanted = re.compile(
        r"(^|/)(build|dist|__pycache__|\.git|\.venv|\.[a-z]*_cache|\.hypothesis)/|\.(so|a|o|pyc|whl)$"
    )
    assert not [file for file in files if unwanted.search(file) or file.startswith(LEFT_OUT)]


def test_the_source_distribution_is_what_git_has(sdist: Path) -> None:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a checkout of git")

    def listed(*which: str) -> set[str]:
        files = run("git", "ls-files", "-z", *which, cwd=ROOT).split("\0")
        return {file for file in files if file and (ROOT / file).is_file() and not file.startswith(LEFT_OUT)}

    with tarfile.open(sdist) as archive:
        files = {str(PurePosixPath(m.name).relative_to(NAME)) for m in archive.getmembers() if m.isfile()}
    tracked = listed()
    assert tracked - files == set()
    assert files - tracked <= listed("--others", "--exclude-standard") | {"PKG-INFO"}


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path, unpacked: Path) -> None:
    """No headers but those of lts-runner, which is compiled for devices; no library, CMake file or test."""

    def below(folder: str, *suffixes: str) -> set[str]:
        files = [path for path in (unpacked / folder).rglob("*") if path.is_file()]
        return {path.relative_to(unpacked / folder).as_posix() for path in files if path.suffix in suffixes}

    expected = {f"lts/{f}" for f in below("python/lts", ".py", ".pyi", ".toml", ".css", ".js", ".html")}
    expected |= {"lts/py.typed"}
    expected |= {f"lts/runner/{f}" for f in below("cpp/runner", ".cpp", ".hpp", ".h")}
    expected |= {f"lts/runner/nlohmann/{f}" for f in below("third_party/nlohmann", ".hpp", ".MIT")}
    expected |= {"lts/emulator/instructions.c", f"lts/_core.cpython-{PYTHON_TAG[2:]}-{MACHINE}-linux-gnu.so"}
    expected |= {f"{DIST_INFO}/{f}" for f in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")}
    expected |= {f"{DIST_INFO}/licenses/third_party/nlohmann/LICENSE.MIT"}
    assert names_in(wheel) == expected
    for part in ("spaces/gpt2-small.toml", "targets/host.toml", "runner/main.cpp", "runner/nlohmann/json.hpp"):
        assert f"lts/{part}" in expected  # the listing of the tree is not empty by mistake


def test_metadata(wheel: Path) -> None:
    tag = f"{PYTHON_TAG}-{PYTHON_TAG}-linux_{MACHINE}"
    assert wheel.name == f"{NAME}-{tag}.whl"
    about = fields(wheel, "WHEEL")
    assert (about["Tag"], about["Root-Is-Purelib"]) == (tag, "false")
    metadata = fields(wheel, "METADATA")
    assert (metadata["Name"], metadata["Version"]) == ("lts-engine", PROJECT["version"])
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == PROJECT["license-files"]
    assert metadata["Requires-Python"] == ">=3.11"
    needed = [r for r in metadata.get_all("Requires-Dist", []) if "extra ==" not in r]
    assert {re.split(r"[^\w-]", r)[0] for r in needed} == {"numpy", "onnx", "onnxruntime", "typer", "rich"}
    with zipfile.ZipFile(wheel) as archive:
        entry_points = archive.read(f"{DIST_INFO}/entry_points.txt").decode()
    assert re.fullmatch(r"\[console_scripts\]\nlts-engine ?= ?lts\.cli:main\s*", entry_points)


def test_the_extension_exports_python_s_entry_point_alone(wheel: Path, tmp_path: Path) -> None:
    (name,) = (n for n in names_in(wheel) if n.endswith(".so"))
    with zipfile.ZipFile(wheel) as archive:
        extension = archive.extract(name, tmp_path)
    symbols = [line.split()[-1] for line in run("nm", "-D", "--defined-only", extension, cwd=tmp_path).splitlines()]
    assert symbols == ["PyInit__core"]


def test_the_extension_needs_what_every_system_has(wheel: Path, tmp_path: Path) -> None:
    need("readelf")
    (name,) = (n for n in names_in(wheel) if n.endswith(".so"))
    with zipfile.ZipFile(wheel) as archive:
        dynamic = run("readelf", "-dW", archive.extract(name, tmp_path), cwd=tmp_path)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    allowed = r"(libstdc\+\+\.so\.6|libgcc_s\.so\.1|lib(m|c)\.so\.6|libpthread\.so\.0|ld-linux-[\w-]+\.so\.\d)"
    assert needed
    assert not [library for library in needed if not re.fullmatch(allowed, library)]
    assert not re.search(r"\((RPATH|RUNPATH|TEXTREL)\)", dynamic)


def test_the_wheel_follows_a_policy_of_manylinux(wheel: Path, tmp_path: Path) -> None:
    need("auditwheel")
    shown = " ".join(run(sys.executable, "-m", "auditwheel", "show", wheel, cwd=tmp_path).split())
    assert re.search(rf'consistent with the following platform tag: "manylinux_2_\d+_{MACHINE}"', shown), shown


def test_repairing_changes_only_the_tag(wheel: Path, tmp_path: Path) -> None:
    need("auditwheel", "patchelf")
    run(sys.executable, "-m", "auditwheel", "repair", "-w", tmp_path / "repaired", wheel, cwd=tmp_path)
    (repaired,) = (tmp_path / "repaired").iterdir()
    assert re.search(rf"-manylinux_2_\d+_{MACHINE}\.whl$", repaired.name)
    assert names_in(repaired) == names_in(wheel)  # nothing was copied into it
    with zipfile.ZipFile(wheel) as before, zipfile.ZipFile(repaired) as after:
        changed = [name for name in names_in(wheel) if before.read(name) != after.read(name)]
    assert sorted(changed) == [f"{DIST_INFO}/RECORD", f"{DIST_INFO}/WHEEL"]


def test_cmake_installs_nothing_of_python(wheel: Path, build: Path, tmp_path: Path) -> None:
    """The build of the wheel has the extension configured and compiled, and an installation leaves it out."""
    cache = (build / "CMakeCache.txt").read_text(encoding="utf-8")
    (cmake,) = re.findall(r"^CMAKE_COMMAND:\w+=(.*)$", cache, re.MULTILINE)
    run(cmake, "--install", build, "--prefix", tmp_path, cwd=tmp_path)
    assert not list(tmp_path.iterdir()), "a wheel has no development files"
    run(cmake, "-DLTS_INSTALL=ON", build, cwd=tmp_path)
    run(cmake, "--build", build, cwd=tmp_path)
    run(cmake, "--install", build, "--prefix", tmp_path, cwd=tmp_path)
    files = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert Path("include/lts/lts.hpp") in files
    assert {file.parts[0] for file in files} <= {"include", "lib", "lib64", "bin", "share"}
    assert not [f for f in files if re.search(r"_core|\.pyi?$|/(runner|emulator|nlohmann)/", f.as_posix())]


def test_the_command_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    command = installed / "lts-engine"
    # One version is pyproject.toml's, the other CMake's.
    assert run(command, "--version", cwd=tmp_path).strip() == f"lts-engine {PROJECT['version']}"
    spaces = run(command, "space", "list", cwd=tmp_path)
    targets = run(command, "target", "list", cwd=tmp_path)
    for listing, folder in ((spaces, "spaces"), (targets, "targets")):
        for file in (ROOT / "python" / "lts" / folder).glob("*.toml"):
            assert file.stem in listing


@pytest.mark.parametrize("order", ["onnxruntime, lts", "lts, onnxruntime"])
def test_errors_of_the_core_reach_python_beside_other_extensions(installed: Path, order: str, tmp_path: Path) -> None:
    """ONNX Runtime's extension uses pybind11, too; the two may share its tables, whichever is first."""
    script = f"""
import {order}
assert lts.__file__.startswith({str(installed.parent)!r}), lts.__file__
try:
    lts.hypervolume([[1.0, 2.0]], [1.0, 2.0, 3.0])
except ValueError as error:
    print(error)
try:
    onnxruntime.InferenceSession(b"no model")
except Exception as error:
    print(type(error).__name__)
"""
    printed = run(installed / "python", "-c", script, cwd=tmp_path).splitlines()
    assert len(printed) == 2, printed


def test_what_every_published_wheel_is_tested_with(installed: Path, unpacked: Path, tmp_path: Path) -> None:
    """The test command of cibuildwheel, with the tests of the source distribution as there."""
    options = tomllib.loads((unpacked / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["cibuildwheel"]
    need(*(name.replace("-", "_") for name in options["test-requires"]))
    env = environment()
    env["PATH"] = f"{installed}:{env['PATH']}"
    printed = run("bash", "-c", options["test-command"].format(project=unpacked), cwd=tmp_path, env=env)
    assert f"lts-engine {PROJECT['version']}" in printed
    assert re.search(r"^\d+ passed", printed, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []
