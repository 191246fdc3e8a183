"""Whole builds on disk: what of their references is broken, as browsers and the server have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.checking.sites import PAGE, checked, loaded, told
from version_affinity.checking import check_build
from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

#: A name that is fingerprinted, and nowhere.
GONE = "gone-Cl_2P7Ep"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ('<script src="/a.js"></script><script src="b.js"></script>', [("b.js", "/b.js")]),
        ('<script src="/a.js?v=1#x"></script>', []),
        ('<script src="https://x.example/b.js"></script><script src="//x.example/b.js"></script>', []),
        # Where pages are shown counts, not where they lie.
        ('<iframe src="/docs/"></iframe><object data="/docs/index.html"></object>', []),
        # Code must be a file; content with an extension too; a page is the application's, if it is nobody else's.
        ('<link rel="stylesheet" href="/theme">', [("/theme", "/theme")]),
        ('<img src="/avatar/7"><img src="/avatar/7.png">', [("/avatar/7.png", "/avatar/7.png")]),
        ('<a href="/about"></a><a href="/report.pdf"></a><form action="/search"></form>', []),
        (f'<a href="/assets/{GONE}.pdf"></a>', [(f"/assets/{GONE}.pdf", f"/assets/{GONE}.pdf")]),
        # A page is no script.
        ('<script src="/docs/"></script>', [("/docs/", "/docs/")]),
        # Names that are not ASCII, and their spellings.
        ('<img src="/b\xfccher/a b.png"><img src="/b%C3%BCcher/a%20b.png"><img src="/b%c3%bccher/a%20b.png">', []),
        # A path is decoded once: a file that is named "%ff.png" is at "/%25ff.png".
        ('<img src="/%25ff.png"><img src="/%ff.png">', [("/%ff.png", "/\\xff.png")]),
        ('<img src="/b%FCcher/a b.png">', [("/b%FCcher/a b.png", "/b\\xfccher/a b.png")]),
        ("<style>a{b:url(/b.png)}</style><p style='c:url(a.png)'>", [("/b.png", "/b.png"), ("a.png", "/a.png")]),
    ],
)
def test_page(page: str, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    """References of a page hold when a browser would get what they need."""
    files = {
        "index.html": PAGE + page, "a.js": "", "docs/index.html": PAGE, "assets/x.png": "", "b\xfccher/a b.png": "",
        "%ff.png": "",
    }  # fmt: skip
    report = checked(tmp_path, files)
    assert [(text, path) for _, text, path in told(report.broken)] == expected
    assert report.ok is (expected == [])
    assert (report.doubtful, report.faults) == ((), ())


@pytest.mark.parametrize(
    ("options", "file", "text", "broken"),
    [
        ({}, "docs/index.html", "a.js", []),
        ({}, "docs/page.html", "a.js", []),
        ({}, "docs/page.html", "../a.js", ["/a.js"]),
        ({"html_handling": "force-trailing-slash"}, "docs/page.html", "../a.js", []),
        ({"html_handling": "force-trailing-slash"}, "docs/page.html", "a.js", ["/docs/page/a.js"]),
        ({"html_handling": "drop-trailing-slash"}, "docs/index.html", "docs/a.js", []),
        ({"html_handling": "drop-trailing-slash"}, "docs/index.html", "a.js", ["/a.js"]),
        ({"html_handling": "none"}, "docs/index.html", "a.js", []),
    ],
)
def test_relative(options: dict[str, Any], file: str, text: str, broken: list[str], tmp_path: Path) -> None:
    """A relative reference is relative to the path at which its page is shown."""
    report = checked(tmp_path, {file: f'{PAGE}<script src="{text}"></script>', "docs/a.js": ""}, options)
    assert [one.path for one in report.broken] == broken


@pytest.mark.parametrize(
    ("head", "text", "holds"),
    [
        ('<base href="/b/">', "a.js", True),
        ('<base href="/b/">', "/a.js", False),
        ('<base href="b/c">', "a.js", True),
        ('<base href="https://x.example/">', "anything.js", True),
        ('<base href="https://x.example/">', "/anything.js", True),
    ],
)
def test_base(head: str, text: str, holds: bool, tmp_path: Path) -> None:
    """The base URL of a document is what its references, and its inline modules, are relative to."""
    page = f"{PAGE}{head}<script src='{text}'></script><script type=module>import './a.js'</script>"
    report = checked(tmp_path, {"index.html": page, "b/a.js": ""})
    assert report.ok is holds


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("/old.js /a.js 301", ""),
        ("/old.js /a.js 200", ""),
        ("/*.js /a.js 200", ""),
        ("/old.js https://x.example/a.js", ""),
        ("/old.js /older.js\n/older.js /a.js", ""),
        ("/old.js /b.js", "the file does not exist"),
        ("/old.js /b.js 200", "the file does not exist"),
        ("/old.js /index.html 200", "the file does not exist"),  # a page is shown where one is asked for
        ("/old.js / 302", "an HTML page is there, not a script or style sheet"),
        ("/old.js /older.js\n/older.js /old.js", "it redirects in a loop"),
    ],
)
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_redirects(rules: str, reason: str, prefix: str, tmp_path: Path) -> None:
    """A reference is followed through the rules of ``_redirects``."""
    files = {"index.html": f'{PAGE}<script src="{prefix}old.js"></script>', "a.js": "", "_redirects": rules}
    report = checked(tmp_path, files, prefix=prefix)
    assert [broken.reason for broken in report.broken] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["/api/b.js", "/shop/a.js", "/static/c.js"]),
        ({"app_first": ["/api/*", "/static/*"]}, ["/shop/a.js"]),
        ({"prefix": "/shop/"}, []),
        ({"prefix": "/shop"}, []),
        ({"prefix": "/other/"}, []),
        ({"app_first": ["/*"]}, []),
    ],
)
def test_applications_paths(settings: dict[str, Any], expected: list[str], tmp_path: Path) -> None:
    """What belongs to the application, by its patterns or outside of the mount, is not the version's to have."""
    page = "".join(f'<script src="{path}"></script>' for path in ("/shop/a.js", "/api/b.js", "/static/c.js"))
    report = checked(tmp_path, {"index.html": PAGE + page, "a.js": ""}, **settings)
    assert [broken.path for broken in report.broken] == expected


