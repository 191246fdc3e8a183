"""URLs with an origin: those of the build's own are checked as paths are, and what is left out is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.checking.sites import PAGE, checked, told

if TYPE_CHECKING:
    from pathlib import Path

OWN, GONE, THERE = "https://cdn.example", "/assets/gone-Cl_2P7Ep.js", "/assets/there-BX4CeNGm.js"
IMPORTS = json.dumps({"imports": {"gone": f"{OWN}{GONE}"}})

#: By file, what refers to a file that is not there, by a URL of the build's own origin.
REFERRING = {
    "index.html": f'{PAGE}<script src="{OWN}{GONE}"></script>',
    "scheme.html": f'{PAGE}<script src="//cdn.example{GONE}"></script>',
    "case.html": f'{PAGE}<script src="HTTPS://CDN.example:443{GONE}?v=1#top"></script>',
    "base.html": f'{PAGE}<base href="{OWN}/assets/"><script src="gone-Cl_2P7Ep.js"></script>',
    "map.html": f'{PAGE}<script type="importmap">{IMPORTS}</script>',
    "a.css": f"@import url({OWN}{GONE});",
    "app.webmanifest": json.dumps({"icons": [{"src": f"{OWN}{GONE}"}]}),
    "assets/import-Dx81xKpQ.js": f"import '{OWN}{GONE}'",
    "assets/string-Aq3kZ0b1.js": f"f('{OWN}{GONE}')",
    "assets/new-C0liD3sX.js": f"new URL('{OWN}{GONE}', import.meta.url)",
    "_redirects": f"/old.js {OWN}{GONE}\n",
}


@pytest.mark.parametrize("file", REFERRING)
def test_own_origin(file: str, tmp_path: Path) -> None:
    """Wherever a URL of an own origin stands, its path has to lead to a file; without the origin it is another's."""
    files = {"index.html": PAGE, THERE[1:]: "", file: REFERRING[file]}
    if file == "_redirects":
        files["index.html"] += '<script src="/old.js"></script>'
    assert told(checked(tmp_path, files).broken) == []
    report = checked(tmp_path, files, origins=[f"{OWN}/", "https://shop.example"])
    found = [*report.broken, *report.doubtful]
    assert [one.path for one in found] == ["/old.js" if file == "_redirects" else GONE]
    there = {name: text.replace(GONE, THERE).replace(GONE[8:], THERE[8:]) for name, text in files.items()}
    report = checked(tmp_path, there, origins=[OWN])
    assert (report.broken, report.doubtful, report.unchecked) == ((), (), ())


def test_text(tmp_path: Path) -> None:
    """A broken reference is told as it is written, with the path that it means."""
    report = checked(tmp_path, {"index.html": REFERRING["case.html"]}, origins=[OWN])
    assert told(report.broken) == [("/index.html", f"HTTPS://CDN.example:443{GONE}?v=1#top", GONE)]


def test_import_map(tmp_path: Path) -> None:
    """A specifier that is a URL of an own origin is the same as its path, in an import map and in a module."""
    imports = json.dumps({"imports": {f"{OWN}/a.js": THERE, "/b.js": THERE}, "scopes": {f"{OWN}/c/": {"d": THERE}}})
    page = f'{PAGE}<script type="importmap">{imports}</script><script type="module" src="/c/c.js"></script>'
    module = f"import '/a.js'; import '{OWN}/b.js'; import 'd'"
    files = {"index.html": page, "c/c.js": module, THERE[1:]: ""}
    assert checked(tmp_path, files, origins=[OWN]).broken == ()
    assert {one.text for one in checked(tmp_path, files).broken} == {"/a.js", "d"}
    files["index.html"] = page.replace(THERE, f"{OWN}{GONE}", 1)
    broken = [("/c/c.js", "/a.js", GONE), ("/index.html", f"{OWN}{GONE}", GONE)]
    assert told(checked(tmp_path, files, origins=[OWN]).broken) == broken


