"""The command ``version-affinity`` itself: its commands, and what holds for all of them."""

from __future__ import annotations

from typing import Final

import click

from version_affinity import __version__

from .context import target_options
from .groups import Commands, Lazy

COMMANDS: Final = {
    "init": Lazy("init", "init", "Make a releases directory."),
    "versions": Lazy("versions", "versions", "Upload, deploy, list and view versions."),
    "deployments": Lazy("deployments", "deployments", "Who gets which version: now, and before."),
    "rollback": Lazy("rollback", "rollback", "Give everybody an earlier version again."),
    "check": Lazy("check", "check", "Find what is broken in a build before it goes live."),
    "explain": Lazy("explain", "explain", "Tell which version a request gets, and why."),
    "simulate": Lazy("simulate", "simulate", "Tell who would move in a series of deployments."),
    "retention": Lazy("retention", "retention", "How long versions stay known."),
    "prune": Lazy("prune", "prune", "Remove versions that nobody needs any more."),
    "serve": Lazy("serve", "serve", "Serve builds or releases on this machine."),
    "compress": Lazy("compress", "compress", "Write compressed siblings of a build's files."),
    "override-link": Lazy("override_link", "override_link", "Make a link that shows one version for a while."),
    "completion": Lazy("completion", "completion", "Print what makes a shell complete these commands."),
}

_HELP = """Roll out a front end gradually: upload versions, deploy them by percentage, roll back.

  version-affinity init --name storefront           once
  version-affinity versions upload dist/ --id v2    what the build wrote
  version-affinity versions deploy v2@10% v1@90%    who gets it
  version-affinity deployments status               how it stands
  version-affinity rollback                         everybody back

The application follows releases/ (`Releases("releases/")`) and needs no restart. Every command has examples in its
--help, prints JSON with --json, and ends with 0 when it is done, 1 when it is refused, for a reason that is told, and 2
when it is written wrongly.
"""
_EPILOG = "The words that these commands use are explained in the documentation: docs/reference/glossary.md"


@click.group("version-affinity", cls=Commands, table=COMMANDS, help=_HELP, epilog=_EPILOG)
@target_options(environment=True)
@click.version_option(__version__, "-V", "--version", message="%(version)s")
def cli() -> None:
    """Hold the commands; the text of its help stands above."""


def main() -> None:
    """Run the command line."""
    cli(prog_name="version-affinity")
