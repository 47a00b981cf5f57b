"""lts-engine search"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts._core import algorithm_names
from lts.cli import complete
from lts.cli.arguments import (
    DEVICES,
    BackendOption,
    BatchOption,
    CacheOption,
    ConstraintOption,
    Export,
    FlashAttentionOption,
    Format,
    FormatOption,
    GenOption,
    Logits,
    LogitsOption,
    ObjectiveOption,
    PrecisionOption,
    PromptOption,
    SpaceArgument,
    TargetOption,
    ThreadsOption,
    duration,
)
from lts.cli.errors import INTERRUPTED, exits
from lts.cli.log import say
from lts.study.schema import STORE_NAME

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.study.study import Study


# Seconds between two lines about candidates that take less.
_INTERVAL = 0.5


@exits
def command(
    space: SpaceArgument = "gpt2-small",
    target: TargetOption = "host",
    device: Annotated[
        str | None,
        typer.Option(
            help=f"Where candidates run: {DEVICES}; table:FILE replays published measurements, none estimates.",
            show_default="local where the target runs here, else none: costs are estimated",
            autocompletion=complete.devices,
        ),
    ] = None,
    backend: BackendOption = None,
    objective: ObjectiveOption = None,
    constraint: ConstraintOption = None,
    algorithm: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(algorithm_names())}.", show_default="lts; nsga2 on estimates"),
    ] = None,
    surrogate: Annotated[
        str | None,
        typer.Option(
            help="additive: predict costs, and measure only what the front should gain most from. none: measure every "
            "candidate of the algorithm.",
            show_default="additive; none for exhaustive",
        ),
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="Sampler of an installed package (entry point group lts.samplers), in place of --algorithm and "
            "--surrogate.",
            show_default=False,
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of finished trials; without a device, number of candidates that evolve on estimates.",
            show_default="40, 24 on a calibrated target, 100 without a surrogate, 200000 candidates on estimates",
        ),
    ] = None,
    timeout: Annotated[str, typer.Option(help="Time for the whole command.", metavar="DURATION")] = "5m",
    seed: Annotated[int, typer.Option(help="Seed of the search.")] = 0,
    n_prompt: PromptOption = 128,
    n_gen: GenOption = 32,
    batch: BatchOption = 1,
    precision: PrecisionOption = None,
    logits: LogitsOption = Logits.last,
    cache: CacheOption = None,
    threads: ThreadsOption = None,
    flash_attention: FlashAttentionOption = None,
    tune: Annotated[int, typer.Option(help="Trials of TVM's MetaSchedule per candidate.", min=0)] = 0,
    candidate_timeout: Annotated[
        str | None,
        typer.Option(
            help="Time for one candidate.",
            metavar="DURATION",
            show_default="60s (10m when emulated), and 10s for each trial of --tune",
        ),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="SQLite file of the study.", show_default="OUTPUT_DIR/study.db")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-O", help="Where results go.", show_default="SPACE-TARGET")
    ] = None,
    export: Annotated[
        Export, typer.Option(help="Members of the front to write as models at the end: the knee, or those of --pick.")
    ] = Export.knee,
    pick: Annotated[
        str | None,
        typer.Option(
            help="Print only these members of the front, and export them: best (in the first objective), knee, all, an "
            "ID, or a condition.",
            show_default="the front is printed, its knee exported",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            help="A model of your own that the front is compared with; measured first. May be repeated.",
            metavar="FILE|DIR|STUDY#ID",
            show_default=False,
        ),
    ] = None,
    front_size: Annotated[
        int, typer.Option(help="Members of the front, at most, that are shown and compiled when costs are estimates.")
    ] = 6,
    confirm: Annotated[
        bool,
        typer.Option(
            help="Measure again, in further processes, a few architectures throughout and at the end what is in doubt, "
            "so that intervals hold from run to run: at most half as many as trials."
        ),
    ] = True,
    output: FormatOption = Format.table,
) -> None:
    """Search a space for the Pareto front of a device.

    The same command again resumes a search that was stopped. Deleting the output directory frees the disk. For a target
    that is not this machine the front is compiled, and run: on the device when it takes compiled models, else in an
    emulator where one is installed.
    """
    started = time.monotonic()
    seconds = duration(timeout)
    from lts.cli.announce import announce
    from lts.cli.compared import baselines_of, show_baselines
    from lts.cli.ending import (
        check_compiles,
        chosen_of,
        finish,
        why_nothing,
        write_models,
    )
    from lts.cli.opening import opened
    from lts.cli.output import emit, front_results
    from lts.errors import InfeasibleError, UsageError
    from lts.spaces.space import load_space
    from lts.study import plan
    from lts.study.cost_model import SURROGATES
    from lts.study.edges import edge_notes
    from lts.study.front import check_pick
    from lts.study.study import Study
    from lts.system.uninterrupted import end_like_ctrl_c

    if surrogate is not None and surrogate not in SURROGATES:
        raise UsageError(f"unknown surrogate '{surrogate}'; expected {' or '.join(SURROGATES)}")
    for name, number in (("trials", trials), ("front-size", front_size)):
        if number is not None and number < 1:
            raise UsageError(f"--{name} is {number}; it must be at least 1")
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must not be negative")
    if pick is not None:
        check_pick(pick)
    baselines = baselines_of(baseline or ())
    end_like_ctrl_c()
    search_space = load_space(space)
    with ExitStack() as stack:
        evaluator = stack.enter_context(
            opened(
                target,
                device,
                search_space,
                backend=backend,
                n_prompt=n_prompt,
                n_gen=n_gen,
                batch=batch,
                precision=precision,
                logits=logits,
                cache=cache,
                timeout=duration(candidate_timeout) if candidate_timeout else None,
                threads=threads,
                tune=tune,
                flash_attention=flash_attention,
            )
        )
        if compiles := export is not Export.none and evaluator.compiles:
            check_compiles(evaluator.target)
        directory = output_dir or (
            store.parent if store else Path(plan.directory_name(search_space.name, evaluator.target.name, evaluator))
        )
        path = store or directory / STORE_NAME
        study = stack.enter_context(
            Study(
                search_space,
                evaluator,
                objectives=objective or None,
                constraints=constraint or (),
                algorithm=algorithm,
                seed=seed,
                store=path,
                surrogate="none" if evaluator.provenance == "estimated" else surrogate,
                sampler=sampler,
                baselines=baselines,
            )
        )
        left = started + seconds - time.monotonic()
        split = plan.split(left, evaluator, compiles=compiles, confirm=confirm)
        announce(study, evaluator, path, split)
        n_trials = trials or plan.trials_for(evaluator, study.predicted_columns)
        interrupted = _run(study, n_trials, split.run, confirm)
        for note in study.notes:
            say(f"note: {note}")
        if study.settled:
            say(f"settled after {study.n_finished} trials: more are not expected to change the front")
        whole = study.front()
        for note in edge_notes([trial.architecture for trial in whole], search_space, whole.objectives):
            say(f"note: {note}")
        front = plan.shown(whole, evaluator, front_size)
        if len(front) < len(whole):
            say(f"front: {len(front)} of {len(whole)} members stand for all (--front-size)")
        problem: Exception | None = None
        chosen: list[Trial] = []
        try:
            chosen = chosen_of(whole, front, pick)
            if not interrupted:
                end, label = started + seconds - split.end, _label(export, pick)
                write_models(study, evaluator, front, chosen, export, label, path, directory, end, compiles)
        except KeyboardInterrupt:
            interrupted = True
        except Exception as error:  # results first
            problem = error
        printed = replace(front, trials=[study.trials[trial.id] for trial in (pick and chosen) or front])
        if interrupted:
            say(f"interrupted after {study.n_finished} trials; the same command resumes")
        compared = study.baselines
    emit(front_results(printed, len(whole) if pick else None), output)
    show_baselines(whole, compared, output)
    finish(study, whole, path, directory, plan.suffix(evaluator))
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if evaluator.provenance != "estimated" and (nothing := why_nothing(study)) is not None:
        raise nothing
    if problem is not None:
        raise problem
    if not whole.trials:
        raise InfeasibleError("no trial satisfies the constraints; relax them or allow more trials")


def _run(study: Study, trials: int, timeout: float, confirm: bool) -> bool:
    """Run the search; true when it was interrupted."""
    from lts.cli.compared import measure_baselines
    from lts.cli.live import Live

    try:
        left = measure_baselines(study, timeout, confirm)
        with Live(study, _INTERVAL, left, quiet=study.evaluator.provenance == "estimated") as live:
            study.run(trials=trials, timeout=left, progress=live, confirm=confirm, observe=live.working)
    except KeyboardInterrupt:
        return True
    return False


def _label(export: Export, pick: str | None) -> str:
    """What an exported member is called."""
    known = {None: "knee of the front", "knee": "knee of the front", "best": "best of the front"}
    return "front" if export is Export.all else known.get(pick, "front")
