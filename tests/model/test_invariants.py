"""Invariants 2 to 6: exact shares, steady assignments, caches in front, hostile bytes, PEP 3333."""

from __future__ import annotations

import gc
import logging
import math
import re
import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.budget import budget
from tests.harness import NAVIGATION, SCRIPT, checked, state_of, write_build
from tests.model.browser_model import Response, environ_of, send
from version_affinity import Cookie, Deployment, Header, Version, VersionAffinity, asset_tags, asset_url, sign_override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

SHARED_SCRIPT = "/assets/shared-BX4CeNGm.js"
COLLISION = "/assets/lazy-DiwrgTda.js"
COOKIE = "version-affinity-app"
SECRET = "a long random text"  # noqa: S105 - of these tests
SIGNED = {
    version: sign_override(version, name="app", secret=SECRET, lifetime=30 * 86_400) for version in ("v1", "v2", "gone")
}


def forced(version: str, forcing: str) -> dict[str, str]:
    """Return the request header that asks for a version in one of the ways that there are."""
    if forcing == "cookie":
        return {"Cookie": f"{COOKIE}.override={SIGNED[version]}"}
    return {"Version-Override": SIGNED[version] if forcing == "signed header" else version}


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="version_affinity")


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return three builds that share a script, collide in another, and differ in the rest."""
    root = tmp_path_factory.mktemp("site")
    (root / "secret.txt").write_text("SECRET")
    manifest = '{"src/main.ts": {"file": "assets/own-%s.js", "isEntry": true}}'
    hashes = {"v1": "Bq3dTe5f", "v2": "Cw4gUh6j", "v3": "Dx5kVm7n"}
    return {
        version: write_build(
            root / version,
            {
                "index.html": f"<!doctype html><title>{version}</title>",
                "about.html": f"<!doctype html><p>About {version}",
                "same.html": "<!doctype html><p>The same in all",
                "404.html": f"<!doctype html><p>No such page in {version}",
                "logo.svg": f"<svg>{version}</svg>",
                "same.svg": "<svg/>",
                f"only-{version}.txt": version,
                "data/list.json": f'["{version}"]',
                SHARED_SCRIPT[1:]: "export const shared = 1",
                COLLISION[1:]: f"export const version = '{version}'",
                f"assets/own-{hashes[version]}.js": f"'{version}'",
                ".vite/manifest.json": manifest % hashes[version],
            },
        )
        for version in ("v1", "v2", "v3")
    }


@pytest.fixture(scope="module")
def ruled(builds: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the builds with rules that invite every cache, redirect and rewrite, and with pages of one version."""
    root = tmp_path_factory.mktemp("ruled")
    for version, directory in builds.items():
        shutil.copytree(directory, root / version)
        write_build(root / version, {"_headers": INVITING, f"lone-{version}.html": version, "other.html": "all"})
    # The same page, at another place; and a file in its place.
    write_build(root / "v1", {"_redirects": "/same.svg /about\n/moved /same\n", "folder.html": "f"})
    write_build(root / "v2", {"_redirects": "/other /same 200\n/moved /about 200\n", "folder/index.html": "f"})
    write_build(root / "v3", {"folder": "f", "_headers": f"{INVITING}/data/*\n  X-Robots-Tag: noindex\n"})
    return {version: root / version for version in builds}


INVITING = """/*
  Cache-Control: public, max-age=600
  CDN-Cache-Control: max-age=600
  Set-Cookie: theme=dark
"""


# Invariant 2: the shares are the percentages.


@st.composite
def shares(draw: st.DrawFn, most: int = 5) -> dict[str, float]:
    """Draw percentages of one to several versions, in tenths, in sum 100; some of them may be 0."""
    cuts = sorted(draw(st.lists(st.integers(0, 1000), max_size=most - 1)))
    parts = [after - before for before, after in zip([0, *cuts], [*cuts, 1000], strict=True)]
    return {f"v{number}": part / 10 for number, part in enumerate(parts)}


NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,12}", fullmatch=True)


@budget(25)
@given(percentages=shares(), name=NAMES, seed=st.integers(0, 1 << 30))
@example(percentages={"v1": 99.9, "v2": 0.1}, name="app", seed=0)
@example(percentages={"v1": 0.0, "v2": 100.0}, name="app", seed=0)
def test_the_shares_are_the_percentages(percentages: dict[str, float], name: str, seed: int) -> None:
    """Each version gets its percentage of many keys, within 5 standard deviations; 0 % nobody, 100 % everybody."""
    keys = 20_000
    deployment = Deployment(name, percentages)
    counts = dict.fromkeys(percentages, 0)
    for number in range(seed, seed + keys):
        counts[deployment.assign(b"user-%d" % number)] += 1
    for version, percentage in percentages.items():
        share = percentage / 100
        deviation = math.sqrt(keys * share * (1 - share))
        assert abs(counts[version] - keys * share) <= 5 * deviation


# Invariant 3: assignments are steady.

KEYS = [b"key-%d" % number for number in range(1500)]


