"""No false alarms: text of bundles that looks like a reference and is none, and references that may stay open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.checking.sites import PAGE, checked, loaded, told
from version_affinity.checking.languages import javascript

if TYPE_CHECKING:
    from pathlib import Path

#: A page that loads one script, and a fingerprinted file that is there.
HERE = "assets/there-BX4CeNGm.js"
GONE = "assets/gone-Cl_2P7Ep.js"
ENTRY = "assets/index-DphvyggB.js"
HTML = f'{PAGE}<script type="module" src="/{ENTRY}"></script>'


def outcome(directory: Path, script: str, **more: str) -> tuple[list[str], list[str]]:
    """Return the texts that are broken and those that are doubtful, in a page's script."""
    report = checked(directory, {"index.html": HTML, ENTRY: script, HERE: "", **more})
    assert report.faults == ()
    return [one.text for one in report.broken], [one.text for one in report.doubtful]


@pytest.mark.parametrize(
    "script",
    [
        # Names of properties, not of files.
        'var a = __commonJS({"node_modules/x/assets/gone-Cl_2P7Ep.js"(exports) { exports.b = 1 }})',
        'var a = __esm({"/assets/gone-Cl_2P7Ep.js"() { b = 1 }}), c = {"/assets/gone-Cl_2P7Ep.js": 1}',
        'var map = {"./gone-Cl_2P7Ep.js": 123, "/assets/gone-Cl_2P7Ep.js": 4}; map["/assets/gone-Cl_2P7Ep.js"]',
        'class A { "/assets/gone-Cl_2P7Ep.js"() {} static "/assets/gone-Cl_2P7Ep.js"() {} }',
        # Paths in formats of other files, and in directories that the build does not have.
        'z.file("xl/vbaProject.bin"); z.file("xl/worksheets/sheet1.xml"); a = "word/Cl2P7EpXa.xml"',
        'a = "media/gone-Cl_2P7Ep.png"; b = "/static/js/main.67a9d0a8.js"',
        # The base of another URL, and directories.
        "new URL(e, new URL(`../../../src/node/plugins/importAnalysisBuild.ts`, import.meta.url)).href",
        'new URL("./", import.meta.url); new URL("..", import.meta.url); new URL("../assets/", import.meta.url)',
        # A file that is named relative to the page.
        'a = "./assets/there-BX4CeNGm.js"',
    ],
)
def test_no_reference(script: str, tmp_path: Path) -> None:
    """What is not a reference is neither broken nor doubtful."""
    assert outcome(tmp_path, script) == ([], [])


@pytest.mark.parametrize(
    "script",
    [
        'try { a = new URL("./a.wasm", import.meta.url) } catch { }',
        'if (b) { a = new URL("./a.wasm", import.meta.url) } else { c() }',
        'a = b ? new URL("./a.wasm", import.meta.url) : c',
        'b && (a = new URL("./a.wasm", import.meta.url))',
        'b || (() => { a = new URL("./a.wasm", import.meta.url) })()',
        'switch (b) { case 1: a = new URL("./a.wasm", import.meta.url) }',
        'try { await import("./a.wasm") } finally { }',
        'if (b) await import("./a.wasm")',
        'import("./a.wasm").catch(() => {})',
        'b ? new Worker("./a.wasm") : c',
    ],
)
def test_conditional(script: str, tmp_path: Path) -> None:
    """A script is prepared for a file that it loads under a condition, or in a try, not to be there."""
    assert outcome(tmp_path, script) == ([], ["./a.wasm"])
    certain = ["./a.wasm"]
    assert outcome(tmp_path, 'if (b) { c() } a = new URL("./a.wasm", import.meta.url)') == (certain, [])
    assert outcome(tmp_path, 'try { c() } catch { } import("./a.wasm")') == (certain, [])


def test_names_in_directories_of_tools(tmp_path: Path) -> None:
    """In a directory where all names are a tool's, a text that is a plain name is still not a reference."""
    entry = "_app/immutable/chunks/CClpvogW.js"
    script = 'z.file("vbaProject.bin"); z.file("xl/vbaProject.bin"); a = "chunks/Settings2.js"'
    script += '; try { new URL("./a.wasm", import.meta.url) } catch { }'
    files = {"index.html": f'{PAGE}<script type="module" src="/{entry}"></script>', entry: script}
    report = checked(tmp_path, files)
    assert (report.broken, [one.text for one in report.doubtful]) == ((), ["./a.wasm"])
    gone = {**files, entry: 'b = "_app/immutable/chunks/lazy.Cl_2P7Ep.js"'}
    assert [one.text for one in checked(tmp_path, gone).broken] == ["_app/immutable/chunks/lazy.Cl_2P7Ep.js"]


def test_conditional_chunk(tmp_path: Path) -> None:
    """A bundler's own chunk is needed all the same, and so is a file that a known version has."""
    assert outcome(tmp_path, 'if (b) await import("./gone-Cl_2P7Ep.js")') == (["./gone-Cl_2P7Ep.js"], [])
    files = {"index.html": HTML, ENTRY: 'b ? import("./a.js") : c'}
    report = checked(tmp_path, files, known={"v1": loaded(tmp_path, {"assets/a.js": ""})})
    assert [one.text for one in report.broken] == ["./a.js"]


