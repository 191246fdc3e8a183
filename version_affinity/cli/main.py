"""The command ``version-affinity``: its table of commands and its help."""

from __future__ import annotations

from typing import Final

import click

from version_affinity import __version__

from .context import target_parameters
from .groups import Commands, Lazy

COMMANDS: Final = {
    "init": Lazy("init", "init", "Create a releases directory."),
    "versions": Lazy("versions", "versions", "Upload, deploy, list and inspect versions."),
    "deployments": Lazy("deployments", "deployments", "Show the current deployment and earlier ones."),
    "rollback": Lazy("rollback", "rollback", "Give an earlier version to all users again."),
    "check": Lazy("check", "check", "Find broken references in a build before it goes live."),
    "explain": Lazy("explain", "explain", "Show which version a request gets, and why."),
    "simulate": Lazy("simulate", "simulate", "Show how many users planned deployments move."),
    "retention": Lazy("retention", "retention", "Show or change how long versions stay known."),
    "prune": Lazy("prune", "prune", "Remove versions that are no longer needed."),
    "serve": Lazy("serve", "serve", "Serve builds or releases on this machine."),
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
