"""``completion``: print a shell's completion script, and complete the ids of versions."""

from __future__ import annotations

import os
from contextlib import suppress

import click
from click.shell_completion import CompletionItem, get_completion_class

from version_affinity.cli.context import DEFAULT, command, target_of
from version_affinity.cli.output import emit, say
from version_affinity.errors import ConfigurationError
from version_affinity.releases.releases import RELEASES
from version_affinity.releases.store.directory import ReleasesDirectory


@command(has_target=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str, as_json: bool) -> None:
    """Print a completion script for your shell. It completes commands, options and the ids of uploaded versions.

      eval "$(version-affinity completion bash)"                      in ~/.bashrc
      eval "$(version-affinity completion zsh)"                       in ~/.zshrc, after compinit
      version-affinity completion fish > ~/.config/fish/completions/version-affinity.fish

    Then start a new shell.
    """
    from version_affinity.cli.main import cli  # noqa: PLC0415 - an import circle otherwise

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has these three shells
    script = made(cli, {}, "version-affinity", "_VERSION_AFFINITY_COMPLETE").source()
    if as_json:
        emit({"shell": shell, "script": script})
    else:
        say(script)


def complete_version(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the versions whose ids begin with ``incomplete``, newest first; nothing if they cannot be read."""
    path = target_of(context).releases or os.environ.get(RELEASES) or DEFAULT
    with suppress(ConfigurationError, OSError):
        found = reversed(ReleasesDirectory(path).versions().values())
        return [
            CompletionItem(release.id, help=release.message or release.tag or None)
            for release in found
            if release.id.startswith(incomplete)
        ]
    return []


def complete_build(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the versions and the directories whose names begin with ``incomplete``."""
    versions = complete_version(context, parameter, incomplete)
    parent = os.path.dirname(incomplete)  # noqa: PTH120 - what is typed stays as it is
    directories = []
    with suppress(OSError), os.scandir(parent or ".") as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        directories = [f"{os.path.join(parent, name)}/" for name in names]  # noqa: PTH118
    return [*versions, *(CompletionItem(path) for path in directories if path.startswith(incomplete))]
