"""Trials as a table of pandas, which is imported when it is asked for."""

from __future__ import annotations

from typing import Any, Protocol

from lts.errors import UsageError
from lts.measure.dimensions import dimensions
from lts.measure.trial import Trial

_FIRST = ("trial", "state", "feasible")
_LAST = ("error", "time")


class _HasTrials(Protocol):
    @property
    def trials(self) -> list[Trial]: ...


class Tabular:
    """What has trials, and gives them as a table."""

    def trials_dataframe(self: _HasTrials, *, provenance: bool = True) -> Any:
        """The trials as a `pandas.DataFrame`, one row each.

        Columns are ``trial``, ``state`` and ``feasible``; the values by name; the dimensions of the architecture, where
        those of layers are tuples from the first to the last; ``error`` and ``time`` (UTC). With `provenance`, every
        value has a column ``provenance_NAME`` more, and one with an interval ``low_NAME`` and ``high_NAME``. A value
        that is named as another column is ``values_NAME``, as all of them are in Optuna.

        Raises
        ------
        UsageError
            When pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise UsageError("trials_dataframe needs pandas: pip install pandas") from None
        shapes = [dimensions(trial.architecture) for trial in self.trials]
        reserved = {*_FIRST, *_LAST, *(name for shape in shapes for name in shape)}
        rows = [
            {"trial": trial.id, "state": trial.state, "feasible": trial.feasible}
            | {f"values_{name}" if name in reserved else name: value for name, value in trial.values.items()}
            | shape
            | (_provenance(trial) if provenance else {})
            | {"error": trial.error, "time": trial.time or None}
            for trial, shape in zip(self.trials, shapes, strict=True)
        ]
        # Trials that failed have no values, and may come first: columns are in the order of the fullest rows.
        columns = dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row)
        ordered = [*(name for name in columns if name not in _LAST), *_LAST]
        frame = pd.DataFrame(rows, columns=[*_FIRST, *(name for name in ordered if name not in _FIRST)])
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        return frame


def _provenance(trial: Trial) -> dict[str, str | float]:
    found: dict[str, str | float] = {f"provenance_{name}": kind for name, kind in trial.provenance.items()}
    for name, (low, high) in trial.interval.items():
        found |= {f"low_{name}": low, f"high_{name}": high}
    return found
