"""Whole requests made of almost valid parts: never an exception or a 5xx, the framing right, no byte that is not ours.

Unlike ``test_hostile.py``, whose inputs are hostile, these follow the grammars of the fields and break them here and
there, all fields at once. ``VERSION_AFFINITY_EXAMPLES=50`` tries fifty times as many as by default, drawn anew on each
run; ``tests/protocol/coverage_guided.py`` looks for new paths through the code.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from wsgiref.util import FileWrapper

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.budget import budget
from tests.protocol.fuzzing import FILES, LAYOUTS, MARKER, PATHS, Site, ask, environ_of, prefix_of
from tests.protocol.linted_site import COMPRESSED, ENTRY, LARGE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypothesis.strategies import SearchStrategy

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The site, loaded once for all requests."""
    return Site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def tags(site: Site) -> dict[str, list[str]]:
    """By layout, the entity tags and dates of its files, so that conditions are met as often as not."""
    return {layout: sorted(set(_validators(site, layout))) for layout in LAYOUTS}


def _validators(site: Site, layout: str) -> Iterable[str]:
    for path in FILES:
        for encoding in ("", "gzip"):
            fields = {"Accept-Encoding": encoding, "Version-Key": "8"}
            answer = ask(site.applications[layout], environ_of("GET", prefix_of(layout) + path, "", fields))
            yield from (value for name, value in answer.headers if name in ("etag", "last-modified"))


# Grammars.

LATIN = st.binary(max_size=12).map(lambda value: value.decode("latin-1").replace("\r", "").replace("\n", ""))
SPACE = st.sampled_from(["", "", " ", "\t", "  "])
NUMBER = st.one_of(
    st.integers(0, 2000).map(str),
    st.sampled_from(["", "0", "00", "-1", "+1", "1_0", "\xb2", "1e3", "9" * 30, "9" * 5000, "1379999", "1380000"]),
)
Q = st.sampled_from(["", ";q=0", ";q=0.0", ";q=0.001", ";q=0.5", ";q=1", "; Q=1.000", ";q=1.1", ";q=-1", ";q=", ";x=1"])
DATES = [
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT",
    "Sun Nov  6 08:49:37 1994",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Thu, 32 Jan 2026 00:00:00 GMT",
    "0",
]


def mostly(usual: SearchStrategy[str], odd: SearchStrategy[str]) -> SearchStrategy[str]:
    """Return a strategy that does the odd thing now and then."""
    return st.integers(0, 7).flatmap(lambda drawn: odd if drawn == 7 else usual)


def listed(member: SearchStrategy[str]) -> SearchStrategy[str]:
    """Return comma-separated lists of a member, sloppy ones too."""
    separator = joined(SPACE, mostly(st.just(","), st.sampled_from([",,", ";", ""])), SPACE)
    return st.lists(joined(separator, member), max_size=6).map(lambda members: "".join(members).lstrip(", "))


def joined(*parts: SearchStrategy[str] | str) -> SearchStrategy[str]:
    """Return the concatenations of parts."""
    return st.tuples(*(st.just(part) if isinstance(part, str) else part for part in parts)).map("".join)


SPANS = st.one_of(
    st.tuples(st.integers(0, 2000), st.integers(0, 90)).map(lambda drawn: f"{drawn[0]}-{sum(drawn)}"),
    st.integers(0, 2000).map("{}-".format),
    st.integers(0, 2000).map("-{}".format),
)
RANGES = joined(
    mostly(st.just("bytes="), st.sampled_from(["Bytes=", "bytes =", "items=", "bytes", "="])),
    listed(mostly(SPANS, joined(NUMBER, SPACE, st.sampled_from(["-", "--", ""]), SPACE, NUMBER))),
)
ENCODINGS = listed(joined(st.sampled_from(["gzip", "br", "zstd", "x-gzip", "identity", "*", "GZIP", "evil"]), SPACE, Q))
COOKIES = st.lists(
    joined(
        st.sampled_from(["version-affinity-app", "__Host-version-affinity-app", "session_id", "evil", ""]),
        st.sampled_from(["=", "=", "", "=="]),
        st.one_of(
            joined(NUMBER, st.sampled_from([".", "", ".."]), st.sampled_from(["v1", "v2", "v3", "evil", ""])),
            LATIN,
        ),
    ),
    max_size=4,
).map("; ".join)
OVERRIDES = st.one_of(
    listed(joined(st.sampled_from(["app", "other", "v1"]), "=", st.sampled_from(['"v1"', '"v2"', "v2", '"evil', "1"]))),
    st.sampled_from(["v1", "v2", " v2 ", "v3", '"v2"', "v2;evil"]),
)
REFERERS = joined(
    st.sampled_from(["http://shop.example", "https://evil.example", "//", ""]),
    st.sampled_from([*ENTRY.values(), "/", "/evil", "/assets/../" + ENTRY["v1"]]),
    st.sampled_from(["", "?evil", "#evil"]),
)


