"""Arguments that several commands share."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from lts.cli import complete
from lts.cli.log import say
from lts.errors import UsageError

_MAX_SECONDS = 365 * 24 * 3600.0


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    md = "md"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class FlashAttention(StrEnum):
    """Whether attention of a whole prompt is computed in pieces."""

    auto = "auto"
    on = "on"
    off = "off"


DEVICES = "local, ssh://[USER@]HOST[:PORT][?python=PATH], rpc://TRACKER:PORT/KEY, emulated, pool:DEVICE,DEVICE"
"""The forms of devices that run models."""

FormatOption = Annotated[Format, typer.Option("--output", "-o", help="Format of the results on stdout.")]
SpaceArgument = Annotated[
    str,
    typer.Argument(help="Name of a search space, or a TOML file.", autocompletion=complete.spaces),
]
TargetArgument = Annotated[
    str, typer.Argument(help="Name of a target, or a TOML file.", autocompletion=complete.targets)
]
TargetOption = Annotated[
    str, typer.Option(help="What is compiled for: a name, or a TOML file.", autocompletion=complete.targets)
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        help="Compiler and runtime: onnxruntime, llamacpp or tvm.",
        show_default="onnxruntime here, else tvm",
        autocompletion=complete.backends,
    ),
]
FlashAttentionOption = Annotated[
    FlashAttention | None,
    typer.Option(help="Whether llama.cpp uses it; of --backend llamacpp, and of GGUF files.", show_default="auto"),
]
DeviceOption = Annotated[
    list[str] | None,
    typer.Option(
        help=f"Where models run: {DEVICES}.",
        show_default="local if it can run the target",
        autocompletion=complete.devices,
    ),
]
ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Column to optimize: see lts-engine columns. May be repeated.",
        metavar="NAME:max|min",
        show_default="decoder_params:max request_ms:min peak_memory_mib:min; with --n-gen 0 latency_ms:min, on an "
        "emulated device instructions:min",
        autocompletion=complete.objectives,
    ),
]
ConstraintOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Bound of a column, for the shell in quotes: 'request_ms<=300'. May be repeated.",
        metavar="NAME<=NUMBER|NAME>=NUMBER",
        show_default=False,
        autocompletion=complete.columns,
    ),
]
ProcessTimeoutOption = Annotated[
    str | None, typer.Option(help="Time for one process.", metavar="DURATION", show_default="60s, 10m when emulated")
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="Shape of an input of an ONNX file that we did not write; may be repeated.",
        metavar="NAME=DIMxDIM",
        show_default=False,
    ),
]
BelowOption = Annotated[
    int, typer.Option(help="Integers of such inputs are at least 0 and below this.", min=1, max=2**31)
]
StudyArgument = Annotated[Path, typer.Argument(help="Directory or store (.db file) of a search.", show_default=False)]


def renamed(new: Any, old: Any, names: str) -> Any:
    """The value of an option, or of its older name, which works until the next version; `names` is "--old --new"."""
    if old is None:
        return new
    before, now = names.split()
    if new is not None:
        raise UsageError(f"{before} is the older name of {now}: give one of them")
    say(f"note: {before} is called {now} now; the older name works until the next version")
    return old


def older(name: str, *more: str) -> Any:
    """A hidden option that used to be called so."""
    return typer.Option(name, *more, hidden=True)


def duration(text: str) -> float:
    """Seconds from "90", "90s", "5m", "1h30m". Raises `UsageError` for something else, or 0."""
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    if match is None or not any(match.groups()):
        raise UsageError(f"'{text}' is not a duration; expected for example 90s, 5m or 1h30m")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = hours * 3600 + minutes * 60 + seconds
    if not 0 < total <= _MAX_SECONDS:
        raise UsageError(f"the duration '{text}' must be above 0 and at most a year")
    if text.strip()[-1].isdigit():
        say(f"note: '{text}' has no unit at its end and is taken as seconds: {text.strip()}s")
    return total


def numbers(option: str, text: str) -> list[int]:
    """Whole numbers from "128,512", each once. Raises `UsageError` for something else, naming the option."""
    parts = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"\d{1,7}", part, re.ASCII) for part in parts):
        raise UsageError(f"{option} is '{text}'; expected whole numbers, as in {option} 128,512")
    return list(dict.fromkeys(map(int, parts)))


class Export(StrEnum):
    """Which members of the front are exported at the end."""

    knee = "knee"
    all = "all"
    none = "none"


class Precision(StrEnum):
    """How weights are stored and multiplied with."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"
    int4 = "int4"


class Logits(StrEnum):
    """Positions of a prompt that get logits."""

    last = "last"
    all = "all"


class Cache(StrEnum):
    """How decode steps keep keys and values."""

    copied = "copied"
    in_place = "in_place"


PromptOption = Annotated[int, typer.Option(help="Tokens of the prompt.")]
GenOption = Annotated[int, typer.Option(help="Tokens generated after it; 0: a prompt pass alone.")]
BatchOption = Annotated[int, typer.Option(help="Sequences at a time.", min=1)]
PrecisionOption = Annotated[
    Precision | None, typer.Option(help="Of the weights; by default the target's.", show_default=False)
]
ThreadsOption = Annotated[int | None, typer.Option(help="Threads; by default the target's.", show_default=False)]
CacheOption = Annotated[
    Cache | None,
    typer.Option(
        help="Of keys and values in decode steps.", show_default="in_place with ONNX Runtime 1.22, else copied"
    ),
]
LogitsOption = Annotated[
    Logits, typer.Option(help="Positions of the prompt with logits: the last, or all, as for training and scoring.")
]


def one_device(given: list[str] | None) -> str | None:
    """The device of a command that measures on one. Raises `UsageError` where it is given more than once."""
    if given and len(given) > 1:
        raise UsageError(f"--device is given {len(given)} times; models are compared on one device, so give one")
    return given[0] if given else None
