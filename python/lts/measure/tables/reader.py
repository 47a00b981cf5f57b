"""Tables of architectures with what was found for them: one's own, and those of published benchmarks."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lts._core import Architecture, Family, families
from lts._core import family as family_of
from lts.errors import UsageError
from lts.system.outside import parse_json, read_bytes, unpacked

Row = Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """Architectures in the order of the file, and its numeric columns; a cell that is no number is NaN."""

    path: Path
    architectures: list[Architecture]
    columns: dict[str, list[float]]
    others: tuple[str, ...] = ()  # columns without a number

    def column(self, name: str) -> list[float]:
        """The values of a column. Raises `UsageError` naming the known ones."""
        if name in self.others:
            raise UsageError(f"{self.path} has no numbers in its column '{name}'")
        if name not in self.columns:
            raise UsageError(f"{self.path} has no column '{name}'; expected one of {', '.join(self.columns)}")
        return self.columns[name]


def read_table(path: Path, family: str | None = None) -> Table:
    """Read a CSV file, or trials as JSON Lines; either may be compressed with gzip.

    A row of CSV is an architecture in one of these forms: a column ``architecture`` with JSON (`Architecture.to_json`);
    the columns of LiteTransformerSearch's logs (``d_inner``, ``n_token``, ...), for which `family` is needed; those of
    HW-GPT-Bench (``embed_dim``, ``mlp_ratio``, ``bias``), plain unless `family` is ``hw_gpt_gated``; or those of
    FlexiBERT's (``hidden_size``, ``encoder_layers``), as described unless `family` is ``flexibert_official``.

    Raises
    ------
    UsageError
        When the file cannot be read, naming the line and column that are wrong.
    """
    try:
        text = unpacked(read_bytes(path), path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no CSV file: {error}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    names, rows = _trials(text, path) if text.lstrip().startswith("{") else _csv(text, path)
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise UsageError(f"{path} has more than one column '{twice[0]}'")
    if family is not None and family not in (known := [each.name for each in families()]):
        raise UsageError(f"unknown family '{family}'; expected one of {', '.join(known)}")
    build = _form(names, path, family)
    architectures, columns = [], {name: [] for name in names}  # type: tuple[list[Architecture], dict[str, list[float]]]
    for line, row in rows:
        if None in row.values():
            raise UsageError(f"{path}, line {line}: it has fewer columns than the first line")
        try:
            architectures.append(build(row))
        except KeyError as error:
            raise UsageError(f"{path}, line {line}: no column {error}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}, line {line}: {' '.join(str(error).split())}") from None
        if row.get("n_layer", "").isdigit() and int(row["n_layer"]) != architectures[-1].n_layer:
            raise UsageError(
                f"{path}, line {line}: n_layer is {row['n_layer']}, but {architectures[-1].n_layer} are listed"
            )
        for name in names:
            columns[name].append(_number(row[name]))
    if not architectures:
        raise UsageError(f"{path} has no rows")
    numeric = {name: values for name, values in columns.items() if not all(map(math.isnan, values))}
    return Table(path, architectures, numeric, tuple(name for name in names if name not in numeric))


def _csv(text: str, path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Names of the columns, and rows with their lines."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        return list(reader.fieldnames or []), [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV file: {error}") from None


def _trials(text: str, path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The same of trials, one record in each line: their architectures and values."""
    rows = []
    for line, record in enumerate(text.splitlines(), 1):
        try:
            trial = parse_json(record)
            values = {str(name): str(value) for name, value in trial["values"].items()}
            rows.append((line, {"architecture": json.dumps(trial["architecture"]), **values}))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError(f"{path}, line {line}: no trial with 'architecture' and 'values' in JSON") from None
    names = list(dict.fromkeys(name for _, row in rows for name in row))
    return names, [(line, {name: row.get(name, "") for name in names}) for line, row in rows]


