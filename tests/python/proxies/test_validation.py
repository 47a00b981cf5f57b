"""The experiment that ranks proxies on your own text: its sample, its files, and its command, killed and resumed."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_models import REASON

import lts
from lts.errors import MeasurementError, UsageError
from lts.measure.tables.reader import read_table
from lts.proxies.ranking import PROXIES
from lts.proxies.stratified import interleaved, stratified
from lts.system.uninterrupted import without_interrupts

torch = pytest.importorskip("torch", reason=REASON)

from lts.networks.training import Corpus, Recipe, Trainer  # noqa: E402
from lts.proxies.validation import Experiment  # noqa: E402

SPACE = lts.SearchSpace.load("gpt2-tiny")
TEXT = b"it was the best of times, it was the worst of times, it was the age of wisdom; " * 60
RECIPE = Recipe(0, batch=2, length=16)
ARGUMENTS = ("gpt2-tiny", "--models", "6", "--batch", "2", "--length", "16", "--parallel", "2")
COMMAND = """
import sys, typer
from lts.cli.validate import validate
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(validate)
sys.argv[0] = "validate"
app()
"""


def experiment(directory: Path, **changes: Any) -> Experiment:
    arguments = {"space": SPACE, "text": TEXT, "recipe": RECIPE, "models": 6, **changes}
    return Experiment(directory, **arguments)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What planning believes: a second for every step, so that the steps are the same everywhere."""
    monkeypatch.setattr(Trainer, "seconds", lambda self: 1.0)


def budget(models: int, steps: int) -> float:
    """Seconds for that many steps, as planning sees it: a held-out batch is 0.4 of one."""
    look = 0.4 * len(Corpus.of(TEXT, RECIPE.length).valid) / RECIPE.batch
    return (math.ceil(steps + look) + 0.5) * models / 0.9  # half a step for the planning itself


def losses(directory: Path) -> dict[int, float]:
    records = [json.loads(line) for line in (directory / "models.jsonl").read_text().splitlines()]
    assert len({record["model"] for record in records}) == len(records)
    return {record["model"]: record["valid_loss"] for record in records}


# --- The sample ---


@pytest.mark.parametrize("name", ["gpt2-tiny", "gpt2-small", "transformer-xl-tiny", "llama-tiny", "transformer-xl-lts"])
def test_strata_cover_all_sizes(name: str) -> None:
    space = lts.SearchSpace.load(name)
    sample = stratified(space, 24, 1_000_000, 64, seed=3)
    sizes = [lts.decoder_params(a) for a in sample]
    assert len({a.to_json() for a in sample}) == 24
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 1_000_000
    assert all((a.vocab_size, a.n_positions, a.d_embed, a.div_val, a.cutoffs) == (256, 64, -1, 1, []) for a in sample)
    # Eight strata of three: in each half of the logarithms half of the models, up to what neighbours fill up.
    middle = np.sqrt(sizes[0] * sizes[-1])
    assert 9 <= sum(size < middle for size in sizes) <= 15
    assert [a.to_json() for a in stratified(space, 24, 1_000_000, 64, seed=3)] == [a.to_json() for a in sample]
    assert [a.to_json() for a in stratified(space, 24, 1_000_000, 64, seed=4)] != [a.to_json() for a in sample]


