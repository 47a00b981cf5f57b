"""The head of a report: what was searched, what was found, and what exactly was measured."""

from __future__ import annotations

from lts.report.contents import LONGEST, Contents
from lts.report.elements import escaped, facts, tiles
from lts.system.outside import sentence
from lts.system.text import extent, magnitude, number, plural, unit


def title(contents: Contents) -> str:
    """The title: the space, and the target that it was searched for."""
    target = contents.configuration.get("target")
    for_target = f" for {sentence(target, LONGEST)}" if target else ""
    return f"Pareto front of {sentence(contents.space.name, LONGEST)}{for_target}"


def heading(contents: Contents) -> str:
    """Title, what was found in one sentence, what was measured, and the most important numbers."""
    about = contents.configuration
    made = [f"{key} {sentence(about[key], LONGEST)}" for key in ("algorithm", "surrogate", "seed") if key in about]
    if (times := contents.times()) is not None:
        same_day = times[0].date() == times[1].date()
        made.append(f"{times[0]:%Y-%m-%d %H:%M} to {times[1]:{'' if same_day else '%Y-%m-%d '}%H:%M} UTC")
    numbers = [
        ("on the front", number(len(contents.front))),
        ("trials complete", number(len(contents.complete))),
        ("trials failed", number(len(contents.failed))),
        ("architectures in the space", magnitude(contents.space.size)),
    ]
    if contents.constraints:
        numbers.insert(2, ("violate a constraint", number(len(contents.infeasible))))
    return (
        f"<h1>{escaped(title(contents))}</h1>"
        f'<p class="muted">{escaped(" · ".join(made))}</p><p>{escaped(_found(contents))}</p>'
        f"{facts(measured(contents))}{tiles(numbers)}{_state(contents)}"
    )


def measured(contents: Contents) -> list[tuple[str, str]]:
    """What was run, and on what: names and values. Nothing of a study that does not say it."""
    about, workload = contents.configuration, contents.workload
    found = [(name, sentence(about[name], LONGEST)) for name in ("device", "backend", "target") if about.get(name)]
    if workload is None:
        return found
    return [
        *found,
        ("precision", workload.precision),
        ("prompt", plural(workload.n_prompt, "token")),
        ("generated", plural(workload.n_gen, "token") if workload.n_gen else "nothing: the prompt pass alone"),
        ("batch", number(workload.batch)),
        ("logits", "of all positions" if workload.logits == "all" else "of the last position"),
        ("threads", number(workload.threads)),
        ("weights", _weights(contents)),
    ]


def _weights(contents: Contents) -> str:
    """Searches measure architectures, which have no weights but random ones; what else was measured says so."""
    if weights := contents.configuration.get("weights"):
        return sentence(weights, LONGEST)
    ran = any({"measured", "emulated"} & set(contents.provenances(name)) for name in contents.columns)
    return "random" if ran else "none: nothing was run"


def _found(contents: Contents) -> str:
    if not contents.front.trials:
        reason = "no trial satisfies the constraints" if contents.complete else "no trial is complete"
        return f"The front is empty: {reason} yet."
    parts = []
    for name in contents.objectives:
        values = [trial.values[name] for trial in contents.front.trials]
        parts.append(f"{name} {extent(values)} {unit(name)}".rstrip())
    return f"{plural(len(contents.front), 'architecture')} on the front: {', '.join(parts)}."


def _state(contents: Contents) -> str:
    if not contents.unfinished:
        return ""
    return (
        f'<p class="warn">{escaped(plural(len(contents.unfinished), "trial"))} had not finished when this was written: '
        "the search was still running, or it was stopped and the same command resumes it.</p>"
    )
