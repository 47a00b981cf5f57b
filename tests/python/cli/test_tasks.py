"""Ten tasks by what `--help` says alone: the words of a task lead to a command and its options, and that is run.

Whoever reads the help looks for a word and takes what stands beside it; so does this script, and it knows no option by
itself.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sshd import Sshd

PROGRAM = str(Path(sys.executable).with_name("lts-engine"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Reader(NamedTuple):
    """Somebody in a folder, with nothing but the help."""

    folder: Path

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PROGRAM, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == code, f"{' '.join(arguments)}: {done.stderr}"
        return done

    def entries(self, *command: str) -> dict[str, str]:
        """What the help lists, commands and options by their longest name, each with its words."""
        found: dict[str, str] = {}
        for line in self.run(*command, "--help").stdout.splitlines():
            if match := re.match(r"  (-[^ ,]+|[a-z][a-z-]*)(?:, (--[\w-]+))?(?: |$)(.*)", line):
                name = match[2] or match[1]
                found[name] = match[3]
            elif line.startswith("   ") and found:
                found[name] += f" {line.strip()}"
            elif not line.strip():
                name = ""
                found.setdefault(name, "")
        return {name: " ".join(words.split()) for name, words in found.items() if name}

    def command(self, words: str, *group: str) -> list[str]:
        """The command whose line has these words."""
        (name,) = [name for name, said in self.entries(*group).items() if words in said and not name.startswith("-")]
        return [*group, name]

    def option(self, command: list[str], words: str) -> str:
        """The option whose words are these."""
        (name,) = [name for name, said in self.entries(*command).items() if words in said and name.startswith("-")]
        return name

    def about(self, command: list[str]) -> str:
        return " ".join(self.run(*command, "--help").stdout.split())


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="module")
def study(reader: Reader) -> str:
    """A small search, by the first example of the help, with fewer trials of a smaller workload."""
    search = reader.command("Search a space")
    example = re.search(r"^  lts-engine search (\S+) ", reader.run(*search, "--help").stdout, flags=re.MULTILINE)
    assert example is not None
    reader.run(*search, example[1], *tiny(reader, search), reader.option(search, "Where results go"), "mine")
    return "mine"


def tiny(reader: Reader, search: list[str], trials: int = 8) -> list[str]:
    return [
        reader.option(search, "Maximum number of finished trials"),
        str(trials),
        reader.option(search, "Tokens of the prompt."),
        "16",
        reader.option(search, "Tokens generated after it"),
        "2",
    ]


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sshd]:
    running = Sshd(tmp_path / "sshd")
    monkeypatch.setenv("LTS_SSH", running.command)
    yield running
    running.stop()


def test_search_for_a_board_over_ssh_within_300_ms(reader: Reader, board: Sshd) -> None:
    search = reader.command("Search a space")
    columns = reader.run(*reader.command("List the columns")).stdout
    (request,) = [line.split()[0] for line in columns.splitlines() if "time of a whole request" in line]
    device = reader.option(search, "ssh://[USER@]HOST[:PORT]")
    bound = reader.option(search, "Bound of a column")
    backend = reader.option(search, "Compiler and runtime")
    words = [device, f"{board.uri}?python={sys.executable}", bound, f"{request}<=300", backend, "onnxruntime"]
    done = reader.run(*search, "gpt2-tiny", *tiny(reader, search, 3), *words, "--output-dir", "board", "-o", "jsonl")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert records
    assert all(record["values"][request] <= 300 and record["device"].startswith("ssh://") for record in records)


def test_export_the_second_best_as_int8(reader: Reader, study: str) -> None:
    front = reader.command("Show the Pareto front")
    export = reader.command("Write members of a front")
    formats = reader.option(front, "Format of the results")
    rows = list(csv.DictReader(io.StringIO(reader.run(*front, study, formats, "csv").stdout)))
    assert len(rows) >= 2
    second = rows[1]["trial"]
    pick = reader.option(export, "ID, knee, best")
    precision = reader.option(export, "Of the ONNX, GGUF and compiled models")
    place = reader.option(export, "Where the files go")
    reader.run(*export, study, pick, second, precision, "int8", place, "second")
    assert (reader.folder / "second" / second / "model.onnx").is_file()


def test_compare_with_my_model(reader: Reader, study: str) -> None:
    compare = reader.command("Measure two models in turn")
    mine = sorted((reader.folder / study / "models").iterdir())[0]
    words = [reader.option(compare, "What the contender may be worse by"), "900%"]
    words += [reader.option(compare, "Processes per side"), "4"]
    words += [reader.option(compare, "Tokens of the prompt"), "16", reader.option(compare, "Tokens generated"), "2"]
    done = reader.run(*compare, str(mine), f"{study}#0", *words, "-o", "json")
    assert {record["metric"] for record in json.loads(done.stdout)} == {"request_ms", "peak_memory_mib"}


def test_see_why_a_trial_failed(reader: Reader) -> None:
    search = reader.command("Search a space")
    limit = reader.option(search, "Time for one candidate")
    folder = reader.option(search, "Where results go")
    reader.run(*search, "gpt2-tiny", *tiny(reader, search, 2), limit, "0.001s", folder, "failed", code=3)
    report = reader.command("why trials failed")
    reader.run(*report, "failed", reader.option(report, "File to write"), "why.html")
    page = (reader.folder / "why.html").read_text(encoding="utf-8")
    assert "Failed trials" in page or "failed trials" in page
    assert re.search(r"within|time", page)


def test_resume(reader: Reader) -> None:
    search = reader.command("Search a space")
    assert "The same command again resumes a search that was stopped" in reader.about(search)
    folder, most = reader.option(search, "Where results go"), reader.option(search, "Maximum number of finished trials")
    words = [*search, "gpt2-tiny", *tiny(reader, search, 2), folder, "again"]
    words += [reader.option(search, "Members of the front to write"), "none"]
    reader.run(*words)
    done = reader.run(*words, most, "4")
    assert "resuming again/study.db: 2 trials are there" in done.stderr


def test_free_the_disk(reader: Reader) -> None:
    search = reader.command("Search a space")
    assert "Deleting the output directory frees the disk" in reader.about(search)
    reader.run(*search, "gpt2-tiny", *tiny(reader, search, 2), reader.option(search, "Where results go"), "large")
    before = set(reader.folder.iterdir())
    shutil.rmtree(reader.folder / "large")
    assert before - set(reader.folder.iterdir()) == {reader.folder / "large"}
    doctor = reader.command("Look at this machine")
    assert "how much of the disk is free" in reader.about(doctor)
    assert "GiB free in" in reader.run(*doctor).stdout


def test_find_what_can_be_optimized(reader: Reader) -> None:
    columns = reader.command("List the columns")
    found = json.loads(reader.run(*columns, reader.option(columns, "Format of the results"), "json").stdout)
    (small,) = [each["name"] for each in found if each["what"].startswith("the weights in the precision")]
    search = reader.command("Search a space")
    goal, device = reader.option(search, "Column to optimize"), reader.option(search, "none estimates")
    words = [goal, "decoder_params:max", goal, f"{small}:min", device, "none", "--target", "cortex-a72"]
    words += [reader.option(search, "Maximum number of finished trials"), "200", "--export", "none"]
    done = reader.run(*search, "gpt2-tiny", *words, "-O", "small", "-o", "jsonl")
    assert all(small in json.loads(line)["values"] for line in done.stdout.splitlines())


def test_write_a_space_of_my_own(reader: Reader) -> None:
    show = reader.command("in the words of its file", "space")
    shown = json.loads(reader.run(*show, "gpt2-tiny", "-o", "json").stdout)
    rows = [re.split(r"\s{2,}", line.strip()) for line in reader.run(*show, "gpt2-tiny").stdout.splitlines()]
    lines = [f"{row[0]} = {row[1]}" for row in rows if len(row) == 2 and row[0] not in ("key", "size")]
    (reader.folder / "own.toml").write_text("\n".join(lines), encoding="utf-8")
    assert json.loads(reader.run(*show, "own.toml", "-o", "json").stdout) == shown


def test_find_the_target_of_a_board(reader: Reader, study: str) -> None:
    listed = reader.command("the machine that each stands for", "target")
    lines = reader.run(*listed).stdout.splitlines()
    (name,) = [line.split()[0] for line in lines if "Raspberry Pi 5" in line]
    estimate = reader.command("Estimate the costs")
    done = reader.run(*estimate, f"{study}#0", reader.option(estimate, "What is compiled for"), name, "-o", "json")
    assert json.loads(done.stdout)[0]["target"] == name


def test_keep_results_and_see_how_they_changed(reader: Reader, study: str) -> None:
    bench = reader.command("Measure models on a device")
    save, metric = reader.option(bench, "Keep the results under this name"), reader.option(bench, "Any of latency")
    words = [f"{study}#0", metric, "latency", save, "main"]
    for _ in range(2):
        reader.run(*bench, *words)
    history = reader.command("how saved results changed")
    done = reader.run(*history, "show", "-o", "json")
    assert [(series["name"], series["results"]) for series in json.loads(done.stdout)] == [("main", 2)]
