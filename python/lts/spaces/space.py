"""Search spaces by name or from a TOML file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from lts._core import SearchSpace, families
from lts.errors import UsageError
from lts.system.names import RULE, check_name, is_name
from lts.system.toml_file import check_keys, integer, read_toml, table_at

SCHEMA = 1

_TOP = ("schema", "name", "description", "family", "fixed", "choices", "rules")
FIXED = (
    *("vocab_size", "n_positions", "head_dim", "cutoffs", "tie_projs", "tie_embedding", "rotary_theta", "norm_epsilon"),
    *("rotary_dim", "rotary_scaling", "qkv_bias", "attention_output_bias", "feed_forward_bias"),
)
_SCALING = ("factor", "low_freq_factor", "high_freq_factor", "original_positions")
CHOICES = (
    *("n_layer", "d_model", "n_head", "n_kv_head", "heads", "head_dim", "d_ff", "d_ff_ratio", "bias"),
    *("d_embed", "div_val"),
)
_REQUIRED_CHOICES = ("n_layer", "d_model", "n_head", "d_ff")
_INSTEAD = {"n_head": "heads", "d_ff": "d_ff_ratio"}  # what may be given in their place
_BIASES = ("qkv_bias", "attention_output_bias", "feed_forward_bias")
SHARED = ("n_head", "n_kv_head", "d_ff")
RULES = ("shared", "min_ff_ratio", "max_ff_ratio", "head_dims", "decoder_params", "total_params")
_RANGE = ("min", "max", "step")
_MAX_CHOICES = 65_535


def space_names() -> list[str]:
    """Names of the spaces that come with lts-engine."""
    folder = resources.files("lts") / "spaces"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def space_file(name_or_path: str | Path) -> Path:
    """The file of a named space, or the given path.

    Raises
    ------
    UsageError
        When there is no space of that name and no such file.
    """
    path = Path(name_or_path)
    if (path / "study.db").is_file() or path.suffix == ".db":
        raise UsageError(
            f"'{path}' is a study, and here a search space is needed: one of {_known()}, or a TOML file; to resume a "
            "study, repeat its command"
        )
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise UsageError(f"no space file {path}; expected the path of a TOML file or one of {_known()}")
        return path
    if str(name_or_path) not in space_names():
        raise UsageError(f"unknown search space '{name_or_path}'; expected one of {_known()}, or a TOML file")
    return Path(str(resources.files("lts") / "spaces" / f"{name_or_path}.toml"))


def describe_space(name_or_path: str | Path) -> str:
    """The one-line description that the file of the space gives."""
    return str(read_toml(space_file(name_or_path)).get("description", ""))


def load_space(name_or_path: str | Path) -> SearchSpace:
    """Load a space by name (see `space_names`) or from a TOML file.

    Raises
    ------
    UsageError
        Naming the file and the key that is wrong, with what is allowed.
    """
    path = space_file(name_or_path)
    options = _options(read_toml(path), str(path), default_name=path.stem)
    try:
        return SearchSpace(**options)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def choices(space: SearchSpace) -> dict[str, list[int]]:
    """The choices of every dimension of an architecture: of ``d_ff`` those that go with any ``d_model``, and where the
    space has pairs of heads those that any pair has.

    ``head_dim`` is 0 where it follows from the number of heads, ``n_kv_head`` has no choices where it is ``n_head``,
    and biases have none where the space fixes them.
    """
    options = space.options
    own = ("n_layer", "d_model", "n_head", "n_kv_head", "d_ff", "d_embed", "div_val")
    found = {name: options[name] for name in own}
    if pairs := options["heads"]:
        found["n_head"], found["n_kv_head"] = (sorted(set(each)) for each in zip(*pairs, strict=True))
    if options["d_ff_ratio"]:
        found["d_ff"] = sorted({width for d_model in options["d_model"] for width in space.d_ff_choices(d_model)})
    found["head_dim"] = options["head_dim"] if isinstance(options["head_dim"], list) else [options["head_dim"]]
    parts = [bias if isinstance(bias, tuple) else (bias,) * len(_BIASES) for bias in options["bias"]]
    return found | {name: sorted({part[i] for part in parts}) for i, name in enumerate(_BIASES)}


def _known() -> str:
    return ", ".join(space_names())


def _options(document: Mapping[str, Any], where: str, default_name: str) -> dict[str, Any]:
    check_keys(document, _TOP, where)
    schema = document.get("schema", SCHEMA)
    if schema != SCHEMA:
        raise UsageError(f"{where}: schema is {schema!r}; this version reads schema {SCHEMA}")
    family = document.get("family")
    known = [f.name for f in families() if not f.encoder]
    if family not in [f.name for f in families()]:
        problem = "'family' is missing" if family is None else f"unknown family {family!r}"
        raise UsageError(f"{where}: {problem}; expected one of {', '.join(known)}")
    options: dict[str, Any] = {"name": _name(document, where, default_name), "family": family}
    _string(document, "description", where, "")
    options |= _fixed(table_at(document, "fixed", where), f"{where}, [fixed]")
    found = _choices(table_at(document, "choices", where), f"{where}, [choices]")
    if "head_dim" in options and "head_dim" in found:
        raise UsageError(f"{where}: 'head_dim' is in [fixed] and in [choices]; give one of them")
    options |= found
    options |= _rules(table_at(document, "rules", where), f"{where}, [rules]")
    return options


def _name(document: Mapping[str, Any], where: str, stem: str) -> str:
    """The name that the file gives, or its own."""
    if "name" in document:
        return check_name(_string(document, "name", where, ""), f"{where}: 'name'")
    if not is_name(stem):
        raise UsageError(f"{where!r}: its file's name is {stem!r}; {RULE}, or give it a 'name'")
    return stem


def _string(table: Mapping[str, Any], key: str, where: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise UsageError(f"{where}: '{key}' must be a string, got {value!r}")
    return value


def _fixed(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    check_keys(table, FIXED, where)
    options: dict[str, Any] = {}
    for key in ("vocab_size", "n_positions", "head_dim", "rotary_dim"):
        if key in table:
            options[key] = integer(table[key], f"{where}, '{key}'")
    if "cutoffs" in table:
        options["cutoffs"] = [integer(v, f"{where}, 'cutoffs'") for v in _list(table["cutoffs"], f"{where}, 'cutoffs'")]
    if "tie_projs" in table:
        options["tie_projs"] = [
            _bool(v, f"{where}, 'tie_projs'") for v in _list(table["tie_projs"], f"{where}, 'tie_projs'")
        ]
    for key in ("tie_embedding", "qkv_bias", "attention_output_bias", "feed_forward_bias"):
        if key in table:
            options[key] = _bool(table[key], f"{where}, '{key}'")
    for key in ("rotary_theta", "norm_epsilon"):
        if key in table:
            options[key] = _number(table[key], f"{where}, '{key}'")
    if "rotary_scaling" in table:
        options["rotary_scaling"] = _scaling(table["rotary_scaling"], f"{where}, 'rotary_scaling'")
    return options


def _scaling(value: Any, where: str) -> dict[str, float | int]:
    if not isinstance(value, dict) or set(value) - set(_SCALING) or set(_SCALING) - set(value):
        raise UsageError(f"{where}: expected a table with {', '.join(_SCALING[:-1])} and {_SCALING[-1]}, got {value!r}")
    *factors, positions = _SCALING
    return {
        **{key: _number(value[key], f"{where}, '{key}'") for key in factors},
        positions: integer(value[positions], f"{where}, '{positions}'"),
    }


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(f"{where}: expected a number, got {value!r}")
    return float(integer(value, where) if isinstance(value, int) else value)


def _choices(table: Mapping[str, Any], where: str) -> dict[str, list[Any]]:
    check_keys(table, CHOICES, where)
    for key in _REQUIRED_CHOICES:
        if key not in table and _INSTEAD.get(key) not in table:
            raise UsageError(f"{where}: '{key}' is missing; needed: {', '.join(_REQUIRED_CHOICES)}")
    return {key: _READ[key](value, f"{where}, '{key}'") for key, value in table.items()}


def _pair_list(value: Any, where: str) -> list[tuple[int, int]]:
    """Pairs from a list of two integers each."""
    pairs = [[integer(v, where) for v in _list(pair, where)] for pair in _list(value, where)]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise UsageError(f"{where}: expected pairs of n_head and n_kv_head such as [[9, 3], [6, 2]], got {value!r}")
    return [(n_head, n_kv_head) for n_head, n_kv_head in pairs]


def _number_list(value: Any, where: str) -> list[float]:
    numbers = [_number(v, where) for v in (value if isinstance(value, list) else [value])]
    if not numbers:
        raise UsageError(f"{where}: no choices; give at least one")
    return numbers


def _bias_list(value: Any, where: str) -> list[bool | tuple[bool, ...]]:
    """Each for all parts of an architecture, or one for each of them."""
    choices = value if isinstance(value, list) else [value]
    parts = [each if isinstance(each, list) else [each] for each in choices]
    if not parts or any(len(each) not in (1, 3) or not all(isinstance(v, bool) for v in each) for each in parts):
        raise UsageError(
            f"{where}: expected true, false, or three of them for {', '.join(_BIASES)}, such as "
            f"[false, [true, false, false]], got {value!r}"
        )
    return [tuple(each) if len(each) == 3 else each[0] for each in parts]


def _choice_list(value: Any, where: str) -> list[int]:
    """Integers from one integer, a list, or {min, max, step}."""
    if isinstance(value, dict):
        check_keys(value, _RANGE, where)
        if "min" not in value or "max" not in value:
            raise UsageError(f"{where}: a range needs 'min' and 'max', for example {{min = 2, max = 16, step = 2}}")
        low, high = integer(value["min"], where), integer(value["max"], where)
        step = integer(value.get("step", 1), where)
        if step < 1 or low > high:
            raise UsageError(f"{where}: a range needs min <= max and step >= 1, got {low} to {high} step {step}")
        if (high - low) // step >= _MAX_CHOICES:
            raise UsageError(f"{where}: more than {_MAX_CHOICES} choices; use a larger step")
        return list(range(low, high + 1, step))
    if isinstance(value, list):
        if not value:
            raise UsageError(f"{where}: no choices; give at least one")
        return [integer(v, where) for v in value]
    return [integer(value, where)]


_READ: Mapping[str, Callable[[Any, str], list[Any]]] = {
    **dict.fromkeys(CHOICES, _choice_list),
    "heads": _pair_list,
    "d_ff_ratio": _number_list,
    "bias": _bias_list,
}


def _rules(table: Mapping[str, Any], where: str) -> dict[str, Any]:
    check_keys(table, RULES, where)
    options: dict[str, Any] = {}
    for name in _list(table.get("shared", []), f"{where}, 'shared'"):
        if name not in SHARED:
            raise UsageError(f"{where}, 'shared': unknown dimension {name!r}; allowed: {', '.join(SHARED)}")
        options[f"shared_{name}"] = True
    for key in ("min_ff_ratio", "max_ff_ratio"):
        if key in table:
            options[key] = _number(table[key], f"{where}, '{key}'")
    if "head_dims" in table:
        options["head_dims"] = _choice_list(table["head_dims"], f"{where}, 'head_dims'")
    for key in ("decoder_params", "total_params"):
        if key in table:
            bounds = table[key]
            if not isinstance(bounds, dict):
                raise UsageError(f"{where}, '{key}': expected a table such as {{min = 1000000, max = 30000000}}")
            check_keys(bounds, ("min", "max"), f"{where}, '{key}'")
            low, high = (integer(bounds[k], f"{where}, '{key}'") if k in bounds else None for k in ("min", "max"))
            options[key] = (low, high)
    return options


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"{where}: expected a list, got {value!r}")
    return value


def _bool(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{where}: expected true or false, got {value!r}")
    return value
