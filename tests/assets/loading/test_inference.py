"""Which files of whole builds are fingerprinted: trees of real builds, and the rules one by one."""

import json
import zlib
from collections import Counter
from pathlib import Path

import pytest

from tests.harness import conformance, needs_conformance
from version_affinity import StaticAssets
from version_affinity.assets.loading.index import refresh, scan
from version_affinity.assets.loading.inference import BY_MANIFEST, CONFIGURED, IMPORTED, LOADED, NEIGHBOURS, why_not
from version_affinity.assets.loading.manifests import hashed_by

TREES = conformance("fingerprint_trees.json") or {}
#: The least recall of all trees of a kind together: builds that were made for this, and published products.
RECALL = {"own": 0.975, "real": 0.98}


def rebuild(root, skeleton):
    """Write a tree: empty files, but for what its scripts, style sheets and pages refer to."""
    for path, _ in skeleton["files"]:
        file = root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        names = skeleton["references"].get(path, ())
        tags = skeleton["pages"].get(path, ())
        form = "@import url(./{});\n" if path.endswith(".css") else 'import "./{}";\n'
        file.write_text("".join(map(form.format, names)) + "".join(tag(*entry) for entry in tags))


def tag(kind, url, crossorigin, module):
    """Return an element of a page."""
    attributes = (" crossorigin" if crossorigin else "") + (' type="module"' if module else "")
    return f'<script{attributes} src="{url}"></script>\n' if kind == "scri" else f'<link{attributes} href="{url}">\n'


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Each tree's name to the paths that are hashed, and the files that were recognised by path."""
    found = {}
    for number, (name, skeleton) in enumerate(TREES.items()):
        root = tmp_path_factory.mktemp(f"tree{number}")
        rebuild(root, skeleton)
        assets = scan(root, allow_source=True).assets  # one of them is a source directory
        hashed = {path for path, is_hashed in skeleton["files"] if is_hashed and path in assets}
        found[name] = (hashed, {path: asset for path, asset in assets.items() if asset.fingerprinted})
    return found


@needs_conformance
@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("kind", RECALL)
def test_recall(judged, kind, half, record_property):
    """Of the hashed files of real builds nearly all are recognised, in the half that rules were not tuned on too."""
    counts = Counter()
    for name, (hashed, recognised) in judged.items():
        if TREES[name]["kind"] == kind and zlib.crc32(name.partition("@")[0].encode()) % 2 == half:
            counts.update(hashed=len(hashed), found=len(hashed & recognised.keys()))
    recall = counts["found"] / counts["hashed"]
    record_property("recall", f"{kind}, half {half}: {counts['found']} of {counts['hashed']}, {recall:.1%}")
    print(f"{kind}, half {half}: {counts['found']} of {counts['hashed']} hashed files, {recall:.1%}")  # noqa: T201
    assert recall >= RECALL[kind] - 0.005  # one half of them


@needs_conformance
@pytest.mark.parametrize("kind", ["own", "real", "neg"])
def test_precision(judged, kind):
    """No file of a real build or of a library is taken for a hashed one."""
    wrong = {
        path: asset.why
        for name, (hashed, recognised) in judged.items()
        if TREES[name]["kind"] == kind
        for path, asset in recognised.items()
        if path not in hashed
    }
    assert wrong == {}


#: Names that people give to public files, which lie beside hashed ones.
# fmt: off
HAND_MADE = (
    "theme-darkMode.css", "theme-solarized.css", "avatar-McDonald.png", "flag-en_US_v2.png", "scan-A4_300dp.pdf",
    "doc-ISO27001.pdf", "pdf.worker-4.0.379.js", "jquery-3.7.1.min.js", "i18n-zh_Hans.js", "i18n-pt-BR_v2.js",
    "locale-en_GB_v1.js", "map-Q3Report.pdf", "team-JohnDoe1.jpg", "shot-iPhone15.png", "icon-GitHubQr.svg",
    "font-OpenSans.woff2", "font-SemiBold.woff2", "logo-YouTube2.svg", "widget-DatePick.js", "plugin-myPlugin.js",
    "vendor-jQueryUI.js", "chart-barChart.js", "page-NotFound.js", "lib-reactDOM.js", "api-GraphQL2.js",
    "report-2024_Q1a.pdf", "photo-20240115.jpg", "photo-IMG_2024.jpg", "data-01012024.json", "build-20240115.js",
    "icon-home24px.svg", "hero-1920x108.jpg", "card-VISA_v2a.png", "backup.1700000000.json", "web-polyfill.js",
    "embed-iFrameV2.js", "math-LaTeX123.png", "fb-FBSDKv18.js", "scan-RGB72dpi.png", "lib-ES2015ES.js",
    "cookie-HttpOnly.js", "util-readJson.js", "util-GzipFile.js", "tree-JsonView.css", "query-MysqlUrl.js",
    "readme-how-to-build.js", "avatar-1b4e28ba-2fa1-41d2-883f-0016d3cca427.jpg", "user-507f1f77bcf86cd799439011.jpg",
)
# fmt: on


