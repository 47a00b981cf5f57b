"""Columns to values: what is counted, what is measured, and how each is labelled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import lts
from lts.errors import UsageError
from lts.measure.counted import counted_provenance
from lts.measure.evaluator import Evaluator
from lts.measure.function import FunctionEvaluator
from lts.measure.outcome import Outcome
from lts.targets.target import load_target

GPT2 = lts.Architecture("gpt2", vocab_size=512, n_positions=64, d_model=32, n_head=[2, 4], d_ff=[64, 128])


def test_counts_are_exact_integers_and_the_rest_estimates() -> None:
    with Evaluator(n_prompt=16) as evaluator:
        found = evaluator.evaluate(GPT2, ["decoder_params", "flops_decode", "weight_mib"])
    assert found.error is None
    assert found.values["decoder_params"] == lts.decoder_params(GPT2)
    assert isinstance(found.values["decoder_params"], int)
    assert found.values["flops_decode"] == lts.flops_decode(GPT2, n_prompt=16)
    assert found.provenance["decoder_params"] == found.provenance["weight_mib"] == "exact"
    assert found.provenance["flops_decode"] == found.provenance["peak_memory_estimate_mib"] == "estimated"
    assert not found.samples_ns, "nothing was run"
    assert {counted_provenance(name) for name in lts.analytic_names()} == {"exact", "estimated"}


def test_only_what_is_asked_for_is_measured(tmp_path: Path) -> None:
    with Evaluator(n_prompt=8, min_time=0.02, workdir=tmp_path) as evaluator:
        found = evaluator.evaluate(GPT2, ["latency_ms", "total_params"])
        assert found.error is None
        assert found.provenance["latency_ms"] == "measured"
        low, high = found.interval["latency_ms"]
        assert low <= found.values["latency_ms"] <= high
        assert found.mad["latency_ms"] >= 0
        assert "decode_ms_per_token" not in found.values
        both = evaluator.evaluate(GPT2, ["decode_ms_per_token", "peak_memory_mib"])
        assert set(both.samples_ns) >= {"decode"}
        assert both.values["peak_memory_mib"] > 0
        assert evaluator.environment()["threads"] == evaluator.target.threads


@pytest.mark.parametrize(
    ("space", "options", "columns", "sentence"),
    [
        ("gpt2-tiny", {}, ["speed"], "constraint 'speed' on the device 'local'; expected one of decoder_params"),
        ("gpt2-tiny", {"n_prompt": 257}, ["latency_ms"], "needs n_positions 257; gpt2-tiny has 256, enough for 256"),
        ("gpt2-tiny", {"n_prompt": 256}, ["decode_ms_per_token"], "needs n_positions 287; .* enough for 225"),
    ],
)
def test_what_cannot_be_evaluated(space: str, options: dict[str, int], columns: list[str], sentence: str) -> None:
    with Evaluator(**options) as evaluator, pytest.raises(UsageError, match=sentence):
        evaluator.check(lts.SearchSpace.load(space), columns)


def test_relative_positions_have_no_longest_prompt() -> None:
    with Evaluator(n_prompt=1000) as evaluator:
        evaluator.check(lts.SearchSpace.load("transformer-xl-tiny"), ["latency_ms", "decode_ms_per_token"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"target": "nonsense"}, "nonsense"),
        ({"device": "nonsense"}, "unknown device 'nonsense'"),
        ({"backend": "nonsense"}, "nonsense"),
        ({"n_prompt": 0}, "n_prompt is 0; it must be at least 1"),
        ({"timeout": 0}, "must be above 0"),
        ({"tune": -1}, "tune is -1"),
        ({"target": "arm64", "device": "none", "backend": "nonsense"}, "the backend 'nonsense' needs a device"),
        ({"target": "arm64", "device": "none", "backend": "onnxruntime"}, "'onnxruntime' needs a device"),
        ({"target": "arm64", "device": "none", "tune": 8}, "tuning measures on the device, and there is none"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": 10_000}, "threads is 10000"),
    ],
)
def test_a_wrong_argument_is_told(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Evaluator(**options)


def test_without_a_device_costs_are_estimated() -> None:
    with Evaluator("arm64", device="none", backend="tvm") as evaluator:
        assert (evaluator.device_name, evaluator.backend_name) == ("none", "estimate")
        found = evaluator.evaluate(GPT2, ["latency_ms"])
        assert found.provenance["latency_ms"] == "estimated"


def test_what_a_target_says_belongs_to_the_description() -> None:
    cortex = load_target("cortex-a72")
    with Evaluator(cortex, device="none") as one, Evaluator(replace(cortex, l2_kib=1), device="none") as other:
        assert one.describe()["profile"]["l2_kib"] == cortex.l2_kib
        assert one.describe() != other.describe()
        assert json.loads(json.dumps(one.describe())) == one.describe()


def test_a_function_is_an_evaluator() -> None:
    evaluator = FunctionEvaluator(lambda a: {"cost": a.d_model * 2})
    found = evaluator.evaluate(GPT2, ["cost", "decoder_params"])
    assert found.values == {"cost": 64.0, "decoder_params": lts.decoder_params(GPT2)}
    assert found.provenance == {"cost": "given", "decoder_params": "exact"}
    assert "ZeroDivisionError" in str(FunctionEvaluator(lambda _: {"cost": 1 / 0}).evaluate(GPT2, ["cost"]).error)


@pytest.mark.parametrize(
    ("outcome", "problem"),
    [
        (Outcome(values={"a": 1.0}), None),
        (Outcome(values={"a": float("nan")}), "the value of 'a' is nan; it must be finite"),
        (Outcome(values={"a": float("inf")}), "the value of 'a' is inf; it must be finite"),
        (Outcome(), "no value for 'a'"),
        (Outcome(values={"a": 1.0}, error="it broke"), "it broke"),
    ],
)
def test_what_counts_as_a_problem(outcome: Outcome, problem: str | None) -> None:
    assert outcome.problem(["a"]) == problem


def test_eight_studies_share_an_evaluator(tmp_path: Path) -> None:
    space = lts.SearchSpace.load("gpt2-tiny")
    with Evaluator(n_prompt=8, min_time=0.01, workdir=tmp_path) as evaluator:
        for seed in range(8):
            with lts.Study(space, evaluator, seed=seed, surrogate="none") as study:
                study.run(trials=1)
                assert [trial.state for trial in study.trials] == ["complete"]
    with pytest.raises(UsageError, match="the evaluator is closed; open another one"):
        evaluator.evaluate(GPT2, ["latency_ms"])


def test_a_study_of_a_function_and_one_of_estimates() -> None:
    space = lts.SearchSpace.load("gpt2-tiny")
    with lts.Study(space, lambda a: {"cost": a.d_model}, objectives=["decoder_params:max", "cost:min"]) as study:
        assert len(study.run(trials=20)) >= 1
        assert study.predicted_columns == (), "a function is asked, unless a surrogate is asked for"
    with Evaluator("arm64", device="none") as evaluator, lts.Study(space, evaluator) as study:
        front = study.run(trials=2000)
        assert {trial.provenance["latency_ms"] for trial in front} == {"estimated"}
        assert len(front) == len(study.trials) > 5, "only the front becomes trials"
        best = max(lts.decoder_params(space.at(i)) for i in range(space.size))
        assert front[0].values["decoder_params"] == best


class Formula(lts.Evaluator):
    def evaluate(self, architecture: lts.Architecture, columns: object, timeout: float | None = None) -> Outcome:
        return Outcome(values={"cost": 2.0 * architecture.d_model, "decoder_params": lts.decoder_params(architecture)})

    def describe(self) -> dict[str, str]:
        return {"device": "formula"}


def test_an_evaluator_of_ones_own_needs_two_methods() -> None:
    space = lts.SearchSpace.load("gpt2-tiny")
    with lts.Study(space, Formula(), objectives=["decoder_params:max", "cost:min"]) as study:
        study.run(trials=5)
        assert {trial.device for trial in study.trials} == {"formula"}
    with pytest.raises(TypeError, match="abstract"):
        type("Half", (lts.Evaluator,), {"describe": lambda self: {}})()
