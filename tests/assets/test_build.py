"""A build as it is served alone: its rule files from the disk to the response, and what happens when it changes."""

from __future__ import annotations

import gzip
import logging
import shutil
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from tests.assets.asking import Answer, ask, ask_raw, environ_of
from tests.assets.deviations import DEVIATIONS
from tests.assets.rule_cases import cases_of
from tests.harness import needs_conformance
from version_affinity import StaticAssets

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.assets.conftest import Tree

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"
ENTRY = "assets/index-BX4CeNGm.js"
SCRIPT = "console.log('entry')\n" * 40

REDIRECTS = """
# comment
/old            /about                  301
/query          /about?a=1
/elsewhere/*    https://other.example/:splat 308
/user/:id       /profile?id=:id         307
/app/*          /about                  200
/entry.js       /assets/index-BX4CeNGm.js 200
/lost           /nothing                200
/about.html     /moved                  302
/assets/*       /moved                  302
nonsense
"""
HEADERS = """
/*
  X-Frame-Options: DENY
  X-Content-Type-Options: nosniff
/about
  Cache-Control: public, max-age=60
  Set-Cookie: seen=1
  Vary: Origin
/assets/*
  Cross-Origin-Resource-Policy: cross-origin
  Link: <:splat.map>
https://shop.example/data.txt
  X-Host: shop
/data.txt
  ! ETag
  Content-Type: text/tab-separated-values
nonsense
"""
BUILD = {
    "_redirects": REDIRECTS,
    "_headers": HEADERS,
    "_redirects.gz": gzip.compress(REDIRECTS.encode()),
    "_headers.gz": gzip.compress(HEADERS.encode()),
    "index.html": "<p>home",
    "about.html": "<p>about",
    "404.html": "<p>nothing",
    "data.txt": "a\tb\n" * 200,
    "old": "a file under a rule",
    ENTRY: SCRIPT,
}


