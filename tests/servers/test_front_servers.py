"""Real servers in front: a cache that keeps what it may, two users on two versions, and files handed over to be sent.

Whatever a cache in front keeps, each user gets what the application would have given this very request.
"""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest

from tests.builds import COLLISION, DIFFERING, ENTRY, EQUAL, OWN, SHARED, key_of, pinned, write_builds
from tests.harness import NAVIGATION, SCRIPT, missing, write_build
from tests.servers.fronted import CARRIED, DEPENDING, PLAIN, ROUTED
from tests.servers.nginx import find, nginx
from tests.servers.servers import HOST, ROOT, Answer, Server, free_port, running, serving
from version_affinity.assets.handover import XAccelRedirect, XSendfile
from version_affinity.assets.loading.compress import compress
from version_affinity.assets.loading.index import scan
from version_affinity.errors import ConfigurationError

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

    from version_affinity.assets.loading.asset import Asset

pytestmark = pytest.mark.servers

# --- a cache in front -------------------------------------------------------------------------------------------------

#: How a cache may be set up, as an nginx configuration: by its own rules, and as CDNs do, which take neither Vary nor
#: the query into account and keep for a while whatever does not say that it must not be kept.
CACHES = {
    "nginx": "",
    "cdn": "proxy_cache_key $uri; proxy_ignore_headers Vary;",
    "greedy cdn": "proxy_cache_key $uri; proxy_ignore_headers Vary Set-Cookie; proxy_cache_valid any 10m;",
}
#: Both versions live, and one of them live with the other staged.
SHARES = {"50/50": {"v1": 50.0, "v2": 50.0}, "100/0": {"v1": 100.0, "v2": 0.0}}
NEW = "/new"  # a page that v2 alone has
MISSING = "/assets/index-Zz9kPq3L.js"
#: What is the same for everybody, and may be kept: fingerprinted files without a collision.
KEPT = {SHARED, ENTRY["v1"], ENTRY["v2"]}
#: What the wrapped application says of its own answers, which is none of ours: a cache may keep it.
THEIRS = {"/api/plain", "/api/public", "/missing.txt", "/assets/"}

PATHS = [
    *("/", "/index.html", "/about", "/about.html", "/about?x=1", NEW),
    *(SHARED, ENTRY["v1"], ENTRY["v2"], COLLISION, DIFFERING, EQUAL, OWN["v1"], OWN["v2"]),
    *(MISSING, "/missing.txt", "/assets/"),
    *PLAIN,
    *DEPENDING,
]
OVERRIDE = "Version-Override"


class Fronted(NamedTuple):
    """An application, a cache in front of it, who asks, and what the cache may keep.

    A name that only a staged version has with other bytes is kept: its testers may get the live version's copy.
    """

    direct: Server
    cached: Server
    users: dict[str, dict[str, str]]
    kept: set[str]


@pytest.fixture(scope="module", params=SHARES)
def upstream(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, dict[str, float]]]:
    """Two builds and an application behind them under gunicorn."""
    directory = tmp_path_factory.mktemp("upstream")
    write_builds(directory)
    write_build(directory / "v2", {NEW[1:] + ".html": "a page that v2 alone has"})
    environment = {"FRONTED_TREE": str(directory), "FRONTED_SHARES": request.param}
    with serving("gunicorn", "tests.servers.fronted:storefront()", directory, environment) as server:
        yield server, SHARES[request.param]
        assert "Traceback" not in server.log.read_text()


@pytest.fixture(params=CACHES)
def fronted(
    request: pytest.FixtureRequest, upstream: tuple[Server, dict[str, float]], tmp_path: Path
) -> Iterator[Fronted]:
    """Those, with a cache in front that is empty at first; and users of both versions, or what comes closest."""
    direct, shares = upstream
    http = "proxy_cache_path cache keys_zone=pages:1m inactive=1h;"
    server = f"""
        location / {{
            proxy_pass {direct.url};
            proxy_cache pages;
            {CACHES[request.param]}
            add_header X-Cache-Status $upstream_cache_status always;
        }}
    """
    session = {version: f"session_id={key_of(version if share else 'v1', shares)}" for version, share in shares.items()}
    users = {
        "v1": {"Cookie": session["v1"]},
        "v2": {"Cookie": session["v2"]},
        "pinned v1": pinned("v1"),
        "pinned v2": pinned("v2"),
        "override v1": {OVERRIDE: "v1"},
        "override v2": {OVERRIDE: "v2", "Cookie": session["v1"]},
    }
    with nginx(tmp_path / "nginx", server, http) as cached:
        yield Fronted(direct, cached, users, KEPT if all(shares.values()) else KEPT | {COLLISION})


