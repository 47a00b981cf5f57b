"""What gives candidates their values: the interface of all evaluators, and what those for a target have in common."""

from __future__ import annotations

from abc import ABC, ABCMeta, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pkgutil import resolve_name
from typing import Any, Self

from lts._core import Architecture, LayerCosts, LayerQuality, LossTable, SearchSpace, Surrogate, analytic_names, family
from lts.devices.device import ENERGY, Device
from lts.errors import UsageError
from lts.measure.outcome import Outcome, Provenance
from lts.system.environment import fingerprint
from lts.targets.estimate.calibrated import calibration_for
from lts.targets.target import Target
from lts.targets.workload import Workload

DEFAULT_OBJECTIVES = ("decoder_params:max", "request_ms:min", "peak_memory_mib:min")
ENERGY_COLUMNS = ("energy_mj", *ENERGY)
# What the core evaluates without Python.
CoreModel = Surrogate | LayerCosts | LossTable | LayerQuality


class _Kinds(ABCMeta):
    """Calling `Evaluator` itself opens the kind that the arguments ask for, see `lts.measure.opening`."""

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        if cls.__name__ == "Evaluator" and cls.__module__ == __name__:
            return resolve_name("lts.measure.opening:open_evaluator")(*arguments, **options)
        return super().__call__(*arguments, **options)


