"""Answers with files, as values."""

from __future__ import annotations

import re
from email import message_from_bytes
from email.utils import formatdate
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.assets.asking import environ_of
from version_affinity.assets.http.ranges import Span
from version_affinity.assets.http.response import ACCEPT_ENCODING, CONDITIONAL, NO_STORE, Parts, respond
from version_affinity.assets.loading.asset import Asset, Representation
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.loading.tree import Content
from version_affinity.assets.sending import wsgi_body

MODIFIED = 784111777
THEN, EARLIER, LATER = (formatdate(MODIFIED + seconds, usegmt=True) for seconds in (0, -1, 1))
CONTENT = bytes(range(256)) * 8
SIZE = len(CONTENT)
KIND = ("Content-Type", "text/javascript; charset=utf-8")
EXTRA = (("Cache-Control", "public, max-age=0, must-revalidate"), ("Vary", "Accept-Encoding"), ("Set-Cookie", "a=b"))
MEMORY = Memory(1 << 20)
GZIP, BR = b"\x1f\x8b" + b"g" * 298, b"b" * 200


def asset_of(data: bytes, variants: dict[str, bytes] | None = None) -> Asset:
    """Return a file that is held in memory, and its compressed forms, smallest first."""

    def parts(content: bytes) -> tuple[str, Content]:
        digest = sha256(content).digest()[:16]
        return "/nowhere", Content(len(content), MODIFIED * 10**9 + 1, digest, content)

    forms = sorted((variants or {}).items(), key=lambda form: len(form[1]))
    return Asset(
        "/a.js",
        *parts(data),
        content_type=KIND,
        fingerprinted=False,
        is_html=False,
        memory=MEMORY,
        variants=tuple(
            Representation(*parts(form), content_type=KIND, encoding=encoding, memory=MEMORY)
            for encoding, form in forms
        ),
    )


ASSET = asset_of(CONTENT)
ENCODED = asset_of(CONTENT, {"gzip": GZIP, "br": BR})
ETAG = ASSET.etag


def ask(asset=ASSET, method="GET", modified=THEN, **fields):
    """Return the status code, the headers by their names, and the bytes of an answer."""
    lookup = {f"HTTP_{name.upper()}": value for name, value in fields.items()}.get
    response = respond(asset, method, lookup, EXTRA, modified)
    names = [name for name, _ in response.headers]
    assert len(names) == len(set(names))
    return int(response.status[:3]), dict(response.headers), b"".join(wsgi_body(response.body, {}))


DESCRIBED = {
    "Content-Type": KIND[1],
    "Content-Length": str(SIZE),
    "ETag": ETAG,
    "X-Content-Type-Options": "nosniff",
    "Accept-Ranges": "bytes",
}


def test_whole():
    """200 has what describes the file, the caller's headers, and the date."""
    assert ask() == (200, {**DESCRIBED, **dict(EXTRA), "Last-Modified": THEN}, CONTENT)
    assert ask(modified="") == (200, {**DESCRIBED, **dict(EXTRA)}, CONTENT)


def test_head():
    """HEAD has the headers of GET, and no body."""
    for fields in ({}, {"if_none_match": ETAG}, {"if_match": '"x"'}, {"if_modified_since": THEN}):
        status, headers, _ = ask(**fields)
        assert ask(method="HEAD", **fields) == (status, headers, b"")


def test_head_knows_no_ranges():
    """Range is for GET only (RFC 9110 section 14.2)."""
    assert ask(method="HEAD", range="bytes=0-1") == ask(method="HEAD")
    assert ask(method="HEAD", range="bytes=9999-") == ask(method="HEAD")


def test_not_modified():
    """304 has the ETag, the caller's headers and nothing that describes the content (RFC 9110 section 15.4.5)."""
    assert ask(if_none_match=ETAG) == (304, {"ETag": ETAG, **dict(EXTRA)}, b"")
    assert ask(if_modified_since=THEN) == (304, {"ETag": ETAG, **dict(EXTRA)}, b"")


ERROR = {"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", **dict([NO_STORE])}


@pytest.mark.parametrize(
    ("fields", "status", "more"),
    [
        ({"if_match": '"x"'}, 412, {}),
        ({"if_unmodified_since": EARLIER}, 412, {}),
        ({"range": f"bytes={SIZE}-"}, 416, {"Content-Range": f"bytes */{SIZE}"}),
        ({"range": "bytes=-0"}, 416, {"Content-Range": f"bytes */{SIZE}"}),
    ],
)
def test_errors(fields, status, more):
    """No cache keeps an error, and it says nothing of the file but its length where a range missed it."""
    answered, headers, body = ask(**fields)
    assert answered == status
    assert headers == {**ERROR, **more, "Content-Length": str(len(body))}
    assert body.startswith(str(status).encode())


