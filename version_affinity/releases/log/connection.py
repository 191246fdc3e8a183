"""Connections to the Redis server of a URL: made on the first command, made anew after a fork, with short timeouts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from version_affinity.errors import ConfigurationError, install

from .entries import LogError, LogUnavailableError

try:
    import redis
except ImportError as error:
    raise ConfigurationError(f"a log at a redis:// URL needs the package redis: {install('redis')}") from error

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds to connect, and to wait for an answer. ``?socket_timeout=10`` in the URL sets others.
CONNECT_TIMEOUT: Final = 2.0
ANSWER_TIMEOUT: Final = 3.0

_FORM: Final = (
    "write redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix://[user:password@]/path/to/it, "
    "and in a password %40 for '@', %3A for ':', %2F for '/', %3F for '?', %23 for '#', %25 for '%'"
)


class RedisConnection:
    """A Redis server, reached through one pool of connections per process. Threads may share it.

    No command is repeated: only the caller knows whether that is harmless. No error quotes the URL, which may contain a
    password. Options of redis-py follow as a query: ``?ssl_ca_certs=ca.pem``.
    """

    def __init__(self, url: str) -> None:
        self.description: Final = _describe(url)
        options: dict[str, Any] = {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_timeout": ANSWER_TIMEOUT}
        if url.startswith("rediss:") and "ssl_cert_reqs=" not in url:
            options["ssl_check_hostname"] = True  # redis-py checks it on its own from version 6 on
        try:
            # The pool opens nothing now. It keeps the connections of a process from those that the process forks.
            pool = redis.ConnectionPool.from_url(url, **options)
            known = pool.connection_kwargs
            known["decode_responses"] = False  # whatever the URL says: this package reads bytes
            pool.connection_class(**known)  # opens nothing either, and knows which options there are
            self._timeout: Final = float(known["socket_timeout"])
        except (TypeError, ValueError, redis.RedisError) as error:
            # Not chained: the original error may quote the password. (An option's name cannot contain one: _describe.)
            raise ConfigurationError(f"log={self.description!r} has an option that cannot be used: {error}") from None
        self._password = str(known.get("password") or "")
        self._process = os.getpid()
        self._client = redis.Redis(connection_pool=pool)
        self._closed = 0  # how often

    def ask(self, command: Callable[[redis.Redis], Any]) -> Any:
        """Return what a command of the client returns; ``LogError`` if the server refuses it, or cannot be asked."""
        if self._process != os.getpid():
            self._begin_anew()
        closed = self._closed
        try:
            return command(self._client)
        except (redis.AuthenticationError, redis.exceptions.AuthenticationWrongNumberOfArgsError):
            raise LogUnavailableError(
                f"{self.description} does not accept the user or the password of its URL"
            ) from None
        except redis.BusyLoadingError:
            raise LogUnavailableError(f"{self.description} is loading its data: try again in a moment") from None
        except redis.TimeoutError:
            raise LogUnavailableError(f"{self.description} does not answer within {self._timeout:g} s") from None
        except redis.exceptions.ReadOnlyError:
            raise LogUnavailableError(
                f"{self.description} is a replica, which takes no writes: name its primary"
            ) from None
        except redis.ResponseError as error:
            raise LogError(f"{self.description} refuses: {self._redacted(error)}") from None
        except (redis.RedisError, OSError) as error:
            raise LogUnavailableError(f"{self.description} cannot be reached: {self._redacted(error)}") from None
        finally:
            if closed != self._closed:  # by another thread, which left this command's connection open
                self._disconnect()

    def _begin_anew(self) -> None:
        """Make a new pool after a fork: a thread of the parent may have held the locks of the old one."""
        before = self._client.connection_pool
        pool = redis.ConnectionPool(before.connection_class, before.max_connections, **before.connection_kwargs)
        self._client = redis.Redis(connection_pool=pool)
        self._process = os.getpid()

    def close(self) -> None:
        """Close all connections, those of running commands when they end. The next command opens new ones."""
        self._closed += 1
        self._disconnect()

    def _disconnect(self) -> None:
        self._client.connection_pool.disconnect(inuse_connections=False)

    def _redacted(self, error: BaseException) -> str:
        """Return an error's text without the password, which a server that does not know AUTH repeats."""
        text = str(error).rstrip(".") or type(error).__name__
        return text.replace(self._password, "***") if self._password else text


def _describe(url: str) -> str:
    """Return a URL without password and options, or raise an error that does not quote the URL."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except (ValueError, TypeError, AttributeError):
        # This error quotes a part of the password if that contains an unquoted '/'.
        raise ConfigurationError(f"the URL of the log cannot be read: {_FORM}") from None
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ConfigurationError(f"the URL of the log is not a Redis URL: {_FORM}")
    # An unquoted '/', '?' or '#' in a password ends the authority early; the host then stands behind it.
    after = url.partition("://")[2].removeprefix(parts.netloc)
    if "@" in after or parts.fragment or (parts.scheme == "unix") == bool(parts.hostname):
        raise ConfigurationError(f"the URL of the log has no host where one belongs: {_FORM}")
    if parts.scheme == "unix" and not parts.path:
        raise ConfigurationError(f"the URL of the log names no socket: {_FORM}")
    # In redis://PASSWORD@host the password would be taken for a user, and printed. So a user needs a password.
    if parts.username and parts.password is None and not parse_qs(parts.query).get("password"):
        raise ConfigurationError(
            "the URL of the log has a user and no password: write redis://:password@host for a password alone, with a "
            "colon before it, and redis://user:@host for a user without a password",
        )
    user = f"{parts.username}@" if parts.username else ""
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    return f"{parts.scheme}://{user}{host}{port}{parts.path.rstrip('/')}"
