"""A study in a storage of Optuna, which optuna-dashboard and Optuna's plots open."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from lts._core import Architecture, Constraint, SearchSpace
from lts.errors import UsageError, first_line
from lts.measure.trial import Trial
from lts.spaces.space import choices
from lts.study.schema import STORE_NAME, is_store, store_path
from lts.study.stored import StoredStudy, read_study

_DIRECTIONS = {"min": "minimize", "max": "maximize"}
_DIMENSIONS = (
    *("n_layer", "d_model", "n_head", "n_kv_head", "d_ff", "head_dim", "d_embed", "div_val"),
    *("qkv_bias", "attention_output_bias", "feed_forward_bias"),
)
_SQLITE = (".db", ".sqlite", ".sqlite3")
_ABOUT = ("warnings", "disturbed", "deployed", "origin", "target", "device", "backend", "environment", "lts_version")
_LONGEST_LINE = 1 << 20  # of a journal that is looked at; a first line makes a study, and is short
_UNKNOWN = datetime(1970, 1, 1)  # Optuna wants to know when; a trial need not say


def export_optuna(study: str | Path, storage: str | Path, name: str | None = None) -> str:
    """Write a study as one of Optuna; what the storage has already, stays.

    Trials keep their numbers. The values of objectives become values, the dimensions that the space leaves open become
    parameters (``d_ff_0`` is that of the first layer), and constraints are kept as Optuna keeps them, so that
    ``best_trials`` are the front. What else a record has are user attributes, named as in CSV
    (``provenance.latency_ms``).

    Parameters
    ----------
    study
        Directory or store of a search; it is only read.
    storage
        A URL such as ``sqlite:///optuna.db``, or a file: of SQLite where it ends in .db, .sqlite or .sqlite3, otherwise
        Optuna's journal.
    name
        Name of the study there; by default that of the directory, or of the file.

    Returns
    -------
    str
        The name of the study there.

    Raises
    ------
    UsageError
        When Optuna is not installed, the study or the storage cannot be read or written, the storage is that of a
        study of lts-engine, or has a study of that name.
    """
    path = store_path(Path(study))
    stored = read_study(path)
    try:
        space = SearchSpace.from_json(json.dumps(stored.configuration["space"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"store {path} is damaged ({error}); restore a copy") from None
    name = name or _name_of(path)
    try:
        import optuna
    except ImportError:
        raise UsageError("export-optuna needs Optuna: pip install optuna") from None
    where = address(storage)
    if (file := _file(where)) is not None and is_store(file):
        raise UsageError(f"{file} is a study of lts-engine; give another file for Optuna's")
    loudness = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(loudness, optuna.logging.WARNING))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # names of metrics
            _write(where, name, stored, space, optuna)
    except optuna.exceptions.DuplicatedStudyError:
        raise UsageError(
            f"{without_password(where)} has a study '{name}' already; give another name or storage"
        ) from None
    except Exception as error:  # of SQLAlchemy, its drivers, or a journal that is none
        what = f"{without_password(where)}: {without_password(first_line(error))}"
        raise UsageError(f"cannot write Optuna's storage {what}") from None
    finally:
        optuna.logging.set_verbosity(loudness)
    return name


def _name_of(path: Path) -> str:
    folder = path.resolve().parent.name
    return folder if path.name == STORE_NAME and folder else path.stem


def address(storage: str | Path) -> str:
    """The URL of a storage, or the path of a journal: what optuna-dashboard is given."""
    text = str(storage)
    return f"sqlite:///{text}" if "://" not in text and Path(text).suffix in _SQLITE else text


def without_password(storage: str) -> str:
    """A URL as it may be shown."""
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", storage)


def _file(storage: str) -> Path | None:
    """The file of a storage with such an address, where it is one."""
    if (url := re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]*).*", storage)) is not None:
        return Path(url[1])
    return None if "://" in storage else Path(storage)


def _opened(storage: str, optuna: Any) -> Any:
    if "://" in storage:
        return optuna.storages.RDBStorage(storage)
    if not _may_be_journal(Path(storage)):
        raise ValueError("it is a file of something else")
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(storage))


def _may_be_journal(path: Path) -> bool:
    """Whether a file is absent, empty, or begins as a journal does: Optuna itself would append to any file."""
    if not path.exists():
        return True
    with path.open("rb") as file:
        first = file.readline(_LONGEST_LINE)
    try:
        return not first or "op_code" in json.loads(first)
    except (ValueError, TypeError):
        return False


def _write(where: str, name: str, stored: StoredStudy, space: SearchSpace, optuna: Any) -> None:
    """Make the study, whole or not at all."""
    opened = _opened(where, optuna)
    try:
        directions = [_DIRECTIONS[objective.direction] for objective in stored.front.objectives]
        made = optuna.create_study(storage=opened, study_name=name, directions=directions)
        try:
            _fill(made, stored, space, optuna)
        except BaseException:
            optuna.delete_study(study_name=name, storage=opened)
            raise
    finally:
        opened.remove_session()


def _fill(made: Any, stored: StoredStudy, space: SearchSpace, optuna: Any) -> None:
    objectives = [objective.name for objective in stored.front.objectives]
    made.set_metric_names(objectives)
    for key, value in _flat({**stored.configuration, "space": space.name}).items():
        made.set_user_attr(key, value)
    taken = [_parameters(trial.architecture, space) for trial in stored.trials]
    distributions = _distributions(taken, space, optuna)
    front = {trial.id for trial in stored.front}
    for trial, parameters in zip(stored.trials, taken, strict=True):
        state = getattr(optuna.trial.TrialState, _state(trial))
        frozen = optuna.trial.create_trial(
            state=state,
            values=[trial.values[name] for name in objectives] if trial.state == "complete" else None,
            params=parameters,
            distributions={name: distributions[name] for name in parameters},
            user_attrs=_attributes(trial, objectives) | {"trial": trial.id, "front": trial.id in front},
            system_attrs=_constrained(trial, stored.constraints),
        )
        frozen.datetime_start, frozen.datetime_complete = _times(trial)
        made.add_trial(frozen)


def _state(trial: Trial) -> str:
    return {"complete": "COMPLETE", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}[trial.state]


def _times(trial: Trial) -> tuple[datetime | None, datetime | None]:
    """Start and end, as Optuna keeps them: local, without a time zone. A start is the end less what the parts took."""
    try:
        ended = (
            datetime.strptime(trial.time, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
        )
    except ValueError:
        ended = _UNKNOWN
    if trial.state == "waiting":
        return None, None
    if trial.state == "running":
        return ended, None
    return ended - timedelta(seconds=sum(trial.seconds.values())), ended


def _constrained(trial: Trial, constraints: Sequence[Constraint]) -> dict[str, Any]:
    """How far the values are beyond the bounds, 0 or less where they are within: as Optuna's samplers write it."""
    if trial.state != "complete" or not constraints:
        return {}
    signs = [1.0 if each.relation == "<=" else -1.0 for each in constraints]
    beyond = [sign * (trial.values[each.name] - each.bound) for sign, each in zip(signs, constraints, strict=True)]
    return {"constraints": beyond}


