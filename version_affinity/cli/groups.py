"""Groups of commands, each of which is imported when it is called: ``--help`` of the group needs none of them."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import import_module
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from .errors import errors_as_exits
from .terminal.output import warnings_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Lazy(NamedTuple):
    """A command that is imported when it is called: its module in this package, its name there, and what it does."""

    module: str
    attribute: str
    summary: str


def command(name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
    """Return the decorator that makes a function a command; its docstring is the command's help."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        text = dedent(f"    {function.__doc__}").strip()
        return click.command(name, help=_with_examples(text), context_settings=_SETTINGS)(function)

    return decorate


def _elsewhere(context: click.Context, name: str) -> list[str]:
    """Return the commands of this name in all groups, as they are called: "versions deploy"."""
    while context.parent is not None and isinstance(context.parent.command, Commands):
        context = context.parent
    outermost = context.command
    assert isinstance(outermost, Commands)  # noqa: S101 - one of its commands is looked for
    found = [name] if name in outermost.table else []
    for group in outermost.table:
        command = outermost.get_command(context, group)
        if isinstance(command, Commands) and name in command.table:
            found.append(f"{group} {name}")
    return found


def _with_examples(text: str) -> str:
    """Return a help text in which click leaves the paragraphs alone that have indented lines."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"\b\n{paragraph}" if "  " in paragraph else paragraph for paragraph in paragraphs)


class Commands(click.Group):
    """A group of commands, in the order of its table. Errors that may be expected become refusals.

    Args:
        name: Its name.
        table: Name to command.
        help: The text of its help.
        callback: Called before a command is.
        params: Its options.
        epilog: What its help ends with.
    """

    def __init__(
        self,
        name: str,
        *,
        table: Mapping[str, Lazy],
        help: str,  # noqa: A002 - click's
        callback: Callable[..., Any] | None = None,
        params: list[click.Parameter] | None = None,
        epilog: str | None = None,
    ) -> None:
        super().__init__(
            name,
            help=_with_examples(help),
            callback=callback,
            params=params,
            epilog=epilog,
            context_settings=_SETTINGS,
        )
        self.table: Final = dict(table)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Return the names of the commands."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, None where there is none of this name."""
        if cmd_name not in self.commands and cmd_name in self.table:
            module, attribute, _ = self.table[cmd_name]
            self.commands[cmd_name] = getattr(import_module(f"{__package__}.commands.{module}"), attribute)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called; where it is misspelt, or in another group, the error proposes one."""
        if not ctx.resilient_parsing and args[0] not in self.table:
            meant = _elsewhere(ctx, args[0]) or get_close_matches(args[0], self.table, n=1)
            if meant:
                ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(meant)}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write what each command does."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        if ctx.parent is not None and isinstance(ctx.parent.command, Commands):
            return super().invoke(ctx)  # the outer group does the rest
        if os.environ.get("NO_COLOR"):  # no-color.org
            ctx.color = False
        with errors_as_exits(), warnings_shown():
            return super().invoke(ctx)
