"""A stored study, read and made the state of its sampler again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Any

from lts.errors import UsageError
from lts.study.arguments import check, differences, options_of
from lts.study.rows import Stored
from lts.study.sampler import Sampler
from lts.study.store import Store


def opened(store: Store, configuration: Mapping[str, Any]) -> list[Stored]:
    """The trials of a store, which holds the study of this configuration or none yet.

    Raises
    ------
    UsageError
        For another study, naming what differs, or a store that is damaged.
    """
    known = store.meta("study")
    records = store.records()
    if known is None and not records:
        try:
            check(configuration)  # as it is when it comes back: an evaluator describes itself
        except TypeError as error:
            raise UsageError(str(error)) from None
        store.flush({"study": configuration})
        return []
    if not isinstance(known, dict):
        raise damaged(store, "its arguments are missing")
    if differing := differences(known, configuration):
        raise UsageError(
            f"{store.path} holds another study: {'; '.join(differing)}; "
            f"repeat its arguments to resume it{_spelled(known, store)}, or use another --store"
        )
    for number, stored in enumerate(records):
        if stored.trial.id != number:
            raise damaged(store, f"trial {number} is missing")
    return records


def seed_front_of(path: str | Path | None) -> str | None:
    """The first population of the study in a store, "none" of one of a version that had none; None without a study."""
    if path is None or not Path(path).is_file():
        return None
    with Store(path) as store:
        known = store.meta("study")
    return str(known.get("seed_front", "none")) if isinstance(known, dict) else None


def _spelled(configuration: Mapping[str, Any], store: Store) -> str:
    """The command that resumes a study, where it is one of the command."""
    options = options_of(configuration)
    return f" (lts-engine search {' '.join([*options, '--store', quote(str(store.path))])})" if options else ""


def replay(store: Store, records: Sequence[Stored], sampler: Sampler) -> None:
    """Bring a sampler to where the study was: its saved state, then everything that happened since, in that order.

    Raises
    ------
    UsageError
        When that contradicts itself.
    """
    snapshot = store.meta("sampler")
    if snapshot is None:  # of an earlier version, which stored the state of the search with every trial
        state = store.meta("search")
        n_ended = sum(stored.trial.state in ("complete", "failed") for stored in records) if state is not None else 0
        snapshot = {"state": state, "begun": len(records) if state is not None else 0, "ended": n_ended}
    try:
        sampler.restore(snapshot["state"])
        _repeat(records, sampler, snapshot)
    except UsageError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(store, f"the state of the search: {error}") from None


def _repeat(records: Sequence[Stored], sampler: Sampler, snapshot: Mapping[str, Any]) -> None:
    begun, ended = (0, 0) if snapshot["state"] is None else (int(snapshot["begun"]), int(snapshot["ended"]))
    if begun > len(records):
        raise ValueError(f"it knows of {begun} trials, and there are {len(records)}")
    results = sorted((s for s in records if s.ended is not None and s.ended >= ended), key=_place)
    if [s.ended for s in results] != list(range(ended, ended + len(results))):
        raise ValueError(f"the results after the first {ended} are not complete")
    told = 0
    for stored in records[begun:]:
        while told < len(results) and _place(results[told]) < (stored.begun or 0):
            sampler.tell(results[told].trial)
            told += 1
        sampler.repeat(stored.trial)
    for stored in results[told:]:
        sampler.tell(stored.trial)


def _place(stored: Stored) -> int:
    return -1 if stored.ended is None else stored.ended


def damaged(store: Store, what: str) -> UsageError:
    """The error for a store that contradicts itself."""
    return UsageError(f"store {store.path} is damaged ({what}); restore a copy or use another --store")
