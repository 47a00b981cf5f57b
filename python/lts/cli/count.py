"""lts-engine count"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lts.cli import complete
from lts.cli.arguments import BatchOption, Format, FormatOption, Logits, LogitsOption, Precision
from lts.cli.errors import exits


@exits
def command(
    architecture: Annotated[
        str,
        typer.Argument(
            help="ARCHITECTURE.json, MODEL_DIR, MODEL.gguf, or STUDY#ID.",
            show_default=False,
            autocompletion=complete.trials,
        ),
    ],
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
    from lts.measure.counted import counted_provenance, counted_value
    from lts.study.architectures import load_architecture

    a = load_architecture(architecture)
    counts = _core.count_parameters(a)
    rows: list[tuple[str, Any, str]] = [(f"{role}_params", n, "exact") for role, n in counts.by_role.items() if n]
    rows += [
        (f"{part}_params", getattr(counts, part), "exact") for part in ("embedding", "decoder", "softmax", "total")
    ]
    workload: dict[str, Any] = {"n_prompt": n_prompt, "batch": batch, "precision": precision, "logits": logits}
    try:
        rows += [
            (name, counted_value(name, a, **workload), counted_provenance(name))
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
