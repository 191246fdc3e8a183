"""How far the notices of a ramp were sent, kept beside the worker reports: in a file, or in Redis."""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from version_affinity.deployment import check_name
from version_affinity.releases.store.directory import WORKERS
from version_affinity.releases.store.durable import FileLock, OtherKindError, read_file, written_beside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from version_affinity.releases.log.connection import RedisConnection

_NAME: Final = "notices.json"
_LOCK: Final = ".notices.lock"
#: Seconds after which another process may send, if the one that claimed it has died: longer than one notice takes.
CLAIMED: Final = 120
# Each of them does nothing if the claim (the first key) has expired, and may be another process's by now.
_EXTEND: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
_ADVANCE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
"""
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class FilePosition:
    """``ramp.notify.Position`` in a releases directory."""

    def __init__(self, releases: Path) -> None:
        self._directory = releases / WORKERS

    @contextmanager
    def claim(self, log_id: str) -> Iterator[_FileClaim | None]:
        """See ``Position.claim``."""
        lock = FileLock.try_acquire(self._directory / _LOCK, guards=self._directory)
        if lock is None:
            yield None
            return
        with lock:
            yield _FileClaim(self._directory, log_id)


class _FileClaim:
    """``ramp.notify.Claim`` while the lock of a file is held, which does not expire."""

    def __init__(self, directory: Path, log_id: str) -> None:
        self._directory = directory
        self._log_id = log_id
        try:
            self.sent = _revision(read_file(directory / _NAME), log_id)
        except (FileNotFoundError, OtherKindError):
            self.sent = 0

    def extend(self) -> bool:
        """See ``Claim.extend``."""
        return True

    def advance(self, revision: int) -> bool:
        """See ``Claim.advance``."""
        with written_beside(self._directory / _NAME, [_position(self._log_id, revision)]) as unfinished:
            unfinished.chmod(self._directory.stat().st_mode & 0o666 | 0o600)
            unfinished.replace(self._directory / _NAME)
        return True


class RedisPosition:
    """``ramp.notify.Position`` in a Redis database."""

    def __init__(self, connection: RedisConnection, *, name: str) -> None:
        self._connection = connection
        self._key: Final = f"version-affinity:{check_name(name)}:notices"

    @contextmanager
    def claim(self, log_id: str) -> Iterator[_RedisClaim | None]:
        """See ``Position.claim``."""
        claim = _RedisClaim(self._connection, self._key, log_id)
        if not claim.acquire():
            yield None
            return
        try:
            claim.sent = _revision(self._connection.ask(lambda it: it.get(self._key)) or b"{}", log_id)
            yield claim
        finally:
            claim.release()


class _RedisClaim:
    """``ramp.notify.Claim`` as a key that expires."""

    def __init__(self, connection: RedisConnection, key: str, log_id: str) -> None:
        self._connection = connection
        self._key = key
        self._log_id = log_id
        self._lock = f"{key}:sending"
        self._token = secrets.token_hex(8)
        self.sent = 0

    def acquire(self) -> bool:
        """Get the claim unless another process has it. Return whether this process has it."""
        return bool(self._connection.ask(lambda it: it.set(self._lock, self._token, nx=True, ex=CLAIMED)))

    def extend(self) -> bool:
        """See ``Claim.extend``."""
        return bool(self._connection.ask(lambda it: it.eval(_EXTEND, 1, self._lock, self._token, CLAIMED)))

    def advance(self, revision: int) -> bool:
        """See ``Claim.advance``. Only the owner of the claim writes the position, so it never goes back."""
        text = _position(self._log_id, revision)
        return bool(self._connection.ask(lambda it: it.eval(_ADVANCE, 2, self._lock, self._key, self._token, text)))

    def release(self) -> None:
        """Let another process send."""
        self._connection.ask(lambda it: it.eval(_RELEASE, 1, self._lock, self._token))


def _position(log_id: str, revision: int) -> str:
    return json.dumps({"log_id": log_id, "revision": revision})


def _revision(text: bytes, log_id: str) -> int:
    """Return the revision in a text, 0 if it is of another log or damaged."""
    try:
        document = json.loads(text)
        return int(document["revision"]) if document["log_id"] == log_id else 0
    except (ValueError, TypeError, KeyError, RecursionError):
        return 0
