"""Override links: what is signed, what opening one answers, and the cookie that decides from then on."""

from __future__ import annotations

import re
import sys
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote_to_bytes, urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import create_environ

from tests.budget import budget
from tests.builds import (
    COLLISION,
    DIFFERING,
    ENTRY,
    EQUAL,
    NAME,
    OWN,
    SHARED,
    SPLIT,
    Answer,
    key_of,
    pinned,
    rollout,
    write_builds,
)
from tests.harness import NAVIGATION, SCRIPT, checked, client
from tests.model.browser_model import Browser, environ_of, send
from version_affinity import ConfigurationError, Cookie, Header, VersionAffinity, override_link, sign_override
from version_affinity.decision.overrides import MAX_LENGTH
from version_affinity.releases import Releases
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload
from version_affinity.responses.override_links import PARAMETER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from werkzeug.wrappers import Response

SECRET, OLDER, OTHER = "a long random text", "the text before it", "somebody else's text"
HOUR = 3600
#: Values are signed when the tests are collected. They must still count when the last test runs.
MONTH = 30 * 24 * HOUR
COOKIE = f"version-affinity-{NAME}.override"
STAGED = {"v1": 100.0, "v2": 0.0}
UNSTORED = "private, no-store"
PREFETCH = {**NAVIGATION, "Sec-Purpose": "prefetch"}
WORKER = {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin"}
FRAME = {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}
OLD_PAGE = {"Accept": "text/html"}
KINDS = {
    "page": NAVIGATION,
    "subresource": SCRIPT,
    "frame": FRAME,
    "prefetch": PREFETCH,
    "service worker": WORKER,
    "old browser's page": OLD_PAGE,
    "other": {},
}
CLEARED = f"{COOKIE}=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds."""
    return write_builds(tmp_path_factory.mktemp("builds"))


@pytest.fixture(scope="module")
def staged(builds: dict[str, Path]) -> VersionAffinity:
    """The builds with v2 staged and v0 retained, where signed overrides count."""
    return rollout(builds, None, STAGED, ["v0"], override_secret=SECRET)


def signed(version: str = "v2", name: str = NAME, secret: str = SECRET, lifetime: float = MONTH) -> str:
    """Return a signed override."""
    return sign_override(version, name=name, secret=secret, lifetime=lifetime)


def holding(value: str, name: str = COOKIE) -> dict[str, str]:
    """Return the request header with the override cookie."""
    return {"Cookie": f"{name}={value}"}


def link_to(path: str, value: str | None = None) -> str:
    """Return a link."""
    return f"{path}{'&' if '?' in path else '?'}{PARAMETER}={signed() if value is None else value}"


def trace(response: Response) -> str:
    """Return the decision as the response tells it."""
    return response.headers.get("Version-Affinity", "")


# What is signed.

LINKS = [
    ("/", "", "/?{}"),
    ("/ink", "", "/ink?{}"),
    ("/ink?size=m", "", "/ink?size=m&{}"),
    ("/ink?size=m&size=l&b", "", "/ink?size=m&size=l&b&{}"),
    ("/ink?", "", "/ink?{}"),
    ("/ink#team", "", "/ink?{}#team"),
    ("/ink?a=1#b?c#d", "", "/ink?a=1&{}#b?c%23d"),
    ("/café/日本?ö=ü#ß", "", "/caf%C3%A9/%E6%97%A5%E6%9C%AC?%C3%B6=%C3%BC&{}#%C3%9F"),
    ("/a b?c d", "", "/a%20b?c%20d&{}"),
    ("/caf%C3%A9?x=%20+%26", "", "/caf%C3%A9?x=%20+%26&{}"),
    ('/[id]?a[]="<\'>"', "", "/%5Bid%5D?a%5B%5D=%22%3C'%3E%22&{}"),
    ("/?next=//evil.example/&u=http://evil.example", "", "/?next=//evil.example/&u=http://evil.example&{}"),
    ("/a//b/../c;d=1,2:3@4", "", "/a//b/../c;d=1,2:3@4?{}"),
    ("/100%?q=100%&r=%2#%", "", "/100%25?q=100%25&r=%252&{}#%25"),
    # a link is made anew
    (f"/?{PARAMETER}=old&a=1&{PARAMETER}", "", "/?a=1&{}"),
    (f"/?{PARAMETER}=old", "", "/?{}"),
    # what stands before
    ("/ink", "https://shop.example", "https://shop.example/ink?{}"),
    ("/", "HTTPS://shop.example/", "HTTPS://shop.example/?{}"),
    ("/ink", "http://localhost:5000/site/", "http://localhost:5000/site/ink?{}"),
    ("/ink", "http://[::1]:5000", "http://[::1]:5000/ink?{}"),
]


@pytest.mark.parametrize(("path", "base", "expected"), LINKS)
def test_link(path: str, base: str, expected: str) -> None:
    """A link is the URL that was given, with its query and fragment, encoded, and the signed override in its query."""
    link = override_link("v2", name=NAME, secret=SECRET, lifetime=HOUR, path=path, base=base)
    pair = re.search(rf"{PARAMETER}=[A-Za-z0-9._-]+", link)
    assert pair is not None
    assert link == expected.format(pair[0])


@pytest.mark.parametrize(
    "path",
    [
        *("", "ink", "?a=1", "#a", "//evil.example", "//evil.example/ink", "///evil.example", "/\\evil.example"),
        *("\\\\evil.example", "/a\\b", "/ink?a=\\", "http://evil.example/", "https:ink", "javascript:alert(1)"),
        *("/\t/evil.example", "/\r\n/evil.example", "/ink\r\nSet-Cookie: a=b", "/ink?a\nb", "/\x00", "/\x7f", " /ink"),
        *("/\ud800", "/ink\n", None, 7, b"/ink"),
    ],
)
def test_link_to_elsewhere(path: Any) -> None:
    """A link leads to a path of the application's own host, or is refused."""
    with pytest.raises(ConfigurationError, match=r"path=.* is not a path of this host: write it with one '/'"):
        override_link("v2", name=NAME, secret=SECRET, lifetime=HOUR, path=path)


@pytest.mark.parametrize(
    "base",
    [
        *("shop.example", "//shop.example", "ftp://shop.example", "https://", "https:shop.example", "https:///ink"),
        *("https://shop.example?a", "https://shop.example/#a", "https://shop.example\\@evil", "https://a\r\nb", " "),
        *("https://shop.example\n", None, 7, b"https://shop.example"),
    ],
)
def test_link_from_nowhere(base: Any) -> None:
    """What stands before the path is the beginning of a URL, or is refused."""
    with pytest.raises(ConfigurationError, match=r"base=.* is not the beginning of a URL: write base="):
        override_link("v2", name=NAME, secret=SECRET, lifetime=HOUR, base=base)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"version": "../v2"}, "version"),
        ({"name": "Shop"}, "name='Shop'"),
        ({"secret": ""}, "override_secret"),
        ({"lifetime": 0}, "lifetime=0"),
    ],
)
def test_link_without_a_signature(changed: dict[str, Any], words: str) -> None:
    """What cannot be signed as a header's value cannot be as a link."""
    with pytest.raises(ConfigurationError, match=words):
        override_link(**{"version": "v2", "name": NAME, "secret": SECRET, "lifetime": HOUR, **changed})


