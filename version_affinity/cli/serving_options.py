"""The options that say how an application serves its versions, where none is loaded that says so itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import click

from version_affinity.app_first import app_first as compiled_patterns
from version_affinity.configuration import check_prefix
from version_affinity.decision.keys import Cookie, Header
from version_affinity.errors import ConfigurationError

from .options import form

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.decision.keys import KeySource

    _Decorated = TypeVar("_Decorated", bound=Callable[..., Any])
    _Key = click.ParamType[KeySource]
else:
    _Key = click.ParamType

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
            callback=form(compiled_patterns),
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
