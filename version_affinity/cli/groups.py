"""Command groups that import a command when it is called: their ``--help`` imports none."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from .errors import errors_as_exits
from .terminal.output import warnings_shown

if TYPE_CHECKING:
    from collections.abc import Mapping

SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Lazy(NamedTuple):
    """A command that is not imported yet: its module in ``commands``, its name there, and its summary."""

    module: str
    attribute: str
    summary: str


def help_text(text: str) -> str:
    r"""Return a help text in which click keeps the lines of paragraphs that contain an indented line (``\b``)."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"\b\n{paragraph}" if "  " in paragraph else paragraph for paragraph in paragraphs)


class Commands(click.Group):
    """A group of commands, listed in the order of ``table``. Expected errors become refusals."""

    def __init__(
        self,
        name: str,
        *,
        table: Mapping[str, Lazy],
        help: str,  # noqa: A002 - click's name
        **options: Any,
    ) -> None:
        super().__init__(name, help=help_text(help), context_settings=SETTINGS, **options)
        self.table: Final = dict(table)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is no such command."""
        if cmd_name not in self.commands and cmd_name in self.table:
            module, attribute, _ = self.table[cmd_name]
            self.commands[cmd_name] = getattr(import_module(f"{__package__}.commands.{module}"), attribute)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; the error for a wrong name suggests one, also of another group."""
        if not ctx.resilient_parsing and args[0] not in self.table:
            meant = _in_all_groups(ctx, args[0]) or get_close_matches(args[0], self.table, n=1)
            if meant:
                ctx.fail(f"No such command {args[0]!r}. Did you mean {' or '.join(meant)}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the summaries of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self.table.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        if ctx.parent is not None and isinstance(ctx.parent.command, Commands):
            return super().invoke(ctx)  # the outermost group handles errors and warnings
        if os.environ.get("NO_COLOR"):  # no-color.org
            ctx.color = False
        with errors_as_exits(), warnings_shown():
            return super().invoke(ctx)


def outermost(context: click.Context) -> click.Context:
    """Return the context of our outermost group; ``flask affinity`` is inside a group of Flask's."""
    while context.parent is not None and isinstance(context.parent.command, Commands):
        context = context.parent
    return context


def _in_all_groups(context: click.Context, name: str) -> list[str]:
    """Return the commands with this name, such as "versions deploy"."""
    context = outermost(context)
    top = context.command
    assert isinstance(top, Commands)  # noqa: S101 - a group of ours is asked for a command
    found = [name] if name in top.table else []
    for group in top.table:
        command = top.get_command(context, group)
        if isinstance(command, Commands) and name in command.table:
            found.append(f"{group} {name}")
    return found
