"""lts-engine bench"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli import complete
from lts.cli.arguments import (
    BackendOption,
    BelowOption,
    CacheOption,
    DeviceOption,
    FlashAttentionOption,
    Format,
    FormatOption,
    InputOption,
    Logits,
    Precision,
    ProcessTimeoutOption,
    TargetOption,
    duration,
    numbers,
    one_device,
)
from lts.cli.ci import ResultReportOption, publish_results, wanted_reports
from lts.cli.errors import exits
from lts.cli.log import say
from lts.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lts.measure.models.model import Model
    from lts.measure.models.opening import OpenDevice
    from lts.measure.models.source import Source
    from lts.measure.outcome import Outcome
    from lts.measure.result import Result

_MOST_CASES = 1000


@exits
def command(
    models: Annotated[
        list[str],
        typer.Argument(
            help="ONNX files, folders of exported or compiled models, or of many, architectures (JSON, or a folder of "
            "Hugging Face's form), STUDY#ID.",
            metavar="MODEL...",
            show_default=False,
            autocompletion=complete.trials,
        ),
    ],
    target: TargetOption = "host",
    device: DeviceOption = None,
    backend: BackendOption = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="Any of latency, decode, request, speed, memory, energy, instructions, size, or names of columns, "
            "with commas; may be repeated.",
            metavar="NAME,...",
            show_default="latency, decode, speed and memory; of a file all but energy; emulated instructions",
            autocompletion=complete.metrics,
        ),
    ] = None,
    n_prompt: Annotated[
        str, typer.Option("--n-prompt", "-p", help="Tokens of the prompt; several with commas.", metavar="N,...")
    ] = "128",
    n_gen: Annotated[
        str,
        typer.Option("--n-gen", "-n", help="Tokens generated after it; 0: a prompt pass alone.", metavar="N,..."),
    ] = "32",
    n_depth: Annotated[
        str | None,
        typer.Option(
            "--n-depth",
            "-d",
            help="Decode steps alone, after so many tokens, in place of --n-prompt.",
            metavar="N,...",
            show_default=False,
        ),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", "-b", help="Sequences at a time.", metavar="N,...")] = "1",
    threads: Annotated[
        str | None,
        typer.Option("--threads", "-t", help="Threads; by default the target's.", metavar="N,...", show_default=False),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of the weights of architectures: float32, float16, int8, int4; by default the target's.",
            metavar="NAME,...",
            show_default=False,
            autocompletion=complete.precisions,
        ),
    ] = None,
    logits: Annotated[
        Logits | None,
        typer.Option(help="Positions of the prompt with logits; last, or as files have them.", show_default=False),
    ] = None,
    cache: CacheOption = None,
    flash_attention: FlashAttentionOption = None,
    processes: Annotated[int, typer.Option("--processes", "-r", help="Processes per model; 1 to 100.")] = 5,
    given: InputOption = None,
    below: BelowOption = 2,
    min_time: Annotated[
        str, typer.Option(help="Least time that each quantity is measured in a process.", metavar="DURATION")
    ] = "0.3s",
    cooldown: Annotated[
        str | None, typer.Option(help="Rest before each process.", metavar="DURATION", show_default=False)
    ] = None,
    max_temperature: Annotated[
        float | None,
        typer.Option(help="Wait until the processor is at most so hot.", metavar="CELSIUS", show_default=False),
    ] = None,
    candidate_timeout: ProcessTimeoutOption = None,
    save: Annotated[
        str | None,
        typer.Option(
            help="Keep the results under this name, for lts-engine compare --against and lts-engine history; of "
            "several models as NAME/MODEL.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Where --save keeps them.", show_default="lts-history.jsonl")
    ] = None,
    report: ResultReportOption = None,
    output: FormatOption = Format.table,
) -> None:
    """Measure models on a device, each in several processes, with every workload of the given ones.

    Exit code 0: all were measured; 2: a wrong argument; 3: one of them could not be; 130: interrupted, what was
    measured until then is printed.
    """
    from lts.cli.progress import Waiting
    from lts.cli.results import show_results
    from lts.measure.bench import Bench
    from lts.measure.models.model import columns_of
    from lts.measure.models.onnx_file import parse_inputs
    from lts.measure.models.opening import OpenDevice
    from lts.study.sources import read_sources
    from lts.system.environment import fitness_warnings
    from lts.system.text import number
    from lts.system.uninterrupted import end_like_ctrl_c

    reports = wanted_reports(report, alone=True)
    loads = _workloads(n_prompt, n_gen, n_depth, batch, threads, precision)
    columns = None if metric is None else columns_of(metric)
    shapes = parse_inputs(given or ())
    seconds = None if candidate_timeout is None else duration(candidate_timeout)
    rest = 0.0 if cooldown is None else duration(cooldown)
    sides = {text: read_sources(text) for text in models}
    sources = [source for side in sides.values() for source in side.values()]
    if shapes and not any(source.kind == "onnx" for source in sources):
        raise UsageError("--input is about ONNX files, and none is named; leave it out")
    keep = _keeper(save, history, sides)
    end_like_ctrl_c()
    results: list[Result] = []

    def told(model: Model, outcome: Outcome, counts: bool) -> None:
        values = "  ".join(f"{name} {number(value)}" for name, value in outcome.values.items() if name in shown)
        reason = outcome.error or (outcome.warnings[0] if outcome.warnings else "disturbed")
        say(f"[{model.name}] {values}{'' if counts else f'  (does not count: {reason})'}")
        waiting.piece()

    try:
        with (
            Waiting("measuring", every=10.0) as waiting,
            OpenDevice(target, one_device(device), backend, timeout=seconds, min_time=duration(min_time)) as place,
        ):
            if max_temperature is not None and place.name != "local":
                raise UsageError(f"the temperature of {place.name} cannot be read; leave --max-temperature out")
            form = {"logits": logits, "cache": cache, "flash_attention": flash_attention}
            cases = _cases(sources, place, loads, form, shapes, below, columns)
            for warning in fitness_warnings() if place.name == "local" else ():
                say(f"warning: {warning}")
            for case, wanted in cases:
                shown = set(wanted or (name for model in case for name in model.default_costs))
                turns = Bench(case, wanted, processes=processes, cooldown=rest, max_celsius=max_temperature)
                try:
                    turns.run(told)
                finally:
                    results += turns.results
                    keep(turns.finished)
    finally:
        if results:
            show_results(results, output)
    publish_results(results, reports)
    failed = [result for result in results if result.error is not None]
    for result in failed:
        say(f"error: {result.model} cannot be measured: {result.error}")
    if failed:
        raise typer.Exit(MeasurementError.exit_code)


def _keeper(
    name: str | None, history: Path | None, sides: Mapping[str, Mapping[str, Source]]
) -> Callable[[Sequence[Result]], None]:
    """What adds results to a history under a name; nothing without one."""
    if name is None:
        if history is not None:
            raise UsageError("--history is where --save keeps results; name them, as in --save main")
        return lambda _: None
    from lts.measure.history import DEFAULT, append, check_history, check_name
    from lts.study.sides import saved_as
    from lts.system.outside import printable
    from lts.system.revision import current_revision

    path = history or Path(DEFAULT)
    check_history(path)
    members = {
        (member if len(sides) == 1 else f"{text}/{member}".rstrip("/")): printable(source.name)
        for text, side in sides.items()
        for member, source in side.items()
    }
    names = {members[member]: saved for member, saved in saved_as(name, members).items()}
    for saved in names.values():
        check_name(saved)
    revision = current_revision(Path(), besides=[path])

    def keep(results: Sequence[Result]) -> None:
        for note in append(path, [replace(each, saved=names[each.model], revision=revision) for each in results]):
            say(f"warning: {note}")

    return keep


def _workloads(
    n_prompt: str, n_gen: str, n_depth: str | None, batch: str, threads: str | None, precision: str | None
) -> list[dict[str, Any]]:
    """Every combination; those of a depth have ``decodes``, because only their decode steps are measured."""
    names = [None] if precision is None else [name.strip() for name in precision.split(",")]
    for name in names:
        if name is not None and name not in list(Precision):
            raise UsageError(f"unknown precision '{name}'; expected any of {', '.join(Precision)}")
    runs: list[dict[str, Any]] = []
    if n_depth is None:
        runs = [{"n_prompt": p, "n_gen": n} for p, n in product(numbers("-p", n_prompt), numbers("-n", n_gen))]
    else:
        depths, steps = numbers("-d", n_depth), numbers("-n", n_gen)
        runs = [{"n_prompt": d, "n_gen": n, "decodes": True} for d, n in product(depths, steps)]
    found = [
        {**run, "batch": b, "threads": t, "precision": name}
        for name, t, b, run in product(
            names, [None] if threads is None else numbers("-t", threads), numbers("-b", batch), runs
        )
    ]
    if len(found) > _MOST_CASES:
        raise UsageError(f"these are {len(found)} workloads; expected at most {_MOST_CASES}")
    return found


def _told_by_default(models: Sequence[Model], n_gen: int, *, decodes: bool) -> list[str] | None:
    """Times of the phases, speed and memory, where all models have these; None for what each of them has."""
    steps = ["decode_ms_per_token", "tokens_per_second"]
    wanted = steps if decodes else ["latency_ms", *(steps if n_gen else []), "peak_memory_mib"]
    return wanted if all(set(wanted) <= set(model.costs) for model in models) else None


def _cases(
    sources: Sequence[Source],
    place: OpenDevice,
    loads: Sequence[dict[str, Any]],
    common: dict[str, Any],
    shapes: dict[str, list[int]],
    below: int,
    columns: list[str] | None,
) -> list[tuple[list[Model], list[str] | None]]:
    """The models of each workload, opened and checked, with what is measured of them."""
    cases: list[tuple[list[Model], list[str] | None]] = []
    once: set[str] = set()
    for load in loads:
        decodes = load.get("decodes", False)
        options = {name: value for name, value in load.items() if name != "decodes"}
        case: list[Model] = []
        for source in sources:
            model = place.open(
                source, shapes=shapes if source.kind == "onnx" else None, below=below, **options, **common
            )
            if "inputs" in model.describe():  # the same with every workload
                key = f"{source.name} {options['threads']}"
                if key in once:
                    continue
                once.add(key)
            case.append(model)
        wanted = columns or _told_by_default(case, load["n_gen"], decodes=decodes)
        for model in case:
            model.check(wanted or model.default_costs)
        if case:
            cases.append((case, wanted))
    return cases
