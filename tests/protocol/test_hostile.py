"""Whatever bytes arrive in path, query, cookie and headers: no exception, no 5xx, no file from outside, nothing echoed.

The same inputs go through a socket to real servers, which refuse some of them by themselves, and straight into the
application as environs that no server would make.
"""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import create_environ

from tests.harness import NAVIGATION, SCRIPT, write_build
from tests.servers.servers import COMMANDS, Server, serving
from version_affinity import Cookie, Header, StaticAssets, Version, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SECRET = "kept-outside-of-every-build"  # noqa: S105 - what must not leak, not a password
#: In every input that could be echoed; no header of an answer may have it.
MARKER = "evil"
ASSET = "/assets/index-BX4CeNGm.js"
FILES = {
    "index.html": "<title>home</title>",
    "about.html": "<title>about</title>",
    "404.html": "<title>nothing here</title>",
    "docs/index.html": "<title>docs</title>",
    "a.txt": "a stable name",
    "assets/index-BX4CeNGm.js": "import('./about-CZqtHERk.js')",
    "assets/film-DIMmNPI9.mp4": b"\0" * 400_000,  # too large to be held in memory
}
HIDDEN = {".env": SECRET, ".git/config": SECRET, ".vite/manifest.json": "{}", "assets/.htpasswd": SECRET}
CONTENTS = {
    content.encode() if isinstance(content, str) else content
    for version in ("v1", "v2")
    for content in (*FILES.values(), f"<title>{version}</title>")
}

