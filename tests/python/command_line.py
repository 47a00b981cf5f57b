"""The commands of lts-engine, as a test that reads about them needs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from lts.cli import app


def run(*arguments: object, cwd: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """lts-engine with these arguments, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lts", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


def every_command(command: Any = None, name: str = "") -> Iterator[tuple[str, Any]]:
    """The program, its groups and commands, each with its name: "", "space", "space list"."""
    command = command or typer.main.get_command(app)
    yield name, command
    for word, each in getattr(command, "commands", {}).items():
        yield from every_command(each, f"{name} {word}".strip())


def problem_of_arguments(arguments: list[str]) -> str | None:
    """What is wrong with arguments of lts-engine; None when nothing is."""
    command: Any = typer.main.get_command(app)
    words = list(arguments)
    while hasattr(command, "commands"):
        if words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        elif default := getattr(command, "default", None):
            command = command.commands[default]
        else:
            return f"there is no command {' '.join(arguments)!r}"
    if not words:
        return None  # the text only names the command
    try:
        command.make_context(command.name, list(words))
    except Exception as error:  # typer's, of several types
        return f"{' '.join(arguments)}: {error}"
    hidden = {option for each in command.params if getattr(each, "hidden", False) for option in each.opts}
    return next((f"{' '.join(arguments)}: {word} is an older name" for word in words if word in hidden), None)
