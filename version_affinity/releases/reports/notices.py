"""How far the notices of a ramp were sent, kept beside the worker reports: in a file, or in Redis."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from version_affinity.deployment import check_name
from version_affinity.releases.store.durable import FileLock, OtherKindError, read_file, written_beside

from .files import WORKERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from version_affinity.releases.log.connection import RedisConnection

_NAME: Final = "notices.json"
_LOCK: Final = ".notices.lock"
# Seconds after which another process may send, if the one that claimed it has died: longer than all attempts together.
_CLAIMED: Final = 120
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class FilePosition:
    """``ramp.notify.Position`` in a releases directory."""

    def __init__(self, releases: Path) -> None:
        self._directory = releases / WORKERS

    @contextmanager
    def claim(self, log_id: str) -> Iterator[int | None]:
        """See ``Position.claim``."""
        lock = FileLock.try_acquire(self._directory / _LOCK, guards=self._directory)
        if lock is None:
            yield None
            return
        with lock:
            yield self._read(log_id)

    def advance(self, log_id: str, revision: int) -> None:
        """See ``Position.advance``."""
        text = json.dumps({"log_id": log_id, "revision": revision})
        with written_beside(self._directory / _NAME, [text]) as unfinished:
            unfinished.chmod(self._directory.stat().st_mode & 0o666 | 0o600)
            unfinished.replace(self._directory / _NAME)

    def _read(self, log_id: str) -> int:
        try:
            return _revision(read_file(self._directory / _NAME), log_id)
        except (FileNotFoundError, OtherKindError):
            return 0


class RedisPosition:
    """``ramp.notify.Position`` in a Redis database."""

    def __init__(self, connection: RedisConnection, *, name: str) -> None:
        self._connection = connection
        self._key: Final = f"version-affinity:{check_name(name)}:notices"
        self._lock: Final = f"{self._key}:sending"

    @contextmanager
    def claim(self, log_id: str) -> Iterator[int | None]:
        """See ``Position.claim``."""
        token = secrets.token_hex(8)
        if not self._connection.ask(lambda it: it.set(self._lock, token, nx=True, ex=_CLAIMED)):
            yield None
            return
        try:
            yield _revision(self._connection.ask(lambda it: it.get(self._key)) or b"{}", log_id)
        finally:
            self._connection.ask(lambda it: it.eval(_RELEASE, 1, self._lock, token))

    def advance(self, log_id: str, revision: int) -> None:
        """See ``Position.advance``."""
        text = json.dumps({"log_id": log_id, "revision": revision})
        self._connection.ask(lambda it: it.set(self._key, text))


def _revision(text: bytes, log_id: str) -> int:
    """Return the revision in a text, 0 if it is of another log or damaged."""
    try:
        document = json.loads(text)
        return int(document["revision"]) if document["log_id"] == log_id else 0
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
