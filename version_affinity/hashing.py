"""wrh-1: weighted rendezvous hashing of a key into percentages.

Exact for any percentages, independent of the order in which versions are listed, and without state: hosts that share
only the configuration agree. The algorithm is a contract (its name says which one), so that another implementation
can make the same assignments::

    salt = UTF-8 of the deployment's name
    d    = murmur3_x64_128(salt + 00 + key)
    s_v  = murmur3_x64_128("v" + 00 + UTF-8 of the version id)
    x_v  = first 8 bytes of murmur3_x64_128(d + s_v), little-endian unsigned
    u_v  = ((x_v >> 12) + 0.5) / 2**52
    the version with the smallest -ln(u_v) / percentage; ties go to the smaller id
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Final, TypeAlias

from mmh3 import mmh3_x64_128_digest as _digest
from mmh3 import mmh3_x64_128_utupledigest as _words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # A version's id, the hash of that, and its percentage.
    _Seat: TypeAlias = tuple[str, bytes, float]

ALGORITHM = "wrh-1"

_UNIT = 2.0**-52
_LOW = 0xFFF
_LOWEST = float("-inf")
# How many times another percentage one must be for their scores never to round to the same: far more than it takes.
_CLEARLY: Final = 1 + 1e-6


def assigner(salt: str, weights: Mapping[str, float]) -> Callable[[bytes], str]:
    """Return the function from a key's bytes to a version id.

    Everything that does not depend on the key is computed here, once per deployment.

    Args:
        salt: The deployment's name; two names assign independently of each other.
        weights: Version id to percentage. Only versions above 0 take part; one at least must.

    Only bytes are hashed: mmh3 5.0 to 5.3 ends the interpreter on a ``str`` with a lone surrogate.

    >>> assign = assigner("storefront", {"v1": 90, "v2": 10})
    >>> assign(b"alice"), assign(b"alice")
    ('v1', 'v1')
    """
    prefix = salt.encode() + b"\0"
    # Sorted by id, so that a strict comparison below gives a tie to the smaller id.
    seats = [
        (version, _digest(b"v\0" + version.encode()), weights[version])
        for version in sorted(weights, key=str.encode)
        if weights[version] > 0
    ]
    if len(seats) == 1:
        (winner, _, _) = seats[0]
        return lambda _key: winner

    def assign_evenly(key: bytes) -> str:
        # Equal percentages order the scores as the words do: two words that differ give logarithms that do, before and
        # after the division (a word's step moves ln(u) by more than twice its precision everywhere).
        hashed = _digest(prefix + key)
        highest = -1
        chosen = ""
        for version, seed, _ in seats:
            word = _words(hashed + seed)[0] >> 12
            if word > highest:
                highest = word
                chosen = version
        return chosen

    def assign(key: bytes) -> str:
        hashed = _digest(prefix + key)
        # The largest ln(u) / percentage is the smallest -ln(u) / percentage: a sign is exact in floating point.
        highest = _LOWEST
        chosen = ""
        for version, seed, weight in seats:
            score = log(((_words(hashed + seed)[0] >> 12) + 0.5) * _UNIT) / weight
            if score > highest:
                highest = score
                chosen = version
        return chosen

    if len(seats) == 2:  # noqa: PLR2004 - nearly every rollout, and half the work of the loop
        between = _between(prefix, *seats)
        if between is not None:
            return between
    return assign_evenly if len({weight for _, _, weight in seats}) == 1 else assign


def scores(salt: str, weights: Mapping[str, float], key: bytes) -> dict[str, float]:
    """Return what ``assigner`` compares for a key: by version id, ``-ln(u_v) / percentage``. The smallest wins.

    It is for explanations: the function of ``assigner`` computes the same without making a mapping.

    Args:
        salt: The deployment's name.
        weights: Version id to percentage. Versions above 0 have a score, in the order of their ids.
        key: The key's bytes.

    >>> found = scores("storefront", {"v1": 90, "v2": 10, "v3": 0}, b"carol")
    >>> {version: round(score, 4) for version, score in found.items()}
    {'v1': 0.0259, 'v2': 0.0047}
    """
    hashed = _digest(salt.encode() + b"\0" + key)
    return {
        version: -log(((_words(hashed + _digest(b"v\0" + version.encode()))[0] >> 12) + 0.5) * _UNIT) / weights[version]
        for version in sorted(weights, key=str.encode)
        if weights[version] > 0
    }


def _between(prefix: bytes, one: _Seat, other: _Seat) -> Callable[[bytes], str] | None:
    """Return the function from a key's bytes to one of two ids; None where only the logarithms can tell which.

    Args:
        prefix: The salt with its separator.
        one: The version with the smaller id.
        other: The other one.
    """
    (first, first_seed, first_weight), (second, second_seed, second_weight) = one, other

    def assign_evenly(key: bytes) -> str:
        hashed = _digest(prefix + key)
        # The low bits do not count.
        return first if _words(hashed + first_seed)[0] | _LOW >= _words(hashed + second_seed)[0] else second

    if first_weight == second_weight:
        return assign_evenly
    lighter, heavier = (one, other) if first_weight < second_weight else (other, one)
    (light, light_seed, light_weight), (heavy, heavy_seed, heavy_weight) = lighter, heavier

    def assign(key: bytes) -> str:
        hashed = _digest(prefix + key)
        word = _words(hashed + heavy_seed)[0]
        rival = _words(hashed + light_seed)[0]
        if word >= rival:  # the larger percentage has the larger word: no need of logarithms
            return heavy
        score = log(((word >> 12) + 0.5) * _UNIT) / heavy_weight
        rival_score = log(((rival >> 12) + 0.5) * _UNIT) / light_weight
        if score == rival_score:
            return first
        return heavy if score > rival_score else light

    # Percentages that are nearly the same can round two scores to one, and then the smaller id has it.
    return assign if heavy_weight > light_weight * _CLEARLY else None
