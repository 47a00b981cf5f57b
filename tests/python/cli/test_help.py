"""The help of every command: sections, examples that run, a page that exists, and every form of a device."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from command_line import every_command, problem_of_arguments

from lts.cli.examples import EXAMPLES, PAGES
from lts.cli.help import SECTIONS, WHAT, section_of
from lts.devices.device import _BUILTIN

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = str(Path(sys.executable).with_name("lts-engine"))
COMMANDS = dict(every_command())

# Examples that are parsed but not run, and why.
NOT_RUN = {
    "lts-engine search --target arm64 --device ssh://pi@raspberrypi --constraint 'request_ms<=300'": "needs the board",
    "lts-engine compress SmolLM2-135M --text handbook.txt --precision int8 --timeout 30m": "needs a trained model",
    "lts-engine compress SmolLM2-135M --text handbook.txt --eval-text faq.txt --constraint 'decoder_params<=80e6'": (
        "needs a trained model"
    ),
    "lts-engine target calibrate arm64 --device ssh://pi@raspberrypi -f my-pi.toml": "needs the board",
    "lts-engine target bundle arm64 -O runner": "needs the network; test_bundle.py makes bundles",
    "lts-engine proxy validate gpt2-tiny --text book.txt --models 4 --timeout 1m": "needs PyTorch and a text",
    "lts-engine proxy evaluate gpt2-tiny-validation/table.csv --quality valid_loss:min": "needs what validate writes",
    "lts-engine proxy alpha gpt2-tiny-validation/table.csv --sample 4": "needs what validate writes",
    **dict.fromkeys(EXAMPLES["benchmark"], "needs what validate writes; see test_benchmark.py"),
}
GATE = """
[defaults]
n_prompt = 16
n_gen = 2
processes = 4

[[check]]
name = "small"
model = "gpt2-tiny-host#0"
limits = { request = 10_000.0 }
"""


def help_of(name: str) -> str:
    arguments = [*name.split(), "--help"]
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def section(text: str, title: str) -> str:
    found = re.search(rf"^{title}:\n((?:  .*\n|\n(?=  ))*)", text, flags=re.MULTILINE)
    assert found is not None, f"there is no section {title}"
    return found[1]


def options(command: Any) -> list[str]:
    return [max(each.opts, key=len) for each in command.params if each.param_type_name == "option" and not each.hidden]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_parse(name: str) -> None:
    assert name in EXAMPLES
    for example in EXAMPLES[name]:
        program, *arguments = shlex.split(example.partition(" > ")[0])
        assert program == "lts-engine"
        assert arguments
        assert problem_of_arguments(arguments) is None
    assert any(example.startswith(f"lts-engine {name}".rstrip()) for example in EXAMPLES[name])


def test_there_are_no_examples_of_other_commands() -> None:
    assert set(EXAMPLES) == set(COMMANDS)
    assert set(PAGES) <= set(COMMANDS)
    assert set(NOT_RUN) <= {example for examples in EXAMPLES.values() for example in examples}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_and_the_page(name: str) -> None:
    text = help_of(name)
    shown = [line.strip() for line in section(text, "Examples").splitlines() if line.strip()]
    assert shown == list(EXAMPLES[name])
    page = PAGES.get(name) or PAGES[name.split()[0]]
    assert text.endswith(f"\nMore: {page}\n")
    files = re.findall(r"[\w/-]+\.md", page)
    assert files
    assert all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize("name", [name for name in COMMANDS if not hasattr(COMMANDS[name], "commands")])
def test_options_stand_in_their_sections(name: str) -> None:
    text = help_of(name)
    for option in options(COMMANDS[name]):
        assert re.search(rf"{option}\b", section(text, section_of(option)))
    assert "Options:" not in text


def test_sections_name_only_options_that_there_are() -> None:
    known = {option.lstrip("-") for command in COMMANDS.values() for option in options(command)} | {"help"}
    # Completion is offered by the program as a whole, outside of its parameters.
    named = [option for names in SECTIONS.values() for option in names.split()]
    assert len(named) == len(set(named))
    assert set(named) - known <= {"install-completion", "show-completion"}
    assert section_of("--objective") == WHAT
    assert section_of("--threads") == "Workload"


def test_help_of_the_program_has_whole_sentences() -> None:
    text = " ".join(section(help_of(""), "Commands").split())
    for name in COMMANDS[""].commands:
        assert f"{name} " in text
    assert "..." not in text


@pytest.mark.parametrize("name", [name for name in COMMANDS if "--device" in options(COMMANDS[name])])
def test_every_form_of_a_device_is_listed(name: str) -> None:
    where = re.sub(r"\s+", "", section(help_of(name), "Where"))
    for _, form in _BUILTIN.values():
        assert form in where
    if name == "search":
        assert "table:FILE" in where
        assert "none" in where


def test_defaults_are_shown() -> None:
    text = " ".join(help_of("search").split())
    for default in ("decoder_params:max request_ms:min peak_memory_mib:min", "[default: 5m]", "[default: host]"):
        assert default in text


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_examples_run_one_after_the_other(tmp_path: Path) -> None:
    """In an empty directory, so that each finds what the ones before have written."""
    (tmp_path / "lts-gate.toml").write_text(GATE, encoding="utf-8")
    environment = {"PATH": f"{Path(PROGRAM).parent}:/usr/bin:/bin", "HOME": str(tmp_path)}
    for example in dict.fromkeys(each for examples in EXAMPLES.values() for each in examples):
        if example in NOT_RUN or ("optuna" in example and find_spec("optuna") is None):
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", example.replace("1m", "8s").replace("3m", "60s")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        # 1 is an answer: of two measurements in doubt on a busy machine, that one is slower.
        assert done.returncode in ((0, 1) if "compare" in example else (0,)), f"{example}: {done.stderr}"
    for written in ("report.html", "all.jsonl", "mine.toml", "calibrated.toml", "gate.xml", "history.html"):
        assert (tmp_path / written).stat().st_size > 0, written
    assert list((tmp_path / "models").glob("**/model.onnx"))
