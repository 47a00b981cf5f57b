"""lts-engine compress, from a folder and files of text to models that run; killed, resumed, and told what is wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from conftest import Trained
from mounts import mounted, remount
from sshd import Sshd

import lts
from lts.errors import UsageError
from lts.measure.perplexity import perplexities
from lts.measure.pretrained import read_pretrained
from lts.measure.trial import Trial
from lts.study.stored import read_study

QUICK = ("--n-prompt", 16, "--n-gen", 4, "--context", 64, "--tokens", 1024, "--steps", "d_ff=32", "--no-confirm")


def arguments(model: Trained, *more: object) -> tuple[object, ...]:
    texts = (option for text in model.texts[:2] for option in ("--text", text))
    return ("compress", model.folder, *texts, *QUICK, *more)


@pytest.fixture(scope="module")
def done(model: Trained, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with a finished study in int8, and what the command said."""
    place = tmp_path_factory.mktemp("compressed")
    more = ("--eval-text", model.texts[2], "--trials", 8, "--precision", "int8", "--uniform", 60)
    return place, run(*arguments(model, *more, "-O", "out", "-o", "jsonl"), cwd=place)


def test_a_front_and_files(model: Trained, done: tuple[Path, Any]) -> None:
    place, told = done
    assert told.returncode == 0, told.stderr
    members = [json.loads(line) for line in told.stdout.splitlines()]
    assert members
    for member in members:
        assert member["provenance"]["perplexity"] == member["provenance"]["request_ms"] == "measured"
        assert member["values"]["eval_perplexity"] > 1
    assert "baseline original: perplexity" in told.stderr
    assert "baseline uniform 60 %: perplexity" in told.stderr
    study = read_study(place / "out" / "study.db")
    assert {trial.id for trial in study.front} == {member["trial"] for member in members}
    (knee,) = (place / "out" / "models").iterdir()
    assert (knee / "model.onnx").is_file()
    read = read_pretrained(knee)
    trial = next(each for each in study.trials if each.id == int(knee.name))
    assert lts.decoder_params(read.architecture) == trial.values["decoder_params"]
    page = (place / "out" / "report.html").read_text()
    assert "<h2>What stays</h2>" in page
    assert "<rect" in page


def test_other_commands_know_the_study(done: tuple[Path, Any]) -> None:
    place, _ = done
    study = read_study(place / "out" / "study.db")
    chosen = study.front.trials[-1]
    front = run("front", "out", "--sort", "perplexity", "-o", "json", cwd=place)
    assert front.returncode == 0, front.stderr
    assert [each["trial"] for each in json.loads(front.stdout)] == [
        trial.id for trial in sorted(study.front, key=lambda trial: trial.values["perplexity"])
    ]
    export = ("export", f"out#{chosen.id}", "--format", "hf,onnx,json", "--precision", "int8", "--logits", "all")
    exported = run(*export, "-O", "chosen", cwd=place)
    assert exported.returncode == 0, exported.stderr
    assert "random" not in exported.stderr
    model = read_pretrained(place / "chosen" / str(chosen.id))
    from lts.compress.source import stored_source

    windows = stored_source(place / "out" / "study.db", study.configuration).windows
    again = perplexities(model.architecture, model.weights, windows.held_out, ["int8"])["int8"]
    assert again.value == pytest.approx(chosen.values["perplexity"], rel=1e-3)
    verified = run("verify", f"chosen/{chosen.id}", cwd=place)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    compared = run("compare", f"chosen/{chosen.id}", f"out#{chosen.id}", "--n-prompt", 16, "--n-gen", 4, cwd=place)
    assert compared.returncode in (0, 1), compared.stderr
    assert run("report", "out", "-f", "again.html", cwd=place).returncode == 0
    assert "<h2>What stays</h2>" in (place / "again.html").read_text()


