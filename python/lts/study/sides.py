"""Sides of a comparison: each one model, or many by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lts.errors import UsageError
from lts.measure import history
from lts.measure.models.source import Source
from lts.measure.result import Result
from lts.measure.result_file import is_result_file, read_results
from lts.study.sources import read_sources
from lts.system.text import listed
from lts.system.worktree import built


@dataclass(frozen=True)
class Saved:
    """The newest result of a name in a history, of the conditions of the other side."""

    name: str
    history: history.History


Member = Source | Result | Saved
Members = Mapping[str, Member]
"""What a side has, by the name that its counterpart has on the other side; "" where it is one model."""


@dataclass(frozen=True)
class Matched:
    """Two sides by name: what both have, and what one of them lacks."""

    both: dict[str, tuple[Member, Member]]
    gone: list[str]
    new: list[str]

    @property
    def notes(self) -> list[str]:
        """What is on one side only, a sentence for each."""
        sides = (("baseline", self.gone), ("contender", self.new))
        return [f"only the {side} has {listed(names, 5)}, which cannot be compared" for side, names in sides if names]


def read_side(text: str) -> Members:
    """What a user names: a file of results, or models as `lts.study.sources.read_sources` reads them.

    Raises
    ------
    UsageError
        When it is none of these, saying why.
    """
    path = Path(text)
    if is_result_file(path):
        return members(read_results(path))
    return read_sources(text)


@contextmanager
def built_side(text: str, build: str | None, path: str | None, repository: Path = Path()) -> Iterator[Members]:
    """What a user names, or with a command `build` what that makes of the revision at `path`, while the block lasts.

    Raises
    ------
    UsageError, MeasurementError
        As `read_side` and `lts.system.worktree.built`.
    """
    if build is None or path is None:
        yield read_side(text)
        return
    with built(text, build, path, repository=repository) as place:
        side = read_side(str(place))
        yield {name: _of_revision(each, str(place), f"{text}:{path}") for name, each in side.items()}


def _of_revision(member: Member, place: str, name: str) -> Member:
    """A member called after the revision, in place of the temporary folder that it is in."""
    return replace(member, name=member.name.replace(place, name, 1)) if isinstance(member, Source) else member


def saved_side(name: str, path: Path | None, other: Members) -> Members:
    """The newest results of a name in a history, for each member of the other side."""
    known = history.read(path or Path(history.DEFAULT))
    return {member: Saved(saved, known) for member, saved in saved_as(name, other).items()}


def members(results: Sequence[Result]) -> Members:
    """Results by model; where a model was measured with several workloads, by these, too.

    Raises
    ------
    UsageError
        When two are of the same model and workload.
    """
    if len(results) == 1:
        return {"": results[0]}
    names = [result.model for result in results]
    found: dict[str, Member] = {}
    for result in results:
        several = names.count(result.model) > 1
        name = f"{result.model}, {result.run}" if several else result.model
        if name in found:
            raise UsageError(
                f"there are two results of {name}; expected one of each, as of one call of lts-engine bench"
            )
        found[name] = result
    return found


def saved_as(name: str, side: Iterable[str]) -> dict[str, str]:
    """By member of a side, the name that its results have in a history: NAME for a single model, else NAME/MEMBER."""
    names = list(side)
    return {each: name if len(names) == 1 else f"{name}/{each}" for each in names}


def matched(baseline: Members, contender: Members) -> Matched:
    """Members of two sides by name; two single ones belong together whatever they are called.

    Where no name is on both sides, the folder or the study that all names of a side begin with is left out: results of
    ``build/a.onnx`` and ``build/b.onnx`` belong to ``a.onnx`` and ``b.onnx`` in a folder.

    Raises
    ------
    UsageError
        When no name is on both sides.
    """
    if len(baseline) == 1 and len(contender) == 1:
        (one,), (other,) = baseline.values(), contender.values()
        return Matched({next(iter(contender)): (one, other)}, [], [])
    names = listed(map(called, baseline), 5), listed(map(called, contender), 5)
    if not baseline.keys() & contender.keys():
        baseline, contender = _within(baseline), _within(contender)
    both = {name: (baseline[name], contender[name]) for name in baseline if name in contender}
    if not both:
        raise UsageError(f"no model is on both sides: the baseline has {names[0]}, the contender {names[1]}")
    return Matched(
        both, [name for name in baseline if name not in contender], [name for name in contender if name not in baseline]
    )


def _within(side: Members) -> Members:
    """A side without the folder, or the study, that all of its names begin with."""
    names = list(side)  # whose characters are compared, because what is cut off ends with one
    begin = os.path.commonprefix(names) if len(names) > 1 else "".join(names)  # noqa: RUF071
    shared = len(begin.partition("#")[0]) if "#" in begin else begin.rfind("/") + 1
    return {name[shared:]: member for name, member in side.items()}


def called(name: str) -> str:
    """A member's name for people."""
    return name or "a single model"