@budget(150)
@given(path=st.from_regex(r"/[^\x00-\x1f\x7f\\\ud800-\udfff]{0,40}", fullmatch=True))
def test_any_link(staged: VersionAffinity, path: str) -> None:
    """Whatever path a link is made for, it stays on its host, and opening it leads to what the path says."""
    try:
        link = override_link("v2", name=NAME, secret=SECRET, lifetime=HOUR, path=path)
    except ConfigurationError:
        assert path.startswith("//")
        return
    assert re.fullmatch(r"/(?!/)[!-~]*", link)
    answer = send(staged, environ_of("GET", link.partition("#")[0], NAVIGATION))
    assert answer.status == 303
    assert answer.get("Set-Cookie").startswith(f"{COOKIE}=")
    assert urlsplit(urljoin("http://shop", answer.get("Location"))).netloc == "shop"
    (wanted, _, asked), (led, _, query) = path.partition("#")[0].partition("?"), answer.get("Location").partition("?")
    assert unquote_to_bytes(led) == unquote_to_bytes(wanted)
    expected = [pair for pair in parse_qsl(asked, keep_blank_values=True) if pair[0] != PARAMETER]
    assert parse_qsl(query, keep_blank_values=True) == expected


# What opening one answers.


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("kind", ["page", "old browser's page", "other"])
def test_opened(staged: VersionAffinity, kind: str, method: str) -> None:
    """A link leads to its URL without the signed value, with a cookie that lives as long; nobody keeps the answer."""
    began = time.time()
    value = signed(lifetime=HOUR)
    response = client(staged).open(link_to("/about?size=m", value), method=method, headers=KINDS[kind])
    elapsed = time.time() - began
    assert (response.status, response.data) == ("303 See Other", b"")
    assert response.headers["Location"] == "/about?size=m"
    assert response.headers["Cache-Control"] == UNSTORED
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert trace(response) == f'v2;reason=override;source="query:{PARAMETER}"'
    (cookie,) = response.headers.getlist("Set-Cookie")
    found = re.fullmatch(
        rf"{re.escape(COOKIE)}={re.escape(value)}; Max-Age=(\d+); Path=/; HttpOnly; SameSite=Lax", cookie
    )
    assert found is not None
    assert HOUR - elapsed - 1 <= int(found[1]) <= HOUR


# what stands in the link, and why it is refused: "" where nothing is
REFUSED = [
    (signed("v9"), "unknown-version"),
    (signed("v0"), "not-deployed"),
    ("v2", "bad-signature"),
    ("x", "bad-signature"),
    (signed()[:-1], "bad-signature"),
    (f"A{signed()[1:]}", "bad-signature"),
    (signed(secret=OTHER), "bad-signature"),
    (signed(name="other"), "bad-signature"),
    (f'"{signed()}"', "bad-signature"),
    (f'{NAME}="{signed()}"', "bad-signature"),
    (f"+{signed()}", "bad-signature"),
    # what is read after the padding of Base64 is not signed, and would stand in a header
    (f"{signed()}=", "bad-signature"),
    (f"{signed()}=%0d%0aSet-Cookie:%20a=b", "bad-signature"),
    (f"{signed()}%3d\r\nSet-Cookie: a=b", "bad-signature"),
    (f"{signed()}; Path=/x", "bad-signature"),
    (f"{signed()}%0a", "bad-signature"),
    ("%", "bad-signature"),
    ("%ff%00\xff", "bad-signature"),
    ("v" * MAX_LENGTH, "bad-signature"),
    ("v" * (MAX_LENGTH + 1), "bad-syntax"),
    (f"{signed()}&{PARAMETER}=x", None),
    (f"x&{PARAMETER}={signed()}", "bad-signature"),
    (signed().replace(".", "%2E"), None),
    ("", ""),
    (f"&{PARAMETER}={signed()}", ""),
]