def wrapped(environ: Any, start_response: Any) -> list[bytes]:
    """Stand for the application behind the files."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "7")])
    return [b"the app" if environ["REQUEST_METHOD"] != "HEAD" else b""]


def wrapped_alone(environ: Any, start_response: Any) -> list[bytes]:
    """Answer HEAD without a body, for the checkers."""
    return (
        wrapped(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD"
        else wrapped(environ, start_response)[:0]
    )


def once(answer: Answer) -> dict[str, str]:
    """Return the headers by name; every one but Set-Cookie stands there once."""
    names = [name.lower() for name, _ in answer.headers if name.lower() != "set-cookie"]
    assert sorted(names) == sorted(set(names))
    return {name.lower(): value for name, value in answer.headers}


# path, query; status; Location below the mount, or in full; words of the body
LED = [
    ("/old", "", 301, "/about", ""),
    ("/old", "b=2", 301, "/about?b=2", ""),
    ("/query", "", 302, "/about?a=1", ""),
    ("/query", "b=2", 302, "/about?a=1", ""),
    ("/elsewhere/a b", "", 308, "https://other.example/a%20b", ""),
    ("/elsewhere//evil.example", "", 308, "https://other.example//evil.example", ""),
    ("/user/7", "", 307, "/profile?id=7", ""),
    ("/app/settings", "", 200, None, "<p>about"),
    ("/app/", "", 200, None, "<p>about"),
    ("/entry.js", "", 200, None, SCRIPT),
    ("/lost", "", 404, None, "<p>nothing"),
    ("/about.html", "", 302, "/moved", ""),
    (f"/{ENTRY}", "", 200, None, SCRIPT),
    ("/assets/gone", "", 302, "/moved", ""),
    ("/about", "", 200, None, "<p>about"),
    ("/", "", 200, None, "<p>home"),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("app", [None, wrapped_alone])
@pytest.mark.parametrize(("mount", "prefix"), [("", "/"), ("/site", "/"), ("", "/shop/"), ("/caf\xc3\xa9", "/a/b/")])
@pytest.mark.parametrize(("path", "query", "status", "location", "body"), LED)
def test_redirects(
    tree: Tree,
    path: str,
    query: str,
    status: int,
    location: str | None,
    body: str,
    mount: str,
    prefix: str,
    app: Any,
    method: str,
) -> None:
    """A rule of ``_redirects`` leads where it says, below any mount, before any file but a fingerprinted one."""
    static = StaticAssets(tree(BUILD), app, prefix=prefix, not_found_handling="404-page")
    answer = ask(static, prefix[:-1] + path, method, SCRIPT_NAME=mount, QUERY_STRING=query)
    below = f"{mount}{prefix[:-1]}".replace("\xc3\xa9", "%C3%A9")
    expected = location if location is None or location.startswith("https:") else below + location
    assert (answer.status, answer["Location"]) == (status, expected)
    assert answer.body == (body.encode() if method == "GET" else b"")
    assert once(answer)["x-frame-options"] == "DENY"


@pytest.mark.parametrize("app", [None, wrapped_alone])
@pytest.mark.parametrize("suffix", ["", ".gz", ".br", ".zst"])
@pytest.mark.parametrize("name", ["/_redirects", "/_headers"])
def test_rule_files_are_not_served(tree: Tree, name: str, suffix: str, app: Any) -> None:
    """Neither a rule file nor what it is compressed to is served, whatever compresses it."""
    answer = ask(StaticAssets(tree(BUILD), app), name + suffix, headers={"Accept-Encoding": "gzip"})
    assert (answer.status, answer.body) == ((404, b"404 Not Found\n") if app is None else (200, b"the app"))


def test_rules_are_reported_once(tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    """Lines that cannot be used are told with their number, once; that rule files are not served is not."""
    static = StaticAssets(tree(BUILD))
    for path in ("/old", "/_headers", "/"):
        ask(static, path)
    told = [record.message for record in caplog.records]
    assert [
        sorted(word for word in ("_redirects:", "_headers:", "line 12:", "line 17:") if word in text) for text in told
    ] == [
        [],
        ["_redirects:", "line 12:"],
        ["_headers:", "line 17:"],
    ]
    assert ("'/_headers.gz'" in told[0], "'/_headers':" in told[0]) == (True, False)


# path, further request headers; status; headers of the response (None: not there)
CHANGED: list[tuple[str, dict[str, str], int, dict[str, str | None]]] = [
    ("/about", {}, 200, {"cache-control": "public, max-age=60", "set-cookie": "seen=1", "vary": "Origin"}),
    ("/about", {"If-None-Match": "*"}, 304, {"cache-control": "public, max-age=60", "vary": "Origin"}),
    ("/about", {"If-Match": '"x"'}, 412, {"cache-control": "no-store", "x-frame-options": "DENY"}),
    ("/", {}, 200, {"cache-control": REVALIDATE, "x-frame-options": "DENY"}),
    (f"/{ENTRY}", {}, 200, {"cache-control": IMMUTABLE, "link": "<index-BX4CeNGm.js.map>"}),
    (f"/{ENTRY}", {"Range": "bytes=0-0"}, 206, {"cache-control": IMMUTABLE, "content-length": "1"}),
    ("/entry.js", {}, 200, {"cache-control": REVALIDATE, "link": None, "x-frame-options": "DENY"}),
    ("/entry.js", {"If-None-Match": "*"}, 304, {"cache-control": REVALIDATE}),
    ("/app/x", {}, 200, {"cache-control": REVALIDATE, "set-cookie": None}),
    ("/data.txt", {}, 200, {"content-type": "text/tab-separated-values", "etag": None, "x-host": None}),
    ("/data.txt", {"Host": "shop.example"}, 200, {"x-host": "shop"}),
    ("/data.txt", {"Host": "shop.example:8000"}, 200, {"x-host": "shop"}),
    # not of several ranges, of an error, nor of nothing
    ("/data.txt", {"Range": "bytes=0-3"}, 206, {"content-type": "text/tab-separated-values"}),
    ("/data.txt", {"Range": "bytes=900-"}, 416, {"content-type": "text/plain; charset=utf-8"}),
    ("/data.txt", {"If-None-Match": "*"}, 304, {"content-type": None, "etag": None}),
    ("/missing", {}, 404, {"cache-control": "no-store", "x-frame-options": "DENY", "etag": None}),
    ("/old", {}, 301, {"x-frame-options": "DENY", "x-content-type-options": "nosniff"}),
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("path", "headers", "status", "expected"), CHANGED)
def test_headers(
    tree: Tree, path: str, headers: dict[str, str], status: int, expected: dict[str, str | None], method: str
) -> None:
    """What ``_headers`` says of a path is in its responses, and HEAD's are those of GET."""
    static = StaticAssets(tree(BUILD), not_found_handling="404-page")
    if method == "HEAD" and "Range" in headers:
        headers, status, expected = {}, 200, {}  # RFC 9110 section 14.2: for GET alone
    answer = ask(static, path, method, headers)
    got = once(answer)
    assert (answer.status, {name: got.get(name) for name in expected}) == (status, expected)
    if method == "HEAD" and status == 200:
        assert answer.headers == ask(static, path, "GET", headers).headers


