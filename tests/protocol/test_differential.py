"""The same files served by nginx and by ``StaticAssets``: some hundred requests, and the same answers.

Where the two differ, a named deviation says what differs, when, and which section of RFC 9110 (or which setting of
ours) wants it so. A deviation that no request meets is a failure, like a difference without a deviation.
"""

from __future__ import annotations

import gzip
import os
import random
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.harness import write_build
from tests.servers.nginx import nginx
from tests.servers.servers import Answer, Server, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

pytestmark = pytest.mark.slow

SCRIPT = b"const answer = 42;\n" * 200
FILES = {
    "index.html": b"<!doctype html><title>home</title>" * 40,
    "folder/index.html": b"<!doctype html><title>folder</title>",
    "folder/notes.txt": b"0123456789" * 10,
    "app.js": SCRIPT,
    "app.js.gz": gzip.compress(SCRIPT, mtime=0),
    "style.css": b"body { color: black }\n" * 30,
    "logo.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "film.mp4": bytes(range(256)) * 1600,  # too large to be held in memory
    "empty.txt": b"",
    "one.txt": b"1",
    "a b.txt": b"a name with a space",
    ".env": b"hidden",
}
#: When all of them were modified.
MODIFIED = 1_700_000_000
EARLIER, EXACTLY, LATER = (
    "Tue, 14 Nov 2023 22:13:19 GMT",
    "Tue, 14 Nov 2023 22:13:20 GMT",
    "Tue, 14 Nov 2023 22:13:21 GMT",
)
ASSETS = ("/app.js", "/style.css", "/film.mp4", "/folder/notes.txt", "/one.txt", "/empty.txt", "/a%20b.txt")
PAGES = ("/", "/folder/")
OTHERS = ("/missing.js", "/folder/missing", "/folder", "/index.html", "/.env", "/app.js/", "//app.js", "/./app.js")


