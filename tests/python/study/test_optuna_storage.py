"""A study in Optuna's storage: opened again with Optuna, it is the same study."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lts
from lts.cli import app
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.optuna_storage import address, export_optuna, without_password
from lts.study.store import Store
from lts.study.stored import read_study

optuna = pytest.importorskip("optuna")

GOALS = ["decoder_params:max", "gflops:min"]
STATES = {"complete": "COMPLETE", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}


def gflops(architecture: lts.Architecture) -> Mapping[str, float]:
    """A cost of our own, which fails where it is high."""
    value = lts.flops_prefill(architecture) / 1e9
    if value > 0.055:
        raise ValueError("too much")
    return {"gflops": value, "heads": float(sum(architecture.n_head))}


def searched(folder: Path, space: str = "llama-tiny", trials: int = 40) -> Path:
    folder.mkdir()
    with lts.Study(
        lts.SearchSpace.load(space),
        gflops,
        objectives=GOALS,
        constraints=["gflops<=0.05", "heads>=3"],
        algorithm="random",
        store=folder / "study.db",
    ) as study:
        study.run(trials=trials)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with failures, infeasible trials, and one that was cut off."""
    folder = searched(tmp_path_factory.mktemp("optuna") / "llamas")
    with Store(folder / "study.db", writable=True) as store:
        last = store.trials()[-1]
        store.write(trials=[Trial(id=last.id + 1, state="running", architecture=last.architecture, time=last.time)])
    return folder


