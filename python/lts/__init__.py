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
    Objective,
    ParameterCounts,
    ParetoArchive,
    Search,
    SearchSpace,
    Surrogate,
    Weight,
    __version__,
    algorithm_names,
    analytic,
    analytic_names,
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
    geometric,
    hypervolume,
    kendall,
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
    zerolm,
)

if TYPE_CHECKING:
    from lts import export
    from lts.measure.evaluator import Evaluator
    from lts.measure.measured import Measurement
    from lts.study.study import Study
    from lts.targets.target import Target, load_target

# Where a name comes from. `export` is the subpackage: importing that anywhere sets this very attribute.
_LAZY = {
    "Evaluator": "lts.measure.evaluator",
    "Measurement": "lts.measure.measured",
    "Study": "lts.study.study",
    "Target": "lts.targets.target",
    "export": "lts.export",
    "load_target": "lts.targets.target",
}

__all__ = [
    "Architecture",
    "Candidate",
    "Constraint",
    "Evaluator",
    "Family",
    "FrontMember",
    "Measurement",
    "Objective",
    "ParameterCounts",
    "ParetoArchive",
    "Search",
    "SearchSpace",
    "Study",
    "Surrogate",
    "Target",
    "Weight",
    "__version__",
    "algorithm_names",
    "analytic",
    "analytic_names",
    "cost_term_names",
    "cost_terms",
    "count_parameters",
    "crowding_distance",
    "decoder_params",
    "depth_weighted",
    "export",
    "families",
    "family",
    "flops_decode",
    "flops_prefill",
    "geometric",
    "hypervolume",
    "kendall",
    "kv_cache_bytes",
    "load_target",
    "nondominated",
    "nondominated_sort",
    "parse_constraint",
    "parse_objective",
    "peak_memory_bytes",
    "spearman",
    "total_params",
    "weight_bytes",
    "weights",
    "zerolm",
]


if not TYPE_CHECKING:  # for a type checker, a name that is not above is an error

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'lts' has no attribute '{name}'")
        module = import_module(_LAZY[name])
        value = module if module.__name__ == f"lts.{name}" else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _load_space(name_or_path: str | os.PathLike[str]) -> SearchSpace:
    """Load a space by the name of one that comes with lts-engine, or from a TOML file.

    Raises
    ------
    lts.errors.UsageError
        Naming the file and the key that is wrong, with what is allowed.
    """
    from lts.spaces.space import load_space

    return load_space(name_or_path if isinstance(name_or_path, str) else Path(name_or_path))


SearchSpace.load = staticmethod(_load_space)  # type: ignore[method-assign]
