"""Options that several commands share, and their types. A wrong value ends the command with exit status 2."""

from __future__ import annotations

import re
import textwrap
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import click

from version_affinity.configuration import check_prefix
from version_affinity.decision.keys import Cookie, Header, KeySource
from version_affinity.errors import ConfigurationError
from version_affinity.releases.store.settings import Serving, check_app_first, check_origins
from version_affinity.releases.times import parse_duration

from .output import as_typed

#: A duration, or "none".
Age: TypeAlias = timedelta | Literal["none"]
#: The value of an option for nothing: no duration, no patterns.
NONE: Final = "none"
# A line of a list in a help text: the mark, or the term and what follows after two spaces or more.
_ITEM: Final = re.compile(r"( +- |  +\S.*?\S  +)(\S.*)\Z")

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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


class OwnCommand(click.Command):
    """A command that refuses empty and contradicting values, and whose help names commands as they are typed here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments, and refuse empty and contradicting ones."""
        if not ctx.resilient_parsing:
            values, _, given = self.make_parser(ctx).parse_args(list(args))
            _check_given(ctx, values, given)
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the help text. Lines of lists that are too long go on below their text; commands stay whole."""
        room = formatter.width - 2
        paragraphs = (self.help or "").split("\n\n")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text("\n\n".join(_fitted(paragraph, room) for paragraph in paragraphs))

    def get_help(self, ctx: click.Context) -> str:
        """Return the help text."""
        with ctx.scope(cleanup=False):
            return as_typed(super().get_help(ctx))


def _check_given(ctx: click.Context, values: Mapping[str, Any], given: Sequence[click.Parameter]) -> None:
    """Refuse empty values, which come from unset shell variables, unless they are the default; and contradictions.

    Of options such as ``--spa --no-spa``, and of one that is given twice, click takes the last one.
    """
    before: dict[str, click.Parameter] = {}
    for parameter in given:
        name = str(parameter.name)
        value, other = values.get(name), before.setdefault(name, parameter)
        if "" in (value if isinstance(value, list | tuple) else [value]) and parameter.default != "":
            raise click.BadParameter("the value is empty. Is the shell variable set?", ctx, parameter)
        if other is not parameter:
            raise click.UsageError(f"{_name(other)} and {_name(parameter)} exclude each other: write one of them", ctx)
    names = [_name(it) for it in given if isinstance(it, click.Option) and not (it.multiple or it.is_flag or it.count)]
    for name in names:
        if names.count(name) > 1:
            raise click.UsageError(f"{name} is given {names.count(name)} times: write it once", ctx)


def _fitted(paragraph: str, room: int) -> str:
    """Return a paragraph whose lines click keeps, so that its lists fit: "- a reason", "TERM  what it is"."""
    if not paragraph.startswith("\b\n"):
        return paragraph
    lines: list[str] = []
    for line in paragraph.splitlines():
        item = _ITEM.match(line)
        if item is None or len(line) <= room:
            lines.append(line)
            continue
        term, text = item.groups()
        if len(term) > room // 2:
            lines.append(term.rstrip())
            term = "      "
        lines += textwrap.wrap(text, room, initial_indent=term, subsequent_indent=" " * len(term))
    return "\n".join(lines)


def _name(option: click.Parameter) -> str:
    """Return an option as people write it: the long form."""
    return max(option.opts, key=len)


def duration(text: str) -> timedelta:
    """Return the duration that an option names, such as ``30d``, ``12h`` or ``1h30m``."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def duration_or_none(text: str) -> Age:
    """Return the duration that an option names, or "none"."""
    return NONE if text == NONE else duration(text)


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


def _listed(check: Callable[[object], None]) -> Callable[..., tuple[str, ...] | None]:
    """Return a callback for a repeatable option: None if it is not given, nothing for the value "none"."""

    def listed(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...] | None:
        if not values:
            return None
        if NONE in values and values != (NONE,):
            raise click.BadParameter(f"'{NONE}' excludes other values: leave it out, or leave out the other values")
        return () if values == (NONE,) else checked_by(check)(context, option, values)

    return listed


def serving_options(*, has_origin: bool = True, of_init: bool = False) -> Callable[[_Command], Callable[..., Any]]:
    """Return a decorator that gives a command the options of ``Serving``, which become its argument ``serving``."""
    at_root, nothing = ("  [default: /]", "  [default: none]") if of_init else ("", "")
    options = [
        click.option(
            "--prefix",
            metavar="PATH",
            callback=checked_by(check_prefix),
            help=f"The URL path of the versions.{at_root}",
        ),
        click.option(
            "--app-first",
            metavar="PATTERN",
            multiple=True,
            callback=_listed(check_app_first),
            help=f"Paths that the application answers, such as '/api/*'. Repeatable. 'none': no paths.{nothing}",
        ),
    ]
    for name, value, text in (
        ("--spa", "single-page-application", "The index.html of the build answers unknown pages."),
        ("--404-page", "404-page", "The nearest 404.html of the build answers unknown pages."),
        ("--no-spa", "none", f"No file of the build answers unknown pages.{'  [default]' if of_init else ''}"),
    ):
        options.append(click.option(name, "not_found_handling", flag_value=value, help=text))
    if has_origin:
        options.append(
            click.option(
                "--origin",
                "origins",
                metavar="URL",
                multiple=True,
                callback=_listed(check_origins),
                help="An origin of the build, such as https://cdn.example: references to it are checked too. "
                f"Repeatable. 'none': no origins.{nothing}",
            )
        )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def gathered(**given: Any) -> Any:
            found = {key: given.pop(key, None) for key in Serving._fields}
            return command(serving=Serving(**found), **given)

        return with_options(*options)(gathered)

    return decorate


key_option = click.option(
    "--key",
    "keys",
    type=_key_source,
    metavar="SOURCE",
    multiple=True,
    help="The version key: cookie:NAME, header:NAME, or value:TEXT for the key itself. Repeatable.",
)
