"""lts-engine export"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli.arguments import (
    Cache,
    Format,
    FormatOption,
    Logits,
    Precision,
    StudyArgument,
    duration,
    older,
    renamed,
)
from lts.cli.errors import exits
from lts.cli.log import say
from lts.study.schema import store_path

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.targets.target import Target
    from lts.targets.workload import Workload

FORMATS = ("onnx", "hf", "json", "tvm")
# Prompt length of a study that does not say.
_N_PROMPT = 128


@exits
def command(
    study: StudyArgument,
    pick: Annotated[str, typer.Option(help="ID, knee, best, all, or a condition such as 'latency_ms<=20'.")] = "knee",
    formats: Annotated[str, typer.Option("--format", help="Any of onnx, hf, json, tvm, with commas.")] = "onnx,hf,json",
    target: Annotated[
        str | None,
        typer.Option(help="Target of the format tvm: a name, or a TOML file.", show_default="that of the search"),
    ] = None,
    candidate_timeout: Annotated[
        str | None, typer.Option(help="Time to compile and check one member.", metavar="DURATION", show_default="10m")
    ] = None,
    timeout: Annotated[str | None, older("--timeout")] = None,
    directory: Annotated[Path | None, typer.Option("--output-dir", "-O", help="Where the files go.")] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Of the ONNX and compiled models.", show_default="that of the search")
    ] = None,
    logits: Annotated[
        Logits | None,
        typer.Option(help="Positions of the prompt with logits: last, or all.", show_default="as in the search"),
    ] = None,
    cache: Annotated[
        Cache, typer.Option(help="Of keys and values in decode.onnx; in_place needs ONNX Runtime 1.22.")
    ] = Cache.copied,
    seed: Annotated[int, typer.Option(help="Seed of the random weights.", min=0)] = 0,
    output: FormatOption = Format.table,
) -> None:
    """Write members of the front as files that run."""
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.export import export
    from lts.study.stored import read_study

    chosen = tuple(part.strip() for part in formats.split(","))
    for name in chosen:
        if name not in FORMATS:
            raise UsageError(f"unknown format '{name}'; expected any of {', '.join(FORMATS)}")
    if "tvm" in chosen and cache is Cache.in_place:
        raise UsageError("the format tvm copies keys and values; export it without --cache in_place")
    seconds = duration(renamed(candidate_timeout, timeout, "--timeout --candidate-timeout") or "10m")
    path = store_path(study)
    stored = read_study(path)
    trials = stored.front.pick(pick)
    place = directory or path.parent / "models"
    plain = tuple(name for name in chosen if name != "tvm")
    given = {"precision": precision, "logits": logits}
    workload = _workload({**stored.configuration, **{key: str(value) for key, value in given.items() if value}})
    records = [
        {"trial": trial.id, "file": str(file)}
        for trial in trials
        for file in export(
            trial.architecture,
            place / str(trial.id),
            plain,
            precision=workload.precision,
            logits=workload.logits,
            cache=cache,
            seed=seed,
        )
    ]
    if "tvm" in chosen:
        goal = replace(_target(target, stored.configuration), precision=workload.precision)
        records += _compiled(trials, place, goal, plain, workload, seconds, seed)
    emit(Results(records, ("trial", "file"), [(r["trial"], r["file"]) for r in records]), output)


def _workload(configuration: Mapping[str, Any]) -> Workload:
    """What the study was searched for; as many tokens of a prompt as its space allows, where it does not say."""
    from lts.targets.workload import Workload

    positions = (configuration.get("space") or {}).get("n_positions") or _N_PROMPT
    return Workload.of({"n_prompt": min(_N_PROMPT, positions), **configuration})


def _target(given: str | None, configuration: Mapping[str, Any]) -> Target:
    """The given target, or else the one of the search, with its number of threads."""
    from lts.targets.target import Target, load_target

    if given is None and "profile" in configuration:
        return Target.from_dict(configuration["profile"])
    return load_target(given or configuration.get("target") or "host")


def _compiled(
    trials: Sequence[Trial],
    place: Path,
    target: Target,
    formats: tuple[str, ...],
    workload: Workload,
    timeout: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Compile, and check where that is possible; a model with wrong outputs is an error."""
    from lts.errors import MeasurementError
    from lts.measure.deployment import Deployer

    records = []
    deployer = Deployer(target, workload=workload)
    try:
        if deployer.unchecked is not None:
            say(f"models are compiled and not run: {deployer.unchecked}")
        for trial in trials:
            folder = place / str(trial.id)
            done = deployer.deploy(trial.architecture, folder, formats=formats, timeout=timeout, seed=seed)
            if done.error is not None:
                raise MeasurementError(f"trial {trial.id}, compiled for {target.name}: {done.error}")
            records += [{"trial": trial.id, "file": str(file)} for file in done.files]
    finally:
        deployer.close()
    return records