def test_several_ranges_keep_their_type(tree: Tree) -> None:
    """A rule's type is that of the file: around several parts stands the type of their frame."""
    answer = ask(StaticAssets(tree(BUILD)), "/data.txt", headers={"Range": "bytes=0-0,700-700"})
    assert answer.status == 206
    assert once(answer)["content-type"].startswith("multipart/byteranges; boundary=")


def test_vary_is_joined(tree: Tree) -> None:
    """A rule's Vary joins that of a file with compressed forms, in one line, on each form and its 304."""
    files = {
        "a.txt": SCRIPT,
        "a.txt.gz": gzip.compress(SCRIPT.encode()),
        "_headers": "/*\n Vary: Origin, accept-encoding",
    }
    static = StaticAssets(tree(files))
    for accepted in ("", "gzip"):
        full = ask(static, "/a.txt", headers={"Accept-Encoding": accepted})
        again = ask(static, "/a.txt", headers={"Accept-Encoding": accepted, "If-None-Match": full["ETag"] or ""})
        assert [(answer.status, once(answer)["vary"]) for answer in (full, again)] == [
            (200, "Accept-Encoding, Origin"),
            (304, "Accept-Encoding, Origin"),
        ]
        assert full["Content-Encoding"] == (accepted or None)


def test_rules_leave_what_the_application_answers(tree: Tree) -> None:
    """Header rules are for what the build answers."""
    answer = ask(StaticAssets(tree(BUILD), wrapped_alone), "/api")
    assert (answer.body, answer["X-Frame-Options"]) == (b"the app", None)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_other_methods_are_not_led(tree: Tree, method: str) -> None:
    """A rule is for reading: with another method the application gets the request, or it is refused."""
    assert ask(StaticAssets(tree(BUILD), wrapped_alone), "/old", method).body == b"the app"
    refused = ask(StaticAssets(tree(BUILD)), "/old", method)
    assert (refused.status, refused["Allow"], refused["Location"]) == (405, "GET, HEAD, OPTIONS", None)


# Cases of the reference, end to end.

#: A rule in ``_redirects`` cannot name a host (the platform's own file cannot either; the cases give rules as data).
HOST_RULES = {"competeForwards", "competeBackwards", "wonkyObjectOrder"}


def rule_file(case: dict[str, Any]) -> str:
    """Return the ``_redirects`` of a case, whose rules may be given as data."""
    if "redirects_file" in case:
        return str(case["redirects_file"])
    ordered = sorted(case["static_rules"], key=lambda rule: rule["line"])
    return "\n".join(f"{rule['from']} {rule['to']} {rule['status']}" for rule in (*ordered, *case["dynamic_rules"]))


def asked(static: StaticAssets, case: dict[str, Any]) -> Answer:
    """Send the request of a case."""
    url = urlsplit(case["url"])
    path = unquote_to_bytes(url.path).decode("latin-1")
    target = f"{url.path}?{url.query}" if url.query else url.path
    extra = {"QUERY_STRING": url.query, "RAW_URI": target}
    return ask_raw(static, environ_of(path, case["method"], {"Host": url.netloc, **case["request_headers"]}, **extra))


def build_of(case: dict[str, Any], files: dict[str, str]) -> dict[str, str]:
    """Return the files of a case: those it lists, or, where every path has one, the one that is asked for."""
    listed = [urlsplit(case["url"]).path] if case["files"] == "*" else case["files"]
    names = [name + "index" if name.endswith("/") else name for name in listed]
    return {"unrelated.bin": "x", **{name: f"file {name}" for name in names}, **files}


@needs_conformance
def test_redirects_conformance(tree: Tree) -> None:
    """Through a build on disk, a request is redirected, shown another file, or passed, as on the platform."""
    cases = cases_of("redirects_cases.json", "redirects_match")
    wrong, left = [], []
    for case in cases:
        if case["url"].rpartition("/")[2] in HOST_RULES or case["files"] == "*":
            left.append(case["id"])
            continue
        modes = {name: case[name] for name in ("html_handling", "not_found_handling")}
        static = StaticAssets(tree(build_of(case, {"_redirects": rule_file(case)})), **modes)
        answer = asked(static, case)
        served = answer.body.decode().removeprefix("file ") if answer.status == 200 else None
        found = (answer.status, answer["Location"], served)
        wanted = (case["expected_status"], case["expected_location"], case.get("expected_served_file", served))
        if case["id"] in DEVIATIONS["a path is decoded once, so an encoded slash is a slash"]:
            wanted = (302, "/x/evil.test", None)
        if found != wanted:
            wrong.append((case["id"], case["url"], found, wanted))
    assert wrong == []
    assert (len(cases) - len(left) > 20, len(left)) == (True, len(left))


