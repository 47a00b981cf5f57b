"""ONNX Runtime on the processor."""

from __future__ import annotations

import os
import re
import tempfile
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts.errors import MeasurementError, UsageError
from lts.jobs.job import Job, Runs
from lts.system.machine import allowed_cpus
from lts.targets.target import Target

if TYPE_CHECKING:
    from lts.targets.workload import Step

_TYPES = {
    **{f"tensor({sign}int{bits})": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "tensor(bool)": "bool",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
}
_ERRORS_ONLY = 3
# From this version on, the operation that keeps its cache in place takes a mask.
_IN_PLACE_SINCE = (1, 22)
PRELOAD = ("numpy", "onnxruntime")


class OnnxRuntime:
    """Runs the ONNX file as it is: the session optimizes it while loading."""

    name = "onnxruntime"
    needs: Runs = "python"
    meters_energy = True
    open_sizes = True

    def check(self, target: Target) -> None:
        """Raise `UsageError` unless the target is a processor whose precision it runs."""
        if target.kind != "cpu":
            raise UsageError(f"backend 'onnxruntime' runs on the cpu; target '{target.name}' is a {target.kind}")
        from lts.backends.precisions import check_runtime

        if target.precision != "float32":
            check_runtime(target.precision, machine=target.triple.partition("-")[0])

    def cache(self, environment: Mapping[str, Any]) -> str:
        """``in_place`` where the machine has ONNX Runtime 1.22 or later, else ``copied``."""
        version = tuple(map(int, re.findall(r"\d+", str(environment.get("onnxruntime", "")))[:2]))
        return "in_place" if version >= _IN_PLACE_SINCE else "copied"

    def build(self, model: Path, target: Target, step: Step, timeout: float) -> Path:
        """The model itself."""
        return model

    def job(
        self,
        built: Path,
        step: Step,
        *,
        threads: int,
        min_time: float,
        min_repeats: int,
        energy_time: float | None = None,
    ) -> Job:
        """A call of `run`."""
        arguments = {
            "model": str(built),
            **asdict(step),
            "threads": threads,
            "min_time": min_time,
            "min_repeats": min_repeats,
            **({} if energy_time is None else {"energy_time": energy_time}),
        }
        # Weights outside the model's file are called "*.bin" by us, and by others after the model.
        beside = {path for name in ("*.bin", f"{escape(built.name)}?*") for path in built.parent.glob(name)}
        return Job("lts.backends.onnxruntime:run", arguments, threads, PRELOAD, (built, *sorted(beside)))

    def close(self) -> None:
        """Nothing is held."""


def run(
    model: str,
    phase: str,
    dims: Mapping[str, int],
    vocab_size: int,
    threads: int = 1,
    min_time: float = 0.3,
    min_repeats: int = 10,
    max_repeats: int = 1000,
    energy_time: float | None = None,
) -> dict[str, Any]:
    """Load a model, run it until there are enough samples, and return times and memory. For a worker process.

    The session is as a deployment would have it: all optimizations, the memory arena and the memory pattern of the
    defaults (the arena keeps what a run has used for the next one, which is what makes the second run fast), threads
    that spin while they wait for work, because the worker has its processors to itself. A cache that is kept in place
    is one memory, see `bound`.

    Parameters
    ----------
    model
        Path of an ONNX file.
    phase
        ``prefill`` or ``decode``, for messages.
    dims
        Size of every symbolic dimension of the inputs.
    vocab_size
        Token ids are below this.
    threads
        Threads within an operator; operators run one after the other.
    min_time, min_repeats, max_repeats
        How long to sample, see `lts.backends.timing.time_runs`; `min_time` in seconds.
    energy_time
        Seconds of further runs to take the energy of, at least; None for no energy.

    Returns
    -------
    dict
        ``samples_ns``: every sample; ``wall_ns``: the same by the wall clock, longer where another program had a core
        (see `time_runs`). ``peak_memory_mib``: how far loading and running raised the resident memory of the process,
        with the runtime imported but not yet used. ``checksum``: CRC-32 of the first output, and ``rms`` its root mean
        square. ``load_seconds``, ``run_seconds``. ``warnings``: sentences. ``disturbed``: whether something was wrong
        with the machine meanwhile, so that the values do not show what the model takes. With `energy_time`, what
        `lts.backends.metering.energy_of` says.

    Raises
    ------
    MeasurementError
        When an output is not finite, or an input cannot be made.
    """
    from lts.backends.metering import energy_of
    from lts.backends.timing import PeakMemory, time_runs

    memory = PeakMemory()
    start = time.perf_counter()
    session = open_session(model, threads, pinned=True)
    loaded = time.perf_counter()
    feed = make_feed(session, dims, vocab_size)
    names = [value.name for value in session.get_outputs()]
    call = bound(session, feed)
    checked = _check(names, call(), phase)
    timing = time_runs(
        call,
        threads=threads,
        min_time=min_time,
        min_repeats=min_repeats,
        max_repeats=max_repeats,
    )
    peak = memory.mib()
    energy = {} if energy_time is None else energy_of(call, energy_time)
    return {
        **energy,
        "samples_ns": timing.samples_ns,
        "wall_ns": timing.wall_ns,
        "peak_memory_mib": peak,
        **checked,
        "load_seconds": loaded - start,
        "run_seconds": time.perf_counter() - loaded,
        "warnings": [*memory.warnings, *timing.warnings, *energy.get("warnings", ())],
        "disturbed": timing.disturbed,
    }


def reference(model: str, phase: str, dims: Mapping[str, int], vocab_size: int, file: str) -> int:
    """Run a model once and write its first output, float32 in row-major order, to a file. For a worker process.

    The outputs of other backends are compared with it, so activations are not rounded, which each does in a way of its
    own. The arguments are those of `run`.

    Returns
    -------
    int
        Number of values written.
    """
    import numpy as np

    session = unrounded_session(model, threads=1)
    (first, *_) = session.run([session.get_outputs()[0].name], make_feed(session, dims, vocab_size))
    np.ascontiguousarray(first, np.float32).tofile(file)
    return int(first.size)


def unrounded_session(model: str, threads: int) -> Any:
    """A session of a model that takes activations as they are, though it rounds them; of others the usual one."""
    import onnx

    from lts.backends.stored import without_rounding

    proto = onnx.load_model(model, load_external_data=False)
    if not without_rounding(proto.graph):
        return open_session(model, threads)
    # Beside the model, where its weights are found.
    with tempfile.NamedTemporaryFile(dir=Path(model).parent, suffix=".onnx") as file:
        file.write(proto.SerializeToString())
        file.flush()
        return open_session(file.name, threads)


def bound(session: Any, feed: Mapping[str, Any]) -> Callable[[], list[Any]]:
    """A call that runs a session and returns its outputs in order.

    A past and a present of the same shape are one memory, the array of the feed: what the model adds to the cache is
    written there, and the array is the output.
    """
    names = [value.name for value in session.get_outputs()]
    shapes = {value.name: value.shape for value in (*session.get_inputs(), *session.get_outputs())}
    past_of = {name: name.replace("present.", "past_key_values.", 1) for name in names if name.startswith("present.")}
    kept = {name: past for name, past in past_of.items() if shapes.get(past) == shapes[name]}
    if not kept:
        return lambda: list(session.run(names, feed))

    import onnxruntime

    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in feed.items()}
    binding = session.io_binding()
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name in names:
        if name in kept:
            binding.bind_ortvalue_output(name, values[kept[name]])
        else:
            binding.bind_output(name)

    def call() -> list[Any]:
        session.run_with_iobinding(binding)
        given = binding.get_outputs()
        return [feed[kept[name]] if name in kept else given[i].numpy() for i, name in enumerate(names)]

    return call


