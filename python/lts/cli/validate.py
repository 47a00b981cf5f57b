"""lts-engine proxy validate"""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lts.cli.arguments import Format, FormatOption, SpaceArgument, duration, older, renamed
from lts.cli.errors import INTERRUPTED, exits
from lts.cli.log import say
from lts.cli.progress import Waiting
from lts.errors import UsageError
from lts.system.progress import Work

if TYPE_CHECKING:
    from lts.proxies.validation import Experiment, Progress

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_SHARES = (1.0, 0.5)
_SEQUENCES, _LENGTH = 8, 32  # size of the batch of held-out text for scores that need tokens
_PASSES = 4  # passes over the text; with more, models memorize it (Muennighoff et al. 2023, arXiv 2305.16264)


@exits
def validate(
    space: SpaceArgument,
    text: Annotated[Path, typer.Option(help="File to train on; its last 5 % are held out.", show_default=False)],
    models: Annotated[int, typer.Option(help="Models to train.", min=4)] = 24,
    timeout: Annotated[
        str | None, typer.Option(help="Time for the whole command.", metavar="DURATION", show_default="20m")
    ] = None,
    torch_device: Annotated[
        str | None, typer.Option(help="PyTorch device: cpu, cuda or cuda:N.", show_default="cpu")
    ] = None,
    max_params: Annotated[
        str, typer.Option(help="Decoder parameters of the largest model: 500k, 20M.", metavar="NUMBER")
    ] = "1M",
    length: Annotated[int, typer.Option(help="Bytes of a sequence.", min=8, max=65536)] = 128,
    batch: Annotated[int, typer.Option(help="Sequences of a step.", min=1, max=65536)] = 8,
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-3,
    seed: Annotated[int, typer.Option(help="Seed of the sample, the batches and the weights.", min=0)] = 0,
    parallel: Annotated[
        int | None, typer.Option(help="Models trained at once on the processor.", min=1, show_default="all cores")
    ] = None,
    budget: Annotated[str | None, older("--budget")] = None,
    device: Annotated[str | None, older("--device")] = None,
    threads: Annotated[int | None, older("--threads")] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", "-O", help="Where everything goes.", show_default="SPACE-validation")
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Train small models of a space on your own text, and show how well proxies rank them.

    The models are a sample over all sizes up to --max-params. Each is trained on the same batches of bytes, for the
    number of steps that the budget allows. The same command again resumes after any interruption.
    """
    device = renamed(torch_device, device, "--device --torch-device") or "cpu"
    at_once = renamed(parallel, threads, "--threads --parallel")
    seconds, most = duration(renamed(timeout, budget, "--budget --timeout") or "20m"), _size(max_params)
    if not (math.isfinite(lr) and lr > 0):
        raise UsageError(f"--lr is {lr}; it must be above 0")
    from lts.spaces.space import load_space
    from lts.system.names import check_name

    known = load_space(space)
    content = _read(text)
    # Before PyTorch is loaded: threads that spin while they wait take ten times as long when other programs run.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from lts.networks.training import Recipe
    from lts.proxies.stratified import LEAST_MODELS
    from lts.proxies.validation import Experiment
    from lts.system.machine import allowed_cpus, cores
    from lts.system.uninterrupted import end_like_ctrl_c

    end_like_ctrl_c()
    say(f"choosing {models} models of {known.name}")
    directory = output_dir or Path(f"{check_name(known.name, 'the name of the space')}-validation")
    interrupted = done = False
    with Experiment(
        directory,
        known,
        content,
        recipe=Recipe(0, batch=batch, length=length, lr=lr, seed=seed),
        models=models,
        max_params=most,
        device=device,
        parallel=(at_once or cores(allowed_cpus())) if device == "cpu" else 1,
    ) as experiment:
        _announce(experiment, known.name, models)
        try:
            with _Live(experiment) as live:
                done = experiment.run(seconds, live.told)
        except KeyboardInterrupt:
            interrupted = True
        complete, n = experiment.complete, len(experiment.architectures)
        if interrupted:
            say(f"interrupted with {len(experiment.records)} of {n} models; the same command resumes")
        elif not done:
            say(f"the budget is over with {len(experiment.records)} of {n} models; the same command resumes")
        if len(complete) >= LEAST_MODELS:
            _print(complete, experiment, known.name, output)
        say(
            f"models: {directory / 'models.jsonl'}  (lts-engine proxy evaluate {directory / 'table.csv'} "
            "--quality valid_loss:min)"
        )
    if interrupted:
        raise typer.Exit(INTERRUPTED)
    if len(complete) < LEAST_MODELS:
        from lts.errors import MeasurementError

        raise MeasurementError(
            f"{len(complete)} models were trained, and a comparison needs {LEAST_MODELS}; allow more time (--timeout), "
            "or see why models failed"
        )


def _size(text: str) -> int:
    """A number of parameters: 500k, 1.5M or 20000000."""
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?)([kmgb]?)", text.strip().lower())
    value = round(float(match[1]) * _UNITS[match[2]]) if match else 0
    if not 0 < value < 2**62:
        raise UsageError(f"--max-params is '{text}'; expected a number of parameters, for example 500k or 20M")
    return value


def _read(path: Path) -> bytes:
    if not path.exists():
        raise UsageError(f"--text: no file {path}")
    if not path.is_file():
        raise UsageError(f"--text: {path} is no regular file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--text: cannot read {path}: {error.strerror}") from None
    except MemoryError:
        raise UsageError(f"--text: {path} does not fit into memory; give a part of it") from None


def _announce(experiment: Experiment, name: str, asked: int) -> None:
    from lts._core import decoder_params
    from lts.system.text import grouped, plural

    sizes = [decoder_params(a) for a in experiment.architectures]
    if len(sizes) < asked:
        say(f"note: {name} has only {len(sizes)} architectures in these bounds, not {asked}")
    say(
        f"training {plural(len(sizes), 'model')} of {name} with {grouped(sizes[0])} to {grouped(sizes[-1])} decoder "
        f"parameters on {grouped(experiment.corpus.n_bytes)} bytes, on {experiment.device}"
    )
    if experiment.plan is not None:
        say(f"resuming {experiment.directory}: {plural(len(experiment.records), 'model')} are there")


def _print(complete: list[dict[str, Any]], experiment: Experiment, name: str, output: Format) -> None:
    from dataclasses import replace

    from lts._core import Architecture
    from lts.cli.output import emit
    from lts.cli.ranking import ranked, results, scored
    from lts.proxies.ranking import PROXIES
    from lts.proxies.zero_cost import Batch
    from lts.system.text import plural

    architectures = [Architecture.from_dict(record["architecture"]) for record in complete]
    quality = [-record["valid_loss"] for record in complete]
    tokens = experiment.corpus.valid[:_SEQUENCES, : min(_LENGTH, experiment.corpus.valid.shape[1] - 1)]
    scores = scored(architectures, [p.name for p in PROXIES], Batch(tokens=tokens, device=experiment.device))
    rankings = ranked(architectures, quality, scores)
    shown = [replace(r, agreements=[each for each in r.agreements if each.share in _SHARES]) for r in rankings]
    steps = experiment.plan["recipe"]["steps"] if experiment.plan else 0
    title = f"{plural(len(complete), 'model')} of {name}, {plural(steps, 'step')} each, by validation loss (measured)"
    emit(results(shown, title), output)


class _Live(Waiting):
    """Progress on stderr, and a line for every model that has finished."""

    def __init__(self, experiment: Experiment) -> None:
        super().__init__("timing a few steps of every model")
        self._experiment = experiment
        self._planned = False

    def told(self, progress: Progress) -> None:
        """Take notice of a model that trains, or has finished."""
        if not self._planned:
            self._planned = True
            self._say_plan(progress)
        if progress.record is not None:
            say(self._line(progress, progress.record))
        loss = "" if progress.loss is None else f", loss {progress.loss:.3f}"
        now = "" if progress.record is not None else f"step {progress.step} of {progress.steps}{loss}"
        done = progress.n - (progress.record is None)
        self(Work("training models", done, progress.models, now, progress.left))

    def _say_plan(self, progress: Progress) -> None:
        from lts.system.text import plural

        plan = self._experiment.plan
        assert plan is not None
        recipe = plan["recipe"]
        passes = progress.steps * recipe["batch"] * recipe["length"] / self._experiment.corpus.n_bytes
        say(f"{plural(progress.steps, 'step')} each: {passes:.2g} passes over the text")
        if passes > _PASSES:
            say("note: a longer text, or a smaller --timeout, keeps models from memorizing it")

    @staticmethod
    def _line(progress: Progress, record: Any) -> str:
        from lts.system.text import grouped, spelled_duration

        outcome = f"failed: {record['error']}"
        if record["state"] == "complete":
            outcome = f"validation loss {record['valid_loss']:.4f} nats per byte  {spelled_duration(record['seconds'])}"
        size = grouped(record["decoder_params"])
        return f"[{progress.n}/{progress.models}] decoder_params {size}  {outcome}"