@pytest.mark.parametrize(
    ("fields", "start", "stop"),
    [
        ({"range": "bytes=0-0"}, 0, 1),
        ({"range": "bytes=100-199"}, 100, 200),
        ({"range": "bytes=2000-"}, 2000, SIZE),
        ({"range": "bytes=0-"}, 0, SIZE),
        ({"range": "bytes=-5"}, SIZE - 5, SIZE),
        ({"range": "bytes=2000-99999"}, 2000, SIZE),
        ({"range": "bytes=0-9,5-19"}, 0, 20),
        ({"range": "bytes=0-9", "if_range": ETAG}, 0, 10),
        ({"range": "bytes=0-9", "if_range": THEN}, 0, 10),
        ({"range": "bytes=0-9", "if_match": ETAG}, 0, 10),
        ({"range": "bytes=0-9", "if_none_match": '"x"'}, 0, 10),
        ({"range": "bytes=0-9", "if_modified_since": EARLIER}, 0, 10),
        ({"range": "bytes=0-9", "if_unmodified_since": THEN}, 0, 10),
    ],
)
def test_one_part(fields, start, stop):
    """206 has the headers of 200, the part's length and its place."""
    expected = {
        **DESCRIBED,
        **dict(EXTRA),
        "Last-Modified": THEN,
        "Content-Length": str(stop - start),
        "Content-Range": f"bytes {start}-{stop - 1}/{SIZE}",
    }
    assert ask(**fields) == (206, expected, CONTENT[start:stop])


@pytest.mark.parametrize(
    "fields",
    [
        {"range": "bytes=2-1"},
        {"range": "items=0-1"},
        {"range": "bytes=0-1023,1024-"},
        {"range": "bytes=0-0,2-2", "method": "HEAD"},
        {"range": "bytes=0-9", "if_range": '"x"'},
        {"range": "bytes=0-9", "if_range": f"W/{ETAG}"},
        {"range": "bytes=0-9", "if_range": EARLIER},
        {"range": "bytes=0-9", "if_range": LATER},
        {"range": "bytes=0-9", "if_range": "yesterday"},
        {"range": f"bytes={SIZE}-", "if_range": '"x"'},
        {"range": "bytes=0-9", "if_range": THEN, "modified": ""},
        {"if_range": ETAG},
    ],
)
def test_ignored_ranges(fields):
    """A Range that is invalid, wasteful, for HEAD, or for what the file no longer is, counts as absent."""
    plain = {name: fields[name] for name in ("method", "modified") if name in fields}
    assert ask(**fields) == ask(**plain)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"if_match": '"x"', "range": "bytes=0-1"}, 412),
        ({"if_match": '"x"', "if_none_match": ETAG}, 412),
        ({"if_none_match": ETAG, "range": "bytes=0-1"}, 304),
        ({"if_none_match": ETAG, "range": "bytes=9999-"}, 304),
        ({"if_modified_since": THEN, "range": "bytes=0-1"}, 304),
        ({"if_none_match": ETAG, "range": "bytes=0-1", "if_range": '"x"'}, 304),
    ],
)
def test_conditions_before_ranges(fields, expected):
    """The preconditions come first (RFC 9110 section 13.2.2)."""
    assert ask(**fields)[0] == expected


def test_no_dates():
    """Without Last-Modified, no date of the request counts."""
    assert ask(modified="", if_modified_since=LATER)[0] == 200
    assert ask(modified="", if_unmodified_since=EARLIER)[0] == 200


def test_several_parts():
    """Parts that lie apart come in one body, framed, in the order of the field."""
    status, headers, body = ask(range="bytes=1000-1009, 0-9")
    assert status == 206
    assert "Content-Range" not in headers
    kind = headers.pop("Content-Type")
    assert headers.pop("Content-Length") == str(len(body))
    assert headers == {
        **{name: DESCRIBED[name] for name in ("ETag", "X-Content-Type-Options", "Accept-Ranges")},
        **dict(EXTRA),
        "Last-Modified": THEN,
    }
    boundary = re.fullmatch(r"multipart/byteranges; boundary=([A-Za-z0-9_-]{1,70})", kind)[1].encode()
    assert boundary not in CONTENT
    assert body == (
        b"--%b\r\nContent-Type: text/javascript; charset=utf-8\r\nContent-Range: bytes 1000-1009/2048\r\n\r\n%b\r\n"
        b"--%b\r\nContent-Type: text/javascript; charset=utf-8\r\nContent-Range: bytes 0-9/2048\r\n\r\n%b\r\n--%b--\r\n"
    ) % (boundary, CONTENT[1000:1010], boundary, CONTENT[:10], boundary)


