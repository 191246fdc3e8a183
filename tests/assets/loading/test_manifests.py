"""Vite's manifest."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.assets.loading.manifests import Chunk, Closure, ManifestError, ViteManifest

# The example of Vite's guide (https://vite.dev/guide/backend-integration), and a lazily loaded route.
GUIDE = {
    "_shared-B7PI925R.js": {
        "file": "assets/shared-B7PI925R.js",
        "name": "shared",
        "css": ["assets/shared-ChJ_j-JJ.css"],
    },
    "_shared-ChJ_j-JJ.css": {"file": "assets/shared-ChJ_j-JJ.css", "src": "_shared-ChJ_j-JJ.css"},
    "logo.svg": {"file": "assets/logo-BuPIv-2h.svg", "src": "logo.svg"},
    "baz.js": {
        "file": "assets/baz-B2H3sXNv.js",
        "name": "baz",
        "src": "baz.js",
        "isDynamicEntry": True,
    },
    "views/bar.js": {
        "file": "assets/bar-gkvgaI9m.js",
        "name": "bar",
        "src": "views/bar.js",
        "isEntry": True,
        "imports": ["_shared-B7PI925R.js"],
        "dynamicImports": ["baz.js"],
    },
    "views/foo.js": {
        "file": "assets/foo-BRBmoGS9.js",
        "name": "foo",
        "src": "views/foo.js",
        "isEntry": True,
        "imports": ["_shared-B7PI925R.js"],
        "css": ["assets/foo-5UjPuW-k.css"],
    },
}


def parse(document):
    """Parse a document as the text that Vite writes."""
    return ViteManifest.parse(json.dumps(document))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "views/foo.js",
            Closure(
                "assets/foo-BRBmoGS9.js",
                ("assets/shared-ChJ_j-JJ.css", "assets/foo-5UjPuW-k.css"),
                ("assets/shared-B7PI925R.js",),
            ),
        ),
        (
            "/views/bar.js",
            Closure("assets/bar-gkvgaI9m.js", ("assets/shared-ChJ_j-JJ.css",), ("assets/shared-B7PI925R.js",)),
        ),
        ("baz.js", Closure("assets/baz-B2H3sXNv.js", (), ())),
        ("logo.svg", Closure("assets/logo-BuPIv-2h.svg", (), ())),
        ("unknown.js", None),
    ],
)
def test_closure_of_the_guide(name, expected):
    """An entry brings what its static imports bring, imported style sheets first, and nothing that it loads lazily."""
    assert parse(GUIDE).closure(name) == expected


def chunks(**imports):
    """Return a manifest in which each chunk has one style sheet, from names to the names they import."""
    return ViteManifest(
        {
            name: Chunk(f"{name}.js", css=(f"{name}.css",), imports=tuple(imported))
            for name, imported in imports.items()
        },
    )


@pytest.mark.parametrize(
    ("graph", "css", "preload"),
    [
        ({"a": "b", "b": "c", "c": ""}, "c b a", "c b"),
        ({"a": "bc", "b": "d", "c": "d", "d": ""}, "d b c a", "d b c"),
        ({"a": "b", "b": "a"}, "b a", "b"),
        ({"a": "a"}, "a", ""),
        ({"a": "bc", "b": "c", "c": "b"}, "c b a", "c b"),
        ({"a": "x"}, "a", ""),
    ],
    ids=["chain", "diamond", "cycle", "itself", "cycle-below", "dangling"],
)
def test_closure_order(graph, css, preload):
    """What is imported comes before what imports it, once; cycles and missing chunks do no harm."""
    closure = chunks(**graph).closure("a")
    assert closure.css == tuple(f"{name}.css" for name in css.split())
    assert closure.preload == tuple(f"{name}.js" for name in preload.split())


def test_closure_of_a_deep_chain():
    """A chain of imports may be longer than Python's stack."""
    manifest = chunks(**{f"c{n}": [f"c{n + 1}"] for n in range(5000)})
    assert len(manifest.closure("c0").preload) == 4999


