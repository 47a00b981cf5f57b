"""A study of sub-networks: real weights, measured perplexity, a front, files; and that it resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Trained

import lts
from lts.compress.evaluator import interval_beside
from lts.compress.original import read_original
from lts.compress.source import Settings, stored_source
from lts.compress.study import ORIGINAL, CompressStudy
from lts.compress.text import read_windows
from lts.errors import UsageError
from lts.measure.measured import MeasuredEvaluator
from lts.measure.perplexity import Perplexity, perplexities
from lts.measure.pretrained import read_pretrained
from lts.study.stored import read_study

WORKLOAD = {"n_prompt": 16, "n_gen": 4, "min_time": 0.01}
TEXT = {"tokens": 1024, "context": 64}


def study_of(model: Trained, directory: Path, **options: Any) -> CompressStudy:
    return CompressStudy(
        model.folder,
        model.texts[:2],
        directory=directory,
        **{"settings": Settings(step_d_ff=16), **WORKLOAD, **TEXT, **options},
    )


def test_a_front_with_real_weights(model: Trained, tmp_path: Path) -> None:
    with study_of(model, tmp_path, eval_text=model.texts[2]) as study:
        assert [str(each) for each in study.objectives] == ["perplexity:min", "request_ms:min", "peak_memory_mib:min"]
        front = study.run(trials=10, confirm=False)
        assert {trial.state for trial in study.trials} == {"complete"}
        # members of the predicted front come first, evenly over sizes, the original among them
        sizes = [lts.decoder_params(trial.architecture) for trial in study.trials[:6]]
        assert sizes[0] == lts.decoder_params(model.architecture)
        assert sorted(sizes, reverse=True) == sizes
        assert {trial.origin for trial in study.trials[:6]} == {"design"}
        assert len(study.trials) > 6
        # perplexity is that of the weights themselves, on windows that are held out
        windows = read_windows(read_original(model.folder), model.texts[:2], **TEXT)
        original = read_pretrained(model.folder)
        whole = perplexities(original.architecture, original.weights, windows.held_out, ["float32"])["float32"]
        assert study.trials[0].values["perplexity"] == pytest.approx(whole.value, rel=1e-6)
        (baseline,) = study.baselines
        assert (baseline.name, baseline.trial.values["perplexity"]) == (ORIGINAL, pytest.approx(whole.value, rel=1e-6))
        for trial in study.trials[6:]:
            if trial.origin == "gain":
                value, low, high = trial.predicted["perplexity"]
                assert low <= value <= high
            assert trial.provenance["perplexity"] == trial.provenance["request_ms"] == "measured"
            assert trial.values["eval_perplexity"] > 1
        # what is exported is what was measured
        small = min(front, key=lambda trial: trial.values["decoder_params"])
        study.export(small, tmp_path / "small", ("hf", "json"))
        read = read_pretrained(tmp_path / "small")
        assert lts.decoder_params(read.architecture) == small.values["decoder_params"]
        again = perplexities(read.architecture, read.weights, windows.held_out, ["float32"])["float32"]
        assert again.value == pytest.approx(small.values["perplexity"], rel=1e-5)
    stored = read_study(tmp_path / "study.db")
    assert {trial.id for trial in stored.front} == {trial.id for trial in front}
    found = stored_source(tmp_path / "study.db", stored.configuration)
    assert found.windows.digest == study.windows.digest
    assert found.original.architecture == original.architecture


def test_it_resumes_and_measures_no_perplexity_twice(
    model: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted between the perplexity of the third trial and its costs."""
    measured: list[lts.Architecture] = []
    costs = MeasuredEvaluator.evaluate_files

    def counted(architecture: lts.Architecture, *arguments: Any) -> dict[str, Perplexity]:
        measured.append(architecture)
        return perplexities(architecture, *arguments)

    def interrupted(self: MeasuredEvaluator, *arguments: Any) -> Any:
        if len(measured) == 3:
            raise KeyboardInterrupt
        return costs(self, *arguments)

    monkeypatch.setattr("lts.compress.evaluator.perplexities", counted)
    monkeypatch.setattr(MeasuredEvaluator, "evaluate_files", interrupted)
    with study_of(model, tmp_path, precision="int8") as study, pytest.raises(KeyboardInterrupt):
        study.run(trials=6, confirm=False)
    assert len(measured) == 3
    monkeypatch.setattr(MeasuredEvaluator, "evaluate_files", costs)
    with study_of(model, tmp_path, precision="int8") as study:
        assert study.resumed
        study.run(trials=4, confirm=False)
        assert [trial.state for trial in study.trials] == ["complete"] * 4
        assert [trial.architecture for trial in study.trials] == measured  # the original is also the baseline
    assert len(measured) == len({*measured}) == 4


def test_another_text_or_method_is_another_study(model: Trained, tmp_path: Path) -> None:
    study_of(model, tmp_path).close()
    with pytest.raises(UsageError, match="holds another study: compress is"):
        study_of(model, tmp_path, settings=Settings(method="magnitude"))
    with pytest.raises(UsageError, match="is of other texts, or the same taken otherwise; repeat its arguments"):
        study_of(model, tmp_path, tokens=2048)


def test_bad_settings(model: Trained, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown method 'best'; expected one of ours, flap, wanda"):
        study_of(model, tmp_path, settings=Settings(method="best"))
    with pytest.raises(UsageError, match="the step of d_ff is 500; the model has 96, so it must be from 1 to 96"):
        study_of(model, tmp_path, settings=Settings(step_d_ff=500))
    with pytest.raises(UsageError, match=r"'eval_perplexity' is measured on a second text; name one \(--eval-text"):
        study_of(model, tmp_path, objectives=["eval_perplexity:min"])


def test_intervals_are_beside_the_original() -> None:
    whole = Perplexity(np.array([1.0, 3.0, 2.0, 4.0]))
    assert interval_beside(whole, whole) is None
    found = Perplexity(whole.losses + np.array([0.1, 0.1, 0.1, 0.1001]))
    bounds = interval_beside(found, whole)
    assert bounds is not None
    low, high = bounds
    assert low < found.value < high
    assert high / low == pytest.approx(1, abs=1e-3)  # the windows differ much more than that
