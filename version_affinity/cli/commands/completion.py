"""``completion``: print what makes a shell complete these commands."""

from __future__ import annotations

import os
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, get_completion_class

from version_affinity.cli.context import DEFAULT, target_of
from version_affinity.cli.groups import command
from version_affinity.cli.terminal.output import emit, json_option, say
from version_affinity.errors import ConfigurationError
from version_affinity.releases.releases import RELEASES
from version_affinity.releases.store.directory import ReleasesDirectory


@command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print the script that makes a shell complete commands, options, and the ids of uploaded versions.

      eval "$(version-affinity completion bash)"                      in ~/.bashrc
      eval "$(version-affinity completion zsh)"                       in ~/.zshrc, after compinit
      version-affinity completion fish > ~/.config/fish/completions/version-affinity.fish

    It takes effect in the next shell.
    """
    from version_affinity.cli.main import cli  # noqa: PLC0415 - which imports this module

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click knows these three
    script = made(cli, {}, "version-affinity", "_VERSION_AFFINITY_COMPLETE").source()
    if as_json:
        emit({"shell": shell, "script": script})
    else:
        say(script)


def complete_version(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the versions that begin with what is typed, the newest first; nothing where that cannot be told."""
    path = target_of(context).releases or os.environ.get(RELEASES) or DEFAULT
    with suppress(ConfigurationError, OSError):
        found = reversed(ReleasesDirectory(path).versions().values())
        return [
            CompletionItem(release.id, help=release.message or release.tag or None)
            for release in found
            if release.id.startswith(incomplete)
        ]
    return []
