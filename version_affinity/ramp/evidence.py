"""Whether a new version fails more often: a test that may be read at any moment (an e-process), and its data.

The unit is a distinct version key or bucket, once in a ramp, at its first failure. Assignment is a hash of the key. So
if the versions do not differ, each failing unit belongs to the new version with the probability that is its percentage
in force at that moment, whatever else the unit is like. Heavy users, reloads and clients that always fail do not
matter: each one counts once. Units are attributed by assignment, not by the version served: pages of old tabs then
dilute the evidence and never bias it. Counting pages instead halts four of ten healthy ramps beside one client that
always fails: all its pages belong to one version, and move to the other one with its key.

Each failing unit multiplies the evidence by its likelihood if the new version fails ``r`` times as often, divided by
its likelihood if the versions do not differ. The average over several ``r`` and over several starts is a martingale
with mean 1 if the versions do not differ. So it ever reaches ``1 / alpha`` with a probability of at most ``alpha``
(Ville's inequality): no matter how often it is read, and how the percentages depend on what was read.

Sources: arXiv 2302.11401 and 2402.09698 (e-processes, late changes), 2309.09111 (sample ratio mismatch).
"""

from __future__ import annotations

import base64
from bisect import bisect_left
from collections import Counter
from datetime import timedelta
from itertools import groupby, islice
from math import exp, inf, log
from typing import TYPE_CHECKING, Final, NamedTuple

from mmh3 import mmh3_x64_128_utupledigest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .plan import RampPlan

#: What the guard can watch: answers of the application with a status of 5xx, files that no version has, and answers of
#: the application with a status of 4xx.
APP_ERRORS: Final = "app-errors"
MISSING_ASSETS: Final = "missing-assets"
CLIENT_ERRORS: Final = "client-errors"
SIGNALS: Final = (APP_ERRORS, MISSING_ASSETS, CLIENT_ERRORS)
#: What it watches by default. Healthy applications answer with 4xx, too, such as 401 before a login.
DEFAULT_SIGNALS: Final = (APP_ERRORS, MISSING_ASSETS)

#: How many times as often the new version may fail: the alternatives, which are averaged.
RATIOS: Final = (1.5, 2, 3, 5, 10, 30, 100)

# A start at look k has the weight _HALF / ((k + _HALF) (k + 1 + _HALF)): in sum 1, a half of it before look _HALF.
_HALF: Final = 15


class Failing(NamedTuple):
    """Numbers of failing units that failed first in the same look, while the new version had the same share.

    Attributes:
        look: The number of the look, 0 at the start of the ramp.
        share: The new version's share then, between 0 and 1.
        new: Units of the new version.
        base: Units of all other versions.
    """

    look: int
    share: float
    new: float
    base: float


def log_evidence(failing: Iterable[Failing]) -> float:
    """Return the logarithm of the evidence that the new version fails more often: 0 without data.

    It is the average of the running product and of a product that starts at any look, for faults that begin late. The
    order of ``failing`` does not matter.
    """
    total = dict.fromkeys(RATIOS, 0.0)
    terms = []
    end = None  # the starts from here on are counted
    for look, group in groupby(sorted(failing, key=lambda it: -it.look), key=lambda it: it.look):
        # Units fail first in this look, and in none from here to the one before: all starts between are worth the same.
        terms.append((_started_before(end) - _started_before(look + 1), _mean(total.values())))
        end = look + 1
        for it in group:
            for ratio in RATIOS:
                total[ratio] += _log_ratio(it.new, it.base, it.share, ratio)
    running = _mean(total.values())
    terms.append((_started_before(end), running))
    late = _log_sum((log(weight) + value for weight, value in terms if weight > 0))
    return _mean((running, late))


def _started_before(look: int | None) -> float:
    """Return the weight of all starts before a look, of all starts if it is None."""
    return 1.0 if look is None else 1 - _HALF / (look + _HALF)


def _log_ratio(new: float, base: float, share: float, ratio: float) -> float:
    """Return the logarithm of the likelihood ratio: the new version fails ``ratio`` times as often, or as often."""
    return new * log(ratio) - (new + base) * log(ratio * share + 1 - share)


def _log_sum(values: Iterable[float]) -> float:
    """Return the logarithm of the sum of exponentials."""
    found = list(values)
    highest = max(found)
    return highest + log(sum(exp(value - highest) for value in found))


def _mean(values: Iterable[float]) -> float:
    """Return the logarithm of the mean of exponentials."""
    found = list(values)
    return _log_sum(found) - log(len(found))


