"""lts-engine compare"""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from lts.cli.errors import exits
from lts.cli.log import say
from lts.errors import UsageError

if TYPE_CHECKING:
    from lts.measure.compare import Center, Verdict
    from lts.measure.evaluator import TargetEvaluator
    from lts.measure.interleaved import Comparison, Side
    from lts.measure.outcome import Outcome

_REGRESSION, _INCONCLUSIVE = 1, 3


class Inconclusive(StrEnum):
    """What an inconclusive metric makes of the exit code."""

    pass_ = "pass"
    fail = "fail"


@exits
def command(
    baseline: Annotated[
        str, typer.Argument(help="What is shipped: a file, a folder of a model, or STUDY#ID.", show_default=False)
    ],
    contender: Annotated[
        str, typer.Argument(help="What shall replace it: a file, a folder of a model, or STUDY#ID.", show_default=False)
    ],
    target: Annotated[str, typer.Option(help="What is compiled for: a name, or a TOML file.")] = "host",
    device: Annotated[
        str | None, typer.Option(help="Where both run.", show_default="local if it can run the target")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(help="Compiler and runtime: onnxruntime or tvm.", show_default="onnxruntime here, else tvm"),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="What is compared, separated by commas; may be repeated.",
            metavar="NAME,...",
            show_default="request_ms,peak_memory_mib; with --n-gen 0 latency_ms; on an emulated device instructions",
        ),
    ] = None,
    max_regression: Annotated[
        str | None,
        typer.Option(
            help="What the contender may be worse by: 5%, or 0.05.",
            metavar="SHARE",
            show_default="5%; 0% for instructions",
        ),
    ] = None,
    inconclusive: Annotated[
        Inconclusive, typer.Option(help="What the gate does where the measurements do not say.")
    ] = Inconclusive.pass_,
    processes: Annotated[
        int, typer.Option(help="Processes per side, at most, and as many to measure a regression again; 4 to 25.")
    ] = 12,
    n_prompt: PromptOption = 128,
    n_gen: GenOption = 32,
    batch: BatchOption = 1,
    precision: PrecisionOption = None,
    logits: LogitsOption = Logits.last,
    threads: Annotated[int | None, typer.Option(help="Threads; by default the target's.", show_default=False)] = None,
    candidate_timeout: Annotated[
        str | None,
        typer.Option(help="Time for one process.", metavar="DURATION", show_default="60s, 10m when emulated"),
    ] = None,
    output: FormatOption = Format.table,
) -> None:
    """Measure two models in turn on one device, and say whether the second one costs more.

    Exit code 0: nothing got worse; 1: a regression; 2: a wrong argument; 3: it could not be measured, or it is
    inconclusive and --inconclusive is fail.
    """
    bound = None if max_regression is None else _share(max_regression)
    seconds = None if candidate_timeout is None else duration(candidate_timeout)
    from lts.measure.compare import Answer
    from lts.measure.interleaved import check_comparable, compare_architectures
    from lts.measure.opening import open_evaluator
    from lts.study.architectures import load_architecture
    from lts.system.environment import fitness_warnings
    from lts.system.text import listed, number
    from lts.system.uninterrupted import end_like_ctrl_c

    both = {"baseline": load_architecture(baseline), "contender": load_architecture(contender)}
    end_like_ctrl_c()
    with open_evaluator(
        target,
        device=device,
        backend=backend,
        n_prompt=n_prompt,
        n_gen=n_gen,
        batch=batch,
        precision=precision,
        logits=logits,
        threads=threads,
        timeout=seconds,
    ) as evaluator:
        names = _metrics(metric, evaluator)
        check_comparable(both["baseline"], both["contender"], evaluator, names)
        say(
            f"comparing {listed(names)} for {evaluator.target.name} on {evaluator.device_name} with "
            f"{evaluator.backend_name}: {evaluator.workload}"
        )
        if both["baseline"] == both["contender"]:
            say("note: the baseline and the contender are the same architecture")
        for warning in fitness_warnings() if evaluator.device_name == "local" else ():
            say(f"warning: {warning}")

        def told(side: Side, outcome: Outcome, counts: bool) -> None:
            values = "  ".join(f"{name} {number(outcome.values[name])}" for name in names if name in outcome.values)
            left_out = "" if counts else f"  (does not count: {outcome.error or listed(outcome.warnings, 1)})"
            say(f"[{side}] {values}{left_out}")

        found = compare_architectures(
            both["baseline"],
            both["contender"],
            evaluator,
            names,
            max_regression=bound,
            most=processes,
            told=told,
        )
        records = _records(found, {"baseline": baseline, "contender": contender}, evaluator)
    _show(found, records, output)
    if found.answers(Answer.regression):
        raise typer.Exit(_REGRESSION)
    if inconclusive is Inconclusive.fail and found.answers(Answer.inconclusive):
        raise typer.Exit(_INCONCLUSIVE)


