"""Studies and targets of somebody else: one sentence and exit code 2, and nothing of theirs runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lts.study.arguments import check
from lts.study.store import Store


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lts", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    arguments = ("--target", "arm64", "--device", "none", "--trials", "4", "--export", "none", "--output-dir", "made")
    done = run(folder, "search", "gpt2-tiny", *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "made"


def trap(folder: Path) -> None:
    """Programs that say that they have run, where a wrong look-up would find them."""
    for name in ("aarch64-linux-gnu/evil-g++", "evil-g++", "g++"):
        program = folder / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ntouch {folder}/ran\n")
        program.chmod(0o755)


def sentence_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert last.isprintable()
    return last


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"triple": "aarch64-linux-gnu/evil"}, "'triple' is 'aarch64-linux-gnu/evil'; expected one such as"),
        ({"triple": "./evil"}, "'triple' is './evil'"),
        ({"triple": "-x-evil"}, "'triple' is '-x-evil'"),
        ({"name": "../../out"}, "'name' is '../../out'"),
        ({"cpu": "x -fplugin=evil.so\n"}, "'cpu' is "),
        ({"features": ["+neon;touch ran"]}, "'features' has '+neon;touch ran'"),
        ({"cores": 10**20}, "'cores': the integer has too many digits"),
        ({"triple": None}, "'triple' "),
        ([], "the stored target is []; expected a table"),
        ("arm64", "the stored target is 'arm64'; expected a table"),
    ],
)
def test_a_foreign_study(study: Path, tmp_path: Path, profile: Any, expected: str) -> None:
    shutil.copytree(study, tmp_path / "made")
    with Store(tmp_path / "made" / "study.db", writable=True) as store:
        configuration = store.meta("study")
        before = configuration["profile"]
        configuration["profile"] = {**before, **profile} if isinstance(profile, Mapping) else profile
        store.write(meta={"study": configuration})
    trap(tmp_path)
    assert expected in sentence_of(run(tmp_path, "export", "made", "--format", "tvm", "--output-dir", "out"))
    assert not (tmp_path / "ran").exists()


COMMANDS = ("export made --format tvm -O out", "front made", "report made", "export-optuna made -O optuna.log")
FOREIGN: list[tuple[dict[str, Any], str]] = [
    ({"space": []}, "'space' of the study is []; expected a table"),
    ({"space": "gpt2-tiny"}, "'space' of the study is 'gpt2-tiny'; expected a table"),
    ({"space": {"n_positions": "many"}}, "'n_positions' of the study's space is 'many'; expected an integer from 0"),
    ({"space": {"name": ["x"]}}, "'name' of the study's space is ['x']; expected a text"),
    ({"n_prompt": "128"}, "'n_prompt' of the study is '128'; expected an integer from 1 to 1048576"),
    ({"n_prompt": 10**30}, "'n_prompt' of the study is 1000000000000000000000000000000; expected an integer from 1"),
    ({"n_prompt": True}, "'n_prompt' of the study is True; expected an integer"),
    ({"n_prompt": 0}, "'n_prompt' of the study is 0; expected an integer"),
    ({"target": ["host"]}, "'target' of the study is ['host']; expected a text"),
    ({"device": {"a": 1}}, "'device' of the study is {'a': 1}; expected a text"),
    ({"backend": "x" * 100_000}, "'backend' of the study is 'xxxxx"),
    ({"threads": -1}, "'threads' of the study is -1; expected an integer from 1"),
    ({"seed": 1.5}, "'seed' of the study is 1.5; expected an integer from 0"),
    ({"objectives": "latency_ms:min"}, "'objectives' of the study is 'latency_ms:min'; expected a list of texts"),
    ({"objectives": [5]}, "'objectives' of the study is [5]; expected a list of texts"),
    ({"constraints": {"a": 1}}, "'constraints' of the study is {'a': 1}; expected a list of texts"),
    ({"algorithm_options": []}, "'algorithm_options' of the study is []; expected a table"),
]


@pytest.mark.parametrize(("change", "expected"), FOREIGN)
def test_the_arguments_of_a_foreign_study(study: Path, change: dict[str, Any], expected: str) -> None:
    with Store(study / "study.db") as store:
        configuration = store.meta("study")
    with pytest.raises(TypeError) as raised:
        check({**configuration, **change})
    assert str(raised.value).startswith(expected)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("change", [FOREIGN[0][0], FOREIGN[2][0], FOREIGN[4][0], FOREIGN[8][0]], ids=str)
def test_commands_with_a_foreign_study(study: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    shutil.copytree(study, tmp_path / "made")
    with Store(tmp_path / "made" / "study.db", writable=True) as store:
        store.write(meta={"study": {**store.meta("study"), **change}})
    search = "search gpt2-tiny --target arm64 --device none --trials 4 --export none --output-dir made"
    for command in (*COMMANDS, search):
        last = sentence_of(run(tmp_path, *command.split()))
        assert "a record is damaged ('" in last
        assert "restore a copy" in last


@pytest.mark.parametrize("change", [{"space": None}, {"space": {}, "n_prompt": None}, {"n_prompt": 10**6}])
def test_a_foreign_study_that_leaves_things_out(study: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    shutil.copytree(study, tmp_path / "made")
    with Store(tmp_path / "made" / "study.db", writable=True) as store:
        store.write(meta={"study": {**store.meta("study"), "profile": [], **change}})
    for command in COMMANDS:
        done = run(tmp_path, *command.split())
        assert done.returncode in (0, 2), done.stderr
        assert "fault" not in done.stderr


@pytest.mark.parametrize("description", [[], "x", 5, None])
def test_an_environment_of_a_foreign_study(study: Path, tmp_path: Path, description: Any) -> None:
    shutil.copytree(study, tmp_path / "made")
    with Store(tmp_path / "made" / "study.db", writable=True) as store:
        store.add_environment("c0ffee12", description)
    assert "an environment is no table" in sentence_of(run(tmp_path, "report", "made"))


def test_arguments_that_may_be() -> None:
    check({})
    check({"space": {}, "n_prompt": None, "threads": 1, "objectives": [], "anything": [{"else": 1}]})
    for stored in (None, [], "x", 5):
        with pytest.raises(TypeError, match="the arguments of the study are no table"):
            check(stored)


@pytest.mark.parametrize("triple", ["aarch64-linux-gnu/evil", "./evil", "-x-evil", "a-b;touch ran"])
@pytest.mark.parametrize("command", ["target show FILE", "target bundle FILE -O out", "search gpt2-tiny --target FILE"])
def test_a_foreign_target(tmp_path: Path, triple: str, command: str) -> None:
    (tmp_path / "board.toml").write_text(f'triple = "{triple}"\ncpu = "cortex-a72"\ncores = 4\n')
    trap(tmp_path)
    said = sentence_of(run(tmp_path, *command.replace("FILE", "board.toml").split()))
    assert said == f"error: board.toml: 'triple' is '{triple}'; expected one such as aarch64-linux-gnu"
    assert not (tmp_path / "ran").exists()
