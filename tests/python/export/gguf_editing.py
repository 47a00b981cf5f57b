"""GGUF files with other metadata or tensors than they had; used by the tests of reading them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def edited(path: Path, fields: Mapping[str, Any] | None = None, tensors: Mapping[str, Any] | None = None) -> Path:
    """A copy of a file in float32, beside it, with other metadata and tensors; None leaves one out.

    A tensor is an array, or an array of the bytes of its blocks with the name of their type, such as ``Q4_0``.
    """
    import gguf

    reader, fields, tensors = gguf.GGUFReader(path), dict(fields or {}), dict(tensors or {})
    kind = fields.pop("general.architecture", reader.fields["general.architecture"].contents())
    writer = gguf.GGUFWriter(path.with_name("edited.gguf"), kind)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture" or name in fields:
            continue
        writer.add_key_value(name, field.contents(), field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for name, value in fields.items():
        if value is not None:
            writer.add_key_value(name, value, gguf.GGUFValueType.get_type(value))
    arrays: dict[str, Any] = {each.name: np.array(each.data) for each in reader.tensors} | tensors
    for name, array in arrays.items():
        if isinstance(array, tuple):
            writer.add_tensor(name, array[0], raw_dtype=gguf.GGMLQuantizationType[array[1]])
        elif array is not None:
            writer.add_tensor(name, np.asarray(array, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.with_name("edited.gguf")
