"""How a search ends: models, a report, and what is said where there is no result."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lts.cli.arguments import Export
from lts.cli.log import say
from lts.cli.progress import Waiting
from lts.study.schema import STORE_NAME
from lts.system.progress import Work

if TYPE_CHECKING:
    from lts.errors import LtsError
    from lts.measure.evaluator import TargetEvaluator
    from lts.measure.trial import Trial
    from lts.study.front import Front
    from lts.study.study import Study
    from lts.targets.target import Target
    from lts.targets.workload import Workload


@dataclass(frozen=True)
class Chosen:
    """The members of a front that are written at the end.

    Parameters
    ----------
    members
        Those that are shown, which may stand for more.
    trials
        What is chosen among them, and what a member of it is called.
    end
        Time by the monotonic clock at which it must be done.
    """

    members: Front
    trials: Sequence[Trial]
    label: str
    end: float


def chosen_of(whole: Front, shown: Front, pick: str | None) -> list[Trial]:
    """The members that a search is for: its knee, or what `pick` says; none of an empty front.

    Raises
    ------
    LtsError
        As `Front.pick`, when there is no such member.
    """
    if not whole.trials:
        return []
    if pick is None:
        return [shown.knee()]
    return shown.trials if pick == "all" else whole.pick(pick)


def export_members(
    trials: Iterable[Trial], directory: Path, workload: Workload, label: str, formats: Sequence[str]
) -> None:
    """Write the models of trials below the directory."""
    from lts.export import export as export_architecture
    from lts.export.manifest import has_own_weights
    from lts.study.exportable import origin_of

    copied = False
    trials = list(trials)
    with Waiting("exporting", len(trials)) as waiting:
        for done, trial in enumerate(trials):
            waiting(Work("exporting", done, len(trials), f"trial {trial.id}"))
            copied |= trial.architecture.traits.position != "relative"
            folder = directory / "models" / str(trial.id)
            if has_own_weights(folder):
                say(f"{label}: trial {trial.id} is in {folder} with weights of its own, which stay")
                continue
            export_architecture(
                trial.architecture,
                folder,
                formats,
                precision=workload.precision,
                logits=workload.logits,
                origin=origin_of(trial, workload),
            )
            say(f"{label}: trial {trial.id} exported to {folder}")
    if trials:
        say(
            "note: exported weights are random; train a member, and bring its weights back: lts-engine export "
            f"{directory} --pick ID --weights CHECKPOINT"
        )
    if "onnx" in formats and copied and workload.n_gen and workload.cache == "in_place":
        say(
            "note: model.onnx copies keys and values, as standard operations do; what was measured keeps them in "
            f"place: lts-engine export {directory} --cache in_place"
        )


def check_compiles(target: Target) -> None:
    """Raise `UsageError` when models for the target cannot be compiled, before minutes of searching.

    That TVM is not installed is said at the end, where the results are.
    """
    from lts.backends.backend import load_backend
    from lts.errors import MeasurementError, UsageError

    with suppress(MeasurementError):
        try:
            load_backend("tvm").check(target)
        except UsageError as error:
            raise UsageError(f"the front cannot be compiled (--export none leaves that out): {error}") from None


def write_models(
    study: Study,
    evaluator: TargetEvaluator,
    chosen: Chosen,
    export: Export,
    store: Path,
    place: Path,
    *,
    compiles: bool,
) -> None:
    """Export the chosen members of a front below the directory, and compile all of it where the search does.

    Raises
    ------
    LtsError
        When a model cannot be written, compiled or run, or is wrong.
    """
    from lts.study.plan import compile_order

    ours = "gguf" if evaluator.backend_name == "llamacpp" else "onnx"  # the form that was measured
    members = chosen.members.trials if export is Export.all else chosen.trials
    export_members(members, place, evaluator.workload, chosen.label, (ours, "hf", "json"))
    if compiles:
        members = compile_order(chosen.members, chosen.trials)
        compile_members(study, evaluator, members, place, chosen.end)
        say_what_lacks_weights(members, store, place)


def compile_members(
    study: Study, evaluator: TargetEvaluator, members: Sequence[Trial], directory: Path, end: float
) -> None:
    """Compile and check members of the front, the first ones first. Raises `MeasurementError` when that goes wrong."""
    from lts.errors import LtsError, MeasurementError
    from lts.measure.deployer import Deployer
    from lts.study.deploy_front import deploy_front

    with Waiting("compiling the front", len(members), end=end) as waiting:
        try:
            deployer = Deployer(
                evaluator.target, evaluator.device, workload=evaluator.workload, observe=waiting, **evaluator.tuning()
            )
        except LtsError as error:
            raise type(error)(f"the front is not compiled (--export none leaves that out): {error}") from None
        try:
            n_wrong = deploy_front(study, deployer, members, directory, end, say, waiting)
        finally:
            deployer.close()
    if n_wrong:
        raise MeasurementError(f"{n_wrong} members of the front could not be compiled, or are not right; see above")


def say_what_lacks_weights(members: Iterable[Trial], path: Path, directory: Path) -> None:
    """Say how the weights of compiled members are written that are not there."""
    models = directory / "models"
    n = sum(not (models / str(trial.id) / "weights.bin").is_file() for trial in members)
    if n:
        say(
            f"{n} compiled members lack their weights; to write them: lts-engine export {path} --pick ID "
            f"--format onnx -O {models}"
        )


def finish(study: Study, front: Front, path: Path, directory: Path, suffix: str) -> None:
    """The report, where it can be written, where everything is, and what can be done with it."""
    from importlib.util import find_spec

    from lts.report import write_report
    from lts.system.files import make_directory

    if find_spec("plotly") is not None and study.trials:
        report = directory / f"report{suffix}.html"
        make_directory(directory)
        write_report(path, report)
        say(f"report: {report}")
    say(f"study: {path}")
    if front.trials:
        place = shlex.quote(str(directory if path == directory / STORE_NAME else path))
        for title, line in zip(("next:", "or:", "or:"), _next(study, front, place), strict=True):
            say(f"{title:<6} {line}")


def _next(study: Study, front: Front, place: str) -> tuple[str, str, str]:
    """Commands for a study: see the front, write a member of it, and compare that with another model.

    Where models run elsewhere, or nowhere, they are not compared on this machine.
    """
    objective, knee = front.objectives[-1], front.knee().id
    sign = "" if objective.direction == "min" else "-"
    here = study.evaluator.describe().get("device") == "local"
    return (
        f"lts-engine front {place} --sort={sign}{objective.name}",
        f"lts-engine export {place} --pick {knee}",
        f"lts-engine compare MODEL {place}#{knee}" if here else f"lts-engine report {place}",
    )


def why_nothing(study: Study) -> LtsError | None:
    """What to raise for a search in which no trial was completed; None where one was."""
    from lts.errors import InfeasibleError, MeasurementError
    from lts.system.text import plural

    if any(trial.state == "complete" for trial in study.trials):
        return None
    reasons = Counter(trial.error for trial in study.trials if trial.state == "failed" and trial.error)
    if reasons:
        (reason, n), n_failed = reasons.most_common(1)[0], reasons.total()
        which = "the only trial" if n_failed == 1 else f"all {plural(n_failed, 'trial')}"
        share = "" if n == n_failed else f", {n} of them because"
        return MeasurementError(f"no trial was completed: {which} failed{share}: {reason}")
    if study.hopeless:
        return InfeasibleError(f"no trial satisfies the constraints: {study.hopeless}")
    return MeasurementError("no trial was completed; allow more time (--timeout)")