def combined(signals: Iterable[float]) -> float:
    """Return the logarithm of the average of several signals, which is an e-process whatever they have in common."""
    return _mean(signals)


# --- the share of new users -------------------------------------------------------------------------------------------

#: Odds that are wrong by less than this factor are tolerated.
SHARE_TOLERANCE: Final = 4.0
#: A client without cookies may count as a new user in each process. This number of new users counts as one.
SHARE_GROUP: Final = 10
#: The probability, at most, that the check holds a healthy step.
SHARE_ALPHA: Final = 0.001


def log_share_mismatch(new: int, base: int, share: float) -> float:
    """Return the logarithm of the evidence that the new version's share of new users is far from the configured one.

    It ever reaches ``log(1 / SHARE_ALPHA)`` in a step with a probability of at most ``SHARE_ALPHA``, if the true odds
    are within ``SHARE_TOLERANCE`` of the configured ones, and users independent in groups of at most ``SHARE_GROUP``.
    """
    if not 0 < share < 1 or new < 0 or base < 0:
        return 0.0
    observed = inf if not base else new * (1 - share) / (base * share)
    tolerated = min(SHARE_TOLERANCE, max(1 / SHARE_TOLERANCE, observed))
    ratios = (*(ratio for ratio in RATIOS if ratio > SHARE_TOLERANCE), 1000)
    ours = _log_ratio(new, base, share, tolerated)
    # The root of a likelihood ratio is at most 1 on average, for a group with one version too (Jensen's inequality).
    return _mean((_log_ratio(new, base, share, odds) - ours) / SHARE_GROUP for it in ratios for odds in (it, 1 / it))


# --- after the last step ----------------------------------------------------------------------------------------------

#: At 100 %, the new version's rate is compared with the base's rate times this: the hours of a day differ.
BAKE_TOLERANCE: Final = 2.0
_BASE_CONFIDENCE: Final = 0.01


def log_bake_evidence(new: float, new_pages: int, base: float, base_pages: int) -> float:
    """Return the logarithm of the evidence that the version at 100 % fails more often than the base did in this ramp.

    This is weaker than ``log_evidence``: nothing is compared at the same time any more. The rates are failing units per
    page, since new users are not counted while one version has all of them. The base's rate is replaced by the
    ``tolerated_rate``.
    """
    if new_pages <= 0 or base_pages <= 0:
        return 0.0
    expected = tolerated_rate(base, base_pages) * new_pages
    return _mean(new * log(ratio) - (ratio - 1) * expected for ratio in RATIOS)


def tolerated_rate(base: float, base_pages: int) -> float:
    """Return how many failing units per page the bake tolerates.

    This is ``BAKE_TOLERANCE`` times the upper end of the confidence interval of the base's rate, infinite without any.
    """
    return BAKE_TOLERANCE * _poisson_upper(base) / base_pages if base_pages > 0 else inf


def _poisson_upper(count: float) -> float:
    """Return an upper bound of a Poisson mean of which ``count`` was observed (Chernoff)."""
    low, high = count, 4.0 * count + 20
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        excess = middle - count - (count * log(middle / count) if count else 0.0)
        low, high = (middle, high) if excess < -log(_BASE_CONFIDENCE) else (low, middle)
    return high


# --- the units of a report --------------------------------------------------------------------------------------------

#: How many failing units a process notes, of each signal: 64 KiB in its report. Further ones are not noted.
UNITS: Final = 8192
#: How many units the text of several processes carries: the earliest ones.
MERGED: Final = 4 * UNITS

# A unit is a number of 48 bits, the earlier failure the smaller number: 12 bits for the entry of the ramp, 15 for the
# look, 1 for the new version, 20 for the hash of the key.
_HASH_BITS: Final = 20
_ENTRIES: Final = 1 << 12
_LOOKS: Final = 1 << 15
_HASH: Final = (1 << _HASH_BITS) - 1
_BYTES: Final = 6


