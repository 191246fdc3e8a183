"""The references of HTML files, and of the scripts and style sheets in them."""

from __future__ import annotations

import pytest

from tests.checking.sites import PAGE, found
from version_affinity.checking.languages import html
from version_affinity.checking.references import Base, Need, Reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ('<script src="/a.js"></script>', [("<script src>", "/a.js")]),
        ("<SCRIPT SRC=/a.js></SCRIPT>", [("<script src>", "/a.js")]),
        ('<script type="module" src="a.js"></script>', [("<script src>", "a.js")]),
        ('<script type="text/template" src="a.js"></script>', []),
        ('<script type="importmap">{"imports": {"a": "/a.js"}}</script>', []),  # its addresses come with import_maps
        ('<script type="application/json">{"src": "a.js"}</script>', []),
        ("<img src=a.png><img srcset='b.png 1x, c.png 2x'>", [("<img src>", "a.png")] + [
            ("<img srcset>", name) for name in ("b.png", "c.png")
        ]),
        ("<picture><source srcset=a.avif><img src=b.png></picture>", [
            ("<source srcset>", "a.avif"), ("<img src>", "b.png"),
        ]),
        ("<video src=a.mp4 poster=b.png><track src=c.vtt></video><audio src=d.mp3></audio>", [
            ("<video src>", "a.mp4"), ("<video poster>", "b.png"), ("<track src>", "c.vtt"), ("<audio src>", "d.mp3"),
        ]),
        ("<object data=a.pdf></object><embed src=b.pdf><input type=image src=c.png>", [
            ("<object data>", "a.pdf"), ("<embed src>", "b.pdf"), ("<input src>", "c.png"),
        ]),
        ("<svg><use href='a.svg#b'/><image xlink:href=c.png /><script href=d.js /></svg>", [
            ("<use href>", "a.svg#b"), ("<image xlink:href>", "c.png"), ("<script href>", "d.js"),
        ]),
        ("<link rel=stylesheet href=a.css>", [("<link stylesheet>", "a.css")]),
        ("<link rel='alternate stylesheet' href=a.css>", [("<link stylesheet>", "a.css")]),
        ("<link rel='shortcut icon' href=a.ico>", [("<link icon>", "a.ico")]),
        ("<link rel=modulepreload href=a.js>", [("<link modulepreload>", "a.js")]),
        ("<link rel=preload as=image imagesrcset='a.png 1x, b.png 2x' href=c.png>", [
            ("<link preload>", "c.png"), ("<link imagesrcset>", "a.png"), ("<link imagesrcset>", "b.png"),
        ]),
        ("<link rel=canonical href=a><link rel=preconnect href=b><link href=c><link rel=icon>", []),
        ("<a href=a></a><area href=b><form action=c><button formaction=d></form><iframe src=e></iframe>", [
            ("<a href>", "a"), ("<area href>", "b"), ("<form action>", "c"), ("<button formaction>", "d"),
            ("<iframe src>", "e"),
        ]),
        ("<meta http-equiv=refresh content='5; URL=/next'>", [("<meta refresh>", "/next")]),
        ("<meta http-equiv=refresh content='5;url=\"/a b\" c'>", [("<meta refresh>", "/a b")]),
        ("<meta http-equiv=refresh content=5>", []),
        # Styles and scripts in the document.
        ("<style>@import 'a.css'; b { c: url(d.png) }</style>", [("@import", "a.css"), ("url()", "d.png")]),
        ("<p style='background: url(&quot;a.png&quot;)'>", [("url()", "a.png")]),
        ("<script type=module>import './a.js'; import('b')</script>", [("import", "./a.js"), ("import()", "b")]),
        # Vite's legacy builds.
        ("<script nomodule id=vite-legacy-entry data-src=/a.js>System.import(b)</script>", [
            ("<script data-src>", "/a.js"),
        ]),
        ("<script id=other data-src=/a.js></script>", []),
        # What no browser fetches: comments, data, templates; but a shadow root is no template.
        ("<!-- <img src=a.png> --><textarea><img src=b.png></textarea>", []),
        ("<template><img src=a.png></template>", []),
        ("<div><template shadowrootmode=open><img src=a.png></template></div>", [("<img src>", "a.png")]),
        ("<noscript><img src=a.png></noscript>", [("<img src>", "a.png")]),
        ("<img src=''><a href='#top'></a><img src='  '>", []),
        # As the HTML standard has it, not as it looks.
        ("<img src='a.png' src='b.png'>", [("<img src>", "a.png")]),
        ("<image src=a.png>", [("<img src>", "a.png")]),
        ("<img src=a.png&amp;b>", [("<img src>", "a.png&b")]),
        ("<script>'<!--<script>'</script><img src=a.png>", []),
    ],
)  # fmt: skip
def test_references(text: str, expected: list[tuple[str, str]]) -> None:
    """What a page fetches or leads to is found as a browser finds it, and nothing else."""
    assert found(html.html_references(text.encode())) == expected


