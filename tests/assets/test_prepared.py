"""The frequent answers that are made beforehand: each is the one that is made when it is asked for."""

from __future__ import annotations

import itertools
import time
from email.utils import formatdate
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from tests.assets.asking import environ_of
from version_affinity.assets.http.response import IMMUTABLE, Response, respond
from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.loading.tree import Content
from version_affinity.assets.rules.headers import parse_headers
from version_affinity.assets.sending import Prepared, changed, wsgi_body

if TYPE_CHECKING:
    from version_affinity.assets.rules.changes import HeaderChanges

PATH = "/assets/app-BX4CeNGm.js"
DATA = b"0123456789" * 30
MODIFIED = 784111777
THEN, BEFORE = formatdate(MODIFIED, usegmt=True), formatdate(MODIFIED - 1, usegmt=True)
RULES = {
    "none": "",
    "one more field": "/*\n X-Frame-Options: DENY",
    "another type": "/*\n Content-Type: text/plain",
    "another order": "/*\n Content-Type: text/plain\n ! X-Content-Type-Options",
    "no tag": "/*\n ! ETag\n ! Last-Modified",
    "no caching": "/*\n Cache-Control: no-store\n Set-Cookie: a=b",
}


def asset_of(modified: int = MODIFIED) -> Asset:
    """Return a fingerprinted file that is held in memory."""
    return Asset(
        PATH,
        "/nowhere",
        Content(len(DATA), modified * 10**9 + 1, sha256(DATA).digest()[:16], DATA),
        content_type=("Content-Type", "text/javascript; charset=utf-8"),
        fingerprinted=True,
        is_html=False,
        memory=Memory(len(DATA)),
    )


ASSET = asset_of()
#: By field: what a request may say, None for nothing.
FIELDS: dict[str, list[str | None]] = {
    "If-None-Match": [None, ASSET.etag, f"W/{ASSET.etag}", '"x"', "*"],
    "Range": [None, "bytes=0-9", "bytes=-5", "bytes=5-", "bytes=900-", "bytes=0-0,9-9", "x"],
    "If-Range": [None, ASSET.etag, f"W/{ASSET.etag}", '"x"', f'"x", {ASSET.etag}', THEN, BEFORE, ""],
    "If-Modified-Since": [None, THEN, BEFORE],
    "If-Match": [None, ASSET.etag, '"x"'],
    "If-Unmodified-Since": [None, THEN, BEFORE],
}


def changes_of(rules: str) -> HeaderChanges | None:
    """Return what rules change in the file's answers."""
    parsed = parse_headers(rules)
    assert parsed.invalid == ()
    return parsed.for_path(PATH) if parsed else None


def made(asset: Asset, environ: dict[str, Any], changes: HeaderChanges | None) -> Response:
    """Return the answer that is made when it is asked for."""
    response = respond(asset, environ["REQUEST_METHOD"], environ.get, (IMMUTABLE,), asset.last_modified)
    return response if changes is None else changed(response, changes)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("rules", RULES)
def test_as_when_asked(rules: str, method: str) -> None:
    """Whatever a request holds and rules say: what is prepared is, to the last byte, what respond and rules make."""
    changes = changes_of(RULES[rules])
    prepared = Prepared(ASSET, (IMMUTABLE,), changes)
    answered = set()
    for values in itertools.product(*FIELDS.values()):
        headers = {name: value for name, value in zip(FIELDS, values, strict=True) if value is not None}
        environ = environ_of(PATH, method, headers)
        sent = prepared.answer(environ)
        if sent is None:
            continue
        status, fields, body = sent
        expected = made(ASSET, environ, changes)
        assert (status, sorted(fields), [*body]) == (
            expected.status,
            sorted(expected.headers),
            wsgi_body(expected.body, {}),
        )
        answered.add(status[:3])
    assert answered == ({"200", "304", "206"} if method == "GET" and changes is None else {"200", "304"})


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_answers_are_the_requests_own(method: str) -> None:
    """Who changes the headers of one answer does not change the next one's."""
    prepared = Prepared(ASSET, (IMMUTABLE,), None)
    for headers in ({}, {"If-None-Match": ASSET.etag}, {"Range": "bytes=0-9"}):
        environ = environ_of(PATH, method, headers)
        first, second = prepared.answer(environ), prepared.answer(environ)
        if first is not None and second is not None:
            first[1].append(("X-Added", "1"))
            assert ("X-Added", "1") not in second[1]


#: Times that are no date to send: before 1970, in the future, and beyond what a date can say.
TOMORROW = pytest.param(int(time.time()) + 86_400, id="tomorrow")
UNTOLD = [-1, -(10**11), TOMORROW, 253_402_300_799, 253_402_300_800, 10**15]


@pytest.mark.parametrize("modified", UNTOLD)
def test_times_that_are_no_date(modified: int) -> None:
    """A time that no HTTP-date can say, or that is later than now (RFC 9110 section 8.8.2.1), is not sent, nor used."""
    asset = asset_of(modified)
    assert asset.last_modified == ""
    prepared = Prepared(asset, (IMMUTABLE,), None)
    later = "Fri, 31 Dec 9999 23:59:59 GMT"
    for headers in ({}, {"Range": "bytes=0-9"}, {"If-Modified-Since": later}, {"If-Unmodified-Since": THEN}):
        environ = environ_of(PATH, "GET", headers)
        answers = [made(asset, environ, None)[:2], (prepared.answer(environ) or made(asset, environ, None))[:2]]
        for status, fields in answers:
            assert status[:3] == ("206" if "Range" in headers else "200")
            assert "Last-Modified" not in dict(fields)


def test_times_that_are_dates() -> None:
    """From the first second of 1970 to the present one, a time is sent."""
    now = int(time.time())
    assert [asset_of(time).last_modified for time in (0, MODIFIED, now)] == [
        "Thu, 01 Jan 1970 00:00:00 GMT",
        THEN,
        formatdate(now, usegmt=True),
    ]
