"""The kind of evaluator that a target and a device ask for."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lts._core import family
from lts.devices.device import Device
from lts.devices.local import runs_here
from lts.devices.pool import SCHEME as POOL
from lts.devices.pool import pool_of
from lts.errors import UsageError
from lts.measure.estimated import EstimatedEvaluator
from lts.measure.evaluator import TargetEvaluator, with_threads
from lts.measure.measured import MeasuredEvaluator
from lts.measure.table import TableEvaluator
from lts.system.progress import Observer, unobserved
from lts.targets.target import Target, load_target
from lts.targets.workload import Workload

TABLE = "table:"
"""How a device begins that replays a table: the path of its file follows."""
NO_DEVICE = "none"
_SSH = "ssh://"


def cache_for(kind: str, given: str | None) -> str | None:
    """The argument `cache` of `open_evaluator` for a family: as given, or copied where there are no keys and values."""
    return "copied" if given is None and family(kind).position == "relative" else given


def open_evaluator(
    target: str | Path | Target = "host",
    *,
    device: str | Device | Sequence[str] | None = None,
    backend: str | None = None,
    n_prompt: int = 128,
    n_gen: int = 32,
    batch: int = 1,
    precision: str | None = None,
    logits: str = "last",
    cache: str | None = None,
    timeout: float | None = None,
    min_time: float = 0.3,
    threads: int | None = None,
    tune: int = 0,
    flash_attention: str | None = None,
    workdir: Path | None = None,
    workers: str | Executor | None = None,
    parallel: int = 1,
    observe: Observer = unobserved,
) -> TargetEvaluator:
    """Open an evaluator that counts in the core, and measures on a device, replays a table or estimates.

    Parameters
    ----------
    target, device, backend
        Names or objects: what is compiled for, where it runs, and by what. Several names are a pool of equal devices,
        see `lts.devices.pool`. Without a device, this machine where it
        can run the target, and estimates ("none") otherwise; "table:FILE" replays a table. Without a backend, ONNX
        Runtime for this machine and TVM for another.
    n_prompt, n_gen, batch, logits
        What is run: see `lts.targets.workload.Workload`.
    timeout
        Seconds for one candidate: to be built, and on the device. By default a minute, ten minutes where it is
        emulated, and ten seconds more for each trial of `tune`.
    min_time
        Least number of seconds that each quantity is measured.
    cache
        How decode steps keep keys and values: ``copied`` or ``in_place``. By default in place where the backend can,
        which is ONNX Runtime from 1.22 on; without a device, as the target was calibrated, or copied.
    threads, precision
        Override those of the target.
    tune
        Trials of TVM's MetaSchedule per candidate.
    flash_attention
        Of the backend llamacpp: ``on``, ``off``, or ``auto``, which is llama.cpp's own choice.
    workdir
        Where candidate models are written; a temporary directory when absent.
    workers, parallel
        What measures in place of this process, each worker on the device as it sees it: see
        `lts.measure.distributed.on_workers`.
    observe
        Told what is done once for the device, which may take minutes.

    Raises
    ------
    UsageError
        For an unknown target, device or backend, an argument out of range, or what does not go together.
    MeasurementError
        When the device cannot be reached or the backend is not installed.
    """
    if timeout is not None and not timeout > 0:
        raise UsageError(f"the timeout of a candidate is {timeout} s; it must be above 0")
    if tune < 0:
        raise UsageError(f"tune is {tune}; it must be at least 0")
    known = with_threads(target if isinstance(target, Target) else load_target(target), threads)
    if precision is not None:
        known = replace(known, precision=str(precision))
    calibrated = "copied" if known.calibration is None else known.calibration.cache
    workload = Workload(
        n_prompt, n_gen, batch, known.precision, str(logits), known.threads, cache=str(cache or calibrated)
    )
    if device is not None and not isinstance(device, str | Device):
        device = pool_of(device)
    if device is None:
        device = "local" if runs_here(known) else NO_DEVICE
    if flash_attention is not None and (device == NO_DEVICE or str(device).startswith(TABLE)):
        raise UsageError("flash attention is an option of --backend llamacpp, on a device: leave --flash-attention out")
    if workers is not None and (device == NO_DEVICE or str(device).startswith(TABLE)):
        raise UsageError("workers measure on devices, and nothing is measured here: leave --workers out")
    for each in str(device).removeprefix(POOL).split(","):
        if workers is not None and each.startswith(_SSH):
            raise UsageError(
                f"workers would measure on {each} at the same time: leave --workers out, or have each measure on a "
                "device of its own, as --device local does"
            )
    if device == NO_DEVICE:
        return EstimatedEvaluator(known, backend=backend, workload=workload, tune=tune)
    if isinstance(device, str) and device.startswith(TABLE):
        if backend is not None or tune:
            raise UsageError("a table replays measurements: leave --backend and --tune out")
        return TableEvaluator(known, Path(device.removeprefix(TABLE)), workload=workload)
    options: dict[str, Any] = {
        "timeout": timeout,
        "min_time": min_time,
        "tune": tune,
        "flash_attention": None if flash_attention is None else str(flash_attention),
    }
    here = MeasuredEvaluator(
        known,
        device,
        backend=backend,
        workload=workload,
        best_cache=cache is None,
        workdir=workdir,
        observe=observe,
        **options,
    )
    if workers is None:
        return here
    from lts.measure.distributed import DistributedTargetEvaluator, on_workers

    # As it was settled here: all workers do the same.
    make = partial(MeasuredEvaluator, known, device, backend=here.backend_name, workload=here.workload, **options)
    there = on_workers(make, workers, parallel=parallel, inner=here)
    assert isinstance(there, DistributedTargetEvaluator)
    return there
