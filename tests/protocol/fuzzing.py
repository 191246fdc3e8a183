"""What the fuzzers share: a site with something to lose, ways to serve it, and what holds for every answer."""

from __future__ import annotations

import re
import sys
from gzip import decompress
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.harness import checked, write_build
from tests.protocol.linted_site import COLLISION, COMPRESSED, ENTRY, LARGE, VERSIONS, application, write_site
from version_affinity import Cookie, Header, StaticAssets, Version, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from _typeshed.wsgi import WSGIApplication

SECRET = "kept-outside-of-every-build"  # noqa: S105 - what must not leak, not a password
#: Beside the builds, and in them.
HIDDEN = {
    "secret.txt": SECRET,
    **{f"{version}/{path}": SECRET for version in VERSIONS for path in (".env", ".git/config", "assets/.htpasswd")},
}
#: Rule files, read when the build is loaded; what stands in them is sent to nobody.
RULES = {
    "_redirects": f"/old/* /docs/:splat 301\n/go/:place /{{}}/:place 302\n/shown /about.html 200\n# {SECRET}\n",
    "_headers": "/assets/*\n  X-Fuzz: 1\n/docs/*\n  ! Accept-Ranges\n  Cache-Control: public, max-age=60\n"
    f"# {SECRET}\n",
}
#: Bytes that no field of an answer may have: each request carries them wherever it can.
MARKER = "evil"

LAYOUTS: dict[str, dict[str, Any]] = {
    "alone": {},
    "from disk": {"memory": 0, "html_handling": "drop-trailing-slash"},
    "before an application": {"app": application, "not_found_handling": "404-page"},
    "split": {},
    "split, before an application": {"app": application, "not_found_handling": "single-page-application"},
    "split, from disk": {"memory": 0, "prefix": "/shop/", "not_found_handling": "404-page"},
}

_STATUSES = frozenset((200, 204, 206, 301, 302, 304, 307, 404, 405, 412, 416))
_NO_CONTENT = frozenset((204, 304))
_PART = re.compile(
    rb"\r\n--(?P<boundary>[^\r\n]+)\r\nContent-Type: [^\r\n]+\r\n"
    rb"Content-Range: bytes (?P<first>\d+)-(?P<last>\d+)/(?P<size>\d+)\r\n\r\n",
    re.IGNORECASE,
)