class Evaluator(ABC, metaclass=_Kinds):
    """What a `Study` evaluates candidates with.

    A subclass needs `evaluate` and `describe`; everything else has a default. ``Evaluator(target, device=...)`` itself
    measures on a device, replays a table or estimates: see `lts.measure.opening.open_evaluator` for the arguments.
    """

    parallel: int = 1
    """Number of candidates that may be evaluated at the same time, each in a thread of its own."""

    costs: tuple[str, ...] = ()
    """The columns that come from this evaluator rather than from counting in the core."""

    default_objectives: Sequence[str] = DEFAULT_OBJECTIVES
    """What a study optimizes unless it is told."""

    surrogate: str = "none"
    """The surrogate that a study predicts with unless it is told: "none" where evaluating is as cheap."""

    provenance: Provenance = "measured"
    """Where the values of `costs` come from."""

    varies: bool = False
    """Whether measuring an architecture again, in another process, gives another value."""

    compiles: bool = False
    """Whether the front of a search is compiled for the target and checked at the end."""

    architectures: Sequence[Architecture] | None = None
    """All that can be evaluated, where these are few; None when it is every architecture of a space."""

    priors: Mapping[str, Mapping[str, float]] = {}
    """Coefficients of costs by column and term, for surrogates to start from."""

    @abstractmethod
    def evaluate(self, architecture: Architecture, columns: Iterable[str], timeout: float | None = None) -> Outcome:
        """Values of the columns, and any others, in at most `timeout` seconds; a failure is an outcome's `error`."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What the values depend on, as JSON: a study resumes only with the same."""

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        """Raise `UsageError` naming the first column, or property of the space, that cannot be evaluated."""

    def check_architecture(self, architecture: Architecture, columns: Iterable[str]) -> None:
        """Raise `UsageError` for an architecture that these columns cannot be evaluated of, of whatever space."""
        if self.architectures is not None and architecture not in self.architectures:
            raise UsageError("the evaluator has no values of this architecture")

    def first(self, n: int, kept: Callable[[Iterable[Architecture]], list[Architecture]]) -> Sequence[Architecture]:
        """Architectures that are likely to be on the front, at most `n` of those that `kept` leaves: a study evaluates
        them first, and searches from there. None where it is to choose a design of its own."""
        return ()

    def environment(self) -> dict[str, Any]:
        """The machine and software that the values come from, as JSON; by default this machine."""
        return fingerprint(threads=1)

    def cost_models(self, space: SearchSpace, columns: Iterable[str]) -> Mapping[str, CoreModel] | None:
        """Models by which the core itself computes the costs; None when candidates must be evaluated."""
        return None

    def stop(self) -> None:
        """End the evaluations that other threads are waiting for; they come back as failures."""

    def close(self) -> None:
        """Release what is held. Harmless when repeated."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class TargetEvaluator(Evaluator):
    """An evaluator whose values hold for a target.

    Parameters
    ----------
    target
        What is compiled for, with its number of threads.
    device_name, backend_name
        Where values come from and by what, as in records.
    workload
        What is run; by default the default one, with precision and threads of the target.
    """

    def __init__(self, target: Target, device_name: str, backend_name: str, workload: Workload | None = None) -> None:
        self.workload = Workload.on(target.precision, target.threads, workload)
        self.target = target
        self.device_name = device_name
        self.backend_name = backend_name

    @property
    def default_objectives(self) -> tuple[str, ...]:  # type: ignore[override]
        time = "request_ms" if self.workload.n_gen and "request_ms" in self.costs else "latency_ms"
        costs = [name for name in (time, "instructions", "peak_memory_mib") if name in self.costs]
        return ("decoder_params:max", *(f"{name}:min" for name in costs))

    @property
    def device(self) -> Device | None:
        """The open device; None where nothing is run."""
        return None

    @property
    def no_energy(self) -> str:
        """Why energy is not among its costs, in a phrase; empty where it is."""
        return "energy is measured where models run"

    def _calibrated(self) -> dict[str, dict[str, float]]:
        """Coefficients of the target's calibration, where it was made under the same workload."""
        known = calibration_for(self.target, self.workload)
        return {} if known is None else {name: cost.coefficients for name, cost in known.costs.items()}

    def tuning(self) -> dict[str, Any]:
        """Options of the backend for tuning; none by default."""
        return {}

    def check(self, space: SearchSpace, columns: Iterable[str]) -> None:
        columns = list(columns)
        known = [*analytic_names(), *self.costs]
        for name in columns:
            if name not in known and name in ENERGY_COLUMNS and self.no_energy:
                raise UsageError(
                    f"no energy: {self.no_energy}; the costs on the device '{self.device_name}' are "
                    f"{', '.join(self.costs)}"
                )
            if name not in known:
                raise UsageError(
                    f"unknown objective or constraint '{name}' on the device '{self.device_name}'; "
                    f"expected one of {', '.join(known)}"
                )
        self._check_positions(space.family, space.options["n_positions"], space.name, columns)

    def check_architecture(self, architecture: Architecture, columns: Iterable[str]) -> None:
        super().check_architecture(architecture, columns)
        if architecture.traits.encoder:
            raise UsageError(f"the family {architecture.family} is an encoder; expected a decoder")
        self._check_positions(architecture.family, architecture.n_positions, "it", columns)

    def _check_positions(self, kind: str, available: int, name: str, columns: Iterable[str]) -> None:
        if family(kind).position == "relative":
            return  # no table of positions, no limit
        load = self.workload
        steps = ("decode_", "request_", "tokens_", *(("energy_",) if load.n_steps else ()))
        decodes = any(name.startswith(steps) and name in self.costs for name in columns)
        needed = load.positions(decodes=decodes)
        if available < needed:
            wanted = f"n_prompt is {load.n_prompt}" + (f" and n_gen {load.n_gen}" if decodes else "")
            left = available - needed + load.n_prompt
            enough = f", enough for {left}" if left > 0 else ""
            raise UsageError(f"{wanted}, which needs n_positions {needed}; {name} has {available}{enough}")

    def describe(self) -> dict[str, Any]:
        return {
            "target": self.target.name,
            **self.workload.describe(),
            "device": self.device_name,
            "backend": self.backend_name,
            "profile": self.target.to_dict(),
        }


def with_threads(target: Target, threads: int | None) -> Target:
    """The target with that number of threads; unchanged for None. Raises `UsageError` when it has fewer cores."""
    if threads is None:
        return target
    if not 1 <= threads <= target.cores:
        raise UsageError(f"threads is {threads}; {target.name} has {target.cores} cores")
    return replace(target, threads=threads)