@given(st.dictionaries(st.sampled_from("abcdef"), st.text("abcdefx", max_size=6), min_size=1))
def test_closure_holds_each_file_once(graph):
    """Whatever the graph, every reachable chunk is named exactly once."""
    manifest = chunks(**graph)
    for name in graph:
        closure = manifest.closure(name)
        reachable, pending = {name}, [name]
        while pending:
            new = {to for to in graph[pending.pop()] if to in graph} - reachable
            reachable |= new
            pending += new
        assert sorted(closure.css) == sorted(f"{chunk}.css" for chunk in reachable)
        assert sorted(closure.preload) == sorted(f"{chunk}.js" for chunk in reachable - {name})


def test_shared_files_are_named_once():
    """A style sheet that two chunks bring is linked once."""
    manifest = ViteManifest({"a": Chunk("a.js", css=("x.css",), imports=("b",)), "b": Chunk("b.js", css=("x.css",))})
    assert manifest.closure("a").css == ("x.css",)


def test_files():
    """The manifest names every file that it holds: chunks, style sheets and other assets."""
    manifest = parse({"a.js": {"file": "a.js", "css": ["a.css"], "assets": ["a.png"]}, "b.svg": {"file": "b.svg"}})
    assert manifest.files == {"a.js", "a.css", "a.png", "b.svg"}


@pytest.mark.parametrize(
    ("key", "chunk", "expected"),
    [
        ("src/main.ts", {"file": "assets/main-Ro_66fij.js", "name": "main"}, True),
        ("src/main.ts", {"file": "assets/main-Ro_66fij.js"}, True),
        ("src/logo.svg", {"file": "assets/logo-Chapter1.svg", "src": "src/logo.svg"}, True),
        ("_x.js", {"file": "assets/shared-Ro_66fij.js", "name": "shared"}, True),
        ("src/main.ts", {"file": "assets/main.js", "name": "main"}, False),
        ("src/web-polyfill.js", {"file": "assets/web-polyfill.js", "name": "web-polyfill"}, False),
        ("src/Foo-BarBazQu.ts", {"file": "assets/Foo-BarBazQu.js", "name": "Foo-BarBazQu"}, False),
        ("src/Foo.ts", {"file": "assets/Foo-BarBazQu.js", "name": "Foo-BarBazQu"}, False),
        ("src/other.ts", {"file": "assets/main-Ro_66fij.js"}, False),
    ],
)
def test_hashed(key, chunk, expected):
    """A name is hashed beyond doubt when it is a source's name, a dash and something that is no word."""
    assert (chunk["file"] in parse({key: chunk}).hashed) is expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'"text"',
        b'{"a": 1}',
        b'{"a": {}}',
        b'{"a": {"file": 1}}',
        b'{"a": {"file": "a.js", "css": "a.css"}}',
        b'{"a": {"file": "a.js", "imports": [1]}}',
        b'{"name": "My App", "icons": [{"src": "icon.png"}], "start_url": "/"}',
        b"[" * 100_000,
    ],
    ids=range(14),
)
def test_other_json(text):
    """What is no Vite manifest, a web app's manifest for one, is refused with a reason."""
    with pytest.raises(ManifestError, match=r"."):
        ViteManifest.parse(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_parse_is_total(document):
    """Any JSON is a manifest or a ManifestError."""
    try:
        manifest = parse(document)
    except ManifestError:
        return
    assert manifest.files


def test_messages_are_short():
    """What a manifest holds is named in a message, but not at any length."""
    for chunk in ({}, {"file": "a.js", "css": 1}):
        with pytest.raises(ManifestError) as error:
            parse({"k" * 100_000: chunk})
        assert len(str(error.value)) < 300


def test_unchangeable():
    """A manifest cannot be changed after it was parsed."""
    manifest = parse(GUIDE)
    with pytest.raises(TypeError):
        manifest.chunks["new"] = Chunk("x.js")