@pytest.mark.parametrize("held", ["", signed(), "x"])
@pytest.mark.parametrize(("value", "refused"), REFUSED)
def test_refused(staged: VersionAffinity, value: str, refused: str | None, held: str) -> None:
    """A link that cannot be applied leads to its URL too, takes the cookie away, and the trace says why; so does ""."""
    before = Counter(staged.counters().refused)
    headers = {**NAVIGATION, **(holding(held) if held else {})}
    answer = send(staged, environ_of("GET", link_to("/about?a=1", value), headers))
    assert (answer.status, answer.get("Location"), answer.get("Cache-Control")) == (303, "/about?a=1", UNSTORED)
    counted = Counter(staged.counters().refused)
    counted.subtract(before)
    if refused is None:
        assert (answer.trace, +counted) == (f'v2;reason=override;source="query:{PARAMETER}"', {})
        assert re.search(r"; Max-Age=[1-9]\d*;", answer.get("Set-Cookie"))
    else:
        assert answer.trace == f"v1;reason=only{refused and ';refused='}{refused}"
        assert answer.get("Set-Cookie") == CLEARED
        assert +counted == ({refused: 1} if refused else {})


def test_deployed_later(builds: dict[str, Path]) -> None:
    """A link opens whenever its version is in the deployment, and not before or after."""
    affinity = rollout(builds, None, {"v1": 100.0}, ["v2"], override_secret=SECRET)
    link = link_to("/")
    assert trace(client(affinity).get(link, headers=NAVIGATION)) == "v1;reason=only;refused=not-deployed"
    affinity.deploy(STAGED)
    response = client(affinity).get(link, headers=NAVIGATION)
    assert trace(response).startswith("v2;reason=override")
    affinity.deploy({"v1": 100})
    affinity.retire("v2")
    assert trace(client(affinity).get(link, headers=NAVIGATION)) == "v1;reason=only;refused=unknown-version"


@pytest.mark.parametrize("kind", ["subresource", "frame", "prefetch", "service worker"])
@pytest.mark.parametrize("value", [signed(), "", "x"])
def test_not_opened(staged: VersionAffinity, kind: str, value: str) -> None:
    """What a page loads, frames or fetches ahead opens no link: a picture must not change what a browser shows."""
    response = client(staged).get(link_to("/about", value), headers=KINDS[kind])
    assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")
    assert trace(response) == "v1;reason=only"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_not_opened_by_a_form(builds: dict[str, Path], method: str) -> None:
    """Another method than GET and HEAD opens no link: the application gets the request as it came."""
    app = Answer()
    affinity = rollout(builds, app, STAGED, override_secret=SECRET)
    response = client(affinity).open(link_to("/api/x"), method=method, headers=OLD_PAGE)
    assert (response.status_code, PARAMETER in app.environ["QUERY_STRING"]) == (200, True)
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(("length", "status"), [(4096, 303), (4097, 404), (65_536, 404)])
def test_long_path(staged: VersionAffinity, length: int, status: int) -> None:
    """A path that no link has is not sent back in a header."""
    answer = send(staged, environ_of("GET", link_to("/" + "a" * (length - 1)), NAVIGATION))
    assert (answer.status, len(answer.get("Location"))) == (status, length if status == 303 else 0)


@pytest.mark.parametrize(
    "query", ["q=version-override", "xversion-override=1", "version-override2=1", "a=version-override="]
)
def test_other_parameters(builds: dict[str, Path], query: str) -> None:
    """What only looks like the parameter is the application's."""
    app = Answer()
    client(rollout(builds, app, STAGED, override_secret=SECRET)).get(f"/api/x?{query}", headers=NAVIGATION)
    assert app.environ["QUERY_STRING"] == query


def test_without_a_secret(builds: dict[str, Path]) -> None:
    """Without ``override_secret`` there are no links and no cookie: anybody could make them."""
    app = Answer()
    affinity = rollout(builds, app, STAGED)
    for value in ("v2", signed(), ""):
        assert client(affinity).get(link_to("/api/x", value), headers=NAVIGATION).status_code == 200
        assert app.environ["QUERY_STRING"] == f"{PARAMETER}={value}"
        for held in (value, f"{COOKIE}={value}"):
            assert trace(client(affinity).get("/", headers={**NAVIGATION, **holding(held)})) == "v1;reason=only"


