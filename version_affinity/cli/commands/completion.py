"""``completion``: print what makes a shell complete these commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from version_affinity.cli.groups import command
from version_affinity.cli.terminal.output import emit, json_option, say


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
