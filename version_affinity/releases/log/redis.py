"""The deployment log in a Redis Stream, which several hosts share.

The ids of the stream are the revisions (``3-0`` is the third deployment), so Redis keeps them in order. The stream is
the history and is never trimmed. The server must keep it: ``appendonly yes`` and ``maxmemory-policy noeviction``.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from version_affinity.deployment import check_name
from version_affinity.releases.reports.positions import RedisPosition
from version_affinity.releases.reports.redis import RedisReports

from .connection import RedisConnection
from .entries import (
    NO_DETAILS,
    Entry,
    LogConflictError,
    LogError,
    LogLostError,
    LogUnavailableError,
    identified,
    next_entry,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .entries import Details, Shares

#: Seconds after Redis's start within which every live process has reported: they retry within a few seconds.
GRACE: Final = 7.0
_GRACE_INTERVAL: Final = 0.25

# Compare and append, in one step. A writer whose first answer was lost finds its own mark: the entry is written.
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
    """A ``DeploymentLog`` in a Redis database. The processes that follow it report beside it."""

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = RedisConnection(url)
        self._name: Final = check_name(name)
        self.reports: Final = RedisReports(self._connection, name=name)
        self.position: Final = RedisPosition(self._connection, name=name)
        self._deployments = f"version-affinity:{name}:deployments"
        # The newest entry that this process has read or written. The stream must still have it.
        self._newest: Entry | None = None
        self.description: Final = self._connection.description

    def read(self, after: int = 0) -> list[Entry]:
        """See ``DeploymentLog.read``."""
        seen = self._newest
        # Entry ``after`` is read too: it shows whether this is still the same history.
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

    def append(self, percentages: Shares, *, expected: int, details: Details = NO_DETAILS) -> Entry:
        """See ``DeploymentLog.append``.

        The first deployment waits for up to ``GRACE`` seconds after the start of Redis: Redis may have lost its data,
        and then processes report that they follow a later deployment. It is not written over their history.
        """
        entry = next_entry(percentages, expected, details)
        # A damaged history is never extended: reading it raises here.
        self.read(self._newest.revision if self._newest else 0)
        seen = self._newest.revision if self._newest else 0 if expected else self._reported_revision()
        entry = identified(entry, self._newest, self._name)
        arguments = (expected, seen, _text(entry), secrets.token_hex(8))
        try:
            outcome, revision = self._script(_APPEND, *arguments)
        except LogUnavailableError:
            # The entry may have been written, and only the answer lost. The second attempt finds out.
            outcome, revision = self._append_again(arguments, entry)
        if outcome == b"lost":
            raise self._lost(seen)
        if outcome == b"conflict":
            raise LogConflictError(revision)
        self._newest = entry
        return entry

    def restore(self, entries: Sequence[Entry], *, replace: bool = False) -> None:
        """Write a whole history, as a host has kept it (``LocalCopy``), to a Redis that lost its data.

        ``replace`` also overwrites deployments that are there, such as a history that was begun meanwhile.
        """
        if [entry.revision for entry in entries] != list(range(1, len(entries) + 1)) or not entries:
            raise LogError("only a whole history can be restored: give every deployment, from revision 1 on")
        if not self._script(_RESTORE, "replace" if replace else "", *map(_text, entries)):
            raise LogError(
                f"{self.description} has deployments, and only an empty log is restored: to put a copy in their place, "
                "run `version-affinity deployments restore --replace`"
            )
        self._newest = entries[-1]

    def forget(self) -> None:
        """See ``DeploymentLog.forget``."""
        self._newest = None

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def _reported_revision(self) -> int:
        """Return the newest revision that a live process reports.

        Wait until one reports, or Redis has run for long enough that all of them would have reported.
        """
        until = time.monotonic() + GRACE
        with suppress(LogError):  # Redis may not say how long; one that is away is noticed by the next command
            until -= self._connection.ask(lambda it: it.info("server"))["uptime_in_seconds"]
        while not (live := self.reports.read().live) and time.monotonic() < until:
            time.sleep(_GRACE_INTERVAL)
        return max((report.log_revision for report in live), default=0)

    def _append_again(self, arguments: tuple[Any, ...], entry: Entry) -> Any:
        try:
            return self._script(_APPEND, *arguments)
        except LogUnavailableError as error:
            raise LogUnavailableError(
                f"{error}; revision {entry.revision} may have been written or not: read the log before you deploy again"
            ) from None

    def _script(self, script: str, *arguments: Any) -> Any:
        return self._connection.ask(lambda it: it.eval(script, 1, self._deployments, *arguments))

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
            raise LogError(f"{place} is not a deployment: {error}") from error
        if stream_id != b"%d-0" % entry.revision:
            raise LogError(f"{place} says revision {entry.revision}")
        return entry

    def _lost(self, revision: int) -> LogLostError:
        return LogLostError(
            f"{self.description} has lost deployments: revision {revision} was there. Restore Redis's data from its "
            "backup, or from a host's copy: run `version-affinity deployments restore` there. To start anew instead, "
            "stop all hosts and remove their copies"
        )


def _text(entry: Entry) -> str:
    return json.dumps(entry.as_document(), separators=(",", ":"))
