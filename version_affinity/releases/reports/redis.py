"""What each host reports in Redis: the versions that it has, and the deployment that it follows.

Each field of a Redis hash is the last report of one server. Its name is the host's name and the server's id.
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


class RedisPresence:
    """A ``Presence`` in Redis."""

    def __init__(self, connection: RedisConnection, *, name: str) -> None:
        self._connection = connection
        self._hosts: Final = f"version-affinity:{name}:hosts"

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
