"""Find the Transformer architectures worth training for a device, without training any.

The core is imported at once; whatever measures, stores or exports is imported when it is first named.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts._core import (
    Architecture,
    Candidate,
    Constraint,
    Family,
    FrontMember,
    LayerQuality,
    LossTable,
    Objective,
    ParameterCounts,
    ParetoArchive,
    Pooled,
    Search,
    SearchSpace,
    Surrogate,
    Weight,
    __version__,
    algorithm_names,
    analytic,
    analytic_names,
    attainment_surfaces,
    cost_term_names,
    cost_terms,
    count_parameters,
    crowding_distance,
    decoder_params,
    depth_weighted,
    families,
    family,
    flops_decode,
    flops_prefill,
    gd,
    gd_plus,
    geometric,
    hypervolume,
    igd,
    igd_plus,
    kendall,
    knapsack,
    knapsack_front,
    kv_cache_bytes,
    nondominated,
    nondominated_sort,
    parse_constraint,
    parse_objective,
    peak_memory_bytes,
    spearman,
    total_params,
    weight_bytes,
    weights,
    without_empty_layers,
    zerolm,
)

if TYPE_CHECKING:
    from lts import export, measure, networks, report
    from lts.compress.study import CompressStudy
    from lts.errors import InfeasibleError, LtsError, MeasurementError, UsageError
    from lts.measure.deployment import deploy
    from lts.measure.evaluator import Evaluator
    from lts.measure.opening import open_evaluator
    from lts.measure.outcome import Outcome
    from lts.measure.trial import Trial
    from lts.report import write_report
    from lts.study.front import Front
    from lts.study.loop import Progress
    from lts.study.sampler import Proposal, Sampler
    from lts.study.study import Study
    from lts.targets.estimate.costs import estimate
    from lts.targets.target import Target, load_target

# Where a name comes from. `export`, `measure` and `report` are rooms: importing them anywhere sets these attributes.
_LAZY = {
    "CompressStudy": "lts.compress.study",
    "Evaluator": "lts.measure.evaluator",
    "Front": "lts.study.front",
    "InfeasibleError": "lts.errors",
    "LtsError": "lts.errors",
    "Measurement": "lts.measure.outcome:Outcome",
    "MeasurementError": "lts.errors",
    "Outcome": "lts.measure.outcome",
    "Progress": "lts.study.loop",
    "Proposal": "lts.study.sampler",
    "Sampler": "lts.study.sampler",
    "Study": "lts.study.study",
    "Target": "lts.targets.target",
    "Trial": "lts.measure.trial",
    "UsageError": "lts.errors",
    "deploy": "lts.measure.deployment",
    "estimate": "lts.targets.estimate.costs",
    "export": "lts.export",
    "load_target": "lts.targets.target",
    "measure": "lts.measure",
    "networks": "lts.networks",
    "open_evaluator": "lts.measure.opening",
    "report": "lts.report",
    "write_report": "lts.report",
}

__all__ = [
    "Architecture",
    "Candidate",
    "CompressStudy",
    "Constraint",
    "Evaluator",
    "Family",
    "Front",
    "FrontMember",
    "InfeasibleError",
    "LayerQuality",
    "LossTable",
    "LtsError",
    "MeasurementError",
    "Objective",
    "Outcome",
    "ParameterCounts",
    "ParetoArchive",
    "Pooled",
    "Progress",
    "Proposal",
    "Sampler",
    "Search",
    "SearchSpace",
    "Study",
    "Surrogate",
    "Target",
    "Trial",
    "UsageError",
    "Weight",
    "__version__",
    "algorithm_names",
    "analytic",
    "analytic_names",
    "attainment_surfaces",
    "cost_term_names",
    "cost_terms",
    "count_parameters",
    "crowding_distance",
    "decoder_params",
    "deploy",
    "depth_weighted",
    "estimate",
    "export",
    "families",
    "family",
    "flops_decode",
    "flops_prefill",
    "gd",
    "gd_plus",
    "geometric",
    "hypervolume",
    "igd",
    "igd_plus",
    "kendall",
    "knapsack",
    "knapsack_front",
    "kv_cache_bytes",
    "load_target",
    "measure",
    "networks",
    "nondominated",
    "nondominated_sort",
    "open_evaluator",
    "parse_constraint",
    "parse_objective",
    "peak_memory_bytes",
    "report",
    "spearman",
    "total_params",
    "weight_bytes",
    "weights",
    "without_empty_layers",
    "write_report",
    "zerolm",
]


if not TYPE_CHECKING:  # for a type checker, a name that is not above is an error

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'lts' has no attribute '{name}'")
        module, _, attribute = _LAZY[name].partition(":")
        found = import_module(module)
        value = found if module == f"lts.{name}" else getattr(found, attribute or name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _load_space(name_or_path: str | os.PathLike[str]) -> SearchSpace:
    """Load a space by the name of one that comes with lts-engine, or from a TOML file.

    Raises
    ------
    lts.errors.UsageError
        Naming the file and the key that is wrong, with what is allowed.
    """
    from lts.spaces.space import load_space

    return load_space(name_or_path if isinstance(name_or_path, str) else Path(name_or_path))


def _architecture_html(architecture: Architecture) -> str:
    from lts.measure.notebook import architecture_html

    return architecture_html(architecture)


SearchSpace.load = staticmethod(_load_space)  # type: ignore[method-assign]
Architecture._repr_html_ = _architecture_html  # type: ignore[attr-defined]
