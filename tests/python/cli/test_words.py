"""The words and numbers on the screen, the same in every command."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import lts
from lts.cli import ending
from lts.cli.calibrate import _PER, _coefficients
from lts.spaces.space import load_space
from lts.study.study import Study
from lts.system.text import magnitude
from lts.targets.calibration import CalibratedCost, Calibration
from lts.targets.target import load_target, target_names
from lts.testing.sampler import Imagined

PROGRAM = str(Path(sys.executable).with_name("lts-engine"))


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([PROGRAM, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", ["gpt2-tiny", "gpt2-any-shapes", "llama-edge"])
def test_a_size_is_the_same_everywhere(name: str) -> None:
    """For people as in the first line of a search; for programs every digit."""
    space = load_space(name)
    size = magnitude(space.size)
    assert f" {size} " in run("space", "show", name).stdout.replace("\n", " ")
    (row,) = [line for line in run("space", "list").stdout.splitlines() if line.split()[:1] == [name]]
    assert f" {size} " in row
    for command in (("space", "show", name), ("space", "list")):
        records = json.loads(run(*command, "-o", "json").stdout)
        (said,) = [record["size"] for record in records if name in (record.get("name"), record.get("space"))]
        assert said == str(space.size)


def test_a_space_has_no_words_of_python() -> None:
    text = run("space", "show", "transformer-xl-lts").stdout
    assert not {"None", "True", "False", "(", "step 1"} & set(text.replace(",", " ").split())
    assert "{min = 2, max = 16}" in text


def test_targets_say_which_machine_they_are() -> None:
    rows = {line.split()[0]: line for line in run("target", "list").stdout.splitlines() if line.strip()}
    for name, machine, kind in (
        ("arm64", "Raspberry Pi 4", "cpu"),
        ("cortex-a53", "Raspberry Pi 3", "cpu"),
        ("host", "this machine", "cpu"),
        ("neoverse-n1", "AWS Graviton2", "cpu"),
        ("sm_80", "NVIDIA A100", "gpu"),
        ("sm_90", "NVIDIA H100", "gpu"),
    ):
        assert machine in rows[name]
        assert f" {kind} " in rows[name]
    for name in target_names():  # the source of each begins with its machine, and says more in brackets
        assert name == "host" or " (" in load_target(name).source[:60]


def test_counts_are_integers_in_csv(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(load_space("gpt2-tiny").sample(1)[0].to_dict()), encoding="utf-8")
    (row,) = csv.DictReader(io.StringIO(run("count", "a.json", "-o", "csv", cwd=tmp_path).stdout))
    counts = {name: value for name, value in row.items() if name.startswith("values.") and "_mib" not in name}
    assert {"values.decoder_params", "values.total_params", "values.flops_prefill", "values.flops_decode"} <= set(
        counts
    )
    assert all(value.isdecimal() for value in counts.values()), counts
    measured = run("bench", "a.json", "--metric", "size", "--processes", "2", "-o", "csv", cwd=tmp_path)
    (row,) = csv.DictReader(io.StringIO(measured.stdout))
    assert row["values.size_bytes"].isdecimal()


def test_coefficients_have_units_and_zeros_are_one_row() -> None:
    terms = lts.cost_term_names()
    assert set(_PER) == set(terms) - {"constant"}
    latency = CalibratedCost(8, 0.01, 0.02, {term: 0.5 if term in ("constant", "layers") else 0.0 for term in terms})
    memory = CalibratedCost(8, 0.01, 0.02, dict.fromkeys(terms, 2.0))
    costs = {"latency_ms": latency, "peak_memory_mib": memory}
    found = _coefficients(Calibration("local", "onnxruntime", 8, 1, "float32", "x", costs=costs))
    assert len(found.records) == 2 * len(terms)
    assert list(found.rows[0]) == ["latency_ms", "constant", 0.5, "ms", "measured"]
    assert list(found.rows[1]) == ["latency_ms", "layers", 0.5, "ms per layer", "measured"]
    zeros = [term for term in terms if term not in ("constant", "layers")]
    assert list(found.rows[2]) == ["latency_ms", ", ".join(zeros), 0, "", "measured"]
    assert len(found.rows) == 3 + len(terms), "no row of zeros for memory"
    assert found.rows[-1][3] == "MiB per channel of the widest feed-forward network"


class Elsewhere(Imagined):
    def __init__(self, device: str) -> None:
        self._device = device

    def describe(self) -> dict[str, str]:
        return {"device": self._device}


@pytest.mark.parametrize("device", ["local", "ssh://pi@board"])
def test_the_end_of_a_search_names_three_commands(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("my study")
    objectives = ["latency_ms:min", "decoder_params:max"]
    with Study(
        load_space("gpt2-tiny"), Elsewhere(device), objectives=objectives, store=folder / "study.db", surrogate="none"
    ) as study:
        study.run(trials=10)
        ending.finish(study, study.front(), folder / "study.db", folder, "")
        knee = study.front().knee().id
    said = capsys.readouterr().err.splitlines()
    at = said.index("study: my study/study.db")
    found = [line.partition(" ")[2].strip() for line in said[at + 1 :]]
    assert found[:2] == [
        "lts-engine front 'my study' --sort=-decoder_params",
        f"lts-engine export 'my study' --pick {knee}",
    ]
    compared = f"lts-engine compare MODEL 'my study'#{knee}"
    assert found[2:] == [compared if device == "local" else "lts-engine report 'my study'"]
    for command in found:
        if "MODEL" not in command:
            run(*shlex.split(command)[1:], cwd=tmp_path)


def test_the_end_of_a_search_without_a_front_names_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Study(
        load_space("gpt2-tiny"),
        Imagined(),
        objectives=["latency_ms:min"],
        constraints=["latency_ms<=0.000001"],
        store=tmp_path / "study.db",
        surrogate="none",
    ) as study:
        study.run(trials=3)
        ending.finish(study, study.front(), tmp_path / "study.db", tmp_path, "")
    assert capsys.readouterr().err.splitlines()[-1] == f"study: {tmp_path / 'study.db'}"
