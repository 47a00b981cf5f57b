"""lts-engine target calibrate"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli import complete
from lts.cli.arguments import (
    DEVICES,
    BackendOption,
    BatchOption,
    CacheOption,
    Format,
    FormatOption,
    GenOption,
    Logits,
    LogitsOption,
    PrecisionOption,
    PromptOption,
    TargetArgument,
    ThreadsOption,
    duration,
)
from lts.cli.errors import exits
from lts.cli.log import say

if TYPE_CHECKING:
    from lts.cli.output import Results
    from lts.measure.trial import Trial
    from lts.study.loop import Progress
    from lts.targets.calibration import Calibration


@exits
def command(
    target: TargetArgument = "host",
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Write the profile with the coefficients here.")
    ] = None,
    space: Annotated[
        str,
        typer.Option(help="Search space of the architectures: a name, or a TOML file.", autocompletion=complete.spaces),
    ] = "gpt2-any-shapes",
    device: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Where they are measured: {DEVICES}. Given several times: a pool of equal ones.",
            show_default="local where the target runs here",
        ),
    ] = None,
    backend: BackendOption = None,
    trials: Annotated[int, typer.Option(help="Architectures to measure.", min=8)] = 20,
    timeout: Annotated[str, typer.Option(help="Time for all measurements.", metavar="DURATION")] = "10m",
    n_prompt: PromptOption = 128,
    n_gen: GenOption = 32,
    batch: BatchOption = 1,
    precision: PrecisionOption = None,
    logits: LogitsOption = Logits.last,
    cache: CacheOption = None,
    threads: ThreadsOption = None,
    seed: Annotated[int, typer.Option(help="Seed of the sample.", min=0)] = 0,
    store: Annotated[
        Path | None, typer.Option(help="SQLite file that keeps the measurements.", show_default="none is kept")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="Print what every layer of the space costs instead of the coefficients.")
    ] = False,
    output: FormatOption = Format.table,
) -> None:
    """Measure a sample of architectures on a device, and write the coefficients of its costs into a profile.

    A search with that file as --target starts from them and needs fewer measurements, on this device or another of the
    same kind.
    """
    seconds = duration(timeout)
    from lts.cli.disturbed import Disturbances
    from lts.cli.opening import opened
    from lts.cli.output import Results, emit
    from lts.cli.progress import Waiting
    from lts.errors import UsageError
    from lts.spaces.space import load_space
    from lts.study.calibrate import calibrate_target, layer_costs
    from lts.system.files import check_writable, replace_file
    from lts.system.names import check_name

    known = load_space(space)
    if file is not None:
        check_name(file.stem, f"the name of the file {file}")  # before minutes of measuring
        try:
            check_writable(file)
        except OSError as error:
            raise UsageError(f"cannot write {file}: {error.strerror}") from None
    with opened(
        target,
        device,
        known,
        backend=backend,
        n_prompt=n_prompt,
        n_gen=n_gen,
        batch=batch,
        precision=precision,
        logits=logits,
        cache=cache,
        threads=threads,
    ) as evaluator:
        if evaluator.provenance == "estimated":
            raise UsageError(
                f"target '{evaluator.target.name}' is not this machine, and a calibration measures: attach a device "
                "with --device"
            )
        end = time.monotonic() + seconds
        with Waiting("calibrating", trials, end=end, every=10.0) as waiting, Disturbances() as disturbances:

            def tell(progress: Progress) -> None:
                trial = progress.trial
                say(f"[{progress.n_finished}/{trials}] trial {trial.id}: {trial.error or _values(trial)}")
                disturbances.note(trial)

            found = calibrate_target(
                known,
                evaluator,
                trials=trials,
                timeout=seconds,
                seed=seed,
                store=store,
                progress=tell,
                observe=waiting,
            )
        profile = replace(evaluator.target, calibration=found.calibration)
    problem: UsageError | None = None
    if file is not None:
        text = replace(profile, name=file.stem).to_toml()
        try:
            replace_file(file, text)
            say(f"profile: {file}  (lts-engine search --target {file})")
        except OSError as error:  # results first
            say(text.rstrip("\n"))
            problem = UsageError(f"cannot write {file}: {error.strerror}; the profile is above")
    for note in found.notes:
        say(f"note: {note}")
    for name, cost in found.calibration.costs.items():
        say(
            f"{name}: {cost.n} measurements on {found.calibration.device}; each predicted from the others with "
            f"{100 * cost.error:.3g} % error on average, {100 * cost.error_max:.3g} % at most"
        )
    if layers:
        rows = layer_costs(found.calibration, known)
        label = f" ({found.calibration.provenance} coefficients)"
        columns = [name + (label if name in found.calibration.costs else "") for name in rows[0]] if rows else []
        emit(Results([dict(row) for row in rows], columns, [tuple(row.values()) for row in rows]), output)
    else:
        emit(_coefficients(found.calibration), output)
    if problem is not None:
        raise problem


def _values(trial: Trial) -> str:
    """What was measured; the names of columns end with their units."""
    from lts.system.text import number

    counted = ("exact", "estimated")
    return "  ".join(f"{name} {number(v)}" for name, v in trial.values.items() if trial.provenance[name] not in counted)


# What a coefficient is multiplied with, one of: see docs/surrogate.md.
_PER = {
    "layers": "layer",
    "width": "channel of a layer",
    "attention": "element of the matrices of attention",
    "feed_forward": "element of the matrices of feed-forward networks",
    "d_ff": "channel of a feed-forward network",
    "heads": "head",
    "key_value": "channel of the keys",
    "biases": "bias vector",
    "output": "multiply-add outside of the layers",
    "widest": "channel of the widest feed-forward network",
}


def _coefficients(calibration: Calibration) -> Results:
    """All of them for programs; for people one row for those of a cost that are zero."""
    from lts.cli.output import Results
    from lts.system.text import unit

    records: list[dict[str, Any]] = []
    rows: list[tuple[Any, ...]] = []
    for name, cost in calibration.costs.items():
        found = [
            {
                "cost": name,
                "term": term,
                "coefficient": value,
                "unit": f"{unit(name) or name} per {_PER[term]}" if term in _PER else unit(name) or name,
                "provenance": calibration.provenance,
            }
            for term, value in cost.coefficients.items()
        ]
        records += found
        rows += [tuple(each.values()) for each in found if each["coefficient"]]
        if zeros := [str(each["term"]) for each in found if not each["coefficient"]]:
            rows.append((name, ", ".join(zeros), 0, "", calibration.provenance))
    return Results(records, ("cost", "term", "coefficient", "unit", "provenance"), rows)