def test_every_decoder_is_one_of_the_space() -> None:
    fields = ("d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "head_dim")
    space = lts.SearchSpace.load("llama-tiny")
    for model in stratified(space, 12, 10**6, 32):
        original = {**model.to_dict(), "vocab_size": space.options["vocab_size"]}
        original["n_positions"] = space.options["n_positions"]
        original["tie_embedding"] = space.at(0).tie_embedding
        found = lts.Architecture.from_dict(original)
        assert space.why_not(found) is None
        assert lts.decoder_params(found) == lts.decoder_params(model)
        assert all(getattr(found, name) == getattr(model, name) for name in fields)


def test_small_spaces_are_taken_whole() -> None:
    space = lts.SearchSpace(
        vocab_size=300, n_positions=32, n_layer=[1, 2], d_model=[16, 32], n_head=[2], d_ff=[16, 512], name="small"
    )
    sample = stratified(space, 24, 10**6, 16)
    assert len(sample) == space.size == 12
    with pytest.raises(UsageError, match=r"small has 2 decoders of at most .* a comparison needs 4"):
        stratified(space, 24, sorted(lts.decoder_params(a) for a in sample)[1], 16)
    smallest = lts.decoder_params(sample[0])
    with pytest.raises(UsageError, match=r"smallest decoder of small has .* more than the 100 of --max-params"):
        stratified(space, 24, 100, 16)
    bounded = lts.SearchSpace(**{**space.options, "decoder_params": (smallest + 1, 40_000)})
    assert {a.to_json() for a in stratified(bounded, 24, 10**6, 16)} < {a.to_json() for a in sample}


def test_any_beginning_of_the_order_is_spread() -> None:
    for n in (1, 4, 24, 37):
        order = interleaved(n)
        assert sorted(order) == list(range(n))
    for k in range(4, 24):
        some = sorted([*interleaved(24)[:k], -1, 24])
        assert max(np.diff(some)) <= 2 * 24 / k + 2


# --- The experiment ---


@pytest.mark.usefixtures("quick")
def test_from_plan_to_table(tmp_path: Path) -> None:
    seen = []
    with experiment(tmp_path) as run:
        assert run.run(budget(6, 40), seen.append)
        assert [record["state"] for record in run.complete] == ["complete"] * 6
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert plan["recipe"]["steps"] == 40
    assert plan["text"]["bytes"] == len(TEXT)
    record = json.loads((tmp_path / "models.jsonl").read_text().splitlines()[0])
    assert (record["provenance"], record["state"], record["error"], record["steps"]) == (
        "measured",
        "complete",
        None,
        40,
    )
    assert record["curve"][-1][3] == record["valid_loss"] < record["curve"][0][2]
    assert record["device"] == "cpu"
    assert sum(progress.record is not None for progress in seen) == 6
    assert seen[-1].left == pytest.approx(0.0)
    assert not list(tmp_path.glob("checkpoint*"))
    table = read_table(tmp_path / "table.csv")
    assert [lts.decoder_params(a) for a in table.architectures] == table.column("decoder_params")
    assert sorted(table.column("valid_loss")) == sorted(losses(tmp_path).values())
    assert min(table.column("seconds")) > 0
    before = (tmp_path / "models.jsonl").read_bytes()
    with experiment(tmp_path) as again:
        assert again.run(1e6)
    assert (tmp_path / "models.jsonl").read_bytes() == before


@pytest.mark.usefixtures("quick")
def test_another_experiment_is_refused(tmp_path: Path) -> None:
    with experiment(tmp_path) as run:
        assert run.run(budget(6, 20))
        with pytest.raises(UsageError, match="in use by another process"):
            experiment(tmp_path)
    for name, change in {
        "text": {"text": TEXT + b"x"},
        "space": {"space": lts.SearchSpace.load("llama-tiny")},
        "--models": {"models": 7},
        "--max-params": {"max_params": 10**5},
        "--seed": {"recipe": Recipe(0, batch=2, length=16, seed=1)},
        "--batch, --lr": {"recipe": Recipe(0, batch=3, length=16, lr=1e-4)},
    }.items():
        with pytest.raises(UsageError, match=f"another {name}; give another directory with --output-dir"):
            experiment(tmp_path, **change)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(UsageError, match=r"plan.json is damaged"):
        experiment(tmp_path)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(UsageError, match=r"has models.jsonl but no plan.json"):
        experiment(tmp_path)


@pytest.mark.usefixtures("quick")
def test_a_damaged_end_is_dropped(tmp_path: Path) -> None:
    with experiment(tmp_path) as run:
        run.run(budget(6, 20))
    path = tmp_path / "models.jsonl"
    lines, whole = path.read_bytes().splitlines(keepends=True), losses(tmp_path)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:-10])
    with experiment(tmp_path) as run:
        assert len(run.records) == 5
        assert run.run(1e6)
    assert losses(tmp_path) == whole


@pytest.mark.usefixtures("quick")
def test_models_that_fail_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment(tmp_path, recipe=Recipe(0, batch=2, length=16, lr=1e38, weight_decay=1e38)) as run:
        assert run.run(budget(6, 20))
        assert run.complete == []
        assert {record["state"] for record in run.records.values()} == {"failed"}
        assert all("loss is" in record["error"] for record in run.records.values())
    assert len(losses(tmp_path)) == 6


@pytest.mark.usefixtures("quick")
def test_a_device_that_gives_up_spoils_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment(tmp_path) as run:
        with monkeypatch.context() as patch:

            def fails(self: Trainer, number: int) -> torch.Tensor:
                raise torch.OutOfMemoryError("no memory")

            patch.setattr(Trainer, "step", fails)
            with pytest.raises(MeasurementError, match="training on cpu stopped: no memory"):
                run.run(budget(6, 20))
        assert run.records == {}
        assert run.run(budget(6, 20))
        assert {record["state"] for record in run.records.values()} == {"complete"}


@pytest.mark.usefixtures("quick")
def test_a_budget_that_is_over_and_more_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with experiment(tmp_path / "whole") as run:
        assert run.run(budget(6, 30))
    (tmp_path / "parts").mkdir()
    shutil.copy(tmp_path / "whole" / "plan.json", tmp_path / "parts")
    finished = 0
    for _ in range(1000):
        with experiment(tmp_path / "parts") as run:
            ticks = count(time.monotonic(), 0.01)  # some forty steps each time, whatever they take
            monkeypatch.setattr(time, "monotonic", lambda ticks=ticks: next(ticks))
            done = run.run(2.0)
            monkeypatch.undo()
        assert len(run.records) >= finished
        finished = len(run.records)
        if done:
            break
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_a_budget_that_is_too_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trainer, "seconds", lambda self: 100.0)
    with experiment(tmp_path) as run, pytest.raises(UsageError, match="the budget is too short to train 6 models"):
        run.run(60.0)
    assert not (tmp_path / "plan.json").exists()