def _attributes(trial: Trial, objectives: Sequence[str]) -> dict[str, Any]:
    others = {name: value for name, value in trial.values.items() if name not in objectives}
    about = {name: getattr(trial, name) for name in _ABOUT if getattr(trial, name) not in (None, "", [], False)}
    record = {"values": others, "provenance": trial.provenance, "interval": trial.interval, **about}
    return _flat(record) | ({"error": trial.error} if trial.error is not None else {})


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested objects with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def _parameters(architecture: Architecture, space: SearchSpace) -> dict[str, int]:
    """What the space leaves open, of one architecture: a parameter per dimension, and per layer where layers differ."""
    found: dict[str, int] = {}
    for name, values in choices(space).items():
        if len(values) < 2:
            continue
        value = getattr(architecture, name)
        if isinstance(value, int):
            found[name] = value
        elif space.options[f"shared_{name}"]:
            found[name] = value[0]
        else:
            found |= {f"{name}_{layer}": each for layer, each in enumerate(value)}
    return found


def _distributions(taken: Iterable[Mapping[str, int]], space: SearchSpace, optuna: Any) -> dict[str, Any]:
    """By parameter the choices of the space: an integer where these are evenly spaced."""
    values: dict[str, set[int]] = {}
    for parameters in taken:
        for name, value in parameters.items():
            values.setdefault(name, set()).add(value)
    found: dict[str, Any] = {}
    for name, seen in values.items():
        dimension = max((each for each in _DIMENSIONS if name.startswith(each)), key=len)
        own = sorted(seen.union(choices(space)[dimension]))
        steps = {b - a for a, b in pairwise(own)}
        if len(steps) == 1 and not isinstance(own[0], bool):
            found[name] = optuna.distributions.IntDistribution(own[0], own[-1], step=steps.pop())
        else:
            found[name] = optuna.distributions.CategoricalDistribution(own)
    return found
