"""Rows of a store: trials and entries as they are kept, each with its checksum, and what comes back from them."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lts.measure.trial import Trial
from lts.study.schema import checksum


@dataclass(frozen=True)
class Stored:
    """A trial and its place among the others.

    Parameters
    ----------
    trial
        The trial.
    begun
        Number of trials that had ended when it was handed out; None in a study of an earlier version.
    ended
        Number of trials that had ended before it did; None while it has not.
    """

    trial: Trial
    begun: int | None = None
    ended: int | None = None


TrialRow = tuple[int, str, str, int | None, int | None, int | None]


def row_of(stored: Stored) -> TrialRow:
    """A trial as its row: id, state, record, begun, ended and checksum."""
    trial, record = stored.trial, stored.trial.to_json()
    sum_ = checksum(record, trial.id, trial.state, stored.begun, stored.ended)
    return trial.id, trial.state, record, stored.begun, stored.ended, sum_


def stored_of(row: TrialRow, *, summed: bool) -> Stored:
    """The inverse of `row_of`; the checksum counts where the store is `summed`.

    Raises
    ------
    ValueError
        Naming the trial, when the row is damaged or holds something else.
    """
    key, state, record, begun, ended, known = row
    try:
        if summed and checksum(record, key, state, begun, ended) != known:
            raise ValueError("its checksum is wrong")
        trial = Trial.from_record(json.loads(record))
        if (trial.id, trial.state) != (key, state):
            raise ValueError("it is the record of another trial or state")
        for place in (begun, ended):
            if place is not None and (type(place) is not int or place < 0):
                raise ValueError("its place among the others is no number")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"trial {str(key)[:40]}: {' '.join(str(error).split())}") from None
    return Stored(trial, begun, ended)


def all_of(rows: Iterable[TrialRow], *, summed: bool) -> list[Stored]:
    """Every row as `stored_of`, without a search for cycles meanwhile, which takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        return [stored_of(row, summed=summed) for row in rows]
    finally:
        if enabled:
            gc.enable()


def entry_of(key: str, text: str) -> tuple[str, str, int]:
    """A text by its key as a row, with its checksum."""
    return key, text, checksum(text, key)


def texts_of(rows: Iterable[tuple[str, str, int | None]], noun: str, *, summed: bool) -> Iterator[tuple[str, str]]:
    """The inverse of `entry_of`, row by row. Raises `ValueError` naming the row that is damaged."""
    for key, text, known in rows:
        if type(key) is not str or type(text) is not str or (summed and checksum(text, key) != known):
            raise ValueError(f"{noun} {str(key)[:40]!r}: its checksum is wrong")
        yield key, text