def assignments(name: str, percentages: Mapping[str, float]) -> list[str]:
    """Return the version of each of many keys."""
    assign = Deployment(name, percentages).assign
    return [assign(key) for key in KEYS]


@budget(60)
@given(name=NAMES, ramp=st.lists(st.integers(0, 1000), min_size=2, max_size=6))
def test_a_ramp_is_monotone_and_moves_the_fewest(name: str, ramp: list[int]) -> None:
    """While v2 grows nobody leaves it, and no more move than it grows by; back at a percentage, everybody is back."""
    steps = sorted(ramp)
    taken = [
        [version == "v2" for version in assignments(name, {"v1": 100 - step / 10, "v2": step / 10})] for step in steps
    ]
    for before, after, low, high in zip(taken, taken[1:], steps, steps[1:], strict=False):
        assert all(later for earlier, later in zip(before, after, strict=True) if earlier)
        moved = sum(after) - sum(before)
        share = (high - low) / 1000
        assert moved <= len(KEYS) * share + 5 * math.sqrt(len(KEYS) * share) + 5
    # The percentages come back in any order of deployments, and with them each assignment.
    for step, then in zip(reversed(steps), reversed(taken), strict=True):
        again = assignments(name, {"v1": 100 - step / 10, "v2": step / 10})
        assert [version == "v2" for version in again] == then


@budget(60)
@given(name=NAMES, percentages=shares(), added=st.integers(1, 999))
def test_adding_and_removing_moves_only_its_own(name: str, percentages: dict[str, float], added: int) -> None:
    """A version that takes from the others in proportion only gets users; when it goes, only its own users move."""
    part = added / 10
    with_it = {**{version: share * (100 - part) / 100 for version, share in percentages.items()}, "new": part}
    for before, after in zip(assignments(name, percentages), assignments(name, with_it), strict=True):
        assert after in (before, "new")


@budget(60)
@given(data=st.data(), name=NAMES, percentages=shares())
def test_the_order_of_listing_does_not_count(data: st.DataObject, name: str, percentages: dict[str, float]) -> None:
    """The same percentages in another order assign the same."""
    listed = data.draw(st.permutations(sorted(percentages.items())))
    assert assignments(name, dict(listed)) == assignments(name, percentages)


@budget(40)
@given(names=st.lists(NAMES, min_size=2, max_size=2, unique=True), first=st.integers(50, 950))
def test_two_names_assign_independently(names: list[str], first: int) -> None:
    """Whoever is in v2 of one application is in v2 of another as often as anybody else is."""
    share = first / 1000
    percentages = {"v1": 100 - first / 10, "v2": first / 10}
    one, other = (assignments(name, percentages) for name in names)
    both = sum(pair == ("v2", "v2") for pair in zip(one, other, strict=True))
    deviation = math.sqrt(len(KEYS) * share**2 * (1 - share**2))
    assert abs(both - len(KEYS) * share**2) <= 5.5 * deviation + 1


# Invariant 4: a shared cache in front.


#: A stored response, and the request's fields that its Vary names.
Stored: TypeAlias = tuple[dict[str, str], Response]


@dataclass
class SharedCache:
    """A cache that serves everybody.

    It keeps whatever RFC 9111 lets it keep, also what does not mention caching, and even what sets a cookie.

    Args:
        app: What it stands in front of.
        honours_vary: Whether it keeps one response for each set of the fields that Vary names (RFC 9111 section 4.1).
            Otherwise the URL alone is the key, as it is at Cloudflare by default.
    """

    app: Callable[..., Iterable[bytes]]
    honours_vary: bool = False
    stored: dict[str, list[Stored]] = field(default_factory=dict)

    def get(self, url: str, headers: dict[str, str]) -> Response:
        """Answer from the cache where it may, else from the application."""
        kept = self._selected(url, headers)
        if kept is not None and self._fresh(kept[1]):
            return kept[1]
        sent = headers if kept is None else {**headers, "If-None-Match": kept[1].get("ETag")}
        response = send(self.app, environ_of("GET", url, sent))
        if response.status == 304 and kept is not None:
            return kept[1]
        variants = self.stored.setdefault(url, [])
        if kept is not None:
            variants.remove(kept)
        directives = self._directives(response)
        # RFC 9110 section 15.1: statuses that may be kept without a word on it.
        if response.status in (200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501) or "public" in directives:
            private = {"no-store", "private"} & directives.keys()
            if not private and (self._fresh(response) or response.get("ETag")):
                names = response.get("Vary").split(",") if self.honours_vary and response.get("Vary") else ()
                variants.append(({name.strip(): headers.get(name.strip(), "") for name in names}, response))
        return response

    def responses(self) -> Iterator[tuple[str, Response]]:
        """Yield what is stored, and its URL."""
        for url, variants in self.stored.items():
            for _, response in variants:
                yield url, response

    def _selected(self, url: str, headers: dict[str, str]) -> Stored | None:
        """Return the newest stored response that a request selects."""
        for stored in reversed(self.stored.get(url, ())):
            if all(name != "*" and headers.get(name, "") == value for name, value in stored[0].items()):
                return stored
        return None

    def _directives(self, response: Response) -> dict[str, str]:
        pairs = (part.strip().partition("=") for part in response.get("Cache-Control").lower().split(","))
        return {name: value for name, _, value in pairs if name}

    def _fresh(self, response: Response) -> bool:
        """Tell whether it may be used without asking; time stands still."""
        directives = self._directives(response)
        if not directives:
            return True  # heuristically
        age = directives.get("s-maxage", directives.get("max-age"))
        return "no-cache" not in directives and age is not None and int(age) > 0