#: Compared between a cached answer and the application's: what a browser acts on.
COMPARED = ("Content-Type", "ETag", "Location", "Cache-Control", "Vary", "Version-Affinity", "Set-Cookie")


def essence(answer: Answer) -> list[object]:
    """Return what must be as the application would have answered; a bucket is drawn anew for each answer."""
    fields = [answer.headers.get_all(name, []) for name in COMPARED]
    return [answer.status, answer.body, fields[:-1], [re.sub(r"=[0-9]+\.", "=drawn.", field) for field in fields[-1]]]


def test_no_leak(fronted: Fronted) -> None:
    """Each user gets from behind a cache what the application gives this user, whoever asked before, in any order."""
    versions: dict[str, set[str]] = {}
    users = list(fronted.users.items())
    with fronted.direct.connection() as direct, fronted.cached.connection() as cached:
        for path, headers, turn in itertools.product(PATHS, (NAVIGATION, SCRIPT, {}), (1, -1)):
            for user, cookies in users[::turn]:
                asked = {**headers, **cookies}
                expected, got = direct.ask(path, asked), cached.ask(path, asked)
                if got.headers["X-Cache-Status"] == "HIT" and (path in THEIRS or path in fronted.kept - KEPT):
                    live = direct.ask(path, {**headers, **fronted.users["v1"]})
                    assert (got.status, got.body) in {(each.status, each.body) for each in (expected, live)}
                    continue
                assert essence(got) == essence(expected), (path, user, headers)
                versions.setdefault(path, set()).add(got.headers.get("Version-Affinity", "").partition(";")[0])
    # The test tells versions apart: pages were asked for by users of both.
    assert versions["/"] == versions["/page/version"] == {"v1", "v2"}


def test_what_is_kept(fronted: Fronted) -> None:
    """A cache keeps fingerprinted files, and nothing else that is ours: no page, no 404, no collision, no cookie."""
    kept: set[str] = set()
    with fronted.cached.connection() as cached:
        for path, headers, _ in itertools.product(PATHS, (NAVIGATION, SCRIPT, {}), range(2)):
            for cookies in fronted.users.values():
                answer = cached.ask(path, {**headers, **cookies})
                if answer.headers["X-Cache-Status"] == "HIT":
                    kept.add(path)
                    if path not in THEIRS:
                        assert answer.status == 200
                        assert "Set-Cookie" not in answer.headers
                        assert "immutable" in answer.headers["Cache-Control"]
    assert kept - THEIRS == fronted.kept
    assert "/api/public" in kept


@pytest.mark.parametrize("first", ["v1", "v2"])
def test_conditions_behind_cache(fronted: Fronted, first: str) -> None:
    """A browser's own ETag is confirmed for its own version only, whoever asked before."""
    users = {version: fronted.users[version if version == "v1" else f"override {version}"] for version in ("v1", "v2")}
    second = {"v1": "v2", "v2": "v1"}[first]
    for path in {"/", "/about", DIFFERING, COLLISION} - fronted.kept:
        of_first = fronted.cached.ask(path, {**users[first], **NAVIGATION})
        for version, status in ((first, 304), (second, 200)):
            condition = {"If-None-Match": of_first.headers["ETag"]}
            direct = fronted.direct.ask(path, {**users[version], **NAVIGATION, **condition})
            cached = fronted.cached.ask(path, {**users[version], **NAVIGATION, **condition})
            assert direct.status == status, path
            # nginx takes conditions out of what it passes on while it caches; an answer in full is right, too.
            whole = fronted.direct.ask(path, {**users[version], **NAVIGATION})
            assert (cached.status, cached.body) in ((direct.status, direct.body), (200, whole.body))
            assert cached.headers["ETag"] == whole.headers["ETag"]


