"""What the core sums up over layers against the estimates that Python makes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import lts
from lts.spaces.space import load_space
from lts.targets.calibration import CalibratedCost, Calibration
from lts.targets.estimate.calibrated import calibrated_models, predicted
from lts.targets.estimate.costs import columns, estimate
from lts.targets.estimate.layers import layer_costs
from lts.targets.target import load_target
from lts.targets.workload import Workload

SPACES = (
    "gpt2-tiny",
    "gpt2-small",
    "gpt2-lts",
    "hw-gpt-tiny",
    "llama-edge",
    "transformer-xl-tiny",
    "transformer-xl-lts",
)


@pytest.mark.parametrize("target", ["arm64", "cortex-a72", "x86-64-v4", "sm_80"])
@pytest.mark.parametrize("logits", ["all", "last"])
@pytest.mark.parametrize("space", SPACES)
def test_the_core_gives_what_python_estimates(space: str, logits: str, target: str) -> None:
    cache = {"all": "copied", "last": "in_place"}[logits]
    workload = Workload(48, 20, batch=2, logits=logits, cache=cache)
    known, profile = load_space(space), load_target(target)
    models = layer_costs(known, profile, workload, columns(profile))
    architectures = known.sample(100, 1) + known.sample(100, 2, method="choices")
    for column, model in models.items():
        found = model.predict(architectures, **workload.counted)
        expected = [estimate(a, profile, workload).values[column] for a in architectures]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_calibrated_target_is_predicted_alike() -> None:
    terms = {term: 0.5 + i for i, term in enumerate(lts.cost_term_names())}
    known = Calibration("local", "onnxruntime", 32, 1, "float32", "gpt2-tiny")
    calibration = replace(known, costs={"latency_ms": CalibratedCost(20, 0.01, 0.05, terms)})
    target = replace(load_target("arm64"), calibration=calibration)
    workload = Workload(32, 0, logits="all")  # of a profile that does not say, because an earlier version wrote it
    (model,) = calibrated_models(target, workload).values()
    architectures = load_space("gpt2-tiny").sample(20, 1)
    expected = [predicted(a, target, workload)["latency_ms"][0] for a in architectures]
    np.testing.assert_allclose(model.predict(architectures), expected, rtol=1e-12)
    for other in (
        Workload(33, 0, logits="all"),
        Workload(32, 0),
        Workload(32, 8, logits="all"),
        replace(workload, cache="in_place"),
    ):
        assert calibrated_models(target, other) == {}
    assert json.loads(model.to_json())["n_samples"] == 20
