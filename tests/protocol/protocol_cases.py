"""What RFC 9110 says of requests for files, as data: the requests, and what must come back over a socket.

A case is independent of the code: it names files, fields and bytes. In its texts stand the validators that a plain
answer gave before: ``{etag}``, and by encoding ``{gzip}``, ``{br}``, ``{zstd}``; and dates: ``{date}``, when the files
were modified, in three forms, and a second ``{earlier}`` and ``{later}``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: By path: what each sort of file holds. No two parts of one are equal.
FILES: Final = {
    "/index.html": b"<!doctype html><title>home</title>",
    "/notes.txt": b"".join(b"%07d\n" % line for line in range(250)),
    "/empty.txt": b"",
    "/film.bin": b"".join(b"%07d\n" % line for line in range(50_000)),  # too large to be held in memory
    "/app.js": b"".join(b"export const n%d = %d;\n" % (n, n * n) for n in range(500)),  # has compressed siblings
    "/assets/index-BX4CeNGm.js": b"import './chunk.js'\n" * 10,  # its name carries its hash
}
#: When they were modified, in whole seconds since 1970.
MODIFIED: Final = 784111777
DATES: Final = {
    "date": "Sun, 06 Nov 1994 08:49:37 GMT",
    "rfc850": "Sunday, 06-Nov-94 08:49:37 GMT",
    "asctime": "Sun Nov  6 08:49:37 1994",
    "earlier": "Sun, 06 Nov 1994 08:49:36 GMT",
    "later": "Sun, 06 Nov 1994 08:49:38 GMT",
}
NOTES, FILM, NAMED = (len(FILES[path]) for path in ("/notes.txt", "/film.bin", "/assets/index-BX4CeNGm.js"))

WHOLE, NOTHING, ANYTHING = "whole", "", "*"


class Case(NamedTuple):
    """A request and what it must be answered with.

    Attributes:
        name: What it is about.
        section: Of RFC 9110.
        request: Method and target.
        fields: Of the request, one line each.
        status: The status code.
        body: WHOLE, NOTHING, or ANYTHING; an encoding: the whole in it; "0-9", "gzip 0-9": bytes of it, first and last;
            "0-9, 20-29": several parts of it, framed.
        has: Headers of the answer: their values; of lists (Vary, Allow) a part of them; None: any.
        lacks: Headers that it must not have.
    """

    name: str
    section: str
    request: str
    fields: tuple[str, ...]
    status: int
    body: str
    has: dict[str, str | None] = {}  # noqa: RUF012 - read only
    lacks: tuple[str, ...] = ()


_ALLOW: Final = {"Allow": "GET, HEAD, OPTIONS"}
_TEXT: Final = {"Content-Type": "text/plain; charset=utf-8", "ETag": "{etag}", "Last-Modified": "{date}"}
_UNSATISFIABLE: Final = {"Content-Range": f"bytes */{NOTES}"}
_DESCRIPTION: Final = ("Content-Type", "Content-Length", "Content-Encoding", "Content-Range")
_CHROMIUM: Final = "Accept-Encoding: gzip, deflate, br, zstd"


def _part(place: str, size: int = NOTES) -> dict[str, str | None]:
    return {"Content-Range": f"bytes {place}/{size}", "ETag": "{etag}"}


METHODS: Final = (
    Case("GET", "9.3.1", "GET /notes.txt", (), 200, WHOLE, {**_TEXT, "Accept-Ranges": "bytes"}, ("Content-Range",)),
    Case("GET of a document", "9.3.1", "GET /", (), 200, WHOLE, {"ETag": "{etag}"}, ("Last-Modified",)),
    Case("GET of an empty file", "9.3.1", "GET /empty.txt", (), 200, WHOLE, {"Content-Length": "0"}),
    Case("GET of a large file", "9.3.1", "GET /film.bin", (), 200, WHOLE, {"Content-Length": str(FILM)}),
    Case("GET of a fingerprinted file", "9.3.1", "GET /assets/index-BX4CeNGm.js", (), 200, WHOLE, {"ETag": "{etag}"}),
    Case("HEAD", "9.3.2", "HEAD /notes.txt", (), 200, NOTHING, {**_TEXT, "Content-Length": str(NOTES)}),
    Case("HEAD of a large file", "9.3.2", "HEAD /film.bin", (), 200, NOTHING, {"Content-Length": str(FILM)}),
    Case("HEAD of a document", "9.3.2", "HEAD /", (), 200, NOTHING, {"ETag": "{etag}"}),
    Case("GET of what is not there", "15.5.5", "GET /missing.txt", (), 404, ANYTHING, {"Cache-Control": "no-store"}),
    Case("HEAD of what is not there", "9.3.2", "HEAD /missing.txt", (), 404, NOTHING, {"Cache-Control": "no-store"}),
    Case("OPTIONS", "9.3.7", "OPTIONS /notes.txt", (), 204, NOTHING, _ALLOW, ("Content-Length", "Content-Type")),
    Case("POST", "15.5.6", "POST /notes.txt", ("Content-Length: 0",), 405, ANYTHING, _ALLOW),
    Case("PUT", "15.5.6", "PUT /notes.txt", ("Content-Length: 0",), 405, ANYTHING, _ALLOW),
    Case("DELETE", "15.5.6", "DELETE /notes.txt", (), 405, ANYTHING, _ALLOW),
    Case("PATCH", "15.5.6", "PATCH /notes.txt", ("Content-Length: 0",), 405, ANYTHING, _ALLOW),
    Case("TRACE", "15.5.6", "TRACE /notes.txt", (), 405, ANYTHING, _ALLOW),
    Case("unknown method", "15.5.6", "BREW /notes.txt", (), 405, ANYTHING, _ALLOW),
    Case("PUT of a large file", "15.5.6", "PUT /film.bin", ("Content-Length: 0",), 405, ANYTHING, _ALLOW),
    Case("an unsafe method, conditional", "13.2.1", "PUT /notes.txt", ('If-Match: "x"',), 405, ANYTHING, _ALLOW),
)

RANGES: Final = (
    Case("first bytes", "14.1.2", "GET /notes.txt", ("Range: bytes=0-9",), 206, "0-9", {**_TEXT, **_part("0-9")}),
    Case("middle", "14.1.2", "GET /notes.txt", ("Range: bytes=100-199",), 206, "100-199", _part("100-199")),
    Case("one byte", "14.1.2", "GET /notes.txt", ("Range: bytes=0-0",), 206, "0-0", _part("0-0")),
    Case("last byte", "14.1.2", "GET /notes.txt", ("Range: bytes=-1",), 206, "1999-1999", _part("1999-1999")),
    Case("suffix", "14.1.2", "GET /notes.txt", ("Range: bytes=-100",), 206, "1900-1999", _part("1900-1999")),
    Case("open end", "14.1.2", "GET /notes.txt", ("Range: bytes=1990-",), 206, "1990-1999", _part("1990-1999")),
    Case("from the start", "14.1.2", "GET /notes.txt", ("Range: bytes=0-",), 206, "0-1999", _part("0-1999")),
    Case("clamped", "14.1.2", "GET /notes.txt", ("Range: bytes=1990-9999",), 206, "1990-1999", _part("1990-1999")),
    Case("long suffix", "14.1.2", "GET /notes.txt", ("Range: bytes=-9999",), 206, "0-1999", _part("0-1999")),
    Case("leading zeros", "14.1.2", "GET /notes.txt", ("Range: bytes=0001-002",), 206, "1-2", _part("1-2")),
    Case("unit in capitals", "14.1", "GET /notes.txt", ("Range: BYTES=0-9",), 206, "0-9", _part("0-9")),
    Case(
        "of a large file",
        "14.1.2",
        "GET /film.bin",
        ("Range: bytes=70000-139999",),
        206,
        "70000-139999",
        _part("70000-139999", FILM),
    ),
    Case(
        "end of a large file",
        "14.1.2",
        "GET /film.bin",
        ("Range: bytes=-1",),
        206,
        "399999-399999",
        _part("399999-399999", FILM),
    ),
    Case("of a document", "14.2", "GET /", ("Range: bytes=0-4",), 206, "0-4"),
    Case(
        "past the end",
        "15.5.17",
        "GET /notes.txt",
        ("Range: bytes=2000-",),
        416,
        ANYTHING,
        _UNSATISFIABLE,
        ("ETag", "Last-Modified"),
    ),
    Case("suffix of nothing", "15.5.17", "GET /notes.txt", ("Range: bytes=-0",), 416, ANYTHING, _UNSATISFIABLE),
    Case(
        "of an empty file",
        "15.5.17",
        "GET /empty.txt",
        ("Range: bytes=0-",),
        416,
        ANYTHING,
        {"Content-Range": "bytes */0"},
    ),
    Case("suffix of an empty file", "14.1.2", "GET /empty.txt", ("Range: bytes=-5",), 200, WHOLE),
    Case(
        "a number of 4,500 digits",
        "15.5.17",
        "GET /notes.txt",
        (f"Range: bytes={'9' * 4500}-",),
        416,
        ANYTHING,
        _UNSATISFIABLE,
    ),
    Case(
        "an end of 4,500 digits",
        "14.1.2",
        "GET /notes.txt",
        (f"Range: bytes=0-{'9' * 4500}",),
        206,
        "0-1999",
        _part("0-1999"),
    ),
    Case("first after last", "14.1.1", "GET /notes.txt", ("Range: bytes=9-0",), 200, WHOLE),
    Case("two signs", "14.1.2", "GET /notes.txt", ("Range: bytes=--5",), 200, WHOLE),
    Case("an underscore", "14.1.2", "GET /notes.txt", ("Range: bytes=1_0-20",), 200, WHOLE),
    Case("a plus", "14.1.2", "GET /notes.txt", ("Range: bytes=+1-2",), 200, WHOLE),
    Case("no digits of ASCII", "14.1.2", "GET /notes.txt", ("Range: bytes=0-\xb2",), 200, WHOLE),
    Case("blanks in a range", "14.1.1", "GET /notes.txt", ("Range: bytes=0 - 9",), 200, WHOLE),
    Case("no range", "14.1.1", "GET /notes.txt", ("Range: bytes=",), 200, WHOLE),
    Case("one invalid of several", "14.2", "GET /notes.txt", ("Range: bytes=0-9, x",), 200, WHOLE),
    Case("unknown unit", "14.2", "GET /notes.txt", ("Range: lines=0-9",), 200, WHOLE),
    Case(
        "HEAD with a range",
        "14.2",
        "HEAD /notes.txt",
        ("Range: bytes=0-9",),
        200,
        NOTHING,
        {"Content-Length": str(NOTES)},
        ("Content-Range",),
    ),
    Case("HEAD past the end", "14.2", "HEAD /notes.txt", ("Range: bytes=2000-",), 200, NOTHING),
    Case("range of what is not there", "14.2", "GET /missing.txt", ("Range: bytes=0-9",), 404, ANYTHING),
    Case(
        "two parts",
        "15.3.7.2",
        "GET /notes.txt",
        ("Range: bytes=0-9, 1000-1009",),
        206,
        "0-9, 1000-1009",
        {"ETag": "{etag}"},
        ("Content-Range",),
    ),
    Case(
        "two parts in another order",
        "15.3.7.2",
        "GET /notes.txt",
        ("Range: bytes=1000-1009,0-9",),
        206,
        "1000-1009, 0-9",
    ),
    Case(
        "three parts of a large file",
        "15.3.7.2",
        "GET /film.bin",
        ("Range: bytes=0-0, 100000-199999, -1",),
        206,
        "0-0, 100000-199999, 399999-399999",
    ),
    Case("overlapping parts", "15.3.7.2", "GET /notes.txt", ("Range: bytes=0-9, 5-19",), 206, "0-19", _part("0-19")),
    Case("adjacent parts", "15.3.7.2", "GET /notes.txt", ("Range: bytes=0-9, 10-19",), 206, "0-19", _part("0-19")),
    Case("one of two past the end", "14.1.2", "GET /notes.txt", ("Range: bytes=0-9, 5000-",), 206, "0-9", _part("0-9")),
    Case("empty elements", "5.6.1.2", "GET /notes.txt", ("Range: bytes=, 0-9 ,,",), 206, "0-9", _part("0-9")),
    Case("many parts", "17.15", "GET /notes.txt", ("Range: bytes=" + ",".join(["0-"] * 1000),), 200, WHOLE),
    Case("parts that are the whole", "17.15", "GET /notes.txt", ("Range: bytes=0-999, 1000-",), 200, WHOLE),
    Case("parts longer than the whole", "17.15", "GET /notes.txt", ("Range: bytes=0-1500, 0-1500",), 200, WHOLE),
)

CONDITIONS: Final = (
    Case(
        "If-None-Match",
        "13.1.2",
        "GET /notes.txt",
        ("If-None-Match: {etag}",),
        304,
        NOTHING,
        {"ETag": "{etag}"},
        _DESCRIPTION,
    ),
    Case("If-None-Match of a large file", "13.1.2", "GET /film.bin", ("If-None-Match: {etag}",), 304, NOTHING),
    Case(
        "If-None-Match of a document",
        "13.1.2",
        "GET /",
        ("If-None-Match: {etag}",),
        304,
        NOTHING,
        {"ETag": "{etag}", "Cache-Control": None},
    ),
    Case(
        "If-None-Match, fingerprinted",
        "13.1.2",
        "GET /assets/index-BX4CeNGm.js",
        ("If-None-Match: {etag}",),
        304,
        NOTHING,
        {"ETag": "{etag}", "Cache-Control": None},
    ),
    Case("another tag", "13.1.2", "GET /notes.txt", ('If-None-Match: "x"',), 200, WHOLE),
    Case("list of tags", "13.1.2", "GET /notes.txt", ('If-None-Match: "x", {etag}, "y"',), 304, NOTHING),
    Case("tags on two lines", "5.3", "GET /notes.txt", ('If-None-Match: "x"', "If-None-Match: {etag}"), 304, NOTHING),
    Case("weak tag", "13.1.2", "GET /notes.txt", ("If-None-Match: W/{etag}",), 304, NOTHING),
    Case("any tag", "13.1.2", "GET /notes.txt", ("If-None-Match: *",), 304, NOTHING),
    Case("HEAD, If-None-Match", "13.1.2", "HEAD /notes.txt", ("If-None-Match: {etag}",), 304, NOTHING),
    Case("tag without quotes", "8.8.3", "GET /notes.txt", ("If-None-Match: abc",), 200, WHOLE),
    Case("If-None-Match of what is not there", "13.2.1", "GET /missing.txt", ("If-None-Match: *",), 404, ANYTHING),
    Case(
        "If-Modified-Since",
        "13.1.3",
        "GET /notes.txt",
        ("If-Modified-Since: {date}",),
        304,
        NOTHING,
        {"ETag": "{etag}"},
        _DESCRIPTION,
    ),
    Case("If-Modified-Since, later", "13.1.3", "GET /notes.txt", ("If-Modified-Since: {later}",), 304, NOTHING),
    Case("If-Modified-Since, earlier", "13.1.3", "GET /notes.txt", ("If-Modified-Since: {earlier}",), 200, WHOLE),
    Case("date of RFC 850", "5.6.7", "GET /notes.txt", ("If-Modified-Since: {rfc850}",), 304, NOTHING),
    Case("date of asctime", "5.6.7", "GET /notes.txt", ("If-Modified-Since: {asctime}",), 304, NOTHING),
    Case("garbage for a date", "13.1.3", "GET /notes.txt", ("If-Modified-Since: yesterday",), 200, WHOLE),
    Case("no such day", "5.6.7", "GET /notes.txt", ("If-Modified-Since: Sun, 32 Nov 2094 08:49:37 GMT",), 200, WHOLE),
    Case("HEAD, If-Modified-Since", "13.1.3", "HEAD /notes.txt", ("If-Modified-Since: {date}",), 304, NOTHING),
    Case(
        "the tag outranks the date",
        "13.1.3",
        "GET /notes.txt",
        ('If-None-Match: "x"', "If-Modified-Since: {later}"),
        200,
        WHOLE,
    ),
    Case(
        "the tag outranks an older date",
        "13.1.3",
        "GET /notes.txt",
        ("If-None-Match: {etag}", "If-Modified-Since: {earlier}"),
        304,
        NOTHING,
    ),
    Case("a document has no date", "13.1.3", "GET /", ("If-Modified-Since: {later}",), 200, WHOLE),
    Case("If-Match", "13.1.1", "GET /notes.txt", ("If-Match: {etag}",), 200, WHOLE),
    Case("If-Match, any", "13.1.1", "GET /notes.txt", ("If-Match: *",), 200, WHOLE),
    Case("If-Match, list", "13.1.1", "GET /notes.txt", ('If-Match: "x", {etag}',), 200, WHOLE),
    Case("If-Match, another tag", "13.1.1", "GET /notes.txt", ('If-Match: "x"',), 412, ANYTHING, {}, ("ETag",)),
    Case("If-Match, weak", "13.1.1", "GET /notes.txt", ("If-Match: W/{etag}",), 412, ANYTHING),
    Case("HEAD, If-Match", "13.1.1", "HEAD /notes.txt", ('If-Match: "x"',), 412, NOTHING),
    Case("If-Unmodified-Since", "13.1.4", "GET /notes.txt", ("If-Unmodified-Since: {date}",), 200, WHOLE),
    Case(
        "If-Unmodified-Since, earlier", "13.1.4", "GET /notes.txt", ("If-Unmodified-Since: {earlier}",), 412, ANYTHING
    ),
    Case("If-Unmodified-Since, garbage", "13.1.4", "GET /notes.txt", ("If-Unmodified-Since: 0",), 200, WHOLE),
    Case(
        "If-Match outranks If-Unmodified-Since",
        "13.1.4",
        "GET /notes.txt",
        ("If-Match: {etag}", "If-Unmodified-Since: {earlier}"),
        200,
        WHOLE,
    ),
    Case(
        "If-Match before If-None-Match",
        "13.2.2",
        "GET /notes.txt",
        ('If-Match: "x"', "If-None-Match: {etag}"),
        412,
        ANYTHING,
    ),
    Case(
        "If-None-Match before Range",
        "13.2.2",
        "GET /notes.txt",
        ("If-None-Match: {etag}", "Range: bytes=2000-"),
        304,
        NOTHING,
        {},
        ("Content-Range",),
    ),
    Case(
        "If-Match before Range",
        "13.2.2",
        "GET /notes.txt",
        ('If-Match: "x"', "Range: bytes=0-9"),
        412,
        ANYTHING,
        {},
        ("Content-Range",),
    ),
    Case("If-Range", "13.1.5", "GET /notes.txt", ("If-Range: {etag}", "Range: bytes=0-9"), 206, "0-9", _part("0-9")),
    Case("If-Range of a large file", "13.1.5", "GET /film.bin", ("If-Range: {etag}", "Range: bytes=0-9"), 206, "0-9"),
    Case("If-Range, another tag", "13.1.5", "GET /notes.txt", ('If-Range: "x"', "Range: bytes=0-9"), 200, WHOLE),
    Case("If-Range, weak", "13.1.5", "GET /notes.txt", ("If-Range: W/{etag}", "Range: bytes=0-9"), 200, WHOLE),
    Case("If-Range, exact date", "13.1.5", "GET /notes.txt", ("If-Range: {date}", "Range: bytes=0-9"), 206, "0-9"),
    Case("If-Range, later date", "13.1.5", "GET /notes.txt", ("If-Range: {later}", "Range: bytes=0-9"), 200, WHOLE),
    Case("If-Range before 416", "13.1.5", "GET /notes.txt", ('If-Range: "x"', "Range: bytes=2000-"), 200, WHOLE),
    Case("If-Range without Range", "13.1.5", "GET /notes.txt", ("If-Range: {etag}",), 200, WHOLE),
)


def _encoded(encoding: str) -> dict[str, str | None]:
    return {"Content-Encoding": encoding, "ETag": f"{{{encoding}}}", "Vary": "Accept-Encoding"}


_PLAIN: Final[dict[str, str | None]] = {"ETag": "{etag}", "Vary": "Accept-Encoding"}
_UNENCODED: Final = ("Content-Encoding",)

ENCODINGS: Final = (
    Case("nothing is said", "12.5.3", "GET /app.js", (), 200, WHOLE, _PLAIN, _UNENCODED),
    Case("an empty field", "12.5.3", "GET /app.js", ("Accept-Encoding:",), 200, WHOLE, _PLAIN, _UNENCODED),
    Case("gzip", "12.5.3", "GET /app.js", ("Accept-Encoding: gzip",), 200, "gzip", _encoded("gzip")),
    Case("brotli", "12.5.3", "GET /app.js", ("Accept-Encoding: br",), 200, "br", _encoded("br")),
    Case("Zstandard", "12.5.3", "GET /app.js", ("Accept-Encoding: zstd",), 200, "zstd", _encoded("zstd")),
    Case("in capitals", "8.4.1", "GET /app.js", ("Accept-Encoding: GZIP",), 200, "gzip", _encoded("gzip")),
    Case("the old name", "8.4.1.3", "GET /app.js", ("Accept-Encoding: x-gzip",), 200, "gzip", _encoded("gzip")),
    Case("an unknown one", "12.5.3", "GET /app.js", ("Accept-Encoding: rot13",), 200, WHOLE, _PLAIN, _UNENCODED),
    Case("refused", "12.4.2", "GET /app.js", ("Accept-Encoding: gzip;q=0",), 200, WHOLE, _PLAIN, _UNENCODED),
    Case("a higher weight", "12.4.2", "GET /app.js", ("Accept-Encoding: br;q=0.1, gzip",), 200, "gzip",
         _encoded("gzip")),
    Case("a weight, alone", "12.4.2", "GET /app.js", ("Accept-Encoding: gzip;q=0.1",), 200, "gzip", _encoded("gzip")),
    Case("a bad weight", "12.4.2", "GET /app.js", ("Accept-Encoding: br;q=2, gzip",), 200, "gzip", _encoded("gzip")),
    Case("all but", "12.5.3", "GET /app.js", ("Accept-Encoding: *, br;q=0, zstd;q=0",), 200, "gzip", _encoded("gzip")),
    Case("none but", "12.5.3", "GET /app.js", ("Accept-Encoding: gzip, *;q=0",), 200, "gzip", _encoded("gzip")),
    Case("identity alone", "12.5.3", "GET /app.js", ("Accept-Encoding: identity;q=1, *;q=0",), 200, WHOLE, _PLAIN,
         _UNENCODED),
    Case("identity refused", "12.5.3", "GET /app.js", ("Accept-Encoding: identity;q=0, gzip",), 200, "gzip",
         _encoded("gzip")),
    Case("nothing acceptable", "12.5.3", "GET /app.js", ("Accept-Encoding: *;q=0",), 200, WHOLE, _PLAIN, _UNENCODED),
    Case("HEAD, gzip", "9.3.2", "HEAD /app.js", ("Accept-Encoding: gzip",), 200, NOTHING, _encoded("gzip")),
    Case("no siblings", "12.5.5", "GET /notes.txt", (_CHROMIUM,), 200, WHOLE, {"ETag": "{etag}"}, _UNENCODED),
    Case("the tag of gzip", "8.8.3.3", "GET /app.js", ("Accept-Encoding: gzip", "If-None-Match: {gzip}"), 304, NOTHING,
         {"ETag": "{gzip}", "Vary": "Accept-Encoding"}, _DESCRIPTION),
    Case("the plain tag for gzip", "8.8.3.3", "GET /app.js", ("Accept-Encoding: gzip", "If-None-Match: {etag}"), 200,
         "gzip", _encoded("gzip")),
    Case("the tag of gzip for the plain form", "8.8.3.3", "GET /app.js", ("If-None-Match: {gzip}",), 200, WHOLE),
    Case("If-Match with the tag of gzip", "13.1.1", "GET /app.js", ("If-Match: {gzip}",), 412, ANYTHING),
    Case("range of gzip", "14.2", "GET /app.js", ("Accept-Encoding: gzip", "Range: bytes=10-49"), 206, "gzip 10-49",
         _encoded("gzip")),
    Case("range of the plain form", "14.2", "GET /app.js", ("Range: bytes=10-49",), 206, "10-49", _PLAIN, _UNENCODED),
    Case("If-Range, same encoding", "13.1.5", "GET /app.js",
         ("Accept-Encoding: gzip", "If-Range: {gzip}", "Range: bytes=10-49"), 206, "gzip 10-49"),
    Case("If-Range, another encoding", "13.1.5", "GET /app.js",
         ("Accept-Encoding: gzip", "If-Range: {etag}", "Range: bytes=10-49"), 200, "gzip"),
    Case("a date that encodings share", "8.8.1", "GET /app.js",
         ("Accept-Encoding: gzip", "If-Range: {date}", "Range: bytes=10-49"), 200, "gzip"),
)  # fmt: skip

# Of a file whose frequent answers are prepared. To others it is a file like those above, so it counts once.
FINGERPRINTED: Final = tuple(
    Case(f"{name}, fingerprinted", "13.1.5", "GET /assets/index-BX4CeNGm.js", (field, "Range: bytes=0-9"), *answer)
    for name, field, answer in (
        ("If-Range", "If-Range: {etag}", (206, "0-9", _part("0-9", NAMED))),
        ("If-Range, another tag", 'If-Range: "x"', (200, WHOLE, {}, ("Content-Range",))),
        ("If-Range, weak", "If-Range: W/{etag}", (200, WHOLE, {}, ("Content-Range",))),
        ("If-Range, a list", 'If-Range: "x", {etag}', (200, WHOLE, {}, ("Content-Range",))),
        ("If-Range, exact date", "If-Range: {date}", (206, "0-9", _part("0-9", NAMED))),
        ("If-Range, later date", "If-Range: {later}", (200, WHOLE, {}, ("Content-Range",))),
    )
)

CASES: Final = (*METHODS, *RANGES, *CONDITIONS, *ENCODINGS, *FINGERPRINTED)


def application() -> WSGIApplication:
    """Return what the server's process serves, as the environment says."""
    from version_affinity import StaticAssets  # noqa: PLC0415 - in the server's process only

    return StaticAssets(Path(os.environ["PROTOCOL_BUILD"]), memory=int(os.environ["PROTOCOL_MEMORY"]))
