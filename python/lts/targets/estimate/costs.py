"""Costs of an architecture on a target without running anything: estimates, see docs/estimates.md."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from lts._core import Architecture, Family, analytic, family
from lts.errors import UsageError
from lts.targets.assumptions import Published
from lts.targets.estimate.model import EFFICIENCY, OPERATOR_US, Cost, Model, rates
from lts.targets.target import Target
from lts.targets.workload import Workload

ESTIMATED_COLUMNS = ("latency_ms", "decode_ms_per_token", "request_ms", "peak_memory_mib", "latency_published_ms")
_NEEDED = ("frequency_mhz", "flops_per_cycle", "bandwidth_gib_s")
_MIB = 2**20
# What is added to the sum over the parts, counted by the core.
PLUS = {"peak_memory_mib": "peak_memory_estimate_mib"}


@dataclass(frozen=True)
class Estimate:
    """Estimated costs of one architecture.

    Parameters
    ----------
    values
        By column, in the unit that its name ends with; see `ESTIMATED_COLUMNS`.
    interval
        Low and high ends by column, for the columns that have an interval.
    source
        What the estimates are made from, in one sentence.
    """

    values: dict[str, float]
    interval: dict[str, tuple[float, float]]
    source: str


@dataclass(frozen=True)
class Part:
    """Estimated costs of the attention or feed-forward network of one layer, or of what is outside of the layers."""

    name: str
    latency_ms: float
    decode_ms_per_token: float
    weight_mib: float
    latency_published_ms: float | None


def check(target: Target) -> None:
    """Raise `UsageError` naming what a profile lacks for estimates."""
    missing = [key for key in _NEEDED if getattr(target, key) is None]
    if missing:
        raise UsageError(
            f"costs on target '{target.name}' cannot be estimated: its profile has no '{missing[0]}'; estimates need "
            f"{', '.join(_NEEDED)}: give them in a target file, or attach a device"
        )


def columns(target: Target) -> tuple[str, ...]:
    """The columns that can be estimated for a target; none where `check` fails."""
    if any(getattr(target, key) is None for key in _NEEDED):
        return ()
    return ESTIMATED_COLUMNS if published(target) is not None else ESTIMATED_COLUMNS[:-1]


def published(target: Target) -> Published | None:
    """The published measurements of a target, None unless they match its threads and precision (float32)."""
    p = target.estimate.published
    return p if p is not None and target.threads == p.threads and target.precision == "float32" else None


def estimate(architecture: Architecture, target: Target, workload: Workload | None = None) -> Estimate:
    """Estimated costs of a workload, whose precision and threads are those of the target. O(n_layer).

    Raises
    ------
    UsageError
        As `check`.
    """
    workload = Workload.on(target.precision, target.threads, workload)
    setting = _setting(target, workload)
    latency = decode = software = 0.0
    packed = 0
    for cost in _costs(architecture, target, workload):
        latency += cost.prompt_ms
        decode += cost.decode_ms
        software += cost.published_ms
        packed += cost.matrix_elements
    memory = analytic("peak_memory_estimate_mib", architecture, **workload.counted)
    values = {
        "latency_ms": latency,
        "decode_ms_per_token": decode,
        "request_ms": latency + workload.n_steps * decode,
        "peak_memory_mib": memory + packed * setting.weight_mib,
    }
    interval = {}
    if setting.published is not None:
        values["latency_published_ms"] = software
        if setting.published.family == architecture.family and setting.near:
            error = setting.published.error_max
            interval["latency_published_ms"] = (software / (1 + error), software / (1 - error))
    return Estimate(values, interval, setting.source)


def parts(architecture: Architecture, target: Target, workload: Workload | None = None) -> list[Part]:
    """What `estimate` adds up: for every layer its attention and its feed-forward network, then the rest.

    Raises
    ------
    UsageError
        As `estimate`.
    """
    workload = Workload.on(target.precision, target.threads, workload)
    setting = _setting(target, workload)
    names = [f"layers.{i}.{half}" for i in range(architecture.n_layer) for half in ("attention", "feed_forward")]
    return [
        Part(
            name,
            cost.prompt_ms,
            cost.decode_ms,
            cost.matrix_elements * setting.weight_mib,
            cost.published_ms if setting.published is not None else None,
        )
        for name, cost in zip([*names, "embedding_and_logits"], _costs(architecture, target, workload), strict=True)
    ]


@dataclass(frozen=True)
class _Setting:
    """Values that depend on the target and the prompt only."""

    published: Published | None
    near: bool  # whether the prompt is about as long as those of the published measurements
    weight_mib: float
    source: str


@lru_cache(maxsize=64)
def _setting(target: Target, workload: Workload) -> _Setting:
    check(target)
    rate = rates(target)
    efficiency = target.estimate.efficiency or EFFICIENCY[target.kind]
    overhead = OPERATOR_US[target.kind] if target.estimate.operator_us is None else target.estimate.operator_us
    text = (
        f"roofline of {target.name}: {rate.flops / 1e6:.4g} GFLOP/s ({efficiency:.0%} of the peak), "
        f"{rate.bytes * 1e3 / 2**30:.4g} GiB/s, {overhead:g} µs per operator"
    )
    p = published(target)
    if p is not None:
        text += f"; latency_published_ms: {p.software} ({p.source})"
    near = p is not None and p.n_prompt / 2 <= workload.n_prompt <= 2 * p.n_prompt and workload.batch == 1
    return _Setting(p, near, rate.weight_bytes / _MIB, text)


@lru_cache(maxsize=256)
def model_for(target: Target, workload: Workload, family_name: str, d_model: int) -> Model:
    """The parts of architectures of a family and width, on a target and for a workload."""
    traits: Family = family(family_name)
    return Model(target, published(target), traits, d_model, workload)


def _costs(a: Architecture, target: Target, workload: Workload) -> list[Cost]:
    """Attention and feed-forward network of every layer in turn, then what is outside of them."""
    model = model_for(target, workload, a.family, a.d_model)
    found = []
    for n_head, n_kv_head, head_dim, d_ff in zip(a.n_head, a.n_kv_head, a.head_dims, a.d_ff, strict=True):
        found.append(model.attention(n_head, n_kv_head, head_dim))
        found.append(model.feed_forward(d_ff))
    return [*found, costs_outside(a, target, workload)]


def costs_outside(a: Architecture, target: Target, workload: Workload) -> Cost:
    """What is outside of the layers: embedding, final norm and logits."""
    clusters = tuple(a.clean_cutoffs) if a.adaptive else ()
    model = model_for(target, workload, a.family, a.d_model)
    return model.around_layers(a.vocab_size, a.embedding_width, a.adaptive, a.div_val, clusters)


def column_of(cost: Cost, column: str, target: Target, workload: Workload) -> float:
    """What a part adds to a column."""
    if column == "peak_memory_mib":
        return cost.matrix_elements * rates(target).weight_bytes / _MIB
    return {
        "request_ms": cost.prompt_ms + workload.n_steps * cost.decode_ms,
        "latency_ms": cost.prompt_ms,
        "decode_ms_per_token": cost.decode_ms,
        "latency_published_ms": cost.published_ms,
    }[column]