def test_mount(tmp_path: Path) -> None:
    """The mount without its slash is the version's too: it leads to the page there."""
    report = checked(tmp_path, {"index.html": f'{PAGE}<script src="/shop"></script>'}, prefix="/shop/")
    assert [broken.reason for broken in report.broken] == ["an HTML page is there, not a script or style sheet"]


def test_links(tmp_path: Path) -> None:
    """A link is broken where the version itself answers, with nothing."""
    files = {"index.html": f'{PAGE}<a href="/old"></a><a href="/older"></a><a href="/new"></a>'}
    rules = "/old /none 200\n/older /index.html 200\n"
    assert told(checked(tmp_path, files | {"_redirects": rules}).broken) == [("/index.html", "/old", "/old")]


def test_single_page_application(tmp_path: Path) -> None:
    """The document that answers at every path is no answer to what a page loads."""
    page = f'{PAGE}<a href="/any/where"></a><script src="/a.js"></script>'
    report = checked(tmp_path, {"index.html": page}, {"not_found_handling": "single-page-application"})
    assert told(report.broken) == [("/index.html", "/a.js", "/a.js")]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import './b.js'; import '../b.js'", [("./b.js", "/assets/b.js")]),
        ("import('/assets/c.js')", [("/assets/c.js", "/assets/c.js")]),
        ("import 'react'", [("react", "")]),
        ("export * from 'react'", [("react", "")]),
        # How scripts try out the browser, and what they load under Node alone.
        ("import('react').catch(() => 1); import('node:fs'); import.meta.resolve('x')", []),
        ("new URL('pic.png', import.meta.url); new URL('other.png', import.meta.url)", [
            ("other.png", "/assets/other.png"),
        ]),
        # A worker is relative to the page or to itself; importScripts to the worker.
        ("new Worker('b.js'); new Worker('assets/a.js'); new Worker('./x.js')", [("./x.js", "/x.js")]),
        ("importScripts('a.js', 'b.js')", [("b.js", "/assets/b.js")]),
        # The public path is any directory above.
        ('const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["assets/a.js","b.js","./pic.png"])))=>i', []),
        ('const __vite__mapDeps=(i,m=__vite__mapDeps,d=(m.f||(m.f=["assets/b.js"])))=>i', [
            ("assets/b.js", "/assets/b.js"),
        ]),
        ('self.webpackChunk=[];r.u=e=>"assets/"+{1:"pic-Cl_2P7Ep",2:"gone-Cl_2P7Ep"}[e]+".js"', [
            ("assets/gone-Cl_2P7Ep.js", "/assets/gone-Cl_2P7Ep.js"),
            ("assets/pic-Cl_2P7Ep.js", "/assets/pic-Cl_2P7Ep.js"),
        ]),
        # Strings: only a name that no one but a build tool gives, in a directory of the build.
        ("a = '/assets/gone-Cl_2P7Ep.png'; b = 'assets/gone-Cl_2P7Ep.svg'", [
            ("/assets/gone-Cl_2P7Ep.png", "/assets/gone-Cl_2P7Ep.png"),
            ("assets/gone-Cl_2P7Ep.svg", "/assets/gone-Cl_2P7Ep.svg"),
        ]),
        ("a = '/assets/gone.png'; b = '/other/gone.1a2b3c4d.png'; c = '/media/photo.jpg'", []),
    ],
)  # fmt: skip
def test_script(script: str, expected: list[tuple[str, str]], tmp_path: Path) -> None:
    """References of a script hold when one of their possible meanings does."""
    page = f'{PAGE}<script type="module" src="/assets/a.js"></script>'
    report = checked(tmp_path, {"index.html": page, "assets/a.js": script, "assets/pic.png": "", "b.js": ""})
    assert [(text, path) for _, text, path in told(report.broken)] == expected
    assert report.doubtful == ()