def test_head_and_ranges_behind_cache(fronted: Fronted) -> None:
    """HEAD and a range, before and after a cache has the whole file, give what a GET says, or its part."""
    for path in KEPT | ({"/about", DIFFERING, COLLISION} - fronted.kept):
        for user in ("v1", "override v2", "v1"):
            cookies = fronted.users[user]
            whole = fronted.direct.ask(path, cookies)
            head = fronted.cached.ask(path, cookies, "HEAD")
            assert (head.status, head.body, head.headers["ETag"]) == (200, b"", whole.headers["ETag"])
            assert head.headers["Content-Length"] == str(len(whole.body))
            part = fronted.cached.ask(path, {**cookies, "Range": "bytes=3-7"})
            assert (part.status, part.body) in ((206, whole.body[3:8]), (200, whole.body)), path
            assert part.headers["ETag"] == whole.headers["ETag"]
    statuses = [
        fronted.cached.ask(SHARED, {"Range": "bytes=0-1"}).headers["X-Cache-Status"],
        fronted.cached.ask(SHARED, method="HEAD").headers["X-Cache-Status"],
    ]
    assert statuses == ["HIT", "HIT"]


def test_new_browsers_behind_cache(fronted: Fronted) -> None:
    """Browsers that come for the first time get cookies of their own, each: nobody's is kept and given to another."""
    cookies = [fronted.cached.ask("/", NAVIGATION).headers.get_all("Set-Cookie", []) for _ in range(8)]
    if "Set-Cookie" in fronted.direct.ask("/", NAVIGATION).headers:
        assert len({cookie for (cookie,) in cookies}) == 8
    else:  # one version alone: nobody needs one
        assert cookies == [[]] * 8


# --- rules that invite caches -----------------------------------------------------------------------------------------

