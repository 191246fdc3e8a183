"""The options that ``versions deploy`` and ``rollback`` have in common: all but what is deployed."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from .context import build_options, place_options
from .terminal.output import json_option
from .terminal.prompts import yes_option

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds for which live hosts may lack a version: two heartbeats. A host reports what it has loaded at once.
_WAIT: Final = 10
_LONGEST_WAIT: Final = 3600


@dataclass(frozen=True, slots=True)
class Order:
    """What the options say.

    Attributes:
        message: Why, for the log.
        dry_run: Whether nothing is to be written.
        force: Whether refusals are overruled.
        expect: The revision that has to be in force; None for any.
        wait: Seconds for which live hosts may lack a version.
        prefix: The path under which versions are served; None for what the application says.
        app_first: The patterns of paths that are the application's own; likewise.
        origins: The origins under which versions are served.
        yes: Whether nobody is to be asked.
        as_json: Whether the outcome is printed as JSON.
    """

    message: str
    dry_run: bool
    force: bool
    expect: int | None
    wait: int
    prefix: str | None
    app_first: tuple[str, ...]
    origins: tuple[str, ...]
    yes: bool
    as_json: bool


def order_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, as one argument ``order``."""

    @wraps(function)
    def command(**given: Any) -> None:
        order = Order(**{field.name: given.pop(field.name) for field in fields(Order)})
        function(order=order, **given)

    options = (
        click.option("-m", "--message", default="", help="Why, for the log."),
        click.option("--dry-run", is_flag=True, help="Show what would happen, and leave it at that."),
        click.option("--force", is_flag=True, help="Do it, whatever speaks against it."),
        click.option(
            "--expect",
            metavar="REVISION",
            type=click.IntRange(0),
            help="Refuse if another revision is in force; 0 for none.",
        ),
        click.option(
            "--wait",
            metavar="SECONDS",
            type=click.IntRange(0, _LONGEST_WAIT),
            default=_WAIT,
            show_default=True,
            help="How long live hosts that lack a version may take to get it; 0: refuse at once.",
        ),
        build_options,
        yes_option,
        place_options(),
        json_option,
    )
    decorated: Callable[..., None] = command
    for option in reversed(options):
        decorated = option(decorated)
    return decorated
