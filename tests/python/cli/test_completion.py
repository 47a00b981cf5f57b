"""Completion in shells: the right names, from modules that load fast, and no error whatever is there."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lts.cli import complete
from lts.measure.columns import COLUMNS
from lts.spaces.space import load_space, space_names
from lts.study.study import Study
from lts.targets.target import target_names
from lts.testing.sampler import Imagined

PROGRAM = str(Path(sys.executable).with_name("lts-engine"))


def asking(line: str, shell: str) -> dict[str, str]:
    """The environment in which a shell asks for the last word of a line."""
    at = str(len(line.split(" ")) - 1)
    words = {"COMP_WORDS": line, "COMP_CWORD": at}
    if shell != "bash":
        words = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return {"_LTS_ENGINE_COMPLETE": f"complete_{shell}", **words}


def completed(line: str, folder: Path, shell: str = "bash") -> list[str]:
    """What a shell offers for the last word of a line, which may be empty."""
    environment = {**os.environ, **asking(line, shell)}
    done = subprocess.run(
        [PROGRAM], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work") / "mine"
    with Study(
        load_space("gpt2-tiny"),
        Imagined(),
        objectives=["decoder_params:max", "latency_ms:min"],
        store=folder / "study.db",
        surrogate="none",
    ) as found:
        found.run(trials=12)
    return folder


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lts-engine se", ["search"]),
        ("lts-engine search gpt2-t", ["gpt2-tiny"]),
        ("lts-engine search --target cortex-a7", ["cortex-a72", "cortex-a76"]),
        ("lts-engine search --device em", ["emulated"]),
        ("lts-engine search --backend t", ["tvm"]),
        ("lts-engine search --precision int", ["int8", "int4"]),
        ("lts-engine search --objective req", ["request_ms:min"]),
        ("lts-engine search --constraint peak", ["peak_memory_mib", "peak_memory_estimate_mib"]),
        ("lts-engine search --candidate-t", ["--candidate-timeout"]),
        ("lts-engine bench mine --metric spe", ["speed"]),
        ("lts-engine bench mine --metric latency,mem", ["latency,memory"]),
        ("lts-engine bench mine --precision float32,int8", ["float32,int8"]),
        ("lts-engine target show sm_9", ["sm_90"]),
        ("lts-engine target calibrate neo", ["neoverse-n1"]),
        ("lts-engine space sample llama-t", ["llama-tiny"]),
    ],
)
def test_names(line: str, expected: list[str], study: Path) -> None:
    assert completed(line, study.parent) == expected


def test_all_of_them(study: Path) -> None:
    assert completed("lts-engine space show ", study.parent) == space_names()
    assert completed("lts-engine estimate x --target ", study.parent) == target_names()
    assert completed("lts-engine front mine --sort ", study.parent) == [column.name for column in COLUMNS]


def test_trials_of_a_study(study: Path) -> None:
    ids = [str(each) for each in range(12)]
    assert completed("lts-engine front mine --pick ", study.parent) == ["knee", "best", "all", *ids]
    assert completed("lts-engine export mine --pick 1", study.parent) == ["1", "10", "11"]
    assert completed("lts-engine count mine#1", study.parent) == ["mine#1", "mine#10", "mine#11"]
    assert completed("lts-engine compare mine#0 mine#", study.parent) == [f"mine#{each}" for each in ids]
    assert completed("lts-engine bench mine/study.db#2", study.parent) == ["mine/study.db#2"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_itself(study: Path) -> None:
    """The function that bash calls, with the words as bash gives them."""
    script = f"""
PATH={shlex.quote(str(Path(PROGRAM).parent))}:$PATH
export _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION=1
eval "$(lts-engine --show-completion bash)"
COMP_WORDS=(lts-engine count 'mine#1')
COMP_CWORD=2
_lts_engine_completion lts-engine
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", script], cwd=study.parent, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["mine#1", "mine#10", "mine#11"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells(shell: str, study: Path) -> None:
    assert "gpt2-tiny" in "".join(completed("lts-engine search gpt2-t", study.parent, shell))


def test_files_are_left_to_the_shell(study: Path) -> None:
    """Where nothing is offered, bash and zsh complete files."""
    assert completed("lts-engine count mi", study.parent) == []
    assert completed("lts-engine report ", study.parent) == []


def test_no_study_no_error(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("nothing", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    for name in ("text", "folder", "absent", "~", "a?b"):
        assert complete.trials(f"{name}#") == []
        assert completed(f"lts-engine front {name} --pick k", tmp_path) == ["knee"]
    assert not (tmp_path / "absent").exists()
    assert list((tmp_path / "folder").iterdir()) == []


def test_nothing_is_written(study: Path) -> None:
    before = {file: file.stat().st_size for file in study.iterdir()}
    completed("lts-engine front mine --pick ", study.parent)
    assert {file: file.stat().st_size for file in study.iterdir()} == before


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "line",
    [
        "lts-engine se",
        "lts-engine search --ti",
        "lts-engine search gpt2-t",
        "lts-engine search --target a",
        "lts-engine search --objective l",
        "lts-engine front mine --pick k",
        "lts-engine bench mine#1",
    ],
)
def test_completion_is_light(line: str, shell: str, study: Path) -> None:
    """Each press of a key starts the program: nothing is loaded that measures, exports, draws or runs."""
    code = "import sys; sys.argv = ['lts-engine']\nfrom lts.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print('\\n' + ' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=study.parent,
        env={**os.environ, **asking(line, shell)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    loaded = set(done.stdout.rsplit("\n", 2)[-2].split())
    heavy = {"numpy", "onnx", "onnxruntime", "plotly", "rich", "torch", "tvm", "lts.study.study", "lts.study.stored"}
    assert not loaded & heavy
    assert "lts.cli.complete" in loaded


def test_it_can_be_installed(tmp_path: Path) -> None:
    """As `--install-completion` does for a shell: a file of its own, and a line in the shell's."""
    environment = {**os.environ, "HOME": str(tmp_path), "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    for shell, file in (
        ("bash", ".bash_completions/lts-engine.sh"),
        ("zsh", ".zfunc/_lts-engine"),
        ("fish", ".config/fish/completions/lts-engine.fish"),
    ):
        command = [PROGRAM, "--install-completion", shell]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "_LTS_ENGINE_COMPLETE" in (tmp_path / file).read_text(encoding="utf-8")
