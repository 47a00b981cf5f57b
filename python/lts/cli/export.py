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
from lts.system.progress import Work

if TYPE_CHECKING:
    from lts.study.exportable import Exportable
    from lts.targets.target import Target
    from lts.targets.workload import Workload

FORMATS = ("onnx", "hf", "json", "gguf", "tvm", "hf-zeros")
_RANDOM = "note: the weights are random; train the model, and export it again with --weights CHECKPOINT"
_RANDOM_ROUNDED = (
    "note: the weights are random, and how far {} moves them says nothing of trained ones; train the model, and export "
    "it again with --weights CHECKPOINT"
)
# Prompt length of a study that does not say.
_N_PROMPT = 128


@exits
def command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="STUDY|STUDY#ID|MODEL",
            help="Directory or store (.db file) of a search; one trial of it; the folder of a trained model, with its "
            "config.json and safetensors files; a GGUF file; or an architecture's file or folder.",
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
    formats: Annotated[
        str,
        typer.Option(
            "--format",
            help="Any of onnx, hf, json, gguf, tvm, with commas; or hf-zeros: a compressed model in the shape of the "
            "original, which saves nothing.",
        ),
    ] = "onnx,hf,json",
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
        typer.Option(
            help="Of the ONNX, GGUF and compiled models.", show_default="that of the search; of a model float32"
        ),
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
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Trained weights in place of random ones: a safetensors file, or the folder of one or several, as "
            "save_pretrained and Trainer write them.",
            metavar="CHECKPOINT",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the tokenizer.json that model.gguf gets, or another GGUF file that has it.",
            metavar="PATH",
            show_default="none",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of random weights.", min=0, show_default="0")] = None,
    cache: Annotated[
        Cache, typer.Option(help="Of keys and values in model.onnx; in_place needs ONNX Runtime 1.22.")
    ] = Cache.copied,
    position_ids: Annotated[
        bool, typer.Option("--position-ids", help="Give model.onnx the input position_ids, which it else counts.")
    ] = False,
    output: FormatOption = Format.table,
) -> None:
    """Write members of a front, or a trained model, as files that run."""
    from lts.cli.output import Results, emit
    from lts.cli.rounding import read_windows, say_errors, say_not_quantized, say_perplexity
    from lts.compress.writing import copy_tokenizer, with_weights
    from lts.errors import UsageError
    from lts.export import export
    from lts.study.exportable import origin_of, read_exportables

    chosen = tuple(part.strip() for part in formats.split(","))
    for name in chosen:
        if name not in FORMATS:
            raise UsageError(f"unknown format '{name}'; expected any of {', '.join(FORMATS)}")
    zeros = "hf-zeros" in chosen
    if zeros and len(chosen) > 1:
        raise UsageError("hf-zeros has the original's shape, and other formats the member's; export it alone")
    if zeros and weights is not None:
        raise UsageError("hf-zeros is made of the weights of the model that was compressed; leave --weights out")
    if "tvm" in chosen and cache is Cache.in_place:
        raise UsageError("the format tvm copies keys and values; export it without --cache in_place")
    if "tvm" in chosen and position_ids:
        raise UsageError("the format tvm counts positions; export it without --position-ids")
    seconds = duration(renamed(candidate_timeout, timeout, "--timeout --candidate-timeout") or "10m")
    members = read_exportables(source, pick, weights)
    if weights is None:
        members = with_weights(members, source, zeros=zeros)
    first = members[0]
    if text is not None and first.weights is None:
        raise UsageError(f"--text needs weights that were trained, and those of {source} are random; give --weights")
    if seed is not None and first.weights is not None:
        raise UsageError("--seed is about random weights, and these are trained; leave it out")
    wanted = {"precision": precision, "logits": logits}
    workload = _workload({**first.configuration, **{key: str(value) for key, value in wanted.items() if value}}, first)
    windows = None if text is None else read_windows(first, workload.precision, text)
    plain = ("hf",) if zeros else tuple(name for name in chosen if name != "tvm")
    places = [_place(member, directory, source, weights) for member in members]
    form: dict[str, Any] = {"precision": workload.precision, "logits": workload.logits, "cache": cache}
    form |= {"position_ids": position_ids, "tokenizer": tokenizer}
    records = []
    with Waiting("exporting", len(members)) as waiting:
        for done, (member, place) in enumerate(zip(members, places, strict=True)):
            waiting(Work("exporting", done, len(members), place.name))
            origin = origin_of(member.trial, workload)
            own = None if member.trial is None else member.tokenizer  # of a sub-network, that of the whole model
            if own is not None and tokenizer is None and "gguf" in plain:
                form["tokenizer"] = own.parent
            files = export(
                member.architecture, place, plain, weights=member.weights, seed=seed or 0, origin=origin, **form
            )
            if {"hf", "onnx"} & {*plain}:
                copy_tokenizer(own, place)
            records += [{**_trial(member), "file": str(file)} for file in files]
    if zeros:
        say("note: in the original's shape it takes the original's memory and time; hf, onnx and gguf save both")
    if "gguf" in chosen:
        say_not_quantized([member.architecture for member in members], workload.precision)
        if form["tokenizer"] is None and first.tokenizer is not None:
            say(f"note: model.gguf has no tokenizer; --tokenizer {first.tokenizer_place} puts the model's own into it")
    if "tvm" in chosen:
        goal = replace(_target(target, first.configuration), precision=workload.precision)
        records += compiled(members, places, goal, plain, workload, seconds, seed or 0)
    columns = ("trial", "file") if first.trial is not None else ("file",)
    emit(Results(records, columns, [tuple(r[name] for name in columns) for r in records]), output)
    if first.weights is None:
        say(_RANDOM if workload.precision == "float32" else _RANDOM_ROUNDED.format(workload.precision))
    elif workload.precision != "float32":
        say_errors(first, workload.precision)
    if text is not None and windows is not None:
        say_perplexity(first, workload.precision, windows, text)