INVITING = {"_headers": "/*\n  Cache-Control: public, max-age=600\n  X-Robots-Tag: noindex\n"}
#: What both versions have, and what one of them has: pages, the same page elsewhere, a rule.
RULED = {
    "v1": {**INVITING, "terms.html": "terms", "old.html": "of v1", "place.html": "p", "_redirects": "/gone /terms"},
    "v2": {**INVITING, "terms.html": "terms", "new.html": "of v2", "place/index.html": "p"},
}
#: Where both answer the same to everybody, so that the rule holds.
ALIKE = {"/terms", EQUAL, OWN["v1"], OWN["v2"]}
RULED_PATHS = [
    *("/", "/index.html", "/about", "/old", "/new", "/place", "/place/", "/gone", *ROUTED, *ALIKE),
    *(SHARED, ENTRY["v1"], ENTRY["v2"], COLLISION, DIFFERING, MISSING, "/page/version", "/api/version"),
]
#: An old page that is open still shows frames and loads files of its version.
FRAME = {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One version for everybody and one that is retained, single-page applications, with rules, under gunicorn."""
    directory = tmp_path_factory.mktemp("ruled")
    write_builds(directory)
    for version, files in RULED.items():
        write_build(directory / version, files)
    with serving(
        "gunicorn", "tests.servers.fronted:ruled_storefront()", directory, {"FRONTED_TREE": str(directory)}
    ) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("cache", CACHES)
@pytest.mark.parametrize("turn", [1, -1])
def test_rules_behind_a_cache(ruled: Server, tmp_path: Path, cache: str, turn: int) -> None:
    """A rule lets a cache keep what all versions answer alike, and nothing of one version, nor a document or an error.

    At a path that the application answers, too, the document is for navigations.
    """
    http = "proxy_cache_path cache keys_zone=pages:1m inactive=1h;"
    passing = f"proxy_pass {ruled.url}; proxy_cache pages; {CACHES[cache]}"
    server = f"location / {{ {passing} add_header X-Cache-Status $upstream_cache_status always; }}"
    users: list[dict[str, str]] = [{}, pinned("v1"), pinned("v2"), {OVERRIDE: "v1"}, {OVERRIDE: "v2"}][::turn]
    kept: set[str] = set()
    with (
        nginx(tmp_path / "nginx", server, http) as front,
        ruled.connection() as direct,
        front.connection() as cached,
    ):
        for path, headers in itertools.product(RULED_PATHS, (NAVIGATION, FRAME, SCRIPT, {})[::turn]):
            for cookies in users:
                asked = {**headers, **cookies}
                expected, got = direct.ask(path, asked), cached.ask(path, asked)
                if got.headers["X-Cache-Status"] == "HIT":
                    kept.add(path)
                    assert "Set-Cookie" not in got.headers
                    assert (got.status, got.body) == (expected.status, expected.body), (path, asked)
                else:
                    assert essence(got) == essence(expected), (path, asked)
    assert kept == ALIKE | KEPT


# --- URLs at which a navigation and other requests are answered differently -----------------------------------------

#: What the wrapped application answers with an error that says nothing of caching, and with what a cache may keep.
HALVES = ["/missing.txt", "/dashboard", "/orders/public", "/api/public"]
#: Who asks: a browser's navigation, its scripts and frames, and clients without Sec-Fetch-*.
ASKING = [NAVIGATION, {**SCRIPT, "Sec-Fetch-Dest": "empty", "Accept": "*/*"}, FRAME, {"Accept": "*/*"}, {}]


@pytest.mark.parametrize("what", ["ruled_storefront", "single_page"])
def test_negotiated_urls_behind_a_cache(tmp_path: Path, what: str) -> None:
    """A cache gives nobody the other half of a URL at which a navigation is shown the single-page document.

    Whoever asks first; also where a cache keeps every 404 that does not forbid it, and where a rule makes the document
    public.
    """
    write_builds(tmp_path)
    for version in ("v1", "v2"):
        write_build(tmp_path / version, {"_headers": "/*\n  Cache-Control: public, max-age=600\n"})
    http = "proxy_cache_path cache keys_zone=pages:1m inactive=1h;"
    with serving("gunicorn", f"tests.servers.fronted:{what}()", tmp_path, {"FRONTED_TREE": str(tmp_path)}) as upstream:
        passing = f"proxy_pass {upstream.url}; proxy_cache pages; proxy_cache_valid 404 10m;"
        server = f"location / {{ {passing} add_header X-Cache-Status $upstream_cache_status always; }}"
        for turn in range(len(ASKING)):
            kept = set()
            with nginx(tmp_path / f"nginx{turn}", server, http) as front:
                for path, asked in itertools.product(HALVES, [*ASKING[turn:], *ASKING[:turn], *ASKING]):
                    expected, got = upstream.ask(path, asked), front.ask(path, asked)
                    assert (got.status, got.body) == (expected.status, expected.body), (path, asked)
                    if got.headers["X-Cache-Status"] == "HIT":
                        kept.add((path, got.status))
            # The cache keeps what it may, and no error.
            assert {("/orders/public", 200), ("/api/public", 200)} <= kept
            assert {status for _, status in kept} == {200}


# --- a proxy that spells paths in its own way -------------------------------------------------------------------------

#: What browsers leave alone in a path beside letters, digits and "_.-~" (WHATWG URL).
LEFT = "[]:@!$&'()*+,;="
#: Files whose names hold what some clients encode and others leave alone.
SPELT = ["logo@2x.png", "a+b.txt", "$&,;=.txt", "user@site.html", "[slug].html", "a b.txt", "100%.txt", "été.html"]
#: What an application's own router knows: the document answers there.
NAMES = ["@alice", "a+b", "x:y", "[x]", "a b", "été", "100%"]
#: How nginx passes a path on: as it came, or, with a path in proxy_pass, decoded and encoded in its own way.
PASSING = {
    "as it came": ("", "proxy_http_version 1.1;"),
    "bare": ("/", "proxy_http_version 1.0;"),
    "silent": ("/", "proxy_http_version 1.1;"),
    "forwarded for": ("/", "proxy_http_version 1.1; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"),
}


@pytest.fixture(scope="module")
def spelt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A single-page application with such files, under gunicorn."""
    directory = tmp_path_factory.mktemp("spelt")
    build = write_build(directory / "build", {"index.html": "document", **{name: name for name in SPELT}})
    (directory / "respelt.py").write_text(
        "from version_affinity import StaticAssets\n"
        f"app = StaticAssets({str(build)!r}, not_found_handling='single-page-application')\n"
    )
    path = os.pathsep.join(map(str, (ROOT, directory)))
    with serving("gunicorn", "respelt:app", directory, {"PYTHONPATH": path}) as server:
        yield server


def shown(server: Server) -> dict[str, tuple[int, str]]:
    """Return status and body of files and routes by their paths, as browsers and as ``encodeURIComponent`` write them.

    And with every character encoded.
    """
    paths = [f"/{quote(name.removesuffix('.html'), safe)}" for name in (*SPELT, *NAMES) for safe in (LEFT, "")]
    paths += ["/" + "".join(f"%{byte:02x}" for byte in name.removesuffix(".html").encode()) for name in SPELT]
    answers = {path: server.ask(path, NAVIGATION) for path in paths}
    return {path: (answer.status, answer.body.decode()) for path, answer in answers.items()}


@pytest.mark.parametrize("passing", PASSING)
def test_names_behind_a_proxy(spelt: Server, tmp_path: Path, passing: str) -> None:
    """Every file shows itself and every route the document, with 200, however a proxy writes the path."""
    end, lines = PASSING[passing]
    direct = shown(spelt)
    assert {status for status, _ in direct.values()} == {200}
    assert {body for _, body in direct.values()} == {*SPELT, "document"}
    with nginx(tmp_path / "nginx", f"location / {{ {lines} proxy_pass {spelt.url}{end}; }}") as front:
        assert shown(front) == direct


# --- a server that compresses ----------------------------------------------------------------------------------------


def test_apache_compresses(tmp_path: Path) -> None:
    """Behind Apache with mod_deflate, which changes the tag of what it compresses, a browser still gets its 304."""
    command = find("apache2")
    if not (APACHE / "mod_deflate.so").exists():
        missing("mod_deflate", "install the package apache2")
    write_builds(tmp_path)
    text = "x = 1;\n" * 1000
    write_build(tmp_path / "v1", {"plain.txt": text, "index.html": f"<!doctype html>{text}"})
    modules = ("mpm_event", "authz_core", "proxy", "proxy_http", "filter", "deflate")
    with serving(
        "gunicorn", "tests.servers.fronted:static()", tmp_path, {"FRONTED_TREE": str(tmp_path / "v1")}
    ) as upstream:
        port = free_port()
        configuration = tmp_path / "apache2.conf"
        lines = [
            *(
                f"ServerName {HOST}",
                f"ServerRoot {tmp_path}",
                f"DefaultRuntimeDir {tmp_path}",
                f"PidFile {tmp_path}/pid",
            ),
            *(
                f"Listen {HOST}:{port}",
                "ErrorLog /dev/stderr",
                f"DocumentRoot {tmp_path}",
                f"ProxyPass / {upstream.url}/",
            ),
            *(f"LoadModule {module}_module {APACHE}/mod_{module}.so" for module in modules),
            *(("User #65534", "Group #65534") if is_root() else ()),
            "SetOutputFilter DEFLATE",
        ]
        configuration.write_text("\n".join(lines))
        with running([command, "-DFOREGROUND", "-f", str(configuration)], port, tmp_path / "log") as front:
            for path in ("/plain.txt", "/"):
                first = front.ask(path, {"Accept-Encoding": "gzip"})
                assert (first.status, first.headers["Content-Encoding"]) == (200, "gzip")
                assert first.headers["ETag"].endswith('-gzip"')
                again = front.ask(path, {"Accept-Encoding": "gzip", "If-None-Match": first.headers["ETag"]})
                assert again.status == 304


# --- files handed over ------------------------------------------------------------------------------------------------

#: Names that a server could take for something else.
ODD = ["a b.js", "50%25.js", "q?#&;=.js", "été.js", "a'b\"c.js", "[slug](group)@+~!,.js", "a..b.js"]
LARGE = b"0123456789abcdef" * 25_000
FILES = {
    "assets/film-DIMmNPI9.mp4": LARGE,
    "large.html": b"<!doctype html>" + LARGE,
    "folder/app.js": LARGE[1:],
    **{name: name.encode() + LARGE for name in ODD},
}
APACHE = Path("/usr/lib/apache2/modules")
PACKAGES = {"nginx": "nginx", "lighttpd": "lighttpd", "apache2": "libapache2-mod-xsendfile"}
#: What every server adds, changes or says of the connection.
OF_SERVERS = {"server", "date", "connection", "keep-alive", "via"}


def proxy(name: str, directory: Path, tree: Path, upstream: Server) -> contextlib.AbstractContextManager[Server]:
    """Run a server in front of another one that may hand it files below a tree."""
    if name == "nginx":
        hand_over = XAccelRedirect(tree, headers=["X-Robots-Tag"])
        return nginx(directory, f"location / {{ proxy_pass {upstream.url}; }} {hand_over.configuration()}")
    port = free_port()
    directory.mkdir()
    configuration = directory / f"{name}.conf"
    if name == "lighttpd":
        configuration.write_text(f"""
            server.modules = ("mod_proxy")
            server.document-root = "{directory}"
            server.bind = "{HOST}"
            server.port = {port}
            proxy.server = ("/" => (("host" => "{HOST}", "port" => {upstream.port},
                                     "x-sendfile" => "enable", "x-sendfile-docroot" => ("{tree}"))))
        """)
        return running([find(name), "-D", "-f", str(configuration)], port, directory / "log")
    command = find(name)
    if not (APACHE / "mod_xsendfile.so").exists():
        missing("mod_xsendfile", "install the package libapache2-mod-xsendfile")
    modules = ("mpm_event", "authz_core", "proxy", "proxy_http", "xsendfile")
    configuration.write_text(
        "\n".join(
            (
                f"ServerName {HOST}",
                f"ServerRoot {directory}",
                f"DefaultRuntimeDir {directory}",
                f"PidFile {directory}/pid",
                f"Listen {HOST}:{port}",
                *(f"LoadModule {module}_module {APACHE}/mod_{module}.so" for module in modules),
                "ErrorLog /dev/stderr",
                *(("User #65534", "Group #65534") if is_root() else ()),  # it serves nothing as root
                f"DocumentRoot {directory}",
                f"ProxyPass / {upstream.url}/",
                "XSendFile On",
                f"XSendFilePath {tree}",
            )
        )
    )
    return running([command, "-DFOREGROUND", "-f", str(configuration)], port, directory / "log")


def is_root() -> bool:
    """Tell whether this is root, for whom Apache serves nothing: its processes become somebody else."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    """Files that any user may read, which those below ``tmp_path`` are not."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield write_build(Path(os.path.realpath(directory), "tree"), FILES)


class Handed(NamedTuple):
    """An application that hands files over, and the server in front that it hands them to."""

    name: str
    direct: Server
    front: Server


@pytest.fixture(scope="module", params=["nginx", "lighttpd", "apache2"])
def handed(request: pytest.FixtureRequest, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handed]:
    """An application and the server in front."""
    directory = tmp_path_factory.mktemp("handed")
    environment = {"FRONTED_TREE": str(tree), "FRONTED_HAND_OVER": request.param}
    with (
        serving("gunicorn", "tests.servers.fronted:handing()", directory, environment) as direct,
        proxy(request.param, directory / "front", tree, direct) as front,
    ):
        yield Handed(request.param, direct, front)


def told(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers of an answer that are no server's own."""
    return sorted((name.lower(), value) for name, value in answer.headers.items() if name.lower() not in OF_SERVERS)


def is_handed(answer: Answer) -> bool:
    """Tell whether an answer of the application hands a file over."""
    return any(name in answer.headers for name in ("X-Accel-Redirect", "X-Sendfile"))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", FILES)
def test_handed_over(handed: Handed, tree: Path, name: str, method: str) -> None:
    """A client gets the file with all headers as they would have been sent from here, and not how it was found."""
    (asset,) = (asset for asset in scan(tree).assets.values() if asset.file == str(tree / name))
    dated = [("Last-Modified", asset.last_modified)] if asset.last_modified else []
    path = quote(name)
    answer = handed.front.ask(f"/{path}", method=method)
    assert (answer.status, answer.body) == (200, (tree / name).read_bytes() if method == "GET" else b"")
    assert told(answer) == sorted((name.lower(), value) for name, value in (*asset.headers, *CARRIED, *dated))
    plain = re.fullmatch(r"[\w/.~+@,=:;!&'()\[\]-]+", name, re.ASCII) and not asset.is_html
    assert is_handed(handed.direct.ask(f"/{path}", method=method)) == (handed.name == "nginx" or bool(plain))


@pytest.mark.parametrize("header", ["X-Robots-Tag", "Content-Security-Policy", "Vary"])
def test_no_header_is_lost(handed: Handed, header: str) -> None:
    """A header that the server in front would lose keeps the file here; one that it knows does not."""
    path = f"/folder/app.js?{header}"
    answer = handed.front.ask(path)
    assert (answer.status, answer.body) == (200, FILES["folder/app.js"])
    assert "asked" in ", ".join(answer.headers.get_all(header, []))
    assert is_handed(handed.direct.ask(path)) == (handed.name != "nginx" or header == "X-Robots-Tag")


def test_no_way_in(handed: Handed) -> None:
    """Nobody can ask for the files past the application."""
    assert handed.front.ask("/protected/folder/app.js").status == 404


def test_missing_behind_nginx(tree: Path, tmp_path: Path) -> None:
    """The 404 of an nginx that does not find the file, set up wrongly or too late, is kept by no cache."""
    (tmp_path / "empty").mkdir()
    configuration = XAccelRedirect(tmp_path / "empty").configuration()
    environment = {"FRONTED_TREE": str(tree), "FRONTED_HAND_OVER": "nginx"}
    with (
        serving("gunicorn", "tests.servers.fronted:handing()", tmp_path, environment) as direct,
        nginx(tmp_path / "nginx", f"location / {{ proxy_pass {direct.url}; }} {configuration}") as front,
    ):
        answer = front.ask("/folder/app.js")
    assert answer.status == 404
    assert "no-store" in answer.headers.get_all("Cache-Control", [])


#: What a build says of its own files: a header that the configuration of nginx has, and one that it does not.
RULES = """
/*.svg
  X-Robots-Tag: noindex
/robots.txt
  Content-Security-Policy: default-src 'none'
/about
  X-Robots-Tag: noindex
  Content-Security-Policy: default-src 'self'
"""


@pytest.fixture(scope="module", params=["handing_storefront", "static"])
def wired(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Server, Server]]:
    """One application that sends all files itself, one that hands them over, and the nginx that gets them."""
    directory = tmp_path_factory.mktemp("wired")
    for build in write_builds(directory).values():
        write_build(build, {"404.html": "<title>nothing here</title>", "_headers": RULES, "film.mp4": LARGE})
    tree = directory / "v1" if request.param == "static" else directory
    target = f"tests.servers.fronted:{request.param}()"

    def environment(way: str) -> dict[str, str]:
        return {"FRONTED_TREE": str(tree), "FRONTED_HAND_OVER": way}

    for name in ("itself", "handing"):
        (directory / name).mkdir()
    with (
        serving("gunicorn", target, directory / "itself", environment("")) as itself,
        serving("gunicorn", target, directory / "handing", environment("nginx")) as handing,
        proxy("nginx", directory / "nginx", tree, handing) as front,
    ):
        yield itself, handing, front


ASKED = [
    {},
    {"Range": "bytes=2-5"},
    {"Range": "bytes=99999999-"},
    {"If-None-Match": "*"},
    {"If-Match": "*"},
    {"If-Match": '"other"'},
    {"If-None-Match": '"other"'},
    {"If-Modified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"},
    {"Accept-Encoding": "gzip, br"},
]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/", "/about", SHARED, ENTRY["v1"], COLLISION, DIFFERING, EQUAL, "/film.mp4", "/missing", MISSING]
)
def test_wired(wired: tuple[Server, Server, Server], path: str, method: str) -> None:
    """Behind nginx, an application that hands its files over answers every request as one that sends them itself."""
    itself, _, front = wired
    for headers in ASKED:
        for user in (pinned("v1"), pinned("v2"), {OVERRIDE: "v1"}):
            asked = {**NAVIGATION, **user, **headers}
            expected, got = itself.ask(path, asked, method), front.ask(path, asked, method)
            assert (got.status, got.body) == (expected.status, expected.body), asked
            assert told(got) == told(expected), asked