@pytest.mark.parametrize("name", [name for name in TREES if TREES[name]["kind"] != "neg"])
def test_public_files_beside_hashed_ones(tmp_path, name):
    """Names that people give are not taken for hashed where they lie among a build's files."""
    skeleton = TREES[name]
    places = Counter(path[: path.rindex("/") + 1] for path, hashed in skeleton["files"] if hashed)
    if not places or places.most_common(1)[0][0].startswith(
        ("/_next/static/", "/_nuxt/", "/_app/immutable/", "/_astro/")
    ):
        pytest.skip("the build has no directory that public files could share")
    rebuild(tmp_path, skeleton)
    place = tmp_path / places.most_common(1)[0][0][1:]
    known = {path for path, _ in skeleton["files"]}
    added = {f"/{(place / file).relative_to(tmp_path)}" for file in HAND_MADE} - known
    for path in added:
        (tmp_path / path[1:]).write_text("")
    assets = scan(tmp_path, allow_source=True).assets
    assert {path: assets[path].why for path in added if assets[path].fingerprinted} == {}


def whys(index):
    """Return the reasons of a build's fingerprinted files by their names."""
    return {path[1:]: asset.why for path, asset in index.assets.items() if asset.why}


def test_neighbours(tree):
    """Tails that read as words, or are digits alone, are hashes where most tails of their shape are random."""
    names = ["a.1a2b3c4d.x", "b.9f8e7d6c.x", "c.32468491.x", "d.20240115.x", "d.beffadbe.css", "e.5c6d7e8f.x"]
    index = scan(tree(dict.fromkeys([f"js/{name}" for name in names], "")))
    assert whys(index) == {
        "js/a.1a2b3c4d.x": "hexadecimal",
        "js/b.9f8e7d6c.x": "hexadecimal",
        "js/e.5c6d7e8f.x": "hexadecimal",
        "js/c.32468491.x": NEIGHBOURS,
        "js/d.beffadbe.css": NEIGHBOURS,
    }


def test_neighbours_in_base_36(tree):
    """Three random tails of small letters and digits make a group; words, and words with numbers, stay out of it."""
    hashed = ["a-d8x3k2mq.js", "b-m7q1mypm.js", "c-9vz2kq4w.css", "d-ctpfbqvs.js"]
    public = ["web-polyfill.js", "book-chapter1.js", "photo-ctpfbqvs.png"]
    assert set(whys(scan(tree(dict.fromkeys([*hashed, *public], ""))))) == set(hashed)
    assert whys(scan(tree(dict.fromkeys([*hashed[:2], *public], "")))) == {}


def test_other_directories_inherit(tree):
    """Where one directory shows how the build names its files, a random tail elsewhere is enough."""
    files = ["js/a-BX4CeNGm.js", "js/b-DiwrgTda.js", "css/a-Ck9mZx2q.css", "css/a-BritvHWC.css", "css/a-Settings.css"]
    assert set(whys(scan(tree(dict.fromkeys(files, ""))))) == {*files[:3]}
    assert whys(scan(tree(dict.fromkeys(files[2:], "")))) == {}


def test_imported_by_name(tree):
    """A name that reads as words counts when a recognised script imports it, and so does what it imports itself."""
    files = {
        "assets/main-BX4CeNGm.js": 'import "./One-CafrKXZF.js"; fetch("/assets/theme-darkMode.css"); "x/Settings.js"',
        "assets/One-CafrKXZF.js": 'import("./Two-mOahPUOG.js")',
        "assets/Two-mOahPUOG.js": "url(./Inter-AbOut123.woff2)",
        "assets/Two-mOahPUOG.js.map": "",
        "assets/theme-darkMode.css": "",
        "assets/Not-DaSilva1.js": "",
        "assets/readme.js": 'import "./Not-DaSilva1.js"',
    }
    expected = {
        "assets/main-BX4CeNGm.js": "usual name",
        "assets/One-CafrKXZF.js": IMPORTED,
        "assets/Two-mOahPUOG.js": IMPORTED,
        "assets/Two-mOahPUOG.js.map": IMPORTED,
    }
    assert whys(scan(tree(files))) == expected


