"""Runs one job on a device of a TVM RPC tracker, in a worker process: nothing here runs in the search itself."""

from __future__ import annotations

import json
import math
import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lts.errors import MeasurementError
from lts.jobs.job import MANIFEST
from lts.system.machine import is_triple, same_architecture
from lts.system.outside import sentence

# As in lts.backends.timing: the fewest samples of a slow model, and seconds after which it gets no more.
_FEWEST = 6
_MAX_TIME = 1.0
_MAX_REPEATS = 1000
_KEY = re.compile(r"server:([\w.-]{1,100})", re.ASCII)
_MOST_SERVERS = 256
_MOST_NUMBERS = 1 << 28
_GONE = ("kShutdown", "SockChannel")
# Seconds: a day. Nothing that is measured here takes as long.
_LONGEST = 86_400.0


def servers(host: str, port: int) -> list[str]:
    """The key of every device that the tracker lists, free or not.

    Raises
    ------
    MeasurementError
        When there is no tracker.
    """
    return listed_keys(_tracker(host, port).summary())


def listed_keys(summary: Any) -> list[str]:
    """The keys of the devices in what a tracker says; not more than anybody has.

    Raises
    ------
    MeasurementError
        When it is nothing that a tracker says.
    """
    listed = summary.get("server_info") if isinstance(summary, Mapping) else None
    if not isinstance(listed, list):
        raise MeasurementError("the tracker's answer is wrong: it has no list of servers")
    keys = [server.get("key") for server in listed if isinstance(server, Mapping)]
    found = [_KEY.fullmatch(key) for key in keys if isinstance(key, str)]
    return [match[1] for match in found if match is not None][:_MOST_SERVERS]


def architecture(host: str, port: int, key: str) -> str:
    """The triple of a free device of that key; empty when it does not say."""
    return _triple_of(_tracker(host, port).request(key, session_timeout=0, max_retry=1))


def _triple_of(remote: Any) -> str:
    try:
        said = str(remote.get_function("target.llvm_get_system_triple")())
    except Exception:  # a server with a smaller runtime
        return ""
    return said if is_triple(said) else ""


def run(
    host: str, port: int, key: str, model: str, files: Mapping[str, str], options: Mapping[str, Any], threads: int
) -> dict[str, Any]:
    """Run a compiled model on a free device of that key.

    Returns
    -------
    dict
        ``value`` as lts-runner gives it, without memory; or ``gone``, why the device did not answer; or ``none``, that
        the tracker lists no device of that key.

    Raises
    ------
    MeasurementError
        When there is no tracker, or the model cannot be run.
    """
    tracker = _tracker(host, port)
    if key not in listed_keys(tracker.summary()):
        return {"none": f"the tracker at {host}:{port} lists no device '{key}'"}
    try:
        remote = tracker.request(key, session_timeout=0, max_retry=1)
    except Exception as error:  # of many types, with the socket's words
        return {"gone": _last_line(error)}
    try:
        return {"value": _run(remote, Path(model), files, options, threads)}
    except MeasurementError:
        raise
    except Exception as error:
        if not _answers(remote, error):
            return {"gone": _last_line(error)}
        raise MeasurementError(_last_line(error)) from None


def _run(
    remote: Any, folder: Path, files: Mapping[str, str], options: Mapping[str, Any], threads: int
) -> dict[str, Any]:
    from tvm import relax

    start = time.perf_counter()
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    there, built_for = _triple_of(remote), str(manifest["triple"])
    if there and not same_architecture(built_for, there):
        raise MeasurementError(f"the model is compiled for {built_for}; the device is a {there} processor")
    _set_threads(remote, threads)
    remote.upload(str(folder / manifest["library"]))
    device = remote.cpu(0)
    machine = relax.VirtualMachine(remote.load_module(manifest["library"]), device)

    def tensors(specifications: Sequence[Mapping[str, Any]]) -> list[Any]:
        return [_tensor(s, Path(files.get(s["file"], folder / s["file"])), device) for s in specifications]

    inputs, weights = tensors(manifest["inputs"]), tensors(manifest["weights"])
    if manifest["prepare"]:
        weights = _call(machine, manifest["prepare"], weights)
    loaded = time.perf_counter()
    name = manifest["function"]
    begun = time.perf_counter()
    outputs = _call(machine, name, [*inputs, *weights])
    once = time.perf_counter() - begun
    checked = _check(manifest, [_fetched(output) for output in outputs], files, options)

    def sample(n: int) -> list[int]:
        evaluator = machine.module.time_evaluator("invoke_stateful", device, number=1, repeat=n)
        return times_of(evaluator(name).results, n)

    samples = _sample(sample, once, options)
    return {
        "samples_ns": samples,
        "wall_ns": samples,
        **checked,
        "load_seconds": loaded - start,
        "run_seconds": time.perf_counter() - loaded,
        "warnings": [],
    }