# path, mount, the target as the server got it, query, and where the link leads
PLACES = [
    ("/", "", "{}", "/"),
    ("", "", "{}", "/"),
    ("/ink", "", "{}&a=1&b", "/ink?a=1&b"),
    ("/ink", "", "a=1&{}&b", "/ink?a=1&b"),
    ("/ink", "", "a=1&{}", "/ink?a=1"),
    ("/ink", "", "{}&", "/ink"),
    ("/ink", "", "a&&{}&&b=", "/ink?a&&&b="),
    ("/ink", "", "a=%2f%2F%20+&{}&b=;c,d:e@f/?g!$'()*~", "/ink?a=%2f%2F%20+&b=;c,d:e@f/?g!$'()*~"),
    # mounted
    ("/ink", "/shop", "{}&a=1", "/shop/ink?a=1"),
    ("", "/shop", "{}&a=1", "/shop?a=1"),
    ("/", "/shop", "{}", "/shop/"),
    ("/ink", "/caf\xc3\xa9", "{}", "/caf%C3%A9/ink"),
    # decoded
    ("/a b/[id]", "", "{}", "/a%20b/%5Bid%5D"),
    ("/a@b+c", "", "{}", "/a@b+c"),
    ("/caf\xc3\xa9", "", "{}", "/caf%C3%A9"),
    ("/caf\xe9", "", "{}", "/caf%E9"),
    ("/docs//page", "", "{}", "/docs//page"),
    ("/100%", "", "q=100%&{}", "/100%25?q=100%25"),
    # never to another host, never two lines
    ("//evil.example/", "", "{}", "/evil.example/"),
    ("///evil.example", "", "{}", "/evil.example"),
    ("/\\evil.example", "", "{}", "/%5Cevil.example"),
    ("\\\\evil.example", "", "{}", "/%5C%5Cevil.example"),
    ("/\t/evil.example", "", "{}", "/%09/evil.example"),
    ("http://evil.example/", "", "{}", "/http://evil.example/"),
    ("/evil.example", "/", "{}", "/evil.example"),
    ("/evil.example", "//", "{}", "/evil.example"),
    ("/a\r\nSet-Cookie: b=c", "", "{}", "/a%0D%0ASet-Cookie:%20b=c"),
    ("/ink", "", "a\r\nSet-Cookie: b=c&{}", "/ink?a%0D%0ASet-Cookie:%20b=c"),
    ("/ink", "", 'a=\xff#\x00"<>\\^`{{|}}&{}', "/ink?a=%FF%23%00%22%3C%3E%5C%5E%60%7B%7C%7D"),
    ("/ink", "", "a=\udc80\u65e5&{}", "/ink?a=%ED%B2%80%E6%97%A5"),
    ("*", "", "{}", "/*"),
]


@pytest.mark.parametrize("value", [signed(), "x", ""])
@pytest.mark.parametrize(("path", "mount", "query", "expected"), PLACES)
def test_where_it_leads(
    staged: VersionAffinity,
    path: str,
    mount: str,
    query: str,
    expected: str,
    value: str,
) -> None:
    """The rest of the query, the mount and the path stay; it is always a path of the same host."""
    environ = environ_of("GET", "/", {**NAVIGATION, "X-Forwarded-For": "192.0.2.1"})
    environ.update(PATH_INFO=path, SCRIPT_NAME=mount, QUERY_STRING=query.format(f"{PARAMETER}={value}"))
    answer = send(staged, environ)
    assert (answer.status, answer.get("Location")) == (303, expected)


TEXT = st.text(st.characters(max_codepoint=255), max_size=20)
ODD = st.sampled_from(("/", "//", "\\", "\r\n", "\t", ".", "..", "%2f", "%5c", "%", "evil.example", "?", "#", "@", ":"))
HOSTILE = st.lists(ODD | TEXT, max_size=6).map("".join)
VALUES = st.tuples(st.sampled_from(("", signed(), f"{signed()}=", "x")), st.just("") | HOSTILE).map("".join)
ASKING = st.just(PARAMETER) | VALUES.map(f"{PARAMETER}=".__add__)
PAIRS = st.lists(st.sampled_from(("a=1", "", "b", PARAMETER)) | HOSTILE, max_size=3).map("&".join)


@pytest.mark.slow
@budget(400)
@given(
    path=HOSTILE | HOSTILE.map("/".__add__),
    mount=st.just("") | HOSTILE,
    target=st.none() | HOSTILE,
    query=st.tuples(PAIRS, ASKING, PAIRS).map("&".join),
    cookie=st.sampled_from((signed(), "")) | TEXT,
)
def test_hostile_links(
    staged: VersionAffinity, path: str, mount: str, target: str | None, query: str, cookie: str
) -> None:
    """Whatever a link says, its answer raises nothing, stays on the host, ends, and keeps the rest of the query."""
    environ = environ_of("GET", "/", {**NAVIGATION, **holding(cookie)})
    environ.update(PATH_INFO=path, SCRIPT_NAME=mount, QUERY_STRING=query)
    if target is not None:
        environ["RAW_URI"] = target
    answer = send(staged, environ)
    assert answer.status == 303
    for name, value in answer.headers:
        assert re.fullmatch(r"[ -~]*", value), name
    location = answer.get("Location")
    assert re.fullmatch(r"/(?!/)(?:[A-Za-z0-9/?:@._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", location)
    rest = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != PARAMETER)
    if re.fullmatch(r"(?:[A-Za-z0-9/?:@._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*", rest):
        assert location.partition("?")[2] == rest
    assert PARAMETER not in (pair.partition("=")[0] for pair in location.partition("?")[2].split("&"))


@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("/api/x", {"app_first": ["/api/*"]}),
        ("/nothing/of/ours", {}),
        ("/elsewhere", {"prefix": "/shop/"}),
        ("/shop", {"prefix": "/shop/"}),
        ("/shop/about", {"prefix": "/shop/"}),
        ("/some/route", {"not_found_handling": "single-page-application"}),
        ("/index.html", {}),
        (DIFFERING, {}),
        ("/assets/lost-N0tHere1.js", {}),
    ],
)
def test_opened_anywhere(builds: dict[str, Path], path: str, options: dict[str, Any]) -> None:
    """A link leads to whatever the application answers: its own pages, what is no file, outside the prefix."""
    app = Answer()
    affinity = rollout(builds, app, STAGED, override_secret=SECRET, **options)
    response = client(affinity).get(link_to(path), headers=NAVIGATION)
    assert (response.status_code, response.headers["Location"], app.environ) == (303, path, {})


