"""The deployments in a Redis Stream, which several hosts share, and what each of these hosts has.

The stream's ids are the revisions (``3-0`` is the third deployment), so Redis itself keeps them in order. It is history
and never trimmed. Let the server keep it: ``appendonly yes``, and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from version_affinity.deployment import check_name
from version_affinity.releases.reports.redis import RedisPresence

from .connection import RedisConnection
from .entries import Entry, LogConflictError, LogError, LogLostError, LogUnavailableError, identified, next_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from version_affinity.releases.reports.presence import HostReport

#: Seconds after Redis's start within which every host that is alive has reported: it may find its way back after five.
GRACE: Final = 7.0
_GRACE_INTERVAL: Final = 0.25

#: Seconds that one command waits in the server for a deployment; a server that is gone is noticed after that.
_SLICE: Final = 1.0

# Compare and append, in one step. A writer whose first answer was lost finds its own mark, and is done.
_APPEND: Final = """
local expected, seen = tonumber(ARGV[1]), tonumber(ARGV[2])
local id = (expected + 1) .. '-0'
local there = redis.call('XRANGE', KEYS[1], id, id)[1]
if there and there[2][4] == ARGV[4] then return {'written', expected + 1} end
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local revision = newest and tonumber(string.match(newest[1], '^(%d+)%-0$')) or 0
if revision < seen then return {'lost', revision} end
if revision ~= expected then return {'conflict', revision} end
redis.call('XADD', KEYS[1], id, 'entry', ARGV[3], 'writer', ARGV[4])
return {'written', expected + 1}
"""

_RESTORE: Final = """
if ARGV[1] == 'replace' then redis.call('DEL', KEYS[1]) end
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for position = 2, #ARGV do
  redis.call('XADD', KEYS[1], (position - 1) .. '-0', 'entry', ARGV[position], 'writer', '')