@pytest.mark.parametrize(
    "url", [f"http://cdn.example{GONE}", f"{OWN}:8443{GONE}", f"https://me@cdn.example{GONE}", f"{OWN}.org{GONE}"]
)
def test_other_origins(url: str, tmp_path: Path) -> None:
    """Another scheme, port or host is another origin, of which nothing is known."""
    report = checked(tmp_path, {"index.html": f'{PAGE}<script src="{url}"></script>'}, origins=[OWN])
    assert (report.broken, report.unchecked) == ((), ())


def test_mount(tmp_path: Path) -> None:
    """Below a prefix, URLs of an own origin count from there, as paths do."""
    page = f'{PAGE}<script src="{OWN}/shop{GONE}"></script><script src="{OWN}{GONE}"></script>'
    report = checked(tmp_path, {"index.html": page}, origins=[OWN], prefix="/shop/")
    assert [one.path for one in report.broken] == [f"/shop{GONE}"]


def test_unchecked(tmp_path: Path) -> None:
    """Origins that have a fingerprinted file of the build are told, with all references to them, and where it is."""
    files = {
        "index.html": PAGE
        + f'<script src="{OWN}{THERE}"></script><script src="//cdn.example{THERE}"></script>'
        + f'<img src="{OWN}/logo.svg"><script src="{OWN}{GONE}"></script><script src="https://x.example/a.js"></script>'
        + f'<script src="https://{{{{cdn}}}}{THERE}"></script><script src="http://b.example:8080{THERE}"></script>',
        THERE[1:]: f"a = '{OWN}{THERE}'",
        "logo.svg": "<svg/>",
    }
    assert checked(tmp_path, files).unchecked == (("http://b.example:8080", 1, ""), (OWN, 5, ""))
    assert checked(tmp_path, files, origins=[OWN]).unchecked == (("http://b.example:8080", 1, ""),)
    below = checked(tmp_path, {**files, "b.html": f'{PAGE}<script src="{OWN}/shop{THERE}"></script>'}, prefix="/shop/")
    assert below.unchecked == (("http://b.example:8080", 1, "/"), (OWN, 6, ""))


@pytest.mark.parametrize(
    ("page", "references", "path"),
    [
        (f'<script src="{OWN}/shop/caf%C3%A9{THERE}"></script><script src="{OWN}{GONE}"></script>', 2, "/shop/café/"),
        (f'<script src="{OWN}/x/assets/../..{THERE}?v=1#a"></script>', 1, ""),
        (f'<base href="{OWN}/"><script src="a.js"></script><img src="/b.png"><img src="data:,x">', 2, ""),
        ('<base href="//cdn.example"><script src="a.js"></script><img src="//x.example/b.png">', 1, ""),
        (
            f'<base href="{OWN}/shop/assets/"><script src="{THERE[8:]}"></script><script src="a.js"></script>',
            2,
            "/shop/",
        ),
        (f'<base href="{OWN}/"><script type="module">import "react"; import "./a.js"</script>', 1, ""),
    ],
)
def test_what_belongs_to_an_origin(page: str, references: int, path: str, tmp_path: Path) -> None:
    """A file is known by its path or by the path's end, and a base tells of an origin that has none."""
    report = checked(tmp_path, {"index.html": PAGE + page, THERE[1:]: ""})
    assert report.unchecked == ((OWN, references, path),)


@pytest.mark.parametrize(
    "page",
    [
        f'<script src="{OWN}/x{THERE[8:]}"></script>',
        f'<script src="{OWN}/logo.svg"></script>',
        f'<base href="{OWN}/">',
        f'<base href="/shop/"><script src="{OWN}/a.js"></script>',
    ],
)
def test_other_sites(page: str, tmp_path: Path) -> None:
    """Nothing is told of an origin that has no fingerprinted file of the build, and is no page's base."""
    assert checked(tmp_path, {"index.html": PAGE + page, THERE[1:]: "", "logo.svg": "<svg/>"}).unchecked == ()
