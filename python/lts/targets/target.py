"""What candidates are compiled for and measured with: a processor, threads and a precision."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any

from lts.errors import UsageError
from lts.system import machine
from lts.system.names import check_name
from lts.system.outside import sentence
from lts.system.toml_file import check_keys, integer, number, read_toml
from lts.targets.assumptions import Assumptions, check_assumptions, read_assumptions
from lts.targets.calibration import Calibration, read_calibration

SCHEMA = 1
PRECISIONS = ("float32", "float16", "int8", "int4")
KINDS = ("cpu", "gpu")


@dataclass(frozen=True)
class Target:
    """A profile of what we compile for.

    Parameters
    ----------
    name
        Name of the profile in tables and records.
    triple
        Architecture, system and C library, for example ``aarch64-linux-gnu``; of a gpu, those of its host.
    cpu
        Processor, by LLVM's name where a compiler needs it; of a gpu, for example ``sm_80``.
    cores
        Physical cores that may be used; of a gpu, its multiprocessors.
    threads
        Threads that run a model, at most `cores`. A gpu always uses all of its own.
    features
        Instruction set extensions.
    precision
        Precision of weights and activations: one of `PRECISIONS`.
    kind
        One of `KINDS`.
    memory_mib
        Memory that a model may use; None when unknown.
    l1d_kib, l2_kib, l3_kib
        Data caches that one core uses; None when unknown.
    frequency_mhz
        Clock of a core under load; None when unknown.
    flops_per_cycle
        Float32 operations that a core can do in a cycle, a multiply-add being two; None when unknown.
    bandwidth_gib_s
        Sustained bandwidth of the memory, in GiB/s; None when unknown.
    core_bandwidth_gib_s
        Bandwidth that one core can use, in GiB/s; None when that is all of it.
    source
        Where these facts come from.
    estimate
        What estimates assume about compiled models.
    calibration
        Costs measured on such a device, for predictions; None when there are none.

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
    frequency_mhz: int | None = None
    flops_per_cycle: int | None = None
    bandwidth_gib_s: float | None = None
    core_bandwidth_gib_s: float | None = None
    source: str = ""
    estimate: Assumptions = field(default_factory=Assumptions)
    calibration: Calibration | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        _check({key: getattr(self, key) for key in _FIELDS}, f"target '{sentence(self.name, 100)}'")

    def to_toml(self) -> str:
        """The profile as a file for `load_target`."""
        return "\n".join(_toml_lines("", {"schema": SCHEMA, **asdict(self)})) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """The profile as values for JSON, to be read by `from_dict`; unknown fields are left out."""
        return dict(_known(asdict(self)))

    @staticmethod
    def from_dict(record: Mapping[str, Any]) -> Target:
        """The inverse of `to_dict`. Raises `UsageError` for anything else."""
        if not isinstance(record, Mapping):
            raise UsageError(f"the stored target is {_shown(record)}; expected a table")
        return _target(record, None, "the stored target")


# Programs are called after the triple; the cpu and the features are arguments of compilers.
_TEXTS = {
    "cpu": (
        re.compile(r"[A-Za-z0-9(][A-Za-z0-9 ()@.,:+_-]{0,199}"),
        "a name such as cortex-a72, of letters, digits and ()@.,:+_-",
    ),
    "source": (re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{0,4000}"), "up to 4000 characters of text"),
}
_FEATURE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}")
_MOST_FEATURES = 512
_MOST_CORES = 1 << 20
_MOST = 1 << 40
_FIELDS = tuple(each.name for each in fields(Target))
_TOP = ("schema", "detect", "like", *_FIELDS)
_REQUIRED = ("triple", "cpu", "cores")
_OPTIONAL_SIZES = ("memory_mib", "l1d_kib", "l2_kib", "l3_kib", "frequency_mhz", "flops_per_cycle")
_MEASURED_WITH = ("cpu", "frequency_mhz")
_BANDWIDTHS = ("bandwidth_gib_s", "core_bandwidth_gib_s")