APP_HEADERS: dict[str, list[tuple[str, str]]] = {
    "/app/page": [("Content-Type", "text/html")],
    "/app/aged": [("Content-Type", "text/html"), ("Cache-Control", "max-age=60")],
    "/app/revalidated": [("Content-Type", "text/html"), ("Cache-Control", "no-cache"), ("ETag", '"x"')],
    "/app/data": [("Content-Type", "application/json")],
    "/app/error": [("Content-Type", "text/html")],
}
#: These declare themselves public, and so must not name a version's files: the application's word stands.
PUBLIC_HEADERS: dict[str, list[tuple[str, str]]] = {
    "/app/shared-age": [("Content-Type", "text/html"), ("Cache-Control", "s-maxage=60")],
    "/app/public": [("Content-Type", "text/html"), ("Cache-Control", "public, max-age=60")],
}


ALL_HEADERS = {**APP_HEADERS, **PUBLIC_HEADERS}


def rendering(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Render pages, and data, that name the version's files; ``?plain`` names none."""
    path = environ["PATH_INFO"]
    status = (
        "500 Internal Server Error" if path == "/app/error" else "200 OK" if path in ALL_HEADERS else "404 Not Found"
    )
    body = path
    if not environ["QUERY_STRING"] and path not in PUBLIC_HEADERS:
        body += (
            asset_tags(environ, "src/main.ts") + asset_url(environ, "logo.svg") + environ["version_affinity.version"]
        )
    start_response(status, list(ALL_HEADERS.get(path, [("Content-Type", "text/html")])))
    return [body.encode(errors="replace")]


def version_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Be a version: it knows nothing of others, and invites every cache."""
    html = not environ["PATH_INFO"].rpartition(".")[2].isalpha()
    headers = [("Content-Type", "text/html" if html else "text/plain"), ("ETag", '"x"'), ("Last-Modified", "yesterday")]
    headers.append(("Cache-Control", "public, max-age=600"))
    if "HTTP_IF_NONE_MATCH" in environ:
        start_response("304 Not Modified", headers[1:])
        return []
    start_response("200 OK", headers)
    return [b"the third version's " + environ["PATH_INFO"].encode("latin-1")]


def key_of(version: str, percentages: Mapping[str, float], name: str = "app") -> str:
    """Return a user id that falls on a version."""
    assign = Deployment(name, percentages).assign
    return next(f"user{number}" for number in range(10_000) if assign(f"user{number}") == version)


EVEN = {"v1": 40.0, "v2": 30.0, "v3": 30.0}
ROLLOUTS = (EVEN, {"v1": 100.0}, {"v1": 50.0, "v2": 50.0}, {"v2": 100.0}, {"v1": 99.0, "v2": 1.0, "v3": 0.0})
CACHED_PATHS = (
    *("/", "/about", "/about.html", "/same", "/some/route", "/logo.svg", "/same.svg", "/data/list.json"),
    *("/only-v1.txt", "/only-v2.txt", SHARED_SCRIPT, COLLISION, "/assets/own-Bq3dTe5f.js", "/assets/own-Cw4gUh6j.js"),
    *("/lone-v1", "/lone-v2", "/other", "/moved", "/folder", "/folder/"),
    *("/assets/gone-C7h2Np5w.js", "/gone.js", *ALL_HEADERS, "/app/page?plain", "/app/aged?plain", "/app/missing"),
)
REQUESTS: dict[str, dict[str, str]] = {
    "page": NAVIGATION,
    "script": SCRIPT,
    "frame": {**NAVIGATION, "Sec-Fetch-Dest": "iframe"},
    "prefetch": {**NAVIGATION, "Sec-Purpose": "prefetch"},
    "old browser's page": {"Accept": "text/html"},
    "anything": {},
}


#: One forces the other version, the next does not, at whatever a cache may keep, split or not.
FORCED_AND_NOT = [
    ("v1", url, kind, override, rollout)
    for rollout in ({"v1": 100.0, "v2": 0.0}, {"v1": 50.0, "v2": 50.0})
    for url in ("/", "/about", "/logo.svg", "/only-v2.txt", COLLISION, "/app/page", "/app/data", "/gone.js")
    for kind in ("page", "script")
    for override in ("v2", "", "gone", "")
]


#: One version has 100 %; first a page, then what another version's page, open still, frames and loads.
ONE_AND_PINNED = [
    (user, url, kind, "", rollout)
    for rollout in ({"v1": 100.0}, {"v2": 100.0})
    for url in CACHED_PATHS
    for user, kind in (("v1", "page"), ("v2", "frame"), ("v3", "script"), ("v1", "frame"), ("v3", "anything"))
]


@budget(150)
@given(
    third=st.sampled_from(("build", "app")),
    rules=st.booleans(),
    handling=st.sampled_from(("none", "single-page-application", "404-page")),
    forcing=st.sampled_from(("header", "signed header", "cookie", "link")),
    steps=st.lists(
        st.tuples(
            st.sampled_from(("v1", "v2", "v3")),
            st.sampled_from(CACHED_PATHS),
            st.sampled_from(sorted(REQUESTS)),
            st.sampled_from(("", "", "", "v1", "v2", "gone")),
            st.sampled_from((None, None, None, None, *ROLLOUTS)),
        ),
        min_size=2,
        max_size=25,
    ),
)
@example("build", False, "none", "header", FORCED_AND_NOT)
@example("build", False, "none", "signed header", FORCED_AND_NOT)
@example("build", False, "none", "cookie", FORCED_AND_NOT)
@example("build", False, "none", "link", FORCED_AND_NOT)
@example("build", True, "none", "header", FORCED_AND_NOT)
@example("build", True, "none", "header", ONE_AND_PINNED)
@example("build", True, "single-page-application", "header", ONE_AND_PINNED)
@example("app", True, "none", "header", ONE_AND_PINNED)
def test_a_shared_cache_in_front_is_not_noticed(
    builds: dict[str, Path],
    ruled: dict[str, Path],
    third: str,
    rules: bool,
    handling: str,
    forcing: str,
    steps: list[tuple[str, str, str, str, dict[str, float] | None]],
) -> None:
    """Every user gets through the cache what they would get without it, no missing asset and no cookie is kept."""
    directories = ruled if rules else builds
    affinity = VersionAffinity(
        rendering,
        [
            Version("v1", directories["v1"], percentage=40),
            Version("v2", directories["v2"], percentage=30),
            Version("v3", directories["v3"] if third == "build" else version_app, percentage=30),
        ],
        keys=[Cookie("user_id")],
        app_first=["/app/*"],  # where the single-page document answers some kinds of requests, no page may be public
        not_found_handling=handling,
        override_secret=None if forcing == "header" else SECRET,
    )
    cache = SharedCache(affinity)
    for user, url, kind, override, rollout in steps:
        if rollout is not None:
            affinity.deploy(rollout)
        cookie = f"user_id={key_of(user, EVEN)}; {COOKIE}=4711.{user}"
        asked = forced(override, forcing) if override and forcing != "link" else {}
        headers = {**REQUESTS[kind], **asked, "Cookie": "; ".join([cookie, *filter(None, [asked.get("Cookie")])])}
        if override and forcing == "link":
            url += f"{'&' if '?' in url else '?'}version-override={SIGNED[override]}"  # noqa: PLW2901 - opened
        expected = send(affinity, environ_of("GET", url, headers))
        response = cache.get(url, headers)
        assert (response.status, response.body) == (expected.status, expected.body), (user, url, kind, override)
        for path, kept in cache.responses():
            assert COOKIE not in kept.get("Set-Cookie"), path
            assert not (kept.status == 404 and path.endswith(".js")), path


#: Answers of an application at paths at which a browser's navigation is shown the single-page document.
NEGOTIATED: dict[str, tuple[str, list[tuple[str, str]]]] = {
    "/products": ("200 OK", []),
    "/products/1": ("200 OK", [("Cache-Control", "max-age=60"), ("ETag", '"x"')]),
    "/products/2": ("200 OK", [("Cache-Control", "public, max-age=60"), ("Vary", "Origin")]),
    "/products/3": ("200 OK", [("Cache-Control", "no-cache"), ("ETag", '"x"')]),
    "/products/4": ("404 Not Found", []),
    "/products/5": ("404 Not Found", [("Cache-Control", "max-age=60")]),
    "/products/6": ("410 Gone", [("Vary", "accept")]),
    "/products/7": ("500 Internal Server Error", [("Cache-Control", "public, max-age=60")]),
    "/products/8": ("301 Moved Permanently", [("Location", "/products")]),
    "/products/9": ("204 No Content", []),
}
ASKED: dict[str, dict[str, str]] = {
    **REQUESTS,
    "fetch": {**SCRIPT, "Sec-Fetch-Dest": "empty", "Accept": "application/json"},
    "fetch of a page": {**SCRIPT, "Sec-Fetch-Dest": "empty", "Accept": "text/html"},
    "client": {"Accept": "*/*"},
    "frame of another site": {**NAVIGATION, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"},
}


#: Every request to every such path, by users of both versions.
EVERY_HALF: list[tuple[str, str, str, dict[str, float] | None]] = [
    (user, path, request, None) for path in NEGOTIATED for request in ASKED for user in ("v1", "v2")
]


def answering(kind: str) -> Callable[..., Iterable[bytes]]:
    """Return an application that answers with data, or with pages that name the version's files."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers = NEGOTIATED.get(environ["PATH_INFO"], ("404 Not Found", []))
        start_response(status, [("Content-Type", kind), *headers])
        if status[:3] == "204":
            return []
        named = kind == "text/html" and "public" not in str(headers)
        return [f"{environ['PATH_INFO']} {asset_url(environ, 'logo.svg') if named else ''}".encode()]

    return app


@budget(150)
@given(
    kind=st.sampled_from(("application/json", "text/html")),
    rules=st.booleans(),
    first=st.sampled_from(({"v1": 100.0}, {"v1": 50.0, "v2": 50.0})),
    steps=st.lists(
        st.tuples(
            st.sampled_from(("v1", "v2")),
            st.sampled_from((*NEGOTIATED, "/", "/about", "/logo.svg", COLLISION, SHARED_SCRIPT, "/products/gone.js")),
            st.sampled_from(sorted(ASKED)),
            st.sampled_from((None, None, None, None, {"v1": 50.0, "v2": 50.0}, {"v2": 100.0})),
        ),
        min_size=2,
        max_size=25,
    ),
)
@example("application/json", False, {"v1": 100.0}, EVERY_HALF)
@example("application/json", True, {"v1": 100.0}, EVERY_HALF[::-1])
@example("text/html", False, {"v1": 50.0, "v2": 50.0}, EVERY_HALF)
def test_a_cache_that_honours_vary_is_not_noticed(
    builds: dict[str, Path],
    ruled: dict[str, Path],
    kind: str,
    rules: bool,
    first: dict[str, float],
    steps: list[tuple[str, str, str, dict[str, float] | None]],
) -> None:
    """No request gets the half of a negotiated URL that is for others, another version's file, or a kept miss."""
    directories = ruled if rules else builds
    affinity = VersionAffinity(
        answering(kind),
        [Version(version, directories[version], percentage=share) for version, share in first.items()],
        retained=[Version(version, directories[version]) for version in ("v1", "v2") if version not in first],
        keys=[Cookie("user_id")],
        not_found_handling="single-page-application",
    )
    cache = SharedCache(affinity, honours_vary=True)
    for user, url, request, rollout in steps:
        if rollout is not None:
            affinity.deploy(rollout)
        headers = {**ASKED[request], "Cookie": f"user_id={key_of(user, EVEN)}; {COOKIE}=4711.{user}"}
        expected = send(affinity, environ_of("GET", url, headers))
        response = cache.get(url, headers)
        assert (response.status, response.body) == (expected.status, expected.body), (user, url, request)
        for path, kept in cache.responses():
            assert COOKIE not in kept.get("Set-Cookie"), path
            assert not (kept.status == 404 and path.endswith(".js")), path


# Invariant 5: whatever bytes arrive.

OUTSIDE = ("SECRET", "root:x:")
PRINTABLE = re.compile(r"[\x20-\x7e]*\Z")

#: Paths as they stand in PATH_INFO, where the server has decoded the percent signs once.
HOSTILE_PATHS = (
    *("/../secret.txt", "/..%2fsecret.txt", "/%2e%2e/secret.txt", "/..\\secret.txt", "/%5c..%5csecret.txt"),
    *("/%252e%252e/secret.txt", "/..;/secret.txt", "/\xc0\xae\xc0\xae/secret.txt", "/assets/../../secret.txt"),
    *("/.\x00./secret.txt", "/index.html\x00.js", "\x00", "//evil.example/..", "///evil.example", "/\\evil.example/"),
    *("http://evil.example/secret.txt", "index.html", "", "*", "/C:/secret.txt", "/c:secret.txt", "//server/share/x"),
    *("/CON", "/COM\xc2\xb9", "/CON.txt.html", "/index.html::$DATA", "/index.html.", "/index.html ", "/index.html/"),
    *(
        "/" + "a" * 300,
        "/" + "b" * 65_536,
        "/x" * 2000,
        "/\xff\xfe",
        "/\xed\xa0\x80",
        "/\udc80",
        "/a\r\nSet-Cookie: b=c",
    ),
    *(
        "/logo.svg/",
        "/./logo.svg",
        "/logo.svg%2f",
        "/about/\r\nX: y",
        "//about/",
        "/.vite/manifest.json",
        "/.git/config",
    ),
    *("/assets/" + "a-BX4CeNGm" * 500 + ".js", "/assets/x-BX4CeNGm.js\r\n", "/about.html\r\nX: y"),
)
HOSTILE_QUERIES = ("a\r\nSet-Cookie: b=c", "\x00", "\xff", "%0d%0aX:%20y", "a" * 65_536, "\udc80")
LINK = f"version-override={SIGNED['v2']}"
HOSTILE_LINKS = (
    *(
        LINK,
        f"{LINK}&{LINK}",
        f"a\r\nSet-Cookie: b=c&{LINK}",
        f"{LINK}&\x00=\xff",
        f"{LINK}&\udc80",
        "version-override",
    ),
    *(
        "version-override=",
        "version-override=\r\nX: y",
        "version-override=\xff",
        "version-override=\udc80",
        f"{LINK}%00",
    ),
    *("version-override=%ff%0d%0a", f"version-override={'a' * 65_536}", f"version-override={'%61' * 1024}"),
    *(f"{LINK}=%0d%0aSet-Cookie:%20a=b", f"{LINK}=\r\nX: y", f"{LINK}; Domain=evil.example"),
    *("&" * 65_536 + LINK, f"{LINK}&u=//evil.example/\\", "version-override=.eJw", f"version-override={'.' * 1024}"),
)
HOSTILE_COOKIES = (
    *("\xff", f'{COOKIE}="\\377"', f"{COOKIE}=1.v1; {COOKIE}=2.v2", f"{COOKIE}=", COOKIE, "=", ";;;", "a" * 8192),
    *(f"{COOKIE}=\u0661.v1".encode().decode("latin-1"), f"{COOKIE}=\xb2.v1", f"{COOKIE}=-1.v1", f"{COOKIE}=1048576.v1"),
    *(f"{COOKIE}=1.{'v' * 9000}", f"{COOKIE}={'9' * 9000}.v1", f"{COOKIE}=1.../v2", f"{COOKIE}=1.v1\r\nX: y"),
    *("user_id=\xff", 'user_id="', "user_id=\udc80", f"{COOKIE}=1.\udc80"),
    *(
        f"{COOKIE}.override={value}"
        for value in (*SIGNED.values(), "", "\xff", "\udc80", ".eJw", "a" * 9000, "\r\nX: y")
    ),
)
HOSTILE_OVERRIDES = (
    *("gone", "", " ", "v1, v2", "app=v1, app=v2", '"v1', 'app="v1"; ;', "a=1," * 16_384, "\xff", "\xe9\xa9", "../v2"),
    *("20240601", "1a2b3c4", "1.4.2", "2024-01-15", ":" * 1024, "(" * 1024, "\x00", "\r\nX: y", "\udc80", "?1", "@1"),
)
HOSTILE_TAGS = ("*", '"', "W/", '""' * 9000, "\xff", '"\udc80"', ",,,", 'W/"x", y', "\x00")

TEXT = st.text(st.characters(max_codepoint=255), max_size=60)
PARTS = st.sampled_from(
    ("..", ".", "/", "//", "%2e", "%2f", "\\", "\0", "\r\n", "assets", "index", ".html", "secret.txt")
)


def hostile(rows: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Return the rows, whatever a server can pass on, and mixtures of what they are made of."""
    return st.sampled_from(rows) | TEXT | st.lists(PARTS | TEXT, max_size=8).map("".join)


HEADERS = {
    "HTTP_COOKIE": hostile(HOSTILE_COOKIES),
    "HTTP_VERSION_OVERRIDE": hostile(HOSTILE_OVERRIDES),
    "HTTP_CLOUDFLARE_WORKERS_VERSION_OVERRIDES": hostile(HOSTILE_OVERRIDES),
    "HTTP_X_USER_ID": hostile(("\udc80", "\xff", "a" * 8192)),
    "HTTP_REFERER": hostile(
        ("http://", "://", "//", "http://localhost/assets/%", "http://[::1", "/" * 5000, "%" * 999)
    ),
    "HTTP_IF_NONE_MATCH": hostile(HOSTILE_TAGS),
    "HTTP_ACCEPT": hostile(("text/html",)),
    "HTTP_SEC_FETCH_MODE": hostile(("navigate", "cors")),
    "HTTP_SEC_FETCH_DEST": hostile(("document", "empty", "script", "iframe")),
    "HTTP_SEC_FETCH_SITE": hostile(("none",)),
    "HTTP_SEC_PURPOSE": hostile(("prefetch", "prefetch;prerender")),
    "HTTP_SERVICE_WORKER": hostile(("script",)),
    "HTTP_RANGE": hostile(("bytes=0-0",)),
}
METHODS = st.sampled_from(("GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PROPFIND", "TRACE", "get", "\xff"))


def hostile_rows(test: Callable[..., None]) -> Callable[..., None]:
    """Add each known row as an example of its own."""
    for number, path in enumerate(HOSTILE_PATHS):
        test = example(method="GET", path=path, query=HOSTILE_QUERIES[number % len(HOSTILE_QUERIES)], headers={})(test)
        test = example(method="GET", path=path, query=HOSTILE_LINKS[number % len(HOSTILE_LINKS)], headers={})(test)
    page = {"HTTP_SEC_FETCH_MODE": "navigate", "HTTP_SEC_FETCH_DEST": "document"}
    for name, rows in (
        ("HTTP_COOKIE", HOSTILE_COOKIES),
        ("HTTP_VERSION_OVERRIDE", HOSTILE_OVERRIDES),
        ("HTTP_CLOUDFLARE_WORKERS_VERSION_OVERRIDES", HOSTILE_OVERRIDES),
        ("HTTP_IF_NONE_MATCH", HOSTILE_TAGS),
    ):
        for row in rows:
            test = example(method="GET", path="/", query="", headers={**page, name: row})(test)
    return test


def raising(environ: dict[str, Any]) -> str:
    """Be a key source that fails on what it did not expect."""
    return {"": "nobody"}[environ.get("HTTP_X_USER_ID", "")]


@pytest.fixture(scope="module", params=["alone", "wrapping", "under a prefix", "with links"])
def exposed(request: pytest.FixtureRequest, builds: dict[str, Path]) -> VersionAffinity:
    """Return the package as it stands in the open."""
    return VersionAffinity(
        None if request.param == "alone" else rendering,
        [Version("v1", builds["v1"], percentage=50), Version("v2", builds["v2"], percentage=50)],
        retained=[Version("v3", builds["v3"])],
        keys=[Cookie("user_id"), raising, Header("X-User-Id")],
        prefix="/shop/" if request.param == "under a prefix" else "/",
        app_first=["/api/*", "/x*y*z"],
        not_found_handling="404-page" if request.param == "alone" else "single-page-application",
        override_secret=SECRET if request.param == "with links" else None,
    )


def hostile_answer(app: VersionAffinity, method: str, path: str, query: str, headers: Mapping[str, str]) -> Response:
    """Ask with bytes that nobody meant, and check what no answer may show."""
    environ = environ_of("GET", "/", {})
    environ.update(headers, REQUEST_METHOD=method, PATH_INFO=path, QUERY_STRING=query)
    response = send(app, environ)
    assert response.status < 500
    assert not any(outside.encode() in response.body for outside in OUTSIDE)
    for name, value in response.headers:
        assert PRINTABLE.match(name + value), (name, value)
    location = response.get("Location")
    assert not location or re.match(r"/(?![/\\])", location), location
    return response


@pytest.mark.slow
@hostile_rows
@budget(250)
@given(
    method=METHODS,
    path=hostile(HOSTILE_PATHS),
    query=hostile(HOSTILE_QUERIES + HOSTILE_LINKS),
    headers=st.fixed_dictionaries({}, optional=HEADERS),
)
def test_whatever_bytes_arrive(
    exposed: VersionAffinity, method: str, path: str, query: str, headers: dict[str, str]
) -> None:
    """No bytes raise, are a server's error, reach outside the build, or come back in a header."""
    hostile_answer(exposed, method, path, query, headers)
    for prefix in ("/shop", "/shop/"):
        hostile_answer(exposed, method, prefix + path, query, headers)


def memory_of(root: object) -> tuple[int, int]:
    """Return number and bytes of the objects that the package holds, leaving modules, classes and functions out."""
    seen: dict[int, object] = {}
    pending = [root]
    while pending:
        found = pending.pop()
        if id(found) in seen or isinstance(found, type | type(sys) | type(memory_of)):
            continue
        seen[id(found)] = found
        pending.extend(gc.get_referents(found))
    return len(seen), sum(map(sys.getsizeof, seen.values()))


@pytest.mark.slow
def test_nothing_grows_with_requests(exposed: VersionAffinity) -> None:
    """Thousands of distinct hostile requests leave no object behind: memos and counters are bounded."""

    def ask(numbers: Iterable[int]) -> None:
        for number in numbers:
            override = (SIGNED["v2"], SIGNED["gone"], f"x{number}", "", "")[number % 5]
            cookie = f"user_id=u{number}; {COOKIE}={number}.v{number}; {COOKIE}.override={override}"
            headers = {
                "HTTP_COOKIE": cookie,
                "HTTP_VERSION_OVERRIDE": ("gone", "v1", "v2", "v3", '"', "", "")[number % 7] + "x" * (number % 14 // 7),
                "HTTP_REFERER": f"http://localhost/assets/{number}-BX4CeNGm.js",
                **({} if number % 3 else {"HTTP_SEC_FETCH_DEST": f"d{number % 5}", "HTTP_SEC_FETCH_MODE": "navigate"}),
            }
            paths = (f"/assets/{number}-C7h2Np5w.js", "/", f"/route/{number}", SHARED_SCRIPT, f"/shop/x{number}.js")
            for path in paths:
                hostile_answer(exposed, "GET", path, f"q={number}", headers)
            hostile_answer(exposed, "GET", "/", f"q={number}&version-override={override}", headers)

    ask(range(300))  # every label that there is
    before = memory_of(exposed)
    ask(range(300, 2300))
    after = memory_of(exposed)
    assert after[0] - before[0] <= 50
    assert after[1] - before[1] <= 5000


# Invariant 6: PEP 3333.


class Body:
    """An application's iterable: handed on as it is, and closed once by the server."""

    def __init__(self, *blocks: bytes) -> None:
        self._blocks = iter(blocks)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        """Count."""
        self.closed += 1


HTML = [("Content-Type", "text/html"), ("X-Own", "kept")]
LAST: dict[str, Any] = {}


def answers_with_a_list(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer in the plainest way."""
    LAST["headers"] = headers = list(HTML)
    start_response("200 OK", headers)
    LAST["body"] = body = Body(b"one ", b"two")
    return body


def answers_late(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Call ``start_response`` when the first block is asked for."""
    LAST["headers"] = headers = list(HTML)
    start_response("200 OK", headers)
    yield b"one "
    yield b"two"


def answers_by_write(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Use the ``write`` callable."""
    LAST["headers"] = headers = list(HTML)
    write = start_response("200 OK", headers)
    write(b"one ")
    return [b"two"]


def answers_twice(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Find an error after having begun, and begin again, as PEP 3333 allows before the first byte."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    LAST["headers"] = headers = list(HTML)
    try:
        int("the template fails")
    except ValueError:
        start_response("500 Internal Server Error", headers, sys.exc_info())
    return [b"one ", b"two"]


APPS = (answers_with_a_list, answers_late, answers_by_write, answers_twice)


@pytest.mark.parametrize("app", APPS)
@pytest.mark.parametrize("place", ["wrapped", "a version", "a version among others"])
@pytest.mark.parametrize("kind", sorted(REQUESTS))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_applications_answer_as_they_are(
    builds: dict[str, Path], app: Callable[..., Iterable[bytes]], place: str, kind: str, method: str
) -> None:
    """Whatever way of answering PEP 3333 allows works, both sides checked; body and own headers come through."""
    if place == "wrapped":
        affinity = VersionAffinity(app, [Version("v1", builds["v1"])])
    else:
        others = [Version("v2", builds["v2"], percentage=0)] if place.endswith("others") else []
        affinity = VersionAffinity(None, [Version("v1", app, percentage=100), *others])
    response = send(checked(affinity), environ_of(method, "/app/page", REQUESTS[kind]))
    assert response.body == b"one two"
    assert response.status == (500 if app is answers_twice else 200)
    assert response.get("X-Own") == "kept"
    assert LAST["headers"] == HTML, "the application's own list was changed"


@pytest.mark.parametrize("place", ["wrapped", "a version"])
def test_the_iterable_is_returned_unwrapped(builds: dict[str, Path], place: str) -> None:
    """What the application returned is what the server gets, so its ``close`` and a file wrapper work."""
    app = answers_with_a_list
    version = builds["v1"] if place == "wrapped" else app
    affinity = VersionAffinity(app if place == "wrapped" else None, [Version("v1", version)])
    body = affinity(environ_of("GET", "/app/page", NAVIGATION), lambda *arguments: bytearray().extend)
    assert body is LAST["body"]
    assert body.closed == 0


FINGERPRINTED = (SHARED_SCRIPT, "/assets/own-Bq3dTe5f.js", "/assets/own-Cw4gUh6j.js", "/assets/own-Dx5kVm7n.js")


@pytest.fixture(scope="module", params=["in memory", "on disk"])
def both_paths(request: pytest.FixtureRequest, builds: dict[str, Path]) -> tuple[VersionAffinity, VersionAffinity]:
    """Return the package, and the same with nothing to serve by name: every request takes the general path."""
    versions = [Version(version, directory, percentage=None) for version, directory in builds.items()]
    memory = 1 << 20 if request.param == "in memory" else 0
    fast, general = (VersionAffinity(None, versions, keys=[Cookie("user_id")], memory=memory) for _ in range(2))
    state_of(general).catalog.names.clear()
    return fast, general


@budget(200)
@given(
    method=st.sampled_from(("GET", "HEAD")),
    path=st.sampled_from(FINGERPRINTED),
    query=st.sampled_from(("", "v=1")),
    condition=st.sampled_from(("", "*", "same", "weak", "listed", "other", '"', "W/")),
    kind=st.sampled_from(sorted(REQUESTS)),
    owner=st.sampled_from(("v1", "v2", "v3")),
)
def test_the_fast_path_answers_as_the_general_path(
    both_paths: tuple[VersionAffinity, VersionAffinity],
    method: str,
    path: str,
    query: str,
    condition: str,
    kind: str,
    owner: str,
) -> None:
    """Served by name, a file has the status, body, ETag and type that it has when decided for a version that has it."""
    fast, general = both_paths
    if path != SHARED_SCRIPT:
        owner = ("v1", "v2", "v3")[FINGERPRINTED.index(path) - 1]
    tag = send(general, environ_of("GET", path, {"Version-Override": owner})).get("ETag")
    sent = {"": "", "same": tag, "weak": f"W/{tag}", "listed": f'"x", {tag}', "other": '"x"'}.get(condition, condition)
    # An override decides for any kind of request. What the general path then says of caching differs, and must.
    headers = {**REQUESTS[kind], "Version-Override": owner, **({"If-None-Match": sent} if sent else {})}
    answers = [send(app, environ_of(method, f"{path}?{query}", headers)) for app in (fast, general)]
    shown = ("ETag", "Content-Type", "Content-Length", "X-Content-Type-Options")
    by_name, decided = ((answer.status, answer.body, *map(answer.get, shown)) for answer in answers)
    assert by_name == decided
    assert answers[0].status == (304 if condition in ("*", "same", "weak", "listed") else 200)
    assert answers[0].get("Cache-Control").endswith("immutable")
    assert answers[1].get("Cache-Control") == "private, no-store"