def test_small_parts_of_a_small_file():
    """Where the framing costs more than the file, the file is sent."""
    assert ask(asset_of(b"x" * 200), range="bytes=0-0,9-9")[0] == 200


def test_an_empty_file():
    """An empty file has its answers too."""
    empty = asset_of(b"")
    assert ask(empty)[0::2] == (200, b"")
    assert ask(empty, range="bytes=-5")[0::2] == (200, b"")
    status, headers, _ = ask(empty, range="bytes=0-")
    assert (status, headers["Content-Range"]) == (416, "bytes */0")


def form_of(encoding):
    """Return the form of ENCODED with an encoding."""
    return next(form for form in (ENCODED, *ENCODED.variants) if form.encoding == encoding)


@pytest.mark.parametrize(
    ("field", "encoding", "content"),
    [(None, "", CONTENT), ("gzip", "gzip", GZIP), ("gzip, br", "br", BR), ("br;q=0.1, gzip", "gzip", GZIP)],
)
def test_encodings(field, encoding, content):
    """The chosen form has its own length and tag, and says its encoding; all three count for what follows."""
    fields = {} if field is None else {"accept_encoding": field}
    form = form_of(encoding)
    status, headers, body = ask(ENCODED, **fields)
    assert (status, body, headers.get("Content-Encoding", "")) == (200, content, encoding)
    assert (headers["ETag"], headers["Content-Length"]) == (form.etag, str(len(content)))
    assert ask(ENCODED, if_none_match=form.etag, **fields)[0:2] == (304, {"ETag": form.etag, **dict(EXTRA)})
    assert ask(ENCODED, if_match=form.etag, **fields)[0] == 200
    for other in {"", "gzip", "br"} - {encoding}:
        assert ask(ENCODED, if_none_match=form_of(other).etag, **fields)[0] == 200
        assert ask(ENCODED, if_match=form_of(other).etag, **fields)[0] == 412
    status, headers, body = ask(ENCODED, range="bytes=10-19", **fields)
    assert (status, body, headers.get("Content-Encoding", "")) == (206, content[10:20], encoding)
    assert (headers["ETag"], headers["Content-Range"]) == (form.etag, f"bytes 10-19/{len(content)}")


def test_tags_of_encodings_differ():
    """No two forms share a tag, even with equal bytes."""
    same = asset_of(CONTENT, {"gzip": CONTENT, "br": CONTENT})
    assert len({form.etag for form in (same, *same.variants)}) == 3


def test_a_resumed_download_does_not_change_its_encoding():
    """If-Range with another form's tag, or with the date that all forms share, is answered with the whole form."""
    assert ask(ENCODED, range="bytes=0-9", if_range=ENCODED.etag, accept_encoding="gzip")[0] == 200
    assert ask(ENCODED, range="bytes=0-9", if_range=form_of("gzip").etag, accept_encoding="gzip")[0] == 206
    assert ask(ENCODED, range="bytes=0-9", if_range=THEN, accept_encoding="gzip")[0] == 200
    assert ask(ENCODED, range="bytes=0-9", if_range=THEN)[0] == 200


def test_several_parts_of_an_encoding():
    """A client would take the framing for a part of the encoded stream: the whole is sent."""
    status, headers, body = ask(ENCODED, range="bytes=0-0,9-9", accept_encoding="gzip")
    assert (status, headers["Content-Encoding"], body) == (200, "gzip", GZIP)
    assert ask(ENCODED, range="bytes=0-4,5-9", accept_encoding="gzip")[0::2] == (206, GZIP[:10])


def test_the_answer_is_the_callers():
    """A caller may add to the headers of an answer without changing the next one."""
    respond(ASSET, "GET", {}.get, EXTRA, THEN).headers.append(("X-Mine", "1"))
    assert "X-Mine" not in ask()[1]


