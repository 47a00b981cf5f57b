"""From exceptions to one sentence on stderr and the documented exit code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer

from lts.errors import LtsError

INTERRUPTED = 130

P = ParamSpec("P")


def exits(function: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command: an `LtsError` prints its message and exits with its code; Ctrl-C exits with 130."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
            sys.stdout.flush()
        except LtsError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (ValueError, OverflowError, RecursionError) as error:
            # For what the checks of arguments have missed: an absurd number is a usage error, not worth a traceback.
            typer.echo(f"error: {' '.join(str(error).split()) or type(error).__name__}", err=True)
            raise typer.Exit(2) from None
        except BrokenPipeError:
            # The reader of our output has gone (`lts-engine front ... | head`); nothing is left to say.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except OSError as error:
            where = f" {error.filename}" if error.filename else ""
            typer.echo(f"error: input or output failed{where}: {error.strerror or error}", err=True)
            raise typer.Exit(2) from None

    return wrapped
