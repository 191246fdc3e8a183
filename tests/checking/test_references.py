"""What URLs and module specifiers mean: the URL standard, import maps, and web app manifests."""

from __future__ import annotations

import json
from urllib.parse import urljoin

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.checking.sites import found
from version_affinity.checking.languages import web_manifest
from version_affinity.checking.languages.import_map import ImportMap, parse_import_maps
from version_affinity.checking.references import EXTERNAL, Need, clipped, request_path, resolve


@pytest.mark.parametrize(
    ("text", "base", "expected"),
    [
        ("a.js", "/", "/a.js"),
        ("a.js", "/b/c", "/b/a.js"),
        ("/a.js", "/b/c", "/a.js"),
        ("./a.js", "/b/c/", "/b/c/a.js"),
        ("../a.js", "/b/c/", "/b/a.js"),
        ("../../../a.js", "/b/c/", "/a.js"),
        ("..", "/b/c/", "/b/"),
        (".", "/b/c", "/b/"),
        ("%2e%2E/a.js", "/b/c/", "/b/a.js"),
        ("a/./b/../c", "/", "/a/c"),
        ("a.js?b#c", "/", "/a.js"),
        ("?a", "/b", "/b"),
        ("", "/b", "/b"),
        ("a//b", "/", "/a//b"),
        ("a b", "/", "/a b"),
        ("b\xe9.js", "/", "/b\xe9.js"),
        # As browsers read what people write.
        ("  \t/a.js\n", "/", "/a.js"),
        ("/a\n.js", "/", "/a.js"),
        ("\\a\\b.js", "/", "/a/b.js"),
        # Elsewhere.
        ("https://x.example/a.js", "/", EXTERNAL),
        ("//x.example/a.js", "/", EXTERNAL),
        ("\\\\x.example/a.js", "/", EXTERNAL),
        ("data:,a", "/", EXTERNAL),
        ("blob:a", "/", EXTERNAL),
        ("a.js", EXTERNAL, EXTERNAL),
        ("1a:b", "/", "/1a:b"),
    ],
)
def test_resolve(text: str, base: str, expected: str) -> None:
    """A URL means the path that the URL standard says."""
    assert resolve(text, base) == expected


@given(st.text("a./"), st.text("a./"))
def test_resolve_agrees(text: str, base: str) -> None:
    """Dots are resolved as the standard library does it."""
    assume("//" not in f"/{base}" and "//" not in text)
    base = resolve(f"/{base}", "/")
    assert f"http://x.example{resolve(text, base)}" == urljoin(f"http://x.example{base}", text)


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/a", "/a"), ("/caf%C3%A9", "/caf\xc3\xa9"), ("/caf\xe9", "/caf\xc3\xa9"), ("/100%", "/100%"), ("/%ff", "/\xff")],
)
def test_request_path(path: str, expected: str) -> None:
    """A URL's path becomes what a server makes of it."""
    assert request_path(path) == expected


@given(st.text(st.characters(exclude_categories=())))
def test_clipped(text: str) -> None:
    """Whatever a file holds, what is shown of it can be encoded, and is short."""
    assert clipped(text).encode().decode() == clipped(text)
    assert len(clipped(text * 900)) <= 200 * len("\\U0010ffff")


MAP = """{
  "imports": {
    "a": "/vendor/a.js", "b/": "./b/", "b/c": "/c.js", "/assets/old.js": "/assets/new.js",
    "cdn": "https://x.example/d.js", "none": null, "bare": "e.js", "up": "../f.js"
  },
  "scopes": { "/app/": { "a": "/app/a.js", "d": "/1.js" }, "/app/deep/": { "b/": "/deep/", "d": "/2.js" } }
}"""


