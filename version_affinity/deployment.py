"""A deployment, a name and the percentages of versions; and how many users move from one deployment to the next.

Under weighted rendezvous hashing (``version_affinity.hashing``) a key draws an exponential ``E_v`` for each version and
gets the one with the smallest ``E_v / w_v``. The draws stay when the percentages ``w`` become ``w'``, so it moves from
``a`` to ``b`` when ``a`` has the smallest of the old scores and ``b`` of the new ones. Over all draws that is::

    P(a -> b) = w_a w'_b * integral of dr / C(r)^2 from w_b / w'_b to w_a / w'_a,    C(r) = sum of max(w_i, w'_i r)

``C`` is linear between the ratios ``w_i / w'_i``, which the bounds are among, and there the integral from ``lo`` to
``hi`` is ``(hi - lo) / (C(lo) C(hi))``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, product
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from .errors import ConfigurationError
from .hashing import assigner, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

# RFC 9651 section 3.1.2, `key`, less "*": the name stands in the override header's dictionary.
_NAME = re.compile(r"[a-z][a-z0-9_-]*\Z")
_VERSION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")

#: The name of a deployment without one.
DEFAULT_NAME: Final = "app"

#: All users, in percent.
WHOLE: Final = 100.0

#: How far the percentages may be from 100 in sum: thirds, written with three decimals, are meant.
TOLERANCE = 0.001


def check_name(name: object) -> str:
    """Return a usable deployment name, or raise ``ConfigurationError``."""
    if not isinstance(name, str) or not _NAME.match(name):
        raise ConfigurationError(
            f"name={name!r} cannot be used: it is part of the hash and of headers, so write a lowercase letter "
            "followed by lowercase letters, digits, '_' or '-', for example name='storefront'",
        )
    return name


def check_version_id(version: object) -> str:
    """Return a usable version id, or raise ``ConfigurationError``."""
    if not isinstance(version, str) or not _VERSION_ID.match(version):
        raise ConfigurationError(
            f"version id {version!r} cannot be used: write 1 to 64 letters, digits, '.', '_' or '-', the first one a "
            "letter or a digit, for example 'v2' or a git commit",
        )
    return version


def check_percentage(version: str, percentage: object) -> float | None:
    """Return a percentage as a float (None stays None), or raise ``ConfigurationError``."""
    if percentage is None:
        return None
    if isinstance(percentage, bool) or not isinstance(percentage, Real):
        raise ConfigurationError(
            f"percentage={percentage!r} of version {version!r} is not a number: give one from 0 to 100",
        )
    number: Any = percentage  # compared before the conversion, which large integers overflow
    if not 0 <= number <= WHOLE:  # also False for NaN
        raise ConfigurationError(f"percentage={percentage!r} of version {version!r} is not between 0 and 100")
    return float(number)


def share(percentages: Mapping[str, object]) -> dict[str, float]:
    """Return checked percentages, in which each None is an equal part of what the others leave."""
    if not isinstance(percentages, Mapping):
        raise ConfigurationError(f"percentages={percentages!r} is not a mapping: write {{'v1': 90, 'v2': 10}}")
    if not percentages:
        raise ConfigurationError("a deployment needs at least one version, for example {'v1': 100}")
    given = {check_version_id(version): check_percentage(version, value) for version, value in percentages.items()}
    total = math.fsum(value for value in given.values() if value is not None)
    open_ids = [version for version, value in given.items() if value is None]
    if total > WHOLE + TOLERANCE or (not open_ids and total < WHOLE - TOLERANCE):
        listed = " + ".join(f"{version} {value:g}" for version, value in given.items() if value is not None)
        remedy = "correct them, or leave one as None for the remainder"
        if abs(total - 1) <= TOLERANCE / WHOLE:
            remedy = "write percentages, not fractions, such as 90 for 0.9"
        raise ConfigurationError(f"percentages sum to {total:g}, not 100 ({listed}): {remedy}")
    part = max(0.0, WHOLE - total) / len(open_ids) if open_ids else 0.0
    return {version: part if value is None else value for version, value in given.items()}


@dataclass(frozen=True, slots=True, init=False)
class Deployment:
    """The percentages of versions under a name; immutable, and equal to any other that assigns alike.

    Args:
        name: Part of the hash, so two applications split their users independently. ``[a-z][a-z0-9_-]*``.
        percentages: Version id to percentage, 0 to 100, in sum 100 (within 0.001). None: an equal part of the rest.
        revision: Counts the deployments of an application, each of which replaces the one before.

    Raises:
        ConfigurationError: a name, an id or percentages that cannot be used.

    >>> rollout = Deployment("storefront", {"v1": 90, "v2": 10})
    >>> rollout.assign("alice")
    'v1'
    """

    name: str
    percentages: Mapping[str, float]
    revision: int = field(compare=False)
    #: The versions that have more than 0 %.
    live: frozenset[str] = field(repr=False, compare=False)
    #: The only version that has more than 0 %; None during a split.
    only: str | None = field(repr=False, compare=False)
    #: ``assign`` for bytes, without the check of the type.
    assign_bytes: Callable[[bytes], str] = field(repr=False, compare=False)

    def __init__(self, name: str, percentages: Mapping[str, float | None], *, revision: int = 1) -> None:
        shares = share(percentages)
        live = frozenset(version for version, percentage in shares.items() if percentage > 0)
        set_field = partial(object.__setattr__, self)
        set_field("name", check_name(name))
        set_field("percentages", MappingProxyType(shares))
        set_field("revision", revision)
        set_field("live", live)
        set_field("only", next(iter(live)) if len(live) == 1 else None)
        set_field("assign_bytes", assigner(name, shares))

    def assign(self, key: str | bytes) -> str:
        """Return the id of the version that a version key gets.

        Args:
            key: Identifies a user. A ``str`` means its UTF-8 bytes.

        Raises:
            TypeError: the key is neither ``str`` nor ``bytes``.
        """
        return self.assign_bytes(_key_bytes(key))

    def scores(self, key: str | bytes) -> dict[str, float]:
        """Return the score of each version with a share for a version key: the smallest wins. See ``assign``.

        >>> Deployment("storefront", {"v1": 100, "v2": 0}).scores("alice").keys()
        dict_keys(['v1'])
        """
        return scores(self.name, self.percentages, _key_bytes(key))

    def __hash__(self) -> int:
        return hash((self.name, frozenset(self.percentages.items())))


def _key_bytes(key: object) -> bytes:
    if not isinstance(key, str | bytes):
        raise TypeError(f"key={key!r} is neither str nor bytes: write str(key), and the same wherever it is hashed")
    return key if isinstance(key, bytes) else key.encode("utf-8", "surrogatepass")


#: Percent of the users below which a movement is rounding.
NOTICEABLE: Final = 1e-9
_DECIMALS: Final = 9


@dataclass(frozen=True, slots=True)
class Movement:
    """Who moves between two deployments, in percent of all users."""

    pairs: Mapping[tuple[str, str], float]  # by the version before and the one after, the largest first
    moved: float  # the sum of the pairs
    minimum: float  # the part that any scheme has to move: the sum of the versions' losses

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON data, rounded."""
        moves = ((before, after, round(users, _DECIMALS)) for (before, after), users in self.pairs.items())
        return {
            "pairs": [{"from": before, "to": after, "users": users} for before, after, users in moves],
            "moved": round(self.moved, _DECIMALS),
            "minimum": round(self.minimum, _DECIMALS),
        }


