"""What lts-engine doctor finds: missing packages, programs and compilers with the command for each."""

from __future__ import annotations

import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lts.cli import app
from lts.measure import doctor
from lts.measure.doctor import Finding, examine


def found(name: str, root: Path = Path("/")) -> list[Finding]:
    return [each for each in examine(root) if each.name == name]


def test_what_is_installed_has_its_version() -> None:
    (runtime,) = found("onnxruntime")
    assert runtime.there
    assert runtime.says.startswith(f"{metadata.version('onnxruntime')}: ")
    assert runtime.remedy == ""


def test_what_is_missing_has_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    monkeypatch.delenv("LTS_LLAMA_BENCH", raising=False)
    missing = {each.name: each for each in examine() if not each.there}
    assert missing["gguf"].remedy == "pip install 'lts-engine[gguf]'"
    assert missing["llama-bench"].remedy.startswith("build llama.cpp, and add its folder to PATH or set LTS_LLAMA")
    assert missing["apache-tvm"].remedy == "pip install 'lts-engine[tvm]'"
    assert missing["compiler"].remedy.startswith("apt-get install g++")
    assert missing["ssh"].remedy == "apt-get install openssh-client"
    assert all(each.says for each in missing.values())


def test_a_driver_and_a_slow_clock_are_seen(tmp_path: Path) -> None:
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.1\n")
    (tmp_path / "proc/loadavg").write_text("99.0 1 1 1/1 1\n")
    (gpu,) = found("gpu", tmp_path)
    assert "550.1" in gpu.says
    (busy,) = [each for each in found("measuring", tmp_path) if "load average" in each.says]
    assert not busy.there


def test_little_space_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    (temporary,) = found("temporary files")
    assert (temporary.there, temporary.remedy) == (False, "set TMPDIR to a folder with more")


def test_the_command_is_exit_0() -> None:
    result = CliRunner().invoke(app, ["doctor", "-o", "json"])
    assert result.exit_code == 0, result.output
    assert {"name", "there", "says", "remedy"} == json.loads(result.stdout)[0].keys()
    assert "onnxruntime" in CliRunner().invoke(app, ["doctor"]).stdout
