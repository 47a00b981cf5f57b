"""What a wrong word or sign is answered with, and notes about what is meant."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import lts
from lts.cli.arguments import duration
from lts.errors import UsageError, hint
from lts.jobs.cause_of_death import explained
from lts.spaces.space import load_space
from lts.study.arguments import options_of
from lts.system.text import shortened
from lts.targets.target import load_target

COMMAND = str(Path(sys.executable).with_name("lts-engine"))


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, check=False, timeout=120, env={**os.environ}
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("search", "gpt2-tny"), "did you mean 'gpt2-tiny'?"),
        (("search", "gpt2-tiny", "--target", "arm46"), "did you mean 'arm64'?"),
        (("search", "gpt2-tiny", "--objective", "latancy_ms:min"), "did you mean 'latency_ms'?"),
        (("search", "gpt2-tiny", "--constraint", "decoder_parms<=5"), "did you mean 'decoder_params'?"),
        (("search", "gpt2-tiny", "--device", "lokal"), "did you mean 'local'?"),
        (("search", "gpt2-tiny", "--backend", "onnx"), "did you mean 'onnxruntime'?"),
        (("search", "gpt2-tiny", "--algorithm", "nsga"), "did you mean 'nsga2'?"),
        (("search", "gpt2-tiny", "--surrogate", "aditive"), "did you mean 'additive'?"),
        (("export", "absent", "--format", "onx"), "did you mean 'onnx'?"),
        (("search", "gpt2-tiny", "--constraint", "peak_memory_mib<512"), "use <=: peak_memory_mib<=512"),
        (("search", "gpt2-tiny", "--tune", "4"), "add --backend tvm"),
    ],
)
def test_a_wrong_word_gets_the_right_one(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("unknown sampler 'bayse'; expected one of the entry point group lts.samplers: bayes, hill", "bayes"),
        ("x.toml: unknown key 'n_layers'; allowed: n_layer, d_model", "n_layer"),
        ("no column 'latency'; the trials have decoder_params, latency_ms", "latency_ms"),
        ("unknown target 'zzz'; expected one of arm64, host, or a TOML file", ""),
        ("constraint 'a > 5': expected NAME<=NUMBER or NAME>=NUMBER", "a>=5"),
        ("the disk is full", ""),
    ],
)
def test_hints(message: str, said: str) -> None:
    assert said in hint(message)
    assert said or not hint(message)


SPACE = lts.SearchSpace.load("gpt2-tiny")


def estimated() -> lts.Evaluator:
    evaluator: lts.Evaluator = lts.Evaluator("arm64", device="none")
    return evaluator


def value(_: lts.Architecture) -> dict[str, float]:
    return {"c": 1.0}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: load_space("gpt2-smal"), "did you mean 'gpt2-small'?"),
        (lambda: load_target("arm46"), "did you mean 'arm64'?"),
        (lambda: lts.Evaluator("host", device="lokal"), "did you mean 'local'?"),
        (lambda: lts.Evaluator("host", device="local", backend="onnxruntim"), "did you mean 'onnxruntime'?"),
        (lambda: lts.Study(SPACE, estimated(), objectives=["decoder_parms:max"]), "did you mean 'decoder_params'?"),
        (lambda: lts.Study(SPACE, value, constraints=["decoder_params<5"]), "use <=: decoder_params<=5"),
        (lambda: lts.Study(SPACE, value, objectives=["c:min"], algorithm="nsga"), "did you mean 'nsga2'?"),
        (lambda: lts.Study(SPACE, value, objectives=["c:min"], surrogate="aditive"), "did you mean 'additive'?"),
    ],
)
def test_python_gets_it_too(call: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        call()
    assert str(raised.value).endswith(said)
    assert str(raised.value).count("did you mean") <= 1
    again = UsageError(f"{raised.value}; look again")
    assert str(again).count(said) == 1


def test_numbers_of_many_digits_are_shortened() -> None:
    assert shortened("index " + "1" * 5000 + " is too large") == "index 1111111111... (5000 digits) is too large"
    assert shortened("1" * 40) == "1" * 40


@pytest.mark.parametrize(("text", "notes"), [("5", 1), ("1h30", 1), ("90s", 0), ("5m", 0)])
def test_a_duration_without_a_unit_is_said(text: str, notes: int, capsys: pytest.CaptureFixture[str]) -> None:
    duration(text)
    assert capsys.readouterr().err.count("taken as seconds") == notes


def test_a_study_in_the_place_of_something_else(tmp_path: Path) -> None:
    with lts.Study(
        lts.SearchSpace.load("gpt2-tiny"), lambda a: {"c": 1.0}, objectives=["c:min"], store=tmp_path / "study.db"
    ):
        pass
    for arguments, said in (
        (("search", str(tmp_path)), "is a study, and here a search space is needed"),
        (("space", "show", str(tmp_path / "study.db")), "is a study, and here a search space is needed"),
        (("count", str(tmp_path)), f"name a trial of it, as in {tmp_path}#0"),
        (("estimate", str(tmp_path / "study.db")), "one architecture is needed"),
    ):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr


def test_maximizing_a_cost_is_pointed_out_and_a_resume_that_differs_says_the_command(tmp_path: Path) -> None:
    search = ("search", "gpt2-tiny", "--target", "arm64", "--device", "none", "--trials", "200", "--export", "none")
    first = run(
        *search, "--objective", "latency_ms:max", "--constraint", "decoder_params<=60000", "-O", "o ut", cwd=tmp_path
    )
    assert first.returncode == 0, first.stderr
    assert "note: latency_ms:max looks for what costs most" in first.stderr
    other = run(*search, "--seed", "5", "-O", "o ut", cwd=tmp_path)
    assert other.returncode == 2
    command = other.stderr.split("(lts-engine ")[1].rsplit("), or", 1)[0]
    again = subprocess.run(
        f"{COMMAND} {command} --trials 200 --export none",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert again.returncode == 0, again.stderr
    assert "resuming" in again.stderr


def test_a_front_at_the_edge_of_its_space_is_pointed_out(tmp_path: Path) -> None:
    search = ("search", "gpt2-tiny", "--target", "arm64", "--device", "none", "--trials", "516", "--export", "none")
    done = run(*search, "-O", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    note = re.search(
        r"^note: (n_head is as small as the space allows in \d+ of \d+ layers of the front, and decoder_params cannot "
        r"see it)$",
        done.stderr,
        re.MULTILINE,
    )
    assert note is not None, done.stderr
    assert note[1] in (tmp_path / "out" / "report-estimated.html").read_text(encoding="utf-8")


def test_only_studies_of_the_command_have_one() -> None:
    assert options_of({"space": {"name": "x"}, "backend": "f"}) == []
    assert options_of({"space": {"name": "x"}, "target": "host", "algorithm_options": {"a": 1}}) == []


def test_noexec_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reason = f"{tmp_path}/lib0.so: failed to map segment from shared object"
    assert "mounted noexec" in explained(reason)
    assert "TMPDIR" in explained(reason)
    assert explained("out of memory") == "out of memory"
    monkeypatch.setattr(os, "statvfs", lambda path: type("Found", (), {"f_flag": os.ST_NOEXEC})())
    assert "where temporary files go, is mounted noexec; set TMPDIR" in explained(reason)


def test_a_wrong_duration_has_no_note(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError):
        duration("0")
    assert capsys.readouterr().err == ""
