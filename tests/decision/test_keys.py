"""Key sources: cookies, headers, callables, and how each is named."""

from __future__ import annotations

from typing import Any

import pytest

from version_affinity import Cookie, Header
from version_affinity.decision.keys import environ_key, key_bytes, label_of


@pytest.mark.parametrize(
    ("source", "environ", "key"),
    [
        (Cookie("id"), {"HTTP_COOKIE": "id=42"}, b"42"),
        (Cookie("id"), {"HTTP_COOKIE": "id=\xc3\xa9"}, "é".encode()),
        (Cookie("id"), {"HTTP_COOKIE": "a=1"}, b""),
        (Cookie("id"), {"HTTP_COOKIE": ""}, None),
        (Cookie("id"), {}, None),
        (Header("X-User-Id"), {"HTTP_X_USER_ID": "42"}, b"42"),
        (Header("x-user-ID"), {"HTTP_X_USER_ID": " 42\t"}, b"42"),
        (Header("X-User-Id"), {"HTTP_X_USER_ID": "\xff"}, b"\xff"),
        (Header("X-User-Id"), {"HTTP_X_USER_ID": "  "}, b""),
        (Header("X-User-Id"), {"HTTP_X_USER_ID": ""}, None),
        (Header("X-User-Id"), {}, None),
        (Header("Content-Type"), {"CONTENT_TYPE": "text/css"}, b"text/css"),
    ],
)
def test_source(source: Cookie | Header, environ: dict[str, Any], key: bytes | None) -> None:
    """A source yields the bytes that were on the wire, or nothing."""
    assert source(environ) == key


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("alice", b"alice"),
        ("é", b"\xc3\xa9"),
        ("\udcff", b"\xed\xb3\xbf"),
        (b"\xff", b"\xff"),
        ("", None),
        (b"", None),
        (None, None),
    ],
)
def test_key_bytes(key: str | bytes | None, expected: bytes | None) -> None:
    """What a callable yields becomes bytes, text as UTF-8; empty is absent."""
    assert key_bytes(key) == expected


@pytest.mark.parametrize("key", [42, 4.2, True, ["a"], object(), bytearray(b"a")])
def test_no_key(key: object) -> None:
    """Anything else is no key."""
    with pytest.raises(TypeError, match="must yield str, bytes or None"):
        key_bytes(key)


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("Version-Override", "HTTP_VERSION_OVERRIDE"),
        ("x-user-id", "HTTP_X_USER_ID"),
        ("Content-Type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
    ],
)
def test_environ_key(field: str, key: str) -> None:
    """A field's name becomes the environ's key of PEP 3333."""
    assert environ_key(field) == key


class Session:
    """A key source that is an object."""

    def __call__(self, environ: dict[str, Any]) -> None:
        """Yield nothing."""


class Labelled(Session):
    """A key source with a label that would end the header's line."""

    label = 'tenant"\r\nSet-Cookie: a=b'


def tenant(environ: dict[str, Any]) -> None:
    """Yield nothing."""


def quoted() -> Session:
    """Return a key source whose name cannot stand in a header."""
    source: Session = type('a"b\\c\r\né', (Session,), {})()
    return source


@pytest.mark.parametrize(
    ("source", "label"),
    [
        (Cookie("user_id"), "cookie:user_id"),
        (Header("X-User-Id"), "header:X-User-Id"),
        (tenant, "callable:tenant"),
        (Session(), "callable:Session"),
        (Labelled(), "callable:Labelled"),
        (quoted(), "callable:a?b?c???"),
    ],
)
def test_label(source: Any, label: str) -> None:
    """A source is named by what it is, in characters that a header's String can carry; never by a key."""
    assert label_of(source) == label


def test_sources_are_values() -> None:
    """Sources of one name are equal, hash alike and cannot be changed; a cookie is no header."""
    assert Cookie("a") == Cookie("a") != Cookie("b")
    assert len({Cookie("a"), Cookie("a"), Header("a")}) == 2
    with pytest.raises(AttributeError):
        Cookie("a").name = "b"  # type: ignore[misc]
