"""A made-up study with all that the explorer of a report shows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lts import decoder_params, flops_prefill
from lts._core import Architecture, parse_constraint
from lts.measure.trial import Trial
from lts.spaces.space import load_space
from lts.study.baselines import KEY
from lts.study.store import Store

SPACE = load_space("llama-edge")
OBJECTIVES = ("decoder_params:max", "latency_ms:min", "peak_memory_mib:min")
LIMIT = "peak_memory_mib<=900"
NASTY = "</script><script>alert(1)</script><img src=x onerror=alert(2)><b x=\"'&amp;"


def trial_of(key: int, architecture: Architecture) -> Trial:
    """A complete trial whose costs add up over layers, but for some noise that depends on its number."""
    noise = 1 + 0.01 * ((key * 7) % 5)
    latency = (8 * architecture.n_layer + flops_prefill(architecture, n_prompt=64) / 4e7) * noise
    memory = 3 + 5e-6 * decoder_params(architecture) + 20 * architecture.n_layer
    measured = {"latency_ms": latency, "peak_memory_mib": memory, "energy_mj": 1.7 * latency}
    return Trial(
        id=key,
        state="complete",
        architecture=architecture,
        values={"decoder_params": float(decoder_params(architecture)), **measured},
        provenance={"decoder_params": "exact", **dict.fromkeys(measured, "measured")},
        interval={"latency_ms": (0.98 * latency, 1.03 * latency)},
        predicted={"latency_ms": (1.01 * latency, 0.9 * latency, 1.1 * latency)} if key > 20 else {},
        feasible=parse_constraint(LIMIT).holds(memory),
        origin="design" if key <= 20 else "gain",
        time=f"2026-11-20T19:{key // 60 % 60:02d}:{key % 60:02d}Z",
    )


def trials_of(n: int) -> list[Trial]:
    """So many trials; from the tenth to the thirteenth each is something special."""
    trials = [trial_of(key, each) for key, each in enumerate(SPACE.sample(n, seed=5, method="choices"))]
    gone: dict[str, Any] = {"values": {}, "provenance": {}, "interval": {}, "predicted": {}, "feasible": None}
    trials[10] = replace(trials[10], state="failed", error="the build timed out", **gone)
    trials[11] = replace(trials[11], warnings=["the clock changed", "few samples"])
    trials[12] = replace(trials[12], deployed="correct")
    trials[13] = replace(trials[13], state="running", **gone)
    return trials


def store_of(path: Path, trials: list[Trial], *, with_baseline: bool = True, **about: Any) -> Path:
    """The store of a study with these trials, and a baseline where it says so."""
    configuration = {
        "space": json.loads(SPACE.to_json()),
        "objectives": list(OBJECTIVES),
        "constraints": [LIMIT],
        "algorithm": "lts",
        "algorithm_options": {},
        "surrogate": "additive",
        "seed": 7,
        "n_prompt": 64,
        "target": "host",
        "device": "local",
        **about,
    }
    baseline = {"name": "ours.json", "record": trial_of(0, SPACE.sample(1, seed=9, method="choices")[0]).record()}
    meta = {"study": configuration} | ({KEY: [baseline]} if with_baseline else {})
    with Store(path, writable=True, create=True) as store:
        store.write(trials=tuple(trials), meta=meta)
    return path