def test_wired_hands_over(wired: tuple[Server, Server, Server]) -> None:
    """It does hand over: plain requests for whole files that arrive with all of their headers, and no others."""
    _, handing, _ = wired
    plain = pinned("v1")
    handed = {path: is_handed(handing.ask(path, plain)) for path in ("/film.mp4", SHARED, DIFFERING, EQUAL, "/missing")}
    assert handed == {"/film.mp4": True, SHARED: True, DIFFERING: True, EQUAL: False, "/missing": False}
    assert not is_handed(handing.ask("/film.mp4", {**plain, "Range": "bytes=0-1"}))
    assert not is_handed(handing.ask("/film.mp4", {**plain, "If-Match": "*"}))


def response(file: Path, *more: tuple[str, str]) -> tuple[Asset, list[tuple[str, str]]]:
    """Return a file below a directory of its own, and the headers of a response with it."""
    asset = scan(file.parent).assets[f"/{file.name}"]
    return asset, [*asset.headers, ("Last-Modified", asset.last_modified), *more]


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Give a file in a build."""
    return write_build(tmp_path / "builds" / "v1", {"film.mp4": LARGE}) / "film.mp4"


WAYS = {"nginx": XAccelRedirect, "others": XSendfile}


@pytest.mark.parametrize("way", WAYS)
def test_from_root(film: Path, way: str) -> None:
    """A file below the root is handed over under its name, with an empty body and nothing else changed."""
    asset, headers = response(film)
    handed = WAYS[way](film.parent.parent)(asset, headers)
    named = {"nginx": ("X-Accel-Redirect", "/protected/v1/film.mp4"), "others": ("X-Sendfile", str(film))}
    assert handed is not None
    assert ("Content-Length", "0") in handed
    assert named[way] in handed
    assert {("ETag", asset.etag), ("Content-Type", "video/mp4")} <= set(handed)
    assert headers == response(film)[1]


@pytest.mark.parametrize("way", WAYS)
def test_outside_root(film: Path, tmp_path: Path, way: str) -> None:
    """A file outside of the root, also in a directory whose name begins as the root's, stays here."""
    (tmp_path / "build").mkdir()
    for root in (tmp_path / "build", Path(tempfile.gettempdir(), "..", "etc").resolve()):
        assert WAYS[way](root)(*response(film)) is None


