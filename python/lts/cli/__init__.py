"""The command `lts-engine`. One file per command; each imports what it needs when it is called."""

from __future__ import annotations

import sys

import typer

from lts.cli import (
    bench,
    benchmark,
    columns,
    compare,
    compress,
    count,
    doctor,
    estimate,
    export,
    export_optuna,
    front,
    gate,
    history,
    proxy,
    report,
    search,
    space,
    target,
    verify,
)
from lts.cli.errors import INTERRUPTED, IO_FAILED, told
from lts.cli.help import App
from lts.cli.log import guard_streams, output_problem, say, say_warnings

app = App(
    name="lts-engine",
    help="Find the Transformer language models worth training for a device, without training any.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        from lts import __version__

        typer.echo(f"lts-engine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


_COMMANDS = {
    "search": search,
    "compress": compress,
    "front": front,
    "export": export,
    "verify": verify,
    "export-optuna": export_optuna,
    "report": report,
    "count": count,
    "estimate": estimate,
    "bench": bench,
    "compare": compare,
    "gate": gate,
    "benchmark": benchmark,
    "columns": columns,
    "doctor": doctor,
}
for name, module in _COMMANDS.items():
    app.command(name)(module.command)
app.add_typer(history.app, name="history")
app.add_typer(proxy.app, name="proxy")
app.add_typer(space.app, name="space")
app.add_typer(target.app, name="target")


def main() -> None:
    """Entry point of the console script."""
    sys.set_int_max_str_digits(0)  # the size of a space may have thousands of digits
    guard_streams()
    say_warnings()
    code: int | str | None
    try:
        app()
        code = 0
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        code = told(error)
    if (problem := output_problem()) is not None:
        say(f"error: the results cannot be written to stdout: {problem}")
        code = code or IO_FAILED
    sys.exit(code)