@pytest.mark.parametrize(
    ("srcset", "expected"),
    [
        ("a.png", ["a.png"]),
        ("a.png, b.png 2x", ["a.png", "b.png"]),
        ("a.png 1x,b.png 2x", ["a.png", "b.png"]),
        ("a,b.png 100w, c.png 200w", ["a,b.png", "c.png"]),
        ("a.png,, b.png", ["a.png", "b.png"]),
        (" , a.png (x,y) 1x , b.png", ["a.png", "b.png"]),
        ("data:image/png;base64,AAAA 1x, b.png 2x", ["data:image/png;base64,AAAA", "b.png"]),
        (" ,", []),
    ],
)
def test_srcset(srcset: str, expected: list[str]) -> None:
    """The candidates of a set are told apart as the HTML standard does it."""
    document = html.html_references(f'<img srcset="{srcset}">'.encode())
    assert [reference.text for reference in document.references] == expected


def test_lines() -> None:
    """References of elements, scripts and style sheets are told with their lines in the file."""
    text = "<!doctype html>\n<img\n src=a.png>\n<script>\n\nimport('./b.js')</script>\n<style>\nc{d:url(e.png)}</style>"
    assert html.html_references(text.encode()).references == (
        Reference("<img src>", "a.png", 2, Need.CONTENT, Base.FILE),
        Reference("import()", "./b.js", 6, Need.FILE, Base.SPECIFIER),
        Reference("url()", "e.png", 8, Need.CONTENT, Base.FILE),
    )


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("<script src=a></script>", Need.FILE),
        ("<link rel=stylesheet href=a>", Need.FILE),
        ("<link rel=preload as=script href=a>", Need.FILE),
        ("<link rel=preload as=fetch href=a>", Need.CONTENT),
        ("<img src=a>", Need.CONTENT),
        ("<link rel=manifest href=a>", Need.CONTENT),
        ("<link rel=prefetch href=a>", Need.PAGE),
        ("<a href=a>", Need.PAGE),
    ],
)
def test_needs(text: str, need: Need) -> None:
    """Code must be a file of the version, content may be the application's, and a page is anybody's."""
    (reference,) = html.html_references(text.encode()).references
    assert reference.need is need


def test_document() -> None:
    """The first base that has a URL, all import maps with their lines, and a missing doctype are told."""
    document = html.html_references(
        b'<base target=_top><base href="/b/">\n<script type=importmap>{}</script><base href="/c/">'
    )
    assert (document.base, document.import_maps, document.is_partial) == ("/b/", ((2, "{}"),), True)
    document = html.html_references(f'{PAGE}<base href="/b/"><base href="/c/">'.encode())
    assert (document.base, document.is_partial) == ("/b/", False)


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf<img src=a.png>", b"<img src=a.png>\xff\xfe", b"<\0img><img src=a.png>"]
)
def test_bytes(data: bytes) -> None:
    """A byte order mark and bytes that are no UTF-8 hide nothing."""
    assert found(html.html_references(data)) == [("<img src>", "a.png")]
