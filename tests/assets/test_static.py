"""StaticAssets as a WSGI application."""

import logging
import re
import threading
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from urllib.parse import quote, unquote_to_bytes
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.assets.asking import ask, ask_raw, environ_of
from tests.assets.deviations import DEVIATIONS
from tests.harness import conformance, needs_conformance
from version_affinity.assets.loading.media import is_media
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.loading.tree import LARGE
from version_affinity.assets.static import StaticAssets
from version_affinity.errors import ConfigurationError

IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "public, max-age=0, must-revalidate"
SINGLE_PAGE = "single-page-application"

BUILD = {
    "index.html": "<!doctype html><title>home</title>",
    "about.html": "<!doctype html><title>about</title>",
    "404.html": "<!doctype html><title>not found</title>",
    "docs/index.html": "<!doctype html><title>docs</title>",
    "docs/404.html": "<!doctype html><title>not in the docs</title>",
    "favicon.ico": b"icon",
    "empty.txt": b"",
    "assets/index-BX4CeNGm.js": "console.log(1)",
    "big.bin": bytes(range(256)) * (LARGE // 256 + 1),
}

NAVIGATE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "script"}


def wrapped(environ, start_response):
    """Answer with what the wrapped application saw."""
    body = f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]


@pytest.fixture
def root(tree):
    """Give a build."""
    return tree(BUILD)


@pytest.mark.parametrize("memory", [0, 64 * 1024 * 1024])
@pytest.mark.parametrize(
    ("path", "file", "cache"),
    [
        ("/assets/index-BX4CeNGm.js", "assets/index-BX4CeNGm.js", IMMUTABLE),
        ("/favicon.ico", "favicon.ico", REVALIDATE),
        ("/empty.txt", "empty.txt", REVALIDATE),
        ("/big.bin", "big.bin", REVALIDATE),
        ("/", "index.html", REVALIDATE),
        ("/about", "about.html", REVALIDATE),
        ("/docs/", "docs/index.html", REVALIDATE),
    ],
)
def test_get_head_and_revalidation(root, memory, path, file, cache):
    """GET sends the file, HEAD the same headers alone, and the file's tag gets a 304, from memory and from disk."""
    app = StaticAssets(root, memory=memory)
    got, head = ask(app, path), ask(app, path, "HEAD")
    assert (got.status, got.body) == (200, (root / file).read_bytes())
    assert (head.status, head.body, head.headers) == (200, b"", got.headers)
    assert got["Content-Length"] == str(len(got.body))
    assert (got["Cache-Control"], got["X-Content-Type-Options"], got["Accept-Ranges"]) == (cache, "nosniff", "bytes")
    modified = got["Last-Modified"]
    assert (modified is None) is file.endswith(".html")  # a date cannot tell one document from another
    assert modified is None or parsedate_to_datetime(modified).timestamp() == int((root / file).stat().st_mtime)
    for method in ("GET", "HEAD"):
        unchanged = ask(app, path, method, {"If-None-Match": f'"x", W/{got["ETag"]}'})
        assert (unchanged.status, unchanged.body) == (304, b"")
        assert sorted(unchanged.headers) == sorted([("ETag", got["ETag"]), ("Cache-Control", cache)])
    assert ask(app, path, headers={"If-None-Match": '"other"'}).status == 200


def test_headers_are_the_requests_own(root):
    """Who changes the headers of one response does not change the next one's."""
    app = StaticAssets(root)
    first = ask_raw(app, environ_of("/favicon.ico"))
    first.headers.append(("X-Leak", "1"))
    assert ask_raw(app, environ_of("/favicon.ico"))["X-Leak"] is None