@pytest.mark.parametrize("way", WAYS)
def test_linked_root(film: Path, tmp_path: Path, way: str) -> None:
    """A root that is a link is what it leads to: the names of files have no links in them."""
    (tmp_path / "current").symlink_to(film.parent)
    assert WAYS[way](tmp_path / "current")(*response(film)) is not None


@pytest.mark.parametrize("way", WAYS)
def test_changed_file(film: Path, way: str) -> None:
    """A file that changed since it was loaded is not sent under the ETag of what it was, nor one that is gone."""
    hand_over = WAYS[way](film.parent)
    loaded = response(film)
    film.write_bytes(LARGE[1:])
    assert hand_over(*loaded) is None
    film.unlink()
    film.symlink_to("/etc/passwd")
    assert hand_over(*loaded) is None
    film.unlink()
    assert hand_over(*loaded) is None


def test_compressed_file(tmp_path: Path) -> None:
    """A compressed form goes to nginx with its encoding, and not to Apache, which would drop that."""
    build = write_build(tmp_path / "build", {"app.js": LARGE})
    compress(build, encodings=["gzip"])
    asset = scan(build).assets["/app.js"]
    (form,) = asset.variants
    headers = [*form.headers, ("Last-Modified", asset.last_modified)]
    handed = XAccelRedirect(build)(form, headers)
    assert handed is not None
    assert {("X-Accel-Redirect", "/protected/app.js.gz"), ("Content-Encoding", "gzip")} <= set(handed)
    assert XSendfile(build)(form, headers) is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"root": "/no/such/directory"}, "root='/no/such/directory' is not a directory"),
        ({"root": ""}, "root='' is not a directory"),
        ({"root": "\0"}, "is not a directory"),
        ({"root": None}, "root=None is not a directory"),
        ({"root": b"/"}, "root=b'/' is not a directory"),
        ({"location": "protected/"}, "location='protected/' is not a path: write one such as '/protected/'"),
        ({"location": "/protected"}, "location='/protected' is not a path"),
        ({"location": "/"}, "location='/' is not a path"),
        ({"location": "/a b/"}, "is not a path"),
        ({"location": "/a/;}/"}, "is not a path"),
        ({"location": None}, "location=None is not a path"),
        ({"headers": "Referrer-Policy"}, "headers='Referrer-Policy' is not a list of names"),
        ({"headers": ["a b"]}, "is not a list of names"),
        ({"headers": ["X;}"]}, "is not a list of names"),
        ({"headers": [None]}, "is not a list of names"),
        ({"headers": None}, "headers=None is not a list of names"),
    ],
)
def test_hand_over_configuration(arguments: dict[str, Any], says: str) -> None:
    """What cannot be configured is told with its name and the remedy."""
    with pytest.raises(ConfigurationError, match=re.escape(says)):
        XAccelRedirect(**{"root": "/", **arguments})
    if "root" in arguments:
        with pytest.raises(ConfigurationError, match=re.escape(says)):
            XSendfile(**arguments)


def test_unquotable_root(tmp_path: Path) -> None:
    """A directory whose name nginx's configuration cannot hold is refused."""
    for name in ("$host", 'a"b', "a\nb"):
        (tmp_path / name).mkdir()
        with pytest.raises(ConfigurationError, match="cannot be written into nginx's configuration"):
            XAccelRedirect(tmp_path / name)
