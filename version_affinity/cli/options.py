"""Arguments that are written wrongly: they end a command with 2, before anything is done."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast

import click

from version_affinity.app_first import compile_patterns
from version_affinity.configuration import check_prefix
from version_affinity.decision.keys import Cookie, Header
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import parse_duration

#: A length of time, or that there is none.
Age: TypeAlias = timedelta | Literal["none"]

NO_AGE: Final = "none"

if TYPE_CHECKING:
    from collections.abc import Callable

    _Value = TypeVar("_Value")
    _Duration = click.ParamType[timedelta]
    _Age = click.ParamType[Age]

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.decision.keys import KeySource

    _Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
    _Key = click.ParamType[KeySource]
else:
    _Duration = _Age = _Key = click.ParamType


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


class DurationType(_Duration):
    """A length of time."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Return what was typed as a length of time."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class AgeType(_Age):
    """A length of time, or ``none``."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Age:
        """Return what was typed as a length of time, "none" as it is."""
        return NO_AGE if value == NO_AGE else DURATION.convert(value, param, ctx)


DURATION: Final = DurationType()

AGE: Final = AgeType()

_FORMS: Final = "write cookie:session_id, header:X-User-Id, or value:alice for the key itself"


class Value:
    """A key source that yields one key, whoever asks."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.__qualname__ = "value"

    def __call__(self, environ: WSGIEnvironment) -> str:
        """Return the key."""
        del environ
        return self._key


class KeyType(_Key):
    """A key source: ``cookie:NAME``, ``header:NAME``, or ``value:TEXT`` for a key itself."""

    name = "key source"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> KeySource:
        """Return the key source that was typed."""
        if callable(value):
            return cast("KeySource", value)
        kind, colon, text = str(value).partition(":")
        makers: dict[str, Callable[[str], KeySource]] = {"cookie": Cookie, "header": Header, "value": Value}
        if not colon or not text or kind not in makers:
            self.fail(f"{value!r} is no key source: {_FORMS}", param, ctx)
        try:
            return makers[kind](text)
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)


def serving_options(command: _Decorated) -> _Decorated:
    """Give a command the options ``--key``, ``--spa``, ``--app-first`` and ``--prefix``."""
    for option in (
        click.option(
            "--prefix",
            default="/",
            show_default=True,
            callback=form(check_prefix),
            help="The path under which versions are served.",
        ),
        click.option(
            "--app-first",
            metavar="PATTERN",
            multiple=True,
            callback=form(compile_patterns),
            help="Paths of the application: '/api/*'.",
        ),
        click.option("--spa", is_flag=True, help="A single-page application: its document answers at every page."),
        click.option(
            "--key",
            "keys",
            type=KeyType(),
            metavar="SOURCE",
            multiple=True,
            help="Where the version key is: cookie:NAME or header:NAME, or value:TEXT for a key itself.",
        ),
    ):
        command = option(command)
    return command


def middleware_options(
    keys: tuple[KeySource, ...], *, spa: bool, app_first: tuple[str, ...], prefix: str
) -> dict[str, Any]:
    """Return these options as ``VersionAffinity`` takes them."""
    options: dict[str, Any] = {"app_first": app_first, "prefix": prefix}
    if keys:
        options["keys"] = keys
    if spa:
        options["not_found_handling"] = "single-page-application"
    return options
