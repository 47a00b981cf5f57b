"""lts-engine columns"""

from __future__ import annotations

from dataclasses import asdict

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits

_WORDS = {
    "search": "objective, constraint",
    "compress": "objective, constraint of compress",
    "metric": "metric",
    "shown": "shown beside others",
}


@exits
def command(output: FormatOption = Format.table) -> None:
    """List the columns: what can be an objective, a constraint or a metric.

    An objective is written NAME:max or NAME:min, a constraint 'NAME<=NUMBER' or 'NAME>=NUMBER'. The device decides
    which of the costs there are, and a search says so before it measures. A table of your own may have others.
    """
    from lts.cli.output import Results, emit
    from lts.measure.columns import COLUMNS

    columns = ("column", "better", "unit", "shorter", "what", "provenance", "used as")
    rows = [
        (
            each.name,
            each.direction,
            each.unit,
            each.short,
            each.what,
            ", ".join(each.provenance),
            ", ".join(_WORDS[use] for use in each.uses),
        )
        for each in COLUMNS
    ]
    emit(Results([asdict(each) for each in COLUMNS], columns, rows, last=3), output)
