"""Fleets on the command line: a search for many devices, their fronts, and models that serve all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lts.cli.arguments import Format
from lts.cli.log import say
from lts.errors import InfeasibleError, MeasurementError, UsageError

if TYPE_CHECKING:
    from lts._core import Architecture, SearchSpace
    from lts.fleet.fronts import DeviceFront
    from lts.fleet.stored import StoredFleet
    from lts.measure.trial import Trial
    from lts.study.loop import Progress
    from lts.study.predicted_front import PredictedMember

_SHAPE = ("n_layer", "d_model", "n_head", "d_ff")
# Predicted members that a search shows of a device where nothing was measured.
_SHOWN = 6


def search_fleet(
    space: SearchSpace,
    file: Path,
    folder: Path,
    *,
    refused: Mapping[str, Any],
    trials: int | None,
    timeout: float,
    confirm: bool,
    output: Format,
    **options: Any,
) -> None:
    """Search for all devices of a fleet file, write the report, and print the fronts.

    `refused` has by name the options that the file has in their place, with what was given; `options` are those of
    `lts.fleet.fleet.Fleet`.

    Raises
    ------
    UsageError
        For an option that does not go with a fleet, or a file that is wrong.
    MeasurementError
        When a device could not be measured on: after the results of the others are printed.
    """
    from lts.fleet.device import read_fleet
    from lts.fleet.fleet import Fleet

    for name, value in refused.items():
        if value:
            raise UsageError(f"--{name} does not go with --fleet: each device of {file} has its own; leave it out")
    fleet = Fleet(space, read_fleet(file), folder, **options)
    names = [device.name for device in fleet.devices if device.measured]
    say(f"searching {space.name} for {len(fleet.devices)} devices, measuring on {', '.join(names) or 'none'}: {folder}")
    stored = fleet.run(trials, timeout, _told, confirm=confirm)
    for failure in fleet.failures:
        say(f"{failure.device}: {failure.reason}")
    for note in stored.notes:
        say(f"note: {note}")
    _report(stored)
    _emit(stored.fronts, output, few=True)
    if fleet.failures:
        failed = ", ".join(each.device for each in fleet.failures)
        raise MeasurementError(f"not measured to the end on {failed}; the same command goes on there alone")


def show_fleet(
    folder: Path, *, device: str | None, prefer: str | None, k: int | None, refused: Mapping[str, Any], output: Format
) -> None:
    """Print the fronts of a fleet, the member of each that a preference chooses, or `k` models for all devices."""
    from lts.fleet.preference import parse_preference
    from lts.fleet.stored import read_stored_fleet

    for name, value in refused.items():
        if value:
            raise UsageError(f"--{name} is for the study of one device: name the folder {folder / (device or 'NAME')}")
    stored = read_stored_fleet(folder)
    for note in stored.notes:
        say(f"note: {note}")
    if k is not None:
        if device is not None or prefer is not None:
            raise UsageError("--common is for all devices and their preferences: leave --device and --prefer out")
        _emit_common(stored, k, output)
        return
    fronts = stored.fronts if device is None else [stored.front(device)]
    if prefer is None:
        _emit(fronts, output)
        return
    weights = parse_preference(prefer)
    _emit_rows([(front, front.prefer(weights)) for front in fronts], output)


def _told(device: str, step: Progress) -> None:
    trial = step.trial
    what = "failed" if trial.state == "failed" else "measured again" if step.again else "measured"
    say(f"{device}: trial {trial.id} {what}, {step.n_finished} of {step.trials} finished")


def _report(stored: StoredFleet) -> None:
    """Write the page, where that can be done."""
    from lts.report.fleet import write_fleet_report

    try:
        write_fleet_report(stored, stored.folder / "report.html")
    except UsageError as error:
        say(f"no report: {error}")


def _emit(fronts: Sequence[DeviceFront], output: Format, *, few: bool = False) -> None:
    """All members; with `few`, of the predicted ones some, of the devices where nothing was measured."""
    pairs: list[tuple[DeviceFront, Trial | PredictedMember]] = []
    for front in fronts:
        measured = list(front.measured or ())
        predicted = list(front.predicted)
        if few:
            predicted = [] if measured else predicted[:: max(1, -(-len(predicted) // _SHOWN))]
        pairs += [(front, trial) for trial in measured]
        pairs += [(front, member) for member in predicted]
    if not pairs:
        raise InfeasibleError("the fronts of all devices are empty")
    _emit_rows(pairs, output)


def _emit_rows(pairs: Iterable[tuple[DeviceFront, Trial | PredictedMember]], output: Format) -> None:
    from lts.measure.trial import Trial

    rows: list[_Row] = []
    for front, member in pairs:
        if isinstance(member, Trial):
            rows.append(_Row(front, member.architecture, dict(member.values), {}, dict(member.interval), member.id))
        else:
            rows.append(_Row(front, member.architecture, {}, dict(member.values), dict(member.interval)))
    _print(rows, output, None)


def _emit_common(stored: StoredFleet, k: int, output: Format) -> None:
    rows = [
        _Row(stored.front(each.device), each.architecture, {**each.measured}, {**each.predicted}, {}, loss=each.loss)
        for each in stored.common(k)
    ]
    _print(rows, output, f"{len({row.architecture.to_json() for row in rows})} models for all devices")
    unserved = [row.front.device.name for row in rows if row.loss is not None and row.loss == float("inf")]
    if unserved:
        raise InfeasibleError(f"no chosen model is within the bounds of {', '.join(unserved)}")


class _Row:
    """A model on a device: what was measured and what is predicted of it there, apart from each other."""

    def __init__(
        self,
        front: DeviceFront,
        architecture: Architecture,
        measured: dict[str, float],
        predicted: dict[str, float],
        interval: dict[str, Any],
        trial: int | None = None,
        loss: float | None = None,
    ) -> None:
        from lts._core import analytic_names

        counted = set(analytic_names())
        together = {**predicted, **measured}
        self.front = front
        self.architecture = architecture
        self.exact = {name: value for name, value in together.items() if name in counted}
        self.measured = {name: value for name, value in measured.items() if name not in counted}
        self.predicted = {name: value for name, value in predicted.items() if name not in counted}
        self.interval = interval
        self.trial = trial
        self.loss = loss

    def record(self) -> dict[str, Any]:
        """For programs."""
        known = {
            "device": self.front.device.name,
            "trial": self.trial,
            "architecture": self.architecture.to_dict(),
            "exact": self.exact,
            "measured": self.measured,
            "predicted": self.predicted,
            "relative": [name for name in self.predicted if name in self.front.relative],
            "interval": {name: list(ends) for name, ends in self.interval.items()},
        }
        return known if self.loss is None else {**known, "loss": self.loss if self.loss != float("inf") else None}

    def value(self, kind: str, name: str) -> float | None:
        """What is known of a column, with its interval where there is one."""
        from lts.cli.output import Spread

        value: float | None = getattr(self, kind).get(name)
        return Spread(value, self.interval[name]) if value is not None and name in self.interval else value


def _print(rows: Sequence[_Row], output: Format, title: str | None) -> None:
    from lts.cli.output import Results, emit
    from lts.system.text import runs

    objectives = [objective.name for objective in rows[0].front.objectives]
    columns: list[tuple[str, str, str]] = []
    for name in objectives:
        for kind in ("exact", "measured", "predicted"):
            if any(name in getattr(row, kind) for row in rows):
                relative = kind == "predicted" and any(name in row.front.relative for row in rows)
                columns.append((kind, name, f"{name} ({kind}{', relative where unmeasured' if relative else ''})"))
    with_loss = any(row.loss is not None for row in rows)
    table = [
        [
            row.front.device.name,
            row.trial,
            *(row.value(kind, name) for kind, name, _ in columns),
            *([row.loss if row.loss != float("inf") else "out of bounds"] if with_loss else []),
            row.architecture.n_layer,
            row.architecture.d_model,
            runs(row.architecture.n_head),
            runs(row.architecture.d_ff),
        ]
        for row in rows
    ]
    headings = ["device", "trial", *(heading for _, _, heading in columns), *(["loss"] if with_loss else []), *_SHAPE]
    emit(Results([row.record() for row in rows], headings, table, title, len(_SHAPE)), output)
