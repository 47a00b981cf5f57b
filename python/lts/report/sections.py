"""The sections of a report as HTML. Everything that comes from a store goes through `escaped`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from lts.measure.dimensions import in_words
from lts.measure.trial import Trial
from lts.report.contents import Contents
from lts.report.elements import breakable, escaped, pairs, table
from lts.spaces.space import CHOICES
from lts.system.text import extent, flattened, listed, magnitude, number, plural, spelled_duration, unit

_MEANINGS = {
    "exact": "counted from the architecture",
    "measured": "run and timed on the device",
    "predicted": "by a model fitted to measurements, not measured",
    "estimated": "calculated from the architecture, not measured",
    "given": "by a function of the user's own",
    "emulated": "run in an emulator: not the speed of the device",
}
_SHOWN = ("space", "objectives", "constraints", "algorithm_options")  # have rows or sections of their own
_NUMERIC = ("n_layer", "d_model", "d_embed", "div_val")  # dimensions that are one number
_MOST_ROWS = 200


def summary(contents: Contents) -> str:
    """How the study was made."""
    space, options = contents.space, contents.space.options
    choices = [
        f"{name} {_choices(options[name])}"
        for name in CHOICES
        if isinstance(options[name], list) and options[name] and options[name] not in ([-1], [1])
    ]
    rows: list[tuple[str, object]] = [
        ("space", f"{space.name}, family {space.family}, {magnitude(space.size)} architectures"),
        ("choices", "; ".join(choices)),
    ]
    for key, value in contents.configuration.items():
        if key not in _SHOWN and value not in ("", None, [], {}):
            rows += flattened({key: value})
    rows += flattened({"algorithm_options": contents.configuration.get("algorithm_options") or {}})
    rows.append(
        (
            "trials",
            f"{number(len(contents.complete))} complete, {number(len(contents.failed))} failed, "
            f"{number(len(contents.unfinished))} unfinished",
        )
    )
    if (times := contents.times()) is not None:
        first, last = times
        rows.append(
            (
                "time span",
                f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC, "
                f"{spelled_duration((last - first).total_seconds())} from the first finished trial to the last",
            )
        )
    if versions := sorted({trial.lts_version for trial in contents.trials if trial.lts_version}):
        rows.append(("lts-engine", ", ".join(versions)))
    return f"<h2>Summary</h2>{pairs(rows)}"


def objectives(contents: Contents) -> str:
    """Objectives and constraints, and what the labels of numbers mean."""
    knee = contents.knee
    head = ["objective", "goal", "unit", "values are", "on the front", "at the knee" if knee else "", "all trials"]
    rows = []
    for objective in contents.front.objectives:
        name = objective.name
        at_knee = escaped(number(knee.values[name])) if knee else ""
        rows.append(
            f"<td>{breakable(name)}</td><td>{'less' if objective.direction == 'min' else 'more'} is better</td>"
            f"<td>{escaped(unit(name))}</td><td>{escaped(_kinds(contents, name))}</td>"
            f'<td class="n">{escaped(extent([t.values[name] for t in contents.front.trials]))}</td>'
            f'<td class="n">{at_knee}</td>'
            f'<td class="n">{escaped(extent([t.values[name] for t in contents.complete]))}</td>'
        )
    parts = ["<h2>Objectives</h2>", table([escaped(cell) for cell in head], rows, right=(4, 5, 6))]
    if contents.constraints:
        bounds = ", ".join(f"{constraint} ({contents.label(constraint.name)})" for constraint in contents.constraints)
        parts.append(
            f"<p>Constraints: {escaped(bounds)}. {escaped(plural(len(contents.infeasible), 'complete trial'))} "
            "outside of them.</p>"
        )
    used = {kind for name in contents.columns for kind in contents.provenances(name)}
    meanings = "; ".join(f"{kind}: {meaning}" for kind, meaning in _MEANINGS.items() if kind in used)
    if meanings:
        parts.append(f'<p class="muted">{escaped(meanings)}.</p>')
    return "".join(parts)


def front_table(contents: Contents) -> str:
    """The members of the front, by the first objective."""
    front = contents.front.trials
    if not front:
        return ""
    names = [name for name in contents.columns if any(name in trial.values for trial in front)]
    shapes = {trial.id: in_words(trial.architecture) for trial in front}
    shape_names = list(dict.fromkeys(name for shape in shapes.values() for name in shape))
    # The objectives, what the architecture is, and then whatever else is known.
    columns = [*contents.objectives, *shape_names, *(name for name in names if name not in contents.objectives)]
    head = ["<button>trial</button>"]
    for name in columns:
        if name in names:
            head.append(f"<button>{breakable(name)}</button><small>{escaped(contents.label(name))}</small>")
        else:
            head.append(f"<button>{breakable(name)}</button>" if name in _NUMERIC else breakable(name))
    rows = []
    for trial in front:
        key = escaped(trial.id)
        cells = [f'<td data-value="{key}">{key}{" knee" if trial is contents.knee else ""}</td>']
        for name in columns:
            text = escaped(shapes[trial.id].get(name, ""))
            if name in names:
                cells.append(_value_cell(contents, trial, name))
            elif name in _NUMERIC:
                cells.append(f'<td class="n" data-value="{text}">{text}</td>')
            else:
                cells.append(f'<td class="layers">{text}</td>')
        rows.append("".join(cells))
    marked = [" class='knee'" * (trial is contents.knee) for trial in front]
    right = [i for i, name in enumerate(columns, start=1) if name in names or name in _NUMERIC]
    note = "Values per layer from first to last; 3×512 is three layers of 512. A heading sorts the table."
    return f'{table(head, rows, right=right, marked=marked, pinned=True)}<p class="muted">{note}</p>'


def seconds(contents: Contents) -> str:
    """Where the time of the trials went."""
    phases = sorted(contents.seconds.items(), key=lambda item: -sum(item[1]))
    total = sum(sum(times) for _, times in phases)
    if total <= 0:
        return ""
    rows = [
        f'<td>{breakable(name)}</td><td class="n">{spelled_duration(sum(times))}</td>'
        f'<td class="n">{sum(times) / total:.1%}</td><td class="n">{spelled_duration(median(times))}</td>'
        f'<td class="bar"><span style="width:{100 * sum(times) / total:.1f}%"></span></td>'
        for name, times in phases
    ]
    phases_table = table(["phase", "total", "share", "median trial", ""], rows, right=(1, 2, 3))
    trials = plural(len(contents.complete) + len(contents.failed), "finished trial")
    return f"<h2>Where the time went</h2><p>{spelled_duration(total)} in {trials}, measured.</p>{phases_table}"


def troubles(contents: Contents) -> str:
    """Warnings and failures, equal ones together."""
    failures = _grouped((trial.error or "no reason stored", trial) for trial in contents.failed)
    warnings = _grouped((text, trial) for trial in contents.trials for text in dict.fromkeys(trial.warnings))
    parts = ["<h2>Warnings and failures</h2>"]
    if not failures and not warnings:
        return parts[0] + "<p>None.</p>"
    for noun, groups in (("failed trial", failures), ("warning", warnings)):
        if not groups:
            continue
        rows = [
            f'<td class="n">{number(len(trials))}</td><td class="text">{escaped(text)}</td>'
            f"<td>{escaped(listed(trial.id for trial in trials))}</td>"
            for text, trials in groups[:_MOST_ROWS]
        ]
        parts.append(f"<h3>{plural(sum(len(trials) for _, trials in groups), noun).capitalize()}</h3>")
        parts.append(table(["times", "reason" if noun == "failed trial" else "warning", "trials"], rows, right=(0,)))
        if len(groups) > _MOST_ROWS:
            parts.append(f"<p>And {number(len(groups) - _MOST_ROWS)} more.</p>")
    return "".join(parts)


def environments(contents: Contents) -> str:
    """The machines and software that the values come from."""
    used: dict[str, int] = {}
    for trial in contents.trials:
        if trial.environment:
            used[trial.environment] = used.get(trial.environment, 0) + 1
    if not used:
        return ""
    parts = ["<h2>Environments</h2>"]
    if len(used) > 1:
        parts.append(
            '<p class="warn">The trials come from more than one environment: their measurements may not compare.</p>'
        )
    for key, n in used.items():
        known = contents.environments.get(key)
        body = pairs(flattened(known), card=False) if known else "<p>Not described in the store.</p>"
        opened = " open" if len(used) == 1 else ""
        parts.append(
            f'<details class="card"{opened}><summary>{escaped(key)} <small>{plural(n, "trial")}</small></summary>'
            f"{body}</details>"
        )
    return "".join(parts)


def _grouped(found: Iterable[tuple[str, Trial]]) -> list[tuple[str, list[Trial]]]:
    """Trials by text, the most frequent text first."""
    groups: dict[str, list[Trial]] = {}
    for text, trial in found:
        groups.setdefault(text, []).append(trial)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def _value_cell(contents: Contents, trial: Trial, name: str) -> str:
    value = trial.values.get(name)
    if value is None:
        return "<td></td>"
    notes = []
    if name in trial.interval:
        notes.append(" to ".join(number(bound) for bound in trial.interval[name]))
    if len(contents.provenances(name)) > 1 and name in trial.provenance:
        notes.append(trial.provenance[name])
    small = f"<small>{escaped(', '.join(notes))}</small>" if notes else ""
    return f'<td class="n" data-value="{escaped(repr(value))}">{escaped(number(value))}{small}</td>'


def _choices(values: Sequence[Any]) -> str:
    if isinstance(values[0], tuple | bool):  # pairs of heads; biases, of all parts or of each
        return listed(["/".join(map(str, each)) if isinstance(each, tuple) else str(each) for each in values])
    steps = {b - a for a, b in itertools.pairwise(values)}
    if len(values) > 3 and len(steps) == 1:
        step = steps.pop()
        return f"{values[0]} to {values[-1]}" + (f" step {step}" if step > 1 else "")
    return listed(values)


def _kinds(contents: Contents, name: str) -> str:
    return contents.label(name).removeprefix(f"{unit(name)}, ")
