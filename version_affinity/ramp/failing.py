"""The failing units that a process notes at the moment of failing, and the text that carries them in its report.

Nothing here is called for a request that does not fail.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.decision.decider import OVERRIDE
from version_affinity.decision.request import PREFETCH
from version_affinity.wire import printable

from .evidence import SIGNALS, FailingUnits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.decision.decider import Decision
    from version_affinity.decision.request import Request
    from version_affinity.rollout.state import State

#: How many failed paths a report keeps for each signal.
EXAMPLES: Final = 5
# Characters of a path that a report quotes.
_LONGEST: Final = 200


class Watched(NamedTuple):
    """A ramp, as far as noting needs it.

    Attributes:
        key: Identifies the ramp; of two ramps, the later one has the larger key.
        version: The new version.
        first: The revision with which the ramp started.
        started: When it started.
        look: How often the guard looks.
        percentages: Those of its deployments, by revision.
        guard: The signals that its guard watches.
        is_active: Whether the ramp goes on.
    """

    key: str
    version: str
    first: int
    started: datetime
    look: timedelta
    percentages: Mapping[int, Mapping[str, float]]
    guard: tuple[str, ...]
    is_active: bool


@dataclass(frozen=True, slots=True)
class Failures:
    """The failing units of one ramp, by signal, and some paths that failed for users of the new version."""

    key: str
    units: Mapping[str, FailingUnits] = field(default_factory=lambda: {signal: FailingUnits() for signal in SIGNALS})
    examples: Mapping[str, dict[str, None]] = field(default_factory=lambda: {signal: {} for signal in SIGNALS})

    @property
    def size(self) -> int:
        """How much was noted. It never goes down."""
        return sum(len(self.units[signal]) + len(self.examples[signal]) for signal in SIGNALS)

    def encoded(self) -> str:
        """Return the text for a report; "" before the first ramp.

        A ramp without failures has a text too: ``merged`` then drops the units of the ramp before.
        """
        if not self.key:
            return ""
        document: dict[str, Any] = {"ramp": self.key}
        for signal in SIGNALS:
            paths = list(self.examples[signal])
            document[signal] = {"units": self.units[signal].encoded(), "examples": paths}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def decoded(cls, text: str) -> Failures | None:
        """Return what a report says; None for a damaged text, or "". Unknown signals are ignored."""
        try:
            document = json.loads(text)
            found = cls(str(document["ramp"]))
            for signal in SIGNALS:
                given = document.get(signal, {})
                found.units[signal].update(FailingUnits.decoded(given.get("units", "")))
                found.examples[signal].update(dict.fromkeys(map(str, given.get("examples", ()))))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        return found

    def add(self, other: Failures) -> None:
        """Add what another process noted in the same ramp."""
        for signal, units in other.units.items():
            self.units[signal].update(units)
            paths = {**self.examples[signal], **other.examples[signal]}
            self.examples[signal].update(dict.fromkeys(islice(paths, EXAMPLES)))


def merged(texts: Iterable[str]) -> str:
    """Return the texts of several reports as one: those of the newest ramp. Their order does not matter."""
    found = [failures for failures in map(Failures.decoded, texts) if failures is not None]
    return failures_of(max((it.key for it in found), default=""), found).encoded()


def failures_of(key: str, reported: Iterable[Failures | str]) -> Failures:
    """Return the failures of one ramp from all reports. A report of another ramp is left out."""
    total = Failures(key)
    for one in reported:
        failures = Failures.decoded(one) if isinstance(one, str) else one
        if failures is not None and failures.key == key:
            total.add(failures)
    return total


class FailureNotes:
    """The failing units of this process in the newest ramp. Any thread may note one."""

    __slots__ = ("_encoded", "_failures", "watched")

    def __init__(self) -> None:
        self.watched: Watched | None = None
        self._failures = Failures("")
        self._encoded = -1, ""

    def watch(self, watched: Watched | None) -> None:
        """Note for this ramp from now on. Another ramp than before begins with nothing; None: what was noted stays."""
        if watched is not None and watched.key != self._failures.key:
            self._failures = Failures(watched.key)
            self._encoded = -1, ""
        self.watched = watched if watched is not None and watched.is_active else None

    def note(self, signal: str, state: State, request: Request, environ: WSGIEnvironment, decision: Decision) -> None:
        """Note the user of a request that has failed, if a ramp is going on and the user is a unit of its evidence.

        The user belongs to the version that the key or bucket is assigned to under the deployment of the request, which
        need not be the one of the page. Not noted: signals that the guard does not watch, overrides, prefetches, units
        that have not come back (``Decider.returning_unit``), and users of a process that cannot serve the log's
        percentages, because a version is not here.
        """
        watched, failures = self.watched, self._failures
        if watched is None or signal not in watched.guard or decision.reason == OVERRIDE or request.kind == PREFETCH:
            return
        deployment = state.deployment
        if deployment.percentages != watched.percentages.get(deployment.revision):
            return
        unit = state.decider.returning_unit(request, environ)
        if unit is None or failures.key != watched.key:  # the ramp has changed meanwhile
            return
        is_new = deployment.assign_bytes(unit) == watched.version
        look = (datetime.now(timezone.utc) - watched.started) // watched.look
        failures.units[signal].note(unit, entry=deployment.revision - watched.first, look=look, is_new=is_new)
        examples = failures.examples[signal]
        if is_new and len(examples) < EXAMPLES:
            path = f"{environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
            examples[printable(path[:_LONGEST])] = None

    def encoded(self) -> str:
        """Return what was noted, as text for a report."""
        size = self._failures.size
        if size != self._encoded[0]:
            self._encoded = size, self._failures.encoded()
        return self._encoded[1]
