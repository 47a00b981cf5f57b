"""What is measured again in further processes, so that intervals hold from run to run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from lts.jobs.cause_of_death import OUT_OF_MEMORY
from lts.measure.trial import Trial
from lts.study.distinct import relation, told_apart
from lts.study.front import Front
from lts.study.spread import CONFIRMED, n_processes

# Further processes may be this share of the trials, at most; at least so many.
SHARE, _LEAST = 0.5, 2
# Architectures that are measured throughout the study, a further one after so many trials: after every fourth, and
# after 32 trials after every eighth of them.
_REFERENCES, _EVERY, _EVERY_SHARE = 3, 4, 8
# Trials that were killed for memory, and are run again: on a machine that has enough of it, none.
_MOST_KILLED = 3


def n_further(trials: Sequence[Trial]) -> int:
    """Number of processes beyond the first of every trial."""
    return sum(n_processes(trial) - 1 for trial in trials)


def reference_due(trials: Sequence[Trial], without: Collection[int] = ()) -> Trial | None:
    """The trial to measure again now, so that its processes are spread over the length of the study; none of those
    `without`, which are being measured, or could not be."""
    measured = [trial for trial in trials if trial.state == "complete" and not trial.disturbed]
    n_finished = sum(trial.state in ("complete", "failed") for trial in trials)
    references = measured[:_REFERENCES]
    if len(references) < _REFERENCES:
        return None
    done = n_further(references)
    at = 0
    for _ in range(done + 1):
        at += max(_EVERY, at // _EVERY_SHARE)
    if n_finished < at:
        return None
    due = [trial for trial in references if trial.id not in without]
    return min(due, key=lambda trial: (n_processes(trial), trial.id), default=None)


def doubtful(
    trials: Sequence[Trial], front: Front, outliers: Collection[int], without: Collection[int] = ()
) -> Trial | None:
    """The next trial to measure again at the end of a study, other than `without`; None when enough is known.

    First what the sampler found to be far from all others, and what was killed for memory; then the knee, and members
    whose place on the front is in doubt, until it is not or they are confirmed.

    Parameters
    ----------
    trials, front
        Trials and front of the study, as `lts.study.spread.restated`; the front with all members.
    outliers
        Ids of trials that are far from what the others predict.
    without
        Ids of trials that are being measured, or could not be.
    """
    left = max(_LEAST, int(SHARE * sum(trial.state == "complete" for trial in trials))) - n_further(trials)
    killed = [trial for trial in trials if trial.state == "failed" and OUT_OF_MEMORY in (trial.error or "")]
    wanted = [*(trial for trial in trials if trial.id in outliers), *killed[:_MOST_KILLED]]
    if front.trials:
        wanted.append(told_apart(front).knee())
        if left >= CONFIRMED:  # the knee may be another one after them
            wanted += _in_doubt(front)
    for trial in wanted if left > 0 else ():
        if n_processes(trial) < CONFIRMED and trial.id not in without:
            return trial
    return None


def _in_doubt(front: Front) -> list[Trial]:
    """Members that the intervals cannot tell from a better one, and these; what is known least of first."""
    found: dict[int, Trial] = {}
    for place, trial in enumerate(front.trials):
        for other in front.trials[:place]:
            if relation(other, trial, front.objectives) == "equals":
                found |= {trial.id: trial, other.id: other}
    return sorted(found.values(), key=lambda trial: (n_processes(trial), trial.id))
