"""A program that plays the ssh client, and with it a device that may answer anything."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

MARK = b"lts-engine:\n"

# The script that the device is asked to run says which answer is wanted.
_CLIENT = """#!/bin/sh
cd {folder} || exit 99
for line; do :; done
case "$line" in
*"exec cat"*) what=greeting ;;
*"df -Pk"*) what=look ;;
*Cpus_allowed_list*) what=processors ;;
*"echo ready"*) what=job ;;
*SHA256SUMS*) what=folder ;;
*'exit $code'*) what=run ;;
*) what=other ;;
esac
case "$what" in
greeting) cat greeting; exec cat >/dev/null ;;
job | folder | other) cat >/dev/null; cat "$what" ;;
run)
    read -r request
    case "$request" in *environment*) what=environment ;; esac
    cat "$what"
    cat said >&2
    [ ! -s endless ] || while :; do cat endless; done
    exit "$(cat code)" ;;
*) cat "$what" ;;
esac
"""


class StandIn:
    """The stand-in, with an answer for everything it may be asked: the content of a file of that name in its folder.

    `command` is what ``LTS_SSH`` is set to.
    """

    def __init__(self, folder: Path, there: str = "/var/cache/lts-engine") -> None:
        folder.mkdir()
        self.folder = folder
        client = folder / "client"
        client.write_text(_CLIENT.format(folder=shlex.quote(str(folder))))
        client.chmod(0o755)
        self.command = str(client)
        self.there = there
        self.reset()

    def reset(self) -> None:
        """Answer as a device that works."""
        self.say("greeting", MARK + f"Linux x86_64 64 gnu 4 {self.there}\n".encode())
        self.say("look", MARK + b"yes\n0\n100000\n")
        self.say("processors", MARK + b"\t0-3\ncpu0/topology/core_id:0\ncpu1/topology/core_id:1\n")
        self.say("job", MARK + b"ready\n")
        self.say("folder", MARK)
        self.say("other", MARK)
        self.say("environment", self.answer({"cpu": "imaginary", "runner": "0.0"}))
        self.say("run", self.answer({"samples_ns": [10**6] * 10, "wall_ns": [10**6] * 10}))
        self.say("said", b"")
        self.say("endless", b"")
        self.say("code", b"0")

    def say(self, what: str, text: bytes) -> None:
        """What it says from now on when it is asked for this."""
        (self.folder / what).write_bytes(text)

    def answer(self, value: Any) -> bytes:
        """An answer of lts-runner with this value."""
        return MARK + b"4711\n" + json.dumps({"value": value}).encode() + b"\n"
