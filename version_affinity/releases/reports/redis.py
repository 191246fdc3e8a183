"""What each host says of itself in Redis: which versions it has, and which deployment it follows.

A field of a hash is what one server said last: its host's name, and what tells it from others under that name.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.releases.times import format_time

from .presence import HostReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.releases.log.connection import RedisConnection

#: Seconds after its last report that a host counts as alive: three heartbeats of five.
EXPIRY: Final = 15

#: Seconds for which a host that has gone silent is not forgotten.
KEPT: Final = 600

# Between the names of a host and its server.
_SEPARATOR: Final = "\0"

# The clock is Redis's: those of the hosts may differ and jump. Whoever reports sweeps out who has not for long, and who
# has in a future that the clock was set back from.
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
    """What a server said: when, in seconds since 1970, which versions it holds, and which deployment it follows."""

    seen: int
    versions: frozenset[str]
    revision: int


class RedisPresence:
    """The hosts of some deployments.

    Args:
        connection: Their Redis.
        name: The deployments' name, which has been checked.
    """

    __slots__ = ("_connection", "_key")

    def __init__(self, connection: RedisConnection, *, name: str) -> None:
        self._connection = connection
        self._key: Final = f"version-affinity:{name}:hosts"

    def report(self, host: str, versions: Iterable[str], revision: int, *, server: str) -> None:
        """Say that a server is alive; see ``RedisLog.report``."""
        field = f"{host}{_SEPARATOR}{server}" if server else host
        text = json.dumps({"versions": sorted(versions), "revision": revision})
        self._connection.ask(lambda it: it.eval(_REPORT, 1, self._key, field, text, str(EXPIRY), str(KEPT)))

    def hosts(self) -> dict[str, HostReport]:
        """Return the hosts that are alive; see ``RedisLog.hosts``."""
        return _by_host(self.live())

    def silent_hosts(self) -> dict[str, HostReport]:
        """Return the hosts of which no server is alive any more; see ``RedisLog.silent_hosts``."""
        now, reports = self._reports()
        live = {_host(name) for name in _aged(reports, now, -EXPIRY, EXPIRY)}
        silent = _aged(reports, now, EXPIRY, KEPT)
        return _by_host({name: it for name, it in silent.items() if _host(name) not in live}, silent=True)

    def live(self) -> dict[str, ServerReport]:
        """Return what each server said that is alive, by its name."""
        now, reports = self._reports()
        return _aged(reports, now, -EXPIRY, EXPIRY)

    def _reports(self) -> tuple[int, dict[str, ServerReport]]:
        """Return Redis's time, and what each server said last."""

        def ask(client: Any) -> Any:
            pipeline = client.pipeline(transaction=False)
            pipeline.time()
            pipeline.hgetall(self._key)
            return pipeline.execute()

        (now, _), reports = self._connection.ask(ask)
        return now, {name.decode("utf-8", "replace"): _report(text) for name, text in reports.items()}


def _report(text: bytes) -> ServerReport:
    """Parse a report; one that cannot be read is as old as can be."""
    try:
        seen, _, rest = text.partition(b" ")
        document = json.loads(rest)
        return ServerReport(int(seen), frozenset(map(str, document["versions"])), int(document["revision"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return ServerReport(0, frozenset(), 0)


def _aged(reports: Mapping[str, ServerReport], now: int, youngest: int, oldest: int) -> dict[str, ServerReport]:
    """Return the reports whose age in seconds is more than the one and at most the other."""
    return {name: it for name, it in reports.items() if youngest < now - it.seen <= oldest}


def _by_host(reports: Mapping[str, ServerReport], *, silent: bool = False) -> dict[str, HostReport]:
    """Put the reports of the servers together that are under one host's name."""
    servers: dict[str, list[ServerReport]] = {}
    for name, report in sorted(reports.items()):
        servers.setdefault(_host(name), []).append(report)
    return {
        host: HostReport(
            frozenset.intersection(*(it.versions for it in found)),
            min(it.revision for it in found),
            _timestamp(min(it.seen for it in found)),
            len(found),
            silent,
        )
        for host, found in sorted(servers.items())
    }


def _host(name: str) -> str:
    return name.partition(_SEPARATOR)[0]


def _timestamp(seconds: int) -> str:
    return format_time(datetime.fromtimestamp(seconds, timezone.utc))