@pytest.mark.parametrize(
    ("specifier", "base", "expected"),
    [
        ("a", "/x.js", "/vendor/a.js"),
        ("a", "/app/x.js", "/app/a.js"),
        ("a", "/app/deep/x.js", "/app/a.js"),
        ("b/x.js", "/x.js", "/page/b/x.js"),
        ("b/x.js", "/app/deep/x.js", "/deep/x.js"),
        ("d", "/app/x.js", "/1.js"),
        ("d", "/app/deep/x.js", "/2.js"),
        ("b/c", "/x.js", "/c.js"),
        ("./old.js", "/assets/x.js", "/assets/new.js"),
        ("/assets/old.js", "/x.js", "/assets/new.js"),
        ("./other.js", "/assets/x.js", "/assets/other.js"),
        ("cdn", "/x.js", EXTERNAL),
        ("https://y.example/z.js", "/x.js", EXTERNAL),
        ("node:fs", "/x.js", EXTERNAL),
        ("up", "/x.js", "/f.js"),
        # No URL, and no address: unknown, forbidden, or an address that is none.
        ("react", "/x.js", None),
        ("none", "/x.js", None),
        ("bare", "/x.js", None),
        ("b", "/x.js", None),
    ],
)
def test_import_map(specifier: str, base: str, expected: str | None) -> None:
    """A specifier means what the HTML standard makes of it, with the map of the page."""
    imports, _, faults = parse_import_maps([(1, MAP)], "/page/")
    assert (imports.address_of(specifier, base), faults) == (expected, ())


def test_import_map_addresses() -> None:
    """The addresses of a map are references of its page; a directory need not be a file."""
    _, references, _ = parse_import_maps([(7, '{"imports": {"a": "./a.js", "b/": "/b/", "c": "c.js"}}')], "/page/")
    assert [(one.text, one.line, one.need) for one in references] == [
        ("./a.js", 7, Need.FILE),
        ("/b/", 7, Need.CONTENT),
    ]


def test_import_maps() -> None:
    """Of several maps that name a specifier, the first one counts."""
    imports, _, _ = parse_import_maps(
        [(1, '{"imports": {"a": "/1.js"}}'), (2, '{"imports": {"a": "/2.js", "b": "/3.js"}}')], "/"
    )
    assert (imports.address_of("a", "/"), imports.address_of("b", "/")) == ("/1.js", "/3.js")


@pytest.mark.parametrize("text", ["", "{", "[]", "1", '"a"', "[" * 100_000, '{"imports": []}', '{"scopes": {"a": 1}}'])
def test_import_map_faults(text: str) -> None:
    """A map that is none is a fault at most, and knows nothing."""
    imports, references, faults = parse_import_maps([(3, text)], "/")
    assert (imports.address_of("./a.js", "/"), references) == ("/a.js", ())
    assert {fault.line for fault in faults} <= {3}
    assert bool(faults) is not text.startswith('{"')
    assert isinstance(imports, ImportMap)


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        ({"icons": [{"src": "a.png"}, {"src": "/b.png"}]}, [("icons", "a.png"), ("icons", "/b.png")]),
        ({"screenshots": [{"src": "a.png"}], "start_url": "."}, [("screenshots", "a.png"), ("start_url", ".")]),
        (
            {"shortcuts": [{"url": "/new", "icons": [{"src": "a.png"}]}], "share_target": {"action": "/share"}},
            [("shortcuts", "/new"), ("shortcuts", "a.png"), ("share_target", "/share")],
        ),
        ({"file_handlers": [{"action": "/open"}]}, [("file_handlers", "/open")]),
        ({"name": "x", "icons": "a.png", "shortcuts": [1], "start_url": 1, "share_target": None}, []),
    ],
)
def test_web_manifest(manifest: dict[str, object], expected: list[tuple[str, str]]) -> None:
    """The images and pages of a web app manifest are found, in whatever shape it is."""
    assert found(web_manifest.manifest_references(json.dumps(manifest).encode())) == expected


def test_web_manifest_lines() -> None:
    """A reference is told with the line that it stands in."""
    document = web_manifest.manifest_references(b'{\n "icons": [\n  {"src": "a.png"}\n]}')
    assert [reference.line for reference in document.references] == [3]


@pytest.mark.parametrize(
    ("data", "line"), [(b"", 1), (b'{\n"a": }', 2), (b"[]", 1), (b"[" * 100_000, 1), (b"\xff", 1), (b"1" * 5000, 1)]
)
def test_web_manifest_faults(data: bytes, line: int) -> None:
    """What is no manifest is a fault."""
    document = web_manifest.manifest_references(data)
    assert (document.references, [fault.line for fault in document.faults]) == ((), [line])
