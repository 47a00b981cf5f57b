"""What a gate checks, from a file: models with their workloads, devices and bounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.measure import history
from lts.measure.allowed import share_of
from lts.measure.compare import FEWEST
from lts.measure.interleaved import MOST, MOST_ALLOWED
from lts.measure.models.model import columns_of
from lts.measure.models.onnx_file import BELOW, parse_input
from lts.measure.opening import TABLE
from lts.study.pairs import Conditions
from lts.system.toml_file import check_keys, integer, number, read_toml, table_at

DEFAULT = "lts-gate.toml"

_WORKLOAD = ("n_prompt", "n_gen", "batch", "precision", "logits", "threads", "cache")
_PLACE = ("target", "device", "backend")
_COMMON = (*_PLACE, *_WORKLOAD, "metrics", "max_regression", "processes", "inconclusive", "candidate_timeout")
_KEYS = (
    *("name", "model", "baseline", "against", "history", "build", "path", "limits", "inputs", "below", "across"),
    *_COMMON,
)
_MOST_BELOW = 2**31


@dataclass(frozen=True)
class Check:
    """One row of a gate.

    Parameters
    ----------
    name
        What people call it.
    model
        The contender, as ``lts-engine compare`` takes it.
    baseline, against, history
        What it is compared with: a side, or a name in a file of history. Neither with limits alone.
    build, path
        The command that makes the models of a revision, and where it leaves them.
    conditions, metrics, max_regression, processes, inconclusive, across
        As of the command.
    folder
        Where the file is: in the repository whose revisions are built.
    common_bounds
        Whether `max_regression` is that of all checks, not all of which compare all of its metrics.
    limits
        By metric what it may be at most, or where more is better at least.
    """

    name: str
    model: str
    baseline: str | None = None
    against: str | None = None
    history: Path = Path(history.DEFAULT)
    build: str | None = None
    path: str | None = None
    conditions: Conditions = field(default_factory=Conditions)
    metrics: list[str] | None = None
    max_regression: Mapping[str, float] = field(default_factory=dict)
    common_bounds: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)
    processes: int = MOST
    inconclusive: str = "pass"
    across: bool = False
    folder: Path = Path()


def read_gate(path: Path) -> list[Check]:
    """The checks of a file, whose paths are relative to its folder.

    Raises
    ------
    UsageError
        When it cannot be read, has an unknown key, a wrong value, no check, or two of the same name.
    """
    table = read_toml(path)
    check_keys(table, ("defaults", "check"), str(path))
    defaults = table_at(table, "defaults", str(path))
    check_keys(defaults, _COMMON, f"{path}, [defaults]")
    rows = table.get("check")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{path} has no check; expected [[check]] with a model, and a baseline or limits")
    checks = [
        replace(_check({**defaults, **row}, path, i), common_bounds="max_regression" not in row)
        for i, row in enumerate(rows, start=1)
    ]
    names = [each.name for each in checks]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"{path} has two checks called '{twice[0]}'; give each a name of its own")
    return checks


def _check(row: Mapping[str, Any], path: Path, number_: int) -> Check:
    where = f"{path}, check {number_}"
    check_keys(row, _KEYS, where)
    text = {key: _text(row, key, where) for key in _KEYS if key in _TEXTS}
    model = text["model"]
    if model is None:
        raise UsageError(f'{where} has no model; expected what is checked, as in model = "build/model.onnx"')
    build = text["build"]
    if (build is None) != (text["path"] is None):
        raise UsageError(f"{where}: build and path belong together: the command, and where it leaves the model")
    if text["baseline"] is not None and text["against"] is not None:
        raise UsageError(f"{where} has both baseline and against; expected one of them")
    limits = {
        _column(name, where): number(value, f"{where}: limits.{name}", above=0)
        for name, value in table_at(row, "limits", where).items()
    }
    if text["baseline"] is None and text["against"] is None and not limits:
        raise UsageError(f"{where} has nothing to compare with; expected a baseline, against, or limits")
    if text["history"] is not None and text["against"] is None:
        raise UsageError(f"{where} has a history and no against; expected the name that is compared with")
    folder = path.parent
    relative = Path() if build is not None else folder  # of revisions, not of paths
    processes = integer(row.get("processes", MOST), f"{where}: processes")
    if not FEWEST <= processes <= MOST_ALLOWED:
        raise UsageError(f"{where}: processes is {processes}; expected {FEWEST} to {MOST_ALLOWED}")
    inconclusive = text["inconclusive"] or "pass"
    if inconclusive not in ("pass", "fail"):
        raise UsageError(f"{where}: inconclusive is '{inconclusive}'; expected pass or fail")
    return Check(
        name=text["name"] or model,
        model=_placed(relative, model),
        baseline=None if text["baseline"] is None else _placed(relative, text["baseline"]),
        against=text["against"],
        history=folder / (text["history"] or history.DEFAULT),
        build=build,
        path=text["path"],
        conditions=_conditions(row, text, folder, where),
        metrics=_metrics(row.get("metrics"), where),
        max_regression=_shares(row.get("max_regression"), where),
        limits=limits,
        processes=processes,
        inconclusive=inconclusive,
        across=_flag(row, "across", where),
        folder=folder,
    )


_TEXTS = (
    *("name", "model", "baseline", "against", "history", "build", "path", "inconclusive"),
    *("target", "device", "backend", "precision", "logits", "cache"),
)


def _text(row: Mapping[str, Any], key: str, where: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: {key} is {value!r}; expected a text")
    return value


def _flag(row: Mapping[str, Any], key: str, where: str) -> bool:
    value = row.get(key, False)
    if not isinstance(value, bool):
        raise UsageError(f"{where}: {key} is {value!r}; expected true or false")
    return value


def _placed(folder: Path, text: str) -> str:
    """A path as seen from the folder of the file; a trial after it stays."""
    return str(folder / text) if folder != Path() else text


def _column(name: str, where: str) -> str:
    try:
        (column,) = columns_of([name])
    except ValueError:
        raise UsageError(f"{where}: '{name}' is no metric; expected the name of a column") from None
    return column


def _conditions(row: Mapping[str, Any], text: Mapping[str, str | None], folder: Path, where: str) -> Conditions:
    counts = {
        name: integer(row[name], f"{where}: {name}")
        for name in ("n_prompt", "n_gen", "batch", "threads")
        if name in row
    }
    forms = {name: text[name] for name in ("precision", "logits", "cache")}
    below = integer(row.get("below", BELOW), f"{where}: below")
    if not 1 <= below <= _MOST_BELOW:
        raise UsageError(f"{where}: below is {below}; expected 1 to {_MOST_BELOW}")
    target, device = text["target"], text["device"]
    if target is not None and target.endswith(".toml"):
        target = _placed(folder, target)
    if device is not None and device.startswith(TABLE):
        device = TABLE + _placed(folder, device.removeprefix(TABLE))
    return Conditions(
        target,
        device,
        text["backend"],
        {**counts, **forms},
        {name: _shape(name, shape, where) for name, shape in table_at(row, "inputs", where).items()},
        below,
        None
        if "candidate_timeout" not in row
        else number(row["candidate_timeout"], f"{where}: candidate_timeout", above=0),
    )


def _shape(name: str, value: Any, where: str) -> list[int]:
    """The sizes in "1x2048", or in a list of them."""
    try:
        return parse_input(f"{name}={'x'.join(map(str, value)) if isinstance(value, list) else value}")[1]
    except UsageError:
        raise UsageError(f'{where}: inputs.{name} is {value!r}; expected sizes, as in "1x2048"') from None


def _metrics(value: Any, where: str) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise UsageError(f'{where}: metrics is {value!r}; expected a list of names, as in ["latency", "size"]')
    return columns_of(value)


def _shares(value: Any, where: str) -> dict[str, float]:
    """Bounds by metric; "" is for all that are timed or measured."""
    if value is None:
        return {}
    table = value if isinstance(value, dict) else {"": value}
    return {
        _column(name, where) if name else "": share_of(each, f"{where}: max_regression") for name, each in table.items()
    }