def _trial(member: Exportable) -> dict[str, Any]:
    return {} if member.trial is None else {"trial": member.trial.id}


def _place(member: Exportable, directory: Path | None, source: str, weights: Path | None) -> Path:
    """The folder of a member: those of a study have one each, by their number."""
    from lts.errors import UsageError

    if directory is None:
        return member.folder
    if member.trial is not None:
        return directory / str(member.trial.id)
    if directory.resolve() == Path(source).resolve():
        raise UsageError(f"--output-dir is the folder of the model itself, {source}; choose another one")
    if weights is not None and directory.resolve() in (weights.resolve(), weights.resolve().parent):
        raise UsageError(f"--output-dir is the folder of the weights themselves, {directory}; choose another one")
    return directory


def _workload(configuration: Mapping[str, Any], member: Exportable) -> Workload:
    """What the study was searched for; as many tokens of a prompt as there are positions, where it does not say."""
    from lts.targets.workload import Workload

    positions = member.architecture.n_positions
    return Workload.of({"n_prompt": min(_N_PROMPT, positions), **configuration})


def _target(given: str | None, configuration: Mapping[str, Any]) -> Target:
    """The given target, or else the one of the search, with its number of threads."""
    from lts.targets.target import Target, load_target

    if given is None and "profile" in configuration:
        return Target.from_dict(configuration["profile"])
    return load_target(given or configuration.get("target") or "host")


def compiled(
    members: Sequence[Exportable],
    places: Sequence[Path],
    target: Target,
    formats: tuple[str, ...],
    workload: Workload,
    timeout: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Compile, and check where that is possible; a model with wrong outputs is an error."""
    from lts.errors import MeasurementError
    from lts.measure.deployer import Deployer
    from lts.study.exportable import origin_of

    records = []
    with Waiting("compiling", len(members)) as waiting:
        deployer = Deployer(target, workload=workload, observe=waiting)
        try:
            if deployer.unchecked is not None:
                say(f"models are compiled and not run: {deployer.unchecked}")
            for done, (member, place) in enumerate(zip(members, places, strict=True)):

                def observe(work: Work, place: Path = place, done: int = done) -> None:
                    waiting(Work("compiling", done, len(members), f"{place.name} {work.what} {work.now}".rstrip()))

                made = deployer.deploy(
                    member.architecture,
                    place,
                    formats=(),  # they are written
                    timeout=timeout,
                    weights=member.weights,
                    seed=seed,
                    origin=origin_of(member.trial, workload),
                    observe=observe,
                )
                if made.error is not None:
                    raise MeasurementError(f"{place}, compiled for {target.name}: {made.error}")
                records += [{**_trial(member), "file": str(file)} for file in made.files]
        finally:
            deployer.close()
    return records
