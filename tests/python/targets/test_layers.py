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
@pytest.mark.parametrize("space", SPACES)
def test_the_core_gives_what_python_estimates(space: str, target: str) -> None:
    known, profile, n_prompt = load_space(space), load_target(target), 48
    models = layer_costs(known, profile, n_prompt, columns(profile))
    architectures = known.sample(100, 1) + known.sample(100, 2, method="choices")
    for column, model in models.items():
        found = model.predict(architectures, n_prompt=n_prompt, precision=profile.precision)
        expected = [estimate(a, profile, n_prompt).values[column] for a in architectures]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_calibrated_target_is_predicted_alike() -> None:
    terms = {term: 0.5 + i for i, term in enumerate(lts.cost_term_names())}
    known = Calibration("local", "onnxruntime", 32, 1, "float32", "gpt2-tiny")
    calibration = replace(known, costs={"latency_ms": CalibratedCost(20, 0.01, 0.05, terms)})
    target = replace(load_target("arm64"), calibration=calibration)
    (model,) = calibrated_models(target, 32).values()
    architectures = load_space("gpt2-tiny").sample(20, 1)
    expected = [predicted(a, target, 32)["latency_ms"][0] for a in architectures]
    np.testing.assert_allclose(model.predict(architectures), expected, rtol=1e-12)
    assert calibrated_models(target, 33) == {}
    assert json.loads(model.to_json())["n_samples"] == 20