def movement(before: Mapping[str, float], after: Mapping[str, float]) -> Movement:
    """Return who moves between the percentages of two deployments of the same name.

    >>> movement({"v1": 90, "v2": 10}, {"v1": 50, "v2": 50}).pairs
    {('v1', 'v2'): 40.0}

    With three versions or more, percentages of which only one pays can also swap users between the others:

    >>> swapped = movement({"v1": 50, "v2": 30, "v3": 20}, {"v1": 20, "v2": 60, "v3": 20})
    >>> {pair: round(users, 2) for pair, users in swapped.pairs.items()}, swapped.minimum
    ({('v1', 'v2'): 25.38, ('v1', 'v3'): 4.62, ('v3', 'v2'): 4.62}, 30.0)
    """
    old, new = _shares(before), _shares(after)
    both = {version: (old.get(version, 0.0), new.get(version, 0.0)) for version in {**old, **new}}
    ratios = {version: had / has if has > 0 else math.inf for version, (had, has) in both.items()}
    integral = _integral(both.values(), ratios.values())
    found = {}
    for one, other in product(old, new):
        if ratios[other] < ratios[one]:
            users = 100 * old[one] * new[other] * integral(ratios[other], ratios[one])
            if users > NOTICEABLE:
                found[one, other] = users
    # Rounded, so that the order is the same everywhere.
    pairs = dict(sorted(found.items(), key=lambda item: (-round(item[1], _DECIMALS), item[0])))
    minimum = 100 * math.fsum(max(0.0, share - new.get(version, 0.0)) for version, share in old.items())
    return Movement(pairs, math.fsum(pairs.values()), minimum if minimum > NOTICEABLE else 0.0)


def _shares(percentages: Mapping[str, float]) -> dict[str, float]:
    """Return the versions that have users, with their part of all users; thirds of 33.333 % are thirds."""
    whole = math.fsum(percentages.values())
    return {version: percentage / whole for version, percentage in percentages.items() if percentage > 0}


def _integral(shares: Collection[tuple[float, float]], ratios: Iterable[float]) -> Callable[[float, float], float]:
    """Return the integral of ``1 / C(r)^2`` between two ratios of the shares before and after."""
    bounds = sorted({0.0, *ratios, math.inf})
    heights = {bound: math.fsum(max(old, new * bound) for old, new in shares) for bound in bounds[:-1]}
    pieces = [(high - low) / (heights[low] * heights[high]) for low, high in pairwise(heights)]
    # After the last ratio, all versions that have users afterwards grow with it.
    pieces.append(1 / (math.fsum(new for _, new in shares) * heights[bounds[-2]]))
    return lambda low, high: math.fsum(pieces[bounds.index(low) : bounds.index(high)])