def test_a_file_that_is_served_by_name(staged: VersionAffinity) -> None:
    """A fingerprinted file is the same for everybody, link or not."""
    response = client(staged).get(link_to(SHARED), headers=NAVIGATION)
    assert (response.status_code, response.headers["Cache-Control"][:6]) == (200, "public")
    assert "Set-Cookie" not in response.headers


# The cookie.


@pytest.mark.parametrize(
    ("scheme", "secure", "prefixed"),
    [
        ("http", None, False),
        ("https", None, True),
        ("http", True, True),
        ("https", True, True),
        ("http", False, False),
        ("https", False, False),
    ],
)
@pytest.mark.parametrize("cookie", ["version-affinity-{name}", "pin", None])
def test_cookie_on_each_scheme(
    builds: dict[str, Path], scheme: str, secure: bool | None, prefixed: bool, cookie: str | None
) -> None:
    """On https the cookie has ``__Host-`` and ``Secure``, and no other is read; it is named as the affinity cookie."""
    affinity = rollout(builds, None, STAGED, override_secret=SECRET, cookie=cookie, secure=secure)
    plain = "pin.override" if cookie == "pin" else COOKIE
    name, attributes = (f"__Host-{plain}", "Path=/; Secure") if prefixed else (plain, "Path=/")
    value = signed()
    opened = send(affinity, environ_of("GET", link_to("/", value), NAVIGATION, scheme)).get("Set-Cookie")
    assert re.fullmatch(
        rf"{re.escape(name)}={re.escape(value)}; Max-Age=\d+; {attributes}; HttpOnly; SameSite=Lax", opened
    )
    left = send(affinity, environ_of("GET", link_to("/", ""), NAVIGATION, scheme)).get("Set-Cookie")
    assert left == f"{name}=; Max-Age=0; {attributes}; HttpOnly; SameSite=Lax"
    for held, reason in ((name, "v2;reason=override"), (plain if prefixed else f"__Host-{plain}", "v1;reason=only")):
        answer = send(affinity, environ_of("GET", "/", {**NAVIGATION, **holding(value, held)}, scheme))
        assert answer.trace.startswith(reason)
        assert answer.get("Vary").startswith("Cookie, ")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_visit(builds: dict[str, Path], scheme: str) -> None:
    """A browser that opens a link is shown the version, page after page and file after file, until it leaves it."""
    affinity = rollout(builds, None, STAGED, override_secret=SECRET)
    browser = Browser(checked(affinity), lambda: frozenset(affinity.known), scheme=scheme)

    def shown() -> tuple[bytes, bytes, bytes]:
        page = browser.request("/about", browser.navigation()).body
        script = browser.request(COLLISION, browser.subresource(COLLISION, "/about")).body
        return page, script, browser.request(DIFFERING, browser.subresource(DIFFERING, "/about")).body

    opened = browser.request(link_to("/about"), browser.navigation())
    assert opened.get("Location") == "/about"
    assert shown() == (b"about v2", b"// chunk of v2", b"<svg><title>v2</title></svg>")
    left = browser.request(link_to("/about", ""), browser.navigation())
    assert left.get("Location") == "/about"
    assert shown() == (b"about v1", b"// chunk of v1", b"<svg><title>v1</title></svg>")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["/", "/about", "/index.html", DIFFERING, COLLISION, OWN["v2"], OWN["v1"], "/lost.js"])
def test_cookie_decides_every_kind(staged: VersionAffinity, path: str, kind: str) -> None:
    """The cookie decides pages and what they load alike, like the header, and nothing of it is kept or stamped."""
    by_cookie = client(staged).get(path, headers={**KINDS[kind], **holding(signed())})
    by_header = client(staged).get(path, headers={**KINDS[kind], "Version-Override": signed()})
    assert trace(by_cookie).partition(";served=")[0] == f'v2;reason=override;source="cookie:{COOKIE}"'
    assert by_cookie.headers["Cache-Control"] == UNSTORED
    assert "Set-Cookie" not in by_cookie.headers
    told = dict(by_header.headers) | {"Version-Affinity": trace(by_cookie)}
    assert (by_cookie.status, by_cookie.data, dict(by_cookie.headers)) == (by_header.status, by_header.data, told)


HEADER, PLATFORM = "Version-Override", "Cloudflare-Workers-Version-Overrides"