#: Request targets, as on the wire.
TARGETS: list[bytes] = [
    # every spelling of ".."
    b"/../secret.txt",
    b"/../../../../../../../../etc/passwd",
    b"/assets/../../secret.txt",
    b"/assets/..",
    b"/..",
    b"/%2e%2e/secret.txt",
    b"/%2E%2e/%2e%2E/secret.txt",
    b"/.%2e/secret.txt",
    b"/..%2fsecret.txt",
    b"/%2e%2e%2fsecret.txt",
    b"/..%5csecret.txt",
    b"/..\\secret.txt",
    b"/assets/..\\..\\secret.txt",
    b"/%252e%252e%252fsecret.txt",
    b"/%25252e%25252e/secret.txt",
    b"/%c0%ae%c0%ae/secret.txt",
    b"/%c0%ae%c0%ae%c0%afsecret.txt",
    b"/%e0%80%ae%e0%80%ae/secret.txt",
    b"/..%c1%9csecret.txt",
    b"/%uff0e%uff0e/secret.txt",
    b"/..;/secret.txt",
    b"/..;evil=1/secret.txt",
    b"/%2e%2e;/secret.txt",
    b"/.../secret.txt",
    b"/....//secret.txt",
    b"/..%00/secret.txt",
    b"/.%00./secret.txt",
    # NUL
    b"/%00",
    b"/a.txt%00",
    b"/a.txt%00.html",
    b"/../secret.txt%00.js",
    b"/a\0.txt",
    # hosts, absolute form, other forms
    b"//host/../secret.txt",
    b"//evil.example/",
    b"//evil.example/about.html",
    b"//evil.example/%2e%2e",
    b"///evil.example/about.html",
    b"//a.txt",
    b"/assets//index-BX4CeNGm.js",
    b"/%2f/evil.example/about.html",
    b"/\\evil.example/about.html",
    b"http://evil.example/../secret.txt",
    b"http://evil.example/about.html",
    b"file:///etc/passwd",
    b"evil.example:443",
    b"secret.txt",
    b"../secret.txt",
    b"",
    b"*",
    b"?",
    b"#",
    b"/#/../secret.txt",
    # other systems' names
    b"C:\\secret.txt",
    b"/C:/secret.txt",
    b"/c:secret.txt",
    b"/%5c%5chost%5cshare%5csecret.txt",
    b"\\\\host\\share\\secret.txt",
    b"//host/share/secret.txt",
    b"/%5c%5c%3f%5cC:%5csecret.txt",
    b"/CON",
    b"/NUL",
    b"/aux.js",
    b"/COM%c2%b9",
    b"/CON.txt.html",
    b"/assets/PRN.txt",
    b"/index.html::$DATA",
    b"/a.txt:evil",
    b"/a.txt::$INDEX_ALLOCATION/",
    b"/INDEX~1.HTM",
    # dots, spaces and slashes at the end
    b"/index.html.",
    b"/a.txt.",
    b"/a.txt...",
    b"/a.txt%20",
    b"/a.txt%20.",
    b"/about.html/",
    b"/docs//",
    # length and depth
    b"/" + b"x" * 300,
    b"/assets/" + b"x" * 300 + b".js",
    b"/" + b"y" * 65536,
    b"/" + b"%2e%2e%2f" * 7000,
    b"/z" * 2000,
    b"/.." * 2000 + b"/etc/passwd",
    # no text
    b"/%ff%fe",
    b"/%ff.js",
    b"/assets/\xff-BX4CeNGm.js",
    b"/%ed%a0%80",
    b"/%ed%a0%80%ed%b0%80.html",
    b"/%f4%90%80%80",
    b"/\xc3\xa9",
    b"/%",
    b"/%2",
    b"/%zz",
    b"/%e2%80%ae",
    # line ends, in the path and in a query that a redirect keeps
    b"/%0d%0aSet-Cookie:%20evil=1",
    b"/about.html%0d%0aX-Evil:%201",
    b"/assets/index-BX4CeNGm.js%0aX-Evil:%201",
    b"/%0aX-Evil:%201/",
    b"/about.html?next=%0d%0aSet-Cookie:%20evil=1",
    b"/about.html?%0aX-Evil:%201",
    b"/about.html?//evil.example/\\evil.example",
    b"/docs?next=%E5%98%8A%E5%98%8DSet-Cookie:%20evil=1",
    b"/about.html?" + b"q" * 65536,
    # what is in the build and is nobody's business
    b"/.env",
    b"/.git/config",
    b"/.git/",
    b"/.vite/manifest.json",
    b"/assets/.htpasswd",
    b"/%2eenv",
    b"/v1/.env",
    b"/v1/a.txt",
]
#: Other spellings of a file that is there; taking them for the file would make its rules easy to walk around.
LENIENT = [
    b"/a.txt/",
    b"/./a.txt",
    b"/a.txt/.",
    b"/a.txt%2f",
    b"/assets/./index-BX4CeNGm.js",
    b"/assets/../a.txt",
    b"/A.TXT",
    b"/a.txt.",
    b"/a.txt%20",
    b"/a.txt%00",
    b"/a.txt;x",
    b"/a.txt::$DATA",
    b"/assets%5cindex-BX4CeNGm.js",
]

