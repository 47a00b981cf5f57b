"""What candidates are compiled for and measured as: a processor, threads and a precision."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from lts import machine
from lts.errors import UsageError
from lts.toml_file import check_keys, integer, read_toml

SCHEMA = 1
PRECISIONS = ("float32", "float16", "int8", "int4")
KINDS = ("cpu", "gpu")


@dataclass(frozen=True)
class Target:
    """A profile of what we compile for.

    Parameters
    ----------
    name
        How the profile is called in tables and records.
    triple
        Architecture, system and C library, for example ``aarch64-linux-gnu``.
    cpu
        The processor, as LLVM calls it where a compiler has to know it.
    cores
        Physical cores that may be used.
    threads
        Threads that run a model, at most `cores`.
    features
        Instruction set extensions.
    precision
        Of weights and activations: one of `PRECISIONS`.
    kind
        One of `KINDS`.
    memory_mib
        Memory that a model may use; None when unknown.
    l1d_kib, l2_kib, l3_kib
        Data caches that one core uses; None when unknown.
    source
        Where these facts come from.

    Raises
    ------
    UsageError
        For a value of the wrong type or out of range.
    """

    name: str
    triple: str
    cpu: str
    cores: int
    threads: int = 1
    features: tuple[str, ...] = ()
    precision: str = "float32"
    kind: str = "cpu"
    memory_mib: int | None = None
    l1d_kib: int | None = None
    l2_kib: int | None = None
    l3_kib: int | None = None
    source: str = ""

    def __post_init__(self) -> None:
        _check(asdict(self), f"target '{self.name}'")

    def to_toml(self) -> str:
        """The profile as a file for `load_target`."""
        lines = [f"schema = {SCHEMA}"]
        for key, value in asdict(self).items():
            if value is not None:
                # TOML's basic strings are those of JSON, but for one character that TOML wants escaped.
                text = json.dumps(list(value) if key == "features" else value, ensure_ascii=False)
                lines.append(f"{key} = {text}".replace("\x7f", "\\u007f"))
        return "\n".join(lines) + "\n"


_FIELDS = tuple(field.name for field in fields(Target))
_TOP = ("schema", "detect", *_FIELDS)
_REQUIRED = ("triple", "cpu", "cores")
_POSITIVE = ("cores", "threads", "memory_mib", "l1d_kib", "l2_kib", "l3_kib")
_OPTIONAL = ("memory_mib", "l1d_kib", "l2_kib", "l3_kib")


def target_names() -> list[str]:
    """Names of the targets that come with lts-engine."""
    folder = resources.files("lts") / "targets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_target(name_or_path: str | Path) -> Target:
    """Load a target by name (see `target_names`) or from a TOML file.

    A file with ``detect = true`` says only what is not as detected on this machine.

    Raises
    ------
    UsageError
        Naming the file and the key that is wrong, with what is allowed.
    """
    path = _target_file(name_or_path)
    where = str(path)
    document = read_toml(path)
    check_keys(document, _TOP, where)
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise UsageError(f"{where}: schema is {schema!r}; this version reads schema {SCHEMA}")
    detects = document.get("detect", False)
    if not isinstance(detects, bool):
        raise UsageError(f"{where}: 'detect' must be true or false, got {detects!r}")
    given = {key: value for key, value in document.items() if key in _FIELDS}
    if not detects and (missing := [key for key in _REQUIRED if key not in given]):
        raise UsageError(f"{where}: '{missing[0]}' is missing; needed: {', '.join(_REQUIRED)}, or detect = true")
    values: dict[str, Any] = {"name": path.stem, **(asdict(detect()) if detects else {}), **given}
    if detects and "name" not in given:
        values["name"] = path.stem
    if isinstance(values.get("features"), list):
        values["features"] = tuple(values["features"])
    _check(values, where)
    return Target(**values)


def detect(root: Path = machine.ROOT) -> Target:
    """This machine as a target with one thread, as far as this process may use it."""
    cpus = machine.allowed_cpus()
    caches = machine.caches_kib(cpus[-1], root)
    return Target(
        name="host",
        triple=machine.triple(),
        cpu=machine.cpu_model(root),
        cores=machine.cores(cpus, root),
        features=machine.cpu_features(root),
        memory_mib=machine.memory_mib(root),
        l1d_kib=caches.get(1),
        l2_kib=caches.get(2),
        l3_kib=caches.get(3),
        source="detected from /proc and /sys",
    )


def _target_file(name_or_path: str | Path) -> Path:
    path = Path(name_or_path)
    known = ", ".join(target_names())
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UsageError(f"no target file {path}; expected the path of a TOML file or one of {known}")
        return path
    if str(name_or_path) not in target_names():
        raise UsageError(f"unknown target '{name_or_path}'; expected one of {known}, or a TOML file")
    return Path(str(resources.files("lts") / "targets" / f"{name_or_path}.toml"))


def _check(values: Mapping[str, Any], where: str) -> None:
    """Types and ranges of the fields. Raises `UsageError` for the first that is wrong."""
    for key in ("name", "triple", "cpu", "precision", "kind", "source"):
        value = values.get(key, "")
        if not isinstance(value, str):
            raise UsageError(f"{where}: '{key}' must be a string, got {value!r}")
        if not value and key in ("name", "triple", "cpu") and key in values:
            raise UsageError(f"{where}: '{key}' must not be empty")
    for key in _POSITIVE:
        value = values.get(key, 1)
        if value is None and key in _OPTIONAL:
            continue
        if integer(value, f"{where}, '{key}'") < 1:
            raise UsageError(f"{where}: '{key}' is {value}; it must be at least 1")
    features = values.get("features", ())
    if not isinstance(features, tuple) or not all(isinstance(feature, str) for feature in features):
        raise UsageError(f"{where}: 'features' must be a list of strings, got {features!r}")
    for key, known in (("precision", PRECISIONS), ("kind", KINDS)):
        if values.get(key, known[0]) not in known:
            raise UsageError(f"{where}: unknown {key} {values[key]!r}; expected one of {', '.join(known)}")
    if values.get("threads", 1) > values["cores"]:
        raise UsageError(f"{where}: 'threads' is {values['threads']}; the target has {values['cores']} cores")
