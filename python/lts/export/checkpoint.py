"""The weights of a trained model, by the names of the inventory, whatever wrote them.

A checkpoint names its tensors as the family's class in transformers does, as the inventory does (`lts.weights`), or as
the parameters of `lts.networks.Network`; wrappers put words before the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from lts._core import Architecture, weights
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.huggingface import layouts
from lts.export.safetensors import StoredTensor, read_tensors
from lts.export.weights import Piece, Tensor
from lts.system.outside import printable

# What wrappers put before names: torch.compile, DataParallel; and a model with or without its output layer.
_WRAPPERS = ("_orig_mod.", "module.")
_BODIES = ("transformer.", "model.", "gpt_neox.")
# Buffers that older versions of transformers stored: masks, and frequencies of rotary positions.
_BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq")
# The output layer, which GPT-NeoX's class calls one thing in files and, in newer releases, another in memory.
_OUTPUTS = ("lm_head.weight", "embed_out.weight")
_HEADS = (*_OUTPUTS, "head.weight")


class Checkpoint(Mapping[str, Array]):
    """Weights by the names of the inventory, each read when it is asked for, in float32."""

    def __init__(self, places: Mapping[str, tuple[StoredTensor, Tensor, int]]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Array:
        stored, tensor, piece = self._places[name]
        return tensor.weight(stored.array(), piece)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def read_checkpoint(architecture: Architecture, path: Path) -> Checkpoint:
    """The weights of the architecture in a safetensors file, or in a folder of one or several.

    Raises
    ------
    UsageError
        When a file cannot be read or is no safetensors file, a tensor is missing, left over, of another shape, or has
        a value that is no finite number.
    """
    found = {_unwrapped(name): stored for name, stored in read_tensors(path).items()}
    form, names = _fitting(architecture, found, path)
    places = {}
    for tensor in form:
        stored = found[names[tensor.name]]
        if stored.shape != tensor.shape:
            raise UsageError(
                f"{stored.path}: '{printable(stored.name)}' has shape {list(stored.shape)}; this architecture has "
                f"{list(tensor.shape)}"
            )
        for i, piece in enumerate(tensor.pieces):
            places[piece.weight.name] = stored, tensor, i
    read = Checkpoint(places)
    left = {name: found[name] for name in found.keys() - set(names.values()) if not name.endswith(_BUFFERS)}
    for name in [name for name in left if name.endswith(_HEADS) and architecture.tie_embedding]:
        _check_tied(left.pop(name), places["token_embedding.0.weight"][0])
    if left:
        raise UsageError(f"{path} has {_some(left)}, which this architecture does not have{_why(left)}")
    for stored in {id(place[0]): place[0] for place in places.values()}.values():
        stored.check()
    return read


def _unwrapped(name: str) -> str:
    for wrapper in _WRAPPERS:
        name = name.removeprefix(wrapper)
    return name.replace("/", ".")  # parameters of a Network


def _fitting(
    architecture: Architecture, found: Mapping[str, StoredTensor], path: Path
) -> tuple[list[Tensor], dict[str, str]]:
    """The form that most of the names are of, and under which name each of its tensors is found."""
    plain = [Tensor(weight.name, (Piece(weight),)) for weight in weights(architecture)]
    best: tuple[list[Tensor], dict[str, str]] = ([], {})
    for form in (*layouts(architecture), plain):
        names = {tensor.name: name for tensor in form if (name := _named(tensor.name, found)) is not None}
        if not best[0] or len(names) / len(form) > len(best[1]) / len(best[0]):
            best = form, names
    form, names = best
    missing = [tensor.name for tensor in form if tensor.name not in names]
    if len(missing) == len(form):
        has = f"has {_some(found)}" if found else "is empty"
        raise UsageError(f"{path} {has}, and no tensor of this architecture, such as '{missing[0]}'")
    if missing:
        more = "" if len(missing) == 1 else f", and {len(missing) - 1} more"
        raise UsageError(f"{path} lacks the tensor '{missing[0]}'{more}, which this architecture has")
    return form, names


def _named(name: str, found: Mapping[str, StoredTensor]) -> str | None:
    """The name under which a checkpoint has a tensor."""
    bare = name
    for body in _BODIES:
        bare = bare.removeprefix(body)
    also = _OUTPUTS if name in _OUTPUTS else ()
    return next((each for each in (name, bare, *(body + bare for body in _BODIES), *also) if each in found), None)


def _check_tied(head: StoredTensor, table: StoredTensor) -> None:
    """Raise `UsageError` unless a stored output layer is the embedding."""
    if not head.equals(table) and (
        head.shape != table.shape[::-1] or not np.array_equal(head.array().T, table.array())
    ):
        raise UsageError(
            f"{head.path}: '{printable(head.name)}' is not the token embedding, and this architecture ties both"
        )


def _why(left: Mapping[str, StoredTensor]) -> str:
    if any(".lora_" in name for name in left):
        return "; merge the adapter first, with merge_and_unload, and save the result"
    return ""


def _some(names: Mapping[str, StoredTensor]) -> str:
    shown = [f"'{printable(name)}'" for name in sorted(names)[:3]]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
