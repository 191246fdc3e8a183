"""Worker reports in a Redis hash, beside the stream of the log.

Fields: the id of a process is its last report, after Redis's time of that; ``total`` the counters of processes that are
gone; ``folded:<id>`` the number of the report that was added to the total, after the time of that. Ages are by Redis's
clock: those of the hosts may differ.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from version_affinity.deployment import check_name
from version_affinity.releases.log.entries import LogError, LogUnavailableError

from .report import FOLDING, Report, Workers
from .totals import Total

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from version_affinity.releases.log.connection import RedisConnection

_TOTAL: Final = b"total"
_FOLDED: Final = b"folded:"
# The keys of the texts beside the counters in the total.
_TEXTS: Final = ("failing", "since")

_WRITE: Final = """
local folded = redis.call('HGET', KEYS[1], 'folded:' .. ARGV[1])
if folded then return tonumber(string.match(folded, '%d+$')) end
if ARGV[3] == '' and redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return -1 end
redis.call('HSET', KEYS[1], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])
return false
"""

# Replaces the total, and the reports that were added to it, unless one of them has changed since it was read.
_FOLD: Final = """
if (redis.call('HGET', KEYS[1], 'total') or '') ~= ARGV[1] then return 0 end
local rest = 3 * tonumber(ARGV[3]) + 4
for i = 4, rest - 1, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) ~= ARGV[i + 1] then return 0 end
end
for i = 4, rest - 1, 3 do
  redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('HSET', KEYS[1], 'folded:' .. ARGV[i], redis.call('TIME')[1] .. ' ' .. ARGV[i + 2])
end
redis.call('HSET', KEYS[1], 'total', ARGV[2])
for i = rest, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
return 1
"""


class RedisReports:
    """``Reports`` in a Redis database."""

    def __init__(self, connection: RedisConnection, *, name: str) -> None:
        self._connection = connection
        self._workers: Final = f"version-affinity:{check_name(name)}:workers"
        self.description: Final = connection.description

    def read(self) -> Workers:
        """See ``Reports.read``."""
        now, fields = self._hash()
        found = [report for report in _reports(fields, now).values() if report]
        return _total(fields).workers(found)

    def write(self, report: Report, *, is_first: bool) -> int | None:
        """See ``Reports.write``."""
        arguments = report.process, report.as_text(), "first" if is_first else ""
        folded: int | None = self._script(_WRITE, *arguments)
        return folded

    def fold(self, known: Collection[str]) -> None:
        """See ``Reports.fold``."""
        if not self._connection.ask(lambda it: it.set(f"{self._workers}:folding", "", nx=True, ex=FOLDING)):
            return
        now, fields = self._hash()
        reports = _reports(fields, now)
        damaged = [process for process, report in reports.items() if report is None]
        gone = {process: report for process, report in reports.items() if report and report.is_gone()}
        live = [report for process, report in reports.items() if report and process not in gone]
        before = _total(fields)
        after = before.with_reports(gone.values(), {*known, *(it for report in live for it in report.known)})
        if not gone and not damaged and after == before:
            return
        total = json.dumps({**after.counts, **{name: getattr(after, name) for name in _TEXTS}})
        arguments: list[Any] = [fields.get(_TOTAL, b""), total, len(gone)]
        for process, report in gone.items():
            arguments += [process, fields[process], report.number]
        forgotten = [_FOLDED + process.encode() for process in before.folded.keys() - after.folded.keys()]
        self._script(_FOLD, *arguments, *damaged, *forgotten)

    def obstacle(self, workers: Workers) -> str:  # noqa: ARG002 - of the protocol
        """See ``Reports.obstacle``."""
        try:
            self._connection.ask(lambda it: it.set(f"{self._workers}:tried", "", ex=1))
        except LogUnavailableError as error:
            return str(error)
        except LogError as error:
            return f"{error}. Let its user write the keys {self._workers}*, and let it have free memory"
        return ""

    def _hash(self) -> tuple[int, dict[bytes, bytes]]:
        """Return Redis's time, and all fields."""

        def ask(client: Any) -> Any:
            pipeline = client.pipeline(transaction=False)  # Redis refuses a transaction where memory is full
            pipeline.time()
            pipeline.hgetall(self._workers)
            return pipeline.execute()

        (now, _), fields = self._connection.ask(ask)
        return now, fields

    def _script(self, script: str, *arguments: Any) -> Any:
        return self._connection.ask(lambda it: it.eval(script, 1, self._workers, *arguments))


def _reports(fields: Mapping[bytes, bytes], now: int) -> dict[bytes, Report | None]:
    """Return the reports by the field that they are in; None for a damaged one."""
    found: dict[bytes, Report | None] = {}
    for field, value in fields.items():
        if field != _TOTAL and not field.startswith(_FOLDED):
            seen, _, text = value.partition(b" ")
            report = Report.parse(text, float(now - int(seen))) if seen.isdigit() else None
            found[field] = report if report is not None and report.process.encode() == field else None
    return found


def _total(fields: Mapping[bytes, bytes]) -> Total:
    notes = []
    for field, value in fields.items():
        if field.startswith(_FOLDED):
            seen, _, number = value.partition(b" ")
            if seen.isdigit() and number.isdigit():
                notes.append((int(seen), field.removeprefix(_FOLDED).decode("ascii", "replace"), int(number)))
    folded = {process: number for _, process, number in sorted(notes)}
    try:
        counts = json.loads(fields.get(_TOTAL, b"{}"))
    except (ValueError, RecursionError):
        counts = {}
    texts = map(counts.get, _TEXTS) if isinstance(counts, dict) else ()
    return Total.of(counts, folded, *texts)