def interrupt(times: int) -> list[bool]:
    """Whether an interrupt is waiting, after each Ctrl-C in a block that continues."""
    found: list[bool] = []
    try:
        with without_interrupts() as kept:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)
                found.append(kept())
            found.append(False)
    except KeyboardInterrupt:
        return found
    raise AssertionError("nothing was raised")


@pytest.mark.alone
def test_interrupts_wait() -> None:
    assert interrupt(1) == [True, False]
    assert interrupt(2) == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- The command ---


def start(directory: Path, text: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *ARGUMENTS, "--text", str(text), "-O", str(directory), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def planned(tmp_path: Path, quick: None) -> tuple[Path, Path]:
    """A text, and a directory with a plan of 150 steps for each of six models, none trained."""
    text, directory = tmp_path / "text.txt", tmp_path / "planned"
    text.write_bytes(TEXT)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with experiment(directory) as run, pytest.raises(KeyboardInterrupt):
        run.run(6 * (150 + 6.5) / 0.9, stop)
    assert losses(directory) == {}
    return text, directory


def until_models(directory: Path, n: int) -> None:
    for _ in range(6000):
        if (directory / "models.jsonl").read_bytes().count(b"\n") >= n:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {n} models in a minute")


@pytest.mark.slow
def test_killed_and_resumed(planned: tuple[Path, Path], tmp_path: Path) -> None:
    text, whole = planned
    parts = tmp_path / "parts"
    shutil.copytree(whole, parts)
    first = start(parts, text)
    until_models(parts, 1)
    time.sleep(float(np.random.default_rng().uniform(0, 0.5)))
    first.kill()
    first.communicate()
    kept = losses_of_whole_lines(parts)
    second = start(parts, text)
    until_models(parts, min(5, len(kept) + 1))
    second.send_signal(signal.SIGTERM)
    _, errors = second.communicate(timeout=60)
    if second.returncode != 0:  # it may have been faster
        assert second.returncode == 130, errors
        assert "the same command resumes" in errors
        assert "Traceback" not in errors
    done = start(parts, text, "-o", "json")
    output, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors
    assert "resuming" in errors
    records = json.loads(output)
    assert {record["proxy"] for record in records} == {proxy.name for proxy in PROXIES}
    assert {record["n"] for record in records if record["best"] == "100%"} == {6}
    assert all(-1 <= record["kendall_tau_b"] <= 1 for record in records)
    reference = start(whole, text)
    output, errors = reference.communicate(timeout=120)
    assert reference.returncode == 0, errors
    assert "Kendall tau-b" in output
    assert "[6/6] decoder_params" in errors
    assert losses(parts) == losses(whole)
    assert kept.items() <= losses(parts).items()
    table = read_table(parts / "table.csv")
    assert len(table.architectures) == 6


def losses_of_whole_lines(directory: Path) -> dict[int, float]:
    content = (directory / "models.jsonl").read_bytes()
    records = [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]
    return {record["model"]: record["valid_loss"] for record in records}


def test_fewer_than_four_trained(planned: tuple[Path, Path]) -> None:
    text, directory = planned
    result = start(directory, text, "--timeout", "0.001s")
    output, errors = result.communicate(timeout=60)
    assert result.returncode == 3, errors
    assert "the budget is over with 0 of 6 models; the same command resumes" in errors
    assert "a comparison needs 4" in errors
    assert output == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing",), "unknown search space 'nothing'"),
        (("gpt2-tiny", "--timeout", "soon"), "'soon' is not a duration"),
        (("gpt2-tiny", "--max-params", "many"), "--max-params is 'many'; expected a number of parameters"),
        (("gpt2-tiny", "--max-params", "1k"), "the smallest decoder of gpt2-tiny has 8\u202f608 parameters"),
        (("gpt2-tiny", "--lr", "nan"), "--lr is nan; it must be above 0"),
        (("gpt2-tiny", "--device", "cuda:99"), "PyTorch has no device 'cuda:99' here; there is cpu"),
        (("gpt2-tiny", "--device", "tpu"), "PyTorch has no device 'tpu'"),
        (("gpt2-tiny", "--length", "1000"), "sequences of 1000 need 64064 or more"),
        (("gpt2-tiny", "--models", "3"), "--models"),
        (("gpt2-tiny", "--text", "{folder}/absent"), "--text: no file"),
        (("gpt2-tiny", "--text", "{folder}"), "is no regular file"),
        (("gpt2-tiny", "-O", "{folder}/text.txt"), "cannot write in"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "text.txt").write_bytes(TEXT * 4)
    given = [argument.format(folder=tmp_path) for argument in arguments]
    directory = [] if "-O" in given else ["-O", tmp_path / "new"]
    text = [] if "--text" in given else ["--text", tmp_path / "text.txt"]
    result = call(*given, *directory, *text)
    assert result.returncode == 2, result.stderr
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "new").exists()


def test_help_needs_no_torch() -> None:
    code = f"import sys; sys.argv = ['validate', '--help']\ntry:\n    exec({COMMAND!r})\nexcept SystemExit:\n    pass\n"
    code += "assert 'torch' not in sys.modules"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert "--max-params" in result.stdout
