"""The prompt pass or the decode step of an exported model alone, for compilers that fix all sizes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.decoder import ANY, decoder_graph, finish


def one_phase(path: Path, phase: str) -> Path | None:
    """Write one phase of a model from `lts.export.export` beside it, with the same weights; remove it after use.

    Parameters
    ----------
    path
        The model, an ONNX file.
    phase
        ``prefill`` or ``decode``.

    Returns
    -------
    Path or None
        The new file; None for a model that is of one phase already, or not of ours.

    Raises
    ------
    UsageError
        When the model was changed since it was exported, or the file cannot be written.
    """
    import onnx

    model = onnx.load_model(str(path), load_external_data=False)
    said = {entry.key: entry.value for entry in model.metadata_props}
    if said.get("phase") != ANY or "architecture" not in said:
        return None
    architecture = Architecture.from_json(said["architecture"])
    form = {key: said[key] for key in ("logits", "precision", "cache")}
    graph, tensors = decoder_graph(architecture, phase, **form)
    there = {tensor.name: tensor for tensor in model.graph.initializer}
    if missing := [tensor.name for tensor in tensors if tensor.name not in there]:
        raise UsageError(f"{path} lacks the weights '{missing[0]}', as it was changed; export it anew to compile it")
    content: Any = finish(graph, architecture, phase, [there[tensor.name] for tensor in tensors], form)
    try:
        handle, name = tempfile.mkstemp(prefix=f"{phase}-", suffix=".onnx", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content.SerializeToString())
    except OSError as error:
        raise UsageError(f"cannot write in {path.parent}: {error.strerror or error}") from None
    return Path(name)
