"""The command ``version-affinity``, and groups that import a command when it is called: ``--help`` imports none."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from version_affinity import __version__

from .context import CLICK_SETTINGS, help_text, target_parameters
from .errors import errors_as_exits, warnings_shown
from .options import OwnCommand
from .output import AS_JSON, COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping


class Lazy(NamedTuple):
    """A command that is not imported yet: its module in ``commands``, its name there, and its summary."""

    module: str
    attribute: str
    summary: str


class Commands(OwnCommand, click.Group):
    """A group of commands, listed in the order of ``table``. Expected errors become refusals."""

    def __init__(self, name: str, *, table: Mapping[str, Lazy], help: str, **options: Any) -> None:  # noqa: A002
        super().__init__(name, help=help_text(help), context_settings=CLICK_SETTINGS, **options)
        self.table: Final = dict(table)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments. The outermost group remembers how it is called, and whether JSON is asked for."""
        if ctx.parent is not None and isinstance(ctx.parent.command, Commands):
            return super().parse_args(ctx, args)
        ctx.meta[COMMAND], ctx.meta[AS_JSON] = ctx.command_path, "--json" in args
        with errors_as_exits():
            return super().parse_args(ctx, args)

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


def _in_all_groups(context: click.Context, name: str) -> list[str]:
    """Return the commands with this name, such as "versions deploy"."""
    while context.parent is not None and isinstance(context.parent.command, Commands):  # not in Flask's own group
        context = context.parent
    top = context.command
    assert isinstance(top, Commands)  # noqa: S101 - a group of ours is asked for a command
    found = [name] if name in top.table else []
    for group in top.table:
        command = top.get_command(context, group)
        if isinstance(command, Commands) and name in command.table:
            found.append(f"{group} {name}")
    return found


COMMANDS: Final = {
    "init": Lazy("init", "init", "Create a releases directory."),
    "versions": Lazy("versions", "versions", "Upload, deploy, list and inspect versions."),
    "deployments": Lazy("deployments", "deployments", "Show the current deployment and earlier ones."),
    "ramp": Lazy("ramp", "ramp", "Roll out a version in steps, with a guard that can stop it."),
    "rollback": Lazy("rollback", "rollback", "Give an earlier version to all users again."),
    "check": Lazy("check", "check", "Find broken references in a build before it goes live."),
    "explain": Lazy("explain", "explain", "Show which version a request gets, and why."),
    "simulate": Lazy("simulate", "simulate", "Show how many users planned deployments move."),
    "settings": Lazy("settings", "settings", "Show or change how builds are served."),
    "retention": Lazy("retention", "retention", "Show or change how long versions stay known."),
    "prune": Lazy("prune", "prune", "Remove versions that are no longer needed."),
    "serve": Lazy("serve", "serve", "Serve builds or releases on this machine."),
    "metrics": Lazy("metrics", "metrics", "Print the metrics of all workers, for Prometheus."),
    "compress": Lazy("compress", "compress_command", "Write compressed copies of a build's files."),
    "override-link": Lazy("override_link", "override_link_command", "Create a link that forces a version."),
    "completion": Lazy("completion", "completion", "Print a completion script for your shell."),
}

_HELP: Final = """Roll out a front end gradually: upload versions, deploy them by percentage, roll back.

  version-affinity init --name storefront           create releases/, once
  version-affinity versions upload dist/ --id v2    store a build as a version
  version-affinity versions deploy v2@10% v1@90%    choose who gets which version
  version-affinity deployments status               show the current deployment
  version-affinity rollback                         give an earlier version to all users again

The application follows releases/ (`Releases("releases/")`) and needs no restart. The --help of each command has
examples. With --json, a command prints JSON.

Exit status: 0 success, 1 refused (the reason is printed), 2 usage error.
"""
_EPILOG: Final = "Glossary: docs/reference/glossary.md in the documentation explains the words of these commands."


@click.group(
    "version-affinity",
    cls=Commands,
    table=COMMANDS,
    params=target_parameters(of_group=True),
    help=_HELP,
    epilog=_EPILOG,
)
@click.version_option(__version__, "-V", "--version", message="%(version)s")
def cli() -> None:
    """Group all commands; the help text is above."""


def main() -> None:
    """Run the command line."""
    cli(prog_name="version-affinity")