def target_names() -> list[str]:
    """Names of the targets that come with lts-engine."""
    folder = resources.files("lts") / "targets"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_target(name_or_path: str | Path) -> Target:
    """Load a target by name (see `target_names`) or from a TOML file.

    A file with ``detect = true`` gives only what differs from this machine as detected, one with ``like = "NAME"`` only
    what differs from the target of that name.

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
    return _target({"name": path.stem, **document}, _base(document, where), where)


def _target(document: Mapping[str, Any], base: Target | None, where: str) -> Target:
    """A target from a document; `base` supplies what the document leaves out."""
    given = {key: value for key, value in document.items() if key in _FIELDS}
    if base is None and (missing := [key for key in _REQUIRED if key not in given]):
        raise UsageError(
            f"{where}: '{missing[0]}' is missing; needed: {', '.join(_REQUIRED)}, or detect = true, or like = \"NAME\""
        )
    before = {key: getattr(base, key) for key in _FIELDS} if base is not None else {}
    values: dict[str, Any] = {**before, **given}
    if isinstance(values.get("features"), list):
        values["features"] = tuple(values["features"])
    assumptions = Assumptions() if base is None else base.estimate
    if any(values.get(key) != before.get(key) for key in _MEASURED_WITH):
        assumptions = replace(assumptions, published=None)  # it was measured with another processor
    values["estimate"] = read_assumptions(document, assumptions, where)
    values["calibration"] = read_calibration(document, base.calibration if base is not None else None, where)
    _check(values, where)
    return Target(**values)


def detect_target(root: Path = machine.ROOT) -> Target:
    """This machine, as far as this process may use it, as a target with one thread."""
    cpus = machine.allowed_cpus()
    caches = machine.caches_kib(cpus[-1], root)
    cpu, features = machine.cpu_model(root), machine.cpu_features(root)
    return Target(
        name="host",
        triple=machine.triple(),
        cpu=" ".join(re.sub(r"[^A-Za-z0-9 ()@.,:+_-]", " ", cpu).split())[:200].lstrip(" @.,:+_-)") or "unknown",
        cores=machine.cores(cpus, root),
        features=tuple(feature for feature in features if _FEATURE.fullmatch(feature)),
        memory_mib=machine.memory_mib(root),
        l1d_kib=caches.get(1),
        l2_kib=caches.get(2),
        l3_kib=caches.get(3),
        frequency_mhz=machine.frequency_mhz(cpus[-1], root),
        flops_per_cycle=machine.flops_per_cycle(cpu, features),
        source="detected from /proc and /sys; operations per cycle assume the vector pipes usual for the features",
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


def _base(document: Mapping[str, Any], where: str) -> Target | None:
    """What a file starts from: this machine, another target, or nothing."""
    detects, like = document.get("detect", False), document.get("like")
    if not isinstance(detects, bool):
        raise UsageError(f"{where}: 'detect' must be true or false, got {detects!r}")
    if like is None:
        return detect_target() if detects else None
    if detects:
        raise UsageError(f"{where}: 'detect' and 'like' exclude each other")
    if like not in target_names():
        raise UsageError(f"{where}: 'like' is {like!r}; expected one of {', '.join(target_names())}")
    return load_target(str(like))


def _known(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            if inner := dict(_known(value)):
                yield key, inner
        elif value is not None:
            yield key, list(value) if isinstance(value, tuple) else value


def _toml_lines(path: str, table: Mapping[str, Any]) -> list[str]:
    """A table as TOML, its sub-tables last and only where they hold anything."""
    lines, tables = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{path}.{key}" if path else key
            inner = _toml_lines(name, value)
            tables += ["", f"[{name}]", *inner] if inner else []
        elif value is not None:
            # TOML's basic strings are those of JSON, but for one character that TOML wants escaped.
            text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
            lines.append(f"{key} = {text}".replace("\x7f", "\\u007f"))
    return lines + tables


def _shown(value: Any) -> str:
    try:
        return sentence(repr(value), 100)
    except ValueError:
        return "a number of thousands of digits"


def _check(values: Mapping[str, Any], where: str) -> None:
    """Check types and ranges of the fields. Raises `UsageError` for the first that is wrong."""
    for key in ("name", "triple", "cpu", "precision", "kind", "source"):
        value = values.get(key, "")
        if not isinstance(value, str):
            raise UsageError(f"{where}: '{key}' must be a string, got {_shown(value)}")
        if not value and key in ("name", "triple", "cpu") and key in values:
            raise UsageError(f"{where}: '{key}' must not be empty")
    if "name" in values:
        check_name(values["name"], f"{where}: 'name'")
    for key, (pattern, expected) in _TEXTS.items():
        if key in values and pattern.fullmatch(values[key]) is None:
            raise UsageError(f"{where}: '{key}' is {_shown(values[key])}; expected {expected}")
    if not machine.is_triple(values["triple"]):
        raise UsageError(f"{where}: 'triple' is {_shown(values['triple'])}; expected one such as aarch64-linux-gnu")
    for key in ("cores", "threads", *_OPTIONAL_SIZES):
        value = values.get(key, 1)
        if value is None and key in _OPTIONAL_SIZES:
            continue
        most = _MOST if key in _OPTIONAL_SIZES else _MOST_CORES
        if not 1 <= integer(value, f"{where}, '{key}'") <= most:
            raise UsageError(f"{where}: '{key}' is {_shown(value)}; it must be at least 1 and at most {most}")
    for key in _BANDWIDTHS:
        if values.get(key) is not None:
            number(values[key], f"{where}: '{key}'", above=0)
    features = values.get("features", ())
    if not isinstance(features, tuple) or not all(isinstance(feature, str) for feature in features):
        raise UsageError(f"{where}: 'features' must be a list of strings, got {_shown(features)}")
    if len(features) > _MOST_FEATURES:
        raise UsageError(f"{where}: 'features' has {len(features)} entries; expected at most {_MOST_FEATURES}")
    for feature in features:
        if _FEATURE.fullmatch(feature) is None:
            raise UsageError(f"{where}: 'features' has {_shown(feature)}; expected names such as avx512f or sve2")
    for key, known in (("precision", PRECISIONS), ("kind", KINDS)):
        if values.get(key, known[0]) not in known:
            raise UsageError(f"{where}: unknown {key} {values[key]!r}; expected one of {', '.join(known)}")
    if values.get("threads", 1) > values["cores"]:
        raise UsageError(f"{where}: 'threads' is {values['threads']}; the target has {values['cores']} cores")
    check_assumptions(values["estimate"], where)
    calibration = values.get("calibration")
    if calibration is not None and not isinstance(calibration, Calibration):
        raise UsageError(f"{where}: 'calibration' must be lts.targets.calibration.Calibration, got {calibration!r}")