class Ask(NamedTuple):
    """A request; ``{etag}`` in a header's value is the server's own tag of what it would send."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = {}


VALID = (
    *("bytes=0-0", "bytes=0-3", "bytes=1-", "bytes=-1", "bytes=-99999999", "bytes=5-99999999", "bytes=00-01"),
    *("bytes=0-1,3-4", "bytes=0-1, 3-4 ,-2", "bytes=0-3,2-5", "bytes=3-4,0-1", "bytes=0-,0-", "bytes=,0-1,"),
    *("BYTES=0-1", "bytes=0-0,99999999-", "bytes=99999999-", "bytes=-0", "bytes=99999999-,-0", "lines=0-1"),
)
HUGE = ("bytes=99999999999999999999-", "bytes=-99999999999999999999", "bytes=0-99999999999999999999")
INVALID = (
    *("bytes=5-2", "bytes=--5", "bytes=1_0-20", "bytes=+1-2", "bytes=a-b", "bytes=", "bytes", "bytes=-"),
    *("bytes=0-1-2", "bytes=0x1-2", "bytes = 0-1"),
)
RANGES = (*VALID, *HUGE, *INVALID)
CONDITIONS: tuple[Mapping[str, str], ...] = (
    {"If-None-Match": "{etag}"},
    {"If-None-Match": "W/{etag}"},
    {"If-None-Match": '"other", {etag}'},
    {"If-None-Match": "*"},
    {"If-None-Match": '"other"'},
    {"If-None-Match": "garbage"},
    {"If-Match": "{etag}"},
    {"If-Match": "W/{etag}"},
    {"If-Match": '"other", {etag}'},
    {"If-Match": "*"},
    {"If-Match": '"other"'},
    *({name: date} for name in ("If-Modified-Since", "If-Unmodified-Since") for date in (EARLIER, EXACTLY, LATER)),
    {"If-Modified-Since": "Tuesday, 14-Nov-23 22:13:20 GMT"},
    {"If-Modified-Since": "Tue Nov 14 22:13:20 2023"},
    {"If-Modified-Since": "garbage"},
    {"If-Unmodified-Since": "garbage"},
    {"If-None-Match": '"other"', "If-Modified-Since": EXACTLY},
    {"If-None-Match": "{etag}", "If-Modified-Since": EARLIER},
    {"If-Match": "{etag}", "If-Unmodified-Since": EARLIER},
    {"If-Match": '"other"', "If-None-Match": "{etag}"},
    {"If-Match": "{etag}", "If-None-Match": "{etag}"},
    {"If-Unmodified-Since": EARLIER, "If-None-Match": "{etag}"},
)
IF_RANGES = ("{etag}", "W/{etag}", '"other"', EXACTLY, EARLIER, LATER, "garbage")
ENCODINGS = (
    *("gzip", "gzip, deflate, br, zstd", "identity", "", "gzip;q=0", "gzip;q=0.5", "gzip;q=1.0", "GZIP", "x-gzip", "*"),
    *(
        "gzip;q=0, *",
        "*;q=0",
        "gzip;q=0.5, identity",
        "identity;q=0",
        "identity;q=0, gzip;q=0",
        "br",
        "gzip;q=2",
        "gzip;q=x",
    ),
)
METHODS = ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND")


def asks() -> list[Ask]:
    """Return the requests: each kind of thing by itself, and a draw of all combinations, the same each time."""
    everything = (*ASSETS, *PAGES, *OTHERS)
    plain = [Ask(path, method) for path in everything for method in ("GET", *METHODS)]
    ranges = [Ask(path, "GET", {"Range": value}) for path in ASSETS for value in RANGES]
    conditions = [Ask(path, method, value) for path in ASSETS[:3] for value in CONDITIONS for method in ("GET", "HEAD")]
    compressed = [Ask("/app.js", "GET", {"Accept-Encoding": "gzip", "Range": value}) for value in VALID]
    encodings = [Ask("/app.js", "GET", {"Accept-Encoding": value}) for value in ENCODINGS]
    ranged = [Ask("/film.mp4", "GET", {"Range": "bytes=2-5", "If-Range": value}) for value in IF_RANGES]
    draw = random.Random(9110)
    mixed = [
        Ask(
            draw.choice((*ASSETS, *PAGES)),
            draw.choice(("GET", "GET", "GET", "HEAD")),
            {
                **draw.choice(({}, {"Accept-Encoding": draw.choice(ENCODINGS)})),
                **draw.choice(({}, draw.choice(CONDITIONS))),
                **draw.choice(({}, {"Range": draw.choice(RANGES)})),
                **draw.choice(({}, {}, {"If-Range": draw.choice(IF_RANGES)})),
            },
        )
        for _ in range(300)
    ]
    return [*plain, *ranges, *conditions, *compressed, *encodings, *ranged, *mixed]


class Pair(NamedTuple):
    """The two servers."""

    nginx: Server
    ours: Server


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Serve one tree twice."""
    directory = tmp_path_factory.mktemp("differential")
    tree = write_build(directory / "tree", FILES)
    for file in tree.rglob("*"):
        os.utime(file, (MODIFIED, MODIFIED))
    server = f"""
        root {tree};
        etag on;
        if_modified_since before;
        gzip_static on;
        gzip_vary on;
        merge_slashes off;
    """
    with (
        nginx(directory / "nginx", server) as theirs,
        serving("gunicorn", "tests.servers.fronted:static()", directory, {"FRONTED_TREE": str(tree)}) as ours,
    ):
        yield Pair(theirs, ours)


class Facts(NamedTuple):
    """What is compared."""

    status: int
    body: object
    content_length: str | None
    content_range: str | None
    encoding: str | None
    allow: bool
    vary: bool


def facts(answer: Answer) -> Facts:
    """Return what is compared of an answer. Of an error's body, that it is not the file's."""
    fields = answer.headers
    boundary = re.fullmatch("multipart/byteranges; *boundary=(.+)", fields.get("Content-Type", ""))
    described = answer.status in (200, 206) and boundary is None
    return Facts(
        answer.status,
        parts(answer.body, boundary[1].strip('"').encode()) if boundary else answer.body if answer.status < 300 else "",
        fields["Content-Length"] if described else None,
        fields["Content-Range"],
        fields["Content-Encoding"],
        "Allow" in fields,
        "Vary" in fields,
    )