@pytest.mark.parametrize(
    ("headers", "cookie", "expected"),
    [
        ({HEADER: signed("v1")}, signed("v2"), 'v1;reason=override;source="header:Version-Override"'),
        ({PLATFORM: f'{NAME}="{signed("v1")}"'}, signed("v2"), f'v1;reason=override;source="header:{PLATFORM}"'),
        # a header that cannot be applied counts as absent
        ({HEADER: "v1"}, signed("v2"), f'v2;reason=override;source="cookie:{COOKIE}"'),
        ({HEADER: signed("v9"), PLATFORM: "x"}, signed("v2"), f'v2;reason=override;source="cookie:{COOKIE}"'),
        ({HEADER: ""}, signed("v2"), f'v2;reason=override;source="cookie:{COOKIE}"'),
        # the first reason is told
        ({HEADER: signed("v9")}, "x", "v1;reason=only;refused=unknown-version"),
        ({HEADER: ""}, "x", "v1;reason=only;refused=bad-signature"),
        ({}, signed("v9"), "v1;reason=only;refused=unknown-version"),
        ({}, signed("v0"), "v1;reason=only;refused=not-deployed"),
        ({}, "v2", "v1;reason=only;refused=bad-signature"),
        ({}, signed(secret=OTHER), "v1;reason=only;refused=bad-signature"),
        ({}, signed(name="other"), "v1;reason=only;refused=bad-signature"),
        ({}, f"{signed()}=x", "v1;reason=only;refused=bad-signature"),
        ({}, "v" * MAX_LENGTH, "v1;reason=only;refused=bad-signature"),
        ({}, "v" * (MAX_LENGTH + 1), "v1;reason=only;refused=bad-syntax"),
        ({}, "\xff\x00", "v1;reason=only;refused=bad-signature"),
        ({}, "\udc80\u65e5", "v1;reason=only;refused=bad-signature"),
        ({}, f"{signed()}; {COOKIE}=x", f'v2;reason=override;source="cookie:{COOKIE}"'),
        ({}, f'"{signed()}"', f'v2;reason=override;source="cookie:{COOKIE}"'),
        ({}, "", "v1;reason=only"),
        ({}, '""', "v1;reason=only"),
    ],
)
def test_headers_come_first(staged: VersionAffinity, headers: dict[str, str], cookie: str, expected: str) -> None:
    """The headers are read in their order and the cookie after them; what cannot be applied is told."""
    environ = environ_of("GET", "/", {**NAVIGATION, **headers, **holding(cookie)})
    assert send(staged, environ).trace == expected


@pytest.mark.parametrize(
    "name", [f"x{COOKIE}", f"{COOKIE}x", COOKIE.upper(), f"__Host-{COOKIE}", COOKIE.replace(".", "-")]
)
def test_other_cookies(staged: VersionAffinity, name: str) -> None:
    """A cookie that is only called alike is another one."""
    assert trace(client(staged).get("/", headers={**NAVIGATION, **holding(signed(), name)})) == "v1;reason=only"


@pytest.mark.parametrize("shares", [SPLIT, STAGED])
@pytest.mark.parametrize("path", ["/", "/page"])
def test_never_stamps(builds: dict[str, Path], path: str, shares: dict[str, float]) -> None:
    """Under the cookie no page changes the pin, and before and after it the browser is where it was."""
    app = Answer(headers=[("Content-Type", "text/html")])
    affinity = rollout(builds, app, shares, override_secret=SECRET)
    pin = pinned("v1")["Cookie"]
    for held in ("", f"; {pin}"):
        cookies = {"Cookie": f"{COOKIE}={signed()}{held}"}
        response = client(affinity).get(path, headers={**NAVIGATION, **cookies, "Version-Key": key_of("v1")})
        assert trace(response).startswith("v2;reason=override")
        assert (response.headers["Cache-Control"], "Set-Cookie" in response.headers) == (UNSTORED, False)


# The end of it.


