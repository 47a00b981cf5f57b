"""lts-engine estimate"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits
from lts.cli.log import say


@exits
def command(
    architecture: Annotated[str, typer.Argument(help="ARCHITECTURE.json, or STUDY#ID.", show_default=False)],
    target: Annotated[str, typer.Option(help="Target to estimate for: a name, or a TOML file.")] = "host",
    n_prompt: Annotated[int, typer.Option(help="Tokens of the prompt pass; context of a decode step.", min=1)] = 128,
    threads: Annotated[int | None, typer.Option(help="Threads; by default the target's.", show_default=False)] = None,
    output: FormatOption = Format.table,
) -> None:
    """Estimate the costs of an architecture on a target, part by part, without running anything."""
    from lts.cli.count import load_architecture
    from lts.cli.output import Results, emit
    from lts.measure.estimated import EstimatedEvaluator
    from lts.measure.evaluator import with_threads
    from lts.targets.estimate.costs import estimate, parts
    from lts.targets.target import load_target

    known = load_architecture(architecture)
    evaluator = EstimatedEvaluator(with_threads(load_target(target), threads), n_prompt=n_prompt)
    found = evaluator.evaluate(known, evaluator.costs)
    source = estimate(known, evaluator.target, n_prompt).source
    labels = {name: found.provenance[name] for name in evaluator.costs}
    rows: list[tuple[Any, ...]] = []
    for part in parts(known, evaluator.target, n_prompt):
        by_column = {
            "latency_ms": part.latency_ms,
            "decode_ms_per_token": part.decode_ms_per_token,
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
        "n_prompt": n_prompt,
        "source": source,
    }
    people = output in (Format.table, Format.md)
    emit(Results([record], columns if people else (), rows if people else ()), output)
    if people:
        say(f"estimated for {n_prompt} tokens from the {source}")