class FailingUnits:
    """The failing units of one signal and one ramp: by the hash of the key, its first failure.

    A union does not depend on the order and may be repeated, so reports can be merged in any way. If two keys have the
    same hash, the first failure counts; of two at once, that of the base: such errors make the guard more reluctant.
    """

    __slots__ = ("_first",)

    def __init__(self, units: Iterable[int] = ()) -> None:
        self._first: dict[int, int] = {}
        self.update(units)

    def note(self, key: bytes, *, entry: int, look: int, is_new: bool) -> None:
        """Note that a request of a version key has failed. A process notes at most ``UNITS`` keys.

        Args:
            key: The version key, or a bucket as ``b"bucket:123"``.
            entry: The revision of the deployment that is served, less the ramp's first revision.
            look: How many times ``RampPlan.look`` has passed since the ramp's start, by this host's clock.
            is_new: Whether the key is assigned to the new version.
        """
        hashed = mmh3_x64_128_utupledigest(b"failing unit\0" + key)[0] & _HASH
        if hashed not in self._first and len(self._first) < UNITS:
            entry, look = min(max(entry, 0), _ENTRIES - 1), min(max(look, 0), _LOOKS - 1)
            self._first.setdefault(hashed, ((entry * _LOOKS + look) * 2 + is_new) << _HASH_BITS | hashed)

    def update(self, units: Iterable[int]) -> None:
        """Add units, such as those of another process. Their number is not limited here."""
        for unit in units:
            hashed = unit & _HASH
            self._first[hashed] = min(unit, self._first.get(hashed, unit))

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._first.copy().values()))

    def __len__(self) -> int:
        return len(self._first)

    def encoded(self) -> str:
        """Return the units as text for a report: base64 of six bytes for each, in ascending order."""
        return base64.b64encode(b"".join(unit.to_bytes(_BYTES, "big") for unit in islice(self, MERGED))).decode()

    @classmethod
    def decoded(cls, text: str) -> FailingUnits:
        """Return the units of a report.

        Raises:
            ValueError: The text is not one that ``encoded`` returns.
        """
        data = base64.b64decode(text, validate=True)
        if len(data) % _BYTES or len(data) > MERGED * _BYTES:
            raise ValueError("these are not the failing units of a report")
        return cls(int.from_bytes(data[start : start + _BYTES], "big") for start in range(0, len(data), _BYTES))

    def counted(self, shares: Mapping[int, float]) -> list[Failing]:
        """Return the numbers of units by look. ``shares``: the new version's share by entry; others are left out."""
        numbers = Counter((unit >> _HASH_BITS + 1, unit >> _HASH_BITS & 1) for unit in self._first.copy().values())
        found = []
        for moment in sorted({moment for moment, _ in numbers}):
            entry, look = divmod(moment, _LOOKS)
            if entry in shares:
                found.append(Failing(look, shares[entry], numbers[moment, 1], numbers[moment, 0]))
        return found


# --- what to expect ---------------------------------------------------------------------------------------------------


# Parts of a step for which a prediction adds up what is expected.
_PARTS: Final = 15


class Prediction(NamedTuple):
    """When the guard is expected to find a fault.

    Attributes:
        added: The probability with which the new version makes a user fail, in addition to the usual one.
        after: The time from the start of the ramp, None if the fault is not expected to be found in the ramp.
        failing: The expected number of failing units until then, or until all users have the version.
        met: The expected part of the users who met the fault until then.
    """

    added: float
    after: timedelta | None
    failing: float
    met: float


def predicted(plan: RampPlan, *, keys_per_hour: float, failure_rate: float) -> list[Prediction]:
    """Return when the guard is expected to find faults that hit 2 %, 20 % or all users of the new version.

    The expected numbers stand in for the random ones, and one of the signals shows the fault. Half of the ramps take
    longer than that.

    Args:
        plan: The plan.
        keys_per_hour: Distinct keys and buckets in an hour.
        failure_rate: The part of them that fails anyway.
    """
    return [_prediction(plan, keys_per_hour, failure_rate, added) for added in (0.02, 0.2, 1.0)]


def _prediction(plan: RampPlan, keys_per_hour: float, rate: float, added: float) -> Prediction:
    part = plan.every / _PARTS
    keys = keys_per_hour * (part / timedelta(hours=1))
    failing = []
    for number in range(_PARTS * sum(step < 100 for step in plan.steps)):  # noqa: PLR2004 - percent
        share = plan.steps[number // _PARTS] / 100
        new, base = keys * share * min(1.0, rate + added), keys * (1 - share) * rate
        failing.append(Failing(int(number * part / plan.look), share, new, base))
    enough = log(len(plan.guard) / plan.alpha)
    end = bisect_left(range(len(failing) + 1), enough, key=lambda end: log_evidence(failing[:end]))
    seen = failing[:end]
    met = sum(it.share for it in seen) / max(len(seen), 1) * min(1.0, len(seen) / max(len(failing), 1))
    found = end <= len(failing)
    return Prediction(added, end * part if found else None, sum(it.new + it.base for it in seen), met)
