"""scripts/build_llama_cpp with programs in the place of those that fetch and compile: once, whole or not at all."""

from __future__ import annotations

import os
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "build_llama_cpp"
VERSION = next(line for line in SCRIPT.read_text().splitlines() if line.startswith("version=")).partition("=")[2]


class Tools:
    """pip and cmake as the script calls them; what they were called with is in `calls`."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.tools, self.log = folder / "cache", folder / "tools", folder / "log"
        self.tools.mkdir()
        source = folder / f"llama_cpp_python-{VERSION}"
        tree = source / "vendor" / "llama.cpp"
        for name in ("include/llama.h", "ggml/include/ggml.h", "LICENSE"):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(name)
        archive = folder / f"{source.name}.tar.gz"
        with tarfile.open(archive, "w:gz") as file:
            file.add(source, source.name)
        self.tool("python", f'shift 2; while [ "$1" != --dest ]; do shift; done; cp "{archive}" "$2"')
        self.tool(
            "cmake",
            'if [ "$1" = -S ]; then mkdir -p "$4/bin"; else echo program >"$2/bin/llama-bench"; '
            'chmod +x "$2/bin/llama-bench"; fi',
        )

    def tool(self, name: str, code: str) -> None:
        path = self.tools / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.log}"\n{code}\n')
        path.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.tools}:{os.environ['PATH']}"
        given = {"PATH": path, "PYTHON": str(self.tools / "python"), "XDG_CACHE_HOME": str(self.cache), **environment}
        command = [str(SCRIPT), *arguments]
        return subprocess.run(
            command, env={**os.environ, **given}, capture_output=True, text=True, timeout=60, check=False
        )


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


def test_it_is_built_once(tools: Tools) -> None:
    first = tools.run("-DGGML_BLAS=OFF", LTS_LLAMA_CPP_OPTIONS="-DGGML_NATIVE=OFF", JOBS="3")
    assert first.returncode == 0, first.stderr
    place = Path(first.stdout.strip())
    assert place == tools.cache / "lts-engine" / f"llama.cpp-{VERSION}"
    assert sorted(path.name for path in place.rglob("*") if path.is_file()) == [
        *("LICENSE", "ggml.h", "llama-bench", "llama.h"),
    ]
    configured, built = tools.calls[1:]
    assert configured.endswith("-DGGML_NATIVE=OFF -DGGML_BLAS=OFF")
    assert built.endswith("-j 3 --target llama-bench")
    assert tools.run().stdout == first.stdout
    assert len(tools.calls) == 3, "nothing is called again"
    assert sorted(path.name for path in place.parent.iterdir()) == [place.name, f"{place.name}.lock"]


def test_two_at_the_same_time(tools: Tools) -> None:
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: tools.run(), range(3)))
    assert {(each.returncode, each.stdout) for each in found} == {(0, found[0].stdout)}
    assert len(tools.calls) == 3


def test_what_fails_is_said_and_goes_on_later(tools: Tools) -> None:
    working = (tools.tools / "cmake").read_text()
    tools.tool("cmake", "echo 'no compiler' >&2; exit 1")
    failed = tools.run()
    assert failed.returncode == 2
    assert "no compiler" in failed.stderr
    assert "build_llama_cpp: configuring it failed; all that was said is in" in failed.stderr
    assert not (tools.cache / "lts-engine" / f"llama.cpp-{VERSION}").exists()
    (tools.tools / "cmake").write_text(working)
    assert tools.run().returncode == 0
    assert sum(call.startswith("python") for call in tools.calls) == 1, "the source is fetched once"
