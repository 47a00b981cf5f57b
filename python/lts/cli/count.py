"""lts-engine count"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli.arguments import BatchOption, Format, FormatOption, Logits, LogitsOption, Precision, store_path
from lts.cli.errors import exits

if TYPE_CHECKING:
    from lts._core import Architecture


@exits
def command(
    architecture: Annotated[str, typer.Argument(help="ARCHITECTURE.json, or STUDY#ID.", show_default=False)],
    n_prompt: Annotated[int, typer.Option(help="Tokens of the prompt pass; context of a decode step.", min=1)] = 128,
    batch: BatchOption = 1,
    precision: Annotated[Precision, typer.Option(help="Of the weights.")] = Precision.float32,
    logits: LogitsOption = Logits.last,
    output: FormatOption = Format.table,
) -> None:
    """Count parameters by role, operations and memory of an architecture."""
    from lts import _core
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.measure.counted import counted_provenance

    a = load_architecture(architecture)
    counts = _core.count_parameters(a)
    rows: list[tuple[str, Any, str]] = [(f"{role}_params", n, "exact") for role, n in counts.by_role.items() if n]
    rows += [
        (f"{part}_params", getattr(counts, part), "exact") for part in ("embedding", "decoder", "softmax", "total")
    ]
    workload: dict[str, Any] = {"n_prompt": n_prompt, "batch": batch, "precision": precision, "logits": logits}
    try:
        rows += [
            (name, _core.analytic(name, a, **workload), counted_provenance(name))
            for name in (("weight_mib",) if a.traits.encoder else _COSTS)
        ]
    except ValueError as error:
        raise UsageError(str(error)) from None
    record = {
        "architecture": a.to_dict(),
        "values": {name: value for name, value, _ in rows},
        "provenance": {name: kind for name, _, kind in rows},
    }
    if output in (Format.table, Format.md):
        emit(Results([record], ("quantity", "value", "provenance"), rows), output)
    else:
        emit(Results([record], (), ()), output)


_COSTS = ("flops_prefill", "flops_decode", "weight_mib", "kv_cache_mib", "peak_memory_estimate_mib")


def load_architecture(text: str) -> Architecture:
    from lts._core import Architecture
    from lts.errors import UsageError
    from lts.study.store import Store
    from lts.system.outside import read_bytes

    study, hash_sign, key = text.rpartition("#")
    if hash_sign and key.isdigit() and not Path(text).exists():
        with Store(store_path(Path(study))) as store:
            for trial in store.trials():
                if trial.id == int(key):
                    return trial.architecture
            raise UsageError(f"{study} has no trial {key}")
    path = Path(text)
    if path.suffix == ".db" or (store_path(path).is_file() and path.is_dir()):
        raise UsageError(f"{path} is a study, and one architecture is needed: name a trial of it, as in {path}#0")
    try:
        return Architecture.from_json(read_bytes(path, 16 << 20).decode("utf-8"))
    except UsageError:
        raise
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}; expected an architecture file or STUDY#ID") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text; expected the JSON of an architecture") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
