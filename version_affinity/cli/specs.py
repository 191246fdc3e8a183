"""The arguments of ``versions deploy``: ``v1@90% v2@10%``.

The percent sign is optional. A version without a percentage gets an equal part of the remainder. Percentages have up
to three decimals.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from version_affinity.deployment import TOLERANCE, WHOLE, check_version_id
from version_affinity.errors import ConfigurationError

from .output import listed, number, percent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NUMBER: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*%?\s*\Z", re.ASCII | re.IGNORECASE)
# "v1:90" and "v1=90%".
_OTHER_MARK: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)[:=](\d+\.?\d*%?)\Z", re.ASCII)


class SpecError(click.UsageError):
    """An argument of ``versions deploy`` is wrong."""


class Spec(NamedTuple):
    """A version, or a directory, and its percentage; None for a part of the remainder."""

    version: str
    percentage: float | None


def parse_spec(text: str) -> Spec:
    """Return the meaning of "v2@10%" or "v2"; raise ``SpecError`` for any other text."""
    version, at, share = text.partition("@")
    if not version:
        raise SpecError(f"{text!r}: the id is empty. Is the shell variable set? Write v2@10%, without a space")
    try:
        check_version_id(version)
    except ConfigurationError as error:
        meant = _OTHER_MARK.match(text)
        raise SpecError(f"{text!r}: write {meant[1]}@{meant[2]}" if meant else f"{text!r}: {error}") from None
    return Spec(version, parse_percentage(share, text) if at else None)


def parse_directory_spec(text: str) -> Spec:
    """Return the meaning of "builds/v2@10%" or "builds/v2". The directory's name may contain "@"."""
    if not text:
        raise SpecError("a directory is empty. Is the shell variable set?")
    directory, at, share = text.rpartition("@")
    if at and directory and _NUMBER.match(share):
        return Spec(directory, parse_percentage(share, text))
    return Spec(text, None)


def parse_percentage(share: str, text: str) -> float:
    """Return a percentage from 0 to 100, rounded to three decimals; ``text`` is the whole argument, for the error."""
    match = _NUMBER.match(share)
    if match is None:
        if not share:
            raise SpecError(f"{text!r}: the percentage is empty. Is the shell variable set?")
        example = "Write v2@10% or v2@10, or v2 alone for the remainder"
        if "," in share:
            point = share.replace(",", ".")
            example = f"Write {point}" if _NUMBER.match(point) else "Write a space between two versions"
        raise SpecError(f"{text!r}: {share!r} is not a percentage. {example}")
    value = float(match[1])
    if not 0 <= value <= WHOLE:
        raise SpecError(f"{text!r}: the percentage {match[1]} is not between 0 and 100")
    return round(value, 3)


def distribute(given: Mapping[str, float | None]) -> dict[str, float]:
    """Give versions without a percentage equal parts of the remainder.

    >>> distribute({"v1": None, "v2": 10.0, "v3": None})
    {'v1': 45.0, 'v2': 10.0, 'v3': 45.0}
    """
    open_ids = [version for version, share in given.items() if share is None]
    left = max(0.0, WHOLE - math.fsum(share for share in given.values() if share is not None))
    # Rounded, so that 100 - 99.9 becomes 0.1; thirds stay thirds.
    part = round(left / len(open_ids), 9) if open_ids else 0.0
    return {version: part if share is None else share for version, share in given.items()}


def is_whole(total: float) -> bool:
    """Return whether a sum of percentages is 100, within a thousandth."""
    return WHOLE - TOLERANCE <= total <= WHOLE + TOLERANCE


def with_rest(specs: Iterable[Spec], current: Mapping[str, float]) -> dict[str, float]:
    """Return the percentages of a deployment in which the other current versions share what the specs leave.

    They share it in their current proportion, so that no user moves between them. At 0 % none of them stays, except
    those that are staged.

    >>> with_rest([Spec("v3", 10.0)], {"v1": 75.0, "v2": 25.0, "v0": 0.0})
    {'v3': 10.0, 'v1': 67.5, 'v2': 22.5, 'v0': 0.0}
    """
    given = list(specs)
    if not given:
        raise SpecError("no version is given: --rest is for the others, as in v2@10% --rest")
    for version, share in given:
        if share is None:
            raise SpecError(f"{version} has no percentage, which --rest needs: write {version}@10% --rest")
    named = {version: share for version, share in given if share is not None}
    left = WHOLE - math.fsum(named.values())
    others = {version: share for version, share in current.items() if version not in named}
    total = math.fsum(others.values())
    if abs(left) < TOLERANCE and len(named) > 1 and total:
        raise SpecError(f"--rest: nothing is left for {listed(others)}. Leave out --rest, or give {listed(named)} less")
    if left >= TOLERANCE and not total:
        reason = "no other version has a share" if current else "nothing is deployed yet"
        raise SpecError(f"--rest: {reason} that could get the {percent(left)} that are left. Name all versions")
    if left < TOLERANCE:
        rest = {version: 0.0 for version, share in others.items() if not share}
    else:
        rest = {version: round(left * share / total, 9) for version, share in others.items()}
    return deployment_of([*given, *(Spec(version, share) for version, share in rest.items())])


def deployment_of(specs: Iterable[Spec]) -> dict[str, float]:
    """Return the percentages by version; raise ``SpecError`` unless their sum is 100 and each version appears once."""
    given: dict[str, float | None] = {}
    for version, share in specs:
        if version in given:
            raise SpecError(f"{version} appears twice. Write each version once")
        given[version] = share
    if not given:
        raise SpecError("no version is given. Write the versions and their percentages, such as v1@90% v2@10%")
    percentages = distribute(given)
    total = math.fsum(percentages.values())
    if is_whole(total * WHOLE):
        percents = " ".join(f"{version}@{number(share * WHOLE)}%" for version, share in percentages.items())
        raise SpecError(
            f"the percentages sum to {percent(total)}, not 100 %, because they are fractions. Write {percents}"
        )
    if not is_whole(total):
        listed = " + ".join(f"{version} {number(share)}" for version, share in given.items() if share is not None)
        summed = f"the percentages sum to {percent(total)}, not 100 % ({listed})"
        raise SpecError(f"{summed}. Correct them, or leave one out: that version then gets the remainder")
    return percentages
