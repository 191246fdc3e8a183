"""Types and groups of options that several commands share. A wrong value ends the command with exit status 2."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

import click

from version_affinity.app_first import compile_patterns
from version_affinity.configuration import check_prefix
from version_affinity.decision.keys import Cookie, Header
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import parse_duration

#: A duration, or "none".
Age: TypeAlias = timedelta | Literal["none"]
NO_AGE: Final = "none"

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.decision.keys import KeySource

    _Value = TypeVar("_Value")
    _Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
    _Duration = click.ParamType[Age]
    _Key = click.ParamType[KeySource]
else:
    _Duration = _Key = click.ParamType


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


def check_not_empty(value: str) -> None:
    """Raise ``ConfigurationError`` for an empty text, which often comes from an unset shell variable."""
    if not value:
        raise ConfigurationError("the value is empty. Is the shell variable set?")


class DurationType(_Duration):
    """A duration such as ``30d``, ``12h`` or ``1h30m``; with ``or_none``, also ``none``."""

    name = "duration"

    def __init__(self, *, or_none: bool = False) -> None:
        self._or_none = or_none

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Age:
        """Return the duration, or "none"."""
        if isinstance(value, timedelta):
            return value
        if self._or_none and value == NO_AGE:
            return NO_AGE
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


DURATION: Final = DurationType()
AGE: Final = DurationType(or_none=True)


class FixedKey:
    """A key source that returns the same key for every request."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.__qualname__ = "value"

    def __call__(self, environ: WSGIEnvironment) -> str:
        """Return the key."""
        del environ
        return self._key


class KeyType(_Key):
    """A key source: ``cookie:NAME``, ``header:NAME``, or ``value:TEXT`` for the key itself."""

    name = "key source"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> KeySource:
        """Return the key source."""
        if callable(value):
            return cast("KeySource", value)
        kind, colon, text = str(value).partition(":")
        makers: dict[str, Callable[[str], KeySource]] = {"cookie": Cookie, "header": Header, "value": FixedKey}
        if not colon or not text or kind not in makers:
            message = "is not a key source. Write cookie:session_id, header:X-User-Id or value:alice (the key itself)"
            self.fail(f"{value!r} {message}", param, ctx)
        try:
            return makers[kind](text)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


app_first_option = click.option(
    "--app-first",
    metavar="PATTERN",
    multiple=True,
    callback=checked_by(compile_patterns),
    help="Paths that the application answers, such as '/api/*'. Repeatable.",
)


def serving_options(command: _Decorated) -> _Decorated:
    """Give a command ``--key``, ``--spa``, ``--app-first`` and ``--prefix``, for ``middleware_options``."""
    for option in (
        click.option(
            "--prefix",
            default="/",
            show_default=True,
            callback=checked_by(check_prefix),
            help="The URL path of the versions.",
        ),
        app_first_option,
        click.option(
            "--spa", is_flag=True, help="Serve a single-page application: its index.html answers unknown pages."
        ),
        click.option(
            "--key",
            "keys",
            type=KeyType(),
            metavar="SOURCE",
            multiple=True,
            help="The version key: cookie:NAME, header:NAME, or value:TEXT for the key itself. Repeatable.",
        ),
    ):
        command = option(command)
    return command


def middleware_options(
    keys: tuple[KeySource, ...], *, spa: bool, app_first: tuple[str, ...], prefix: str
) -> dict[str, Any]:
    """Return the values of ``serving_options`` as arguments of ``VersionAffinity``."""
    options: dict[str, Any] = {"app_first": app_first, "prefix": prefix}
    if keys:
        options["keys"] = keys
    if spa:
        options["not_found_handling"] = "single-page-application"
    return options