def tags_of(validators: Iterable[str]) -> SearchStrategy[str]:
    """Return lists of entity tags."""
    known = [value for value in validators if value.startswith('"')]
    opaque = st.one_of(st.sampled_from(known), st.sampled_from(['""', '"evil"', "evil", '"', '"a,b"', "*"]))
    return st.one_of(listed(joined(st.sampled_from(["", "", "W/", "w/"]), opaque)), st.just("*"))


def fields_of(validators: Iterable[str]) -> SearchStrategy[dict[str, str]]:
    """Return sets of all the fields that the package reads."""
    tags = tags_of(validators)
    dates = st.one_of(st.sampled_from([*DATES, *(value for value in validators if value.endswith("GMT"))]), LATIN)
    grammars: dict[str, SearchStrategy[str]] = {
        "Range": RANGES,
        "If-Range": st.one_of(tags, dates),
        "If-Match": tags,
        "If-None-Match": tags,
        "If-Modified-Since": dates,
        "If-Unmodified-Since": dates,
        "Accept-Encoding": ENCODINGS,
        "Cookie": COOKIES,
        "Version-Override": OVERRIDES,
        "Cloudflare-Workers-Version-Overrides": OVERRIDES,
        "Version-Key": LATIN,
        "Referer": REFERERS,
        "Origin": st.sampled_from(["null", "http://evil.example"]),
        "Accept": st.sampled_from(["*/*", "text/html", "text/html;q=0", "evil"]),
        "Sec-Fetch-Mode": st.sampled_from(["navigate", "cors", "no-cors", "same-origin", "evil"]),
        "Sec-Fetch-Dest": st.sampled_from(["document", "empty", "script", "iframe", "serviceworker", "evil"]),
        "Sec-Fetch-Site": st.sampled_from(["none", "same-origin", "cross-site"]),
        "Sec-Purpose": st.sampled_from(["prefetch", "prefetch;prerender", "evil"]),
        "Service-Worker": st.sampled_from(["script", "evil"]),
        "X-Forwarded-Proto": st.sampled_from(["https", "http", "evil"]),
    }
    broken = {name: mostly(grammar, LATIN) for name, grammar in grammars.items()}
    # A few of them: with all at once, the first condition of all decides.
    names = st.lists(st.sampled_from(sorted(broken)), max_size=5, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: broken[name] for name in chosen}))