@needs_conformance
@pytest.mark.unlinted
def test_headers_conformance(tree: Tree) -> None:
    """Through a build on disk, a response carries what it carries on the platform, and our own headers."""
    cases = cases_of("headers_cases.json", "headers_match")
    wrong = []
    for case in cases:
        if "headers_file" in case:
            text = case["headers_file"]
        else:
            text = "\n".join(
                "\n".join(
                    [
                        rule["path"],
                        *(f"  {name}: {value}" for name, value in rule["set"].items()),
                        *(f"  ! {name}" for name in rule["unset"]),
                    ]
                )
                for rule in case["rules"]
            )
        modes = {name: case[name] for name in ("html_handling", "not_found_handling")}
        plain = asked(StaticAssets(tree(build_of(case, {})), **modes), case)
        answer = asked(StaticAssets(tree(build_of(case, {"_headers": text})), **modes), case)
        ours = {name.lower() for name, _ in plain.headers}
        got: dict[str, Any] = once(answer)
        cookies = [value for name, value in answer.headers if name.lower() == "set-cookie"]
        got = {**got, "set-cookie": cookies} if cookies else got
        expected = case["expected_headers"]
        told = {
            name: value for name, value in expected.items() if not value[0].startswith("<") or "of served" not in value
        }
        found = {name: value for name, value in got.items() if name in told or name not in ours}
        gone = ours - got.keys()
        allowed = {name for name in ours if name not in expected}
        if (answer.status, found) != (case["expected_status"], told) or not gone <= allowed:
            wrong.append((case["id"], case["url"], answer.status, found, told, gone))
    assert (wrong, len(cases) > 8) == ([], True)


# A build that changes.


def write(file: Path, content: str | bytes) -> None:
    """Write a file so that its time differs, however coarse the clock of the disk is."""
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    if file.stat().st_mtime_ns == before:
        import os  # noqa: PLC0415

        os.utime(file, ns=(before + 1, before + 1))


def changing(root: Path, **options: Any) -> StaticAssets:
    """Return a build that is looked at on each request."""
    return StaticAssets(root, autorefresh=True, not_found_handling="404-page", **options)


# what is done to the directory; the path that is asked for; status and body before, and after
STEPS: list[tuple[Callable[[Path], object], str, tuple[int, str], tuple[int, str]]] = [
    (lambda root: write(root / "index.html", "<p>new"), "/", (200, "<p>home"), (200, "<p>new")),
    (lambda root: write(root / "new.html", "<p>new"), "/new", (404, "<p>nothing"), (200, "<p>new")),
    (lambda root: (root / "about.html").unlink(), "/about", (200, "<p>about"), (404, "<p>nothing")),
    (lambda root: write(root / "404.html", "<p>gone"), "/missing", (404, "<p>nothing"), (404, "<p>gone")),
    (lambda root: write(root / ENTRY, "new"), f"/{ENTRY}", (200, SCRIPT), (200, "new")),
    (lambda root: write(root / "assets/b-Qz81xKpL.js", "b"), "/assets/b-Qz81xKpL.js", (302, ""), (200, "b")),
    (lambda root: write(root / "_redirects", "/a /b 301"), "/a", (404, "<p>nothing"), (301, "")),
    (lambda root: (root / "_redirects").unlink(), "/old", (301, ""), (200, "a file under a rule")),
    (lambda root: write(root / "_redirects", "\xff\n/old /about 200"), "/old", (301, ""), (200, "<p>about")),
    # nothing to serve: the last good state
    (shutil.rmtree, "/", (200, "<p>home"), (200, "<p>home")),
    (lambda root: (shutil.rmtree(root), root.mkdir()), "/about", (200, "<p>about"), (200, "<p>about")),
    (lambda root: (shutil.rmtree(root), root.write_text("a file")), "/about", (200, "<p>about"), (200, "<p>about")),
    # no rules any more, or what is none
    (
        lambda root: ((root / "_redirects").unlink(), (root / "_redirects").mkdir()),
        "/old",
        (301, ""),
        (200, "a file under a rule"),
    ),
    (
        lambda root: ((root / "_redirects").unlink(), (root / "_redirects").symlink_to("_redirects")),
        "/old",
        (301, ""),
        (200, "a file under a rule"),
    ),
]