def test_large_files_go_through_the_servers_wrapper(root, file_wrapper):
    """A file that is not in memory is handed to wsgi.file_wrapper, one in memory is not."""
    app = StaticAssets(root)
    for method, path, content in (
        ("GET", "/big.bin", BUILD["big.bin"]),
        ("GET", "/favicon.ico", b"icon"),
        ("HEAD", "/big.bin", b""),
    ):
        assert ask_raw(app, environ_of(path, method, **{"wsgi.file_wrapper": file_wrapper})).body == content
    assert all(wrapper.file.closed for wrapper in file_wrapper.made)
    assert len(file_wrapper.made) == 1  # GET's: HEAD only checks that the file is still there


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_deleted_and_changed_files(root, method):
    """A large file that is gone or changed is a 404 that no cache keeps, a small one is served from memory."""
    app = StaticAssets(root, not_found_handling="404-page", memory=200 * 1024)
    (root / "big.bin").write_bytes(b"other")
    (root / "favicon.ico").unlink()
    answer = ask(app, "/big.bin", method)
    assert (answer.status, answer["Cache-Control"], answer["ETag"]) == (404, "no-store", None)
    assert ask(app, "/favicon.ico", method).status == 200


def test_a_deleted_404_page(root):
    """When the 404 page itself is gone, the answer is a plain 404."""
    app = StaticAssets(root, not_found_handling="404-page", memory=0)
    (root / "404.html").unlink()
    answer = ask(app, "/missing")
    assert (answer.status, answer["Content-Type"]) == (404, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("path", "query", "location"),
    [
        ("/index.html", "", "/"),
        ("/about.html", "a=1&b=%20", "/about?a=1&b=%20"),
        ("/about/", "x=\r\ny: z", "/about?x=%0D%0Ay:%20z"),
        ("/docs", "", "/docs/"),
    ],
)
@pytest.mark.parametrize("mount", ["", "/app"])
def test_redirects(root, mount, path, query, location):
    """Another spelling of a page is redirected, with its query, to a path of the same host."""
    answer = ask(StaticAssets(root), path, SCRIPT_NAME=mount, QUERY_STRING=query)
    assert (answer.status, answer["Location"], answer["Content-Length"], answer.body) == (
        307,
        mount + location,
        "0",
        b"",
    )


NAMES = ["logo@2x.png", "a+b.txt", "Q&A.pdf", "[slug].js", "100%.txt", "a b.txt", "semi;colon,$=!.txt", "pipe|.txt"]


@pytest.mark.parametrize("options", [{}, {"not_found_handling": SINGLE_PAGE}, {"not_found_handling": "404-page"}])
@pytest.mark.parametrize("mount", ["", "/app"])
def test_a_name_is_served_however_it_is_encoded(tree, mount, options):
    """A path is decoded, looked up and answered with 200; it is never redirected for its percent-encoding."""
    app = StaticAssets(tree({**BUILD, **{name: name for name in NAMES}, "caf\xe9.html": "caf\xe9"}), **options)
    for name in (*NAMES, "caf\xe9"):
        for safe in ("", "@+&[];,$=!|"):
            for target in (quote(name, safe), "".join(f"%{byte:02x}" for byte in name.encode())):
                path = "/" + unquote_to_bytes(target).decode("latin-1")
                answer = ask_raw(app, environ_of(path, SCRIPT_NAME=mount, RAW_URI=f"{mount}/{target}"))
                assert (answer.status, answer["Location"], answer.body.decode()) == (200, None, name), target


@pytest.mark.parametrize("path", ["/./about", "/docs/../about", "/docs/x/"])
@pytest.mark.parametrize(("handling", "status"), [("none", 404), ("404-page", 404), (SINGLE_PAGE, 200)])
def test_a_lenient_path_is_another_path(root, path, handling, status):
    """Dot segments are neither resolved nor redirected: nothing is at such a path."""
    answer = ask_raw(StaticAssets(root, not_found_handling=handling), environ_of(path, headers=NAVIGATE))
    assert (answer.status, answer["Location"]) == (status, None)


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("//about", "/about"),
        ("/about//", "/about"),
        ("//about.html", "/about"),
        ("///", "/"),
        ("//favicon.ico", "/favicon.ico"),
        ("//missing", None),
        ("//assets//index-AAAAAAAA.js", None),
    ],
)
def test_empty_segments(root, path, location):
    """A path with empty segments leads to the path without them, never to another host, if something is there."""
    app = StaticAssets(root)
    for mount in ("", "/shop"):
        answer = ask_raw(app, environ_of(path, SCRIPT_NAME=mount, QUERY_STRING="a=1", headers=NAVIGATE))
        leads = None if location is None else f"{mount}{location}?a=1"
        assert (answer.status, answer["Location"]) == (404 if location is None else 307, leads)


