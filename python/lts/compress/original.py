"""The trained model that is compressed, read from a folder of Hugging Face or a GGUF file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.encodings import Array
from lts.export.gguf_read import read_gguf
from lts.export.gguf_tokenizer import StoredTokenizer
from lts.measure.models.gguf_file import GGUF_SUFFIX
from lts.measure.pretrained import is_pretrained, read_pretrained

# What Hugging Face's libraries and others write that runs code when it is read.
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")


@dataclass(frozen=True)
class Original:
    """A trained model.

    Attributes
    ----------
    path
        What the user named: a folder or a file.
    architecture
        What it is.
    weights
        float32 arrays by the names of `lts.weights`, each read when it is asked for.
    tokenizer
        The file of its tokenizer, in the form of Hugging Face's tokenizers; None where it has none, or none yet.
    stored_tokenizer
        The tokenizer in a GGUF file.
    """

    path: Path
    architecture: Architecture
    weights: Mapping[str, Array]
    tokenizer: Path | None = None
    stored_tokenizer: StoredTokenizer | None = None

    def with_tokenizer(self, folder: Path) -> Original:
        """The same with the tokenizer of a GGUF file as a file of its own, written into a folder.

        Raises
        ------
        UsageError
            When it is of a kind that is not known, or cannot be written.
        """
        if self.stored_tokenizer is None:
            return self
        try:
            return replace(self, tokenizer=self.stored_tokenizer.write(folder))
        except OSError as error:
            raise UsageError(f"cannot write the tokenizer into {folder}: {error.strerror or error}") from None


def read_original(path: str | Path) -> Original:
    """The trained model in a folder as `save_pretrained` writes it, with safetensors files, or in a GGUF file.

    Raises
    ------
    UsageError
        When there is none, it cannot be read, or it computes something that exported models would not.
    """
    path = Path(path)
    if not path.exists():
        raise UsageError(f"there is no model at {path}; expected a folder of Hugging Face or a GGUF file")
    if path.is_file():
        return _from_gguf(path)
    if not is_pretrained(path):
        raise UsageError(
            f"{path} has no config.json; expected the folder of a trained model, as save_pretrained writes it"
        )
    _check_form(path)
    model = read_pretrained(path)
    return Original(path, model.architecture, model.weights, model.tokenizer)


def _from_gguf(path: Path) -> Original:
    if path.suffix != GGUF_SUFFIX:
        raise UsageError(f"{path} is no GGUF file; expected one, or the folder of a trained model, with config.json")
    model = read_gguf(path)
    return Original(path, model.architecture, model.weights, stored_tokenizer=model.tokenizer)


def _check_form(folder: Path) -> None:
    """Raise `UsageError` for weights that are there as a pickle alone."""
    if any(folder.glob("*.safetensors")):
        return
    if found := sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern)):
        raise UsageError(
            f"{folder / found[0]} is a pickle, which may run any code when it is read; convert it where you trust it: "
            "from_pretrained, then save_pretrained(..., safe_serialization=True)"
        )
