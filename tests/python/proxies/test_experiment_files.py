"""The files of an experiment: damaged, by others, killed again and again, on full and on read-only disks."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mounts import mounted, remount
from reference_models import REASON

import lts
from lts.errors import UsageError
from lts.proxies import experiment_files

torch = pytest.importorskip("torch", reason=REASON)

from lts.networks.training import Recipe, Trainer  # noqa: E402
from lts.proxies.validation import Experiment  # noqa: E402

SPACE = lts.SearchSpace.load("gpt2-tiny")
TEXT = b"it was the best of times, it was the worst of times, it was the age of wisdom; " * 60
RECIPE = Recipe(0, batch=2, length=16)
N_KILLS = 10
# As a user calls it, but with a checkpoint after every step, so that kills come while one is being written.
COMMAND = """
import sys
import lts.networks.training as training
training.train.__kwdefaults__["save_seconds"] = float(sys.argv.pop(1))
from lts.cli import main
main()
"""


def experiment(directory: Path) -> Experiment:
    return Experiment(directory, SPACE, TEXT, recipe=RECIPE, models=6)


def command(directory: Path, text: Path, save_seconds: float = 30.0) -> list[str]:
    options = ["--models", "6", "--batch", "2", "--length", "16", "--parallel", "2", "--timeout", "5m"]
    begin = [sys.executable, "-c", COMMAND, str(save_seconds), "proxy", "validate", "gpt2-tiny"]
    return [*begin, *options, "--text", str(text), "-O", str(directory)]


def call(directory: Path, text: Path, save_seconds: float = 30.0, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(directory, text, save_seconds), capture_output=True, text=True, timeout=200, check=False, **more
    )


def losses(directory: Path) -> dict[int, float]:
    """Of the lines that are whole."""
    content = (directory / "models.jsonl").read_bytes()
    records = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    assert len({record["model"] for record in records}) == len(records), "no model is trained twice"
    return {record["model"]: record["valid_loss"] for record in records}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_bytes(TEXT)
    return path


def plan(directory: Path, steps: int) -> None:
    """Make a plan of that many steps, or a few more, and train nothing."""

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, experiment(directory) as run:
        patch.setattr(Trainer, "seconds", lambda self: 1.0)
        with pytest.raises(KeyboardInterrupt):
            run.run(6 * (steps + 6.5) / 0.9, stop)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment that has ended."""
    directory = tmp_path_factory.mktemp("experiments") / "made"
    plan(directory, 20)
    with experiment(directory) as run:
        assert run.run(1e6)
    return directory


@pytest.fixture
def trained(made: Path, tmp_path: Path) -> Path:
    """An experiment that has ended, whose files may be changed."""
    return Path(shutil.copytree(made, tmp_path / "trained"))


# What others, or a disk, have made of them


def set_in(*path: str | int) -> Callable[[Any, Any], None]:
    def change(plan: Any, value: Any) -> None:
        for key in path[:-1]:
            plan = plan[key]
        plan[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "value"),
    [
        *[(set_in("recipe", "steps"), value) for value in (0, -1, "150", True, None, 1.5, 10**30, [])],
        (set_in("recipe", "lr"), "fast"),
        (set_in("recipe", "more"), 1),
        (set_in("recipe"), []),
        *[(set_in("architectures"), value) for value in (None, [], {}, [{}], [[]], "abc", [1] * 6)],
        (set_in("architectures", 0, "d_model"), 10**30),
        (set_in("architectures", 0, "vocab_size"), 512),
        (set_in("architectures", 0, "n_positions"), 17),
        *[(set_in("step_seconds"), value) for value in (None, [], [1.0], "abcdef", [0.0] * 6, ["1"] * 6, {})],
        (set_in("step_seconds", 3), float("nan")),
    ],
)
def test_a_plan_that_is_none(trained: Path, change: Callable[[Any, Any], None], value: Any) -> None:
    path = trained / "plan.json"
    record = json.loads(path.read_text())
    change(record, value)
    path.write_text(json.dumps(record))
    with pytest.raises(UsageError, match=r"plan.json is damaged or of another version \(.*\); give another directory"):
        experiment(trained)
    assert len(losses(trained)) == 6


