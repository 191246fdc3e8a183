"""The deployments in a Redis Stream, which several hosts share, and what each of these hosts has.

The stream's ids are the revisions (``3-0`` is the third deployment), so Redis itself keeps them in order. It is history
and never trimmed. Let the server keep it: ``appendonly yes``, and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import json
import secrets
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from version_affinity.deployment import check_name

from .log import Entry, LogConflictError, LogError, LogLostError, LogUnavailableError, next_entry
from .presence import HostReport
from .redis_connection import RedisConnection
from .times import text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Seconds after its last report that a host counts as alive: three heartbeats of five.
EXPIRY: Final = 15

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
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for revision, document in ipairs(ARGV) do
  redis.call('XADD', KEYS[1], revision .. '-0', 'entry', document, 'writer', '')
end
return 1
"""

# The clock is Redis's: those of the hosts may differ and jump. Whoever reports sweeps out who no longer does.
_REPORT: Final = """
local now = tonumber(redis.call('TIME')[1])
local reports = redis.call('HGETALL', KEYS[1])
for i = 1, #reports, 2 do
  local seen = tonumber(string.match(reports[i + 1], '^%d+')) or 0
  if math.abs(now - seen) > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], reports[i]) end
end
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
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

    __slots__ = ("_connection", "_deployments", "_hosts", "_newest", "description")

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = RedisConnection(url)
        self._deployments = f"version-affinity:{check_name(name)}:deployments"
        self._hosts = f"version-affinity:{name}:hosts"
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
        if seen and seen.revision >= entries[0].revision and seen != entries[seen.revision - entries[0].revision]:
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
        self.read(self._newest.revision if self._newest else 0)  # nothing is written over what nobody can read
        seen = max((report.revision for report in self.hosts().values()), default=0)
        seen = max(seen, self._newest.revision if self._newest else 0)
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

    def restore(self, entries: Sequence[Entry]) -> None:
        """Give a Redis that lost its data the history back, as a host has kept it (``LastKnown``).

        Args:
            entries: All deployments, from the first one on.

        Raises:
            LogError: the entries are no whole history, or Redis has one. Nothing is written.
            LogUnavailableError: Redis cannot be asked now.
        """
        if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)) or not entries:
            raise LogError("only a whole history can be restored: give every deployment, from revision 1 on")
        if not self._script(_RESTORE, self._deployments, *map(_text, entries)):
            raise LogError(f"{self.description} has deployments: only an empty log can be restored")

    def report(self, host: str, versions: Iterable[str], revision: int) -> None:
        """Say that a host is alive, which versions it holds, and which deployment it follows.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
        """
        text = json.dumps({"versions": sorted(versions), "revision": revision})
        self._script(_REPORT, self._hosts, host, text, EXPIRY)

    def hosts(self) -> dict[str, HostReport]:
        """Return what each host said that has reported within the last 15 seconds.

        Raises:
            LogUnavailableError: Redis cannot be asked now.
        """

        def ask(client: Any) -> Any:
            pipeline = client.pipeline(transaction=False)
            pipeline.time()
            pipeline.hgetall(self._hosts)
            return pipeline.execute()

        (now, _), reports = self._connection.ask(ask)
        found = {host.decode("utf-8", "replace"): _report(text) for host, text in reports.items()}
        return {
            host: HostReport(versions, revision, _timestamp(seen))
            for host, (seen, versions, revision) in sorted(found.items())
            if abs(now - seen) <= EXPIRY  # one from the future was written before the clock was set back
        }

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

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
        return entry.revision != after or (seen is not None and seen.revision == after and seen != entry)

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
            "backup, or from a host's copy (RedisLog.restore); to begin anew instead, stop all hosts and remove their "
            "copies"
        )


def _text(entry: Entry) -> str:
    return json.dumps(entry.as_document(), separators=(",", ":"))


def _report(text: bytes) -> tuple[int, frozenset[str], int]:
    """Parse a report; one that cannot be read is as old as can be."""
    try:
        seen, _, rest = text.partition(b" ")
        document = json.loads(rest)
        return int(seen), frozenset(map(str, document["versions"])), int(document["revision"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0, frozenset(), 0


def _timestamp(seconds: int) -> str:
    return text_of(datetime.fromtimestamp(seconds, timezone.utc))
