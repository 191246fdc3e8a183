"""Where a log can be, and what may happen to it there: the same tests are for all of them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Protocol

from tests.releases.redis_server import redis_server
from version_affinity.releases.log.file import FILE_NAME, FileLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.releases.redis_server import RedisServer
    from version_affinity.releases.log.entries import DeploymentLog, Entry

NAME = "storefront"
STREAM = f"version-affinity:{NAME}:deployments"


class Place(Protocol):
    """A place of a log, empty at first."""

    def log(self) -> DeploymentLog:
        """Return a new log, as another process has one."""

    def history(self) -> list[bytes]:
        """Return what is written for each deployment, as it is."""

    def damage(self, revision: int, text: bytes) -> None:
        """Write something else in the place of a deployment."""

    def lose(self) -> None:
        """Forget everything."""

    def restore(self, entries: list[Entry]) -> None:
        """Bring back what was forgotten, from a copy."""

    def away(self) -> contextlib.AbstractContextManager[None]:
        """Be out of reach within the block."""


class FilePlace:
    """A file in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.file = directory / FILE_NAME

    def log(self) -> FileLog:
        """Return a new log."""
        return FileLog(self.file)

    def history(self) -> list[bytes]:
        """Return the lines."""
        return self.file.read_bytes().splitlines() if self.file.exists() else []

    def damage(self, revision: int, text: bytes) -> None:
        """Replace a line."""
        lines = self.history()
        lines[revision - 1] = text
        self.file.write_bytes(b"".join(line + b"\n" for line in lines))

    def lose(self) -> None:
        """Remove the file."""
        self.file.unlink()

    def restore(self, entries: list[Entry]) -> None:
        """Write the file."""
        self.file.write_text("".join(json.dumps(entry.as_document()) + "\n" for entry in entries))

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Take the directory away, as a file system that is not mounted is."""
        elsewhere = self.file.parent.with_name("elsewhere")
        self.file.parent.rename(elsewhere)
        try:
            yield
        finally:
            elsewhere.rename(self.file.parent)


class RedisPlace:
    """A stream in a Redis. What it is told to do to its server is done to all that share that."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self._logs = contextlib.ExitStack()
        with server.client() as client:
            client.flushall()

    def log(self) -> DeploymentLog:
        """Return a new log."""
        from version_affinity.releases.log.redis import RedisLog  # noqa: PLC0415 - an extra

        return self._logs.enter_context(contextlib.closing(RedisLog(self.server.url, name=NAME)))

    def close(self) -> None:
        """Close all logs."""
        self._logs.close()

    def history(self) -> list[bytes]:
        """Return the documents."""
        with self.server.client() as client:
            return [fields[b"entry"] for _, fields in client.xrange(STREAM)]

    def damage(self, revision: int, text: bytes) -> None:
        """Replace a record, and so the whole stream."""
        documents = self.history()
        documents[revision - 1] = text
        with self.server.client() as client:
            client.delete(STREAM)
            for number, document in enumerate(documents, 1):
                client.xadd(STREAM, {"entry": document, "writer": ""}, id=f"{number}-0")

    def lose(self) -> None:
        """Remove the stream."""
        with self.server.client() as client:
            client.delete(STREAM)

    def restore(self, entries: list[Entry]) -> None:
        """Give it back, as a host has kept it."""
        self.log().restore(entries)  # type: ignore[attr-defined] # which a RedisLog has

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """End the server; it keeps its data."""
        self.server.kill()
        try:
            yield
        finally:
            self.server.start()


@contextlib.contextmanager
def redis_place() -> Iterator[RedisPlace]:
    """Give a place in a Redis of its own."""
    with redis_server() as server, contextlib.closing(RedisPlace(server)) as place:
        yield place
