"""Runs that other programs disturb: on the same core, or by taking the memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import pytest
from control_group import control_group
from onnx import TensorProto, helper

from lts.backends.run_queue import RunQueue
from lts.devices.local import LocalDevice
from lts.jobs.job import Job
from lts.system import machine

pytestmark = pytest.mark.alone

TIMEOUT = 100.0
TRIES = 3
# A competitor that adds less than SLOWED to the time on the wall is none, and at most a third of what it adds shall be
# left. (Threads that share their work anew beside it, and caches that it fills, leave something.)
SLOWED, LEFT = 1.5, 1 / 3
LIMIT_MIB = 64

needs_counters = pytest.mark.skipif(not RunQueue().counts, reason="this kernel does not count waits for a core")


@contextmanager
def competitor(cpu: int) -> Iterator[None]:
    """Another program that wants a processor all the time."""
    other = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{cpu}])\nwhile True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


def times(job: Job, cpus: list[int]) -> tuple[float, float]:
    """Medians of the samples and of the times on the wall."""
    with LocalDevice(cpus=cpus) as local:
        result = local.run(job, TIMEOUT)
    assert result.error is None
    if len(cpus) == 1:  # never is more subtracted than belongs to the run
        assert min(result.value["samples_ns"]) > 0.5 * median(result.value["samples_ns"])
    return median(result.value["samples_ns"]), median(result.value["wall_ns"])


def compare(job: Job, cpus: list[int]) -> None:
    """A competitor on the last of the processors changes the time on the wall, and hardly the samples.

    The wall time is compared with the samples of the undisturbed run, because another program may be on the same
    processor in that one, too. A clock that changes in between is a reason to try again.
    """
    seen = []
    for _ in range(TRIES):
        alone, _ = times(job, cpus)
        with competitor(cpus[-1]):
            beside, wall = times(job, cpus)
        seen.append((beside / alone, wall / alone))
        if wall > SLOWED * alone and abs(beside - alone) < LEFT * (wall - alone):
            return
    pytest.fail(f"time and wall time beside a competitor, as multiples of the time without: {seen}")


@needs_counters
@pytest.mark.parametrize("sleep", [None, 1e-5])
def test_what_another_program_had_of_the_core_does_not_count(sleep: float | None) -> None:
    # A run that waits for a moment by itself is not another one.
    job = Job("device_jobs:time_a_busy_loop", {"n": 1_000_000, "repeats": 20, "sleep": sleep})
    compare(job, [max(machine.allowed_cpus())])


@needs_counters
def test_nor_with_several_threads(tmp_path: Path) -> None:
    cpus = machine.allowed_cpus()
    if len(cpus) < 2:
        pytest.skip("two threads need two processors")
    arguments = {"model": str(matmul(tmp_path)), "phase": "prefill", "dims": {}, "vocab_size": 64, "threads": 2}
    compare(Job("lts.backends.onnxruntime:run", {**arguments, "min_repeats": 20}, 2), cpus[-2:])


def test_little_memory_is_said(tmp_path: Path) -> None:
    file = tmp_path / "weights.bin"
    with file.open("wb") as written:
        written.write(os.urandom(2 * LIMIT_MIB << 20))
        os.fsync(written.fileno())
        # Cached pages belong to the control group that read or wrote them first.
        os.posix_fadvise(written.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    with control_group(LIMIT_MIB) as enter, LocalDevice() as local:
        result = local.run(Job("device_jobs:time_reading_a_mapped_file", {"path": str(file), "enter": enter}), TIMEOUT)
    assert result.error is None
    assert result.value["disturbed"] is True
    (warning,) = [w for w in result.value["warnings"] if "major page faults" in w]
    assert f"the memory limit is {LIMIT_MIB} MiB, reached " in warning
    assert warning.endswith("times include reading from disk, peak memory is a lower bound")


def matmul(folder: Path) -> Path:
    """64 rows of 64 numbers times a matrix of 32 MiB, for two threads to share."""
    weight = np.random.default_rng(0).standard_normal((64, 1 << 17), dtype=np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weight"], ["logits"])],
        "matmul",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [64, 64])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [64, 1 << 17])],
        [onnx.numpy_helper.from_array(weight, "weight")],
    )
    file = folder / "matmul.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file
