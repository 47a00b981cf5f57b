"""llama.cpp, as scripts/build_llama_cpp has built it: llama-bench, and a program that gives logits, tokens and text."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

_SCRIPT = Path(__file__).parents[2] / "scripts" / "build_llama_cpp"


def folder() -> Path:
    """The folder of the build; skips where there is none."""
    version = next(line for line in _SCRIPT.read_text().splitlines() if line.startswith("version=")).partition("=")[2]
    found = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lts-engine", f"llama.cpp-{version}")
    if not (found / "bin" / "llama-bench").is_file():
        pytest.skip(f"llama.cpp is not built in {found}; run scripts/build_llama_cpp")
    return found


def llama_bench() -> Path:
    """The path of llama-bench; skips where there is none."""
    return folder() / "bin" / "llama-bench"


@cache
def _program() -> Path:
    """A program that runs GGUF files, compiled once for a process."""
    built, source = folder(), Path(__file__).with_name("llama_model.cpp")
    if (compiler := shutil.which("g++") or shutil.which("clang++")) is None:
        pytest.skip("no C++ compiler")
    temporary = tempfile.mkdtemp(prefix="llama-model-")
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    place = Path(temporary) / "llama_model"
    libraries = [f"-L{built}/bin", f"-Wl,-rpath,{built}/bin", "-lllama", "-lggml", "-lggml-base", "-lggml-cpu"]
    command = [compiler, "-std=c++17", "-O1", f"-I{built}/include", str(source), "-o", str(place), *libraries]
    subprocess.run(command, check=True)
    return place


class LlamaModel:
    """A GGUF file as llama.cpp runs it, with keys, values and activations in float32."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """Logits [ids, tokens] of a pass over token ids."""
        with tempfile.NamedTemporaryFile() as file:
            self._run("logits", file.name, *map(str, ids))
            return np.fromfile(file.name, np.float32).reshape(len(ids), -1)

    def generate(self, ids: Sequence[int], n: int) -> list[int]:
        """The most likely `n` tokens after these, one step each."""
        return [int(word) for word in self._run("generate", str(n), *map(str, ids)).split()]

    def tokenize(self, text: str) -> list[int]:
        """The ids of a text."""
        return [int(word) for word in self._run("tokenize", text).split()]

    def quantized(self, path: Path, kind: str) -> Path:
        """The model written to a path with matrices of another type, such as ``MOSTLY_Q4_K_M``."""
        import gguf

        self._run("quantize", str(path), str(int(gguf.LlamaFileType[kind])))
        return path

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [_program(), self._path, *arguments], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout
