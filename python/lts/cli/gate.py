"""lts-engine gate"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lts.cli.arguments import Format, FormatOption
from lts.cli.ci import ReportOption, publish, wanted_reports
from lts.cli.errors import exits
from lts.cli.log import say
from lts.errors import LtsError, UsageError

if TYPE_CHECKING:
    from lts.study.pairs import Compared


@exits
def command(
    file: Annotated[Path, typer.Argument(help="What is checked: see docs/ci-gates.md.", metavar="FILE")] = Path(
        "lts-gate.toml"
    ),
    only: Annotated[
        list[str] | None,
        typer.Option(help="The checks of these names alone; may be repeated.", metavar="NAME", show_default=False),
    ] = None,
    report: ReportOption = None,
    output: FormatOption = Format.table,
) -> None:
    """Check models as a file says: against a baseline, fixed limits, or both.

    Exit code 0: nothing got worse; 1: a regression, or a limit is not kept; 2: a wrong file; 3: something could not be
    measured, or is inconclusive where that fails.
    """
    from lts.cli.processes import teller
    from lts.cli.progress import Waiting
    from lts.cli.verdicts import exit_code, show
    from lts.study.gate import run_check
    from lts.study.gate_file import read_gate
    from lts.system.environment import fitness_warnings
    from lts.system.uninterrupted import end_like_ctrl_c

    reports = wanted_reports(report)
    checks = read_gate(file)
    names = [check.name for check in checks]
    for name in only or ():
        if name not in names:
            raise UsageError(f"unknown check '{name}' in {file}; expected one of {', '.join(names)}")
    end_like_ctrl_c()
    for warning in fitness_warnings():
        say(f"warning: {warning}")
    found: list[Compared] = []
    problems: list[LtsError] = []

    try:
        for check in checks:
            if only and check.name not in only:
                continue
            say(f"checking {check.name}")
            try:
                with Waiting(f"checking {check.name}", every=10.0) as waiting:
                    told = teller(waiting, named=True, prefix=check.name)
                    found += run_check(check, told=told, note=partial(_note, check.name))
            except LtsError as error:
                say(f"error: {check.name}: {error}")
                problems.append(error)
    finally:  # also what was checked before Ctrl-C
        records = show(found, output) if found else []
    if found:
        publish(records, reports)
    code = exit_code(found)
    if problems and code != 1:
        code = max(code, *(error.exit_code for error in problems))
    raise typer.Exit(code)


def _note(name: str, text: str) -> None:
    say(f"note: {name}: {text}")