COOKIE_VALUES: list[bytes] = [
    b"\xff",
    b'"\\377"',
    b"",
    b"=",
    b";",
    b";;; ;",
    b"evil",
    b"\x00",
    b"\x01\x02\x7f",
    b"session_id",
    b"session_id=",
    b"session_id=\xff\xfe",
    b'session_id="',
    b"session_id=evil; session_id=evil2",
    b"session_id=%00%0d%0aevil",
    b"session_id=" + b"evil" * 2048,
    b"x" * 8192,
    b"a=1; " * 1600,
    b"version-affinity-app=",
    b"version-affinity-app=.",
    b"version-affinity-app=evil",
    b"version-affinity-app=evil.v1",
    b"version-affinity-app=4711.evil",
    b"version-affinity-app=4711.../secret",
    b"version-affinity-app=-1.v2",
    b"version-affinity-app=9999999999999999999999999999.v2",
    b"version-affinity-app=\xb2\xb3.v1",
    b"version-affinity-app=\xd9\xa1.v1",
    b"version-affinity-app=1.v1; version-affinity-app=2.v2",
    b"version-affinity-app=" + b"1" * 5000 + b".v1",
    b"__Host-version-affinity-app=1.v2",
    b"xversion-affinity-app=1.v2",
]
OVERRIDE_VALUES: list[bytes] = [
    b"",
    b" ",
    b"evil",
    b"v9",
    b"../v2",
    b"v2/../../secret.txt",
    b'"v2',
    b'"v2\\',
    b"?1",
    b":AAAA:",
    b":not base64:",
    b"(v1 v2)",
    b"20240601",
    b"1a2b3c4",
    b"1.4.2",
    b"2024-01-15",
    b"@1659578233",
    b'%"evil%c3%28"',
    b"999999999999999999999999",
    b"v1, v2",
    b"v2, evil",
    b'app="v2", app="evil"',
    b'app="evil"',
    b"app=v2",
    b'app=("v2")',
    b'app="v2";evil',
    b'other="evil"',
    b"app",
    b",",
    b"=",
    b"\xff\xfe",
    b"\xc3\xa9=\xc3\xa9",
    b"v2\x00",
    b"v2\x01",
    b'app="' + b"e" * 65536 + b'"',
    b", ".join(b'k%d="evil"' % number for number in range(5000)),
    b"(" * 1000,
]
OTHER_FIELDS: list[tuple[str, bytes]] = [
    ("If-None-Match", b'"evil'),
    ("If-None-Match", b"W/" * 4000),
    ("If-None-Match", b'"\xff", W/"\xfe", *'),
    ("If-None-Match", b'"",' * 4000),
    ("If-Modified-Since", b"evil"),
    ("Range", b"bytes=" + b"9" * 5000 + b"-"),
    ("Range", b"evil=0-1"),
    ("Referer", b"evil"),
    ("Referer", b"http://["),
    ("Referer", b"http://evil.example/assets/index-BX4CeNGm.js"),
    ("Referer", b"//\xff\xfe/assets/\xff"),
    ("Referer", b"http://x/" + b"evil/" * 1500),
    ("Sec-Fetch-Mode", b"evil"),
    ("Sec-Fetch-Dest", b"\xff"),
    ("Sec-Fetch-Site", b""),
    ("Sec-Purpose", b"prefetch;evil"),
    ("Service-Worker", b"script, evil"),
    ("Accept", b"text/html\xff"),
    ("Version-Key", b"\xff\xfe"),
    ("Version-Key", b"evil" * 2000),
    ("Version-Key", b"\xed\xa0\x80"),
    ("X-Forwarded-Proto", b"evil"),
]
FIELDS: list[tuple[str, bytes]] = [
    *(("Cookie", value) for value in COOKIE_VALUES),
    *(
        (name, value)
        for name in ("Version-Override", "Cloudflare-Workers-Version-Overrides")
        for value in OVERRIDE_VALUES
    ),
    *OTHER_FIELDS,
]
METHODS = [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"PROPFIND", b"get", b"EVIL"]


class Answer(NamedTuple):
    """A response; its header names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:  # type: ignore[override]
        return next((value for known, value in self.headers if known == name), "")


def check(answer: Answer) -> None:
    """Assert what holds for the answer to anything."""
    assert 200 <= answer.status < 500
    assert SECRET.encode() not in answer.body
    assert b"root:" not in answer.body
    if answer.status == 200:
        assert not answer.body or answer.body in CONTENTS
    for name, value in answer.headers:
        assert re.fullmatch(r"[a-z-]+", name)
        assert re.fullmatch(r"[\x20-\x7e]*", value)
        # A redirect repeats the path and the query that it was asked with, encoded, as a path of this site.
        assert name == "location" or MARKER not in value.lower(), name
    assert not answer["location"] or re.match(r"/(?![/\\])[^\\\r\n]*\Z", answer["location"])
    if answer.status == 404:
        assert "no-store" in answer["cache-control"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two builds, and secrets beside and in them."""
    root = tmp_path_factory.mktemp("site")
    for version in ("v1", "v2"):
        write_build(root / version, FILES | HIDDEN | {"version.html": f"<title>{version}</title>"})
    return write_build(root, {"secret.txt": SECRET, "C:/secret.txt": SECRET, "evil.example/secret.txt": SECRET})


# Through a socket.