def test_meanings(tmp_path: Path) -> None:
    """A reference that may be to a path of the application holds, whatever else it may mean."""
    page = f'{PAGE}<script src="/assets/a.js"></script>'
    files = {"index.html": page, "assets/a.js": "new Worker('b.js')"}
    assert not checked(tmp_path, files).ok
    assert checked(tmp_path, files, app_first=["/b.js"]).ok
    assert checked(tmp_path, files, app_first=["/assets/b.js"]).ok


def test_import_maps(tmp_path: Path) -> None:
    """What a module's specifier means is up to the page that loads it: one page with an address for it is enough."""
    imports = '<script type="importmap">{"imports": {"lit": "/v/lit.js", "/a.js": "/v/a.js", "x": "./x.js"}}</script>'
    load = '<script type="module" src="/main.js"></script>'
    files = {
        "index.html": PAGE + imports + load,
        "plain.html": PAGE + load,
        "main.js": "import 'lit'; import './a.js'; import 'react'",
        "v/lit.js": "",
        "v/a.js": "",
    }
    assert told(checked(tmp_path, files).broken) == [("/index.html", "./x.js", "/x.js"), ("/main.js", "react", "")]


def test_bare_specifiers_of_others(tmp_path: Path) -> None:
    """A name that only an import map explains is broken where a page loads it, not in a library that lies there."""
    files = {"index.html": PAGE, "lib/esm/index.mjs": "import 'react'; export * from 'lodash'"}
    report = checked(tmp_path, files)
    assert (report.broken, report.doubtful) == ((), ())


def test_doubtful(tmp_path: Path) -> None:
    """A reference is a warning in a file with a stable name that no page loads, and with a placeholder in it."""
    files = {
        "index.html": f'{PAGE}<img src="/{{{{ user }}}}.png">',
        "lib/index.js": "import './missing.js'",
        f"assets/{GONE}.js": "import './missing.js'",
    }
    report = checked(tmp_path, files)
    assert told(report.broken) == [(f"/assets/{GONE}.js", "./missing.js", "/assets/missing.js")]
    assert told(report.doubtful) == [
        ("/index.html", "/{{ user }}.png", "/{{ user }}.png"),
        ("/lib/index.js", "./missing.js", "/lib/missing.js"),
    ]


def test_parts_of_pages(tmp_path: Path) -> None:
    """What is no page by itself, as it has no doctype, is relative to the pages that it is put into, too."""
    files = {"index.html": PAGE, "views/part.html": "<img src='images/a.png'><img src='b.png'>", "images/a.png": ""}
    report = checked(tmp_path, files)
    assert told(report.broken) == [("/views/part.html", "b.png", "/views/b.png")]


def test_web_manifest(tmp_path: Path) -> None:
    """A web app manifest is looked into, whatever its name, when a page links it."""
    manifest = '{"icons": [{"src": "a.png"}, {"src": "/b.png"}], "start_url": "."}'
    files = {
        "index.html": f'{PAGE}<link rel="manifest" href="/app/manifest.json">',
        "app/manifest.json": manifest,
        "app/other.json": '{"icons": [{"src": "c.png"}]}',
        "app/a.png": "",
    }
    report = checked(tmp_path, files)
    assert (report.broken, told(report.doubtful)) == ((), [("/app/manifest.json", "/b.png", "/b.png")])
    files["app/manifest.json"] = "{"
    (fault,) = checked(tmp_path, files | {"app/manifest.webmanifest": manifest}).faults
    assert fault.file == "/app/manifest.json"


def test_service_worker(tmp_path: Path) -> None:
    """Everything on a service worker's list must be there, though no page is known to load it."""
    listed = "define(['./workbox-33d6cbb8'], s => s.precacheAndRoute([{url: 'a.js', revision: null}]))"
    report = checked(tmp_path, {"index.html": PAGE, "app/sw.js": listed})
    assert told(report.broken) == [
        ("/app/sw.js", "./workbox-33d6cbb8.js", "/app/workbox-33d6cbb8.js"),
        ("/app/sw.js", "a.js", "/app/a.js"),
    ]


