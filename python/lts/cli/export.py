"""lts-engine export"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli import complete
from lts.cli.arguments import (
    Cache,
    Format,
    FormatOption,
    Logits,
    Precision,
    duration,
    older,
    renamed,
)
from lts.cli.errors import exits
from lts.cli.log import say
from lts.cli.progress import Waiting
from lts.study.schema import store_path
from lts.system.progress import Work

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.targets.target import Target
    from lts.targets.workload import Workload

FORMATS = ("onnx", "hf", "json", "tvm")
# Prompt length of a study that does not say.
_N_PROMPT = 128


@exits
def command(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="STUDY|MODEL",
            help="Directory or store (.db file) of a search; or the folder of a trained model: config.json and "
            "model.safetensors.",
            show_default=False,
        ),
    ],
    pick: Annotated[
        str | None,
        typer.Option(
            help="Of a study: ID, knee, best, all, or a condition such as 'latency_ms<=20'.",
            show_default="knee",
            autocompletion=complete.picks,
        ),
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of onnx, hf, json, tvm, with commas.")] = "onnx,hf,json",
    target: Annotated[
        str | None,
        typer.Option(
            help="Target of the format tvm: a name, or a TOML file.",
            show_default="that of the search",
            autocompletion=complete.targets,
        ),
    ] = None,
    candidate_timeout: Annotated[
        str | None, typer.Option(help="Time to compile and check one member.", metavar="DURATION", show_default="10m")
    ] = None,
    timeout: Annotated[str | None, older("--timeout")] = None,
    directory: Annotated[Path | None, typer.Option("--output-dir", "-O", help="Where the files go.")] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(help="Of the ONNX and compiled models.", show_default="that of the search; of a model float32"),
    ] = None,
    logits: Annotated[
        Logits | None,
        typer.Option(
            help="Positions of the prompt with logits: last, or all.", show_default="as in the search; of a model last"
        ),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(
            help="Of a model: a text, or token ids (.npy), on which its perplexity in float32 and in --precision is "
            "measured.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the random weights of a study's members.", min=0, show_default="0")
    ] = None,
    cache: Annotated[
        Cache, typer.Option(help="Of keys and values in decode.onnx; in_place needs ONNX Runtime 1.22.")
    ] = Cache.copied,
    output: FormatOption = Format.table,
) -> None:
    """Write members of a front, or a trained model, as files that run."""
    from lts.cli.output import Results, emit
    from lts.errors import UsageError
    from lts.export import export
    from lts.measure.pretrained import is_pretrained
    from lts.study.stored import read_study

    chosen = tuple(part.strip() for part in formats.split(","))
    for name in chosen:
        if name not in FORMATS:
            raise UsageError(f"unknown format '{name}'; expected any of {', '.join(FORMATS)}")
    if "tvm" in chosen and cache is Cache.in_place:
        raise UsageError("the format tvm copies keys and values; export it without --cache in_place")
    given = {"--pick": pick, "--target": target, "--candidate-timeout": candidate_timeout, "--timeout": timeout}
    if not store_path(source).is_file() and is_pretrained(source):
        _refuse({**given, "--seed": seed}, chosen)
        form = {"precision": precision or Precision.float32, "logits": logits or Logits.last, "cache": cache}
        _export_model(source, directory, chosen, form, text, output)
        return
    if text is not None:
        raise UsageError(
            "--text needs weights that were trained, and members of a study have random ones; give the folder of a "
            "model, with config.json and model.safetensors"
        )
    seconds = duration(renamed(candidate_timeout, timeout, "--timeout --candidate-timeout") or "10m")
    path = store_path(source)
    stored = read_study(path)
    trials = stored.front.pick(pick or "knee")
    place = directory or path.parent / "models"
    plain = tuple(name for name in chosen if name != "tvm")
    wanted = {"precision": precision, "logits": logits}
    workload = _workload({**stored.configuration, **{key: str(value) for key, value in wanted.items() if value}})
    records = []
    with Waiting("exporting", len(trials)) as waiting:
        for done, trial in enumerate(trials):
            waiting(Work("exporting", done, len(trials), f"trial {trial.id}"))
            files = export(
                trial.architecture,
                place / str(trial.id),
                plain,
                precision=workload.precision,
                logits=workload.logits,
                cache=cache,
                seed=seed or 0,
            )
            records += [{"trial": trial.id, "file": str(file)} for file in files]
    if workload.precision != "float32":
        say(
            f"note: the weights are random, and how far {workload.precision} moves them says nothing of trained ones; "
            "export the folder of a trained model to see that"
        )
    if "tvm" in chosen:
        goal = replace(_target(target, stored.configuration), precision=workload.precision)
        records += _compiled(trials, place, goal, plain, workload, seconds, seed or 0)
    emit(Results(records, ("trial", "file"), [(r["trial"], r["file"]) for r in records]), output)


def _refuse(given: Mapping[str, Any], formats: Sequence[str]) -> None:
    """Raise `UsageError` for what only members of a study have."""
    from lts.errors import UsageError

    for name, value in given.items():
        if value is not None:
            raise UsageError(f"{name} is about members of a study, and this is the folder of a model; leave it out")
    if "tvm" in formats:
        raise UsageError("the format tvm is for members of a study; a model is written as onnx, hf and json")


def _export_model(
    folder: Path,
    directory: Path | None,
    formats: Sequence[str],
    form: Mapping[str, Any],
    text: Path | None,
    output: Format,
) -> None:
    """Write a trained model in a form of `lts.export.export`, and say what its precision changes."""
    from lts.cli.output import Results, emit
    from lts.cli.rounding import read_windows, say_errors, say_perplexity
    from lts.errors import UsageError
    from lts.export import export
    from lts.measure.pretrained import read_pretrained

    place = directory or folder / "models"
    if place.resolve() == folder.resolve():
        raise UsageError(f"--output-dir is the folder of the model itself, {folder}; choose another one")
    model = read_pretrained(folder)
    precision = form["precision"]
    windows = None if text is None else read_windows(model, precision, text)
    with Waiting(f"exporting {folder}"):
        files = export(model.architecture, place, formats, **form, weights=model.weights)
    emit(Results([{"file": str(file)} for file in files], ("file",), [(str(file),) for file in files]), output)
    if precision is not Precision.float32:
        say_errors(model, precision)
    if text is not None and windows is not None:
        say_perplexity(model, precision, windows, text)


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
    from lts.measure.deployer import Deployer

    records = []
    with Waiting("compiling", len(trials)) as waiting:
        deployer = Deployer(target, workload=workload, observe=waiting)
        try:
            if deployer.unchecked is not None:
                say(f"models are compiled and not run: {deployer.unchecked}")
            for done, trial in enumerate(trials):

                def observe(work: Work, trial: Trial = trial, done: int = done) -> None:
                    now = f"trial {trial.id} {work.what} {work.now}".rstrip()
                    waiting(Work("compiling", done, len(trials), now))

                made = deployer.deploy(
                    trial.architecture,
                    place / str(trial.id),
                    formats=formats,
                    timeout=timeout,
                    seed=seed,
                    observe=observe,
                )
                if made.error is not None:
                    raise MeasurementError(f"trial {trial.id}, compiled for {target.name}: {made.error}")
                records += [{"trial": trial.id, "file": str(file)} for file in made.files]
        finally:
            deployer.close()
    return records
