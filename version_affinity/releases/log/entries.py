"""The log of deployments: what an entry of it is, what every log does, and which one is meant by a URL."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from version_affinity.deployment import share
from version_affinity.errors import ConfigurationError
from version_affinity.releases.times import format_time, utc_now

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from version_affinity.releases.store.directory import ReleasesDirectory


_TEXTS: Final = ("created", "author", "message", "log_id", "name")


class LogError(Exception):
    """The log cannot be used as it is; the message names the place and says what helps."""


class LogConflictError(LogError):
    """The log is not where its writer has seen it: somebody else has deployed. Nothing was written.

    Args:
        current_revision: The revision of the newest deployment in the log, 0 when there is none.
    """

    def __init__(self, current_revision: int) -> None:
        super().__init__(current_revision)
        self.current_revision = current_revision

    def __str__(self) -> str:
        return (
            f"the newest deployment is revision {self.current_revision}, which is not the one that this was to follow: "
            "look at what is deployed now, and deploy again"
        )


class LogUnavailableError(LogError):
    """The log cannot be reached, read or written now. It may be, later."""


class LogLostError(LogError):
    """The log has less than was read from it, or something else."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One deployment in the log. The order is that of the revisions: clocks jump, and differ between hosts.

    Attributes:
        revision: 1, 2, 3 and so on, without a gap.
        percentages: Version id to percentage, in sum 100.
        created: When it was written: RFC 3339, UTC, such as "2026-11-24T05:00:00Z".
        author: Who deployed, "" where that is not told.
        message: Why, "" for no reason given.
        log_id: Which log it is in: a random text that the log has from its first deployment on, wherever the log lies.
            "" in logs of release 0.1.
        name: The name that the deployments are made under, which is part of the hash; "" in logs of release 0.1.

    >>> Entry(1, {"v1": 90.0, "v2": 10.0}, "2026-11-24T05:00:00Z").percentages["v2"]
    10.0
    """

    revision: int
    percentages: Mapping[str, float] = field(hash=False)
    created: str
    author: str = ""
    message: str = ""
    log_id: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        # Frozen for its users, whatever becomes of the mapping that it was made of.
        object.__setattr__(self, "percentages", MappingProxyType(dict(self.percentages)))

    def __reduce__(self) -> tuple[type[Entry], tuple[object, ...]]:
        # A view of a mapping cannot be pickled, or copied.
        texts = self.created, self.author, self.message, self.log_id, self.name
        return Entry, (self.revision, dict(self.percentages), *texts)

    def agrees(self, other: Entry) -> bool:
        """Return whether this and another entry are the same deployment of the same log.

        Author and message may have been mended by hand. Times are compared where there is no id, as in logs of 0.1.

        >>> Entry(1, {"v1": 100.0}, "", "ada", "frist").agrees(Entry(1, {"v1": 100.0}, "", "ada", "first"))
        True
        """
        if (self.revision, self.percentages) != (other.revision, other.percentages):
            return False
        if self.log_id and other.log_id:
            return self.log_id == other.log_id
        return self.created == other.created

    def as_document(self) -> dict[str, Any]:
        """Return it as an object that JSON can carry.

        >>> Entry(1, {"v1": 100.0}, "2026-11-24T05:00:00Z").as_document()["percentages"]
        {'v1': 100.0}
        """
        return {
            "revision": self.revision,
            "percentages": dict(self.percentages),
            "created": self.created,
            "author": self.author,
            "message": self.message,
            **{key: text for key, text in (("log_id", self.log_id), ("name", self.name)) if text},
        }

    @classmethod
    def from_document(cls, document: object) -> Entry:
        """Return the entry that a parsed JSON object is. What a later release may add to it is ignored.

        Raises:
            LogError: it is none.

        >>> Entry.from_document({"revision": 1, "percentages": {"v1": 100}, "created": "2026-11-24T05:00:00Z"}).author
        ''
        """
        if not isinstance(document, dict):
            raise LogError("it is no object")
        revision = document.get("revision")
        if type(revision) is not int or revision < 1:
            raise LogError(f"its revision is {_shortened(revision)}, not a number from 1 on")
        try:
            percentages = share(document.get("percentages"))  # type: ignore[arg-type] # which it checks
        except ConfigurationError as error:
            raise LogError(_shortened(error, str)) from None
        texts: list[Any] = [document.get("created"), *(document.get(key, "") for key in _TEXTS[1:])]
        for key, text in zip(_TEXTS, texts, strict=True):
            if not isinstance(text, str):
                raise LogError(f"its {key!r} is {_shortened(text)}, not a text")
        return cls(revision, percentages, *texts)


class DeploymentLog(Protocol):
    """An append-only log of deployments. Threads may share one."""

    @property
    def description(self) -> str:
        """What messages call it: a file's name, or a URL without its password."""

    def read(self, after: int = 0) -> list[Entry]:
        """Return the deployments after a revision, oldest first.

        Raises:
            LogUnavailableError: it cannot be read now.
            LogError: it is damaged, or ends before ``after`` or what was read from it before.
        """

    def append(
        self,
        percentages: Mapping[str, float | None],
        *,
        expected: int,
        author: str = "",
        message: str = "",
        created: str | None = None,
    ) -> Entry:
        """Write the next deployment if nobody has written one since: of two writers at once, one wins.

        Args:
            percentages: Version id to percentage; None shares the remainder.
            expected: The revision of the newest deployment that the writer has seen, 0 for none.
            author: Who deploys.
            message: Why.
            created: RFC 3339, UTC; None is now.

        Raises:
            ConfigurationError: the percentages cannot be used.
            LogConflictError: the log has moved on. Nothing is written.
            LogUnavailableError: it cannot be written now.
            LogError: it is damaged. Nothing is written.
        """

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there may be something to read, ``timeout`` seconds at most; tell whether there may be.

        Raises:
            LogUnavailableError: it cannot be asked now.
        """

    def forget(self) -> None:
        """Read everything anew the next time: what was read was of another log."""

    def close(self) -> None:
        """Let go of what it holds open."""


def next_entry(
    percentages: Mapping[str, float | None], *, expected: int, author: str, message: str, created: str | None
) -> Entry:
    """Return the deployment that is to follow a revision, exactly as it will be read: what nobody could is refused.

    The arguments are those of ``DeploymentLog.append``.

    Raises:
        ConfigurationError: the percentages cannot be used.
        LogError: an argument is of another type.

    >>> next_entry({"v1": None}, expected=2, author="ada", message="", created="2026-11-24T05:00:00Z").revision
    3
    """
    entry = Entry(
        expected + 1, share(percentages), format_time(utc_now()) if created is None else created, author, message
    )
    read = Entry.from_document(entry.as_document())
    return Entry.from_document(json.loads(json.dumps(read.as_document())))


def identified(entry: Entry, newest: Entry | None, name: str) -> Entry:
    """Return an entry as the next one of a log: with the log's id, or a new one where the log has none.

    Args:
        entry: The entry.
        newest: The one before it, None where it is the first.
        name: The name that the deployments are made under, "" for that of the one before.
    """
    before = (newest.log_id, newest.name) if newest is not None else ("", "")
    return replace(entry, log_id=before[0] or secrets.token_hex(8), name=name or before[1])


def is_continued(known: Sequence[Entry], entries: Sequence[Entry]) -> bool:
    """Return whether a log goes on from what is known of it: it has all of that, and perhaps more."""
    return len(known) <= len(entries) and all(map(Entry.agrees, known, entries))


def open_log(directory: ReleasesDirectory | str | os.PathLike[str], url: str | None = None) -> DeploymentLog:
    """Return the log of a releases directory. Nothing is read or connected to yet.

    Args:
        directory: The releases directory, or its name.
        url: Where the log is, ``redis://host`` for example; None is the file in the directory.

    Raises:
        ConfigurationError: it is not a releases directory, its deployments were made under another name, or the URL
            or what it needs cannot be used.

    >>> import tempfile
    >>> from version_affinity.releases.store.directory import ReleasesDirectory
    >>> with tempfile.TemporaryDirectory() as name:
    ...     log = open_log(ReleasesDirectory.init(name, name="storefront"))
    ...     log.append({"v1": 100}, expected=0).revision, len(log.read())
    (1, 1)
    """
    from version_affinity.releases.store.directory import ReleasesDirectory  # noqa: PLC0415 - these three know what stands above

    releases = directory if isinstance(directory, ReleasesDirectory) else ReleasesDirectory(directory)
    from .local_copy import check_same_name  # noqa: PLC0415

    check_same_name(releases)
    if url is None:
        from .file import FILE_NAME, FileLog  # noqa: PLC0415

        return FileLog(releases.path / FILE_NAME, name=releases.name)
    from .redis import RedisLog  # noqa: PLC0415 - an extra

    return RedisLog(url, name=releases.name)


def _shortened(value: object, text: type[str] | Any = repr) -> str:
    """Return a value for a message: whatever stands in a damaged log may be long."""
    shown: str = text(value)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."  # noqa: PLR2004
