"""lts-engine search"""

from __future__ import annotations

import signal
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli.arguments import STORE_NAME, Format, FormatOption, duration
from lts.cli.errors import INTERRUPTED, exits

if TYPE_CHECKING:
    from lts.front import Front
    from lts.study import Study


class Export(StrEnum):
    """Which members of the front are exported at the end."""

    knee = "knee"
    all = "all"
    none = "none"


# Kept back from the timeout for the export of the knee and the summary, in seconds.
_RESERVE = 10.0


@exits
def command(
    space: Annotated[str, typer.Argument(help="Name of a search space, or a TOML file.")] = "gpt2-small",
    target: Annotated[str, typer.Option(help="What is compiled for: a name, or a TOML file.")] = "host",
    device: Annotated[str, typer.Option(help="Where candidates run.")] = "local",
    backend: Annotated[str, typer.Option(help="Compiler and runtime.")] = "onnxruntime",
    objective: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", metavar="NAME:max|min", show_default=False)
    ] = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", metavar="NAME<=NUMBER|NAME>=NUMBER", show_default=False)
    ] = None,
    algorithm: Annotated[str, typer.Option(help="lts, nsga2, local, random or exhaustive.")] = "lts",
    trials: Annotated[int, typer.Option(help="Finished trials that the study shall have.")] = 100,
    timeout: Annotated[str, typer.Option(help="Time for the whole command.", metavar="DURATION")] = "5m",
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    n_prompt: Annotated[int, typer.Option(help="Tokens of the prompt pass; context of a decode step.")] = 128,
    threads: Annotated[
        int | None, typer.Option(help="Threads; the target says when absent.", show_default=False)
    ] = None,
    candidate_timeout: Annotated[str, typer.Option(help="Time for one candidate.", metavar="DURATION")] = "60s",
    store: Annotated[
        Path | None, typer.Option(help="SQLite file of the study.", show_default="OUTPUT_DIR/study.db")
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where results go.", show_default="SPACE-TARGET")] = None,
    export: Annotated[Export, typer.Option(help="Members of the front to write as models at the end.")] = Export.knee,
    output: FormatOption = Format.table,
) -> None:
    """Search a space for the Pareto front of a device.

    The same command again resumes a search that was stopped. Objectives by default: decoder_params:max latency_ms:min
    peak_memory_mib:min.
    """
    started = time.monotonic()
    seconds = duration(timeout)
    from lts.errors import InfeasibleError, MeasurementError, UsageError
    from lts.evaluate import Evaluator
    from lts.space import load_space
    from lts.study import Study

    if trials < 1:
        raise UsageError(f"--trials is {trials}; it must be at least 1")
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must not be negative")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends like Ctrl-C
    search_space = load_space(space)
    evaluator = Evaluator(
        target,
        device=device,
        backend=backend,
        n_prompt=n_prompt,
        timeout=duration(candidate_timeout),
        threads=threads,
    )
    directory = output_dir or (store.parent if store else Path(f"{search_space.name}-{evaluator.target.name}"))
    path = store or directory / STORE_NAME
    try:
        study = Study(
            search_space,
            evaluator,
            objectives=objective or None,
            constraints=constraint or (),
            algorithm=algorithm,
            seed=seed,
            store=path,
        )
    except BaseException:
        evaluator.close()
        raise
    with study:
        _announce(study, search_space, path)
        budget = seconds - (time.monotonic() - started)
        interrupted = _run(study, trials, max(0.001, budget - min(_RESERVE, budget / 10)))
        front = study.front()
        if interrupted:
            typer.echo(f"interrupted after {study.n_finished} trials; the same command resumes", err=True)
        elif front.trials and export is not Export.none:
            _export(front, export, directory)
    _print(front, output)
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    named = directory if path == directory / STORE_NAME else path
    typer.echo(f"study: {path}  (lts-engine front|export|report {named})", err=True)
    if not any(trial.state == "complete" for trial in study.trials):
        raise MeasurementError("no trial was completed; allow more time (--timeout), or see why trials failed")
    if not front.trials:
        raise InfeasibleError("no trial satisfies the constraints; relax them or allow more trials")


def _announce(study: Study, space: Any, path: Path) -> None:
    from lts.environment import fitness_warnings
    from lts.text import magnitude

    about = study.evaluator.describe()
    typer.echo(
        f"searching {space.name} ({magnitude(space.size)} architectures) for {about['target']} on {about['device']} "
        f"with {about['backend']}, {about['threads']} thread(s)",
        err=True,
    )
    if study.resumed:
        typer.echo(f"resuming {path}: {study.n_finished} trials are there", err=True)
        if study.environment_changed:
            typer.echo("warning: earlier trials come from another machine or software; costs may not compare", err=True)
    for warning in fitness_warnings():
        typer.echo(f"warning: {warning}", err=True)


def _run(study: Study, trials: int, timeout: float) -> bool:
    """Run the search; true when it was interrupted."""
    from lts.cli.live import Live

    try:
        with Live(study) as live:
            study.run(trials=trials, timeout=timeout, progress=live)
    except KeyboardInterrupt:
        return True
    return False


def _export(front: Front, which: Export, directory: Path) -> None:
    from lts.export import export as export_architecture

    for trial in front.pick(which.value):
        folder = directory / "models" / str(trial.id)
        export_architecture(trial.architecture, folder)
        label = "knee of the front" if which is Export.knee else "front"
        typer.echo(f"{label}: trial {trial.id} exported to {folder}", err=True)


def _print(front: Front, form: Format) -> None:
    from lts.cli.output import emit, trial_results

    names = [o.name for o in front.objectives]
    emit(trial_results(front.trials, names, f"Pareto front, {len(front)} architectures"), form)
