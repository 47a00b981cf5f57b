"""A TVM RPC server for arm64 under emulation, as a board of a farm: its model computes what ONNX Runtime does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rpc_farm import Farm

import lts

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "emulated_rpc_server"
# Importing TVM takes the emulator a quarter of a minute, and more on a busy machine.
TIMEOUT = 300.0


@pytest.mark.slow
def test_a_model_runs_on_an_emulated_board(tmp_path: Path) -> None:
    pytest.importorskip("tvm", reason="tvm is not installed")
    for tool in ("qemu-aarch64", "aarch64-linux-gnu-g++", "apt-get"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    prepared = subprocess.run(
        [sys.executable, SCRIPT, "--prepare-only"], capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    if prepared.returncode == 3:
        pytest.skip(f"an arm64 Python with TVM cannot be had here: {prepared.stderr.strip().splitlines()[-1]}")
    assert prepared.returncode == 0, prepared.stderr

    from lts.backends.reference import Reference
    from lts.backends.tvm.backend import Tvm
    from lts.devices.rpc import RpcDevice
    from lts.measure.candidate import export_pooled
    from lts.targets.target import load_target
    from lts.targets.workload import Step, Workload

    (architecture,) = lts.SearchSpace.load("gpt2-tiny").sample(1, 5)
    step = Step.of(architecture, "prefill", 8)
    model = export_pooled(architecture, "prefill", tmp_path, Workload())
    backend, reference = Tvm(), Reference()
    farm = Farm(tmp_path, 0)
    address = f"127.0.0.1:{farm.port}"
    with (tmp_path / "board.log").open("wb") as log:
        board = subprocess.Popen(
            [sys.executable, SCRIPT, "--tracker", address, "--key", "host"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        built = backend.build(model, load_target("cortex-a72"), step, TIMEOUT)
        job = backend.job(built, step, threads=1, min_time=0.0, min_repeats=1)
        farm.wait_for(1, TIMEOUT)
        with RpcDevice.from_uri(farm.uri) as opened:
            result = opened.run(reference.attach(job, reference.write(model, step)), TIMEOUT)
        assert result.error is None, result.error
        assert result.value["correct"]
        assert result.value["output_error"] < 1e-5
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(board.pid, signal.SIGKILL)
        board.wait()
        farm.close()
        backend.close()
        reference.close()