@pytest.mark.parametrize("content", [b"", b"[]", b"1", b"\xff\xfe", b"[" * 10**6, b"null", b'{"space": 1', b"9" * 5000])
def test_a_plan_that_is_not_even_json(trained: Path, content: bytes) -> None:
    (trained / "plan.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"plan.json is damaged or of another version"):
        experiment(trained)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "0"},
        {"model": 6},
        {"model": -1},
        {"model": True},
        {"model": 0.0},
        {"state": "paused"},
        {"state": ["complete"]},
        {"valid_loss": None},
        {"valid_loss": "1.0"},
        {"valid_loss": float("inf")},
        {"train_loss": {}},
        {"seconds": -1},
        {"seconds": "1"},
        {"decoder_params": 5},
        {"architecture": None},
        {"architecture": {"family": "gpt2"}},
        {"state": "failed", "error": 5},
    ],
)
def test_a_record_that_is_none_is_made_again(trained: Path, change: dict[str, Any]) -> None:
    path = trained / "models.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    i = next(n for n, record in enumerate(records) if record["model"] == 0)
    records[i].update(change)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with experiment(trained) as run:
        assert set(run.records) == {1, 2, 3, 4, 5}
        assert len(run.complete) == 5
        assert run.run(1e6)
        assert len(run.complete) == 6


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b"[" * 10**6, b"\xff", b"9" * 5000, b'"' + b"x" * 10**6 + b'"'])
def test_lines_that_are_no_records_do_not_count(trained: Path, line: bytes) -> None:
    path = trained / "models.jsonl"
    path.write_bytes(line + b"\n" + path.read_bytes())
    with experiment(trained) as run:
        assert len(run.records) == 6


@pytest.mark.parametrize("name", ["plan.json", "models.jsonl"])
def test_files_without_an_end(trained: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_files, "_MOST_BYTES", 1 << 20)
    with (trained / name).open("r+b") as file:
        file.truncate(2 << 20)
    with pytest.raises(UsageError, match=rf"{name} is too large: it has more than 1 MiB"):
        experiment(trained)
    assert (trained / name).stat().st_size == 2 << 20, "it is left alone"