SEGMENTS = [
    *(path.lstrip("/") for path in PATHS),
    "..",
    ".",
    "",
    "secret.txt",
    "v1",
    "evil",
    "\xff",
    "%2e%2e",
    "\\",
    "a" * 300,
]
KNOWN = st.tuples(mostly(st.just(""), st.just("/shop")), st.sampled_from(PATHS)).map("".join)
TARGETS = mostly(
    KNOWN,
    st.one_of(
        st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=4).map(lambda segments: "/" + "/".join(segments)),
        LATIN.map("/{}".format),
    ),
)
QUERIES = st.one_of(st.just(""), st.sampled_from(["evil=1", "/evil", "//evil.example", "a=%0d%0aevil"]), LATIN)
METHODS = mostly(st.just("GET"), st.sampled_from(["HEAD", "POST", "OPTIONS", "DELETE", "TRACE"]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_requests(layout: str, site: Site, tags: dict[str, list[str]]) -> None:
    """Whatever a server may hand over is answered, rightly framed, with the bytes of one file of the builds or none."""
    application = site.applications[layout]

    @budget(250)
    @given(
        method=METHODS,
        path=TARGETS,
        query=QUERIES,
        fields=fields_of(tags[layout]),
        wrapper=st.sampled_from([None, FileWrapper]),
    )
    def run(method: str, path: str, query: str, fields: dict[str, str], wrapper: object) -> None:
        ascii_query = query.encode("latin-1").decode("ascii", "ignore")  # RFC 3986: what is none is encoded on the wire
        site.check(method, ask(application, environ_of(method, path, ascii_query, fields, wrapper)))

    run()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_requests_for_files(layout: str, site: Site, tags: dict[str, list[str]]) -> None:
    """The same of files that are there, with the fields that decide which part of them is sent, if any."""
    application = site.applications[layout]

    @budget(250)
    @given(
        path=st.sampled_from([*FILES, LARGE, LARGE, COMPRESSED, COMPRESSED]),
        fields=fields_of(tags[layout]),
        wanted=RANGES,
        encodings=ENCODINGS,
        wrapper=st.sampled_from([None, FileWrapper]),
    )
    @example(path=LARGE, fields={}, wanted="bytes=0-0, 500-1000,-1", encodings="", wrapper=None)
    @example(path=LARGE, fields={}, wanted="bytes=1379998-,0-70000", encodings="", wrapper=FileWrapper)
    @example(path=COMPRESSED, fields={}, wanted="bytes=0-9, 200-209", encodings="gzip", wrapper=None)
    @example(path="/empty.txt", fields={}, wanted="bytes=0-", encodings="", wrapper=None)
    def run(path: str, fields: dict[str, str], wanted: str, encodings: str, wrapper: object) -> None:
        asked = {"Range": wanted, "Accept-Encoding": encodings} | fields
        site.check("GET", ask(application, environ_of("GET", prefix_of(layout) + path, "", asked, wrapper)))

    run()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_head_says_what_get_says(layout: str, site: Site, tags: dict[str, list[str]]) -> None:
    """HEAD has the status and the headers of GET (RFC 9110 section 9.3.2), but for ranges, which are of GET alone."""
    application = site.applications[layout]

    @budget(100)
    @given(path=st.sampled_from(PATHS), fields=fields_of(tags[layout]))
    def run(path: str, fields: dict[str, str]) -> None:
        # A decision that is drawn differs from request to request.
        known = {**fields, "Version-Key": "8", "Cookie": "session_id=8; version-affinity-app=7.v1"}
        known.pop("Range", None)
        get, head = (
            ask(application, environ_of(method, prefix_of(layout) + path, "", known)) for method in ("GET", "HEAD")
        )
        site.check("HEAD", head)
        assert head.status == get.status
        assert head.headers == get.headers

    run()


ILLEGAL = st.one_of(st.text(max_size=30), st.sampled_from(["\ud800", "\r\nX-Evil: 1", "\0", "\u20ac", MARKER * 3000]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_environs_that_no_server_makes(layout: str, site: Site, tags: dict[str, list[str]]) -> None:
    """Text that cannot come over a wire, in any of the fields and beside others that are right, changes none of it."""
    application = site.applications[layout]
    fields = fields_of(tags[layout])
    names = st.sampled_from(["Range", "If-None-Match", "If-Match", "If-Range", "If-Modified-Since", "Accept-Encoding"])

    @budget(100)
    @given(method=METHODS, path=st.one_of(TARGETS, ILLEGAL), query=ILLEGAL, fields=fields, name=names, value=ILLEGAL)
    def run(method: str, path: str, query: str, fields: dict[str, str], name: str, value: str) -> None:
        answer = partial(ask, application, legal=False)
        site.check(method, answer(environ_of(method, path, query, {**fields, name: value})))

    run()
