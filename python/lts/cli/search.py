"""lts-engine search"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts._core import algorithm_names
from lts.cli.arguments import (
    BatchOption,
    Format,
    FormatOption,
    GenOption,
    Logits,
    LogitsOption,
    PrecisionOption,
    PromptOption,
    duration,
)
from lts.cli.errors import INTERRUPTED, exits
from lts.cli.log import say
from lts.study.schema import STORE_NAME

if TYPE_CHECKING:
    from lts.measure.evaluator import TargetEvaluator
    from lts.study.study import Study


class Export(StrEnum):
    """Which members of the front are exported at the end."""

    knee = "knee"
    all = "all"
    none = "none"


# Seconds between two lines about candidates that take less.
_INTERVAL = 0.5
_COUNTED_COSTS = ("flops_prefill", "flops_decode", "weight_mib", "kv_cache_mib", "peak_memory_estimate_mib")


@exits
def command(
    space: Annotated[str, typer.Argument(help="Name of a search space, or a TOML file.")] = "gpt2-small",
    target: Annotated[str, typer.Option(help="What is compiled for: a name, or a TOML file.")] = "host",
    device: Annotated[
        str | None,
        typer.Option(
            help="Where candidates run: local, ssh://[USER@]HOST[:PORT], rpc://TRACKER:PORT/KEY, emulated, or none.",
            show_default="local where the target runs here, else none: costs are estimated",
        ),
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Compiler and runtime: onnxruntime or tvm.", show_default="onnxruntime here, else tvm"),
    ] = None,
    objective: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", metavar="NAME:max|min", show_default=False)
    ] = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="May be repeated.", metavar="NAME<=NUMBER|NAME>=NUMBER", show_default=False)
    ] = None,
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
    threads: Annotated[
        int | None, typer.Option(help="Threads; the target says when absent.", show_default=False)
    ] = None,
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
    export: Annotated[Export, typer.Option(help="Members of the front to write as models at the end.")] = Export.knee,
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

    The same command again resumes a search that was stopped. Objectives by default: decoder_params:max request_ms:min
    peak_memory_mib:min; with --n-gen 0 latency_ms:min, on an emulated device instructions:min. For a target that is not
    this machine the front is compiled, and run: on the device when it takes compiled models, else in an emulator where
    one is installed.
    """
    started = time.monotonic()
    seconds = duration(timeout)
    from lts.cli.ending import compile_members, export_members, finish, say_what_lacks_weights, why_nothing
    from lts.cli.output import emit, front_results
    from lts.errors import InfeasibleError, UsageError
    from lts.measure.opening import open_evaluator
    from lts.spaces.space import load_space
    from lts.study import plan
    from lts.study.cost_model import SURROGATES
    from lts.study.edges import edge_notes
    from lts.study.study import Study
    from lts.system.uninterrupted import end_like_ctrl_c

    if surrogate is not None and surrogate not in SURROGATES:
        raise UsageError(f"unknown surrogate '{surrogate}'; expected {' or '.join(SURROGATES)}")
    for name, number in (("trials", trials), ("front-size", front_size)):
        if number is not None and number < 1:
            raise UsageError(f"--{name} is {number}; it must be at least 1")
    if seed < 0:
        raise UsageError(f"--seed is {seed}; it must not be negative")
    end_like_ctrl_c()
    search_space = load_space(space)
    with ExitStack() as stack:
        evaluator = stack.enter_context(
            open_evaluator(
                target,
                device=device,
                backend=backend,
                n_prompt=n_prompt,
                n_gen=n_gen,
                batch=batch,
                precision=precision,
                logits=logits,
                timeout=duration(candidate_timeout) if candidate_timeout else None,
                threads=threads,
                tune=tune,
            )
        )
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
            )
        )
        _announce(study, evaluator, path)
        compiles = export is not Export.none and evaluator.compiles
        left = seconds - (time.monotonic() - started)
        n_trials = trials or plan.trials_for(evaluator, study.predicted_columns)
        interrupted = _run(study, n_trials, plan.seconds_for_search(left, evaluator, compiles=compiles), confirm)
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
        if not interrupted and front.trials and export is not Export.none:
            try:
                members = plan.compile_order(front)
                export_members(
                    front.trials if export is Export.all else members[:1],
                    directory,
                    evaluator.workload,
                    knee=export is Export.knee,
                )
                if compiles:
                    compile_members(study, evaluator, members, directory, started + seconds)
                    say_what_lacks_weights(members, path, directory)
            except KeyboardInterrupt:
                interrupted = True
            except Exception as error:  # results first
                problem = error
            front = replace(front, trials=[study.trials[trial.id] for trial in front])
        if interrupted:
            say(f"interrupted after {study.n_finished} trials; the same command resumes")
    emit(front_results(front), output)
    finish(study, path, directory, plan.suffix(evaluator))
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if evaluator.provenance != "estimated" and (nothing := why_nothing(study)) is not None:
        raise nothing
    if problem is not None:
        raise problem
    if not front.trials:
        raise InfeasibleError("no trial satisfies the constraints; relax them or allow more trials")


def _announce(study: Study, evaluator: TargetEvaluator, path: Path) -> None:
    from lts.system.environment import fitness_warnings
    from lts.system.text import magnitude

    target = evaluator.target
    say(
        f"searching {study.space.name} ({magnitude(study.space.size)} architectures) for {target.name} on "
        f"{evaluator.device_name} with {evaluator.backend_name}: {evaluator.workload}"
    )
    known = target.calibration
    if known is not None and known.workload != evaluator.workload:
        say(f"note: the calibration of {target.name} is not used: it is for {known.workload}")
    for objective in study.objectives:
        if objective.direction == "max" and objective.name in (*evaluator.costs, *_COUNTED_COSTS):
            say(f"note: {objective} looks for what costs most; less of it is {objective.name}:min")
    if study.resumed:
        say(f"resuming {path}: {study.n_finished} trials are there")
        if study.environment_changed:
            say("warning: earlier trials come from another machine or software; costs may not compare")
    if evaluator.provenance == "estimated":
        say(
            f"no device: costs are estimated from the profile of {target.name}; to measure: "
            "--device ssh://HOST (docs/devices.md)"
        )
    for warning in fitness_warnings() if evaluator.device_name == "local" else ():
        say(f"warning: {warning}")


def _run(study: Study, trials: int, timeout: float, confirm: bool) -> bool:
    """Run the search; true when it was interrupted."""
    from lts.cli.live import Live

    first = "evolving candidates on estimates" if study.evaluator.provenance == "estimated" else None
    try:
        with Live(study, _INTERVAL, first) as live:
            study.run(trials=trials, timeout=timeout, progress=live, confirm=confirm)
    except KeyboardInterrupt:
        return True
    return False
