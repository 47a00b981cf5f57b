"""What comparisons say while they measure: a line per process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lts.cli.log import say

if TYPE_CHECKING:
    from lts.cli.progress import Waiting
    from lts.measure.interleaved import Side
    from lts.measure.outcome import Outcome
    from lts.study.pairs import Pair, Told


def teller(waiting: Waiting, named: bool, prefix: str = "") -> Told:
    """Says what each process measured, with the name of its pair where there are several, and counts it."""
    from lts.system.text import listed, number

    def told(pair: Pair, side: Side, outcome: Outcome, counts: bool) -> None:
        of = ", ".join(dict.fromkeys((*([prefix] if prefix else []), *([pair.name] if named else []), side)))
        values = "  ".join(f"{n} {number(outcome.values[n])}" for n in pair.metrics if n in outcome.values)
        left_out = "" if counts else f"  (does not count: {outcome.error or listed(outcome.warnings, 1)})"
        say(f"[{of}] {values}{left_out}")
        waiting.piece()

    return told
