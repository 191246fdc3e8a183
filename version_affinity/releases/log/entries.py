"""The deployment log: its entries, and what every log can do."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from version_affinity.deployment import share
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import format_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    #: Version id to percentage; None shares the remainder.
    Shares: TypeAlias = Mapping[str, float | None]
    #: Version id to numbers by name.
    Counted: TypeAlias = Mapping[str, Mapping[str, int]]

_TEXTS: Final = ("created", "author", "message", "log_id", "name")
# Characters of a damaged value that a message quotes.
_QUOTED: Final = 200


class LogError(Exception):
    """The log cannot be used as it is. The message names the place and the remedy."""


class LogConflictError(LogError):
    """Another writer has deployed meanwhile. Nothing was written."""

    def __init__(self, current_revision: int) -> None:
        super().__init__(
            f"the newest deployment is revision {current_revision}, not the one that this deployment was to follow: "
            "look at what is deployed now, and deploy again"
        )
        self.current_revision = current_revision


class LogUnavailableError(LogError):
    """The log cannot be reached, read or written now. A later attempt may succeed."""


class LogLostError(LogError):
    """The log has fewer deployments than were read from it before, or different ones."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment in the log. Revisions give the order, not times: clocks jump, and differ between hosts."""

    # 1, 2, 3 and so on, without a gap.
    revision: int
    percentages: Mapping[str, float] = field(hash=False)
    # RFC 3339, UTC, such as "2026-11-24T05:00:00Z".
    created: str
    author: str = ""
    message: str = ""
    # A random text that identifies the log, and the name of its deployments. Both are "" in logs of release 0.1.
    log_id: str = ""
    name: str = ""
    # What ``ramp.plan.Ramp`` wrote, unchanged. None for a deployment of its own, which ends a ramp.
    ramp: Mapping[str, Any] | None = field(default=None, hash=False)
    # What all workers had counted for each version by then (``reports/figures.py``), so that figures can begin with it.
    counted: Counted = field(default_factory=dict, hash=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "percentages", MappingProxyType(dict(self.percentages)))

    @property
    def live(self) -> tuple[str, ...]:
        """The versions with a share."""
        return tuple(version for version, share in self.percentages.items() if share > 0)

    @property
    def ramp_event(self) -> str:
        """The event of a ramp that the entry records, such as "step due"; "" for none."""
        evidence = (self.ramp or {}).get("evidence")
        return str(evidence.get("event", "")) if isinstance(evidence, dict) else ""

    @property
    def details(self) -> Details:
        """All but the percentages, for ``DeploymentLog.append``."""
        return Details(self.created, self.author, self.message, self.ramp, self.counted)

    def agrees(self, other: Entry) -> bool:
        """Return whether both are the same deployment of the same log.

        Author and message do not count: a person may have edited them. Times count only where an id is missing (0.1).
        """
        if (self.revision, self.percentages) != (other.revision, other.percentages):
            return False
        if self.ramp is not None and other.ramp is not None and self.ramp != other.ramp:  # release 0.1 drops it
            return False
        if self.log_id and other.log_id:
            return self.log_id == other.log_id
        return self.created == other.created

    def as_document(self) -> dict[str, Any]:
        """Return the entry as a JSON object."""
        counted = {version: dict(counts) for version, counts in self.counted.items()}
        optional = {"log_id": self.log_id, "name": self.name, "counted": counted}
        return {
            "revision": self.revision,
            "percentages": dict(self.percentages),
            "created": self.created,
            "author": self.author,
            "message": self.message,
            **{key: value for key, value in optional.items() if value},
            **({"ramp": dict(self.ramp)} if self.ramp is not None else {}),
        }

    @classmethod
    def from_document(cls, document: object) -> Entry:
        """Return the entry that a JSON object describes. Unknown keys, which a later release may add, are ignored."""
        if not isinstance(document, dict):
            raise LogError("it is not an object")
        revision = document.get("revision")
        if type(revision) is not int or revision < 1:
            raise LogError(f"its revision is {_shortened(repr(revision))}, not a number from 1 on")
        try:
            percentages = share(document.get("percentages"))  # type: ignore[arg-type] # which it checks
        except ConfigurationError as error:
            raise LogError(_shortened(str(error))) from None
        texts: dict[str, Any] = {
            "created": document.get("created"),
            **{key: document.get(key, "") for key in _TEXTS[1:]},
        }
        for key, text in texts.items():
            if not isinstance(text, str):
                raise LogError(f"its {key!r} is {_shortened(repr(text))}, not a text")
        ramp = document.get("ramp")
        if ramp is not None and not isinstance(ramp, dict):
            raise LogError(f"its 'ramp' is {_shortened(repr(ramp))}, not an object")
        return cls(revision, percentages, **texts, ramp=ramp, counted=_counted(document.get("counted")))


@dataclass(frozen=True, slots=True)
class Details:
    """What the writer of an entry says besides the percentages; the attributes are those of ``Entry``."""

    # None: now.
    created: str | None = None
    author: str = ""
    message: str = ""
    ramp: Mapping[str, Any] | None = None
    counted: Counted = field(default_factory=dict)


#: The details of an entry without author and message, which is made now.
NO_DETAILS: Final = Details()


class DeploymentLog(Protocol):
    """An append-only log of deployments. Threads and forked processes may share one."""

    @property
    def description(self) -> str:
        """The log's name in messages: the name of a file, or a URL without its password."""

    def read(self, after: int = 0) -> list[Entry]:
        """Return the deployments after a revision, oldest first.

        ``LogLostError``: the log ends before ``after``, or lacks what was read from it before. Other ``LogError``: it
        is damaged.
        """

    def append(self, percentages: Shares, *, expected: int, details: Details = NO_DETAILS) -> Entry:
        """Write the next deployment if no other has been written meanwhile. Of two writers at once, one wins.

        ``expected`` is the revision of the newest deployment that the writer has seen, 0 for none. After an error
        nothing is written unless it says so.
        """

    def forget(self) -> None:
        """Forget what was read, which was of another log. The next ``read`` reads everything."""

    def close(self) -> None:
        """Close all files and connections."""


def next_entry(percentages: Shares, expected: int, details: Details) -> Entry:
    """Return the deployment that ``DeploymentLog.append`` is to write, exactly as readers will read it."""
    created = format_time(utc_now()) if details.created is None else details.created
    author, message, ramp, counted = details.author, details.message, details.ramp, details.counted
    entry = Entry(expected + 1, share(percentages), created, author, message, ramp=ramp, counted=counted)
    checked = Entry.from_document(entry.as_document())
    return Entry.from_document(json.loads(json.dumps(checked.as_document())))


def identified(entry: Entry, newest: Entry | None, name: str) -> Entry:
    """Return an entry with the id and the name of its log; both are new if there is no ``newest`` entry before it."""
    log_id, log_name = (newest.log_id, newest.name) if newest is not None else ("", "")
    return replace(entry, log_id=log_id or secrets.token_hex(8), name=name or log_name)


def is_continued(known: Sequence[Entry], entries: Sequence[Entry]) -> bool:
    """Return whether a log has all known entries, and perhaps more."""
    return len(known) <= len(entries) and all(map(Entry.agrees, known, entries))


def _counted(value: object) -> Counted:
    """Return the counts of an entry. A deployment does not depend on them, so what is damaged is left out."""
    return {
        str(version): {str(name): number for name, number in counts.items() if type(number) is int}
        for version, counts in (value.items() if isinstance(value, dict) else ())
        if isinstance(counts, dict)
    }


def _shortened(text: str) -> str:
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."
