"""The deployment log in a Redis Stream, which several hosts share.

The ids of the stream are the revisions (``3-0`` is the third deployment), so Redis keeps them in order. The stream is
the history and is never trimmed. The server must keep it: ``appendonly yes`` and ``maxmemory-policy noeviction``.

Each field of a Redis hash is the last report of one server. Its name is the host's name and the server's id.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.deployment import check_name
from version_affinity.releases.times import format_time

from .connection import RedisConnection
from .entries import Entry, LogConflictError, LogError, LogLostError, LogUnavailableError, identified, next_entry
from .presence import HostReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .entries import Shares

#: Seconds after Redis's start within which every live host has reported: hosts retry after at most 5 seconds.
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


#: Seconds after its last report that a host counts as alive: three heartbeats of five.
EXPIRY: Final = 15

#: Seconds for which the last report of a silent host is kept.
KEPT: Final = 600

# Between the name of a host and the id of its server.
_SEPARATOR: Final = "\0"

# The clock is that of Redis: the clocks of the hosts may differ and jump. Each report removes the reports that are too
# old, and those from a future that the clock was set back from.
_REPORT: Final = """
local now = tonumber(redis.call('TIME')[1])
local reports = redis.call('HGETALL', KEYS[1])
for i = 1, #reports, 2 do
  local seen = tonumber(string.match(reports[i + 1], '^%d+')) or 0
  if now - seen > tonumber(ARGV[4]) or seen - now > tonumber(ARGV[3]) then redis.call('HDEL', KEYS[1], reports[i]) end
end
redis.call('HSET', KEYS[1], ARGV[1], now .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[4])
"""


class ServerReport(NamedTuple):
    """One server's report: its time in seconds since 1970, the versions on its disk, and the revision it follows."""

    seen: int
    versions: frozenset[str]
    revision: int


class RedisLog:
    """A ``DeploymentLog`` and a ``Presence`` in one Redis database."""

    def __init__(self, url: str, *, name: str) -> None:
        self._connection = RedisConnection(url)
        self._name: Final = check_name(name)
        self._hosts: Final = f"version-affinity:{name}:hosts"
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

    def append(
        self,
        percentages: Shares,
        *,
        expected: int,
        author: str = "",
        message: str = "",
        created: str | None = None,
        ramp: Mapping[str, Any] | None = None,
    ) -> Entry:
        """See ``DeploymentLog.append``.

        The first deployment waits for up to ``GRACE`` seconds after the start of Redis: Redis may have lost its data,
        and then the hosts that know better report.
        """
        entry = next_entry(percentages, expected=expected, author=author, message=message, created=created, ramp=ramp)
        # A damaged history is never extended: reading it raises here.
        if not self.read(self._newest.revision if self._newest else 0) and not expected and self._newest is None:
            self._await_reports()
        seen = max((report.revision for report in self.live_servers().values()), default=0)
        seen = max(seen, self._newest.revision if self._newest else 0)
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

    def report(self, host: str, versions: Iterable[str], revision: int, *, server: str = "") -> None:
        """See ``Presence.report``."""
        field = f"{host}{_SEPARATOR}{server}" if server else host
        text = json.dumps({"versions": sorted(versions), "revision": revision})
        self._connection.ask(lambda it: it.eval(_REPORT, 1, self._hosts, field, text, str(EXPIRY), str(KEPT)))

    def hosts(self) -> dict[str, HostReport]:
        """See ``Presence.hosts``."""
        return _by_host(self.live_servers())

    def silent_hosts(self) -> dict[str, HostReport]:
        """See ``Presence.silent_hosts``."""
        now, reports = self._reports()
        live = {_host(name) for name in _aged(reports, now, -EXPIRY, EXPIRY)}
        silent = _aged(reports, now, EXPIRY, KEPT)
        return _by_host({name: it for name, it in silent.items() if _host(name) not in live}, silent=True)

    def live_servers(self) -> dict[str, ServerReport]:
        """Return the last report of each server that is alive."""
        now, reports = self._reports()
        return _aged(reports, now, -EXPIRY, EXPIRY)

    def _reports(self) -> tuple[int, dict[str, ServerReport]]:
        """Return Redis's time, and the last report of each server."""

        def ask(client: Any) -> Any:
            pipeline = client.pipeline(transaction=False)
            pipeline.time()
            pipeline.hgetall(self._hosts)
            return pipeline.execute()

        (now, _), reports = self._connection.ask(ask)
        return now, {name.decode("utf-8", "replace"): _parse_report(text) for name, text in reports.items()}

    def _await_reports(self) -> None:
        """Wait until a host reports, or Redis has run for long enough that all live hosts would have reported."""
        until = time.monotonic() + GRACE
        with suppress(LogError):  # Redis may not say how long; one that is away is noticed by the next command
            until -= self._connection.ask(lambda it: it.info("server"))["uptime_in_seconds"]
        while time.monotonic() < until and not self.live_servers():
            time.sleep(_GRACE_INTERVAL)

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


def _parse_report(text: bytes) -> ServerReport:
    """Parse a report. A damaged one counts as older than all others."""
    try:
        seen, _, rest = text.partition(b" ")
        document = json.loads(rest)
        return ServerReport(int(seen), frozenset(map(str, document["versions"])), int(document["revision"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return ServerReport(0, frozenset(), 0)


def _aged(reports: Mapping[str, ServerReport], now: int, youngest: int, oldest: int) -> dict[str, ServerReport]:
    """Return the reports that are older than ``youngest`` seconds, and not older than ``oldest``."""
    return {name: it for name, it in reports.items() if youngest < now - it.seen <= oldest}


def _by_host(reports: Mapping[str, ServerReport], *, silent: bool = False) -> dict[str, HostReport]:
    """Combine the reports of all servers of each host."""
    servers: dict[str, list[ServerReport]] = {}
    for name, report in sorted(reports.items()):
        servers.setdefault(_host(name), []).append(report)
    return {
        host: HostReport(
            frozenset.intersection(*(it.versions for it in found)),
            min(it.revision for it in found),
            format_time(datetime.fromtimestamp(min(it.seen for it in found), timezone.utc)),
            len(found),
            silent,
        )
        for host, found in sorted(servers.items())
    }


def _host(name: str) -> str:
    return name.partition(_SEPARATOR)[0]