@pytest.mark.parametrize(
    ("method", "path", "handling", "status", "allow"),
    [
        ("POST", "/favicon.ico", "none", 405, "GET, HEAD, OPTIONS"),
        ("PUT", "/about.html", "none", 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/favicon.ico", "none", 204, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/about.html", "none", 204, "GET, HEAD, OPTIONS"),
        ("POST", "/missing", "none", 404, None),
        ("OPTIONS", "/missing", "none", 404, None),
        ("POST", "/missing", "404-page", 405, "GET, HEAD"),
        ("OPTIONS", "/missing", "404-page", 405, "GET, HEAD"),
        ("DELETE", "/missing", SINGLE_PAGE, 405, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "/missing", SINGLE_PAGE, 204, "GET, HEAD, OPTIONS"),
        ("BREW", "/favicon.ico", "none", 405, "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods(root, method, path, handling, status, allow):
    """Another method on a file is 405 with Allow; OPTIONS names the methods; caches keep neither."""
    app = StaticAssets(root, not_found_handling=handling)
    # wsgiref.validate knows no other methods than those of its time.
    answer = ask_raw(app, environ_of(path, method)) if method == "BREW" else ask(app, path, method)
    assert (answer.status, answer["Allow"]) == (status, allow)
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("method", "status"), [("OPTIONS", 204), ("POST", 404)])
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_server_as_a_whole(root, method, status, prefix):
    """OPTIONS of "*" names the methods (RFC 9110 section 9.3.7); no other method has that target."""
    answer = ask_raw(StaticAssets(root, prefix=prefix), environ_of("*", method))
    assert (answer.status, answer["Allow"]) == (status, "GET, HEAD, OPTIONS" if status == 204 else None)


@pytest.mark.parametrize(
    ("path", "headers", "document"),
    [
        ("/route", {}, True),
        ("/route/deep", {}, True),
        ("/assets/overview", {}, True),
        ("/user/jane.doe", {}, True),
        ("/report.pdf", {}, False),
        ("/missing.js", {}, False),
        ("/assets/index-OldHash1.js", {}, False),
        ("/missing.js", {"Accept": "text/html"}, False),
        ("/missing.html", {}, True),
        ("/route", NAVIGATE, True),
        ("/report.pdf", NAVIGATE, True),
        ("/missing.js", NAVIGATE, True),
        ("/route", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "empty"}, True),
        ("/route", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, True),
        ("/route", {"Sec-Fetch-Mode": "navigate"}, True),
        ("/route", {"Sec-Fetch-Dest": "document"}, True),
        ("/route", SCRIPT, False),
        ("/missing.js", SCRIPT, False),
        ("/route", {"Sec-Fetch-Dest": "image"}, False),
        ("/route", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, False),
        ("/route", {"Sec-Fetch-Mode": "no-cors"}, False),
    ],
)
def test_single_page_application(root, path, headers, document):
    """The document answers pages; what a page loads and nobody has is a short 404 that no cache keeps."""
    app = StaticAssets(root, not_found_handling=SINGLE_PAGE)
    answer = ask(app, path, headers=headers)
    if document:
        assert (answer.status, answer.body, answer["Cache-Control"]) == (200, BUILD["index.html"].encode(), REVALIDATE)
        unchanged = ask(app, path, headers={**headers, "If-None-Match": answer["ETag"]})
        assert (unchanged.status, unchanged["Vary"], answer["Vary"]) == (304, *2 * ["Sec-Fetch-Mode, Sec-Fetch-Dest"])
    else:
        assert (answer.status, answer["Cache-Control"]) == (404, "no-store")
        assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("text/plain; charset=utf-8", "nosniff")
        assert b"<" not in answer.body


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/missing", "404.html"),
        ("/docs/missing", "docs/404.html"),
        ("/docs/deep/missing", "docs/404.html"),
        ("/missing.txt", "404.html"),
        ("/assets/index-OldHash1.js", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_404_page(root, path, page, method):
    """The nearest 404.html says that a page is missing; it has no tag, gets no 304 and no cache keeps it."""
    app = StaticAssets(root, not_found_handling="404-page")
    tag = app.index.assets["/404.html"].etag
    answer = ask(app, path, method, {"If-None-Match": f"{tag}, *" if page is None else "*"})
    content = BUILD[page].encode() if page else b"404 Not Found\n"
    assert (answer.status, answer["Cache-Control"], answer["ETag"]) == (404, "no-store", None)
    assert answer["Content-Length"] == str(len(content))
    assert answer.body == (b"" if method == "HEAD" else content)


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/favicon.ico", {}, b"icon"),
        ("GET", "/", {}, BUILD["index.html"].encode()),
        ("GET", "/api/users", {}, b"GET |/api/users"),
        ("HEAD", "/api/users", {}, b""),
        ("POST", "/api/users", {}, b"POST |/api/users"),
        ("POST", "/favicon.ico", {}, b"POST |/favicon.ico"),
        ("OPTIONS", "/favicon.ico", {}, b"OPTIONS |/favicon.ico"),
        ("GET", "/api/users", SCRIPT, b"GET |/api/users"),
        ("GET", "/media/photo.jpg", {}, b"GET |/media/photo.jpg"),
        ("GET", "/media//photo", {}, b"GET |/media//photo"),
        ("GET", "/assets/index-OldHash1.js", {}, b"404 Not Found\n"),
        ("GET", "/assets/gone.css", {}, b"404 Not Found\n"),
    ],
)
def test_wrapped_application(root, method, path, headers, expected):
    """The wrapped application gets what no file claims, unchanged, but not the misses of a build's own files."""
    assert ask(StaticAssets(root, wrapped), path, method, headers).body == expected


