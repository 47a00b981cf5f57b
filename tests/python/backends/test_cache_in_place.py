"""What is measured of decode steps keeps keys and values in place where the backend can, and copies them elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

from lts import Architecture
from lts.backends.backend import cache_of, load_backend
from lts.backends.onnxruntime import OnnxRuntime
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.jobs.job import Job, JobResult, RunnerJob
from lts.measure.candidate import export_pooled, measure
from lts.measure.opening import cache_for, open_evaluator
from lts.measure.run import run_model
from lts.spaces.space import load_space
from lts.system.environment import fingerprint
from lts.targets.target import detect_target
from lts.targets.workload import Step, Workload

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(OnnxRuntime().cache(fingerprint()) != "in_place", reason="ONNX Runtime is older than 1.22"),
]

TARGET = detect_target()
GPT2 = Architecture("gpt2", 512, 2100, 128, n_layer=6, n_head=2, d_ff=256)
LLAMA = Architecture("llama", 512, 2100, 128, n_layer=2, n_head=[4, 8], n_kv_head=[2, 1], d_ff=256)
RELATIVE = Architecture("transformer_xl", 512, 256, 64, n_layer=2, n_head=2, d_ff=128)


class Recording(LocalDevice):
    """Notes the operations of every model that it runs, and may have an older ONNX Runtime."""

    def __init__(self, version: str | None = None) -> None:
        super().__init__()
        self.ran: list[tuple[str, set[str]]] = []
        self.version = version

    def run(self, job: Job | RunnerJob, timeout: float) -> JobResult:
        assert isinstance(job, Job)
        model = onnx.load(job.arguments["model"], load_external_data=False)
        self.ran.append((job.arguments["phase"], {node.op_type for node in model.graph.node}))
        return super().run(job, timeout)

    def environment(self, threads: int) -> dict[str, Any]:
        known = super().environment(threads)
        return known if self.version is None else {**known, "onnxruntime": self.version}


@pytest.fixture
def device() -> Iterator[Recording]:
    with Recording() as opened:
        yield opened


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.22.0", "in_place"),
        ("1.32.0", "in_place"),
        ("2.0", "in_place"),
        ("1.21.1", "copied"),
        ("1.9.0", "copied"),
        ("", "copied"),
        (None, "copied"),
        ("unknown", "copied"),
    ],
)
def test_versions(version: str | None, expected: str) -> None:
    assert cache_of(load_backend("onnxruntime"), lambda: {"onnxruntime": version}) == expected


def test_a_backend_that_does_not_say_copies() -> None:
    class Other:
        name = "other"

    def asked() -> dict[str, Any]:
        raise AssertionError("the machine need not be asked")

    assert cache_of(Other(), asked) == "copied"  # type: ignore[arg-type]


def test_a_measured_decode_step_runs_in_place(device: Recording, tmp_path: Path) -> None:
    """Through the evaluator, the worker process and the backend; a layer with large groups uses products."""
    with open_evaluator(device=device, n_prompt=64, n_gen=8, min_time=0.02, workdir=tmp_path) as evaluator:
        assert evaluator.workload.cache == evaluator.describe()["cache"] == "in_place"
        found = evaluator.evaluate(LLAMA, ["request_ms", "peak_memory_mib"])
    assert found.error is None
    assert not any("cache" in warning or "keys" in warning for warning in found.warnings)
    assert found.values["decode_ms_per_token"] > 0
    assert [phase for phase, _ in device.ran] == ["prefill", "decode", "decode"]
    assert "GroupQueryAttention" in device.ran[0][1]  # the prompt pass writes the cache, too
    for _, operations in device.ran[1:]:
        assert {"GroupQueryAttention", "ScatterND"} <= operations
    assert [file.name for file in tmp_path.iterdir()] == ["weights.bin"]


@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_a_long_context_takes_the_memory_of_one_cache_less(precision: str, tmp_path: Path) -> None:
    """That is so only if past and present really are one memory; the output is the same."""
    context = 2048
    target = replace(TARGET, precision=precision)
    step = Step.of(GPT2, "decode", context)
    cache_mib = 2 * GPT2.n_layer * GPT2.d_model * (context + 1) * 4 / 2**20
    peaks = {}
    with LocalDevice() as local:
        for cache in ("copied", "in_place"):
            load = Workload(context, n_gen=2, precision=precision, cache=cache)
            model = export_pooled(GPT2, "decode", tmp_path, load)
            costs = ("decode_ms_per_token", "peak_memory_mib")
            found = run_model(model, step, target, local, OnnxRuntime(), costs=costs, min_time=0.02)
            assert found.error is None
            peaks[cache] = found.values["peak_memory_mib"]
    assert peaks["copied"] - peaks["in_place"] > 0.8 * cache_mib


def test_it_copies_when_told_to(device: Recording) -> None:
    with open_evaluator(device=device, cache="copied", n_prompt=16, n_gen=2, min_time=0.02) as evaluator:
        assert evaluator.workload.cache == "copied"
        assert evaluator.evaluate(GPT2, ["decode_ms_per_token"]).error is None
    ((_, operations),) = device.ran
    assert "GroupQueryAttention" not in operations


def test_it_copies_in_an_older_onnx_runtime() -> None:
    with Recording("1.20.1") as older:
        with open_evaluator(device=older, n_prompt=16, n_gen=2, min_time=0.02) as evaluator:
            assert evaluator.workload.cache == "copied"
            found = evaluator.evaluate(GPT2, ["decode_ms_per_token"])
        assert found.error is None
        assert not any("cache" in warning or "keys" in warning for warning in found.warnings)
        assert "GroupQueryAttention" not in older.ran[0][1]
    with Recording("1.20.1") as older, pytest.raises(UsageError) as error:
        open_evaluator(device=older, cache="in_place")
    assert str(error.value) == (
        "the backend 'onnxruntime' copies keys and values on this device; in place needs ONNX Runtime 1.22 or newer"
    )


def test_what_a_search_of_a_space_is_told() -> None:
    relative, other = load_space("transformer-xl-tiny").family, load_space("llama-tiny").family
    assert cache_for(relative, None) == "copied"
    assert cache_for(relative, "in_place") == "in_place"
    assert cache_for(other, None) is None
    assert cache_for(other, "copied") == "copied"


def test_an_unknown_cache() -> None:
    with pytest.raises(UsageError, match="unknown cache 'moved'; expected copied or in_place"):
        open_evaluator(cache="moved")


def test_a_memory_of_layer_inputs_is_copied_without_a_word(device: Recording, tmp_path: Path) -> None:
    load = Workload(16, n_gen=2, cache="in_place")
    found = measure(RELATIVE, TARGET, device, OnnxRuntime(), workload=load, min_time=0.02, workdir=tmp_path)
    assert found.error is None
    assert not any("cache" in warning or "keys" in warning for warning in found.warnings)
    assert all("GroupQueryAttention" not in operations for _, operations in device.ran)