def test_in_the_shape_of_the_original(model: Trained, done: tuple[Path, Any]) -> None:
    """A class of transformers reads it as it reads the original, and says what the sub-network says."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    place, _ = done
    trial = min(read_study(place / "out" / "study.db").front, key=lambda trial: lts.decoder_params(trial.architecture))
    for form, folder in (("hf-zeros", "whole"), ("hf", "part")):
        told = run("export", f"out#{trial.id}", "--format", form, "-O", folder, cwd=place)
        assert told.returncode == 0, told.stderr
        assert ("it takes the original's memory and time" in told.stderr) == (form == "hf-zeros")
    said = json.loads((place / "whole" / str(trial.id) / "config.json").read_text())
    known = json.loads((model.folder / "config.json").read_text())
    sizes = ("model_type", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    assert [said[name] for name in sizes] == [known[name] for name in sizes]
    load = transformers.AutoModelForCausalLM.from_pretrained
    whole = load(place / "whole" / str(trial.id))
    part = load(place / "part" / str(trial.id), trust_remote_code=True)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(whole(ids).logits, part(ids).logits, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--format", "hf-zeros,onnx"), "hf-zeros has the original's shape, and other formats the member's"),
        (("--format", "hf-zeros", "--weights", "."), "leave --weights out"),
    ],
)
def test_wrong_exports_in_the_shape_of_the_original(done: tuple[Path, Any], more: tuple[str, ...], said: str) -> None:
    place, _ = done
    told = run("export", "out", *more, cwd=place)
    assert (told.returncode, "Traceback" in told.stderr) == (2, False)
    assert said in " ".join(told.stderr.split())


def test_a_member_is_recovered(model: Trained, done: tuple[Path, Any]) -> None:
    """The same command goes on, also after Ctrl-C in recovery: a small one is taught, and exports have what it has
    learned."""
    place, _ = done
    more = ("--eval-text", model.texts[2], "--trials", 8, "--precision", "int8", "--uniform", 60)
    before = max(read_study(place / "out" / "study.db").front, key=lambda trial: trial.values["perplexity"])
    chosen = ("--pick", before.id, "--recover", "8s")
    stopped = next(processes_of(place, *arguments(model, *more, *chosen, "-O", "out")))
    while stopped.poll() is None and not [*place.glob("out/compress/recovered/*/checkpoints/teacher-*.npy")]:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait() == 130
    assert [*place.glob("out/compress/recovered/*/checkpoints/recovery-*.pt")]
    told = run(*arguments(model, *more, *chosen, "-O", "out"), cwd=place)
    assert told.returncode == 0, told.stderr
    assert f"trial {before.id} recovered: perplexity" in told.stderr
    trial = read_study(place / "out" / "study.db").trials[before.id]
    assert trial.values["perplexity"] == before.values["perplexity"]
    assert trial.values["recovered_perplexity"] < before.values["perplexity"]
    exported = run("export", f"out#{before.id}", "--format", "hf", "-O", "taught", cwd=place)
    assert exported.returncode == 0, exported.stderr
    first, second = (
        read_pretrained(folder / str(before.id)) for folder in (place / "out" / "models", place / "taught")
    )
    assert all(np.array_equal(first.weights[name], second.weights[name]) for name in first.weights)
    again = run(*arguments(model, *more, *chosen, "-O", "out"), cwd=place)  # nothing is taught twice
    assert again.returncode == 0, again.stderr
    assert read_study(place / "out" / "study.db").trials[before.id].values == trial.values


def processes_of(place: Path, *command: object) -> Iterator[subprocess.Popen[bytes]]:
    """The command again and again, each in a group of its own."""
    while True:
        yield subprocess.Popen(
            [sys.executable, "-m", "lts", *map(str, command)],
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(model: Trained, tmp_path: Path) -> None:
    """kill -9 after ever more files are there: none that is finished is made again, and the end is the same."""
    from lts.compress.statistics import SCRATCH

    command = arguments(model, "--trials", 5, "-O", "out", "--export", "none")
    folder = tmp_path / "out"
    seen: dict[Path, int] = {}
    for n_more, process in zip((1, 4, 8, 4, 2), processes_of(tmp_path, *command), strict=False):
        goal = len(seen) + n_more
        while process.poll() is None and len([*folder.rglob("*.np*"), *folder.rglob("*.json")]) < goal:
            time.sleep(0.05)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        files = [path for path in folder.glob("compress/*/**/*") if path.is_file()]
        found = {path: path.stat().st_mtime_ns for path in files if not any(map(path.match, SCRATCH))}
        again = [path for path, when in seen.items() if found.get(path) != when and ".tmp" not in path.name]
        assert not again
        seen = found
    last = run(*command, cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    trials = read_study(folder / "study.db").trials
    assert [trial.state for trial in trials] == ["complete"] * len(trials)
    assert len({trial.architecture for trial in trials}) == len(trials)


@pytest.mark.slow
def test_over_ssh_it_goes_on_after_a_kill(model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Costs of another device, perplexities of this one; what was measured before kill -9 is not measured again."""
    server = Sshd(tmp_path / "sshd")
    monkeypatch.setenv("LTS_SSH", server.command)
    device = f"{server.uri}?python={sys.executable}"
    command = arguments(
        model, "--trials", 6, "--precision", "int8", "--device", device, "-O", "out", "--export", "none"
    )
    file = tmp_path / "out" / "study.db"

    def complete() -> list[Trial]:
        with contextlib.suppress(UsageError):  # it has not begun
            return [each for each in read_study(file).trials if each.state == "complete"]
        return []

    try:
        process = next(processes_of(tmp_path, *command))
        while process.poll() is None and len(complete()) < 3:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        before = complete()
        assert len(before) >= 3
        told = run(*command, cwd=tmp_path)
        assert told.returncode == 0, told.stderr
    finally:
        server.stop()
    study = read_study(file)
    assert study.trials[: len(before)] == before
    assert len({each.architecture for each in study.trials}) == len(study.trials)
    assert {each.provenance["request_ms"] for each in study.trials} == {"measured"}
    (environment,) = study.environments.values()
    assert environment["device"].endswith(f"127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--steps", "heads=2"), 2, "--steps is 'heads=2'; expected for example d_ff=64"),
        (("--method", "best"), 2, "unknown method 'best'; expected one of ours, flap, wanda, magnitude, layers"),
        (
            ("--recover", "1m", "--torch-device", "tpu"),
            2,
            "PyTorch has no device 'tpu' here for recovery; there is cpu",
        ),
        (("--lora-rank", "4"), 2, "--lora-rank is about recovery; add --recover DURATION, or leave it out"),
        (("--uniform", "0"), 2, "--uniform is '0'; expected percent from 1 to 100"),
        (("--objective", "eval_perplexity:min"), 2, "is measured on a second text; name one (--eval-text FILE)"),
        (("--text", "absent.txt"), 2, "cannot read absent.txt: No such file or directory"),
        (("--constraint", "decoder_params<=10"), 1, "no sub-network satisfies decoder_params<=10: the smallest has"),
    ],
)
def test_what_is_wrong(model: Trained, tmp_path: Path, more: tuple[str, ...], code: int, said: str) -> None:
    told = run(*arguments(model, *more, "-O", "out", "--trials", 2), cwd=tmp_path)
    assert told.returncode == code, told.stderr
    assert said in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr


