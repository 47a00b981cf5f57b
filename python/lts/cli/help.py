"""The help of the commands: options in sections, commands that work, and where to read more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lts.cli.examples import EXAMPLES, PAGES

# An option has one meaning in every command, and so one section; those that are named nowhere say what is done.
WHAT = "What"
SECTIONS = {
    "Workload": "n-prompt n-gen n-depth batch precision logits cache flash-attention threads input below length",
    "Where": "target device backend workers torch-device build path",
    "How long": (
        "trials models timeout candidate-timeout recover processes min-time cooldown max-temperature tune confirm "
        "parallel bootstrap rows sample seeds evaluations"
    ),
    "Output": "output output-dir file format out export front-size layers store save history html report",
    "Help": "help version install-completion show-completion",
}


class Command(TyperCommand):
    """A command whose help has its options in sections, and examples."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        return _names_alone(super().shell_complete(ctx, incomplete))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(ctx, formatter)


class Group(TyperGroup):
    """Commands, each with its whole sentence, and examples."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        return _names_alone(super().shell_complete(ctx, incomplete))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        _write_parameters(self, ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(200)) for name, each in self.commands.items() if not each.hidden]
            )

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        _write_examples(ctx, formatter)


class App(typer.Typer):
    """A group of commands with such a help."""

    def __init__(self, *, cls: type[TyperGroup] = Group, no_args_is_help: bool = True, **options: Any) -> None:
        super().__init__(cls=cls, rich_markup_mode=None, no_args_is_help=no_args_is_help, **options)

    def command(self, name: str | None = None, **options: Any) -> Callable[[Any], Any]:
        return super().command(name, cls=Command, **options)


def section_of(option: str) -> str:
    """The section that an option such as ``--target`` stands in."""
    return next((title for title, names in SECTIONS.items() if option.lstrip("-") in names.split()), WHAT)


def _names_alone(found: list[Any]) -> list[Any]:
    """What is completed, without the sentences beside it in zsh and fish: typer would load Rich for them, which takes
    longer than all else."""
    for each in found:
        each.help = None
    return found


def _write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    found: dict[str, list[tuple[str, str]]] = {"Arguments": [], WHAT: [], **{title: [] for title in SECTIONS}}
    for each in command.get_params(ctx):
        if (record := each.get_help_record(ctx)) is not None:
            argument = each.param_type_name == "argument"
            found["Arguments" if argument else section_of(max(each.opts, key=len))].append(record)
    for title, records in found.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _write_examples(ctx: Any, formatter: Any) -> None:
    """What a shell takes as it stands: no line is broken."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.info_name)
        ctx = ctx.parent
    name = " ".join(names)
    if examples := EXAMPLES.get(name):
        with formatter.section("Examples"):
            formatter.write("".join(f"{'':{formatter.current_indent}}{line}\n" for line in examples))
    if page := PAGES.get(name) or PAGES.get(names[0] if names else ""):
        formatter.write(f"\nMore: {page}\n")
