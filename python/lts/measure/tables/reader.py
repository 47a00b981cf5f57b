"""Tables of architectures with what was found for them: your own, and those of published benchmarks."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lts._core import Architecture, families
from lts.errors import UsageError
from lts.measure.tables import flexibert, hwgpt, litetransformersearch
from lts.measure.tables.form import Form, Row
from lts.system.outside import parse_json, read_bytes, unpacked

# The published forms: a new one is a file and a row here.
FORMS = (litetransformersearch.FORM, hwgpt.FORM, flexibert.FORM)
_ARCHITECTURE, _VALUES = "architecture.", "values."  # beginnings of columns of trials in CSV


@dataclass(frozen=True)
class Table:
    """Architectures in the order of the file, and its numeric columns; a cell that is no number is NaN."""

    path: Path
    architectures: list[Architecture]
    columns: dict[str, list[float]]
    others: tuple[str, ...] = ()  # columns without a number

    def column(self, name: str) -> list[float]:
        """The values of a column, by its name or that in CSV of trials. Raises `UsageError` naming the known ones."""
        if name.startswith(_VALUES) and name not in self.columns and name not in self.others:
            name = name.removeprefix(_VALUES)
        if name in self.others:
            raise UsageError(f"{self.path} has no numbers in its column '{name}'")
        if name not in self.columns:
            raise UsageError(f"{self.path} has no column '{name}'; expected one of {', '.join(self.columns)}")
        return self.columns[name]


def read_table(path: Path, family: str | None = None) -> Table:
    """Read a CSV file, or trials as JSON Lines; either may be compressed with gzip.

    A row of CSV is an architecture in one of these forms: trials as ``front -o csv`` prints them; a column
    ``architecture`` with JSON (`Architecture.to_json`); the columns of LiteTransformerSearch's logs (``d_inner``,
    ``n_token``, ...), for which `family` is needed; those of HW-GPT-Bench (``embed_dim``, ``mlp_ratio``, ``bias``),
    plain unless `family` is ``hw_gpt_gated``; or those of FlexiBERT's (``hidden_size``, ``encoder_layers``), as
    described unless `family` is ``flexibert_official``.

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
        names, rows = list(reader.fieldnames or []), [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise UsageError(f"{path} is no CSV file: {error}") from None
    if f"{_ARCHITECTURE}family" not in names:
        return names, rows
    kept = [name for name in names if name.startswith(_VALUES)]
    # Trials as `lts-engine front -o csv` prints them: the same architectures and values as in JSON Lines.
    flat = [
        (line, {"architecture": _described(row), **{name.removeprefix(_VALUES): row[name] for name in kept}})
        for line, row in rows
    ]
    return ["architecture", *(name.removeprefix(_VALUES) for name in kept)], flat


def _described(row: Mapping[str, str | None]) -> str:
    """The architecture of such a row as JSON; what a row does not have is what most do not have, either."""
    record: dict[str, object] = {}
    for name, text in row.items():
        if isinstance(name, str) and name.startswith(_ARCHITECTURE) and text:
            try:
                record[name.removeprefix(_ARCHITECTURE)] = json.loads(text)
            except ValueError:
                record[name.removeprefix(_ARCHITECTURE)] = text
    return json.dumps(record)


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


def _built(form: Form, family: str, row: Row) -> Architecture:
    return form.build(row, family)


def _form(names: list[str], path: Path, family: str | None) -> Callable[[Row], Architecture]:
    found = set(names)
    if "architecture" in found:
        return lambda row: Architecture.from_json(row["architecture"])
    for form in FORMS:
        if form.columns <= found:
            return partial(_built, form, form.family(path, family))
    *others, last = (form.title for form in FORMS)
    raise UsageError(
        f"{path} has no architectures: expected a column 'architecture' with JSON, trials as JSON Lines, or the "
        f"columns of {', '.join(others)} or {last}"
    )


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