class Answer(NamedTuple):
    """A response; its header names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str:  # type: ignore[override]
        return ", ".join(value for known, value in self.headers if known == name)


class Site:
    """The builds on disk, the applications that serve them, and every body that may be sent.

    Attributes:
        applications: By layout.
    """

    def __init__(self, root: Path) -> None:
        write_build(write_site(root), HIDDEN)
        for version in VERSIONS:
            write_build(root / version, {name: text.replace("{}", "docs") for name, text in RULES.items()})
        self.applications = {layout: self._make(root, layout) for layout in LAYOUTS}
        files = [path for path in root.rglob("*") if path.is_file() and SECRET.encode() not in path.read_bytes()]
        self._contents = {path.read_bytes() for path in files}
        self._lengths = {len(content): content for content in self._contents}

    @staticmethod
    def _make(root: Path, layout: str) -> WSGIApplication:
        options = {"app": None, **LAYOUTS[layout]}
        if not layout.startswith("split"):
            return StaticAssets(root / "v1", **options)
        app = options.pop("app")
        versions = [Version(version, root / version, percentage=50) for version in VERSIONS]
        return VersionAffinity(app, versions, keys=[Cookie("session_id"), Header("Version-Key")], **options)

    def check(self, method: str, answer: Answer) -> None:
        """Assert what holds for the answer to anything."""
        status, body, length = answer.status, answer.body, answer["content-length"]
        assert status in _STATUSES, answer
        assert SECRET.encode() not in body
        if method == "HEAD" or status in _NO_CONTENT:
            assert not body
        else:
            assert length == str(len(body)), "framing"
        for name, value in answer.headers:
            assert re.fullmatch(r"[a-z][a-z-]*", name)
            assert re.fullmatch(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?", value), (name, value)
            # A redirect repeats the path and the query that it was asked with, encoded, behind a path of this site.
            assert name == "location" or MARKER not in value.lower(), name
        assert not answer["location"] or re.match(r"/(?![/\\])[^\\]*\Z", answer["location"])
        if status == 404 and answer["x-content-type-options"]:
            assert "no-store" in answer["cache-control"]
        if "public" in answer["cache-control"]:
            assert not answer["set-cookie"]
            assert not answer["version-affinity"]
        if method == "GET":
            self._check_content(answer)

    def _check_content(self, answer: Answer) -> None:
        body = answer.body
        if answer.status == 200 and answer["x-content-type-options"]:
            assert body in self._contents
            if answer["content-encoding"]:
                assert answer["content-encoding"] == "gzip"
                assert decompress(body) in self._contents
                assert "accept-encoding" in answer["vary"].lower()
        elif answer.status == 206:
            spans = self._spans(answer)
            assert spans
            for first, part, size in spans:
                whole = self._lengths[size]
                assert part, "an empty part"
                assert first + len(part) <= size
                assert any(
                    len(content) == size and content[first : first + len(part)] == part for content in self._contents
                ), (first, len(whole))
        elif answer.status == 416:
            assert re.fullmatch(r"bytes \*/\d+", answer["content-range"])

    @staticmethod
    def _spans(answer: Answer) -> list[tuple[int, bytes, int]]:
        """Return the parts of a 206: where each begins, its bytes, and the length of the whole."""
        single = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer["content-range"])
        if single:
            first, last, size = map(int, single.groups())
            assert len(answer.body) == last - first + 1
            return [(first, answer.body, size)]
        kind = re.fullmatch(r"multipart/byteranges; ?boundary=([\w'()+,./:=? -]{1,70})", answer["content-type"])
        assert kind, answer["content-type"]
        boundary, rest, spans = kind[1].encode(), b"\r\n" + answer.body.removeprefix(b"\r\n"), []
        while part := _PART.match(rest):
            assert part["boundary"] == boundary
            first, last, size = (int(part[name]) for name in ("first", "last", "size"))
            end = part.end() + last - first + 1
            spans.append((first, rest[part.end() : end], size))
            rest = rest[end:]
        assert rest in (b"\r\n--" + boundary + b"--", b"\r\n--" + boundary + b"--\r\n")
        return spans


def prefix_of(layout: str) -> str:
    """Return what stands before the paths of files in a layout."""
    return str(LAYOUTS[layout].get("prefix", "/")).rstrip("/")


def environ_of(method: str, path: str, query: str, fields: Mapping[str, str], wrapper: object = None) -> dict[str, Any]:
    """Return the environ of a request; ``path`` as in PATH_INFO, field names as in HTTP."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "shop.example",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    if wrapper is not None:
        environ["wsgi.file_wrapper"] = wrapper
    return environ | {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in fields.items()}


def ask(app: WSGIApplication, environ: dict[str, Any], *, legal: bool = True) -> Answer:
    """Send one request; one that a server may make goes through the checkers of PEP 3333."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda _data: None

    body = (checked(app) if legal else app)(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        getattr(body, "close", lambda: None)()
    ((status, headers),) = started
    return Answer(int(status[:3]), [(name.lower(), value) for name, value in headers], content)


#: Paths of files, and others that mean something.
FILES = (
    "/",
    "/about",
    "/docs/",
    "/robots.txt",
    "/logo.svg",
    "/empty.txt",
    LARGE,
    COMPRESSED,
    f"{COMPRESSED}.gz",
    COLLISION,
    *ENTRY.values(),
)
PATHS = (
    *FILES,
    "/about.html",
    "/docs",
    "/404.html",
    "/_headers",
    "/_redirects",
    "/old/evil",
    "/go/evil",
    "/shown",
    "/orders",
    "/api/cart",
    "/.env",
    "/shop",
    "/assets/gone-BX4CeNGx.js",
)
