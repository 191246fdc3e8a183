"""Key sources: where the version key of a request is found.

A key source is ``Cookie(name)``, ``Header(name)`` or any callable ``(environ) -> str | bytes | None``. It returns the
version key, which identifies a user; None or nothing if the request has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from version_affinity.errors import ConfigurationError
from version_affinity.wire import is_token, wire_bytes

from .cookies import cookie_finder

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

KeySource: TypeAlias = "Callable[[WSGIEnvironment], str | bytes | None]"


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie whose value is the version key.

    Use one whose value stays the same for a user: an id, not a token that is renewed. Flask's own ``session`` cookie
    changes whenever the session's content does.

    Args:
        name: The cookie's name, as sent.

    Raises:
        ConfigurationError: the name cannot be a cookie's name (RFC 6265 section 4.1.1).

    >>> Cookie("user_id")({"HTTP_COOKIE": "theme=dark; user_id=42"})
    b'42'
    """

    name: str
    label: str = field(init=False, repr=False, compare=False)
    _find: Callable[[str], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_token("Cookie", self.name, "user_id")
        object.__setattr__(self, "label", f"cookie:{self.name}")
        object.__setattr__(self, "_find", cookie_finder(self.name))

    def __call__(self, environ: WSGIEnvironment) -> bytes | None:
        """Return the key of a request, None or nothing without one."""
        header = environ.get("HTTP_COOKIE")
        if not header:
            return None
        value = self._find(header)
        return value.encode() if value.isascii() else wire_bytes(value)


@dataclass(frozen=True, slots=True)
class Header:
    """A request header whose value is the version key.

    A client can send any header. A client that chooses its version key chooses its version, no more.

    Args:
        name: The field's name, in any case.

    Raises:
        ConfigurationError: the name cannot be a field's name (RFC 9110 section 5.1).

    >>> Header("X-User-Id")({"HTTP_X_USER_ID": "42"})
    b'42'
    """

    name: str
    label: str = field(init=False, repr=False, compare=False)
    environ_key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_token("Header", self.name, "X-User-Id")
        object.__setattr__(self, "label", f"header:{self.name}")
        object.__setattr__(self, "environ_key", environ_key(self.name))

    def __call__(self, environ: WSGIEnvironment) -> bytes | None:
        """Return the key of a request, None without one."""
        value = environ.get(self.environ_key)
        return wire_bytes(value.strip(" \t")) if value else None


def environ_key(field_name: str) -> str:
    """Return the name under which a WSGI environ holds a request header (PEP 3333, RFC 3875 section 4.1.18)."""
    name = field_name.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def label_of(source: KeySource) -> str:
    """Return how a key source is named in decisions, traces and logs; never the key itself."""
    if isinstance(source, Cookie | Header):
        return source.label
    name = getattr(source, "__qualname__", None) or type(source).__name__
    # The trace header carries it as an RFC 9651 String: printable ASCII.
    return "callable:" + re.sub(r"[^\x20-\x7e]|[\"\\]", "?", str(name))[:64]


def key_bytes(key: object) -> bytes | None:
    """Return a key that a source yielded as bytes, None when there is none; ``TypeError`` if it is something else."""
    if key is None or isinstance(key, bytes):
        return key or None
    if isinstance(key, str):
        return key.encode("utf-8", "surrogatepass") or None
    raise TypeError(f"a key source must yield str, bytes or None, not {type(key).__name__}")


def check_keys(keys: object) -> tuple[KeySource, ...]:
    """Return the configured key sources, or raise ``ConfigurationError``."""
    if isinstance(keys, str | bytes) or callable(keys) or not isinstance(keys, Iterable):
        raise ConfigurationError(
            f"keys={keys!r} is not a list of key sources: write keys=[Cookie('user_id'), Header('X-User-Id')]",
        )
    sources = tuple(keys)
    for source in sources:
        if not callable(source) or isinstance(source, type):
            raise ConfigurationError(
                f"keys contains {source!r}, which is not a key source: use Cookie(name), Header(name) or a callable "
                "that takes the environ",
            )
    return sources


def _check_token(kind: str, name: object, example: str) -> None:
    if not is_token(name):
        raise ConfigurationError(
            f"{kind}({name!r}) cannot be the name of a cookie or header: write it as sent, e.g. {example!r}"
        )
