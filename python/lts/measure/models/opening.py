"""Opens models on one device, which they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from lts.devices.device import Device, open_device
from lts.devices.local import runs_here
from lts.errors import UsageError
from lts.measure.evaluator import TargetEvaluator, with_threads
from lts.measure.models.compiled import CompiledModel
from lts.measure.models.gguf import GgufModel
from lts.measure.models.model import Model
from lts.measure.models.onnx_file import BELOW
from lts.measure.models.source import Source, model_of
from lts.measure.opening import NO_DEVICE, TABLE, open_evaluator
from lts.targets.target import Target, load_target


class OpenDevice:
    """A device, and what runs on it for a target; closing it closes all that was opened there.

    Parameters
    ----------
    target, device, backend
        As of `lts.measure.opening.open_evaluator`; without a device, this machine, where it can run the target.
    timeout
        Seconds for one process.
    min_time
        Least number of seconds that each quantity is measured in a process.

    Raises
    ------
    UsageError
        For an unknown target or device, or where no device is named and this machine does not run the target.
    MeasurementError
        When the device cannot be reached.
    """

    def __init__(
        self,
        target: str | Path | Target = "host",
        device: str | None = None,
        backend: str | None = None,
        *,
        timeout: float | None = None,
        min_time: float = 0.3,
    ) -> None:
        self.target = target if isinstance(target, Target) else load_target(target)
        if device is None:
            if not runs_here(self.target):
                raise UsageError(
                    f"this machine does not run models for target '{self.target.name}', and nothing else is named; "
                    "choose --device emulated, or ssh://[USER@]HOST"
                )
            device = "local"
        self.name = device
        self._backend, self._timeout, self._min_time = backend, timeout, min_time
        self._stack = ExitStack()
        # What replays or estimates is no device: every evaluator has its own.
        shared = not device.startswith(TABLE) and device != NO_DEVICE
        self._device: Device | None = open_device(device, ("none", "table:FILE")) if shared else None
        if self._device is not None:
            self._stack.callback(self._device.close)
        self._evaluators: dict[tuple[Any, ...], TargetEvaluator] = {}

    def open(
        self,
        source: Source,
        *,
        shapes: Mapping[str, Sequence[int]] | None = None,
        below: int = BELOW,
        **workload: Any,
    ) -> Model:
        """A model with a workload, whose values are those of `open_evaluator`; what its files say of it is their own.

        Raises
        ------
        UsageError
            When its files are not in the precision, or with the logits or the cache, that is asked for; or as
            `lts.measure.models.source.model_of`.
        MeasurementError
            When the backend is not installed.
        """
        wanted = {name: value for name, value in workload.items() if value is not None}
        for name, value in source.form.items():
            if name in wanted and str(wanted[name]) != value:
                raise UsageError(
                    f"{source.name} has {name} {value}, and {wanted[name]} is asked for; leave that out, "
                    "or export it anew"
                )
        if source.kind == CompiledModel.kind:  # it was compiled for so many
            wanted.setdefault("threads", source.content[0].threads)
        if source.kind != GgufModel.kind:  # whose form is that of llama.cpp, and of no backend
            wanted |= source.form
        here = source.kind == GgufModel.kind and self._device is not None
        backend = "llamacpp" if here else source.backend
        return model_of(source, self._evaluator(wanted, backend), shapes, below, self._timeout)

    def _evaluator(self, workload: Mapping[str, Any], backend: str | None) -> TargetEvaluator:
        key = (backend, *sorted((name, str(value)) for name, value in workload.items()))
        if key not in self._evaluators:
            evaluator = open_evaluator(
                with_threads(self.target, workload.get("threads")),
                device=self._device or self.name,
                backend=backend or self._backend,
                timeout=self._timeout,
                min_time=self._min_time,
                **workload,
            )
            self._evaluators[key] = self._stack.enter_context(evaluator)
        return self._evaluators[key]

    def close(self) -> None:
        """Close the device and all that runs on it."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