@pytest.mark.parametrize(
    "mark",
    [
        "/__BASE__/",
        "/%7B%7Bbase%7D%7D/",
        "%%BASE%%",
        "/{{ base }}/",
        "{{base_url}}",
        "${base}/",
        "<%= base %>",
        "{% base %}",
        "%PUBLIC_URL%/",
        "ASSET_PREFIX_REPLACE_ME/",
        "/BASE_REPLACE_PLACEHOLDER/",
        "[[base]]/",
    ],
)
def test_placeholders(mark: str, tmp_path: Path) -> None:
    """A file behind a placeholder is found; a fingerprinted one is missed; another one is doubtful."""
    names = (HERE, GONE, "theme.css")
    page = PAGE + "".join(f'<script src="{mark}{name}"></script>' for name in names)
    report = checked(tmp_path, {"index.html": page, HERE: "import './needed-DiwrgTda.js'"})
    assert [(one.text, one.path) for one in report.broken] == [
        ("./needed-DiwrgTda.js", "/assets/needed-DiwrgTda.js"),
        (mark + GONE, f"/{GONE}"),
    ]
    assert [(one.text, one.doubt) for one in report.doubtful] == [(f"{mark}theme.css", "it contains a placeholder")]


def test_placeholder_base(tmp_path: Path) -> None:
    """A page's base may be a placeholder."""
    page = f'{PAGE}<base href="{{{{ base_url | default("./") }}}}"><script src="./{HERE}"></script>'.replace(
        '"./"', "'./'"
    )
    report = checked(tmp_path, {"index.html": page, HERE: ""})
    assert (report.broken, report.doubtful) == ((), ())


def test_icons(tmp_path: Path) -> None:
    """Pages work without icons and web manifests: that one is gone is a warning."""
    links = ("icon", "apple-touch-icon", "mask-icon", "shortcut icon", "manifest", "apple-touch-startup-image")
    page = PAGE + "".join(f'<link rel="{relation}" href="/gone">' for relation in links)
    page += '<link rel="manifest" href="/app.webmanifest"><link rel="icon" href="/assets/logo-Cl_2P7Ep.svg">'
    manifest = (
        '{"icons": [{"src": "a.png"}], "screenshots": [{"src": "b.png"}], "shortcuts": [{"icons": [{"src": "c.png"}]}]}'
    )
    report = checked(tmp_path, {"index.html": page.replace("/gone", "/gone.png"), "app.webmanifest": manifest})
    assert report.broken == ()
    assert {one.doubt for one in report.doubtful} == {"pages work without it"}
    assert {path for _, _, path in told(report.doubtful)} == {
        *("/gone.png", "/a.png", "/b.png", "/c.png", "/assets/logo-Cl_2P7Ep.svg")
    }


@pytest.mark.parametrize(
    "script",
    [
        "import source a from './there-BX4CeNGm.js'; import defer * as b from './there-BX4CeNGm.js'",
        "import source from './there-BX4CeNGm.js'; import defer, {b} from './there-BX4CeNGm.js'",
        "import a from './there-BX4CeNGm.js' assert { type: 'json' }; assert({ type: 1 })",
        "const a = 1, b = 2; export {a as in, b as do}; import {in as c, if as d} from './there-BX4CeNGm.js'",
        "export {in, new as typeof} from './there-BX4CeNGm.js'; export * as class from './there-BX4CeNGm.js'",
        "export default {in: new A, do: typeof b}; export class C { static x = new D }",
        r"a = String.raw`{\rtf1\ansi\uc1`; import './there-BX4CeNGm.js'",
    ],
)
def test_syntax(script: str, tmp_path: Path) -> None:
    """Reserved words that modules export, and escapes in tagged templates, are not faults."""
    assert javascript.script_references(script.encode()).faults == ()
    assert outcome(tmp_path, script) == ([], [])


def test_inherited(tmp_path: Path) -> None:
    """A reference that is broken in the live version too is a warning; a new one is an objection."""
    live = loaded(tmp_path, {"index.html": HTML, ENTRY: "import './old.js'", "legal.html": f"{PAGE}<img src='/l.png'>"})
    other = ENTRY.replace("DphvyggB", "Cx8kQm2A")
    files = {
        "index.html": HTML.replace(ENTRY, other),
        other: "import './old.js'; import './new.js'",
        "legal.html": f"{PAGE}\n<p><img src='/l.png'><img src='/m.png'>",
    }
    report = checked(tmp_path, files, known={"v1": live}, live="v1")
    assert [one.text for one in report.broken] == ["./new.js", "/m.png"]
    doubt = "it is broken in v1 too"
    assert [(one.text, one.doubt) for one in report.doubtful] == [("./old.js", doubt), ("/l.png", doubt)]
    alone = checked(tmp_path, files, known={"v1": live})
    assert {one.text for one in alone.broken} == {"./old.js", "./new.js", "/l.png", "/m.png"}


@pytest.mark.parametrize(
    "before",
    [{ENTRY: "try { import('./new.js') } catch {}"}, {ENTRY: "", "assets/unused.js": "import('./new.js')"}],
    ids=["conditional", "in a file that no page loads"],
)
def test_doubtful_before(tmp_path: Path, before: dict[str, str]) -> None:
    """A reference that was only a warning in the live version, and now breaks pages, is an objection."""
    live = loaded(tmp_path, {"index.html": HTML, **before})
    other = ENTRY.replace("DphvyggB", "Cx8kQm2A")
    files = {"index.html": HTML.replace(ENTRY, other), other: "import('./new.js')"}
    report = checked(tmp_path, files, known={"v1": live}, live="v1")
    assert ([one.text for one in report.broken], report.doubtful) == (["./new.js"], ())
