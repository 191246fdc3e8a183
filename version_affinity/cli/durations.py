"""Lengths of time as options take them: ``30d``, ``12h``, ``1h30m``, and ``none`` where there need be none."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from version_affinity.releases.durations import parse_duration

#: A length of time, or that there is none.
Age: TypeAlias = timedelta | Literal["none"]
NO_AGE: Final = "none"

if TYPE_CHECKING:
    _Duration = click.ParamType[timedelta]
    _Age = click.ParamType[Age]
else:
    _Duration = _Age = click.ParamType


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