@pytest.mark.parametrize("memory", [0, 1024 * 1024])
@pytest.mark.parametrize(("change", "path", "before", "after"), STEPS)
def test_autorefresh(
    tree: Tree,
    change: Callable[[Path], object],
    path: str,
    before: tuple[int, str],
    after: tuple[int, str],
    memory: int,
) -> None:
    """What changes in the directory, the rules included, shows on the next request; an empty one changes nothing."""
    root = tree(BUILD)
    static = changing(root, memory=memory)
    first = ask(static, path)
    assert (first.status, first.body.decode()) == before
    change(root)
    second = ask(static, path)
    if memory or (root / "404.html").exists():
        assert (second.status, second.body.decode()) == after
    else:  # it is known, and there is nothing to send
        assert second.status == 404
    assert ask(static, path).status == second.status


def test_without_autorefresh(tree: Tree) -> None:
    """Without the option the build stays as it was loaded."""
    root = tree(BUILD)
    static = StaticAssets(root)
    write(root / "new.html", "<p>new")
    write(root / "_headers", "/*\n X-New: 1")
    assert ask(static, "/new").status == 404
    assert ask(static, "/")["X-New"] is None


def test_header_rules_change(tree: Tree) -> None:
    """Changed header rules apply from the next request on."""
    root = tree(BUILD)
    static = changing(root)
    assert ask(static, "/about")["X-Frame-Options"] == "DENY"
    write(root / "_headers", "/about\n  X-Frame-Options: SAMEORIGIN")
    assert [ask(static, path)["X-Frame-Options"] for path in ("/about", "/")] == ["SAMEORIGIN", None]


def test_a_single_page_application_without_its_page(tree: Tree) -> None:
    """While a build tool has not yet written the document again, the last good state is served, and its memory kept."""
    root = tree({"index.html": "<p>home", "a.txt": "1", "b.txt": "12"})
    static = StaticAssets(root, autorefresh=True, not_found_handling="single-page-application")
    (root / "index.html").unlink()
    write(root / "a.txt", "new")
    assert [ask(static, path).body for path in ("/", "/route", "/a.txt")] == [b"<p>home", b"<p>home", b"1"]
    write(root / "index.html", "<p>again")
    assert [ask(static, path).body for path in ("/", "/route", "/a.txt")] == [b"<p>again", b"<p>again", b"new"]
    assert static.memory.used == len("<p>again" + "new" + "12")


def test_memory_is_given_back_in_the_middle_of_a_build(tree: Tree) -> None:
    """What was read while the build could not be served is given back with it."""
    root = tree({"index.html": "<p>home", "a.txt": "1"})
    static = StaticAssets(root, autorefresh=True, not_found_handling="single-page-application")
    (root / "index.html").unlink()
    write(root / "a.txt", "new")
    write(root / "b.txt", "more")
    ask(static, "/")
    static.release()
    assert static.memory.used == 0


def test_a_rule_that_raises(tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    """A callable that fails for a new file changes nothing, is logged, and no request fails."""

    def fingerprinted(path: str) -> bool | None:
        if path == "/new.txt":
            raise RuntimeError(path)
        return None

    root = tree({"a.txt": "1"})
    static = StaticAssets(root, autorefresh=True, fingerprinted=fingerprinted)
    write(root / "new.txt", "2")
    assert [ask(static, path).status for path in ("/a.txt", "/new.txt")] == [200, 404]
    assert {(record.levelno, "last good state" in record.message) for record in caplog.records} == {
        (logging.ERROR, True)
    }
    (root / "new.txt").unlink()
    write(root / "b.txt", "2")
    assert [ask(static, path).status for path in ("/a.txt", "/b.txt")] == [200, 200]


@pytest.mark.usefixtures("no_hanging")
def test_several_threads(tree: Tree) -> None:
    """Requests of several threads while the directory changes get a state as it was or as it is, and no error."""
    root = tree(BUILD)
    static = changing(root)
    done = threading.Event()
    wrong: list[object] = []

    def read() -> None:
        while not done.is_set():
            try:
                answer = ask_raw(static, environ_of("/"))
                if (answer.status, answer["Content-Length"]) != (200, str(len(answer.body))):
                    wrong.append(answer)
            except Exception as error:  # noqa: BLE001, PERF203 - whatever it is
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for number in range(30):
        write(root / "index.html", "<p>" + "x" * number)
        write(root / f"{number}.txt", f"of {number}")
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert ask(static, "/").body == b"<p>" + b"x" * 29
    assert static.memory.used == sum(
        file.stat().st_size for file in root.rglob("*") if file.is_file() and not file.name.startswith("_")
    )