end
return 1
"""


class RedisLog:
    """A ``DeploymentLog`` and a ``Presence`` in one Redis database. Threads and forked processes may share it.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; see ``RedisConnection``.
        name: The deployments' name. Two names do not touch each other in one database.

    Raises:
        ConfigurationError: the URL or the name cannot be used. A server that is not there is no such error.

    >>> RedisLog("redis://:secret@redis.example", name="storefront").description
    'redis://redis.example'
    """

    __slots__ = ("_connection", "_deployments", "_name", "_newest", "_presence", "description")

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = RedisConnection(url)
        self._name: Final = name
        self._deployments = f"version-affinity:{check_name(name)}:deployments"
        self._presence = RedisPresence(self._connection, name=name)
        # The newest entry that this process has read or written: what the stream must still have.
        self._newest: Entry | None = None
        self.description: Final = self._connection.description

    def read(self, after: int = 0) -> list[Entry]:
        """Return the deployments after a revision, oldest first.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
            LogLostError: it has less than ``after``, or than was read before: it has lost its data.
            LogError: what it has is no history of deployments.
        """
        # From the one that the reader knows: that it is still there tells that this is the same history.
        seen = self._newest
        entries = self._range(max(after, 1))
        known = max(after, seen.revision if seen else 0)
        if known > (entries[-1].revision if entries else 0):
            raise self._lost(known)
        if (
            seen
            and seen.revision >= entries[0].revision
            and not seen.agrees(entries[seen.revision - entries[0].revision])
        ):
            raise self._lost(seen.revision)
        if entries:
            self._newest = entries[-1]
        return [entry for entry in entries if entry.revision > after]

    def append(
        self,
        percentages: Mapping[str, float | None],
        *,
        expected: int,
        author: str = "",
        message: str = "",
        created: str | None = None,
    ) -> Entry:
        """Write the next deployment if nobody has written one since.

        The first one waits for a moment where Redis has just been started: it may have been started without its data,
        and a host that knows better is about to say so.

        Args:
            percentages: Version id to percentage; None shares the remainder.
            expected: The revision of the newest deployment that the writer has seen, 0 for none.
            author: Who deploys.
            message: Why.
            created: RFC 3339, UTC; None is now.

        Raises:
            ConfigurationError: the percentages cannot be used.
            LogConflictError: the log has moved on. Nothing is written.
            LogLostError: a live host, or this process, has seen a later deployment than Redis has. Nothing is written.
            LogUnavailableError: Redis cannot be asked now; the message says so where it may have written all the same.
            LogError: Redis refuses, what it has is no history, or an argument is of another type. Nothing is written.
        """
        entry = next_entry(percentages, expected=expected, author=author, message=message, created=created)
        # Nothing is written over what nobody can read.
        if not self.read(self._newest.revision if self._newest else 0) and not expected and self._newest is None:
            self._await_reports()
        seen = max((report.revision for report in self._presence.live().values()), default=0)
        seen = max(seen, self._newest.revision if self._newest else 0)
        entry = identified(entry, self._newest, self._name)
        arguments = (expected, seen, _text(entry), secrets.token_hex(8))
        try:
            outcome, revision = self._script(_APPEND, self._deployments, *arguments)
        except LogUnavailableError:
            # The answer to a write that was done may be what got lost. The second attempt finds out.
            outcome, revision = self._append_again(arguments, entry)
        if outcome == b"lost":
            raise self._lost(seen)
        if outcome == b"conflict":
            raise LogConflictError(revision)
        self._newest = entry
        return entry

    def wait(self, after: int, timeout: float) -> bool:
        """Wait until there may be something to read: a newer deployment, or another history than was read.

        Args:
            after: The newest revision that the caller knows.
            timeout: Seconds to wait at most, while Redis answers.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
        """
        until = time.monotonic() + timeout
        longest = min(_SLICE, self._connection.answer_timeout / 2)
        while True:
            if self._is_news(after):
                return True
            left = min(until - time.monotonic(), longest)
            if left <= 0:
                return False
            milliseconds = max(1, int(left * 1000))  # 0 would wait for ever
            streams: dict[Any, Any] = {self._deployments: f"{after}-0"}
            if self._connection.ask(lambda it: it.xread(streams, count=1, block=milliseconds)):  # noqa: B023
                return True

    def restore(self, entries: Sequence[Entry], *, replace: bool = False) -> None:
        """Give a Redis that lost its data the history back, as a host has kept it (``LocalCopy``).

        Args:
            entries: All deployments, from the first one on.
            replace: Whether they take the place of what is there, such as a history that was begun meanwhile.

        Raises:
            LogError: the entries are no whole history, or Redis has one. Nothing is written.
            LogUnavailableError: Redis cannot be asked now.
        """
        if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)) or not entries:
            raise LogError("only a whole history can be restored: give every deployment, from revision 1 on")
        if not self._script(_RESTORE, self._deployments, "replace" if replace else "", *map(_text, entries)):
            raise LogError(
                f"{self.description} has deployments, and only an empty log is restored: to put a copy in their place, "
                "run `version-affinity deployments restore --replace`"
            )
        self._newest = entries[-1]

    def report(self, host: str, versions: Iterable[str], revision: int, *, server: str = "") -> None:
        """Say that a server is alive, which versions it holds, and which deployment it follows.

        Args:
            host: The host's name.
            versions: What it holds.
            revision: What it follows.
            server: What tells it from other servers under this name.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
        """
        self._presence.report(host, versions, revision, server=server)

    def hosts(self) -> dict[str, HostReport]:
        """Return what each host said that has reported within the last 15 seconds.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
        """
        return self._presence.hosts()

    def silent_hosts(self) -> dict[str, HostReport]:
        """Return what each host said last that has reported within the last 10 minutes, and not within 15 seconds.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
        """
        return self._presence.silent_hosts()

    def forget(self) -> None:
        """Read everything anew the next time."""
        self._newest = None

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _await_reports(self) -> None:
        """Wait until somebody reports, or Redis has been there for so long that all who are alive have done so."""
        until = time.monotonic() + GRACE
        with suppress(LogError):  # it may not say how long; one that is away is told by what comes next
            until -= self._connection.ask(lambda it: it.info("server"))["uptime_in_seconds"]
        while time.monotonic() < until and not self._presence.live():
            time.sleep(_GRACE_INTERVAL)

    def _append_again(self, arguments: tuple[Any, ...], entry: Entry) -> Any:
        try:
            return self._script(_APPEND, self._deployments, *arguments)
        except LogUnavailableError as error:
            raise LogUnavailableError(
                f"{error}; revision {entry.revision} may have been written or not: read the log before you deploy again"
            ) from None

    def _script(self, script: str, key: str, *arguments: Any) -> Any:
        return self._connection.ask(lambda it: it.eval(script, 1, key, *arguments))

    def _is_news(self, after: int) -> bool:
        newest = self._connection.ask(lambda it: it.xrevrange(self._deployments, count=1))
        if not newest:
            return after > 0
        entry = self._entry(*newest[0])
        seen = self._newest
        return entry.revision != after or (seen is not None and seen.revision == after and not seen.agrees(entry))

    def _range(self, first: int) -> list[Entry]:
        found = self._connection.ask(lambda it: it.xrange(self._deployments, min=f"{first}-0"))
        entries = [self._entry(*record) for record in found]
        for revision, entry in enumerate(entries, first):
            if entry.revision != revision:
                raise LogError(f"{self.description}: deployment {revision} is missing in {self._deployments}")
        return entries

    def _entry(self, stream_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
        place = f"{self.description}: {stream_id.decode()} in {self._deployments}"
        try:
            entry = Entry.from_document(json.loads(fields[b"entry"]))
        except (LogError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise LogError(f"{place} is no deployment: {error}") from error
        if stream_id != b"%d-0" % entry.revision:
            raise LogError(f"{place} says revision {entry.revision}")
        return entry

    def _lost(self, revision: int) -> LogLostError:
        return LogLostError(
            f"{self.description} has lost deployments: revision {revision} was there. Restore Redis's data from its "
            "backup, or from a host's copy: run `version-affinity deployments restore` there; to begin anew instead, "
            "stop all hosts and remove their copies"
        )


def _text(entry: Entry) -> str:
    return json.dumps(entry.as_document(), separators=(",", ":"))
