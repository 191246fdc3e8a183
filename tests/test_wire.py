"""Text and bytes of WSGI, and the grammars of HTTP fields and URLs."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.wire import (
    file_name,
    is_token,
    plain_text,
    printable,
    quoted_as_browsers,
    quoted_components,
    quoted_path,
    requoted_fragment,
    requoted_path,
    requoted_query,
    shown,
    unquoted,
    wire_bytes,
    without_dots,
    wsgi_path,
    wsgi_text,
)

ANY = st.text(st.characters(exclude_categories=()), max_size=40)
BYTES = st.binary(max_size=40)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("abc", b"abc"), ("\xe9", b"\xe9"), ("\xc3\xa9", b"\xc3\xa9"), ("日", "日".encode()), ("\udcff", b"\xed\xb3\xbf")],
)
def test_wire_bytes(text: str, expected: bytes) -> None:
    """Header text turns back into the bytes on the wire; text that no server makes does not raise."""
    assert wire_bytes(text) == expected


@given(BYTES)
def test_text_and_back(data: bytes) -> None:
    """Bytes become text as WSGI shows them, as people write them and as file names are, and the same bytes again."""
    text = data.decode("latin-1")
    assert wire_bytes(text) == data
    assert wsgi_text(plain_text(text)) == text
    assert wsgi_path(file_name(text)) == text


@given(ANY)
def test_no_text_raises(text: str) -> None:
    """No text raises, not even text that no server makes."""
    for function in (wsgi_text, plain_text, file_name, shown, unquoted, quoted_path, quoted_components, is_token):
        function(text)
    assert wire_bytes(wsgi_text(text)).decode("utf-8", "replace").isascii() == text.isascii()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("/caf\xc3\xa9", "/caf\xe9"), ("/\xe9", "/\\xe9"), ("/a\x1b[31m", "/a\\x1b[31m"), ("/a", "/a")],
)
def test_shown(text: str, expected: str) -> None:
    """A path is shown as people write it, and does nothing to a terminal."""
    assert shown(text) == expected


@given(ANY)
def test_printable(text: str) -> None:
    """Text that is shown holds no control characters, and can be encoded."""
    assert printable(text).encode().decode() == printable(text)
    assert {"Cc", "Cs", "Zl", "Zp"}.isdisjoint(map(unicodedata.category, printable(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-Id", True),
        ("__Host-a", True),
        ("~!", True),
        ("", False),
        ("a b", False),
        ("a\n", False),
        ("\xe9", False),
        (7, False),
    ],
)
def test_tokens(text: object, expected: bool) -> None:
    """A token is what RFC 9110 section 5.6.2 lets it be."""
    assert is_token(text) is expected


@given(BYTES)
def test_quoted(data: bytes) -> None:
    """A quoted path is ASCII that stands for the same bytes."""
    for quote in (quoted_path, quoted_components, quoted_as_browsers):
        quoted = quote(data.decode("latin-1"))
        assert quoted.isascii()
        assert unquote_to_bytes(quoted) == data


@pytest.mark.parametrize(
    ("text", "path", "query", "fragment"),
    [
        ("/a b", "/a%20b", "/a%20b", "/a%20b"),
        ("/%41%4", "/%41%254", "/%41%254", "/%41%254"),
        ("a?b#c", "a%3Fb%23c", "a?b%23c", "a?b#c"),
        ("\xe9[|]", "%E9%5B%7C%5D", "%E9%5B%7C%5D", "%E9%5B%7C%5D"),
        ("!$&'()*+,;=:@-._~", *(["!$&'()*+,;=:@-._~"] * 3)),
    ],
)
def test_requoted(text: str, path: str, query: str, fragment: str) -> None:
    """A part of a URL keeps what it may hold and what is encoded already (RFC 3986 sections 3.3 to 3.5)."""
    assert (requoted_path(text), requoted_query(text), requoted_fragment(text)) == (path, query, fragment)


@given(ANY)
def test_requoted_once(text: str) -> None:
    """What is quoted already stays as it is."""
    for requote in (requoted_path, requoted_query, requoted_fragment):
        assert requote(requote(text)) == requote(text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("/../../a", "/a"),
        ("/a/b/../c", "/a/c"),
        ("/a//../b", "/a/b"),
        ("/%2e%2E/a/%2e", "/a/"),
        ("/a/...", "/a/..."),
        ("/..a/.b", "/..a/.b"),
        ("/a/%2e%2e%2f", "/a/%2e%2e%2f"),
    ],
)
def test_dots(path: str, expected: str) -> None:
    """``.`` and ``..`` are followed as a browser does, percent-encoded too, and nothing else is."""
    assert without_dots(path) == expected


@given(st.text(st.sampled_from("/.a%2eE"), max_size=20).map("/{}".format))
def test_dots_once(path: str) -> None:
    """A path without dots has nothing more to resolve, and begins with a slash."""
    assert without_dots(without_dots(path)) == without_dots(path)
    assert without_dots(path).startswith("/")
