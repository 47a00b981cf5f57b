"""lts-engine estimate"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lts.cli import complete
from lts.cli.arguments import (
    BatchOption,
    Format,
    FormatOption,
    GenOption,
    Logits,
    LogitsOption,
    PrecisionOption,
    PromptOption,
    TargetOption,
    ThreadsOption,
)
from lts.cli.errors import exits
from lts.cli.log import say


@exits
def command(
    architecture: Annotated[
        str, typer.Argument(help="ARCHITECTURE.json, or STUDY#ID.", show_default=False, autocompletion=complete.trials)
    ],
    target: TargetOption = "host",
    n_prompt: PromptOption = 128,
    n_gen: GenOption = 32,
    batch: BatchOption = 1,
    precision: PrecisionOption = None,
    logits: LogitsOption = Logits.last,
    threads: ThreadsOption = None,
    output: FormatOption = Format.table,
) -> None:
    """Estimate the costs of an architecture on a target, part by part, without running anything."""
    from lts.cli.output import Results, emit
    from lts.measure.opening import NO_DEVICE, open_evaluator
    from lts.study.architectures import load_architecture
    from lts.targets.estimate.costs import estimate, parts

    known = load_architecture(architecture)
    evaluator = open_evaluator(
        target,
        device=NO_DEVICE,
        n_prompt=n_prompt,
        n_gen=n_gen,
        batch=batch,
        precision=precision,
        logits=logits,
        threads=threads,
    )
    workload = evaluator.workload
    found = evaluator.evaluate(known, evaluator.costs)
    source = estimate(known, evaluator.target, workload).source
    labels = {name: found.provenance[name] for name in evaluator.costs}
    rows: list[tuple[Any, ...]] = []
    for part in parts(known, evaluator.target, workload):
        by_column = {
            "latency_ms": part.latency_ms,
            "decode_ms_per_token": part.decode_ms_per_token,
            "request_ms": part.latency_ms + workload.n_steps * part.decode_ms_per_token,
            "latency_published_ms": part.latency_published_ms,
        }
        rows.append((part.name, *(by_column.get(name) for name in labels), part.weight_mib))
    whole = {name: found.values[name] for name in labels}
    rows.append(("whole model", *whole.values(), found.values.get("weight_mib")))
    columns = ("part", *(f"{name} ({labels[name]})" for name in labels), "matrices_mib (exact)")
    record = {
        "architecture": known.to_dict(),
        "values": whole,
        "provenance": labels,
        "interval": {name: list(found.interval[name]) for name in whole if name in found.interval},
        "parts": [dict(zip(("part", *labels, "matrices_mib"), row, strict=True)) for row in rows[:-1]],
        "target": evaluator.target.name,
        **workload.describe(),
        "source": source,
    }
    people = output in (Format.table, Format.md)
    emit(Results([record], columns if people else (), rows if people else ()), output)
    if people:
        say(f"estimated for {workload} from the {source}")
