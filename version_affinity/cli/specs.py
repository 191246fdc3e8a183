"""What is to be deployed, as it is typed: ``v1@90% v2@10%``.

A percentage may stand with or without its sign, and may be left out: those without share the remainder. Three decimals
count.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from version_affinity.deployment import TOLERANCE, check_version_id
from version_affinity.errors import ConfigurationError

from .terminal.text import number, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*%?\s*\Z", re.ASCII | re.IGNORECASE)
_WHOLE: Final = 100.0
_DECIMALS: Final = 3
# Of a part of the remainder: 100 - 99.9 is 0.1, and thirds are thirds.
_PART_DECIMALS: Final = 9


class SpecError(click.UsageError):
    """What is to be deployed is written wrongly."""


class Spec(NamedTuple):
    """A version, or the tag of one, and its percentage; None for a part of the remainder."""

    version: str
    percentage: float | None


def parse_spec(text: str) -> Spec:
    """Return what a text such as "v2@10%" or "v2" means.

    Raises:
        SpecError: it means nothing.

    >>> parse_spec("v2@10%"), parse_spec("v2")
    (Spec(version='v2', percentage=10.0), Spec(version='v2', percentage=None))
    """
    version, at, share = text.partition("@")
    try:
        check_version_id(version)
    except ConfigurationError as error:
        raise SpecError(f"{text!r}: {error}") from None
    return Spec(version, parse_percentage(share, text) if at else None)


def parse_tag_spec(text: str) -> Spec:
    """Return what a text such as "release-7@10%" or "release-7" means. A tag may have "@" in it.

    Raises:
        SpecError: it means nothing.

    >>> parse_tag_spec("v1.0@beta@100%"), parse_tag_spec("v1.0@beta")
    (Spec(version='v1.0@beta', percentage=100.0), Spec(version='v1.0@beta', percentage=None))
    """
    if not text:
        raise SpecError("a name is empty: is the variable set that it was taken from?")
    tag, at, share = text.rpartition("@")
    if at and tag and _NUMBER.match(share):
        return Spec(tag, parse_percentage(share, text))
    return Spec(text, None)


def parse_percentage(share: str, text: str) -> float:
    """Return a percentage, with or without its sign, to three decimals.

    Args:
        share: The percentage.
        text: What it is part of, for the error.

    Raises:
        SpecError: it is none, or not between 0 and 100.
    """
    match = _NUMBER.match(share)
    if match is None:
        raise SpecError(f"{text!r}: {share!r} is no percentage: write v2@10% or v2@10, or v2 alone for the remainder")
    value = float(match[1])
    if not 0 <= value <= _WHOLE:
        raise SpecError(f"{text!r}: the percentage {match[1]} is not between 0 and 100")
    return round(value, _DECIMALS)


def distribute(given: Mapping[str, float | None]) -> dict[str, float]:
    """Give versions without a percentage equal parts of what the others leave.

    >>> distribute({"v1": None, "v2": 10.0, "v3": None})
    {'v1': 45.0, 'v2': 10.0, 'v3': 45.0}
    """
    open_ids = [version for version, share in given.items() if share is None]
    left = max(0.0, _WHOLE - math.fsum(share for share in given.values() if share is not None))
    part = round(left / len(open_ids), _PART_DECIMALS) if open_ids else 0.0
    return {version: part if share is None else share for version, share in given.items()}


def is_whole(total: float) -> bool:
    """Tell whether a sum of percentages is 100, within a thousandth.

    >>> is_whole(99.999), is_whole(100.0011)
    (True, False)
    """
    return _WHOLE - TOLERANCE <= total <= _WHOLE + TOLERANCE


def deployment_of(specs: Iterable[Spec]) -> dict[str, float]:
    """Return the percentages that are meant, in sum 100.

    Raises:
        SpecError: there is none, one is there twice, or the sum is not 100.

    >>> deployment_of([Spec("v1", None), Spec("v2", 10.0)])
    {'v1': 90.0, 'v2': 10.0}
    """
    given: dict[str, float | None] = {}
    for version, share in specs:
        if version in given:
            raise SpecError(f"{version} is there twice: write each version once")
        given[version] = share
    if not given:
        raise SpecError("there is nothing to deploy: write what everybody gets, such as v1@90% v2@10%")
    percentages = distribute(given)
    total = math.fsum(percentages.values())
    if not is_whole(total):
        listed = " + ".join(f"{version} {number(share)}" for version, share in given.items() if share is not None)
        raise SpecError(
            f"the percentages sum to {percent(total)}, not 100 % ({listed}): correct them, or leave one out, which "
            "then gets the remainder",
        )
    return percentages
