"""What is known not to fit before anything is run: bounds on counted columns, and the memory of the target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lts._core import Architecture, Constraint, analytic, analytic_names
from lts.measure.evaluator import Evaluator, TargetEvaluator
from lts.system.text import grouped

_ESTIMATE = "peak_memory_estimate_mib"


class Limits:
    """Tells which architectures need not be run, because counting alone excludes them.

    Parameters
    ----------
    constraints
        Those on columns that the core counts; see `counted_constraints`.
    workload
        What columns are counted for: the keywords of `lts.analytic`.
    memory_mib, target
        Memory of the target, which the estimate of the peak must not exceed, and its name; None for no limit.

    Attributes
    ----------
    met_memory : bool
        Whether the memory has excluded anything so far.
    """

    def __init__(
        self,
        constraints: Sequence[Constraint] = (),
        workload: Mapping[str, Any] | None = None,
        memory_mib: float | None = None,
        target: str = "",
    ) -> None:
        self.constraints = tuple(constraints)
        self.memory_mib = memory_mib
        self.met_memory = False
        self.workload = dict(workload or {})
        self._target = target

    def remember(self, configuration: Any) -> None:
        """Take the memory of the target from a stored study: what was not run then is not run when it resumes."""
        profile = configuration.get("profile") if isinstance(configuration, Mapping) else None
        if self.memory_mib is not None and isinstance(profile, Mapping):
            known = profile.get("memory_mib")
            self.memory_mib = known if isinstance(known, int | float) else None

    def exclude(self, architecture: Architecture) -> str:
        """Why it need not be run, in a phrase; empty when it may be."""
        for constraint in self.constraints:
            value = self._counted(constraint.name, architecture)
            if value is not None and not constraint.holds(value):
                return f"not run: {constraint} excludes it"
        if self.memory_mib is not None:
            value = self._counted(_ESTIMATE, architecture)
            if value is not None and value > self.memory_mib:
                self.met_memory = True
                return f"not run: the {grouped(int(self.memory_mib))} MiB of the target exclude it"
        return ""

    def kept(self, architectures: Iterable[Architecture]) -> list[Architecture]:
        """Those that may be run."""
        return [architecture for architecture in architectures if not self.exclude(architecture)]

    @property
    def bounds(self) -> list[str]:
        """The limits as constraints, for a search of the core."""
        memory = [] if self.memory_mib is None else [f"{_ESTIMATE}<={self.memory_mib}"]
        return [*map(str, self.constraints), *memory]

    @property
    def notes(self) -> list[str]:
        """One sentence where the memory of the target has excluded something."""
        if not self.met_memory or self.memory_mib is None:
            return []
        memory = grouped(int(self.memory_mib))
        return [f"what needs more than the {memory} MiB of {self._target} by {_ESTIMATE} was not run"]

    def _counted(self, name: str, architecture: Architecture) -> float | None:
        try:
            return analytic(name, architecture, **self.workload)
        except ValueError:  # the family, or a context of this length, has no such column: running it tells
            return None


def limits_of(constraints: Iterable[Constraint], workload: Mapping[str, Any], evaluator: Evaluator) -> Limits:
    """The limits of a study with that evaluator."""
    about_target = isinstance(evaluator, TargetEvaluator)
    # A user's function may give other columns that are called like ours.
    known = {n for n in analytic_names() if n not in evaluator.costs and (about_target or n.endswith("_params"))}
    runs = isinstance(evaluator, TargetEvaluator) and evaluator.device is not None
    target = evaluator.target if isinstance(evaluator, TargetEvaluator) else None
    return Limits(
        [constraint for constraint in constraints if constraint.name in known],
        workload,
        target.memory_mib if target is not None and runs else None,
        target.name if target is not None else "",
    )
