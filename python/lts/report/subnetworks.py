"""What the sub-networks on the front of a study keep of their model: a row per layer, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lts.compress.keeping import KeptParts, read_kept
from lts.compress.source import FOLDER, KEY
from lts.measure.trial import Trial
from lts.report.contents import Contents
from lts.report.elements import escaped, table
from lts.system.text import number, plural

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Shares = NDArray[np.float64]

# Members that are drawn, and parts of a picture: of channels, each stands for a share of them.
_MOST_MEMBERS = 6
_BINS = 48
_BOX, _GAP, _HEIGHT, _BIN = 10, 2, 12, 5
_LEVELS = 4  # of how much of a share stays


def section(contents: Contents) -> str:
    """Nothing for a study of anything else."""
    about = contents.configuration.get(KEY)
    if not isinstance(about, dict):
        return ""
    folder = contents.path.parent / FOLDER
    members = [t for t in _members(contents) if t.architecture.n_layer]
    drawn = [(trial, kept) for trial in members if (kept := read_kept(folder, trial.architecture)) is not None]
    method = escaped(about.get("method", ""))
    parts = [
        "<h2>What stays</h2><p>Heads and channels of each layer that a sub-network keeps, in the order of the model; "
        f"chosen by the method {method}. A box is a head. A bar of channels is as dark as the share of its channels "
        "that stays.</p>"
    ]
    if not drawn:
        return parts[0] + f'<p class="muted">What they keep is not there: expected in {escaped(folder)}.</p>'
    for i, (trial, kept) in enumerate(drawn):
        opened = " open" if i == 0 else ""
        parts.append(
            f'<details class="card"{opened}><summary>{escaped(_title(contents, trial))}</summary>{_layers(kept)}'
            "</details>"
        )
    if len(contents.front) > len(drawn):
        parts.append(f'<p class="muted">{len(drawn)} of {plural(len(contents.front), "member")} are drawn.</p>')
    return "".join(parts)


def _members(contents: Contents) -> list[Trial]:
    """The knee, and others evenly over the front."""
    front = contents.front.trials
    places = np.unique(np.linspace(0, len(front) - 1, min(_MOST_MEMBERS, len(front))).round().astype(int))
    knee = [] if contents.knee is None else [contents.knee]
    others = [front[i] for i in places if front[i] is not contents.knee]
    return [*knee, *others][:_MOST_MEMBERS]


def _title(contents: Contents, trial: Trial) -> str:
    values = ", ".join(f"{name} {number(trial.values[name])}" for name in contents.objectives)
    return f"trial {trial.id}{', the knee' if trial is contents.knee else ''}: {values}"


def _layers(kept: KeptParts) -> str:
    rows = []
    for layer, (heads, channels) in enumerate(zip(kept.heads, kept.channels, strict=True)):
        heads, channels = heads[heads >= 0], channels[channels >= 0]
        rows.append(
            f'<td class="n">{layer}</td>'
            f'<td class="n">{int(heads.sum())} of {len(heads)}</td><td>{_drawing(heads.astype(float), _BOX)}</td>'
            f'<td class="n">{int(channels.sum())} of {len(channels)}</td><td>{_drawing(_shares(channels), _BIN)}</td>'
        )
    head = ["layer", "heads", "which heads", "channels", "which channels"]
    return table([escaped(each) for each in head], rows, right=(0, 1, 3))


def _shares(marks: NDArray[np.int8]) -> Shares:
    """The share that stays of each of at most `_BINS` equal parts."""
    parts = np.array_split(marks.astype(float), min(_BINS, len(marks))) if len(marks) else []
    return np.array([part.mean() for part in parts])


def _drawing(shares: Shares | Sequence[float], width: int) -> str:
    """Boxes side by side, each as dark as its share; the table has the numbers, so that it is no image of its own."""
    gap = _GAP if width == _BOX else 0
    boxes = []
    for place, share in enumerate(shares):
        level = round(share * _LEVELS) / _LEVELS
        fill = f'fill="var(--accent)" fill-opacity="{level:g}"' if level else 'fill="none"'
        x = place * (width + gap)
        boxes.append(f'<rect x="{x}" width="{width}" height="{_HEIGHT}" {fill}/>')
    if not len(shares):
        return ""
    whole = len(shares) * (width + gap) - gap
    return (
        f'<svg width="{whole}" height="{_HEIGHT}" viewBox="0 0 {whole} {_HEIGHT}" aria-hidden="true">{"".join(boxes)}'
        f'<rect width="{whole}" height="{_HEIGHT}" fill="none" stroke="var(--grey)"/></svg>'
    )
