"""Options that several commands share, and their types. A wrong value ends the command with exit status 2."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import click

from version_affinity.app_first import compile_patterns
from version_affinity.configuration import check_prefix
from version_affinity.decision.keys import Cookie, Header, KeySource
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import parse_duration

#: A duration, or "none".
Age: TypeAlias = timedelta | Literal["none"]
NO_AGE: Final = "none"

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    _Value = TypeVar("_Value")
    _Command = TypeVar("_Command", bound=Callable[..., Any])


def checked_by(check: Callable[[Any], object]) -> Callable[[click.Context, click.Parameter, _Value], _Value]:
    """Return a click callback that rejects a value for which ``check`` raises ``ConfigurationError``."""

    def checked(_context: click.Context, _parameter: click.Parameter, value: _Value) -> _Value:
        if value is not None:
            try:
                check(value)
            except ConfigurationError as error:
                raise click.BadParameter(str(error)) from None
        return value

    return checked


def with_options(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Return a decorator that gives a command several options, in this order."""

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def check_not_empty(value: str) -> None:
    """Raise ``ConfigurationError`` for an empty text, which often comes from an unset shell variable."""
    if not value:
        raise ConfigurationError("the value is empty. Is the shell variable set?")


def duration(text: str) -> timedelta:
    """Return the duration that an option names, such as ``30d``, ``12h`` or ``1h30m``."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def duration_or_none(text: str) -> Age:
    """Return the duration that an option names, or "none"."""
    return NO_AGE if text == NO_AGE else duration(text)


def _key_source(text: str) -> KeySource:
    """Return the key source that an option names."""
    makers: dict[str, Callable[[str], KeySource]] = {"cookie": Cookie, "header": Header, "value": _fixed_key}
    kind, _, name = text.partition(":")
    if not name or kind not in makers:
        message = "is not a key source. Write cookie:session_id, header:X-User-Id or value:alice (the key itself)"
        raise click.BadParameter(f"{text!r} {message}")
    try:
        return makers[kind](name)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None


def _fixed_key(key: str) -> KeySource:
    """Return a key source that returns the same key for every request."""

    def value(_environ: WSGIEnvironment) -> str:
        return key

    value.__qualname__ = "value"  # the name of the source in an explanation
    return value


app_first_option = click.option(
    "--app-first",
    metavar="PATTERN",
    multiple=True,
    callback=checked_by(compile_patterns),
    help="Paths that the application answers, such as '/api/*'. Repeatable.",
)

#: Give a command ``--key``, ``--spa``, ``--app-first`` and ``--prefix``, for ``serving_arguments``.
serving_options = with_options(
    click.option(
        "--key",
        "keys",
        type=_key_source,
        metavar="SOURCE",
        multiple=True,
        help="The version key: cookie:NAME, header:NAME, or value:TEXT for the key itself. Repeatable.",
    ),
    click.option("--spa", is_flag=True, help="Serve a single-page application: its index.html answers unknown pages."),
    app_first_option,
    click.option(
        "--prefix",
        default="/",
        show_default=True,
        callback=checked_by(check_prefix),
        help="The URL path of the versions.",
    ),
)


def serving_arguments(*, keys: tuple[KeySource, ...], spa: bool, **others: Any) -> dict[str, Any]:
    """Return the values of ``serving_options``, and others, as arguments of ``VersionAffinity``."""
    if keys:
        others["keys"] = keys
    if spa:
        others["not_found_handling"] = "single-page-application"
    return others
