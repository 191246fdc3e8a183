"""From request paths to files and redirects."""

import re
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from version_affinity.assets.routing import HTML_HANDLING, Redirect, check_handling, location, not_found, routes
from version_affinity.errors import ConfigurationError

AUTO, FORCE, DROP, NONE = HTML_HANDLING


def files(*paths):
    """Return files as routing sees them: it looks at their paths only."""
    return {path: f"<{path}>" for path in paths}


def shown(answer):
    """Return an answer as a word: the file's path, or -> and the path that it redirects to."""
    return f"-> {answer.path}" if isinstance(answer, Redirect) else answer and answer[1:-1]


PAGE, INDEX = ["/file.html"], ["/folder/index.html"]
BOTH = ["/both.html", "/both/index.html"]
BINARY = ["/bin", "/bin.html"]
ROOT = ["/index.html"]
NESTED = ["/a/b/c.html"]


@pytest.mark.parametrize(
    ("paths", "path", "auto", "force", "drop", "none"),
    [
        (ROOT, "/", "/index.html", "/index.html", "/index.html", None),
        (ROOT, "/index", "-> /", "-> /", "-> /", None),
        (ROOT, "/index.html", "-> /", "-> /", "-> /", "/index.html"),
        (ROOT, "", None, None, None, None),
        (ROOT, ".html", None, None, None, None),
        (PAGE, "/file", "/file.html", "-> /file/", "/file.html", None),
        (PAGE, "/file/", "-> /file", "/file.html", "-> /file", None),
        (PAGE, "/file.html", "-> /file", "-> /file/", "-> /file", "/file.html"),
        (PAGE, "/file/index", "-> /file", "-> /file/", "-> /file", None),
        (PAGE, "/file/index.html", "-> /file", "-> /file/", "-> /file", None),
        (PAGE, "/file.html/", None, None, None, None),
        (PAGE, "/FILE", None, None, None, None),
        (INDEX, "/folder", "-> /folder/", "-> /folder/", "/folder/index.html", None),
        (INDEX, "/folder/", "/folder/index.html", "/folder/index.html", "-> /folder", None),
        (INDEX, "/folder.html", "-> /folder/", "-> /folder/", "-> /folder", None),
        (INDEX, "/folder/index", "-> /folder/", "-> /folder/", "-> /folder", None),
        (INDEX, "/folder/index.html", "-> /folder/", "-> /folder/", "-> /folder", "/folder/index.html"),
        (BOTH, "/both", "/both.html", "-> /both/", "/both.html", None),
        (BOTH, "/both/", "/both/index.html", "/both/index.html", "-> /both", None),
        (BOTH, "/both.html", "-> /both", "/both.html", "-> /both", "/both.html"),
        (BOTH, "/both/index", "-> /both/", "-> /both/", "-> /both", None),
        (BOTH, "/both/index.html", "-> /both/", "-> /both/", "/both/index.html", "/both/index.html"),
        (BINARY, "/bin", "/bin", "/bin", "/bin", "/bin"),
        (BINARY, "/bin.html", "/bin.html", "-> /bin/", "/bin.html", "/bin.html"),
        (BINARY, "/bin/", None, "/bin.html", None, None),
        (NESTED, "/a/b/c", "/a/b/c.html", "-> /a/b/c/", "/a/b/c.html", None),
        (NESTED, "/a/b/", None, None, None, None),
        ([*BINARY, "/bin/index.html"], "/bin.html", "/bin.html", "/bin.html", "/bin.html", "/bin.html"),
        (["/app.js"], "/app.js", "/app.js", "/app.js", "/app.js", "/app.js"),
        (["/app.js"], "/app.js/", None, None, None, None),
        (["/app.js"], "/app", None, None, None, None),
        (["/index"], "/index", "/index", "/index", "/index", "/index"),
        (["/page.HTML"], "/page", None, None, None, None),
    ],
)
def test_routes(paths, path, auto, force, drop, none):
    """Each HTML file is shown at one clean path of its mode; its other spellings redirect there."""
    got = {mode: shown(routes(files(*paths), mode).get(path)) for mode in HTML_HANDLING}
    assert got == {AUTO: auto, FORCE: force, DROP: drop, NONE: none}


SEGMENTS = st.sampled_from(["a", "b", "index", "c.html", "index.html", "a.html", "b.html", "index.html.html", "x.js"])
TREES = st.sets(st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts)), max_size=12)


@given(TREES, st.sampled_from(HTML_HANDLING))
@example({"/index/index/index.html", "/index.html"}, DROP)
def test_redirects_arrive(paths, mode):
    """A redirect leads to a path that answers; following it ends at a file and never loops."""
    found = routes(files(*paths), mode)
    for start in found:
        path, passed = start, set()
        while isinstance(found[path], Redirect):
            assert path not in passed
            passed.add(path)
            path = found[path].path


@given(TREES, st.sampled_from(HTML_HANDLING))
def test_every_file_is_reached_by_its_own_name(paths, mode):
    """Asked for by its own name, each file answers, or the redirect leads to that very file."""
    found = routes(files(*paths), mode)
    for path in paths:
        answer = found[path]
        while isinstance(answer, Redirect):
            answer = found[answer.path]
        assert answer == f"<{path}>"