@pytest.fixture(scope="module", params=COMMANDS)
def server(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Both builds under a real server."""
    log = tmp_path_factory.mktemp("log")
    with serving(request.param, "tests.served:builds()", log, {"SERVED_BUILDS": str(root)}) as running:
        yield running


@pytest.fixture
def ask(server: Server) -> Iterator[Callable[..., Answer | None]]:
    """Send a request as bytes; None where the server itself refused it. Nothing was raised, and it still serves."""
    before = len(server.log.read_bytes())
    yield partial(send, server)
    written = server.log.read_bytes()[before:].decode(errors="replace")
    sys.stderr.write(written)
    assert "Traceback" not in written
    assert server.ask("/a.txt").status == 200


def send(
    server: Server, target: bytes, fields: Sequence[tuple[str, bytes]] = (), method: bytes = b"GET"
) -> Answer | None:
    """Send a request and return its answer, None where the server refused it without asking the application."""
    lines = [b"%s %s HTTP/1.1" % (method, target), b"Host: example", b"Connection: close"]
    lines += [name.encode() + b": " + value for name, value in fields]
    received = server.send(b"\r\n".join([*lines, b"", b""]))
    head, _, body = received.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    status = int(first.split(" ")[1])
    headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in rest)]
    if not any(name in ("version-affinity", "etag") for name, _ in headers):
        assert status in (400, 404, 405, 412, 414, 416, 431, 501)
        assert SECRET.encode() not in received
        return None
    if "transfer-encoding" in dict(headers):
        assert dict(headers)["transfer-encoding"] == "chunked"
        body = b"".join(body.split(b"\r\n")[1::2])
    return Answer(status, headers, body)


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, NAVIGATION, SCRIPT], ids=["plain", "page", "script"])
def test_targets_over_a_socket(ask: Callable[..., Answer | None], fields: dict[str, str]) -> None:
    """No request target leads out of the build, breaks the application or reaches a header."""
    answered = 0
    for target in TARGETS:
        answer = ask(target, [(name, value.encode()) for name, value in fields.items()])
        if answer is not None:
            check(answer)
            answered += 1
    assert answered > len(TARGETS) // 2


@pytest.mark.parametrize("target", [b"/", b"/a.txt", b"/about.html?next=1", ASSET.encode()])
def test_fields_over_a_socket(ask: Callable[..., Answer | None], target: bytes) -> None:
    """No cookie, override or other field changes more than the version, or is sent back."""
    answered = 0
    for name, value in FIELDS:
        answer = ask(target, [(name, value)])
        if answer is not None:
            check(answer)
            assert answer.status in (200, 304, 307, 416)
            answered += 1
    assert answered > len(FIELDS) // 2


def test_methods_over_a_socket(ask: Callable[..., Answer | None]) -> None:
    """Methods that no file understands are refused, with what is allowed."""
    for method in METHODS:
        answer = ask(b"/a.txt", [("Content-Length", b"0")], method)
        if answer is not None:
            check(answer)
            assert answer.status == (204 if method == b"OPTIONS" else 405)
            assert answer["allow"] == "GET, HEAD, OPTIONS"


def test_repeated_fields_over_a_socket(ask: Callable[..., Answer | None]) -> None:
    """Several lines of one field, which a server joins or refuses, are as harmless as one."""
    for name in ("Version-Override", "Cloudflare-Workers-Version-Overrides", "Cookie", "Version-Key", "Referer"):
        answer = ask(b"/", [(name, b"evil"), (name, b"v2"), (name, b'app="v2"')])
        if answer is not None:
            check(answer)
            assert answer.status == 200


# Straight into the application.


def no_page(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer as an application that has nothing."""
    start_response("404 Not Found", [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
    return [b"the application has nothing"]


def versions(root: Path, **options: Any) -> VersionAffinity:
    """Return both builds at 50 %."""
    return VersionAffinity(
        **{"app": None, "keys": [Cookie("session_id"), Header("Version-Key")]}
        | options
        | {"versions": [Version("v1", root / "v1", percentage=50), Version("v2", root / "v2", percentage=50)]}
    )


APPLICATIONS: dict[str, Callable[[Path], WSGIApplication]] = {
    "alone": versions,
    "404 page": partial(versions, not_found_handling="404-page"),
    "single page": partial(versions, not_found_handling="single-page-application"),
    "around an application": partial(versions, app=no_page, not_found_handling="single-page-application"),
    "from disk": partial(versions, memory=0, html_handling="force-trailing-slash"),
    "without a cookie": partial(versions, cookie=None, html_handling="drop-trailing-slash"),
    "under a prefix": partial(versions, app=no_page, prefix="/shop/"),
    "names as they are": partial(versions, html_handling="none"),
    "static assets": lambda root: StaticAssets(root / "v1", html_handling="auto-trailing-slash"),
}


@pytest.fixture(scope="module", params=APPLICATIONS)
def application(request: pytest.FixtureRequest, root: Path) -> WSGIApplication:
    """The builds, configured in every way that changes what a path means."""
    return APPLICATIONS[request.param](root)


def call(application: WSGIApplication, **changes: str | None) -> Answer:
    """Ask an application with an environ of which some values are changed, or taken out by None."""
    environ = create_environ("/", "http://example/")
    environ |= changes
    environ = {name: value for name, value in environ.items() if value is not None}
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _: None

    body = application(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()
    ((status, headers),) = started
    return Answer(int(status[:3]), [(name.lower(), value) for name, value in headers], content)


def environ_of(fields: dict[str, str]) -> dict[str, str]:
    """Return request headers as an environ has them."""
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()}


def spellings(target: bytes) -> Iterator[tuple[str, str]]:
    """Yield a target as path and query: decoded once, as it is, decoded twice, and as no server would decode it."""
    path, _, query = target.partition(b"?")
    for text in (unquote_to_bytes(path), path, unquote_to_bytes(unquote_to_bytes(path))):
        yield text.decode("latin-1"), unquote_to_bytes(query).decode("latin-1")
        yield text.decode("utf-8", "surrogateescape"), query.decode("latin-1")


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields", [{}, NAVIGATION, SCRIPT, {"Accept": "text/html"}], ids=["plain", "page", "script", "old"]
)
@pytest.mark.parametrize("prefix", ["", "/shop"])
def test_targets_in_process(application: WSGIApplication, prefix: str, fields: dict[str, str]) -> None:
    """No PATH_INFO and no QUERY_STRING, legal or not, raises, leads out of the build or reaches a header."""
    for target in (*TARGETS, *LENIENT):
        for path, query in spellings(target):
            check(call(application, PATH_INFO=prefix + path, QUERY_STRING=query, **environ_of(fields)))


@pytest.mark.parametrize(
    "name", ["alone", "404 page", "single page", "from disk", "names as they are", "static assets"]
)
def test_other_spellings_of_a_file_are_not_found(name: str, root: Path) -> None:
    """A path stands for a file in exactly one spelling; a lenient one is 404 like any other name."""
    application = APPLICATIONS[name](root)
    for target in LENIENT:
        path = unquote_to_bytes(target).decode("latin-1")
        assert call(application, PATH_INFO=path, **environ_of(SCRIPT)).status == 404, target


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/a.txt", "/about.html", ASSET, "/assets/film-DIMmNPI9.mp4", "/nothing"])
def test_fields_in_process(application: WSGIApplication, path: str) -> None:
    """No value of a field, as a server or nobody would hand it over, raises or is sent back."""
    for name, value in FIELDS:
        for text in (value.decode("latin-1"), value.decode("utf-8", "surrogateescape"), f"{value!r}\ud800\r\n\u20ac"):
            for fields in ({}, NAVIGATION, SCRIPT):
                check(call(application, PATH_INFO=path, **environ_of({**fields, name: text})))


@pytest.mark.parametrize(
    "changes",
    [
        {"PATH_INFO": None},
        {"PATH_INFO": ""},
        {"QUERY_STRING": None},
        {"SCRIPT_NAME": None},
        {"SCRIPT_NAME": "//evil.example", "PATH_INFO": "/about.html"},
        {"SCRIPT_NAME": "/\r\nX-Evil: 1", "PATH_INFO": "/about.html"},
        {"SERVER_NAME": None, "SERVER_PORT": None, "REMOTE_ADDR": None, "SERVER_PROTOCOL": None},
        {"HTTP_HOST": "evil.example\r\nX-Evil: 1", "PATH_INFO": "/about.html"},
        {"wsgi.url_scheme": "evil"},
        {"REQUEST_METHOD": "EVIL"},
        {"REQUEST_METHOD": ""},
        {"REQUEST_METHOD": "get"},
    ],
)
def test_environs_that_no_server_makes(application: WSGIApplication, changes: dict[str, str | None]) -> None:
    """An environ without what is optional, or with what cannot be, is answered."""
    answer = call(application, **changes)
    assert all(re.fullmatch(r"[\x20-\x7e]*", name + value) for name, value in answer.headers)
    assert answer.status < 500
    assert re.match(r"(?:/(?![/\\]).*)?\Z", answer["location"])


def raising(_: WSGIEnvironment) -> str:
    """Fail, as somebody's own key source may."""
    raise RuntimeError(MARKER)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (raising, "minted;refused=key-source"),
        (lambda _: 42, "minted;refused=key-source"),
        (lambda _: ["evil"], "minted;refused=key-source"),
        (lambda _: None, "minted"),
        (lambda _: "", "minted"),
        (lambda _: b"", "minted"),
        (lambda _: b"\xff\0evil", "key"),
        (lambda _: "\ud800evil", "key"),
        (lambda _: "evil" * 100_000, "key"),
        (lambda environ: environ["evil"], "minted;refused=key-source"),
    ],
)
def test_key_sources(source: Callable[[WSGIEnvironment], object], reason: str, root: Path) -> None:
    """Whatever a key source yields or raises, it decides or counts as absent; the trace never has the key."""
    answer = call(versions(root, keys=[source]), **environ_of(NAVIGATION))
    check(answer)
    assert answer.status == 200
    decided, _, refused = reason.partition(";")
    assert f";reason={decided}" in answer["version-affinity"]
    assert answer["version-affinity"].endswith(refused)


