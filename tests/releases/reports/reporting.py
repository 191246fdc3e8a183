"""Where workers report, for tests: files and a Redis; and a process that counts and reports."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from tests.releases.redis_server import RedisServer, redis_server
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.report import Report
from version_affinity.releases.reports.reporter import Reporter, WorkerState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from version_affinity.releases.reports.report import Reports

#: A key of the counters, and its version.
KEY, KNOWN = "missing|v1", ("v1",)
#: Less than any age: whoever reports so counts as gone at once.
GONE = -1.0


class FilePlace:
    """A directory for reports."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def reports(self) -> Reports:
        """Return new reports, as another process has them."""
        return FileReports(self.root)

    def fold(self, known: Collection[str] = KNOWN) -> None:
        """Fold now, whenever the last time was."""
        (self.root / "workers" / ".lock").unlink(missing_ok=True)
        self.reports().fold(known)

    def put(self, process: str, text: bytes) -> None:
        """Write something in the place of a report."""
        (self.root / "workers" / f"{process}.json").write_bytes(text)

    def count(self) -> int:
        """Return how many reports are stored."""
        return len([*(self.root / "workers").glob("*.json")]) - (self.root / "workers" / "total.json").exists()

    def forget(self) -> None:
        """Lose everything."""
        for file in (self.root / "workers").glob("*"):
            file.unlink()


class RedisPlace:
    """A hash in a Redis, empty at first."""

    def __init__(self, server: RedisServer) -> None:
        from version_affinity.releases.log.connection import RedisConnection  # noqa: PLC0415 - an extra

        self.server = server
        self._connection = RedisConnection(server.url)
        with server.client() as client:
            client.flushall()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def reports(self) -> Reports:
        """Return new reports, as another process has them."""
        from version_affinity.releases.reports.redis import RedisReports  # noqa: PLC0415 - an extra

        return RedisReports(self._connection, name="storefront")

    def fold(self, known: Collection[str] = KNOWN) -> None:
        """Fold now, whenever the last time was."""
        with self.server.client() as client:
            client.delete("version-affinity:storefront:workers:folding")
        self.reports().fold(known)

    def put(self, process: str, text: bytes) -> None:
        """Write something in the place of a report."""
        with self.server.client() as client:
            client.hset("version-affinity:storefront:workers", process, b"%d %s" % (client.time()[0], text))

    def count(self) -> int:
        """Return how many reports are stored."""
        with self.server.client() as client:
            return sum(len(key) == 16 for key in client.hkeys("version-affinity:storefront:workers"))

    def forget(self) -> None:
        """Lose everything."""
        with self.server.client() as client:
            client.flushall()


class Process:
    """A process that counts and reports, without a follower."""

    def __init__(self, reports: Reports, host: str = "web-1") -> None:
        self.counts: dict[str, int] = {}
        self.reporter = Reporter(reports, host=host, interval=0.25)
        self.reporter.count(lambda: dict(self.counts))

    def add(self, number: int = 1, key: str = KEY) -> None:
        """Count."""
        self.counts[key] = self.counts.get(key, 0) + number

    def report(self, state: WorkerState | None = None, **changes: Any) -> Report | None:
        """Report, twice if the first one shows that this process counted as gone; return the last report."""
        report = None
        for _ in range(2):
            report = self.reporter.draft(state or WorkerState())
            if report is None:
                break
            report = Report.parse(report.as_text().replace("15.0", str(changes.get("lifetime", 15.0)), 1))
            assert report is not None
            process = self.reporter.process
            self.reporter.send(report, KNOWN)
            if process == self.reporter.process:
                break
        return report


@contextlib.contextmanager
def place(kind: str, root: Path) -> Iterator[FilePlace | RedisPlace]:
    """Give a place of reports: "file" or "redis"."""
    if kind == "file":
        root.mkdir(exist_ok=True)
        yield FilePlace(root)
    else:
        with redis_server() as server, contextlib.closing(RedisPlace(server)) as made:
            yield made