def parts(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    """Return the ranges of a multipart body and their bytes."""
    found = []
    for part in re.split(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(?:--)?(?:\r\n|\Z)", body):
        head, blank, content = part.partition(b"\r\n\r\n")
        if blank:
            (spread,) = re.findall(rb"(?im)^content-range: *(.+?)\r?$", head)
            found.append((spread, content))
    return found


class Deviation(NamedTuple):
    """Where we differ from nginx, on purpose.

    Attributes:
        name: What we do.
        source: What wants it so: a section of RFC 9110, or a rule of ours.
        when: For which requests.
        statuses: nginx's status and ours.
        fields: Names of ``Facts`` that may differ then, beside those that tell the content.
    """

    name: str
    source: str
    when: Callable[[Ask], bool]
    statuses: set[tuple[int, int]]
    fields: frozenset[str] = frozenset()

    def explains(self, ask: Ask, theirs: Facts, ours: Facts) -> bool:
        """Tell whether this is why two answers to a request differ."""
        return (theirs.status, ours.status) in self.statuses and self.when(ask)


CONTENT = {"status", "body", "content_length", "content_range", "encoding"}
ALLOW, VARY = frozenset({"allow"}), frozenset({"vary"})


def to(*paths: str) -> Callable[[Ask], bool]:
    """Return whether a request is for one of these paths."""
    return lambda ask: ask.path in paths


def having(name: str, *values: str) -> Callable[[Ask], bool]:
    """Return whether a request has a header with one of these values, any value where there are none."""
    return lambda ask: name in ask.headers and (not values or ask.headers[name] in values)


def both(*conditions: Callable[[Ask], bool]) -> Callable[[Ask], bool]:
    """Return whether a request meets all conditions."""
    return lambda ask: all(condition(ask) for condition in conditions)


def reads(ask: Ask) -> bool:
    """Tell whether a request is GET or HEAD."""
    return ask.method in ("GET", "HEAD")


def writes(ask: Ask) -> bool:
    """Tell whether a request is neither."""
    return not reads(ask)


def has_several(ask: Ask) -> bool:
    """Tell whether a request asks for more than one range."""
    return "," in ask.headers.get("Range", "").strip("bytes=, ")


DEVIATIONS = (
    # Methods.
    Deviation("405 says what is allowed", "section 15.5.6", writes, {(405, 405)}, ALLOW),
    Deviation("OPTIONS is answered", "section 9.3.7", lambda ask: ask.method == "OPTIONS", {(405, 204)}, ALLOW),
    Deviation(
        "what is not there is not there, whatever the method",
        "section 15.5.5",
        both(writes, to("/missing.js", "/folder/missing", "/.env", "/app.js/", "/./app.js")),
        {(405, 404)},
    ),
    Deviation("only who reads is redirected", "section 15.4", both(writes, to("/folder")), {(301, 405)}, ALLOW),
    # Paths.
    Deviation("a redirect keeps the method", "section 15.4.8", both(reads, to("/folder")), {(301, 307)}),
    Deviation("a page has one path", "html_handling", both(reads, to("/index.html")), {(200, 307)}),
    Deviation("hidden files are not served", "section 17.3", both(reads, to("/.env")), {(200, 404)}),
    Deviation("a file has one path", "merge_slashes", both(reads, to("//app.js")), {(200, 307)}, VARY),
    Deviation("a file has one path: dots", "section 4.2.3", both(reads, to("/./app.js")), {(200, 404)}, VARY),
    # Ranges.
    Deviation(
        "HEAD has no ranges",
        "section 14.2",
        both(lambda ask: ask.method == "HEAD", having("Range")),
        {(206, 200), (416, 200)},
    ),
    Deviation(
        "overlapping ranges are one", "section 15.3.7.2", having("Range", "bytes=0-3,2-5"), {(206, 206), (206, 200)}
    ),
    Deviation(
        "empty elements of a list do not count",
        "section 5.6.1.2",
        having("Range", "bytes=,0-1,"),
        {(416, 206)},
    ),
    Deviation("an invalid range is ignored", "section 14.2", having("Range", *INVALID), {(416, 200)}),
    Deviation("numbers have no end", "section 14.1.1", having("Range", *HUGE), {(416, 206), (416, 200)}),
    Deviation("parts larger than the whole are the whole", "section 14.2", has_several, {(206, 200)}),
    Deviation(
        "an empty file has no bytes to give", "section 14.1.2", both(to("/empty.txt"), having("Range")), {(200, 416)}
    ),
    Deviation(
        "a compressed form has ranges",
        "section 14.1",
        both(to("/app.js"), having("Range"), having("Accept-Encoding")),
        {(200, 206), (200, 416)},
        VARY,
    ),
    Deviation(
        "an error that no cache keeps needs no Vary", "section 12.5.5", to("/app.js"), {(412, 412), (416, 416)}, VARY
    ),
    # Conditions.
    Deviation(
        "a date that is none is ignored",
        "section 13.1.4",
        having("If-Unmodified-Since", "garbage"),
        {(412, 200), (412, 206), (412, 416)},
    ),
    Deviation(
        "If-None-Match outranks If-Modified-Since",
        "section 13.1.3",
        both(having("If-None-Match"), having("If-Modified-Since")),
        {(200, 304), (206, 304)},
    ),
    Deviation(
        "If-Match outranks If-Unmodified-Since",
        "section 13.1.4",
        both(having("If-Match"), having("If-Unmodified-Since")),
        {(412, 200)},
    ),
    Deviation(
        "a document has no date: an older one may be the newer build's",
        "a rollback",
        both(to(*PAGES), lambda ask: not {"If-Modified-Since", "If-Unmodified-Since"}.isdisjoint(ask.headers)),
        {(304, 200), (304, 206), (412, 200), (412, 304)},
    ),
    Deviation(
        "a date that several forms or none has is no strong validator",
        "section 13.1.5",
        both(to("/app.js", *PAGES), having("If-Range", EXACTLY)),
        {(206, 200), (416, 200)},
    ),
    # Encodings.
    Deviation(
        "x-gzip is gzip", "section 8.4.1.3", both(to("/app.js"), having("Accept-Encoding", "x-gzip")), {(200, 200)}
    ),
    Deviation("* is any coding", "section 12.5.3", both(to("/app.js"), having("Accept-Encoding", "*")), {(200, 200)}),
    Deviation(
        "what is preferred is sent",
        "section 12.5.3",
        both(to("/app.js"), having("Accept-Encoding", "gzip;q=0.5, identity")),
        {(200, 200)},
    ),
)


def differences(pair: Pair) -> Iterator[tuple[Ask, Facts, Facts]]:
    """Send all requests to both, each with its own validators, and yield what differs."""
    for ask in asks():
        answers = []
        for server in pair:  # on connections of their own: nginx 1.22 closes one after a 412 without saying so
            coded = {name: value for name, value in ask.headers.items() if name == "Accept-Encoding"}
            tag = '"none"'
            if "{etag}" in "".join(ask.headers.values()):
                tag = server.ask(ask.path, coded).headers.get("ETag", tag)
            headers = {name: value.replace("{etag}", tag) for name, value in ask.headers.items()}
            answers.append(facts(server.ask(ask.path, headers, ask.method)))
        if answers[0] != answers[1]:
            yield ask, answers[0], answers[1]


def is_true(ask: Ask, ours: Facts) -> bool:
    """Tell whether an answer's body is what its headers say of the file, whatever nginx answered."""
    if ours.status not in (200, 206):
        return True
    name = ask.path.strip("/").replace("%20", " ")
    name = next(name for name in (name, f"{name}/index.html".lstrip("/")) if name in FILES)
    content = FILES[name + ".gz"] if ours.encoding else FILES[name]

    def part(spread: str | bytes) -> bytes:
        first, last, size = map(int, re.findall("[0-9]+", str(spread)))
        assert size == len(content)
        return content[first : last + 1]

    if isinstance(ours.body, list):
        return all(body == part(spread) for spread, body in ours.body)
    expected = part(ours.content_range) if ours.content_range else content
    return ours.content_length == str(len(expected)) and ours.body == (b"" if ask.method == "HEAD" else expected)


def test_as_nginx(pair: Pair) -> None:
    """Every answer is nginx's, or deviates from it for reasons that are listed; every reason is met."""
    unexplained: list[tuple[Ask, Facts, Facts]] = []
    met: dict[str, set[tuple[int, int]]] = {}
    for ask, theirs, ours in differences(pair):
        assert is_true(ask, ours), (ask, ours)
        reasons = [deviation for deviation in DEVIATIONS if deviation.explains(ask, theirs, ours)]
        for deviation in reasons:
            met.setdefault(deviation.name, set()).add((theirs.status, ours.status))
        differing = {name for name, one, other in zip(Facts._fields, theirs, ours, strict=True) if one != other}
        if not reasons or not differing <= CONTENT.union(*(deviation.fields for deviation in reasons)):
            unexplained.append((ask, theirs, ours))
    assert unexplained == []
    assert met == {deviation.name: deviation.statuses for deviation in DEVIATIONS}