def times_of(results: Any, n: int) -> list[int]:
    """Nanoseconds of `n` runs, from the seconds that a device says.

    Raises
    ------
    MeasurementError
        When these are no times.
    """
    seconds = list(results) if isinstance(results, list | tuple) else []
    if len(seconds) != n:
        raise MeasurementError(f"the device's answer is wrong: it has {len(seconds)} times of {n} runs")
    for each in seconds:
        if isinstance(each, bool) or not isinstance(each, int | float) or not 0 <= each <= _LONGEST:
            raise MeasurementError("the device's answer is wrong: the time of a run is no number of seconds")
    return [max(1, round(1e9 * each)) for each in seconds]


def _fetched(output: Any) -> Any:
    """An output as an array of this machine; its size is what the device says."""
    size = math.prod(output.shape)
    if size > _MOST_NUMBERS:
        raise MeasurementError(f"the device's answer is wrong: an output of {size} numbers")
    return output.numpy()


def _sample(sample: Callable[[int], list[int]], once: float, options: Mapping[str, Any]) -> list[int]:
    """Nanoseconds of single runs, by the rules of `lts.backends.timing.time_runs`; `once` is a guess in seconds."""
    least, min_time = int(options.get("min_repeats", 10)), float(options.get("min_time", 0.3))
    seconds = min(once, sample(1)[0] / 1e9)  # which also warms up
    wanted = max(least, math.ceil(min_time / seconds))
    if wanted * seconds > max(_MAX_TIME, min_time):
        wanted = min(wanted, max(_FEWEST, int(max(_MAX_TIME, min_time) / seconds)))
    return sample(min(wanted, int(options.get("max_repeats", _MAX_REPEATS))))


def _tracker(host: str, port: int) -> Any:
    from tvm import rpc

    try:
        return rpc.connect_tracker(host, port)
    except Exception as error:
        raise MeasurementError(f"no TVM RPC tracker answers at {host}:{port}: {_last_line(error)}") from None


def _answers(remote: Any, error: BaseException) -> bool:
    """Whether the device is still there after something went wrong."""
    # What a call says when the other side has ended, and the socket to it. TVM may say that a device is there which was
    # killed in the middle of a call.
    if any(sign in str(error) for sign in _GONE):
        return False
    try:
        return bool(remote.cpu(0).exist)
    except Exception:
        return False


def _set_threads(remote: Any, threads: int) -> None:
    try:
        configure = remote.get_function("runtime.config_threadpool")
    except Exception:  # a server with a smaller runtime
        return
    configure(1, threads)


def _tensor(specification: Mapping[str, Any], path: Path, device: Any) -> Any:
    import numpy as np
    import tvm

    shape = tuple(specification["shape"])
    array = np.empty(shape, specification["dtype"])
    if array.size:
        offset = int(specification["offset"])
        try:
            array[...] = np.memmap(path, array.dtype, "r", offset, shape)
        except (OSError, ValueError) as error:
            raise MeasurementError(f"cannot read '{specification['name']}' from {path}: {error}") from None
    return tvm.runtime.tensor(array, device)


def _call(machine: Any, function: str, arguments: Sequence[Any]) -> list[Any]:
    """Outputs of a function of the model; its arguments stay set."""
    machine.set_input(function, *arguments)
    machine.invoke_stateful(function)
    outputs = machine.get_outputs(function)
    return list(outputs) if isinstance(outputs, tuple | list) else [outputs]


def _check(
    manifest: Mapping[str, Any], outputs: Sequence[Any], files: Mapping[str, str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """What lts-runner reports about the outputs. Raises `MeasurementError` when one is not finite."""
    import numpy as np

    for name, output in zip(manifest["outputs"], outputs, strict=True):
        if output.dtype.kind == "f" and not np.isfinite(output).all():
            raise MeasurementError(f"the output '{name}' of {manifest['phase']} is not finite")
    first = np.ascontiguousarray(outputs[0])
    flat = first.reshape(-1).astype(np.float32)
    checked: dict[str, Any] = {
        "checksum": f"{zlib.crc32(first.tobytes()):08x}",
        "rms": float(np.sqrt(np.vdot(flat, flat) / max(1, flat.size))),
    }
    if "expected" in options:
        wanted = np.fromfile(files[options["expected"]["file"]], np.float32)
        if wanted.size != flat.size:
            raise MeasurementError(f"the output has {flat.size} numbers; {wanted.size} are expected")
        checked["output_error"] = float(np.abs(flat - wanted).max() / max(np.abs(wanted).max(), 1e-30))
        checked["correct"] = checked["output_error"] <= options["expected"]["tolerance"]
    return checked


def _last_line(error: BaseException) -> str:
    """The last line of an error; TVM's errors begin with a stack trace of the other side."""
    lines = [text for line in str(error).splitlines() if (text := sentence(line[-300:]))]
    return lines[-1] if lines else type(error).__name__
