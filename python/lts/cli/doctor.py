"""lts-engine doctor"""

from __future__ import annotations

from dataclasses import asdict

from lts.cli.arguments import Format, FormatOption
from lts.cli.errors import exits


@exits
def command(output: FormatOption = Format.table) -> None:
    """Look at this machine: what is installed, and what each missing part would give.

    It also says where lts-engine keeps its data, and how much of the disk is free. Nothing is changed, and nothing
    missing is an error: exit code 0.
    """
    from lts.cli.output import Results, emit
    from lts.measure.doctor import examine

    found = examine()
    rows = [
        ("yes" if each.there else "no", each.name, f"{each.says}: {each.remedy}" if each.remedy else each.says)
        for each in found
    ]
    emit(Results([asdict(each) for each in found], ("there", "what", "says"), rows), output)
