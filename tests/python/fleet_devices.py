"""Devices whose costs are known: functions and tables that stand in for boards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

import lts

SPACE = lts.SearchSpace.load("gpt2-small")
UNITS = {"pi": (30.0, 3e-6), "phone": (5.0, 1e-6), "laptop": (1.0, 2e-6)}
"""By device how slow it is, and how dear attention."""


def cost(architectures: list[lts.Architecture], unit: float, attention: float) -> np.ndarray:
    """Milliseconds of a device, without noise: (n,)."""
    t = dict(zip(lts.cost_term_names(), lts.cost_terms(architectures).T, strict=True))
    layers = 0.1 * t["layers"] + 1e-6 * t["feed_forward"] + attention * t["attention"]
    return np.asarray(unit * (layers + 2e-7 * t["output"]))


def function(name: str) -> Callable[[lts.Architecture], dict[str, float]]:
    """Measures a device of `UNITS`, with a percent of noise that the architecture decides."""

    def measure(a: lts.Architecture) -> dict[str, float]:
        noise = np.random.default_rng([*a.to_json().encode()]).normal()
        return {"latency_ms": float(cost([a], *UNITS[name])[0] * (1 + 0.01 * noise))}

    return measure


def write_tables(folder: Path, n: int = 150) -> None:
    """A table for each device of `UNITS`, NAME.jsonl."""
    architectures = SPACE.sample(n, seed=5, method="choices")
    for name in UNITS:
        measure = function(name)
        lines = [json.dumps({"architecture": a.to_dict(), "values": measure(a)}) for a in architectures]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