def test_loaded_by_a_page(tree):
    """A name that reads as words counts when a page loads it with crossorigin, as Vite writes it."""
    page = (
        '<script type="module" crossorigin src="/app/assets/index-CafrKXZF.js"></script>'
        '<link rel="stylesheet" crossorigin href="./assets/index-DeBuGing.css?x">'
        '<link rel="stylesheet" href="/assets/theme-darkMode.css"><script src="/assets/x-JohnDoe1.js"></script>'
    )
    names = ["index-CafrKXZF.js", "index-DeBuGing.css", "theme-darkMode.css", "x-JohnDoe1.js"]
    index = scan(tree({"index.html": page, **dict.fromkeys([f"assets/{name}" for name in names], "")}))
    assert whys(index) == {"assets/index-CafrKXZF.js": LOADED, "assets/index-DeBuGing.css": LOADED}


MANIFESTS = [
    ("asset-manifest.json", {"files": {"main.js": "/base/js/main-mOahPUOG.js"}}, "js/main-mOahPUOG.js"),
    ("manifest.json", {"main.js": "js/main.somewords.chunk.js"}, "js/main.somewords.chunk.js"),
    ("staticfiles.json", {"paths": {"css/a.css": "css/a.025380764646.css"}}, "css/a.025380764646.css"),
    ("assets/.manifest.json", {"app.css": {"digested_path": "app-12345676.css"}}, "assets/app-12345676.css"),
    ("assets/.manifest.json", {"app.css": "app-bfcdfeda.css"}, "assets/app-bfcdfeda.css"),
    (
        "assets/.sprockets-manifest-1a2b.json",
        {"files": {"app-0123456789.js": {"logical_path": "app.js"}}},
        "assets/app-0123456789.js",
    ),
    ("build-manifest.json", {"pages": {"/_app": ["chunks/pages/_app-BritvHWC.js"]}}, "chunks/pages/_app-BritvHWC.js"),
    (
        ".vite/manifest.json",
        {"src/admin-list.lazy.tsx": {"file": "out/admin-list.lazy-mOahPUOG.js", "name": "admin-list.lazy"}},
        "out/admin-list.lazy-mOahPUOG.js",
    ),
    (".vite/manifest.json", {"src/main.ts": {"file": "out/main-polymers.js"}}, "out/main-polymers.js"),
]


@pytest.mark.parametrize(("place", "document", "hashed"), MANIFESTS)
def test_manifests(tree, place, document, hashed):
    """Where a tool's manifest maps a source to a name with an addition, that is the hash, however it reads."""
    assert whys(scan(tree({place: json.dumps(document), hashed: "", "index.html": ""}))) == {hashed: BY_MANIFEST}


@pytest.mark.parametrize(
    "document",
    [
        {"main.js": "main.js"},
        {"main.js": "main.min.js"},
        {"main.js": "main.bundle.js"},
        {"main.js": "main-legacy.js"},
        {"main.js": "main-1.2.3.js"},
        {"main.js": "main-20240115.js"},
        {"a.js": "a.staging.js", "b.js": "b.staging.js"},
        {"entries": {"app": {"js": ["app-settings.js"]}}},
        {"name": "App", "start_url": "/app", "icons": [{"src": "/icon-192x192.png"}]},
        {"main.js": 5, "files": [5, None]},
        [],
        None,
    ],
)
def test_manifests_without_hashes(document):
    """A manifest whose outputs have no addition, or one that is a kind, a date or a version, proves nothing."""
    assert hashed_by(document) == set()


