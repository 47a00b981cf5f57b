"""Members of a stored front measured anew, on the study's device or on another one; the study stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lts._core import analytic_names
from lts.errors import UsageError
from lts.measure.evaluator import TargetEvaluator
from lts.measure.opening import NO_DEVICE, open_evaluator
from lts.measure.trial import Trial
from lts.study.distinct import doubt
from lts.study.evaluations import begun, evaluate
from lts.study.finishing import with_process
from lts.study.spread import restated
from lts.study.stored import StoredStudy
from lts.system.environment import environment_hash
from lts.system.progress import Observer, Work, unobserved
from lts.targets.target import Target, load_target
from lts.targets.workload import Workload

_BACKENDS = ("onnxruntime", "llamacpp", "tvm")


@dataclass(frozen=True)
class Again:
    """A member of a front as it is stored, and as it was measured now.

    Parameters
    ----------
    stored, now
        The trial of the study, and what the new processes measured together.
    same
        Whether both were measured for the same target on the same device.
    """

    stored: Trial
    now: Trial
    same: bool

    def ratio(self, column: str) -> float | None:
        """The value now over the stored one; None where one is missing or not above 0."""
        before, now = self.stored.values.get(column), self.now.values.get(column)
        return now / before if before is not None and now is not None and before > 0 and now > 0 else None

    def holds(self, column: str) -> bool | None:
        """Whether the two agree within their intervals together; None where that is no question: on another device, or
        where one of them was not measured."""
        both = {self.stored.provenance.get(column), self.now.provenance.get(column)}
        ratio = self.ratio(column)
        if not self.same or both != {"measured"} or ratio is None:
            return None
        return abs(math.log(ratio)) <= doubt(self.stored, self.now, column)


def open_again(
    configuration: Mapping[str, Any], device: str | None = None, target: str | None = None, timeout: float | None = None
) -> TargetEvaluator:
    """An evaluator for the workload of a stored study: of its device and target, or of others.

    Raises
    ------
    UsageError
        For a study whose values were not measured on a device, where none is named; else as `open_evaluator`.
    """
    known = str(configuration.get("device") or "")
    if device is None and known in ("", "function"):
        raise UsageError("the values of this study do not come from a device; name one to measure on (--device local)")
    if device is None and known == NO_DEVICE:
        raise UsageError("the costs of this study are estimates; name a device to measure on (--device ssh://HOST)")
    load = Workload.of(configuration)
    backend = configuration.get("backend") if device in (None, known) else None
    backend = backend if backend in _BACKENDS else None
    if target is not None or "profile" not in configuration:
        goal = load_target(target or str(configuration.get("target") or "host"))
    else:
        goal = Target.from_dict(configuration["profile"])
    return open_evaluator(
        goal,
        device=device or known,
        backend=backend,
        n_prompt=load.n_prompt,
        n_gen=load.n_gen,
        batch=load.batch,
        precision=load.precision,
        logits=load.logits,
        cache=load.cache if device in (None, known) and target is None else None,
        threads=load.threads if target is None else None,
        timeout=timeout,
        tune=int(configuration.get("tune") or 0) if backend == "tvm" else 0,
        flash_attention=configuration.get("flash_attention") if backend == "llamacpp" else None,
    )


def columns_again(stored: StoredStudy, evaluator: TargetEvaluator) -> tuple[list[str], list[str]]:
    """The costs of a study that an evaluator measures, and those that it does not.

    Raises
    ------
    UsageError
        When it measures none of them.
    """
    asked = [*(each.name for each in stored.front.objectives), *(each.name for each in stored.constraints)]
    named = [name for name in dict.fromkeys(asked) if name not in analytic_names()]
    known = [name for name in named if name in evaluator.costs]
    if not known:
        raise UsageError(
            f"the device '{evaluator.device_name}' measures nothing that the study optimizes "
            f"({', '.join(named) or 'which is counted, not measured'})"
        )
    return known, [name for name in named if name not in known]


def measure_members(
    stored: StoredStudy,
    members: Sequence[Trial],
    evaluator: TargetEvaluator,
    columns: Sequence[str],
    processes: int,
    told: Callable[[int, Trial], None] = lambda process, trial: None,
    observe: Observer = unobserved,
) -> list[Again]:
    """Measure members of a stored front, each in so many processes: all of them once, then all once more.

    An evaluator of which every process says the same is asked once. `told` gets the number of the process and what all
    so far have measured, `observe` what is measured.

    Raises
    ------
    UsageError
        For a number of processes below 1, or a member that the evaluator cannot measure.
    """
    if processes < 1:
        raise UsageError(f"processes is {processes}; it must be at least 1")
    for member in members:
        try:
            evaluator.check_architecture(member.architecture, columns)
        except UsageError as error:
            raise UsageError(f"trial {member.id}: {error.args[0]}") from None
    environment = environment_hash(evaluator.environment())
    about = evaluator.describe()
    now = [begun(each.architecture, about, key=each.id, seed=each.seed, origin="again") for each in members]
    rounds = range(processes if evaluator.varies else 1)
    for process in rounds:
        for place, trial in enumerate(now):
            done, total = process * len(now) + place, len(rounds) * len(now)
            observe(Work("measuring again", done, total, f"trial {trial.id}, process {process + 1}"))
            now[place] = with_process(evaluate(evaluator, trial, columns, None), columns, (), environment)
            told(process + 1, now[place])
    of_study = stored.configuration
    same = all(about[key] == of_study.get(key) for key in ("device", "target"))
    return [Again(*pair, same) for pair in zip(members, restated(now), strict=True)]
