"""Which uploaded versions are known, and which can be removed.

A version stays known for the pages that it has delivered: while it is deployed, while a rollback may return to it, and
for a day after its last users. After that, the retention decides by rank and age.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from version_affinity.deployment import TOLERANCE
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import NEVER, format_duration, parse_duration, parse_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from version_affinity.releases.log.entries import Entry

    from .directory import Release, ReleasesDirectory

logger = logging.getLogger("version_affinity")

# How long a version stays after its last users, whatever the retention: a tab can be open for a day and longer.
_OPEN: Final = timedelta(days=1)
# Clocks of hosts that differ by more than this are worth a warning.
_SKEW: Final = timedelta(minutes=5)
_CURRENT: Final = "in the current deployment"
_COMPLETE: Final = 100 - TOLERANCE
_EXAMPLE: Final = '{"keep": 10, "younger_than": "30d"}'


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a version stays known that is not deployed any more."""

    # How many of the last versions that had users stay; and how many of the last uploads that never had any.
    keep: int = 10
    # Versions that were uploaded or deployed within this time stay, too. None: no others.
    younger_than: timedelta | None = None

    def __post_init__(self) -> None:
        if type(self.keep) is not int or self.keep < 0:
            raise ConfigurationError(
                f"keep={self.keep!r} is not a number of versions: write one from 0, such as keep=10"
            )
        time = self.younger_than
        if time is not None and (not isinstance(time, timedelta) or time < timedelta(0)):
            raise ConfigurationError(f"younger_than={time!r} is not a duration: write younger_than=timedelta(days=30)")

    def in_words(self) -> str:
        """Return the retention for people, such as "keep 5, younger than 30d"."""
        if self == KEEP_ALL:
            return "keep all"
        age = "" if self.younger_than is None else f", younger than {format_duration(self.younger_than)}"
        return f"keep {self.keep}{age}"

    def as_options(self) -> str:
        """Return the retention as options of the command line, such as "--keep 5 --younger-than none"."""
        return f"--keep {self.keep} --younger-than {self.as_dict()['younger_than'] or 'none'}"

    def as_dict(self) -> dict[str, int | str | None]:
        """Return the retention as a JSON object, such as ``{"keep": 5, "younger_than": "30d"}``."""
        age = self.younger_than
        return {"keep": self.keep, "younger_than": None if age is None else format_duration(age)}

    @classmethod
    def from_dict(cls, settings: object) -> Retention:
        """Return the retention that a JSON object describes. Missing keys have their defaults, others are ignored."""
        if not isinstance(settings, dict):
            raise ConfigurationError(f"retention={settings!r:.100} cannot be used: write {_EXAMPLE}, or leave it out")
        time = settings.get("younger_than")
        try:
            younger_than = None if time is None else parse_duration(time)
        except (TypeError, AttributeError, ValueError):
            raise ConfigurationError(
                f'younger_than={time!r:.100} is not a duration: write one such as "30d", or null'
            ) from None
        return cls(settings.get("keep", cls().keep), younger_than)


#: For a setting that cannot be used: a version too many costs room, a missing one breaks open pages.
KEEP_ALL: Final = Retention(0, timedelta.max)


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What a pruning would do."""

    releases: ReleasesDirectory
    # The oldest first.
    removed: tuple[Release, ...]
    # The id of each known version, and why it stays: the current deployment's first, then the last used.
    kept: Mapping[str, str]


def prune_plan(
    releases: ReleasesDirectory, entries: Sequence[Entry], retention: Retention, *, now: datetime | None = None
) -> PrunePlan:
    """Return which uploaded versions are known, and why, and which can be removed. ``entries`` are all deployments."""
    versions = releases.versions()
    kept = _kept(versions, entries, retention, now or utc_now())
    return PrunePlan(releases, tuple(release for version, release in versions.items() if version not in kept), kept)


def rollback_target(entries: Sequence[Entry]) -> Entry | None:
    """Return the deployment that a rollback returns to: the newest earlier one with another version at 100 %."""
    if not entries:
        return None
    now = _whole(entries[-1])
    for entry in reversed(entries[:-1]):
        version = _whole(entry)
        if version is not None and version != now:
            return entry
    return None


def _whole(entry: Entry) -> str | None:
    return next((version for version, share in entry.percentages.items() if share >= _COMPLETE), None)


def needed(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the versions that must stay whatever the retention is, and why. The current deployment's come first."""
    if not entries:
        return {}
    stay = dict.fromkeys(entries[-1].percentages, _CURRENT)
    target = rollback_target(entries)
    if target is not None:
        reason = f"deployed since revision {target.revision}, which a rollback returns to"
        for entry in entries:
            if entry.revision >= target.revision:
                for version in entry.live:
                    stay.setdefault(version, reason)
    return stay


