"""Questions. They need a terminal and go to stderr, so that stdout can be redirected."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from version_affinity.cli.errors import DeclinedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")


def can_ask() -> bool:
    """Return whether a person can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, outcome: str, *, yes: bool) -> None:
    """Ask for confirmation, unless ``yes``. A refusal names the outcome, such as "nothing is deployed"."""
    if yes:
        return
    if not can_ask():
        raise RefusedError(f"{outcome}: the command needs a confirmation, and there is no terminal. Pass -y to confirm")
    if not click.confirm(question, err=True):
        raise DeclinedError(outcome)


def ask(question: str, default: str, convert: Callable[[str], Any]) -> Any:
    """Ask until ``convert`` accepts the answer, which it rejects with ``click.UsageError``."""
    while True:
        answer = click.prompt(question, default=default, err=True, show_default=True)
        try:
            return convert(str(answer))
        except click.UsageError as error:
            click.echo(f"  {error.format_message()}", err=True)
