"""An architecture that a user names: a file, a folder of a model, or a trial of a study."""

from __future__ import annotations

from pathlib import Path

from lts._core import Architecture
from lts.errors import UsageError
from lts.export.gguf import GGUF_FILE
from lts.export.gguf_file import GgufFile
from lts.export.gguf_metadata import read_architecture
from lts.spaces.huggingface import architecture_of
from lts.study.schema import STORE_NAME, store_path
from lts.study.store import Store
from lts.system.outside import parse_json, read_bytes

_MOST = 16 << 20
# What a folder of a model has: ours first, which says most.
_FILES = ("architecture.json", "config.json")


def is_architecture_folder(path: Path) -> bool:
    """Whether a folder has a file that says its architecture."""
    return any((path / name).is_file() for name in _FILES)


def load_architecture(text: str) -> Architecture:
    """The architecture in a file (its JSON, Hugging Face's `config.json`, or GGUF), in a folder, or ``STUDY#ID``.

    Raises
    ------
    UsageError
        When it is none of these, saying why.
    """
    study, hash_sign, key = text.rpartition("#")
    if hash_sign and key.isdigit() and not Path(text).exists():
        with Store(store_path(Path(study))) as store:
            for trial in store.trials():
                if trial.id == int(key):
                    return trial.architecture
            raise UsageError(f"{study} has no trial {key}")
    path = Path(text)
    if path.suffix == ".db" or (path / STORE_NAME).is_file():
        raise UsageError(f"{path} is a study, and one architecture is needed: name a trial of it, as in {path}#0")
    if path.is_dir():
        found = next((path / name for name in _FILES if (path / name).is_file()), None)
        if found is None:
            raise UsageError(f"{path} has neither architecture.json nor config.json; expected the folder of a model")
        path = found
    if path.suffix == Path(GGUF_FILE).suffix:
        return read_architecture(GgufFile(path))[0]
    try:
        return _read(read_bytes(path, _MOST).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected an architecture file or STUDY#ID") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; expected the JSON of an architecture") from None
    except UsageError as error:
        raise UsageError(_placed(path, error.args[0])) from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _read(text: str) -> Architecture:
    try:
        config = parse_json(text)
    except ValueError:
        config = None  # the core says where the text is wrong
    if isinstance(config, dict) and "model_type" in config:
        return architecture_of(config)
    return Architecture.from_json(text)


def _placed(path: Path, message: str) -> str:
    return message if str(path) in message else f"{path}: {message}"