def test_without_a_text(model: Trained, tmp_path: Path) -> None:
    told = run("compress", model.folder, *QUICK, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert "no text to compress for; name one or several files (--text FILE)" in " ".join(told.stderr.split())
    assert not [*tmp_path.iterdir()]


def test_a_full_disk(model: Trained, tmp_path: Path) -> None:
    """Statistics and recovery say so in one sentence that names the file, and go on when there is room."""
    from trained import windows

    from lts.compress.compression import Compression
    from lts.compress.original import read_original
    from lts.compress.recovery import Teaching, recover

    original, text = read_original(model.folder), windows(8)
    with mounted(tmp_path / "statistics", "size=200k") as disk:
        found = Compression(original, text, disk, step_d_ff=32)
        with pytest.raises(UsageError, match=r"^cannot write .*\.npy: No space left on device$"):
            found.prepare()
        remount(disk, "size=50m")
        found.prepare()
        smaller = found.smaller(lts.decoder_params(model.architecture) // 2)
        weights = dict(found.weights(smaller))
    with mounted(tmp_path / "recovery", "size=300k") as disk:

        def taught() -> int:
            how = Teaching(seconds=60.0)
            return len(recover(original, smaller, weights, text, disk, how, stop=lambda: True).curve)

        with pytest.raises(UsageError, match=r"^cannot write .*\.pt: No space left on device$"):
            taught()
        assert [file.name.split("-")[0] for file in disk.iterdir()] == ["teacher"]
        remount(disk, "size=50m")
        assert taught() == 1
