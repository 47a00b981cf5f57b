"""Values that the core counts for an architecture, and what each of them is worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lts._core import Architecture, analytic, analytic_names
from lts.measure.outcome import Outcome, Provenance

_EXACT = {
    name
    for name in analytic_names()
    if name.endswith("_params") or name in ("weight_mib", "geometric", "zerolm", "depth_weighted")
}
# Operations are counted, too: what is estimated about them is how they are carried out.
_COUNTS = {"flops_prefill", "flops_decode"}
# Recorded with every trial, whatever is optimized: what a report compares the measurements with.
ALWAYS = ("decoder_params", "total_params", "flops_prefill", "peak_memory_estimate_mib")


def counted_provenance(name: str) -> Provenance:
    """Provenance of a value from the core: "exact" for counts, "estimated" for costs of a run."""
    return "exact" if name in _EXACT else "estimated"


def counted_value(name: str, architecture: Architecture, **workload: Any) -> float:
    """An analytic quantity; a count as the integer that it is."""
    value = analytic(name, architecture, **workload)
    return int(value) if (name in _EXACT or name in _COUNTS) and value.is_integer() else value


def counted(architecture: Architecture, names: Iterable[str], **workload: Any) -> Outcome:
    """All of these names that the core counts; `workload` as `lts.targets.workload.Workload.counted`."""
    wanted = set(names)
    known = [name for name in analytic_names() if name in wanted]
    return Outcome(
        values={name: counted_value(name, architecture, **workload) for name in known},
        provenance={name: counted_provenance(name) for name in known},
    )