@pytest.mark.parametrize("name", ["plan.json", "models.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_files_that_are_none(trained: Path, name: str, kind: str) -> None:
    (trained / name).unlink()
    os.mkfifo(trained / name) if kind == "pipe" else (trained / name).mkdir()
    with pytest.raises(UsageError, match=r"is no regular file|cannot write in .*: Is a directory"):
        experiment(trained)


def test_what_a_kill_left_of_finished_models_is_removed(trained: Path) -> None:
    left = [trained / "checkpoint-2.pt", trained / ".checkpoint-3.pt.4711.0.tmp"]
    for path in left:
        path.write_bytes(b"half")
    with experiment(trained) as run:
        assert len(run.records) == 6
    assert not any(path.exists() for path in left)


# Kills and disks


@pytest.mark.slow
@pytest.mark.alone
def test_ten_kills(tmp_path: Path, text: Path) -> None:
    directory, whole = tmp_path / "killed", tmp_path / "whole"
    plan(whole, 400)
    directory.mkdir()
    (directory / "plan.json").write_bytes((whole / "plan.json").read_bytes())
    seed = random.randrange(1 << 30)
    rng = random.Random(seed)
    kept: dict[int, float] = {}
    in_training = 0
    for _ in range(N_KILLS):
        process = subprocess.Popen(
            command(directory, text, 0.0), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        if rng.random() < 0.9:  # else while it begins
            for line in process.stderr:
                if "resuming" in line:
                    break
        time.sleep(rng.uniform(0, 1.0))
        in_training += process.poll() is None
        process.kill()
        process.communicate()
        if (directory / "models.jsonl").exists():
            now = losses(directory)
            assert kept.items() <= now.items(), f"seed {seed}"
            kept = now
    assert in_training >= N_KILLS // 2, "most kills came while it ran"
    done = call(directory, text)
    assert done.returncode == 0, done.stderr
    assert call(whole, text).returncode == 0
    assert losses(directory) == losses(whole), f"seed {seed}"
    assert kept.items() <= losses(directory).items()
    assert sorted(path.name for path in directory.iterdir()) == ["models.jsonl", "plan.json", "table.csv"]


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("save_seconds", [0.0, 30.0], ids=["checkpoints", "no checkpoints"])
def test_a_full_disk(save_seconds: float, tmp_path: Path, text: Path) -> None:
    with mounted(tmp_path / "small", "size=20m") as small:
        directory = small / "experiment"
        plan(directory, 40)
        first = json.loads((directory / "plan.json").read_text())["architectures"]
        free = os.statvfs(small).f_bavail * os.statvfs(small).f_frsize
        room = 8192 if save_seconds else 400_000  # for some records; for checkpoints of small models
        (small / "filler").write_bytes(b"x" * (free - room))
        done = call(directory, text, save_seconds)
        assert done.returncode == 2, done.stderr
        last = done.stderr.splitlines()[-1]
        assert last.startswith(f"error: cannot write in {directory}: No space left on device; what is finished is kept")
        assert "run the same command again" in last
        assert "Traceback" not in done.stderr
        assert (directory / "models.jsonl").read_bytes()[-1:] in (b"", b"\n"), "no half line"
        kept = losses(directory)
        assert len(kept) < len(first)
        again = call(directory, text, save_seconds)
        assert again.returncode == 2
        assert kept.items() <= losses(directory).items()
        (small / "filler").unlink()
        done = call(directory, text)
        assert done.returncode == 0, done.stderr
        assert kept.items() <= losses(directory).items()
        assert len(losses(directory)) == 6


def test_a_disk_that_fills_up_between_two_models(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a line has of the disk is given back, so that the next one does not continue it."""
    path = trained / "models.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    write = os.write
    with experiment(trained) as run:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda file, data: write(file, data[: len(data) // 2]))
            with pytest.raises(UsageError, match=r"cannot write in .*: No space left on device"):
                run.run(1e6)
        assert path.read_bytes() == b"".join(lines[:4])
        assert run.run(1e6)
    assert len(losses(trained)) == 6


@pytest.mark.alone
def test_a_read_only_directory(tmp_path: Path, text: Path) -> None:
    with mounted(tmp_path / "small", "size=4m") as small:
        remount(small, "ro")
        caches = dict.fromkeys(("XDG_CACHE_HOME", "HOME", "TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR"), str(small))
        done = call(small / "experiment", text, env={**os.environ, **caches})
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == f"error: cannot write in {small / 'experiment'}: Read-only file system"
        assert not list(small.iterdir())


@pytest.mark.slow
def test_caches_that_cannot_be_written_do_not_matter(tmp_path: Path, text: Path, trained: Path) -> None:
    with mounted(tmp_path / "small", "size=4m") as small:
        remount(small, "ro")
        caches = dict.fromkeys(("XDG_CACHE_HOME", "HOME", "TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR"), str(small))
        (trained / "models.jsonl").write_bytes(b"")
        done = call(trained, text, env={**os.environ, **caches})
        assert done.returncode == 0, done.stderr
        assert len(losses(trained)) == 6


@pytest.mark.alone
def test_an_experiment_that_can_only_be_read(tmp_path: Path, text: Path) -> None:
    with mounted(tmp_path / "small", "size=4m") as small:
        plan(small / "experiment", 20)
        remount(small, "ro")
        done = call(small / "experiment", text)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1] == f"error: cannot write in {small / 'experiment'}: Read-only file system"