@pytest.mark.parametrize(
    ("path", "headers", "document"),
    [
        ("/route", NAVIGATE, True),
        ("/route", {"Accept": "text/html,*/*;q=0.8"}, True),
        ("/route", {"Accept": "*/*"}, False),
        ("/route", {}, False),
        ("/route", SCRIPT, False),
        ("/widget", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, False),
        ("/photo.jpg", {"Accept": "text/html"}, False),
    ],
)
def test_wrapped_application_and_single_page(root, path, headers, document):
    """With an application behind, the document answers what is surely a page, the application the rest."""
    answer = ask(StaticAssets(root, wrapped, not_found_handling=SINGLE_PAGE), path, headers=headers)
    assert answer.body == (BUILD["index.html"].encode() if document else f"GET |{path}".encode())
    assert answer["Vary"] == "Sec-Fetch-Mode, Sec-Fetch-Dest, Sec-Fetch-Site, Accept"


@pytest.mark.parametrize("prefix", ["/front", "front/", "/front/"])
@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/front/favicon.ico", 200, b"icon"),
        ("/front/", 200, BUILD["index.html"].encode()),
        ("/front", 307, b""),
        ("/front/docs", 307, b""),
        ("/favicon.ico", 200, b"GET |/favicon.ico"),
        ("/frontier", 200, b"GET |/frontier"),
        ("/", 200, b"GET |/"),
        ("/front/other", 200, b"GET |/front/other"),
    ],
)
def test_prefix(root, prefix, path, status, body):
    """Files are mounted below the prefix; everything else is the application's, its path unchanged."""
    answer = ask(StaticAssets(root, wrapped, prefix=prefix), path)
    assert (answer.status, answer.body) == (status, body)
    if status == 307:
        assert answer["Location"] == path + "/"


@pytest.mark.parametrize("path", ["/caf\xc3\xa9/favicon.ico", "/caf\xc3\xa9/missing", "/caf\xe9/favicon.ico"])
def test_prefix_that_is_not_ascii(root, path):
    """A prefix means its UTF-8, which PATH_INFO holds decoded as latin-1 (PEP 3333)."""
    app = StaticAssets(root, prefix="/caf\xe9/")
    assert ask(app, path).status == (200 if path == "/caf\xc3\xa9/favicon.ico" else 404)
    assert ask(app, "/caf\xc3\xa9")["Location"] == "/caf%C3%A9/"


