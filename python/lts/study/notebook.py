"""What notebooks show of fronts and studies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lts._core import Objective
from lts.measure.dimensions import in_words
from lts.measure.notebook import escaped, heading, table, value_cell
from lts.measure.trial import Trial
from lts.system.text import listed, plural

_MOST_ROWS = 50


def front_html(
    trials: Sequence[Trial], objectives: Sequence[Objective], knee: Trial | None, indistinguishable: Mapping[int, int]
) -> str:
    """The members of a front with their objectives, where these come from, and the architectures."""
    caption = f"Pareto front for {', '.join(map(str, objectives))}: {plural(len(trials), 'member')}"
    if not trials:
        return table(f"{caption}; no feasible trial yet", (), ())
    names = [objective.name for objective in objectives]
    shapes = [in_words(trial.architecture) for trial in trials]
    dimensions = list(dict.fromkeys(name for shape in shapes for name in shape))
    rows = [
        [
            f"{trial.id} (knee)" if knee is not None and trial.id == knee.id else str(trial.id),
            *(value_cell(trial, name) for name in names),
            *(shape.get(name, "") for name in dimensions),
        ]
        for trial, shape in zip(trials, shapes, strict=True)
    ]
    head = ["trial", *(heading(name, trials) for name in names), *dimensions]
    notes = []
    if len(rows) > _MOST_ROWS:
        notes.append(f"{len(rows) - _MOST_ROWS} more members are not shown; trials_dataframe() has all.")
    if indistinguishable:
        notes.append(
            "Not to be told from a better member by what was measured: trials "
            f"{listed(f'{worse} (from {better})' for worse, better in indistinguishable.items())}."
        )
    shown = table(caption, head, rows[:_MOST_ROWS], range(len(names) + 1))
    return shown + paragraphs(notes)


def study_html(space: str, trials: Sequence[Trial], front: str, notes: Iterable[str]) -> str:
    """A study: how many trials came out how, its notes, and its front, which is HTML already."""
    n_in = {state: sum(trial.state == state for trial in trials) for state in ("complete", "failed")}
    counts = [f"{n} {state}" for state, n in n_in.items()]
    if unfinished := len(trials) - sum(n_in.values()):
        counts.append(f"{unfinished} unfinished")
    lines = [f"Study of {space}: {plural(len(trials), 'trial')} ({', '.join(counts)})"]
    return paragraphs(lines) + front + paragraphs(f"note: {note}" for note in notes)


def paragraphs(texts: Iterable[str]) -> str:
    """Texts as HTML, one paragraph each."""
    return "".join(f"<p>{escaped(text)}</p>" for text in texts)
