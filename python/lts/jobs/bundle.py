"""The folder that a device needs to run compiled models: lts-runner, compiled here, and two libraries of TVM."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from lts.errors import MeasurementError, UsageError
from lts.jobs.toolchain import cxx
from lts.system import machine
from lts.system.outside import member
from lts.system.progress import Observer, Work, unobserved

RUNNER = "lts-runner"
# File, the package that has it, the distribution that installs the package.
_LIBRARIES = {
    "libtvm_ffi.so": ("tvm_ffi", "apache-tvm-ffi"),
    "libtvm_runtime.so": ("tvm", "apache-tvm"),
}
_README = "README.md"
_FILES = (RUNNER, *_LIBRARIES, _README)
# libstdc++ is linked statically, so that the device may have an older one; its unused sections are dropped, because
# they would need the newest C library.
_FLAGS = ("-std=c++20", "-O2", "-s", "-static-libstdc++", "-ffunction-sections", "-Wl,--gc-sections")
_LINKED = ("-ldl", "-pthread")
# Platforms of the published wheels, by the newest C library that they may need, and the Python whose wheels are taken:
# the libraries are the same in all of them.
_PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
_PYTHON = "3.11"
_COMPILE_TIMEOUT = 600.0
_LIBRARY_BYTES = 1 << 30


def make_bundle(triple: str, *, fetch: bool = False, observe: Observer = unobserved) -> Path:
    """The folder with lts-runner for a triple, made when it is not there yet.

    It lies in `data_folder`, under a name that depends on the versions of TVM and of the runner's sources. It appears
    whole or not at all, even when making it is interrupted.

    Parameters
    ----------
    triple
        Triple of the device, for example ``aarch64-linux-gnu``.
    fetch
        Whether TVM's libraries for another processor than this one may be downloaded (once, about 100 MB).
    observe
        Told what is done while the folder is made; nothing where it is there.

    Raises
    ------
    MeasurementError
        When there is no compiler for the triple, TVM is not installed, or its libraries for the triple are not here or
        cannot be fetched.
    """
    if not machine.is_triple(triple):
        raise UsageError(f"'{triple}' is not a triple; expected one like aarch64-linux-gnu")
    versions = _versions()
    sources = _sources()
    folder = data_folder() / "bundle" / f"{triple}-{_key(triple, versions, sources)}"
    if _complete(folder):
        return folder
    compiler = cxx(triple)
    try:
        with _locked(folder.parent):
            if not _complete(folder):
                libraries = _libraries(triple, versions, fetch, observe)
                with _unfinished(folder) as made:
                    observe(Work(f"preparing to run models on {triple}", 1, 2, "compiling lts-runner"))
                    _compile(compiler, sources, versions, made / RUNNER)
                    for library in libraries:
                        _copy_stripped(library, made / library.name, triple)
                    (made / _README).write_text(_readme(triple, versions, made), encoding="utf-8")
    except OSError as error:
        raise MeasurementError(f"cannot make {folder}: {error.strerror or error}") from None
    return folder


def write_bundle(triple: str, directory: Path, *, fetch: bool = True, observe: Observer = unobserved) -> list[Path]:
    """Copy the folder of `make_bundle` into a directory and return the files. Files of the same names are replaced.

    Raises
    ------
    UsageError
        When the directory cannot be written.
    MeasurementError
        As `make_bundle` does.
    """
    source = make_bundle(triple, fetch=fetch, observe=observe)
    written = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            # Replaced as a whole: a runner that is running keeps its file.
            unfinished = directory / f".{name}.{os.getpid()}"
            try:
                shutil.copy(source / name, unfinished)
                unfinished.replace(directory / name)
            finally:
                unfinished.unlink(missing_ok=True)
            written.append(directory / name)
    except OSError as error:
        raise UsageError(f"cannot write {directory}: {error.strerror or error}") from None
    return written


def data_folder() -> Path:
    """The folder for what lts-engine builds for itself: in the Python environment, or else among the user's data."""
    shared = Path(sys.prefix) / "share" / "lts-engine"
    existing = next(folder for folder in (shared, *shared.parents) if folder.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return shared
    home = os.environ.get("XDG_DATA_HOME", "")
    return (Path(home) if home else Path.home() / ".local" / "share") / "lts-engine"


def _versions() -> dict[str, str]:
    """Versions of the distributions that the bundle consists of."""
    versions = {"lts-engine": metadata.version("lts-engine")}
    for package, distribution in _LIBRARIES.values():
        try:
            versions[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            raise MeasurementError(
                f"{distribution} is not installed; install it with: pip install 'lts-engine[tvm]'"
            ) from None
        if find_spec(package) is None:
            raise MeasurementError(
                f"{distribution} is damaged: it has no package '{package}'; install it again with: "
                "pip install --force-reinstall 'lts-engine[tvm]'"
            )
    return versions


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _sources() -> Path:
    """The runner's sources: beside this module when it is installed, in the checkout otherwise."""
    here = Path(__file__).resolve()
    for folder in (here.parents[1] / "runner", here.parents[3] / "cpp" / "runner"):
        if (folder / "main.cpp").is_file():
            return folder
    raise MeasurementError(
        f"the sources of lts-runner are not in {here.parents[1] / 'runner'}: install lts-engine again"
    )


def _key(triple: str, versions: dict[str, str], sources: Path) -> str:
    """A name that differs when a bundle made now would differ."""
    digest = hashlib.sha256(repr((triple, sorted(versions.items()), _FLAGS)).encode())
    for path in sorted(path for path in sources.iterdir() if path.suffix in (".cpp", ".hpp", ".h")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _FILES)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, from which leftovers of killed processes are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.glob("unfinished-*"):
            shutil.rmtree(path, ignore_errors=True)
        yield


@contextlib.contextmanager
def _unfinished(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder` that takes its place when the block succeeds. The parent must be `_locked`."""
    made = Path(tempfile.mkdtemp(prefix="unfinished-", dir=folder.parent))
    try:
        yield made
        made.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _libraries(triple: str, versions: dict[str, str], fetch: bool, observe: Observer) -> list[Path]:
    """TVM's libraries for the triple: the installed ones for this machine, those of the published wheels for others."""
    if machine.same_architecture(triple, machine.triple()):
        return [_package_folder(package) / "lib" / name for name, (package, _) in _LIBRARIES.items()]
    version = "-".join(versions[distribution] for _, distribution in _LIBRARIES.values())
    folder = data_folder() / "bundle" / f"tvm-{version}-{triple}"
    if not all((folder / name).is_file() for name in _LIBRARIES):
        if not fetch:
            name = "arm64" if machine.same_architecture(triple, "aarch64") else "TARGET"
            raise MeasurementError(
                f"the TVM runtime for {triple} is not here; get it with: lts-engine target bundle {name}"
            )
        observe(Work(f"preparing to run models on {triple}", 0, 2, "fetching the runtime of TVM, about 100 MB"))
        with _unfinished(folder) as made:
            _fetch(triple, versions, made)
    return [folder / name for name in _LIBRARIES]


def _fetch(triple: str, versions: dict[str, str], folder: Path) -> None:
    """Download the wheels for the triple and keep the libraries."""
    architecture = {"arm64": "aarch64", "amd64": "x86_64"}.get(triple.split("-")[0], triple.split("-")[0])
    wanted = [f"{distribution}=={versions[distribution]}" for _, distribution in _LIBRARIES.values()]
    platforms = [f"--platform={platform}_{architecture}" for platform in _PLATFORMS]
    with tempfile.TemporaryDirectory(prefix="unfinished-", dir=folder.parent) as wheels:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"),
                *("--only-binary=:all:", "--implementation=cp", f"--python-version={_PYTHON}", "--retries=1"),
                *(*platforms, f"--dest={wheels}", *wanted),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            said = " ".join(done.stderr.strip().rpartition("\n")[2].split()) or f"pip ended with {done.returncode}"
            raise MeasurementError(f"cannot fetch the TVM runtime for {triple}: {said.removeprefix('ERROR: ')}")
        for name, (package, distribution) in _LIBRARIES.items():
            found = sorted(Path(wheels).glob(f"{distribution.replace('-', '_')}-*.whl"))
            if len(found) != 1:
                raise MeasurementError(f"pip has fetched {len(found)} wheels of {distribution}; expected one")
            try:
                (folder / name).write_bytes(member(found[0], f"{package}/lib/{name}", _LIBRARY_BYTES))
            except ValueError as error:
                raise MeasurementError(f"unexpected layout of a wheel: {error}") from None


def _compile(compiler: str, sources: Path, versions: dict[str, str], out: Path, flags: Sequence[str] = _FLAGS) -> None:
    includes = [_package_folder("tvm_ffi") / "include"]
    includes += [folder for folder in (sources, sources.parents[1] / "third_party") if (folder / "nlohmann").is_dir()]
    definitions = {"LTS_VERSION": versions["lts-engine"], "LTS_TVM_VERSION": versions["apache-tvm"]}
    command = [
        *(compiler, *flags),
        *(f'-D{name}="{value}"' for name, value in definitions.items()),
        *(f"-I{folder}" for folder in includes),
        *(str(path) for path in sorted(sources.glob("*.cpp"))),
        *("-o", str(out), *_LINKED),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=_COMPILE_TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise MeasurementError(
            f"'{compiler}' does not compile lts-runner: no end in {_COMPILE_TIMEOUT:.0f} s"
        ) from None
    if done.returncode != 0 or not out.is_file():
        lines = [" ".join(line.split()) for line in done.stderr.splitlines() if "error" in line]
        said = lines[0] if lines else f"it ended with code {done.returncode}"
        raise MeasurementError(f"'{compiler}' does not compile lts-runner: {said}")


def _copy_stripped(library: Path, out: Path, triple: str) -> None:
    """Copy a library without its debug information, where there is a tool to strip it."""
    local = machine.same_architecture(triple, machine.triple())
    strip = shutil.which("strip" if local else f"{triple}-strip")
    if strip is not None:
        command = [strip, "--strip-unneeded", "-o", str(out), str(library)]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return
    shutil.copy(library, out)


def _readme(triple: str, versions: dict[str, str], folder: Path) -> str:
    # A program needs the newest version of the C library that it names.
    needed = max(
        (int(major), int(minor))
        for name in (RUNNER, *_LIBRARIES)
        for major, minor in re.findall(rb"\0GLIBC_(\d+)\.(\d+)", (folder / name).read_bytes()) or [(b"2", b"0")]
    )
    libc = f"glibc {needed[0]}.{needed[1]}"
    return f"""\
# lts-runner {versions["lts-engine"]} for {triple}, with the runtime of TVM {versions["apache-tvm"]}

Copy this folder to the device, which needs {libc} or later and libstdc++.so.6, but nothing else. There,
`echo '{{"run": "model.json"}}' | ./lts-runner --once` runs the compiled model of that manifest and says what it
took; `./lts-runner --help` says more. The libraries of TVM are under the Apache License 2.0.
"""