def test_outside_the_prefix_without_an_application(root):
    """Outside the prefix nothing stands in: no document, no 404 page."""
    for handling in ("none", "404-page", SINGLE_PAGE):
        answer = ask(StaticAssets(root, prefix="/front", not_found_handling=handling), "/other", headers=NAVIGATE)
        assert (answer.status, answer.body) == (404, b"404 Not Found\n")


@pytest.mark.parametrize(
    ("script_name", "path_info", "status", "location"),
    [("", None, 200, None), ("", "", 200, None), ("/app", None, 307, "/app/"), ("/app", "", 307, "/app/")],
)
def test_absent_path(root, script_name, path_info, status, location):
    """PATH_INFO may be absent or empty (PEP 3333): that is the root, or the mount without its slash."""
    environ = environ_of("", SCRIPT_NAME=script_name)
    del environ["PATH_INFO"]
    if path_info is not None:
        environ["PATH_INFO"] = path_info
    answer = ask_raw(StaticAssets(root), environ)
    assert (answer.status, answer["Location"]) == (status, location)


HOSTILE = [
    *("*", "index.html", "favicon.ico", "..", "../favicon.ico", "C:\\boot.ini", "http://evil.example/", "\\\\host\\x"),
    *("/../favicon.ico", "/./favicon.ico", "/docs/../favicon.ico", "/..%2ffavicon.ico", "/..\\favicon.ico"),
    *(
        "/favicon.ico/",
        "/favicon.ico\0",
        "/\0",
        "/favicon.ico ",
        "/favicon.ico.",
        "/favicon.ico::$DATA",
        "/favicon.ico;x",
    ),
    *(
        "/%2e%2e/favicon.ico",
        "/\xc0\xae\xc0\xae/x",
        "/\xff\xfe",
        "/\ud800",
        "/\u20ac",
        "/CON",
        "/COM\xb9",
        "/CON.txt.html",
    ),
    *("//evil.example/..", "//evil.example/%2e%2e", "/\\evil.example", "///", "/.env", "/.vite/manifest.json"),
    *("/" + "a" * 300, "/" + "a" * 65_536, "/a" * 2_000, "/" * 65_536, "/" + "." * 65_536, "/" + "a.b-" * 16_000),
    *("/a\r\nX-Injected: 1", "/\r\n\r\n<script>"),
]


