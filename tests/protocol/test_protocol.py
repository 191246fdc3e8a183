"""The protocol over a real socket: every case of RFC 9110 in ``protocol_cases``, with files in memory and on disk."""

from __future__ import annotations

import gzip
import os
import re
from email import message_from_bytes
from typing import TYPE_CHECKING, NamedTuple

import brotli
import pytest
import zstandard

from tests.protocol.protocol_cases import ANYTHING, CASES, DATES, FILES, MODIFIED, NOTHING, WHOLE, Case
from tests.servers.servers import serving

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.servers.servers import Server

ENCODED = {
    "gzip": ("gz", gzip.compress(FILES["/app.js"], mtime=0)),
    "br": ("br", brotli.compress(FILES["/app.js"])),
    "zstd": ("zst", zstandard.compress(FILES["/app.js"])),
}
LISTS = ("Vary", "Allow")


class Answer(NamedTuple):
    """A response, byte by byte."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        """Return the one value of a header, None where it is absent."""
        values = [value for field, value in self.headers if field.lower() == name.lower()]
        assert len(values) < 2, f"{name} comes {len(values)} times"
        return values[0] if values else None


@pytest.fixture(scope="module", params=[64 * 1024 * 1024, 0], ids=["memory", "disk"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the files, small ones from memory, or all of them from disk."""
    build = tmp_path_factory.mktemp("build")
    siblings = {f"/app.js.{suffix}": content for suffix, content in ENCODED.values()}
    for path, content in {**FILES, **siblings}.items():
        file: Path = build / path[1:]
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (MODIFIED, MODIFIED))
    log = tmp_path_factory.mktemp("log")
    environment = {"PROTOCOL_BUILD": str(build), "PROTOCOL_MEMORY": str(request.param)}
    # It sends what the application gives it: other servers take the body away from HEAD.
    with serving("waitress", "tests.protocol.protocol_cases:application()", log, environment) as running:
        yield running


def ask(server: Server, request: str, fields: tuple[str, ...] = ()) -> Answer:
    """Send a request line and its fields as they are, on a connection of their own."""
    lines = [f"{request} HTTP/1.1", "Host: localhost", "Connection: close", *fields, "", ""]
    head, separator, body = server.send("\r\n".join(lines).encode("latin-1")).partition(b"\r\n\r\n")
    assert separator, "no answer"
    first, *rest = head.decode("latin-1").split("\r\n")
    status = re.fullmatch(r"HTTP/1\.1 ([0-9]{3}) .+", first)
    assert status, first
    headers = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in rest)]
    return Answer(int(status[1]), headers, body)


@pytest.fixture(scope="module")
def validators(server: Server) -> Mapping[str, Mapping[str, str]]:
    """Give each file's entity tags, as plain requests got them."""

    def tag(path: str, *fields: str) -> str:
        answer = ask(server, f"GET {path}", fields)
        return answer["ETag"] or "" if answer.status == 200 else ""

    return {
        path: {
            "etag": tag(path),
            **{encoding: tag(path, f"Accept-Encoding: {encoding}") for encoding in ENCODED},
            **DATES,
        }
        for path in {case.request.partition(" ")[2] for case in CASES}
    }


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_case(case: Case, server: Server, validators: Mapping[str, Mapping[str, str]]) -> None:
    """The answer has the status, the headers and the bytes that RFC 9110 says."""
    path = case.request.partition(" ")[2]
    known = validators[path]
    answer = ask(server, case.request, tuple(field.format_map(known) for field in case.fields))
    assert answer.status == case.status
    for name, value in case.has.items():
        check_header(name, answer[name], value and value.format_map(known))
    for name in case.lacks:
        assert answer[name] is None
    if case.request.startswith("HEAD ") or case.status in {204, 304}:
        assert answer.body == b""
    else:
        assert answer["Content-Length"] == str(len(answer.body))
    check_body(case.body, FILES.get("/index.html" if path == "/" else path, b""), answer)


def check_header(name: str, value: str | None, expected: str | None) -> None:
    """Compare a header: that it is there, what it says, or, of a list, that it has these members."""
    assert value, name
    if expected is not None and name in LISTS:
        assert set(expected.split(", ")) <= set(re.split(r"[ \t]*,[ \t]*", value)), name
    elif expected is not None:
        assert value == expected, name


def check_body(expected: str, content: bytes, answer: Answer) -> None:
    """Compare the bytes of an answer with what a case says of them."""
    encoding, _, places = expected.rpartition(" ") if ", " not in expected else ("", "", expected)
    if expected == ANYTHING:
        return
    if expected == NOTHING:
        assert answer.body == b""
    elif expected == WHOLE:
        assert answer.body == content
    elif expected in ENCODED:
        assert answer.body == ENCODED[expected][1]
    elif ", " not in places:
        first, last = map(int, places.split("-"))
        source = ENCODED[encoding][1] if encoding else content
        assert answer.body == source[first : last + 1]
        assert answer["Content-Range"] == f"bytes {places}/{len(source)}"
    else:
        check_parts(places.split(", "), content, answer)


def check_parts(places: list[str], content: bytes, answer: Answer) -> None:
    """Compare the parts of a multipart body."""
    kind = answer["Content-Type"] or ""
    boundary = re.fullmatch(r"multipart/byteranges; boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})", kind)
    assert boundary, kind
    start, *parts, end = (b"\r\n" + answer.body).split(f"\r\n--{boundary[1]}".encode())
    assert (start, end) == (b"", b"--\r\n")
    assert len(parts) == len(places)
    for place, part in zip(places, parts, strict=True):
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        first, last = map(int, place.split("-"))
        assert message_from_bytes(head)["Content-Range"] == f"bytes {place}/{len(content)}"
        assert message_from_bytes(head)["Content-Type"]
        assert body == content[first : last + 1]


def test_the_table() -> None:
    """The table has at least the fifty rows that it is named for, each with a name of its own."""
    assert len(CASES) >= 50
    assert len({case.name for case in CASES}) == len(CASES)
