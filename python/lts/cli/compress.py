"""lts-engine compress"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

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
    PrecisionOption,
    PromptOption,
    TargetOption,
    ThreadsOption,
    duration,
    numbers,
)
from lts.cli.ending import Chosen
from lts.cli.errors import INTERRUPTED, exits
from lts.cli.log import say
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
from lts.errors import UsageError
from lts.study.schema import STORE_NAME

if TYPE_CHECKING:
    from lts.compress.study import CompressStudy


@exits
def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A trained model: a folder as save_pretrained writes it, or a GGUF file.",
            show_default=False,
        ),
    ],
    text: Annotated[
        list[Path] | None,
        typer.Option(
            help="A text of the kind that the model is for, or token ids (.npy); three quarters of it decide what "
            "stays, on the last perplexity is measured. May be repeated.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    eval_text: Annotated[
        Path | None,
        typer.Option(
            help="A second text, on which nothing is chosen: members get their eval_perplexity.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    target: TargetOption = "host",
    device: Annotated[
        str | None,
        typer.Option(
            help=f"Where sub-networks run: {DEVICES}; none estimates costs.",
            show_default="local where the target runs here, else none: costs are estimated",
            autocompletion=complete.devices,
        ),
    ] = None,
    backend: BackendOption = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to optimize: see lts-engine columns. May be repeated.",
            metavar="NAME:max|min",
            show_default="perplexity:min request_ms:min peak_memory_mib:min; with --n-gen 0 latency_ms:min, on an "
            "emulated device instructions:min",
            autocompletion=complete.objectives,
        ),
    ] = None,
    constraint: ConstraintOption = None,
    method: Annotated[
        str,
        typer.Option(help="What decides which parts stay: ours, or to compare with flap, wanda, magnitude, layers."),
    ] = "ours",
    steps: Annotated[
        str, typer.Option(help="Channels that a feed-forward network loses at a time.", metavar="d_ff=NUMBER")
    ] = "d_ff=64",
    uniform: Annotated[
        str | None,
        typer.Option(
            help="Also measure, to compare with, sub-networks that keep the same share of every layer, with so many "
            "percent of the decoder parameters.",
            metavar="PERCENT,...",
            show_default=False,
        ),
    ] = None,
    keep_heads: Annotated[bool, typer.Option("--keep-heads", help="Keep all heads of attention.")] = False,
    tokens: Annotated[int, typer.Option(help="Tokens of the texts that decide what stays.", min=1)] = 49_152,
    context: Annotated[
        int | None, typer.Option(help="Tokens of a window of text.", min=2, show_default="512, or all positions")
    ] = None,
    recover: Annotated[
        str | None,
        typer.Option(
            help="Time to teach each exported member what the whole model says on the texts; off by default.",
            metavar="DURATION",
            show_default=False,
        ),
    ] = None,
    lora_rank: Annotated[
        int | None,
        typer.Option(
            help="With --recover: let adapters of this rank learn in place of the weights (LoRA, by peft).",
            metavar="RANK",
            min=1,
            show_default=False,
        ),
    ] = None,
    torch_device: Annotated[str, typer.Option(help="Device of PyTorch that --recover uses: cpu, cuda.")] = "cpu",
    trials: Annotated[int, typer.Option(help="Sub-networks that are measured, at most.", min=1)] = 24,
    timeout: TimeoutOption = "30m",
    seed: SeedOption = 0,
    n_prompt: PromptOption = 128,
    n_gen: GenOption = 32,
    batch: BatchOption = 1,
    precision: PrecisionOption = None,
    logits: LogitsOption = Logits.last,
    cache: CacheOption = None,
    threads: ThreadsOption = None,
    flash_attention: FlashAttentionOption = None,
    candidate_timeout: CandidateTimeoutOption = None,
    store: StoreOption = None,
    output_dir: Annotated[
        Path | None,
        typer.Option("--output-dir", "-O", help="Where results go.", show_default="MODEL-compressed-TARGET"),
    ] = None,
    export: ExportOption = Export.knee,
    pick: PickOption = None,
    confirm: ConfirmOption = True,
    output: FormatOption = Format.table,
) -> None:
    """Find the parts of a trained model to ship to a device: a front of perplexity on your text and measured costs.

    What the model can do without is found out first, which takes minutes; then sub-networks are measured as they would
    be deployed, in the precision that ships. The same command again resumes where it was stopped.
    """
    started = time.monotonic()
    end = started + duration(timeout)
    from lts.cli.announce import announce, say_text
    from lts.cli.opening import opened_for
    from lts.cli.progress import Waiting
    from lts.compress.original import read_original
    from lts.compress.source import Settings
    from lts.compress.study import CompressStudy
    from lts.study import plan
    from lts.system.uninterrupted import end_like_ctrl_c

    check_arguments(trials, None, seed, pick)
    if lora_rank is not None and recover is None:
        raise UsageError("--lora-rank is about recovery; add --recover DURATION, or leave it out")
    teaching = None if recover is None else _Teach(duration(recover), torch_device, lora_rank)
    shares = [] if uniform is None else [percent / 100 for percent in numbers("--uniform", uniform)]
    if not all(0 < share <= 1 for share in shares):
        raise UsageError(f"--uniform is '{uniform}'; expected percent from 1 to 100")
    if teaching is not None:
        from lts.compress.student import check_teaching  # which needs PyTorch

        check_teaching(torch_device, lora_rank)
    settings = Settings(method, _step_of(steps), keep_heads)
    end_like_ctrl_c()
    original = read_original(model)
    settings.check(original)
    with ExitStack() as stack:
        costs = stack.enter_context(
            opened_for(
                original.architecture.family,
                target,
                device,
                backend=backend,
                n_prompt=n_prompt,
                n_gen=n_gen,
                batch=batch,
                precision=precision,
                logits=logits,
                cache=cache,
                timeout=duration(candidate_timeout) if candidate_timeout else None,
                threads=threads,
                flash_attention=flash_attention,
            )
        )
        name = f"{original.path.resolve().stem}-compressed"
        directory = output_dir or (store.parent if store else Path(plan.directory_name(name, costs.target.name, costs)))
        path = store or directory / STORE_NAME
        try:
            with Waiting("reading the text") as waiting:
                study = CompressStudy(
                    original,
                    text or (),
                    costs,
                    directory=directory,
                    store=path,
                    eval_text=eval_text,
                    tokens=tokens,
                    context=context,
                    settings=settings,
                    objectives=objective or None,
                    constraints=constraint or (),
                    compare_uniform=shares,
                    seed=seed,
                    observe=waiting,
                )
        except KeyboardInterrupt:
            say("interrupted before the first trial; the same command resumes")
            raise typer.Exit(INTERRUPTED) from None
        stack.enter_context(study)
        evaluator = study.evaluator
        split = plan.split(end - time.monotonic(), evaluator, compiles=False, confirm=confirm)
        say_text(study.windows)
        announce(study, evaluator, path, split)
        study.check_bounds()
        searching = Searching(study, evaluator, path, directory, end, split, trials, confirm, export, pick, output)
        show = searching.run(lambda chosen: _write(study, chosen, export, end, teaching))
    show()


class _Teach(NamedTuple):
    """What `CompressStudy.recover` is told."""

    seconds: float
    device: str
    lora_rank: int | None


def _write(study: CompressStudy, chosen: Chosen, export: Export, end: float, recover: _Teach | None) -> None:
    """Write the chosen members with their weights, recovered where that is asked for, compiled where the target is."""
    from lts.cli.export import compiled
    from lts.cli.progress import Waiting
    from lts.system.progress import Work
    from lts.system.text import number

    evaluator = study.evaluator
    trials = chosen.members.trials if export is Export.all else [*chosen.trials]
    formats = ("gguf" if evaluator.backend_name == "llamacpp" else "onnx", "hf", "json")
    for trial in trials:
        if recover is None:
            break
        with Waiting(f"recovering trial {trial.id}") as waiting:
            found = study.recover(
                trial, recover.seconds, device=recover.device, lora_rank=recover.lora_rank, observe=waiting
            )
        values = ", ".join(f"{name} {number(trial.values[name])} to {number(after)}" for name, after in found.items())
        helped = found["perplexity"] < trial.values["perplexity"]
        say(f"trial {trial.id} recovered: {values}{'' if helped else '; it stays as it was'}")
    members = [study.exportable(trial) for trial in trials]
    with Waiting("exporting", len(members)) as waiting:
        for done, (trial, member) in enumerate(zip(trials, members, strict=True)):
            waiting(Work("exporting", done, len(members), f"trial {trial.id}"))
            study.export(trial, formats=formats)
            say(f"{chosen.label}: trial {trial.id} exported to {member.folder}, with its weights")
    if evaluator.compiles:
        places = [member.folder for member in members]
        left = max(1.0, end - time.monotonic())
        compiled(members, places, evaluator.target, formats, evaluator.workload, left, 0)


def _step_of(text: str) -> int:
    """The number in ``d_ff=64``. Raises `UsageError` for something else."""
    if (found := re.fullmatch(r"\s*d_ff\s*=\s*(\d{1,7})\s*", text, re.ASCII)) is None:
        raise UsageError(f"--steps is '{text}'; expected for example d_ff=64")
    return int(found[1])
