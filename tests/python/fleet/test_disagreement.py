"""Devices and measurements that disagree with all others are named, and no others."""

from __future__ import annotations

import numpy as np
import pytest
from fleet_devices import SPACE, UNITS, cost

from lts.fleet.disagreement import disagreements
from lts.fleet.shared import Samples

DESIGN = SPACE.sample(14, seed=3, method="choices")


def measured(noise: float = 0.02, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: cost(DESIGN, *UNITS[name]) * (1 + noise * random.normal(size=len(DESIGN))) for name in UNITS}


def notes(values: dict[str, np.ndarray]) -> list[str]:
    zeros, ids = [0.0] * len(DESIGN), list(range(len(DESIGN)))
    return disagreements("latency_ms", {name: Samples(DESIGN, v.tolist(), zeros, ids) for name, v in values.items()})


@pytest.mark.parametrize("seed", range(10))
def test_devices_that_agree_are_not_named(seed: int) -> None:
    assert notes(measured(seed=seed)) == []


@pytest.mark.parametrize("seed", range(3))
def test_a_measurement_that_disagrees(seed: int) -> None:
    values = measured(seed=seed)
    values["phone"][4] *= 1.8
    (note,) = notes(values)
    assert note.startswith("phone: latency_ms of trial 4 is 1.")


@pytest.mark.parametrize("seed", range(3))
def test_a_device_that_ranks_by_other_rules(seed: int) -> None:
    values = measured(seed=seed)
    values["pi"] *= np.random.default_rng(seed).uniform(0.3, 3.0, len(DESIGN))
    assert any(note.startswith("pi: latency_ms disagrees with all other devices") for note in notes(values))
    assert not any(note.startswith(("phone", "laptop")) for note in notes(values))


def test_a_device_that_became_slower() -> None:
    values = measured()
    values["laptop"][7:] *= 1.4
    (note,) = notes(values)
    assert note.startswith("laptop: latency_ms of the later measurements is 1.")


def test_two_devices_do_not_say_which_one_is_odd() -> None:
    values = measured()
    values["pi"][4] *= 3
    values.pop("laptop")
    assert notes(values) == []
