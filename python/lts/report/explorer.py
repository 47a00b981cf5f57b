"""The explorer of a report: all that is known of a study's trials, compact, for scripts to draw and filter.

None of it becomes HTML: the scripts in `assets` put it into the page as text and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from lts.measure.trial import Trial
from lts.report.contents import Contents
from lts.report.frame import Extra
from lts.study.predicted_front import PredictedMember, predicted_front
from lts.study.schema import STORE_NAME
from lts.system.outside import sentence
from lts.system.text import unit

SCRIPTS = (
    "hints.js",
    "where.js",
    "numbers.js",
    "members.js",
    "view.js",
    "axes.js",
    "fronts.js",
    "scatter.js",
    "parallel.js",
    "drawing.js",
    "details.js",
    "rows.js",
    "downloads.js",
    "controls.js",
    "explorer.js",
)
"""The explorer's scripts in the order in which they run."""

_MOST_FILES = 40  # of one exported member
_MOST_PREDICTED = 200
_LONGEST = 120  # characters of what is said of a column
_ASSETS = Path(__file__).with_name("assets")

Json = dict[str, Any]


def section() -> str:
    """The explorer's elements as HTML; it has nothing of a study."""
    return (_ASSETS / "explorer.html").read_text(encoding="utf-8")


def extra(contents: Contents) -> Extra:
    """The explorer's data, scripts and style for a page."""
    scripts = [(_ASSETS / name).read_text(encoding="utf-8") for name in SCRIPTS]
    return Extra({"explorer": data(contents)}, scripts, (_ASSETS / "explorer.css").read_text(encoding="utf-8"))


def data(contents: Contents) -> Json:
    """What the explorer shows, as JSON.

    Tables hold one list per field, with an entry per row and null where a row has none. Texts that recur are numbers of
    places in a list of the different ones: ``{"texts": [...], "of": [...]}``. See `_table`.
    """
    folder = contents.path.parent
    has_folder = contents.path.name == STORE_NAME  # of its own: beside another store lie files of others
    row_of = {trial.id: row for row, trial in enumerate(contents.trials)}
    goals = {objective.name: objective.direction for objective in contents.front.objectives}
    baselines = [each for each in contents.baselines if each.trial.state == "complete"]
    return {
        "columns": [
            {
                "name": name,
                "unit": unit(name),
                "label": sentence(contents.label(name), _LONGEST),
                "goal": goals.get(name),
            }
            for name in contents.columns
        ],
        "objectives": contents.objectives,
        "trials": {
            **_table(contents.trials),
            "id": [trial.id for trial in contents.trials],
            "state": _texts(trial.state for trial in contents.trials),
            "feasible": [trial.feasible for trial in contents.trials],
            "error": _texts(trial.error for trial in contents.trials),
            "warnings": _texts("; ".join(trial.warnings) or None for trial in contents.trials),
            "deployed": _texts(trial.deployed for trial in contents.trials),
            "origin": _texts(trial.origin or None for trial in contents.trials),
            "time": _texts(trial.time or None for trial in contents.trials),
        },
        "front": [row_of[trial.id] for trial in contents.front.trials],
        "knee": None if contents.knee is None else row_of[contents.knee.id],
        "baselines": {**_table([each.trial for each in baselines]), "name": [each.name for each in baselines]},
        "predicted": _predicted(predicted_front(contents, contents.space, _MOST_PREDICTED)),
        "files": _files(folder / "models", {str(trial.id) for trial in contents.trials}) if has_folder else {},
        "export": f"lts-engine export {quote(str(folder if has_folder else contents.path))}",
    }


def _table(trials: Sequence[Trial]) -> Json:
    """Values, intervals, provenance, earlier predictions and architectures of trials by column.

    ``values.NAME[row]`` is a number or null; ``low.NAME``, ``high.NAME`` are the ends of its interval, and absent where
    no row has one; ``provenance.NAME`` are texts. ``architecture.shared`` has the fields that are equal in all rows,
    ``architecture.rows.FIELD`` the others.
    """
    names = list(dict.fromkeys(name for trial in trials for name in trial.values))
    with_interval = {name for trial in trials for name in trial.interval}
    with_prediction = list(dict.fromkeys(name for trial in trials for name in trial.predicted))
    bounds = [name for name in names if name in with_interval]
    return {
        "values": {name: [_plain(trial.values.get(name)) for trial in trials] for name in names},
        "low": {name: _bounds([trial.interval for trial in trials], name, 0) for name in bounds},
        "high": {name: _bounds([trial.interval for trial in trials], name, 1) for name in bounds},
        "provenance": {name: _texts(trial.provenance.get(name) for trial in trials) for name in names},
        "foretold": {name: [trial.predicted.get(name) for trial in trials] for name in with_prediction},
        "architecture": _fields([trial.architecture.to_dict() for trial in trials]),
    }


def _predicted(members: Sequence[PredictedMember]) -> Json:
    """The same of members that were not measured."""
    names = list(members[0].values) if members else []
    with_interval = list(members[0].interval) if members else []
    return {
        "values": {name: [_plain(member.values[name]) for member in members] for name in names},
        "low": {name: [member.interval[name][0] for member in members] for name in with_interval},
        "high": {name: [member.interval[name][1] for member in members] for name in with_interval},
        "provenance": {
            name: _texts("predicted" if name in member.interval else "exact" for member in members) for name in names
        },
        "foretold": {},
        "architecture": _fields([member.architecture.to_dict() for member in members]),
    }


def _plain(value: float | None) -> float | int | None:
    """Whole numbers without ".0": half of what is counted is that."""
    return int(value) if value is not None and float(value).is_integer() and abs(value) < 2**53 else value


def _bounds(intervals: Sequence[Mapping[str, tuple[float, float]]], name: str, end: int) -> list[float | None]:
    return [each[name][end] if name in each else None for each in intervals]


def _texts(values: Iterable[str | None]) -> Json:
    """Texts as places in the list of the different ones, null where there is none."""
    places: dict[str, int] = {}
    of = [None if value is None else places.setdefault(value, len(places)) for value in values]
    return {"texts": list(places), "of": of}


def _fields(architectures: Sequence[Mapping[str, Any]]) -> Json:
    """Fields of architectures: once those that all share, the others by row."""
    names = dict.fromkeys(name for each in architectures for name in each)
    shared, rows = {}, {}
    for name in names:
        values = [each.get(name) for each in architectures]
        if all(value == values[0] for value in values):
            shared[name] = values[0]
        else:
            rows[name] = values
    return {"shared": shared, "rows": rows}


def _files(folder: Path, known: set[str]) -> dict[str, list[tuple[str, int]]]:
    """By the number of a trial the files of it that were exported, with their sizes in bytes."""
    found = {}
    for member in sorted(_listed(folder, lambda path: path.is_dir() and path.name in known)):
        files = sorted(_listed(member, lambda path: path.is_file(), deep=True))
        sizes = [(path.relative_to(folder.parent).as_posix(), size) for path in files for size in _sizes(path)]
        if sizes:
            found[member.name] = sizes[:_MOST_FILES]
    return found


def _listed(folder: Path, wanted: Callable[[Path], bool], *, deep: bool = False) -> list[Path]:
    """What a folder has; nothing where it cannot be read: a report is about the study, not about its files."""
    try:
        return [path for path in (folder.rglob("*") if deep else folder.iterdir()) if wanted(path)]
    except OSError:
        return []


def _sizes(path: Path) -> list[int]:
    """The size of a file; nothing where it was removed meanwhile."""
    try:
        return [path.stat().st_size]
    except OSError:
        return []
