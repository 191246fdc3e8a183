"""Questions: asked on a terminal only, on stderr, so that what is printed can go elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from version_affinity.cli.errors import DeclinedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")


def can_ask() -> bool:
    """Tell whether somebody is there to be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm(question: str, outcome: str, *, yes: bool) -> None:
    """Ask whether to go ahead.

    Args:
        question: The question.
        outcome: What became of it when the answer is no: "nothing is deployed".
        yes: Whether that was answered on the command line.

    Raises:
        RefusedError: the answer is no, or nobody can be asked.
    """
    if yes:
        return
    if not can_ask():
        raise RefusedError(f"{outcome}: this is no terminal, so nobody can be asked; pass -y to go ahead")
    if not click.confirm(question, err=True):
        raise DeclinedError(outcome)


def ask(question: str, default: str, convert: Callable[[str], Any]) -> Any:
    """Ask until the answer can be used, and return what ``convert`` makes of it.

    Args:
        question: The question.
        default: The answer when there is none.
        convert: Returns a value, or raises ``click.UsageError``, which says what is wrong.
    """
    while True:
        answer = click.prompt(question, default=default, err=True, show_default=True)
        try:
            return convert(str(answer))
        except click.UsageError as error:
            click.echo(f"  {error.format_message()}", err=True)