def _form(names: object, path: Path, family: str | None) -> Callable[[Row], Architecture]:
    found = set(names) if isinstance(names, list | tuple) else set()
    if "architecture" in found:
        return lambda row: Architecture.from_json(row["architecture"])
    if {"d_inner", "n_token"} <= found:
        if family is None:
            raise UsageError(f"{path} does not say of what family its architectures are: name it with --family")
        return lambda row: _of_lts(row, family)
    if {"embed_dim", "mlp_ratio"} <= found:
        chosen = _chosen(path, family, ["hw_gpt", "hw_gpt_gated"])
        return lambda row: _of_hwgpt(row, chosen == "hw_gpt_gated")
    if {"hidden_size", "encoder_layers"} <= found:
        traits = family_of(_chosen(path, family, ["flexibert", "flexibert_official"]))
        return lambda row: _of_flexibert(row, traits)
    raise UsageError(
        f"{path} has no architectures: expected a column 'architecture' with JSON, trials as JSON Lines, or the "
        "columns of LiteTransformerSearch (d_inner, n_token, ...), HW-GPT-Bench (embed_dim, mlp_ratio, ...) or "
        "FlexiBERT (hidden_size, encoder_layers)"
    )


def _chosen(path: Path, family: str | None, allowed: list[str]) -> str:
    if family is not None and family not in allowed:
        raise UsageError(f"{path} is a table of {' or '.join(allowed)}, not of {family}")
    return family or allowed[0]


def _of_lts(row: Row, family: str) -> Architecture:
    return Architecture(
        family,
        vocab_size=int(row["n_token"]),
        n_positions=int(row["tgt_len"]),
        d_model=int(row["d_model"]),
        n_head=parse_json(row["n_head"]),
        d_ff=parse_json(row["d_inner"]),
        d_embed=int(row["d_embed"]),
        div_val=int(row["div_val"]),
        cutoffs=parse_json(row["cutoffs"]),
        tie_projs=parse_json(row["tie_projs"]),
    )


_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def _of_hwgpt(row: Row, gated: bool) -> Architecture:
    """Heads are 64 wide whatever the model's width; biases are the table's to choose (Sukthanker et al. 2024)."""
    d_model, spelled = int(row["embed_dim"]), row["bias"].strip().lower()
    if spelled not in _TRUE and spelled not in _FALSE:
        raise ValueError(f"bias is '{row['bias']}'; expected 1 or 0")
    bias = spelled in _TRUE
    return Architecture(
        ("hw_gpt_gated_bias" if bias else "hw_gpt_gated") if gated else ("gpt2" if bias else "hw_gpt"),
        vocab_size=50254,
        n_positions=1024,
        d_model=d_model,
        head_dim=64,
        n_head=parse_json(row["n_head"]),
        d_ff=[_ratio(ratio) * d_model for ratio in parse_json(row["mlp_ratio"])],
    )


def _ratio(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):  # a text or a list would be repeated
        raise ValueError(f"mlp_ratio must be a list of integers, got {value!r}")
    return value


_LAYER = {
    *("operation_type", "operation_parameter", "num_operation_heads"),
    *("feed_forward_dimension", "num_feed_forward"),
}
_MIXERS = {
    ("SA", "SDP"): "attention",
    ("SA", "WMA"): "weighted_attention",
    ("LT", "DFT"): "fourier",
    ("LT", "DCT"): "cosine",
    ("DSC", "5"): "convolution_5",
    ("DSC", "9"): "convolution_9",
}


def _of_flexibert(row: Row, traits: Family) -> Architecture:
    """With the vocabulary and positions of ELECTRA, on which the models are built (Serianni and Kalita 2023)."""
    layers = parse_json(row["encoder_layers"])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and layer.keys() >= _LAYER for layer in layers):
        raise ValueError(f"encoder_layers must be a list of objects with {', '.join(sorted(_LAYER))}")
    mixers = []
    for layer in layers:
        kind = (layer["operation_type"], str(layer["operation_parameter"]))
        if kind not in _MIXERS:
            raise ValueError(f"unknown operation {kind[0]} with {kind[1]}")
        mixers.append(_MIXERS[kind])
    return Architecture(
        traits.name,
        vocab_size=30522,
        n_positions=512,
        d_model=traits.only_d_model or int(row["hidden_size"]),
        n_head=[layer["num_operation_heads"] for layer in layers],
        d_ff=[traits.only_d_ff or layer["feed_forward_dimension"] for layer in layers],
        mixer=mixers,
        n_ff=[layer["num_feed_forward"] for layer in layers],
    )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
