"""Which precisions the ONNX Runtime on this machine runs."""

from __future__ import annotations

import platform

from lts.errors import UsageError
from lts.targets.target import PRECISIONS

_NATIVE_FLOAT16 = ("aarch64", "arm64")  # elsewhere its operators for the CPU convert to float32 and back


def check_runtime(precision: str, *, device: str = "cpu", machine: str | None = None) -> None:
    """Raise `UsageError` unless the installed ONNX Runtime runs exported models of a precision as they are meant.

    Parameters
    ----------
    precision
        ``float32``, ``float16``, ``int8`` or ``int4``.
    device
        ``cpu`` or what else runs the model, such as ``cuda``.
    machine
        The processor, such as ``x86_64``; by default this one's.

    Raises
    ------
    UsageError
        For an unknown precision; without ONNX Runtime; for ``int4`` when it lacks the operation; and for ``float16``
        on a processor where float32 emulates it, so that its times would say nothing of float16.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"unknown precision '{precision}'; expected one of {', '.join(PRECISIONS)}")
    machine = machine or platform.machine()
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError(f"precision {precision} needs ONNX Runtime: {error}") from None
    if precision == "float16" and device == "cpu" and machine not in _NATIVE_FLOAT16:
        raise UsageError(
            f"ONNX Runtime emulates float16 with float32 on {machine} processors; choose float32, int8 or int4"
        )
    if precision == "int4" and not _has_int4():
        raise UsageError(
            f"precision int4 needs ONNX Runtime 1.19 or newer; version {onnxruntime.__version__} is installed"
        )


def _has_int4() -> bool:
    """Whether there is a product with int4 that adds a bias."""
    from onnxruntime.capi import onnxruntime_pybind11_state

    return any(
        schema.name == "MatMulNBits" and any(value.name == "bias" for value in schema.inputs)
        for schema in onnxruntime_pybind11_state.get_all_operator_schema()
    )