@pytest.mark.parametrize("handling", ["none", "404-page", SINGLE_PAGE])
@pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_paths(root, path, handling):
    """A path that names no file gets a 404, the stand-in page or a redirect within the site; nothing is reflected."""
    (root.parent / "favicon.ico").write_bytes(b"outside")
    answer = ask_raw(StaticAssets(root, not_found_handling=handling), environ_of(path))
    page = {
        "none": [b"404 Not Found\n"],
        "404-page": [BUILD["404.html"].encode(), BUILD["docs/404.html"].encode()],
        SINGLE_PAGE: [BUILD["index.html"].encode()],
    }
    assert answer.status in (404, 200 if handling == SINGLE_PAGE else 404, 307 if "//" in path else 404)
    assert answer.body in [b"", b"404 Not Found\n", *page[handling]]
    for name, value in answer.headers:
        assert re.fullmatch(r"[\x20-\x7e]*", name + value)
        assert name != "Location" or re.match(r"/(?![/\\])", value)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Give one application per way to handle misses."""
    directory = tmp_path_factory.mktemp("build")
    for name, content in BUILD.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return [StaticAssets(directory, not_found_handling=handling) for handling in ("none", "404-page", SINGLE_PAGE)]


TEXT = st.text(st.characters(codec="latin-1")) | st.text(st.sampled_from("/.%\\\0\r\n ;:?#ab"), max_size=40)


@given(
    TEXT | TEXT.map(lambda text: "/" + text),
    TEXT,
    st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", ""]),
    st.dictionaries(st.sampled_from(["If-None-Match", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Accept"]), TEXT),
    st.none() | TEXT,
)
def test_any_request(everything, path, query, method, headers, target):
    """Whatever bytes arrive, the answer is one of the known ones, and the bytes are a file's or our own words."""
    for app in everything:
        raw = quote(path, "/%", "latin-1", "ignore") if target is None else target
        answer = ask_raw(app, environ_of(path, method, headers, QUERY_STRING=query, RAW_URI=raw))
        assert answer.status in (200, 204, 304, 307, 404, 405)
        assert answer.body in [
            b"",
            b"404 Not Found\n",
            b"405 Method Not Allowed\n",
            *(content.encode() if isinstance(content, str) else content for content in BUILD.values()),
        ]
        assert all(re.fullmatch(r"[\x20-\x7e]*", name + value) for name, value in answer.headers)
        assert answer["Content-Length"] in (None, str(len(answer.body))) or method == "HEAD"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"html_handling": "auto"}, "html_handling='auto'"),
        ({"not_found_handling": "spa"}, "not_found_handling='spa'"),
        ({"memory": -1}, "memory=-1"),
        ({"ignore": "*.map"}, r"ignore='\*\.map'"),
        ({"ignore": 5}, "ignore=5"),
        ({"fingerprinted": b"x"}, "fingerprinted=b'x'"),
        ({"prefix": 5}, "prefix=5"),
        ({"prefix": "/a//b/"}, "prefix='/a//b/'"),
        ({"prefix": "/a%20b/"}, "prefix='/a%20b/'"),
        ({"app": 5}, "app=5"),
    ],
)
def test_bad_options(root, options, message):
    """An option that cannot be used is refused when the application is made."""
    with pytest.raises(ConfigurationError, match=message):
        StaticAssets(root, **options)


def test_single_page_application_without_its_page(tree):
    """A single-page application without /index.html is refused, and what it held is given back."""
    memory = Memory(100)
    with pytest.raises(ConfigurationError, match=r"/index\.html"):
        StaticAssets(tree({"app.js": "1"}), not_found_handling=SINGLE_PAGE, memory=memory)
    assert memory.used == 0


def test_shared_memory(tree):
    """Builds that share a memory hold equal files once; a build that is released gives its own back."""
    memory = Memory(100)
    first, second = (
        StaticAssets(tree({"a": "123", "b": "45"}), memory=memory),
        StaticAssets(tree({"c": "123"}), memory=memory),
    )
    assert first.index.assets["/a"].data is second.index.assets["/c"].data
    assert memory.used == 5
    for _ in range(2):  # once more changes nothing: what the other build holds is its own
        first.release()
        assert memory.used == 3
    second.release()
    assert memory.used == 0


def test_skipped_files_are_logged_once(tree, caplog):
    """What is not served is logged once, when the build is loaded, with names escaped and the long list cut."""
    root = tree({"line\nbreak/index.html": ""}) / "line\nbreak"
    for number in range(12):
        (root / f"line\nbreak{number:02}").symlink_to("gone")
    with caplog.at_level(logging.WARNING, "version_affinity"):
        app = StaticAssets(root)
        ask(app, "/")
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert "12 not served" in record.getMessage()
    assert "a dangling link" in record.getMessage()
    assert "and 2 more" in record.getMessage()


class QuietHandler(WSGIRequestHandler):
    """A handler that does not write to stderr."""

    def log_message(self, format, *args):  # noqa: A002 - the name is the base class's
        """Say nothing."""


def test_on_a_socket(root):
    """Over a real connection GET, HEAD and 304 have the lengths that they declare."""
    app = StaticAssets(root)
    with make_server("127.0.0.1", 0, app, handler_class=QuietHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            for path, name in (("/big.bin", "big.bin"), ("/favicon.ico", "favicon.ico")):
                for method, content in (("GET", (root / name).read_bytes()), ("HEAD", b"")):
                    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=10)
                    connection.request(method, path)
                    response = connection.getresponse()
                    assert response.read() == content
                    assert response.headers["Content-Length"] == str((root / name).stat().st_size)
                    connection.close()
        finally:
            server.shutdown()
            thread.join()