def test_manifest_with_and_without_hashes():
    """Of the outputs in one manifest those are hashed whose addition is not a kind's."""
    document = {"files": {"main.js": "/main.mOahPUOG.js", "app.js": "/app.612df1f2.chunk.js", "x.js": "/x.min.js"}}
    assert hashed_by(document) == {"/main.mOahPUOG.js", "/app.612df1f2.chunk.js"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/about.html", "HTML"),
        ("/app.js", "no hash in the name"),
        ("/a-1b4e28ba-2fa1-41d2-883f-0016d3cca427.js", "a UUID in the name"),
        ("/assets/theme-darkMode.css", "reads as words"),
        ("/a-20240115.js", "a number or a date"),
        ("/x/index-BX4CeNGm.js", "nothing else says that it is a hash"),
    ],
)
def test_why_not(path, expected):
    """Why a name alone is not taken for a hashed one."""
    assert why_not(path) == expected


def test_configured(tree):
    """The user's rule outranks all others, for and against."""
    names = ["assets/index-BX4CeNGm.js", "app.js", "js/0a1b2c3d4e5f6a7b.js"]
    index = scan(
        tree(dict.fromkeys(names, "")), fingerprinted={"/app.js": True, "/assets/index-BX4CeNGm.js": False}.get
    )
    assert {path: (asset.fingerprinted, asset.why) for path, asset in index.assets.items()} == {
        "/app.js": (True, CONFIGURED),
        "/assets/index-BX4CeNGm.js": (False, CONFIGURED),
        "/js/0a1b2c3d4e5f6a7b.js": (True, "hexadecimal"),
    }


def test_never(tree):
    """HTML and names with a UUID are not fingerprinted, whatever lists, imports or surrounds them."""
    uuid = "1b4e28ba-2fa1-41d2-883f-0016d3cca427"
    names = [f"_nuxt/a-{uuid}.js", f"assets/a-{uuid}.js", "_nuxt/page.html", "assets/page-BX4CeNGm.html"]
    files = {**dict.fromkeys(names, ""), "manifest.json": json.dumps({"a.js": f"assets/a-{uuid}.js"})}
    assert whys(scan(tree(files))) == {}


IMPORTING = {"assets/main-BX4CeNGm.js": 'import "./One-CafrKXZF.js"', "assets/One-CafrKXZF.js": ""}


def test_a_known_build_is_not_searched_again(tree, monkeypatch, tmp_path):
    """What was found in scripts stands in the manifest of the load, and the next load reads no script for it."""
    root, manifest = tree(IMPORTING), tmp_path / "known.json"
    first = scan(root, manifest=manifest)
    monkeypatch.setattr("version_affinity.assets.loading.loader.read", None)
    second = scan(root, manifest=manifest)
    assert whys(first) == whys(second) == {"assets/main-BX4CeNGm.js": "usual name", "assets/One-CafrKXZF.js": IMPORTED}


def test_a_manifest_of_earlier_rules(tree, tmp_path):
    """A manifest that release 0.1 wrote has no reasons: the names are judged anew, and it is written anew."""
    root, manifest = tree(IMPORTING), tmp_path / "known.json"
    scan(root, manifest=manifest)
    text = manifest.read_text()
    old = text.replace(', "rules": 1', "").replace(', "why": "usual name"', "")
    manifest.write_text(old.replace('"fingerprinted": true, "why": "imported by name"', '"fingerprinted": false'))
    assert whys(scan(root, manifest=manifest))["assets/One-CafrKXZF.js"] == IMPORTED
    assert manifest.read_text() == text


def test_refresh(tree):
    """A script that comes to import a file makes it fingerprinted; nothing changes afterwards."""
    root = tree({**IMPORTING, "assets/main-BX4CeNGm.js": ""})
    index = scan(root)
    before = index.assets["/assets/One-CafrKXZF.js"]
    (Path(root) / "assets/Next-Ck9_mZ2q.js").write_text('import "./One-CafrKXZF.js"')
    newer = refresh(index)
    assert newer.assets["/assets/One-CafrKXZF.js"].why == IMPORTED
    assert not before.fingerprinted
    assert refresh(newer) is newer


def test_the_report_of_unknown_hashes(tree, caplog):
    """Files in a directory of a tool without a hash of a known kind are named once, when the build is loaded."""
    names = ["BX4CeNGm.js", "entry.js", "entry.0cz1d0mv5g_q7.js", "MyComponent.css", "a.12345678.svg"]
    StaticAssets(tree(dict.fromkeys([f"_nuxt/{name}" for name in names], "")))
    (message,) = caplog.messages
    assert "2 kept for a year by their directory, without a hash of a known kind" in message
    assert message.endswith("'/_nuxt/MyComponent.css'; '/_nuxt/entry.js'")
