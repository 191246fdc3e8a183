"""Arguments that are written wrongly: they end a command with 2, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    _Value = TypeVar("_Value")


def form(check: Callable[[Any], object]) -> Callable[[click.Context, click.Parameter, _Value], _Value]:
    """Return the callback of an argument or an option whose form the library checks.

    Args:
        check: Raises ``ConfigurationError`` for a value that is written wrongly.
    """

    def checked(_context: click.Context, _parameter: click.Parameter, value: _Value) -> _Value:
        if value is not None:
            try:
                check(value)
            except ConfigurationError as error:
                raise click.BadParameter(str(error)) from None
        return value

    return checked


def check_given(value: str) -> None:
    """Raise ``ConfigurationError`` for an empty text: often a variable of a shell that is not set."""
    if not value:
        raise ConfigurationError("it is empty: is the variable set that it was taken from?")