@pytest.fixture(scope="module", params=["optuna.db", "optuna.log", "url"])
def written(request: pytest.FixtureRequest, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The study as Optuna reads it: from SQLite, from a journal, and from a URL."""
    folder = tmp_path_factory.mktemp("written")
    storage = f"sqlite:///{folder / 'x.sqlite3'}" if request.param == "url" else str(folder / request.param)
    assert export_optuna(study, storage) == "llamas"
    if request.param.endswith(".log"):
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))
    else:
        storage = storage if "://" in storage else f"sqlite:///{storage}"
    return optuna.load_study(study_name="llamas", storage=storage)


def test_the_best_trials_are_the_front(study: Path, written: Any) -> None:
    front = read_study(study / "study.db").front
    assert len(front) > 3
    # Of trials with equal values, Optuna has all in the front, and we the first.
    best = {tuple(trial.values): trial.number for trial in reversed(written.best_trials)}
    assert best == {(float(t.values["decoder_params"]), t.values["gflops"]): t.id for t in front}
    assert {t.number for t in written.trials if t.user_attrs["front"]} == {t.id for t in front}
    assert [each.name for each in written.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert written.metric_names == ["decoder_params", "gflops"]


def test_trials_are_the_same(study: Path, written: Any) -> None:
    trials = read_study(study / "study.db").trials
    assert {trial.state for trial in trials} == {"complete", "failed", "running"}
    for ours, theirs in zip(trials, written.trials, strict=True):
        assert theirs.number == ours.id == theirs.user_attrs["trial"]
        assert theirs.state.name == STATES[ours.state]
        if ours.state == "complete":
            assert theirs.values == [ours.values["decoder_params"], ours.values["gflops"]]
            assert theirs.user_attrs["values.heads"] == ours.values["heads"]
            assert theirs.user_attrs["provenance.gflops"] == "given"
            beyond = theirs.system_attrs["constraints"]
            assert beyond == pytest.approx([ours.values["gflops"] - 0.05, 3 - ours.values["heads"]])
            assert all(each <= 0 for each in beyond) == ours.feasible
        else:
            assert theirs.values is None
            assert theirs.user_attrs.get("error") == ours.error
        if ours.state != "running":
            ended = theirs.datetime_complete.astimezone(UTC)  # a time without a zone is local
            assert f"{ended:%Y-%m-%dT%H:%M:%SZ}" == ours.time
            taken = (theirs.datetime_complete - theirs.datetime_start).total_seconds()
            assert taken == pytest.approx(sum(ours.seconds.values()), abs=1e-5)


def test_parameters_are_what_the_space_leaves_open(study: Path, written: Any) -> None:
    for ours, theirs in zip(read_study(study / "study.db").trials, written.trials, strict=True):
        a = ours.architecture
        expected = {"n_layer": a.n_layer, "d_model": a.d_model}
        for name in ("n_head", "n_kv_head", "d_ff"):
            expected |= {f"{name}_{layer}": value for layer, value in enumerate(getattr(a, name))}
        assert theirs.params == expected
        kinds = theirs.distributions
        assert kinds["n_layer"] == optuna.distributions.IntDistribution(1, 3)
        assert kinds["d_model"] == optuna.distributions.IntDistribution(32, 64, step=32)
        assert kinds["d_ff_0"] == optuna.distributions.CategoricalDistribution((64, 128, 256))


def test_a_dimension_that_all_layers_share_is_one_parameter(tmp_path: Path) -> None:
    space = tmp_path / "shared.toml"
    space.write_text(
        'family = "gpt2"\n[fixed]\nvocab_size = 64\nn_positions = 16\n'
        "[choices]\nn_layer = [2, 3]\nd_model = 32\nn_head = [1, 2]\nd_ff = [32, 64]\n[rules]\nshared = ['n_head']\n"
    )
    folder = searched(tmp_path / "shared", str(space), trials=6)
    export_optuna(folder, tmp_path / "o.db", name="s")
    found = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'o.db'}")
    for ours, theirs in zip(read_study(folder / "study.db").trials, found.trials, strict=True):
        assert theirs.params["n_head"] == ours.architecture.n_head[0]
        assert set(theirs.params) == {"n_layer", "n_head", *(f"d_ff_{i}" for i in range(ours.architecture.n_layer))}


def test_how_it_was_made_is_kept(study: Path, written: Any) -> None:
    assert written.user_attrs["space"] == "llama-tiny"
    assert written.user_attrs["constraints"] == ["gflops<=0.05", "heads>=3"]
    assert written.user_attrs["algorithm"] == "random"


@pytest.mark.parametrize("file", ["o.db", "o.log"])
def test_a_study_of_that_name_stays(study: Path, tmp_path: Path, file: str) -> None:
    out = tmp_path / file
    export_optuna(study, out)
    before = optuna.get_all_study_names(open_storage(out))
    with pytest.raises(UsageError, match="has a study 'llamas' already; give another name or storage"):
        export_optuna(study, out)
    export_optuna(study, out, name="again")
    assert before == ["llamas"]
    assert sorted(optuna.get_all_study_names(open_storage(out))) == ["again", "llamas"]


def open_storage(path: Path) -> Any:
    if path.suffix == ".db":
        return f"sqlite:///{path}"
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}?timeout=5"])
def test_a_study_of_ours_is_not_written_to(study: Path, form: str) -> None:
    store = study / "study.db"
    before = hashlib.sha256(store.read_bytes()).digest()
    with pytest.raises(UsageError, match="is a study of lts-engine; give another file"):
        export_optuna(study, form.format(store))
    assert hashlib.sha256(store.read_bytes()).digest() == before


def test_a_file_of_something_else_stays(study: Path, tmp_path: Path) -> None:
    for name, text in (("notes.txt", "my notes\n"), ("notes.db", "my notes\n"), ("notes.json", "7\n"), ("a.log", "{}")):
        (tmp_path / name).write_text(text)
        with pytest.raises(UsageError, match="cannot write Optuna's storage"):
            export_optuna(study, tmp_path / name)
        assert (tmp_path / name).read_text() == text


def test_a_study_that_cannot_be_written_leaves_nothing(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, n = optuna.Study.add_trial, 0

    def full(self: Any, trial: Any) -> None:
        nonlocal n
        n += 1
        if n > 5:
            raise OSError("the disk is full")
        original(self, trial)

    monkeypatch.setattr(optuna.Study, "add_trial", full)
    with pytest.raises(UsageError, match=r"cannot write Optuna's storage .*: the disk is full"):
        export_optuna(study, tmp_path / "o.db")
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path / 'o.db'}") == []


def test_passwords_are_not_shown(study: Path) -> None:
    assert without_password("mysql://me:secret@host/db") == "mysql://me:***@host/db"
    assert without_password("sqlite:///a:b@c.db") == "sqlite:///a:b@c.db"
    with pytest.raises(UsageError) as raised:
        export_optuna(study, "nothing://me:secret@host/db")
    assert "secret" not in str(raised.value)


def test_addresses() -> None:
    assert address("a.db") == "sqlite:///a.db"
    assert address("a.log") == "a.log"
    assert address("sqlite:///a.log") == "sqlite:///a.log"


def test_without_optuna_it_says_what_to_install(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *more: Any, **options: Any) -> Any:
        if name == "optuna":
            raise ImportError(name)
        return original(name, *more, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match="pip install optuna"):
        export_optuna(study, tmp_path / "o.db")
    assert not list(tmp_path.iterdir())


def test_the_command(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.db"
    done = CliRunner().invoke(app, ["export-optuna", str(study), "-O", str(out), "--name", "mine"])
    assert (done.exit_code, done.stdout) == (0, "mine\n")
    assert f"optuna-dashboard sqlite:///{out}" in done.stderr
    assert optuna.get_all_study_names(f"sqlite:///{out}") == ["mine"]
    again = CliRunner().invoke(app, ["export-optuna", str(study), "-O", str(out), "--name", "mine"])
    assert again.exit_code == 2
    assert again.stderr.startswith("error: ")
    assert CliRunner().invoke(app, ["export-optuna", str(tmp_path / "no.db"), "-O", str(out)]).exit_code == 2


def test_a_time_that_is_not_known() -> None:
    from lts.study.optuna_storage import _times

    trial = Trial(id=0, state="complete", architecture=lts.SearchSpace.load("gpt2-tiny").at(0))
    assert _times(trial)[1] == datetime(1970, 1, 1)
