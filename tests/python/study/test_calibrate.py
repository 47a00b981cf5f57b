"""Calibrating a device: what is measured, written into a profile, and used again."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import lts
from lts.errors import MeasurementError, UsageError
from lts.measure.evaluator import Evaluator
from lts.study.calibrate import calibrate_target, layer_costs
from lts.study.study import Study
from lts.targets.calibration import CalibratedCost, Calibration
from lts.targets.target import Target, load_target

COMMAND = Path(sys.executable).with_name("lts-engine")
SPACE = lts.SearchSpace.load("gpt2-tiny")
TERMS = lts.cost_term_names()
TRUTH = {**dict.fromkeys(TERMS, 0.0), "constant": 0.5, "layers": 0.1, "feed_forward": 2e-6, "output": 1e-6}


def latency(architecture: lts.Architecture) -> float:
    amounts = lts.cost_terms([architecture])[0]
    return float(sum(amount * TRUTH[name] for name, amount in zip(TERMS, amounts, strict=True)))


def device(path: Path, factor: float = 1.0) -> str:
    """A table of all architectures of the space that a design may choose from."""
    pool = SPACE.sample(400, 3, method="choices")
    lines = [{"architecture": a.to_dict(), "values": {"latency_ms": factor * latency(a)}} for a in pool]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"table:{path}"


def test_a_calibration_predicts_and_survives_its_profile(tmp_path: Path) -> None:
    with Evaluator("cortex-a72", device=device(tmp_path / "a.jsonl")) as evaluator:
        found = calibrate_target(SPACE, evaluator, trials=16)
        target = evaluator.target
    assert len(found.trials) == 16
    cost = found.calibration.costs["latency_ms"]
    assert cost.n == 16
    assert cost.error < 1e-6
    assert found.calibration.provenance == "measured"
    profile = replace(target, name="board", calibration=found.calibration)
    path = tmp_path / "board.toml"
    path.write_text(profile.to_toml())
    assert load_target(path) == profile
    assert Target.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile
    # Without a device its costs are predictions, where they are for the same run.
    with Evaluator(path, device="none") as evaluator:
        (architecture,) = SPACE.sample(1, 9)
        evaluation = evaluator.evaluate(architecture, ["latency_ms", "peak_memory_mib"])
        assert evaluation.values["latency_ms"] == pytest.approx(latency(architecture), rel=1e-4)
        assert evaluation.provenance["latency_ms"] == "predicted"
        assert evaluation.provenance["peak_memory_mib"] == "estimated"
    with Evaluator(path, device="none", n_prompt=64) as evaluator:
        assert evaluator.evaluate(architecture, ["latency_ms"]).provenance["latency_ms"] == "estimated"


def test_layers_add_up(tmp_path: Path) -> None:
    with Evaluator("cortex-a72", device=device(tmp_path / "a.jsonl")) as evaluator:
        found = calibrate_target(SPACE, evaluator, trials=20)
    rows = {(r["d_model"], r["n_head"], r["d_ff"]): r["latency_ms"] for r in layer_costs(found.calibration, SPACE)}
    for architecture in SPACE.sample(20, 4):
        shallow = lts.Architecture.from_dict(
            {
                **architecture.to_dict(),
                "n_layer": 1,
                "n_head": architecture.n_head[:1],
                "n_kv_head": architecture.n_kv_head[:1],
                "d_ff": architecture.d_ff[:1],
            }
        )
        layers = zip(architecture.n_head[1:], architecture.d_ff[1:], strict=True)
        added = sum(rows[float(architecture.d_model), float(h), float(f)] for h, f in layers)
        assert latency(shallow) + added == pytest.approx(latency(architecture), rel=1e-3)


def test_another_device_of_the_kind_starts_from_it(tmp_path: Path) -> None:
    with Evaluator("cortex-a72", device=device(tmp_path / "a.jsonl")) as evaluator:
        known = replace(evaluator.target, calibration=calibrate_target(SPACE, evaluator, trials=20).calibration)
    with (
        Evaluator(known, device=device(tmp_path / "b.jsonl", 3.0)) as evaluator,
        Study(SPACE, evaluator, objectives=["decoder_params:max", "latency_ms:min"], surrogate="additive") as study,
    ):
        study.run(trials=10)
        predicted = [trial for trial in study.trials if trial.predicted]
        assert len(predicted) >= 6 or study.settled, "predictions begin after four measurements"
        for trial in predicted:
            assert trial.predicted["latency_ms"][0] == pytest.approx(trial.values["latency_ms"], rel=0.02)


def test_too_few_measurements_are_no_calibration(tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    device(path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:5]))
    with (
        Evaluator("cortex-a72", device=f"table:{path}") as evaluator,
        pytest.raises(MeasurementError, match="architectures were measured; a calibration needs 8"),
    ):
        calibrate_target(SPACE, evaluator, trials=12)


CALIBRATION = Calibration(
    "table:x", "table", 128, 1, "float32", "gpt2-tiny", costs={"latency_ms": CalibratedCost(20, 0.01, 0.02, TRUTH)}
)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('device = "table:x"', "device = 3", "'device' must be a string, got 3"),
        ('device = "table:x"\n', "", "'device' is missing"),
        ("n_prompt = 128", "n_prompt = 0", "'n_prompt' is 0; it must be at least 1"),
        ("n = 20", 'n = "many"', "expected an integer, got 'many'"),
        ("error = 0.01\n", "", "'error' is missing; needed: n, error, error_max, coefficients"),
        ("layers = 0.1", "layers = -1.0", "coefficient 'layers' is -1.0; it must be at least 0"),
        ("layers = 0.1", "layer = 0.1", "unknown key 'layer'; allowed: constant, layers"),
        ('device = "table:x"', 'devices = "table:x"', "unknown key 'devices'"),
    ],
)
def test_wrong_profiles_are_told(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    text = replace(load_target("cortex-a72"), calibration=CALIBRATION).to_toml()
    assert text.count(old) == 1
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(UsageError) as error:
        load_target(path)
    assert sentence in str(error.value)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_line(tmp_path: Path) -> None:
    uri = device(tmp_path / "a.jsonl")
    arguments = ("target", "calibrate", "cortex-a72", "--device", uri, "--space", "gpt2-tiny", "--trials", "12")
    result = run(tmp_path, *arguments, "-f", "board.toml", "-o", "json")
    assert result.returncode == 0, result.stderr
    records = json.loads(result.stdout)
    assert {record["cost"] for record in records} == {"latency_ms"}
    assert "12 measurements on table:" in result.stderr
    result = run(tmp_path, *arguments, "--layers", "-o", "csv")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[0] == "d_model,n_head,n_kv_head,d_ff,latency_ms"
    result = run(tmp_path, "search", "gpt2-tiny", "--target", "board.toml", "--device", uri, "-o", "json")
    assert result.returncode == 0, result.stderr
    assert "/24] trial" in result.stderr
    assert json.loads(result.stdout)
    result = run(tmp_path, *arguments, "-f", "none/board.toml")
    assert result.returncode == 2
    assert "cannot write none/board.toml" in result.stderr
    assert "trial" not in result.stderr, "nothing was measured in vain"
    result = run(tmp_path, "target", "calibrate", "sm_80", "--trials", "8")
    assert result.returncode == 2
    assert "attach a device" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_this_machine(tmp_path: Path) -> None:
    """Real measurements: every cost, with its errors."""
    arguments = ("target", "calibrate", "host", "--space", "gpt2-tiny", "--n-prompt", "16", "--trials", "8")
    result = run(tmp_path, *arguments, "-f", "here.toml")
    assert result.returncode == 0, result.stderr
    target = load_target(tmp_path / "here.toml")
    assert target.calibration is not None
    assert set(target.calibration.costs) == {"latency_ms", "decode_ms_per_token", "request_ms", "peak_memory_mib"}
    assert target.calibration.device == "local"