@given(TREES, st.sampled_from(HTML_HANDLING))
def test_routes_are_few_and_within_the_site(paths, mode):
    """The map is finite, in proportion to the files, and each redirect is a path of this host."""
    found = routes(files(*paths), mode)
    assert len(found) <= 10 * len(paths)
    for path, answer in found.items():
        assert path.startswith("/")
        assert not isinstance(answer, Redirect) or re.match(r"/(?!/)", answer.path)


def test_a_page_without_a_name():
    """A file called .html, which no scan yields, is shown under its own name and makes no redirect to another host."""
    for mode in HTML_HANDLING:
        assert routes(files("/.html"), mode)["/.html"] == "</.html>"


@pytest.mark.parametrize(
    ("paths", "path", "expected"),
    [
        (["/404.html"], "/missing", "/404.html"),
        (["/404.html"], "/", "/404.html"),
        (["/404.html"], "", "/404.html"),
        (["/404.html"], "/a/b/c/", "/404.html"),
        (["/404.html", "/docs/404.html"], "/docs/deep/missing", "/docs/404.html"),
        (["/404.html", "/docs/404.html"], "/docs/", "/docs/404.html"),
        (["/404.html", "/docs/404.html"], "/docs", "/404.html"),
        (["/404.html", "/docs/404.html"], "/docsx/y", "/404.html"),
        (["/docs/404.html"], "/other", None),
        (["/docs/404.html"], "/docs//x", "/docs/404.html"),
        (["/404.html"], "no-slash", "/404.html"),
        (["/404.html"], "/" + "a/" * 40_000, "/404.html"),
        (["/404.html"], "/" * 65_536, "/404.html"),
        ([], "/missing", None),
    ],
)
def test_not_found(paths, path, expected):
    """The nearest 404.html above a path stands in for it, however long the path is."""
    assert shown(not_found(files(*paths), path)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("", "/", "/about", ""), "/about"),
        (("", "/", "/", ""), "/"),
        (("/app", "/", "/", ""), "/app/"),
        (("/app/", "/front/", "/about", "a=1"), "/app/front/about?a=1"),
        (("", "front", "/about", ""), "/front/about"),
        (("", "/", "/a b", ""), "/a%20b"),
        (("", "/", "/100%", ""), "/100%25"),
        (("", "/", "/[slug]", ""), "/%5Bslug%5D"),
        (("", "/", "/b\xc3\xb2\xff", ""), "/b%C3%B2%FF"),
        (("", "/", "/q?x#y", ""), "/q%3Fx%23y"),
        (("", "/", "/-_.!~*'()", ""), "/-_.!~*'()"),
        (("", "/", "/$&+,;=:@", ""), "/%24%26%2B%2C%3B%3D%3A%40"),
        (("", "/", "/a\r\nSet-Cookie: b", ""), "/a%0D%0ASet-Cookie%3A%20b"),
        (("", "/", "/a", "x=\r\nSet-Cookie: b"), "/a?x=%0D%0ASet-Cookie:%20b"),
        (("", "/", "/a", "x=%20&y=[1]#z"), "/a?x=%20&y=%5B1%5D%23z"),
        (("", "/", "/a", "x=\xff\u20ac"), "/a?x=%C3%BF%E2%82%AC"),
        (("", "/", "/a", "x=100%&y=%zz%4&z=%2f%"), "/a?x=100%25&y=%25zz%254&z=%2f%25"),
        (("", "/", "//evil.example/x", ""), "/evil.example/x"),
        (("//evil.example", "/", "/x", ""), "/evil.example/x"),
        (("", "/", "/\\evil.example", ""), "/%5Cevil.example"),
        (("", "/", "\\\\evil.example", ""), "/%5C%5Cevil.example"),
        (("", "/", "https://evil.example", ""), "/https%3A//evil.example"),
        (("/\t", "/", "//evil.example", ""), "/%09//evil.example"),
        (("", "/", "", ""), "/"),
    ],
)
def test_location(arguments, expected):
    """A Location is encoded in one way, keeps the query, and stays on this host."""
    assert location(*arguments) == expected


ANYTHING = st.text(st.characters(codec="latin-1")) | st.text() | st.text("/\\.:@%\r\n\t ?#")


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING)
def test_location_is_safe(script_name, prefix, path, query):
    """Whatever a request holds, a Location is visible ASCII, one line, and a path of this host."""
    target = location(script_name, prefix, path, query)
    assert re.fullmatch(r"/(?![/\\])[\x21-\x7e]*", target)
    assert not re.search("%(?![0-9A-Fa-f]{2})", target)
    assert not urlsplit(target).netloc
    assert "#" not in target


@given(st.text(st.characters(codec="latin-1", exclude_characters="/"), min_size=1))
def test_location_leads_to_the_path(segment):
    """A server that decodes a Location's path gets the path that was meant."""
    assert unquote_to_bytes(location("", "/", f"/{segment}", "")).decode("latin-1") == f"/{segment}"


@pytest.mark.parametrize(
    ("html", "missing", "field"),
    [("auto", "none", "html_handling"), (AUTO, "spa", "not_found_handling"), (None, "none", "html_handling")],
)
def test_unknown_mode(html, missing, field):
    """A mode that does not exist is refused by name, with those that do."""
    with pytest.raises(ConfigurationError, match=f"{field}=.*use one of .*none"):
        check_handling(html, missing)
