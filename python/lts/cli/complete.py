"""What a shell completes: names of spaces, targets, columns and devices, and the trials of a study.

Every press of a key starts the command anew, so nothing here may load more than the names need; and whatever goes
wrong, a shell gets no answer rather than an error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import typer

from lts.study.schema import store_path

_WORDS = ("knee", "best", "all")
_BACKENDS = ("onnxruntime", "llamacpp", "tvm")
_DEVICES = ("local", "emulated", "none", "ssh://", "rpc://", "table:")


def spaces(incomplete: str) -> list[str]:
    """Names of search spaces."""
    from lts.spaces.space import space_names

    return _begin(space_names(), incomplete)


def targets(incomplete: str) -> list[str]:
    """Names of targets."""
    from lts.targets.target import target_names

    return _begin(target_names(), incomplete)


def devices(incomplete: str) -> list[str]:
    """Devices, or how they begin."""
    return _begin(_DEVICES, incomplete)


def backends(incomplete: str) -> list[str]:
    """Backends that come with lts-engine."""
    return _begin(_BACKENDS, incomplete)


def precisions(incomplete: str) -> list[str]:
    """Precisions, also after a comma."""
    from lts.targets.target import PRECISIONS

    return _after_comma(PRECISIONS, incomplete)


def columns(incomplete: str) -> list[str]:
    """Columns, as in --sort and --constraint."""
    from lts.measure.columns import COLUMNS

    return _begin((column.name for column in COLUMNS), incomplete)


def objectives(incomplete: str) -> list[str]:
    """Columns, each with the direction that is better."""
    from lts.measure.columns import COLUMNS

    return _begin((f"{column.name}:{column.direction}" for column in COLUMNS), incomplete)


def metrics(incomplete: str) -> list[str]:
    """Columns of models and their shorter names, also after a comma."""
    from lts.measure.columns import COLUMNS

    names = [name for column in COLUMNS if "metric" in column.uses for name in (column.short, column.name) if name]
    return _after_comma(names, incomplete)


def picks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Members of the study that comes before: words, and the ids of its complete trials."""
    # While --pick has no value yet, parsing stops there, and what came before is left over.
    given = [ctx.params.get("study"), ctx.params.get("source"), *ctx.args]
    study = next((each for each in given if each), None)
    return _begin([*_WORDS, *(_ids(Path(study)) if study else ())], incomplete)


def trials(incomplete: str) -> list[str]:
    """After STUDY#, the ids of its complete trials; before, files, which the shell knows best."""
    study, sign, _ = incomplete.partition("#")
    return _begin((f"{study}#{each}" for each in _ids(Path(study))), incomplete) if sign else []


def _ids(study: Path) -> list[str]:
    """The complete trials of a study; empty where there is none that can be read."""
    try:
        path = store_path(study)
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=0.1)) as connection:
            return [str(row[0]) for row in connection.execute("SELECT id FROM trial WHERE state = 'complete'")]
    except (sqlite3.Error, OSError, ValueError):
        return []


def _begin(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _after_comma(names: Iterable[str], incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _begin(names, last)]
