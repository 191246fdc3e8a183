"""The answers that are made without ``respond``, because they are frequent: the same as it would give."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import NAVIGATION, client, write_build
from version_affinity import Version, VersionAffinity
from version_affinity.assets.http.response import respond
from version_affinity.assets.loading.index import scan
from version_affinity.decision.keys import environ_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMED, OWN, PAGE, PUBLIC = "/assets/app-BX4CeNGm.js", "/assets/own-CX4CeNGm.js", "/index.html", "/logo.svg"
PAGE_HEADERS = {"Version-Override": "v1", **NAVIGATION}
SUBRESOURCE = {"Cookie": "version-affinity-app=1.v1", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
CASES = {NAMED: SUBRESOURCE, OWN: SUBRESOURCE, PAGE: PAGE_HEADERS, PUBLIC: SUBRESOURCE}

# "{etag}" is the file's. A date before and one after the file was written.
FIELDS = {
    "If-Match": ["{etag}", '"other"', "*", "W/{etag}"],
    "If-None-Match": ["{etag}", '"other"', "*", "W/{etag}", '"other", {etag}'],
    "If-Modified-Since": ["Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 01 Jan 2038 00:00:00 GMT", "yesterday"],
    "If-Unmodified-Since": ["Thu, 01 Jan 1970 00:00:01 GMT", "Fri, 01 Jan 2038 00:00:00 GMT"],
    "Range": ["bytes=1-2", "bytes=900-", "bytes=-1", "lines=1-2", "bytes=0-1,3-4"],
    "If-Range": ["{etag}", '"other"'],
}


def combinations() -> Iterator[dict[str, str]]:
    """Yield no field, every field with each of its values, and every pair of those."""
    single = [{name: value} for name, values in FIELDS.items() for value in values]
    yield {}
    yield from single
    for one, other in product(single, single):
        if min(one) < min(other):
            yield one | other


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> tuple[VersionAffinity, Path]:
    """Two versions, of which v1 alone has one of the fingerprinted files, and v1's directory."""
    tree = tmp_path_factory.mktemp("builds")
    files = {NAMED[1:]: "app();", "index.html": "<p>One", "logo.svg": "<svg>1</svg>"}
    one = write_build(tree / "v1", {**files, OWN[1:]: "own();"})
    other = write_build(tree / "v2", {**files, "index.html": "<p>Two", "logo.svg": "<svg>2</svg>"})
    return VersionAffinity(None, [Version("v1", one, 50), Version("v2", other, 50)]), one


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", CASES)
def test_as_respond_answers(app: tuple[VersionAffinity, Path], path: str, method: str) -> None:
    """Whatever conditions and ranges a request has, status and fields are those of ``respond``."""
    affinity, directory = app
    asset = scan(directory).assets[path]
    by_name = path in (NAMED, OWN)
    for fields in combinations():
        sent = {name: value.replace("{etag}", asset.etag) for name, value in fields.items()}
        lookup = {environ_key(name): value for name, value in sent.items()}
        # Under a decision there are no dates: they cannot tell one version's file from another's.
        expected = respond(asset, method, lookup.get, (), asset.last_modified if by_name else "")
        asked = "/" if path == PAGE else path
        answer = client(affinity).open(asked, method=method, headers={**CASES[path], **sent})
        assert (answer.status, described(answer.headers)) == (expected.status, described(dict(expected.headers))), sent
        if method == "GET" and answer.status_code in (200, 206):
            assert len(answer.data) == int(answer.headers["Content-Length"])


def described(headers: Any) -> dict[str, str | None]:
    """Return what a response's headers tell of the content that it holds."""
    return {name: headers.get(name) for name in ("ETag", "Content-Length", "Content-Range", "Content-Type")}