def open_session(model: str, threads: int, *, pinned: bool = False) -> Any:
    """A session as models are measured in: on this processor, with these threads, all optimizations.

    With `pinned`, and as many processors as threads, every thread keeps to one of them, this one to the first. Else two
    threads beside another program come to share a core by turns, and more is lost than any one of them waits for.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "1")
    cpus = allowed_cpus()
    if pinned and 1 < threads == len(cpus) and hasattr(os, "sched_setaffinity"):
        others = ";".join(str(cpu + 1) for cpu in cpus[1:])  # which are counted from 1 there
        options.add_session_config_entry("session.intra_op_thread_affinities", others)
        os.sched_setaffinity(0, cpus[:1])
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def make_feed(session: Any, dims: Mapping[str, int], vocab_size: int) -> dict[str, Any]:
    """The inputs of a session, see `make_inputs`."""
    import numpy as np

    from lts.backends.inputs import make_inputs

    specifications = []
    for value in session.get_inputs():
        if value.type not in _TYPES:
            raise MeasurementError(f"input '{value.name}' has the type {value.type}; expected one of {list(_TYPES)}")
        specifications.append((value.name, value.shape, np.dtype(_TYPES[value.type])))
    return make_inputs(specifications, dims, vocab_size)


def _check(names: Sequence[str], outputs: Sequence[Any], phase: str) -> dict[str, Any]:
    """Checksum and root mean square of the first output of numbers, without a copy that would count as peak memory.

    Raises
    ------
    MeasurementError
        When an output is not finite.
    """
    import numpy as np

    given = dict(zip(names, outputs, strict=True))
    arrays = {name: o for name, o in given.items() if isinstance(o, np.ndarray) and o.dtype.kind in "fiub"}
    if not arrays:  # texts, or lists or tables of whatever
        return {"checksum": "", "rms": 0.0}
    for name, output in arrays.items():
        if output.dtype.kind == "f" and output.size and not (np.isfinite(output.max()) and np.isfinite(output.min())):
            raise MeasurementError(f"the output '{name}' of {phase} is not finite")
    first = np.ascontiguousarray(next(iter(arrays.values())))
    flat = first.reshape(-1).astype(np.float32, copy=False)
    return {
        "checksum": f"{zlib.crc32(first.view(np.uint8).data if first.size else b''):08x}",
        "rms": float(np.sqrt(np.vdot(flat, flat) / max(1, flat.size))),
    }
