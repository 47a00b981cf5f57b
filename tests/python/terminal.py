"""A terminal of any size, with tmux: what a person sees of a command, and what stays when it is interrupted."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Self

ABSENT = "" if shutil.which("tmux") else "tmux is not installed"
_PATIENCE = 120.0
_NUMBERS = count()


class Terminal:
    """A shell in a terminal of its own server. Use as a context manager.

    Parameters
    ----------
    folder
        Where the shell is, and the socket.
    columns, lines
        Size of the terminal.
    """

    def __init__(self, folder: Path, columns: int, lines: int) -> None:
        self.folder = folder
        self.columns = columns
        self._socket = f"tmux{next(_NUMBERS)}"  # that of a server that ends is not free at once
        # Without COLUMNS, which a Python with readline passes to all that it starts.
        shell = "env -u COLUMNS -u LINES PS1='$ ' sh"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), shell)
        self.see("$")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server", check=False)

    def type(self, line: str) -> None:
        """Give the shell a line; a word of the program's code is shown after it has ended: "code 0"."""
        path = shlex.quote(str(Path(sys.executable).parent))
        (self.folder / "line.sh").write_text(f"PATH={path}:$PATH\n{line}\necho code $?\n", encoding="utf-8")
        self._tmux("send-keys", "clear; . ./line.sh", "Enter")

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._tmux("send-keys", "C-c")

    def screen(self, *, joined: bool = False) -> list[str]:
        """Its lines; with `joined`, one that the terminal has broken is one."""
        text = self._tmux("capture-pane", "-p", *(["-J"] if joined else []))
        return [line.rstrip() for line in text.splitlines()]

    def history(self) -> list[str]:
        """All lines since the beginning, joined."""
        return [line.rstrip() for line in self._tmux("capture-pane", "-p", "-J", "-S", "-").splitlines()]

    def see(self, *words: str) -> list[str]:
        """Wait until all of the words are on the screen, which comes back."""
        end = time.monotonic() + _PATIENCE
        while True:
            lines = self.screen()
            text = " ".join(lines)
            if all(word in text for word in words):
                return lines
            ended = "code 70" in text or time.monotonic() >= end
            assert not ended, f"{words} never came: {lines}"
            time.sleep(0.1)

    @property
    def cursor(self) -> tuple[bool, int]:
        """Whether it is visible, and its column."""
        visible, column = self._tmux("display-message", "-p", "#{cursor_flag} #{cursor_x}").split()
        return visible == "1", int(column)

    def _tmux(self, *arguments: str, check: bool = True) -> str:
        # The path of a socket may not be long: it is given from its folder.
        return subprocess.run(
            ["tmux", "-S", self._socket, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=check,
        ).stdout
