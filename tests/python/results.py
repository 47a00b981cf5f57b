"""Results as `lts-engine bench --save` writes them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from lts.measure.result import Result
from lts.measure.statistics import median_ranks
from lts.system.environment import environment_hash
from lts.targets.workload import Workload

BOARD = {"cpu": "Cortex-A72", "cores": 4, "kernel": "6.1", "threads": 1}
BEGIN = datetime(2026, 9, 1, 3, tzinfo=UTC)


def result(
    rounds: Mapping[str, Sequence[float]] | None = None, *, day: float = 0, name: str = "main", **changed: Any
) -> Result:
    """What was measured on a day under a name: by metric one value per process."""
    found = {key: list(map(float, values)) for key, values in (rounds or {"request_ms": [10.0, 10.2, 9.9]}).items()}
    interval = {}
    for key, values in found.items():
        low, high, _ = median_ranks(len(values))
        interval[key] = (sorted(values)[low], sorted(values)[high])
    fingerprint = changed.pop("fingerprint", BOARD)
    options: dict[str, Any] = {
        "model": "model.onnx",
        "kind": "onnx",
        "values": {key: float(median(values)) for key, values in found.items()},
        "provenance": dict.fromkeys(found, "measured"),
        "interval": interval,
        "rounds": found,
        "samples_ns": {"request": [1, 2, 3]},
        "n_samples": {"request": [3]},
        "target": "host",
        "device": "local",
        "backend": "onnxruntime",
        "workload": Workload(),
        "fingerprint": fingerprint,
        "environment": environment_hash(fingerprint),
        "saved": name,
        "revision": f"{int(1000 * day) + 1:040x}",
        "time": f"{BEGIN + timedelta(days=day):%Y-%m-%dT%H:%M:%SZ}",
        "lts_version": "0.1.0",
    }
    return Result(**options | changed)