def test_a_missing_asset_is_one_line_in_the_log(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Line ends and control characters of a path do not reach the log as such."""
    call(versions(root), PATH_INFO="/assets/x\r\nCRITICAL evil\x1b[31m-AAAAAAAA.js")
    (message,) = [record.getMessage() for record in caplog.records if "no known version can serve" in record.msg]
    assert message.isprintable()
    assert len(message) < 400


TEXT = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=60).map(lambda value: value.decode("latin-1")),
    st.lists(
        st.sampled_from([*'/\\.%;:?#=," \r\n\0', "..", "a.txt", "about", "v1", "v2", "app", ASSET]), max_size=12
    ).map("".join),
)


@given(
    path=TEXT.map("/{}".format) | TEXT,
    query=TEXT,
    fields=st.dictionaries(
        st.sampled_from(
            sorted({name for name, _ in FIELDS}),
        ),
        TEXT,
    ),
    method=st.sampled_from(["GET", "HEAD", "POST"]),
)
@pytest.mark.parametrize("name", ["alone", "around an application"])
def test_anything(
    name: str, path: str, query: str, fields: dict[str, str], method: str, loaded: dict[str, Any]
) -> None:
    """Random text everywhere at once is answered like anything else."""
    changes = {"PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method} | environ_of(fields)
    answer = call(loaded[name], **changes)
    assert answer.status < 500
    assert answer.status != 200 or not answer.body or answer.body in CONTENTS
    for header, value in answer.headers:
        assert re.fullmatch(r"[a-z-]+", header)
        assert re.fullmatch(r"[\x20-\x7e]*", value)


@pytest.fixture(scope="module")
def loaded(root: Path) -> dict[str, WSGIApplication]:
    """Two of the applications, loaded once for all random requests."""
    return {name: APPLICATIONS[name](root) for name in ("alone", "around an application")}