def _kept(
    versions: Mapping[str, Release], entries: Sequence[Entry], retention: Retention, now: datetime
) -> dict[str, str]:
    """Return the known versions and the reasons: the current deployment's first, then the last used."""
    must_stay = needed(entries)
    current = _last_in(entries, now, lambda entry: entry.percentages)
    used = {
        version: max(min(_checked_time("version", version, it.created, now), now), current.get(version, NEVER))
        for version, it in versions.items()
    }
    shown = _last_in(entries, now, lambda entry: entry.live)
    # Of versions with equal times, the later one in ``versions`` is the newer.
    latest = list(versions)[::-1]
    latest.sort(key=used.__getitem__, reverse=True)
    reasons = {}
    ranks = Counter[bool]()
    for version in latest:
        had_users = version in shown
        rank = ranks[had_users]
        ranks[had_users] += 1
        if version in must_stay:
            reasons[version] = must_stay[version]
        elif had_users and now - shown[version] < _OPEN:
            reasons[version] = "had users less than a day ago, whose tabs may be open"
        elif retention == KEEP_ALL:
            reasons[version] = "all stay: the retention in the settings cannot be used"
        elif rank < retention.keep:
            last = "the last one" if retention.keep == 1 else f"one of the last {retention.keep}"
            uploaded = "was uploaded" if retention.keep == 1 else "were uploaded"
            reasons[version] = f"{last} that {'had users' if had_users else uploaded}"
        elif retention.younger_than is not None and now - used[version] < retention.younger_than:
            reasons[version] = f"in use, or uploaded, less than {format_duration(retention.younger_than)} ago"
    first = {version: _CURRENT for version, reason in must_stay.items() if reason is _CURRENT and version in versions}
    return {**first, **reasons}


def _times(entries: Sequence[Entry], now: datetime) -> list[datetime]:
    """Return when each deployment was made, as far as the log shows: never in the future, never before the last one."""
    found: list[datetime] = []
    latest = now
    for entry in reversed(entries):
        time = _checked_time("deployment", str(entry.revision), entry.created, now)
        # One that is dated in the future was made before the next one that is not.
        latest = latest if time > now else time
        found.append(latest)
    return list(accumulate(reversed(found), max))


def _checked_time(what: str, name: str, created: str, now: datetime) -> datetime:
    """Return when something was made. A time in the future is logged once."""
    time = parse_time(created)
    if time - now > _SKEW:
        warn_of_future(what, name, created)
    return time


@lru_cache(maxsize=1024)
def warn_of_future(what: str, name: str, created: str) -> None:
    """Log, once for each, that something is dated in the future."""
    logger.warning(
        "%s %s is dated %s, which is in the future by this host's clock: check the clocks of this host and of the one "
        "that made it",
        what,
        name,
        created,
    )


def _last_in(entries: Sequence[Entry], now: datetime, of: Callable[[Entry], Iterable[str]]) -> dict[str, datetime]:
    """Return until when each version was one ``of`` the current deployment: ``now`` for those that are."""
    last: dict[str, datetime] = {}
    before: Iterable[str] = ()
    for entry, time in zip(entries, _times(entries, now), strict=True):
        last |= dict.fromkeys((*before, *of(entry)), time)  # until this one, the deployment before was the current one
        before = of(entry)
    return last | dict.fromkeys(before, now)