def test_missing_service_worker(tmp_path: Path) -> None:
    """A service worker that no version has may be a library's; one that is gone is missed."""
    files = {"index.html": f"{PAGE}<script>navigator.serviceWorker.register('/push.js')</script>"}
    report = checked(tmp_path, files, known={"v1": loaded(tmp_path, files)})
    assert (report.broken, told(report.doubtful)) == ((), [("/index.html", "/push.js", "/push.js")])
    report = checked(tmp_path, files, known={"v1": loaded(tmp_path, {"push.js": ""})})
    assert (told(report.broken), report.doubtful) == ([("/index.html", "/push.js", "/push.js")], ())


@pytest.mark.parametrize("file", [".vite/manifest.json", "manifest.json"])
def test_vite_manifest(file: str, tmp_path: Path) -> None:
    """What Vite's manifest names must be there: pages of an application load it, and what it loads."""
    files = {
        file: '{"src/a.ts": {"file": "assets/a-Cl_2P7Ep.js", "css": ["assets/a.css"], "assets": ["assets/b.png"]}}',
        "assets/a-Cl_2P7Ep.js": "import './lib.js'; import 'react'",
        "assets/lib.js": "import './missing.js'",
        "assets/b.png": "",
    }
    report = checked(tmp_path, files)
    assert told(report.broken) == sorted(
        [
            ("/assets/lib.js", "./missing.js", "/assets/missing.js"),
            (f"/{file}", "assets/a.css", "/assets/a.css"),
        ]
    )


def test_details(tmp_path: Path) -> None:
    """What is broken is told with file, line, kind, text, path, reason and the known versions that have it."""
    page = f"{PAGE}\n<p>\n<script src='assets/a.js?v=1'></script>"
    known = {
        "v0": loaded(tmp_path, {"index.html": PAGE}),
        "v1": loaded(tmp_path, {"assets/a.js": ""}),
        "v2": loaded(tmp_path, {"index.html": PAGE, "_redirects": "/assets/a.js /index.html 200"}),
        "v3": loaded(tmp_path, {"b.js": "", "_redirects": "/assets/a.js /b.js 200"}),
    }
    (broken,) = checked(tmp_path, {"index.html": page}, known=known).broken
    assert broken._asdict() == {
        "file": "/index.html",
        "line": 3,
        "kind": "<script src>",
        "text": "assets/a.js?v=1",
        "path": "/assets/a.js",
        "reason": "the file does not exist",
        "versions": ("v1", "v3"),
        "doubt": "",
    }


def test_faults(tmp_path: Path) -> None:
    """What cannot be parsed is a warning; what is found in the rest of the file counts."""
    files = {"index.html": f"{PAGE}\n<script>import('/a.js'); a b c</script>", "b.css": "a { b: 'c\n; d: url(/e.png) }"}
    report = checked(tmp_path, files)
    assert [(fault.file, fault.line) for fault in report.faults] == [("/b.css", 1), ("/index.html", 2)]
    assert told(report.broken) == [("/index.html", "/a.js", "/a.js")]
    assert told(report.doubtful) == [("/b.css", "/e.png", "/e.png")]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"live": "v1"}, r"live='v1' is not among the known versions \(none\)"),
        ({"prefix": "shop"}, "prefix='shop'"),
        ({"app_first": "/api/*"}, "app_first='/api/\\*'"),
        ({"origins": ["shop.example"]}, "'shop.example' is not an origin: write one such as 'https://shop.example'"),
        ({"origins": ["//shop.example"]}, "'//shop.example' is not an origin"),
        ({"origins": ["ftp://shop.example"]}, "'ftp://shop.example' is not an origin"),
        ({"origins": ["https://shop.example/assets/"]}, "'https://shop.example/assets/' is not an origin"),
        ({"origins": [None]}, "None is not an origin"),
    ],
)
def test_configuration(settings: dict[str, Any], message: str, tmp_path: Path) -> None:
    """A setting that cannot be used is told."""
    with pytest.raises(ConfigurationError, match=message):
        checked(tmp_path, {"index.html": PAGE}, **settings)


def test_changed_file(tmp_path: Path) -> None:
    """A file that has changed, or gone, since the build was loaded is told, not judged."""
    assets = loaded(tmp_path, {"a.css": "a{}", "b.css": "b{}", "index.html": PAGE})
    (tmp_path / assets.index.directory / "a.css").write_text("x{}")
    (tmp_path / assets.index.directory / "b.css").unlink()
    faults = check_build(assets).faults
    assert [(fault.file, fault.reason.partition(":")[0]) for fault in faults] == [
        ("/a.css", "it has changed since the build was loaded"),
        ("/b.css", "it cannot be read"),
    ]
