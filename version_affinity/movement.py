"""How many users change their version from one deployment to the next, computed from the percentages.

Under weighted rendezvous hashing (``version_affinity.hashing``) a key draws an exponential ``E_v`` for each version and
gets the one with the smallest ``E_v / w_v``. The draws stay when the percentages ``w`` become ``w'``, so it moves from
``a`` to ``b`` when ``a`` has the smallest of the old scores and ``b`` of the new ones. Over all draws that is::

    P(a -> b) = w_a w'_b * integral of dr / C(r)^2 from w_b / w'_b to w_a / w'_a,    C(r) = sum of max(w_i, w'_i r)

``C`` is linear between the ratios ``w_i / w'_i``, which the bounds are among, and there the integral from ``lo`` to
``hi`` is ``(hi - lo) / (C(lo) C(hi))``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - of a public dataclass
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Percent of the users below which a movement is rounding.
NOTICEABLE: Final = 1e-9
_DECIMALS: Final = 9


@dataclass(frozen=True, slots=True)
class Movement:
    """Who moves between two deployments, in percent of all users.

    Attributes:
        pairs: The percentages of users that move, by the version before and the one after, the largest first.
        moved: Their sum.
        minimum: The percentage that any scheme has to move: the sum of the versions' losses.
    """

    pairs: Mapping[tuple[str, str], float]
    moved: float
    minimum: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON data, rounded."""
        return {
            "pairs": [
                {"from": before, "to": after, "users": round(users, _DECIMALS)}
                for (before, after), users in self.pairs.items()
            ],
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
    versions = list(dict.fromkeys((*old, *new)))
    ratios = {version: _ratio(old.get(version, 0.0), new.get(version, 0.0)) for version in versions}
    integral = _integral([(old.get(version, 0.0), new.get(version, 0.0)) for version in versions])
    found = {}
    for one in old:
        for other in new:
            if one != other and ratios[other] < ratios[one]:
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


def _ratio(old: float, new: float) -> float:
    return old / new if new > 0 else math.inf


def _integral(shares: list[tuple[float, float]]) -> Callable[[float, float], float]:
    """Return the integral of ``1 / C(r)^2`` between two ratios of the shares before and after."""
    bounds = sorted({0.0, *(_ratio(old, new) for old, new in shares), math.inf})
    heights = {bound: math.fsum(max(old, new * bound) for old, new in shares) for bound in bounds if bound < math.inf}
    pieces = []
    for low, high in pairwise(bounds):
        if high < math.inf:
            pieces.append((high - low) / (heights[low] * heights[high]))
        else:
            # All versions that have users afterwards grow with the ratio from here on.
            slope = math.fsum(new for _, new in shares)
            pieces.append(1 / (slope * heights[low]))

    def integrate(low: float, high: float) -> float:
        return math.fsum(pieces[bounds.index(low) : bounds.index(high)])

    return integrate
