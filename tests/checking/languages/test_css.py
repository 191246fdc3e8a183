"""The references of style sheets."""

from __future__ import annotations

import pytest

from tests.checking.sites import found
from version_affinity.checking.languages import css
from version_affinity.checking.references import Need


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a { background: url(b.png) }", [("url()", "b.png")]),
        ("a { background: url( 'b c.png' ) }", [("url()", "b c.png")]),
        ('a { background: URL("b.png") }', [("url()", "b.png")]),
        ("a { background: url(b\\29.png) }", [("url()", "b).png")]),
        ("a{background:url(a.png),url(b.png)}", [("url()", "a.png"), ("url()", "b.png")]),
        ("@media print { a { mask: url(m.svg#x) } }", [("url()", "m.svg#x")]),
        ("@font-face { src: local('A'), url(a.woff2) format('woff2') }", [("url()", "a.woff2")]),
        (":root { --hero: url(hero.png) }", [("url()", "hero.png")]),
        # Of a style attribute.
        ("background: url(b.png); color: red", [("url()", "b.png")]),
        # Imports.
        ("@import 'a.css';", [("@import", "a.css")]),
        ("@import url(a.css) layer(b) supports(display: grid) screen;", [("@import", "a.css")]),
        ('@IMPORT url("a.css");@import/**/"b.css"', [("@import", "a.css"), ("@import", "b.css")]),
        ("@import;a{b:url(c.png)}", [("url()", "c.png")]),
        # Sets of images: what type() says is none.
        (
            "a { b: image-set('a.avif' type('image/avif') 1x, url(b.png) 2x) }",
            [("image-set()", "a.avif"), ("url()", "b.png")],
        ),
        ("a { b: -webkit-image-set(url(a.png) 1x) }", [("url()", "a.png")]),
        # What is fetched by nobody: namespaces, comments, strings, parts of the own document, and nothing at all.
        ("@namespace svg url(http://www.w3.org/2000/svg);@namespace 'x';a{b:url(c.png)}", [("url()", "c.png")]),
        ("@supports (mask: url(a.png)) and (b: c) { a { mask: url(b.png) } }", [("url()", "b.png")]),
        ("/* url(a.png) */ a::before { content: 'url(b.png)' }", []),
        ("a { mask: url(#m); filter: url(' #f'); b: url() }", []),
        ("/*# sourceMappingURL=a.css.map */", []),
    ],
)
def test_references(text: str, expected: list[tuple[str, str]]) -> None:
    """What a style sheet fetches is found in all its spellings, and nothing else."""
    assert found(css.css_references(text)) == expected
    assert css.css_references(text).faults == ()


def test_lines() -> None:
    """A reference is told with its line, counted from that of the style sheet in its document."""
    document = css.css_references("a{}\n\nb { c: url(d.png) }\n@import 'e.css';", first_line=10)
    assert [(reference.text, reference.line) for reference in document.references] == [("d.png", 12), ("e.css", 13)]


def test_needs() -> None:
    """A style sheet must be a file of the version; an image without an extension may be the application's."""
    document = css.css_references("@import 'a.css'; b { c: url(d) }")
    assert [reference.need for reference in document.references] == [Need.FILE, Need.CONTENT]


@pytest.mark.parametrize(
    ("text", "line"),
    [("a { b: 'open\n }", 1), ("\na { b: url(c 'd') }", 2), ("a { b: url(c(d) }", 1)],
)
def test_faults(text: str, line: int) -> None:
    """What cannot be parsed is told with its line."""
    (fault,) = css.css_references(text).faults
    assert fault.line == line


def test_faults_are_bounded() -> None:
    """A file full of faults is told with some of them."""
    assert len(css.css_references("'\n" * 1000).faults) == 10


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a\xc3\xa9", "a\xe9"),
        (b"\xef\xbb\xbfa", "a"),
        (b"\xff\xfea\x00", "a"),
        (b"\xfe\xff\x00a", "a"),
        (b"a\xff", "a\ufffd"),
    ],
)
def test_decoded(data: bytes, expected: str) -> None:
    """Text is decoded as browsers decode what comes with ``charset=utf-8``."""
    assert css.decoded(data) == expected