def _share(text: str) -> float:
    """The number that "5%" or "0.05" is. Raises `UsageError` for something else, or from 100 % on without the sign."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", text.strip(), re.ASCII)
    value = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if match is None or value > 1000:
        raise UsageError(f"--max-regression is '{text}'; expected a share of at least 0, such as 5% or 0.05")
    if value >= 1 and not match[2]:
        raise UsageError(
            f"--max-regression is '{text}', {value:.0%}; write {text.strip()}% or the sign with the number"
        )
    return value


def _metrics(given: list[str] | None, evaluator: TargetEvaluator) -> list[str]:
    """What was asked for, else what a search for this device optimizes."""
    if given is None:
        wanted = (name.rpartition(":") for name in evaluator.default_objectives)
        return [name for name, _, goal in wanted if goal == "min"]
    names = [name.strip() for each in given for name in each.split(",")]
    if not all(names):
        raise UsageError(f"--metric is '{','.join(given)}'; expected names of columns, separated by commas")
    return list(dict.fromkeys(names))


def _show(found: Comparison, records: list[dict[str, Any]], output: Format) -> None:
    from lts.cli.output import Results, Spread, emit

    def side(center: Center) -> float:
        return Spread(center.value, (center.low, center.high)) if center.n > 1 else center.value

    people = output in (Format.table, Format.md)
    rows = [
        [
            f"{name} ({record['provenance']})",
            side(each.baseline),
            side(each.contender),
            _change(each),
            "" if each.p_value is None else f"{each.p_value:.2g}",
            f"{100 * each.max_regression:.3g} %",
            each.answer.value,
        ]
        for (name, each), record in zip(found.verdicts.items(), records, strict=True)
    ]
    columns = ["metric", "baseline", "contender", "change", "p", "bound", "verdict"]
    emit(Results(records, columns if people else (), rows if people else (), _title(found)), output)
    sentences = [_sentence(each, name in found.not_seen_again) for name, each in found.verdicts.items()]
    if not people:
        for sentence in sentences:
            say(sentence)
        return
    if output is Format.md:
        sys.stdout.write("\n")
    for sentence in sentences:
        sys.stdout.write(f"{'* ' if output is Format.md else ''}{sentence}\n")


def _title(found: Comparison) -> str:
    sides = [side for each in found.verdicts.values() for side in (each.baseline, each.contender)]
    n = min(side.n for side in sides)
    if n == 1:
        return "Baseline and contender, one process each"
    held = min(side.coverage for side in sides)
    return f"Medians of {n} processes per side, ± with {100 * held:.3g} %"


def _change(verdict: Verdict) -> str:
    """The change with its interval: "+3.1 % (+1.2 to +5.0 %)"."""
    if verdict.change_interval is None:
        return f"{100 * verdict.change:+.3g} %"
    low, high = verdict.change_interval
    if low == high:
        return f"{100 * verdict.change:+.3g} %"
    return f"{100 * verdict.change:+.3g} % ({100 * low:+.3g} to {100 * high:+.3g} %)"


def _sentence(verdict: Verdict, not_seen_again: bool) -> str:
    """The verdict in words."""
    from lts.measure.compare import Answer

    name, bound = verdict.metric.name, f"{100 * verdict.max_regression:.3g} %"
    beyond = f" by more than {bound}" if verdict.max_regression else ""
    if verdict.answer is Answer.regression:
        twice = "" if verdict.metric.exact else ", seen in two measurements"
        return f"{name}: regression, {_change(verdict)}: worse{beyond}{twice}"
    if verdict.answer is Answer.improvement:
        return f"{name}: improvement, {_change(verdict)}: better{beyond}"
    if verdict.answer is Answer.same:
        return f"{name}: same, {_change(verdict)}: no change{beyond.replace(' by', ' of')}"
    if not_seen_again:
        return f"{name}: inconclusive, {_change(verdict)}: a regression was seen, but not when it was measured again"
    if verdict.enough is None:
        return f"{name}: inconclusive, {_change(verdict)}: the processes differ too much for a bound of {bound}"
    more = f"about {verdict.enough} processes per side would do (estimated)"
    return f"{name}: inconclusive, {_change(verdict)}: no change and one of more than {bound} both fit; {more}"


def _records(found: Comparison, given: dict[Side, str], evaluator: TargetEvaluator) -> list[dict[str, Any]]:
    """One record per metric, with what every process measured and its samples."""

    def center(side: Side, each: Center) -> dict[str, Any]:
        return {
            "name": given[side],
            "value": each.value,
            "interval": [each.low, each.high],
            "coverage": each.coverage,
            "processes": each.n,
        }

    return [
        {
            "metric": name,
            "verdict": each.answer.value,
            "provenance": evaluator.provenance,
            "baseline": center("baseline", each.baseline),
            "contender": center("contender", each.contender),
            "change": each.change,
            "change_interval": None if each.change_interval is None else list(each.change_interval),
            "p_value": each.p_value,
            "max_regression": each.max_regression,
            "enough": each.enough,
            "measured_again": name in found.measured_again,
            "not_seen_again": name in found.not_seen_again,
            "processes": [
                {
                    "side": side,
                    "value": outcome.values.get(name),
                    "counts": counts,
                    "error": outcome.error,
                    "warnings": outcome.warnings,
                }
                for side, outcome, counts in found.processes
            ],
            "samples_ns": [outcome.samples_ns for _, outcome, _ in found.processes],
            **{key: value for key, value in evaluator.describe().items() if key != "profile"},
            "environment": next((o.environment for _, o, _ in found.processes if o.environment), ""),
        }
        for name, each in found.verdicts.items()
    ]
