"""lts-engine search"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

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
from lts.cli.errors import exits
from lts.cli.searching import (
    CandidateTimeoutOption,
    ConfirmOption,
    ExportOption,
    PickOption,
    Searching,
    SeedOption,
    StoreOption,
    TimeoutOption,
    check_arguments,
)
from lts.study.schema import STORE_NAME


@exits
def command(
    space: SpaceArgument = "gpt2-small",
    target: TargetOption = "host",
    device: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Where candidates run: {DEVICES}; table:FILE replays published measurements, none estimates. "
            "Given several times: a pool of equal ones.",
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
            help="additive: predict costs, and measure only what the front should gain most from. layers: predict "
            "quality, too, of sub-networks of one super-network. none: measure every candidate of the algorithm.",
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
    seed_front: Annotated[
        str | None,
        typer.Option(
            help="First population of the algorithm: the front of this counted column, in place of quality, and of "
            "predicted costs. none: random.",
            metavar="COLUMN|none",
            show_default="decoder_params where quality is evaluated and --surrogate is none",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of finished trials; without a device, number of candidates that evolve on estimates.",
            show_default="40, 24 on a calibrated target, 100 without a surrogate, 200000 candidates on estimates",
        ),
    ] = None,
    timeout: TimeoutOption = "5m",
    seed: SeedOption = 0,
    n_prompt: PromptOption = 128,
    n_gen: GenOption = 32,
    batch: BatchOption = 1,
    precision: PrecisionOption = None,
    logits: LogitsOption = Logits.last,
    cache: CacheOption = None,
    threads: ThreadsOption = None,
    flash_attention: FlashAttentionOption = None,
    tune: Annotated[int, typer.Option(help="Trials of TVM's MetaSchedule per candidate.", min=0)] = 0,
    candidate_timeout: CandidateTimeoutOption = None,
    workers: Annotated[
        str | None,
        typer.Option(
            help="What measures candidates in place of this process, each worker on the device as it sees it: "
            "processes:N, or an engine that is running, tcp://HOST:PORT or tls:// of Dask, slurm:PARTITION, ray://.",
            metavar="URI",
            show_default=False,
        ),
    ] = None,
    fleet: Annotated[
        Path | None,
        typer.Option(
            help="Search for all devices of a TOML file at the same time: see docs/fleet.md.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-O", help="Where results go.", show_default="SPACE-TARGET")
    ] = None,
    export: ExportOption = Export.knee,
    pick: PickOption = None,
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
    confirm: ConfirmOption = True,
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
    from lts.cli.compared import baselines_of
    from lts.cli.ending import check_compiles, write_models
    from lts.cli.opening import opened
    from lts.errors import UsageError
    from lts.spaces.space import load_space
    from lts.study import plan
    from lts.study.study import Study
    from lts.study.surrogates import SURROGATES
    from lts.system.uninterrupted import end_like_ctrl_c

    if surrogate is not None and surrogate not in SURROGATES:
        raise UsageError(f"unknown surrogate '{surrogate}'; expected {', '.join(SURROGATES)}")
    check_arguments(trials, front_size, seed, pick)
    baselines = baselines_of(baseline or ())
    end_like_ctrl_c()
    search_space = load_space(space)
    if fleet is not None:
        from lts.cli.fleet import search_fleet

        search_fleet(
            search_space,
            fleet,
            output_dir or Path(f"{search_space.name}-{fleet.stem}"),
            refused={
                "target": target if target != "host" else None,
                "device": device,
                "backend": backend,
                "precision": precision,
                "threads": threads,
                "algorithm": algorithm,
                "surrogate": surrogate,
                "sampler": sampler,
                "workers": workers,
                "seed-front": seed_front,
                "flash-attention": flash_attention,
                "store": store,
                "baseline": baseline,
                "pick": pick,
                "tune": tune,
            },
            trials=trials,
            timeout=seconds,
            confirm=confirm,
            output=output,
            objectives=tuple(objective or ("decoder_params:max", "latency_ms:min")),
            constraints=tuple(constraint or ()),
            seed=seed,
            n_prompt=n_prompt,
            n_gen=n_gen,
            batch=batch,
            logits=logits,
            cache=cache,
            timeout_of_candidate=duration(candidate_timeout) if candidate_timeout else None,
        )
        return
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
                workers=workers,
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
                seed_front=seed_front,
                baselines=baselines,
            )
        )
        end = started + seconds
        split = plan.split(end - time.monotonic(), evaluator, compiles=compiles, confirm=confirm)
        announce(study, evaluator, path, split)
        searching = Searching(
            study,
            evaluator,
            path,
            directory,
            end,
            split,
            trials or plan.trials_for(evaluator, study.predicted_columns),
            confirm,
            export,
            pick,
            output,
            front_size,
        )
        show = searching.run(
            lambda chosen: write_models(study, evaluator, chosen, export, path, directory, compiles=compiles)
        )
    show()
