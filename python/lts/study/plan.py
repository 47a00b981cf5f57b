"""What a search does unless it is told: budgets, surrogates, names, and the time that each part of it gets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lts.measure.evaluator import Evaluator
from lts.measure.trial import Trial
from lts.study.evolution import EVOLVED
from lts.study.front import Front
from lts.study.loop import CONFIRM_SHARE
from lts.system.names import check_name
from lts.system.text import spelled_duration

# Trials: with a surrogate, with one that starts from a calibrated target, and without.
PREDICTED, CALIBRATED, MEASURED = 40, 24, 100
# Candidates where the core itself computes the costs.
CANDIDATES = EVOLVED
# Kept back from the time of a command for exporting the knee and for the summary: seconds, at most a share.
_END, _END_SHARE = 10.0, 0.1
_LEAST = 1e-3
# The share of the time that is kept back for compiling and checking the front: estimates need next to none of it, and
# measurements most.
_COMPILE_SHARE = {"estimated": 0.85}
_COMPILE_SHARE_MEASURED = 0.25
_SUFFIXES = {"estimated": "-estimated", "emulated": "-emulated"}


def algorithm_for(evaluator: Evaluator) -> str:
    """The algorithm of a study that is not told: the published one for measurements; on estimates, of which it gets
    hundreds of thousands, the one that spreads over the front (benchmarks/estimates.py)."""
    return "nsga2" if evaluator.provenance == "estimated" else "lts"


def surrogate_for(evaluator: Evaluator, algorithm: str) -> str:
    """The surrogate of a study that is not told: the evaluator's, none for an enumeration."""
    return "none" if algorithm == "exhaustive" else evaluator.surrogate


def trials_for(evaluator: Evaluator, predicts: Collection[str]) -> int:
    """The number of trials of a study that is not told, given the columns that are predicted; of candidates, where the
    core computes the costs."""
    if evaluator.provenance == "estimated":
        return CANDIDATES
    if not predicts:
        return MEASURED
    return CALIBRATED if set(predicts) <= set(evaluator.priors) else PREDICTED


@dataclass(frozen=True)
class Split:
    """How the time of a search is divided, in seconds.

    Parameters
    ----------
    search
        For evaluating candidates: measuring, emulating or estimating them.
    again
        For measuring again what is in doubt.
    front
        For compiling the front and checking it.
    end
        For files and the summary.
    estimated
        Whether candidates are estimated.
    """

    search: float
    again: float
    front: float
    end: float
    estimated: bool = False

    @property
    def run(self) -> float:
        """What `lts.study.study.Study.run` gets."""
        return max(_LEAST, self.search + self.again)

    def __str__(self) -> str:
        parts = {
            "to search on estimates" if self.estimated else "to search": self.search,
            "to measure again what is in doubt": self.again,
            "to compile and check the front": self.front,
            "to write the results": self.end,
        }
        total = spelled_duration(sum(parts.values()))
        return f"{total} at most: {', '.join(f'{spelled_duration(s)} {what}' for what, s in parts.items() if s)}"


def split(seconds: float, evaluator: Evaluator, *, compiles: bool, confirm: bool) -> Split:
    """How the time of a command is divided: among what it promises, and so that nothing is left for nothing."""
    seconds = max(0.0, seconds)
    end = min(_END, seconds * _END_SHARE)
    share = _COMPILE_SHARE.get(evaluator.provenance, _COMPILE_SHARE_MEASURED) if compiles else 0.0
    front = (seconds - end) * share
    run = seconds - end - front
    again = run * CONFIRM_SHARE if confirm and evaluator.varies else 0.0
    return Split(run - again, again, front, end, evaluator.provenance == "estimated")


def suffix(evaluator: Evaluator) -> str:
    """What names of files say when costs are not measured."""
    return _SUFFIXES.get(evaluator.provenance, "")


def directory_name(space: str, target: str, evaluator: Evaluator) -> str:
    """The directory of a search that is not told where its results go.

    Raises
    ------
    UsageError
        For a name that is no name of a folder.
    """
    check_name(space, "the name of the space")
    check_name(target, "the name of the target")
    return f"{space}-{target}{suffix(evaluator)}"


def shown(front: Front, evaluator: Evaluator, size: int) -> Front:
    """The members that stand for all of a front: every one of it, or at most `size` where costs are estimates."""
    return front.spread(size) if evaluator.provenance == "estimated" else front


def compile_order(front: Front, first: Sequence[Trial]) -> list[Trial]:
    """The members of a front in the order in which they are compiled, some of them first."""
    ids = {trial.id for trial in first}
    return [*first, *(trial for trial in front if trial.id not in ids)]
