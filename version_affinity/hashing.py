"""wrh-1: weighted rendezvous hashing, which assigns a key to a version by percentage.

It is exact for any percentages, does not depend on the order in which versions are listed, and needs no state, so hosts
that share only the configuration agree. The algorithm is part of the contract, so that other implementations can make
the same assignments::

    salt = UTF-8 of the deployment's name
    d    = murmur3_x64_128(salt + 00 + key)
    s_v  = murmur3_x64_128("v" + 00 + UTF-8 of the version id)
    x_v  = first 8 bytes of murmur3_x64_128(d + s_v), little-endian unsigned
    u_v  = ((x_v >> 12) + 0.5) / 2**52
    the version with the smallest -ln(u_v) / percentage; ties go to the smaller id

Only bytes are hashed: mmh3 5.0 to 5.3 ends the interpreter on a ``str`` with a lone surrogate.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from mmh3 import mmh3_x64_128_digest as digest
from mmh3 import mmh3_x64_128_utupledigest as words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNIT = 2.0**-52
_LOWEST = float("-inf")
_ROUNDING = 1e-9


def assigner(salt: str, weights: Mapping[str, float]) -> Callable[[bytes], str]:
    """Return the function from a key's bytes to a version id. Only versions above 0 take part; one at least must.

    >>> assign = assigner("storefront", {"v1": 90, "v2": 10})
    >>> assign(b"alice"), assign(b"alice")
    ('v1', 'v1')
    """
    prefix = salt.encode() + b"\0"
    seeds = [(version, seed, weights[version]) for version, seed in _seeds(weights)]
    if len(seeds) == 1:
        (winner, _, _) = seeds[0]
        return lambda _key: winner

    # Equal percentages order the scores as the hashes do: a logarithm for each version would double the time.
    are_equal = len({weight for _, _, weight in seeds}) == 1

    if len(seeds) == 2 and (are_equal or _differ(seeds[0][2], seeds[1][2])):  # noqa: PLR2004
        return _between(prefix, *seeds)  # nearly always, and faster than the loop by a fifth or more

    def assign(key: bytes) -> str:
        hashed = digest(prefix + key)
        # The largest ln(u) / percentage is the smallest -ln(u) / percentage: a sign is exact in floating point.
        highest = _LOWEST
        chosen = ""
        for version, seed, weight in seeds:
            word = words(hashed + seed)[0] >> 12
            score = word if are_equal else log((word + 0.5) * _UNIT) / weight
            if score > highest:  # a tie stays with the smaller id
                highest = score
                chosen = version
        return chosen

    return assign


def _between(prefix: bytes, one: tuple[str, bytes, float], other: tuple[str, bytes, float]) -> Callable[[bytes], str]:
    """Return the function from a key's bytes to one of two versions; ``one`` has the smaller id."""
    smaller, _, _ = one
    large, small = (one, other) if one[2] >= other[2] else (other, one)
    winner, seed, weight = large
    loser, other_seed, other_weight = small
    are_equal = weight == other_weight

    def assign(key: bytes) -> str:
        hashed = digest(prefix + key)
        x, y = words(hashed + seed)[0] >> 12, words(hashed + other_seed)[0] >> 12
        if x >= y:  # the larger percentage only adds to the lead
            return winner
        if are_equal:
            return loser
        lead = log((x + 0.5) * _UNIT) / weight - log((y + 0.5) * _UNIT) / other_weight
        return winner if lead > 0 else loser if lead < 0 else smaller

    return assign


def _differ(weight: float, other: float) -> bool:
    """Return whether two percentages differ by more than what rounding can hide."""
    return abs(weight - other) > _ROUNDING * (weight + other)


def scores(salt: str, weights: Mapping[str, float], key: bytes) -> dict[str, float]:
    """Return what ``assigner`` compares for a key: by version id, ``-ln(u_v) / percentage``. The smallest wins.

    >>> found = scores("storefront", {"v1": 90, "v2": 10, "v3": 0}, b"carol")
    >>> {version: round(score, 4) for version, score in found.items()}
    {'v1': 0.0259, 'v2': 0.0047}
    """
    hashed = digest(salt.encode() + b"\0" + key)
    return {
        version: -log(((words(hashed + seed)[0] >> 12) + 0.5) * _UNIT) / weights[version]
        for version, seed in _seeds(weights)
    }


def _seeds(weights: Mapping[str, float]) -> list[tuple[str, bytes]]:
    """Return the versions that take part with their hashes, the smallest id first."""
    return [
        (version, digest(b"v\0" + version.encode())) for version in sorted(weights, key=str.encode) if weights[version]
    ]
