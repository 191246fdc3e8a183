"""Content types."""

import mimetypes

import pytest

from version_affinity.assets.loading.media import (
    checked_additions,
    content_type,
    extension,
    is_html,
    is_media,
    uncompressed,
)
from version_affinity.errors import ConfigurationError

JS = "text/javascript; charset=utf-8"
JSON = "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/index.html", "text/html; charset=utf-8"),
        ("/assets/index-BX4CeNGm.js", JS),
        ("/sw.mjs", JS),
        ("/lib.cjs", JS),
        ("/assets/index-BX4CeNGm.js.map", JSON),
        ("/data.json", JSON),
        ("/app.webmanifest", "application/manifest+json; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/logo.svg", "image/svg+xml; charset=utf-8"),
        ("/LOGO.SVG", "image/svg+xml; charset=utf-8"),
        ("/feed.xml", "application/xml; charset=utf-8"),
        ("/robots.txt", "text/plain; charset=utf-8"),
        ("/module.wasm", "application/wasm"),
        ("/font.woff2", "font/woff2"),
        ("/font.woff", "font/woff"),
        ("/photo.avif", "image/avif"),
        ("/photo.webp", "image/webp"),
        ("/photo.jxl", "image/jxl"),
        ("/photo.JPG", "image/jpeg"),
        ("/favicon.ico", "image/vnd.microsoft.icon"),
        ("/film.mp4", "video/mp4"),
        ("/film.webm", "video/webm"),
        ("/paper.pdf", "application/pdf"),
        ("/archive.tar.gz", "application/gzip"),
        ("/.well-known/apple-app-site-association", JSON),
        ("/LICENSE", "application/octet-stream"),
        ("/a.unknown", "application/octet-stream"),
        ("/.js", "application/octet-stream"),
        ("/v1.js/readme", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_type(path, expected):
    """A file's type follows from its last extension, text with its charset."""
    assert content_type(path) == expected


def test_additions_win():
    """A type that the caller adds wins over the table."""
    assert content_type("/a.mdl", {"mdl": "model/vnd.mdl"}) == "model/vnd.mdl"
    assert content_type("/a.js", {"js": "text/plain"}) == "text/plain"


@pytest.mark.parametrize(
    ("content_types", "path", "expected"),
    [
        (None, "/a.js", JS),
        ({}, "/a.js", JS),
        ({".mdl": "model/vnd.mdl"}, "/a.mdl", "model/vnd.mdl"),
        ({".MDL": "model/vnd.mdl"}, "/a.mDl", "model/vnd.mdl"),
        ({".js": "text/plain; charset=utf-8"}, "/a.js", "text/plain; charset=utf-8"),
        ({".é": 'text/x-e;a="b c";d=e'}, "/a.é".encode().decode("latin-1"), 'text/x-e;a="b c";d=e'),
    ],
)
def test_checked_additions(content_types, path, expected):
    """An extension with its dot, in capitals or not, gets the type that is written for it."""
    assert content_type(path, checked_additions(content_types)) == expected


@pytest.mark.parametrize(
    "content_types",
    [
        {"mdl": "model/mdl"},
        {"": "model/mdl"},
        {".": "model/mdl"},
        {".tar.gz": "application/gzip"},
        {"./a": "model/mdl"},
        {"/.a": "model/mdl"},
        {5: "model/mdl"},
        {b".a": "model/mdl"},
        {".a": "model"},
        {".a": "model/"},
        {".a": ""},
        {".a": "text/html\r\nX: y"},
        {".a": "text/html\n"},
        {".a": "text/html; charset"},
        {".a": "text/h\xe9"},
        {".a": b"text/html"},
        {".a": None},
        [(".a", "text/html")],
        ".a",
        5,
    ],
)
def test_bad_additions(content_types):
    """What is no extension, or no media type, is refused by the option's name; nothing breaks out of a header."""
    with pytest.raises(ConfigurationError, match="content_types"):
        checked_additions(content_types)


def test_independent_of_the_machine(monkeypatch):
    """The machine's own tables change nothing."""
    monkeypatch.setitem(mimetypes.types_map, ".js", "text/plain")
    assert content_type("/a.js") == JS


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/media/photo.jpg", True),
        ("/app.js", True),
        ("/data.json", True),
        ("/index.html", False),
        ("/page.xhtml", False),
        ("/about", False),
        ("/", False),
        ("/user/jane.doe", False),
        ("/release/v1.2", False),
        ("/app.js/", False),
        ("/.js", False),
    ],
)
def test_is_media(path, expected):
    """A path with a known extension other than HTML's wants a file, any other may be a page."""
    assert is_media(path) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("text/html", True),
        ("text/html; charset=utf-8", True),
        ("Text/HTML ;charset=x", True),
        ("application/xhtml+xml", True),
        ("text/html-fragment", False),
        ("text/plain", False),
    ],
)
def test_is_html(kind, expected):
    """HTML and XHTML are documents, whatever their parameters."""
    assert is_html(kind) is expected


@pytest.mark.parametrize(("path", "expected"), [("/a.B", "b"), ("/a.b/c", ""), ("/.b", ""), ("a.", ""), ("a.b.c", "c")])
def test_extension(path, expected):
    """The extension is what follows the last dot of the last segment, unless the name begins there."""
    assert extension(path) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("app.js", "app.js"), ("app.js.map.gz", "app.js.map"), ("a.js.br.gz.zst", "a.js"), (".gz", "")],
)
def test_uncompressed(name, expected):
    """The endings of compressed files are taken off, all of them."""
    assert uncompressed(name) == expected