def cases():
    """Return the html_handling cases as parameters, each with the answer that is ours."""
    document = conformance("html_handling_oracle.json") or {"file_sets": {}, "cases": []}
    everything = (conformance("html_handling_cases.json") or []) + document["cases"]
    for case in everything:
        files = case["files"] if "files" in case else document["file_sets"][case["file_set"]]
        url = case.get("normalised_path", case["request_path"]).partition("?")[0]
        path = unquote_to_bytes(url).decode("latin-1")
        expected = (case["expected_status"], case["expected_location"], case["expected_served_file"])
        if "/.html" in files and path in ("/.html", "/x/.html", "/x/"):
            expected = (404, None, None)  # dotfiles are not served
        elif expected == (200, None, "/index.html") and is_media(path) and path not in files:
            expected = (404, None, None)  # a missing sub-resource is not answered with the document
        variable = "REQUEST_URI" if "files" in case else "RAW_URI"
        yield pytest.param(case, files, url, variable, expected, id=case["id"])


def of_deviation(case, files, url, expected):
    """Return the answer that is ours where a case of the reference is redirected for its spelling; else its own."""
    spelling, _ = DEVIATIONS.values()
    if case["id"] not in spelling:
        return expected
    assert expected[0] == 307
    # Where the redirect leads is what is asked for. Without html_handling, no file has the name of a directory.
    path = unquote_to_bytes(url).decode("latin-1")
    assert unquote_to_bytes(expected[1]).decode("latin-1") == path
    is_missing = (case["html_handling"], case["not_found_handling"]) == ("none", "404-page") and path not in files
    return (404 if is_missing else 200, None, None)


@needs_conformance
@pytest.mark.parametrize(("case", "files", "url", "variable", "expected"), list(cases()))
def test_html_handling_conformance(tree, case, files, url, variable, expected):
    """HTML files, redirects, spellings and not-found pages are what the reference answers, on servers of both kinds."""
    root = tree({**{file: f"content of {file}" for file in files if not file.endswith("/.html")}, "only-file": ""})
    # Without /index.html the reference's single-page mode answers as none does; ours refuses the setting.
    handling = case["not_found_handling"]
    if handling == SINGLE_PAGE and "/index.html" not in files:
        handling = "none"
    app = StaticAssets(root, html_handling=case["html_handling"], not_found_handling=handling)
    query = case["request_path"].partition("?")[2]
    path = unquote_to_bytes(url).decode("latin-1")
    target = {variable: f"{url}?{query}" if query else url}
    answer = ask_raw(app, environ_of(path, QUERY_STRING=query, **target))
    served = answer.body.decode().removeprefix("content of ") if answer.body.startswith(b"content of ") else None
    wanted = of_deviation(case, files, url, expected)
    if wanted is expected:
        assert (answer.status, answer["Location"], served) == expected
    else:
        assert (answer.status, answer["Location"]) == wanted[:2]


@needs_conformance
@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case["id"]) for case in conformance("asset_response_cases.json") or []]
)
def test_asset_response_conformance(tree, case):
    """Methods, 405, 304 and Cache-Control are what the reference answers, or what is better on purpose."""
    app = StaticAssets(tree({file: f"content of {file}" for file in case["files"]}), **case["config"])
    headers = dict(case["request_headers"])
    if "If-None-Match" in headers:
        for path, asset in app.index.assets.items():
            headers["If-None-Match"] = headers["If-None-Match"].replace(f'"{path}"', asset.etag)
    answer = ask_raw(app, environ_of(case["request_path"], case["method"], headers))
    honoured = headers.get("If-None-Match") == "*" or "If-Modified-Since" in headers  # unlike there
    status = 304 if honoured else case["expected_status"]
    assert (answer.status, answer["Location"]) == (status, case["expected_location"])
    assert (answer["ETag"] is not None) is case["etag_present"]
    assert ("Allow" in dict(answer.headers)) is (status == 405)
    if case["expected_served_file"] and status == 200:
        assert answer.body == f"content of {case['expected_served_file']}".encode()
    if "cache-control" in case["expected_headers"]:
        assert answer["Cache-Control"] == case["expected_headers"]["cache-control"]