def test_bodies():
    """A body says which bytes of which form it is, so that nothing is opened for one that is not sent."""
    assert respond(ASSET, "GET", {}.get).body is ASSET
    assert respond(ASSET, "HEAD", {}.get).body == Parts(ASSET, ())
    assert respond(ASSET, "GET", {"HTTP_IF_NONE_MATCH": "*"}.get).body == b""
    assert respond(ASSET, "GET", {"HTTP_RANGE": "bytes=1-2"}.get).body == Parts(ASSET, (Span(1, 3),))


TEXTS = st.text(st.characters(codec="latin-1"), max_size=20)
TAGS = st.sampled_from(["*", "", ETAG, f"W/{ETAG}", f'"x", {ETAG}', *(form.etag for form in ENCODED.variants)])
DATES = st.sampled_from([THEN, EARLIER, LATER, "Sunday, 06-Nov-94 08:49:37 GMT"])
NUMBERS = st.sampled_from(["", "0", "1", "9", "99", "2047", "2048", "9" * 5000])
RANGES = st.lists(st.tuples(NUMBERS, NUMBERS).map("-".join), max_size=5).map(lambda specs: "bytes=" + ",".join(specs))
ENCODINGS = st.sampled_from(["gzip", "br", "gzip, br", "identity;q=0", "*;q=0", "gzip;q=0.5"])
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "HTTP_RANGE": RANGES | TEXTS,
        "HTTP_IF_RANGE": TAGS | DATES | TEXTS,
        "HTTP_IF_MATCH": TAGS | TEXTS,
        "HTTP_IF_NONE_MATCH": TAGS | TEXTS,
        "HTTP_IF_MODIFIED_SINCE": DATES | TEXTS,
        "HTTP_IF_UNMODIFIED_SINCE": DATES | TEXTS,
        "HTTP_ACCEPT_ENCODING": ENCODINGS | TEXTS,
    },
)


@given(st.sampled_from([ASSET, ENCODED, asset_of(b""), asset_of(b"x")]), FIELDS, st.sampled_from(["", THEN]))
def test_every_answer(asset, fields, modified):
    """Whatever the request, the answer is one that RFC 9110 allows, and holds what it says."""
    answers = {method: respond(asset, method, fields.get, EXTRA, modified) for method in ("GET", "HEAD")}
    bodies = {method: b"".join(wsgi_body(answer.body, environ_of("/"))) for method, answer in answers.items()}
    status, headers = answers["GET"].status[:3], dict(answers["GET"].headers)
    body = bodies["GET"]
    forms = {form.etag: form.data for form in (asset, *asset.variants)}
    assert status in {"200", "206", "304", "412", "416"}
    assert bodies["HEAD"] == b""
    if "HTTP_RANGE" not in fields:
        assert answers["HEAD"][:2] == answers["GET"][:2]
    if status == "304":
        assert body == b""
        assert not {"Content-Length", "Content-Type", "Content-Encoding"} & set(headers)
    else:
        assert headers["Content-Length"] == str(len(body))
    if status in {"200", "206", "304"}:
        content = forms[headers["ETag"]]
        assert status == "304" or headers.get("Content-Encoding", "") in headers["ETag"]
    if status == "200":
        assert body == content
    if status == "206":
        for place, part in parts_of(headers, body):
            first, last, size = map(int, re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", place).groups())
            assert size == len(content)
            assert part == content[first : last + 1]
    if status == "416":
        assert headers["Content-Range"] in {f"bytes */{len(content)}" for content in forms.values()}


def parts_of(headers, body):
    """Return the places and the bytes of the parts in a 206."""
    if "Content-Range" in headers:
        return [(headers["Content-Range"], body)]
    boundary = headers["Content-Type"].rpartition("=")[2].encode()
    first, *parts, end = (b"\r\n" + body).split(b"\r\n--" + boundary)
    assert (first, end) == (b"", b"--\r\n")
    return [
        (message_from_bytes(head)["Content-Range"], content)
        for head, _, content in (part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts)
    ]


@given(FIELDS)
def test_plain_requests(fields):
    """Without any of the fields that callers look for, a file without variants is sent whole."""
    plain = {name: value for name, value in fields.items() if name not in CONDITIONAL}
    assert respond(ASSET, "GET", plain.get, EXTRA, THEN) == respond(ASSET, "GET", {}.get, EXTRA, THEN)
    unnegotiated = {name: value for name, value in plain.items() if name != ACCEPT_ENCODING}
    assert respond(ENCODED, "GET", unnegotiated.get).body is ENCODED
