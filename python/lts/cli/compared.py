"""Baselines on the command line: reading them, and what the front has beside them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lts.cli.arguments import Format
from lts.cli.log import say

if TYPE_CHECKING:
    from lts._core import Architecture
    from lts.study.baselines import Baseline
    from lts.study.front import Front
    from lts.study.study import Study


def baselines_of(given: Sequence[str]) -> dict[str, Architecture]:
    """The architectures by the name of their file or folder, or by all that was given where several are called so.

    Raises
    ------
    UsageError
        For one that cannot be read, naming it.
    """
    from lts.study.baselines import read

    short = {text: Path(text).name or text for text in given}
    n = Counter(short.values())
    return read({short[text] if n[short[text]] == 1 else text: text for text in given})


def measure_baselines(study: Study, timeout: float, confirm: bool) -> float:
    """Measure the baselines of a study, and say what came out; the time that is left."""
    from lts.cli.progress import Waiting
    from lts.system.progress import Work

    n = 0

    def told(baseline: Baseline) -> None:
        nonlocal n
        n += 1
        say_baseline(study, baseline)
        waiting(Work("measuring the baselines", n))

    with Waiting("measuring the baselines", every=10.0) as waiting:
        left = study.measure_baselines(timeout, told, confirm=confirm)
    return timeout if left is None else left


def say_baseline(study: Study, baseline: Baseline) -> None:
    """A line for a baseline that was measured, with its values or why there are none."""
    from lts.study.spread import n_processes
    from lts.system.text import with_bounds

    known = next((each.trial for each in study.baselines if each.name == baseline.name), baseline.trial)
    if baseline.trial.state == "running":
        say(f"the time was not enough for baseline {baseline.name}; the same command measures it")
        return
    if known.state != "complete":
        say(f"baseline {baseline.name} could not be measured: {known.error}")
        return
    values = "  ".join(f"{name} {with_bounds(known.values[name], known.interval.get(name))}" for name in study.columns)
    several = f"  ({n} processes)" if (n := n_processes(known)) > 1 else ""
    say(f"baseline {baseline.name}: {values}{several}")


def show_baselines(front: Front, baselines: Sequence[Baseline], output: Format) -> None:
    """After a front: each baseline with the members beside it, and what that means in sentences.

    On stdout where people read it; in the formats for programs stdout stays the front's records, and the sentences go
    to stderr.
    """
    from lts.cli.output import Results, emit, value_of
    from lts.study.comparison import compare

    if not baselines:
        return
    found = [compare(front, baseline) for baseline in baselines]
    sentences = [sentence for each in found for sentence in each.sentences()] if front.trials else []
    if output not in (Format.table, Format.md):
        for sentence in sentences:
            say(sentence)
        return
    names = [objective.name for objective in front.objectives]
    rows = []
    for each in found:
        beside = [(f"baseline {each.baseline.name}", each.baseline.trial), ("same size or better", each.same_size)]
        if each.same_cost is not each.same_size:
            beside.append(("same cost or less", each.same_cost))
        for what, trial in beside:
            if trial is None or trial.state != "complete":
                continue
            values = [value_of(trial, name) for name in names]
            rows.append([what, None if trial is each.baseline.trial else trial.id, *values])
    sys.stdout.write("\n")
    if rows:
        emit(Results([], ["compared", "trial", *names], rows, "Baselines and the front beside them"), output)
        sys.stdout.write("\n")
    for sentence in sentences:
        sys.stdout.write(f"{'* ' if output is Format.md else ''}{sentence}\n")
