"""lts-engine front --again"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lts.cli.arguments import Format
from lts.cli.log import say

if TYPE_CHECKING:
    from lts.measure.trial import Trial
    from lts.study.again import Again
    from lts.study.stored import StoredStudy

PROCESSES = 3


def show_again(
    stored: StoredStudy,
    members: Sequence[Trial],
    device: str | None,
    target: str | None,
    processes: int,
    timeout: float | None,
    output: Format,
) -> None:
    """Measure members of a front anew, and print what is stored and what is measured now.

    Raises
    ------
    UsageError
        When they cannot be measured there, before anything is.
    MeasurementError
        When none of them could be measured.
    """
    from lts.cli.output import Results, emit, value_of
    from lts.cli.progress import Waiting
    from lts.errors import MeasurementError
    from lts.study.again import columns_again, measure_members, open_again
    from lts.system.environment import environment_hash, fitness_warnings
    from lts.system.text import listed, number, plural

    with open_again(stored.configuration, device, target, timeout) as evaluator:
        columns, missing = columns_again(stored, evaluator)
        say(
            f"measuring {plural(len(members), 'member')} of the front for {evaluator.target.name} on "
            f"{evaluator.device_name} with {evaluator.backend_name}: {evaluator.workload}"
        )
        for warning in fitness_warnings() if evaluator.device_name == "local" else ():
            say(f"warning: {warning}")
        if missing:
            say(f"note: {', '.join(missing)} is not measured there")

        def told(process: int, trial: Trial) -> None:
            latest = {
                name: trial.rounds.get(name, [trial.values[name]])[-1] for name in columns if name in trial.values
            }
            values = "  ".join(f"{name} {number(value)}" for name, value in latest.items())
            say(f"[process {process}] trial {trial.id}: {trial.error or values}")

        with Waiting("measuring again", every=10.0) as waiting:
            found = measure_members(stored, members, evaluator, columns, processes, told, waiting)
        environment = environment_hash(evaluator.environment())
    if found and found[0].same and any(each.stored.environment not in ("", environment) for each in found):
        say("note: the stored values come from another machine or other software")
    rows: list[list[Any]] = []
    for each in found:
        for name in columns:
            before, now = value_of(each.stored, name), value_of(each.now, name)
            holds = each.holds(name)
            told_holds = "" if holds is None else "yes" if holds else "no"
            rows.append([each.stored.id, name, before, now, each.ratio(name), told_holds])
        if each.now.disturbed:
            say(f"warning: trial {each.stored.id} was disturbed: {'; '.join(each.now.warnings)}")
    records = [_record(each, columns) for each in found]
    emit(Results(records, ["trial", "column", "stored", "now", "now / stored", "holds"], rows), output)
    outside = [f"{each.stored.id} ({name})" for each in found for name in columns if each.holds(name) is False]
    if outside:
        say(f"intervals do not hold of trial {listed(outside)}")
    failed = [each.now for each in found if each.now.state != "complete"]
    if failed and len(failed) == len(found):
        raise MeasurementError(f"none of the members could be measured: {failed[0].error}")


def _record(again: Again, columns: Sequence[str]) -> dict[str, Any]:
    from lts.study.spread import n_processes

    def value(trial: Trial, name: str) -> dict[str, Any]:
        return {
            "value": trial.values.get(name),
            "interval": list(trial.interval[name]) if name in trial.interval else None,
            "provenance": trial.provenance.get(name),
        }

    now = again.now
    return {
        "trial": again.stored.id,
        "architecture": again.stored.architecture.to_dict(),
        "target": now.target,
        "device": now.device,
        "backend": now.backend,
        "environment": now.environment,
        "processes": n_processes(now),
        "error": now.error,
        "warnings": now.warnings,
        "columns": {
            name: {
                "stored": value(again.stored, name),
                "now": value(now, name),
                "ratio": again.ratio(name),
                "holds": again.holds(name),
            }
            for name in columns
        },
    }
