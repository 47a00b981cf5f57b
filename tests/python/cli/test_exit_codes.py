"""docs/exit-codes.md against lts.errors, the commands and what they say, and the other pages that name codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from command_line import every_command
from typer.testing import CliRunner

import lts
from lts.backends import backend
from lts.cli import app
from lts.cli.errors import FAULT, INTERRUPTED, IO_FAILED, exits, told
from lts.errors import InfeasibleError, LtsError, MeasurementError, UsageError

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "exit-codes.md"
OTHERS = ("ci-gates.md", "measuring.md")


def table(path: Path, head: str) -> list[list[str]]:
    """Cells of the table whose first column has that head."""
    rows = re.search(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", path.read_text(encoding="utf-8"), flags=re.M)
    assert rows, (path.name, head)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1].splitlines()]


CODES = {int(row[0]): row[1:] for row in table(PAGE, "exit code")}
BY_COMMAND = {row[0].strip("`"): {1: row[1], 3: row[2]} for row in table(PAGE, "command")}


def kinds(kind: type[LtsError] = LtsError) -> set[type[LtsError]]:
    return {kind}.union(*(kinds(each) for each in kind.__subclasses__() if each.__module__ == "lts.errors"))


def test_the_page_has_the_codes_of_the_errors() -> None:
    assert set(CODES) == {0, IO_FAILED, FAULT, INTERRUPTED} | {kind.exit_code for kind in kinds()}
    text = PAGE.read_text(encoding="utf-8").partition("## In Python")[2]
    assert dict(re.findall(r"`(\w+Error)` \((\d)\)", text)) == {
        kind.__name__: str(kind.exit_code) for kind in kinds() - {LtsError}
    }


def raises(error: BaseException) -> Callable[[], None]:
    @exits
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InfeasibleError("none"), 1, 'the answer is "no"'),
        (UsageError("wrong"), 2, "a wrong argument"),
        (OSError(28, "No space left on device"), 2, "input or output that failed"),
        (MemoryError(), 2, "memory that does not suffice"),
        (MeasurementError("gone"), 3, "could not measure"),
        (RuntimeError("a mistake of ours"), 70, "a fault of lts-engine itself"),
        (KeyboardInterrupt(), 130, "interrupted by Ctrl-C"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_what_ends_with_a_code_is_in_its_row(error: BaseException, code: int, words: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        raises(error)()
    assert ended.value.exit_code == code
    assert words in CODES[code][0]
    assert isinstance(error, KeyboardInterrupt) or told(error) == code  # type: ignore[arg-type]


def test_the_commands_of_the_page_exist_and_say_the_same_in_their_help() -> None:
    commands = dict(every_command())
    assert set(BY_COMMAND) <= set(commands)
    n_told = 0
    for name, command in commands.items():
        said = re.search(r"[Ee]xit codes? (.*)", command.help or "", flags=re.S)
        for code in map(int, re.findall(r"\b(\d+)\b(?=:| and )", said[1]) if said else ()):
            assert code in CODES, (name, code)
            if code in (1, 3):
                assert BY_COMMAND.get(name, {}).get(code), f"{PAGE.name} does not say when {name} ends with {code}"
                n_told += 1
    assert n_told >= 5


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("study") / "study.db"
    with lts.Study(
        lts.SearchSpace.load("gpt2-tiny"),
        lambda a: {"cost": float(a.n_layer)},
        objectives=["decoder_params:max", "cost:min"],
        store=store,
    ) as made:
        made.run(trials=8)
    return store


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("front STUDY --where cost<=0", 1),
        ("export STUDY --pick cost<=0 -O OUT", 1),
        ("space check llama-tiny OUT.json", 1),
        (
            "search gpt2-tiny --device none --target arm64 --trials 20 --constraint weight_mib<=0 --export none -O OUT",
            1,
        ),
        ("count missing.json", 2),
        ("count --bogus", 2),
        ("search gpt2-tiny --trials 4 --backend tvm --export none -O OUT", 3),
        ("space list", 0),
    ],
)
def test_commands_end_as_the_page_says(
    command: str, code: int, study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "find_spec", lambda _: None)  # no backend is installed
    out = tmp_path / "out"
    (tmp_path / "out.json").write_text(lts.SearchSpace.load("gpt2-tiny").at(0).to_json(), encoding="utf-8")
    where = {"STUDY": str(study), "OUT": str(out), "OUT.json": str(tmp_path / "out.json")}
    ended = CliRunner().invoke(app, [where.get(word, word) for word in command.split()])
    assert ended.exit_code == code, ended.output
    if code in (1, 3):
        name = next(name for name in BY_COMMAND if command.startswith(name))
        assert BY_COMMAND[name][code]


@pytest.mark.parametrize("name", OTHERS)
def test_other_pages_name_no_other_code(name: str) -> None:
    assert {int(row[0]) for row in table(ROOT / "docs" / name, "exit code")} <= set(CODES)


def test_the_readme_has_all_of_them() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    said = re.search(r"Exit codes?[^:]*: (.*?)\. ", text)
    assert said
    assert [int(code) for code in re.findall(r"(?:^|; )(\d+) ", said[1])] == sorted(CODES)
