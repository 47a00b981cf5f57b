"""What an exported ONNX model says of token ids: logits, computed by ONNX Runtime on this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lts.backends.onnxruntime import open_session, unrounded_session
from lts.errors import MeasurementError
from lts.system.outside import sentence

_TOKENS = ("input_ids", "attention_mask")


class OnnxLogits:
    """A model of open sizes, or one of the prompt pass, whose logits are asked for.

    Parameters
    ----------
    model
        An ONNX file.
    rounds
        Whether activations are rounded where the model does so; otherwise its weights alone are.

    Raises
    ------
    MeasurementError
        When ONNX Runtime does not load it.
    """

    def __init__(self, model: Path, *, rounds: bool = True) -> None:
        try:
            self._session = (open_session if rounds else unrounded_session)(str(model), len(os.sched_getaffinity(0)))
        except Exception as error:  # it has its own kinds
            raise MeasurementError(f"ONNX Runtime does not load the model: {sentence(error)}") from None
        names = {value.name: value for value in self._session.get_inputs() if value.name not in _TOKENS}
        # Positions of the tokens are an input where the model was written so.
        self._positions = names.pop("position_ids", None) is not None
        self._past = list(names.values())

    def __call__(self, ids: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """Logits, (positions, vocab_size), of one pass over token ids: of all of them, or of the last one alone.

        Raises
        ------
        MeasurementError
            When the model does not run.
        """
        row = np.asarray(ids, np.int64)[None]
        nothing = {value.name: _empty(value, row.shape[1]) for value in self._past}
        feed = {"input_ids": row, "attention_mask": np.ones_like(row), **nothing}
        if self._positions:
            feed["position_ids"] = np.arange(row.shape[1])[None]
        try:
            (logits,) = self._session.run(["logits"], feed)
        except Exception as error:  # it has its own kinds
            raise MeasurementError(f"ONNX Runtime does not run the model: {sentence(error)}") from None
        found: NDArray[Any] = logits[0]
        return found


def _empty(past: Any, room: int) -> NDArray[Any]:
    """Keys and values, or memory, of no tokens, for an input of a session; with room for those that stay there."""
    named = {"batch": 1, "capacity": room}
    sizes = [dim if isinstance(dim, int) else named.get(dim, 0) for dim in past.shape]
    return np.zeros(sizes, np.float16 if past.type == "tensor(float16)" else np.float32)
