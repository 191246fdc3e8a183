"""Helpers for tests of ramps: a log, reports and a clock as values."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from version_affinity.ramp.evidence import FailingUnits
from version_affinity.ramp.judgement import Observed
from version_affinity.ramp.next_entry import command, look, start
from version_affinity.ramp.plan import Ramp, RampPlan
from version_affinity.releases.log.entries import Entry
from version_affinity.releases.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable

BEGUN = datetime(2026, 11, 24, 5, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
PLAN = RampPlan("v2", (1, 25, 100), every=15 * MINUTE, bake=30 * MINUTE)
BASE = {"v1": 100.0}


def healthy(**changes: Any) -> Observed:
    """Return reports that are fresh, with the new version everywhere and nothing that fails."""
    found: dict[str, Any] = {"fresh_for": 10 * MINUTE, "silent_for": timedelta(0), "loaded": frozenset({"v1", "v2"})}
    return Observed(**found | changes)


def failing(units: Iterable[tuple[int, int, bool]], signal: str = "app-errors") -> dict[str, FailingUnits]:
    """Return distinct failing units: entry, look, and whether each one has the new version."""
    found = FailingUnits()
    for number, (entry, at, is_new) in enumerate(units):
        found.note(b"key-%d" % number, entry=entry, look=at, is_new=is_new)
    return {signal: found}


class Story:
    """A log that workers and persons write, one after the other, by one clock."""

    def __init__(self, plan: RampPlan = PLAN, base: dict[str, float] = BASE) -> None:
        self.plan = plan
        self.now = BEGUN
        self.entries = [Entry(4, base, format_time(BEGUN - 10 * MINUTE), log_id="abc", name="shop")]
        self.entries.append(start(self.entries, plan, healthy(), self.now, author="ada"))

    @property
    def ramp(self) -> Ramp:
        """The newest state."""
        return Ramp.from_json(self.entries[-1].ramp)

    @property
    def shown(self) -> tuple[str, int, dict[str, float]]:
        """State, step and percentages."""
        return self.ramp.state, self.ramp.step, dict(self.entries[-1].percentages)

    def after(self, time: timedelta, **reports: Any) -> str:
        """Let time pass, and a worker look. Return the event that it writes, or why there is none."""
        self.now += time
        found = look(self.entries, healthy(**reports), self.now)
        if found.entry is None:
            return found.why
        self.entries.append(found.entry)
        return str(self.ramp.evidence["event"])

    def command(self, event: str, step: int | None = None, **reports: Any) -> None:
        """Let a person write."""
        self.entries.append(command(self.entries, event, healthy(**reports), self.now, step=step, author="ada"))

    def deploy(self, percentages: dict[str, float]) -> None:
        """Let a person deploy without the ramp."""
        revision = self.entries[-1].revision + 1
        self.entries.append(Entry(revision, percentages, format_time(self.now), "ada"))
