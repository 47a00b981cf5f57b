"""Candidates estimated from the profile of a target: nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lts._core import Architecture, SearchSpace
from lts.errors import UsageError
from lts.measure.counted import ALWAYS, counted
from lts.measure.evaluator import CoreModel, TargetEvaluator
from lts.measure.outcome import Outcome
from lts.system.environment import fingerprint
from lts.targets.estimate.calibrated import calibrated_models, predicted
from lts.targets.estimate.costs import check, columns, estimate
from lts.targets.estimate.layers import layer_costs
from lts.targets.target import Target
from lts.targets.workload import Workload


class EstimatedEvaluator(TargetEvaluator):
    """Estimates the costs of models that TVM compiles for a target, or predicts them where it was calibrated.

    Raises
    ------
    UsageError
        For a profile that lacks what estimates need, or options of measuring.
    """

    provenance = "estimated"
    compiles = True

    def __init__(
        self, target: Target, *, backend: str | None = None, workload: Workload | None = None, tune: int = 0
    ) -> None:
        super().__init__(target, "none", "estimate", workload)
        check(target)
        if backend not in (None, "tvm"):
            raise UsageError(
                f"the backend '{backend}' needs a device to run on; without one, costs are those of compiled models, "
                "'tvm'"
            )
        if tune:
            raise UsageError("tuning measures on the device, and there is none: attach one, or leave --tune out")
        self.costs = columns(target)

    @property
    def no_energy(self) -> str:
        return "costs are estimated from a profile, which says nothing of energy: name a device that measures it"

    def environment(self) -> dict[str, Any]:
        """That of this machine, as far as estimates depend on it: the software."""
        threads = self.target.threads
        return {"lts": fingerprint(threads)["lts"], "threads": threads}

    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        found = estimate(architecture, self.target, self.workload)
        known = predicted(architecture, self.target, self.workload)
        return (
            counted(architecture, (*columns, *ALWAYS), **self.workload.counted)
            | Outcome(values=found.values, provenance=dict.fromkeys(found.values, "estimated"), interval=found.interval)
            | Outcome(
                values={name: value for name, (value, _, _) in known.items()},
                provenance=dict.fromkeys(known, "predicted"),
                interval={name: (low, high) for name, (_, low, high) in known.items()},
            )
        )

    def cost_models(self, space: SearchSpace, columns: Iterable[str]) -> Mapping[str, CoreModel] | None:
        wanted = [name for name in columns if name in self.costs]
        known = calibrated_models(self.target, self.workload)
        rest = [name for name in wanted if name not in known]
        models: dict[str, CoreModel] = {name: known[name] for name in wanted if name in known}
        if rest and isinstance(space.options["head_dim"], list):  # then equal layers cost different amounts
            return None
        return {**models, **layer_costs(space, self.target, self.workload, rest)}