def test_expiry(builds: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Link and cookie count until the second that they name, the cookie no longer than the link that set it."""
    affinity = rollout(builds, None, STAGED, override_secret=SECRET)
    start = int(time.time())
    link = override_link("v2", name=NAME, secret=SECRET, lifetime=start + 100 - time.time(), path="/about")
    value = link.partition("=")[2]
    for after, seconds in ((0, 100), (40.5, 60), (99.9, 1), (100, 0), (101, None), (500, None)):
        monkeypatch.setattr(time, "time", lambda now=start + after: now)
        cookie = client(affinity).get(link, headers=NAVIGATION).headers["Set-Cookie"]
        page = client(affinity).get("/about", headers={**NAVIGATION, **holding(value)})
        if seconds is None:
            assert (cookie, page.data) == (CLEARED, b"about v1")
            assert trace(page) == "v1;reason=only;refused=bad-signature"
        else:
            assert f"; Max-Age={seconds};" in cookie
            assert page.data == b"about v2"


def test_rotation(builds: dict[str, Path]) -> None:
    """While secrets rotate, links and cookies of both count; afterwards those of the former are refused and cleared."""
    before = signed(secret=OLDER)
    during = rollout(builds, None, STAGED, override_secret=[OLDER, SECRET])
    for value in (before, signed()):
        assert client(during).get("/", headers={**NAVIGATION, **holding(value)}).headers["Cache-Control"] == UNSTORED
        assert f"={value};" in client(during).get(link_to("/", value), headers=NAVIGATION).headers["Set-Cookie"]
    after = rollout(builds, None, STAGED, override_secret=[SECRET])
    assert client(after).get(link_to("/", before), headers=NAVIGATION).headers["Set-Cookie"] == CLEARED
    assert client(after).get("/", headers={**NAVIGATION, **holding(before)}).headers["Set-Cookie"] == CLEARED


HTML = ("Content-Type", "text/html")
# what is asked and for what, what the application says of its answer, the cookie, and whether it is removed
CLEARINGS: list[tuple[str, dict[str, str], list[tuple[str, str]], str, bool]] = [
    ("/", NAVIGATION, [], "x", True),
    ("/", OLD_PAGE, [], "x", True),
    ("/assets/index-N0tHere1.js", NAVIGATION, [], "x", True),
    ("/page", NAVIGATION, [HTML], "x", True),
    ("/page", NAVIGATION, [HTML, ("Cache-Control", "max-age=60")], "x", True),
    ("/", NAVIGATION, [], signed(secret=OTHER), True),
    ("/", NAVIGATION, [], "v" * 5000, True),
    # what a shared cache may keep
    ("/page", NAVIGATION, [HTML, ("Cache-Control", "public, max-age=60")], "x", False),
    ("/page", NAVIGATION, [("Content-Type", "application/json")], "x", False),
    (SHARED, NAVIGATION, [], "x", False),
    # what is no page
    (DIFFERING, SCRIPT, [], "x", False),
    ("/", FRAME, [], "x", False),
    ("/", PREFETCH, [], "x", False),
    ("/", {}, [], "x", False),
    # a version that may come back
    ("/", NAVIGATION, [], signed("v9"), False),
    ("/", NAVIGATION, [], signed("v0"), False),
    # another reason
    ("/", {**NAVIGATION, "Version-Override": "x"}, [], "", False),
    ("/", {**NAVIGATION, "Version-Override": "x"}, [], signed("v9"), False),
    ("/", NAVIGATION, [], signed(), False),
]


@pytest.mark.parametrize(("path", "headers", "said", "cookie", "cleared"), CLEARINGS)
def test_clearing(
    builds: dict[str, Path],
    path: str,
    headers: dict[str, str],
    said: list[tuple[str, str]],
    cookie: str,
    cleared: bool,
) -> None:
    """A cookie that can never count again goes with the next page; never with what a shared cache may keep."""
    affinity = rollout(builds, Answer(headers=said), STAGED, ["v0"], override_secret=SECRET)
    response = client(affinity).get(path, headers={**headers, **holding(cookie)})
    cookies = [value for value in response.headers.getlist("Set-Cookie") if value.startswith(COOKIE)]
    assert cookies == ([CLEARED] if cleared else [])
    if cookies:
        assert re.search("private|no-store", response.headers["Cache-Control"])


def test_clearing_leaves_the_pin(builds: dict[str, Path]) -> None:
    """A page that takes the cookie away is else as it would be: it mints and stamps, and the next one is unmarked."""
    affinity = rollout(builds, None, SPLIT, override_secret=SECRET)
    browser = Browser(checked(affinity), lambda: frozenset(affinity.known))
    browser.jar[COOKIE] = "x"
    first = browser.request("/", browser.navigation())
    assert len(first.cookies) == 2
    assert first.trace.endswith(";refused=bad-signature")
    assert browser.jar.pop(COOKIE) == ""
    assert "refused" not in browser.request("/", browser.navigation()).trace


def test_clearing_late(builds: dict[str, Path]) -> None:
    """An application may begin again with ``exc_info``; the cookie is removed once in what is sent."""

    def failing(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [HTML, ("Content-Length", "3")])
        try:
            int("the template fails")
        except ValueError:
            start_response("500 Internal Server Error", [HTML, ("Content-Length", "3")], sys.exc_info())
        return [b"oh!"]

    affinity = rollout(builds, failing, STAGED, override_secret=SECRET)
    answer = send(affinity, environ_of("GET", "/page", {**NAVIGATION, **holding("x")}))
    assert (answer.status, [cookie for cookie in answer.cookies if cookie.startswith(COOKIE)]) == (500, [CLEARED])


# Where it is used.


@pytest.mark.parametrize(("path", "same"), [("/", False), ("/about", False), (EQUAL, True)])
def test_cache_in_front(builds: dict[str, Path], path: str, same: bool) -> None:
    """A shared copy of the only version's file is not confirmed to who holds the cookie, unless its bytes agree."""
    alone = rollout(builds, None, {"v1": 100.0}, override_secret=SECRET)
    shared = client(alone).get(path)
    assert shared.headers["Cache-Control"] == "public, max-age=0, must-revalidate"
    affinity = rollout(builds, None, STAGED, override_secret=SECRET)
    asked = {"If-None-Match": shared.headers["ETag"]}
    assert client(affinity).get(path, headers=asked).status_code == 304
    mine = client(affinity).get(path, headers={**asked, **holding(signed())})
    assert (mine.status_code, mine.headers["Cache-Control"]) == (304 if same else 200, UNSTORED)
    assert same or b"v2" in mine.data


def test_version_that_is_an_application(builds: dict[str, Path]) -> None:
    """A version that is an application is shown by a link too, under a prefix, and stored by nobody."""
    own = Answer(
        b"own", headers=[("Content-Type", "text/html"), ("Cache-Control", "public, max-age=60"), ("ETag", '"x"')]
    )
    affinity = rollout({**builds, "app": own}, None, {"v1": 100.0, "app": 0.0}, override_secret=SECRET, prefix="/shop/")
    opened = client(affinity).get(link_to("/shop/page?a=1", signed("app")), headers=NAVIGATION)
    assert opened.headers["Location"] == "/shop/page?a=1"
    held = holding(opened.headers["Set-Cookie"].partition(";")[0].partition("=")[2])
    shown = client(affinity).get("/shop/page?a=1", headers={**NAVIGATION, **held})
    assert (shown.data, shown.headers["Cache-Control"], own.environ["QUERY_STRING"]) == (b"own", UNSTORED, "a=1")
    bad = client(affinity).get("/shop/about", headers={**NAVIGATION, **holding("x")})
    assert (bad.data, bad.headers.getlist("Set-Cookie")) == (b"about v1", [CLEARED])


def test_wrapped_application(builds: dict[str, Path]) -> None:
    """The wrapped application reads the forced version, whatever it answers, and its answer is stored by nobody."""
    app = Answer(headers=[("Content-Type", "application/json"), ("Cache-Control", "public, max-age=60")])
    affinity = rollout(builds, app, STAGED, override_secret=SECRET)
    response = client(affinity).get("/api/x", headers=holding(signed()))
    assert (app.environ["version_affinity.version"], response.headers["Cache-Control"]) == ("v2", UNSTORED)


@pytest.mark.parametrize("keys", [[Header("X-User")], [], [Cookie("user_id")]])
def test_without_the_affinity_cookie(builds: dict[str, Path], keys: list[Any]) -> None:
    """With ``cookie=None`` nothing is minted or pinned, and a link still sets its cookie, which Vary names."""
    affinity = rollout(builds, None, STAGED, override_secret=SECRET, cookie=None, keys=keys)
    response = client(affinity).get(link_to("/"), headers=NAVIGATION)
    assert response.headers["Set-Cookie"].startswith(f"{COOKIE}={signed()[:8]}")
    page = client(affinity).get("/", headers={**NAVIGATION, **holding(signed())})
    assert (trace(page)[:18], page.headers["Vary"][:7]) == ("v2;reason=override", "Cookie,")
    assert "Cookie" in client(affinity).get("/").headers["Vary"]


def test_releases(tmp_path: Path, builds: dict[str, Path]) -> None:
    """With releases a link opens a version that is in the deployment, by the name that the releases have."""
    directory = ReleasesDirectory.init(tmp_path / "releases", name="post")
    for version in ("v1", "v2"):
        upload(directory, builds[version], id=version)
    open_log(directory.path, None).append(STAGED, expected=0)
    with closing(Releases(directory.path)) as releases:
        affinity = VersionAffinity(None, releases, override_secret=SECRET)
        link = override_link("v2", name="post", secret=SECRET, lifetime=HOUR, path="/about")
        opened = client(affinity).get(link, headers=NAVIGATION)
        held = {"Cookie": opened.headers["Set-Cookie"].partition(";")[0]}
        assert held["Cookie"].startswith("version-affinity-post.override=")
        assert client(affinity).get("/about", headers={**NAVIGATION, **held}).data == b"about v2"


# What is told of it.


def told(affinity: VersionAffinity, url: str, headers: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return the first step of an explanation, its decision as a trace, and what answers."""
    explained = affinity.explain(create_environ(url, headers=dict(headers)))
    decision = explained.decision
    reason = f"{decision.version} {decision.reason} {decision.refused}".strip()
    return f"{explained.steps[0].name}: {explained.steps[0].outcome}", reason, explained.answer, explained.served


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ("/about", holding(signed()), (f"override: v2 (cookie:{COOKIE})", "v2 override", "file", "v2")),
        ("/about", holding("x"), ("override: refused: bad-signature", "v1 only bad-signature", "file", "v1")),
        ("/about", holding(signed("v0")), ("override: refused: not-deployed", "v1 only not-deployed", "file", "v1")),
        ("/about", {}, ("override: no override", "v1 only", "file", "v1")),
        (link_to("/about"), {}, (f"link: v2 (query:{PARAMETER})", "v2 override", "redirect", "v2")),
        (link_to("/about", "x"), {}, ("link: refused: bad-signature", "v1 only bad-signature", "redirect", "v1")),
        (link_to("/about", ""), holding(signed()), ("link: the override is removed", "v1 only", "redirect", "v1")),
        (link_to("/about", ""), holding("x"), ("link: the override is removed", "v1 only", "redirect", "v1")),
        (link_to("/about"), PREFETCH, ("link: not opened: this is a prefetch", "v1 only", "not found", "v1")),
        (link_to("/about"), SCRIPT, ("link: not opened: this is a subresource", "v1 only", "not found", "v1")),
        (link_to(ENTRY["v1"]), {}, ("override: no override", "v1 only", "served by name", "v1")),
    ],
)
def test_explanation(
    staged: VersionAffinity, url: str, headers: dict[str, str], expected: tuple[str, str, str, str]
) -> None:
    """An explanation tells of the cookie and of a link, and says what is then answered; nothing is counted."""
    before = staged.counters()
    assert told(staged, url, {**NAVIGATION, **headers}) == expected
    assert staged.counters() == before
    answer = send(staged, environ_of("GET", url, {**NAVIGATION, **headers}))
    assert answer.status == {"redirect": 303, "not found": 404}.get(expected[2], 200)
    assert answer.trace.partition(";")[0] in ("", expected[1].partition(" ")[0])


def test_counted(builds: dict[str, Path]) -> None:
    """An opened link counts as a redirect of the version that it forces; one that was refused, as refused too."""
    affinity = rollout(builds, None, STAGED, override_secret=SECRET)
    for value in (signed(), "x", ""):
        client(affinity).get(link_to("/", value), headers=NAVIGATION)
    client(affinity).get(link_to("/"), headers=PREFETCH)
    counts = affinity.counters()
    assert counts.requests == {
        ("v2", "page", "3xx", "override"): 1,
        ("v1", "page", "3xx", "only"): 2,
        ("v1", "prefetch", "4xx", "only"): 1,
    }
    assert counts.refused == {"bad-signature": 1}
