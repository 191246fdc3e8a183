"""Invariant 1, the promise of this package: no page gets a file of another version.

A state machine drives a model of a browser through deployments, rollbacks, additions and retirements, and after every
step asks for every file of every page that is open, in every way in which a browser would. ``Promise`` states what
must come back; it knows the history and the files, and nothing of how the package works.

Three mutations of the package must each make the property fail (``test_mutation_breaks_the_promise``):

1. ``only`` is tried before ``pin``: an open tab changes its version when another one gets 100 %.
2. Nothing is minted before routing: a first page is drawn at random, and what follows it is drawn again.
3. The pin is stamped with the version that was decided, not with the one whose page was served.

The others in that table show that further parts of the promise are watched, too.
"""

from __future__ import annotations

import functools
import gzip
import json
import logging
import re
import tempfile
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.budget import budget
from tests.harness import checked, write_build
from tests.model.browser_model import Browser, Page, Response, Tab, environ_of, send
from version_affinity import Cookie, Header, Version, VersionAffinity, asset_tags, asset_url, current_version
from version_affinity.assets.loading.fingerprint import is_fingerprinted
from version_affinity.decision import decider as decisions
from version_affinity.decision.decider import Decider
from version_affinity.decision.request import FRAME, OTHER, PAGE, PREFETCH, SUBRESOURCE, Kind, Request
from version_affinity.responses.finish import Finisher
from version_affinity.rollout.catalog import Catalog, compare_files
from version_affinity.rollout.state import baseline_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from version_affinity.responses.headers import DecisionHeaders

MAIN = "/assets/main-BX4CeNGm.js"
LAZY = "/assets/lazy-DiwrgTda.js"
STYLE = "/assets/style-C8xK2mPq.css"
FINGERPRINTED = (MAIN, LAZY, STYLE)
SCRIPT = "/sw.js"
PUBLIC = ("/logo.svg", "/config.json", SCRIPT)
FILES = (*FINGERPRINTED, *PUBLIC)
PAGES = ("/index.html", "/about.html", "/404.html")
ENTRIES = {"src/main.ts": MAIN, "src/lazy.ts": LAZY}
IDS = ("v0", "v1", "v2", "v3")

#: What a build's rules may say: nothing, that every cache may keep all, that a page is another one or a download.
HEADERS = (
    "",
    "",
    '/*\n  Cache-Control: public, max-age=600\n  ETag: "of-all-versions"\n  X-Robots-Tag: noindex\n',
    "/about\n  Content-Disposition: attachment; filename=about.html\n/*.svg\n  Cache-Control: public, max-age=600\n",
)
REDIRECTS = ("", "", "", "/some/route /about 302\n/logo.svg.old /logo.svg\n", "/some/route /about 200\n")

#: A file of a build is absent, or one of two contents: so equal and different bytes under one name are both frequent.
ABSENT, EQUAL, OWN = "", "equal", "own"


# What there is: builds, the wrapped application, and the browser's circumstances.


@dataclass(frozen=True)
class Build:
    """The files of one version, and the entries that its Vite manifest lists."""

    files: tuple[tuple[str, bytes], ...]
    entries: frozenset[str]

    def __repr__(self) -> str:
        """Return it on a line: a failing example shows four."""
        kinds = {
            path: data.decode() if path.startswith("/_") else "equal" if b"several" in data or b"*" in data else "own"
            for path, data in self.files
        }
        return f"<Build {kinds} entries={sorted(self.entries)}>"

    @functools.cached_property
    def content(self) -> dict[str, bytes]:
        """Path to bytes, pages left out."""
        return {path: data for path, data in self.files if path in FILES}


@dataclass(frozen=True)
class AppPage:
    """A page that the wrapped application renders: the calls that it makes, and what its response says."""

    calls: tuple[tuple[Callable[..., str], str], ...] = ()
    cache_control: str = ""
    etag: str = ""
    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    attachment: bool = False
    location: str = ""
    sets_key: bool = False


CONTENT = "of its content"
APP_PAGES = {
    "/app/main": AppPage(((asset_tags, "src/main.ts"),)),
    "/app/lazy": AppPage(((asset_tags, "src/lazy.ts"),)),
    "/app/told": AppPage(((current_version, ""), (asset_tags, "src/lazy.ts"))),
    "/app/mixed": AppPage(((asset_tags, "src/lazy.ts"), (asset_url, "logo.svg"))),
    "/app/tagged": AppPage(((asset_tags, "src/main.ts"),), etag=CONTENT),
    "/app/lazy-tagged": AppPage(((asset_tags, "src/lazy.ts"),), etag=CONTENT),
    "/app/revision": AppPage(((asset_tags, "src/main.ts"),), etag="of its data alone"),
    "/app/plain": AppPage(),
    "/app/plain-tagged": AppPage(etag=CONTENT),
    "/app/fresh": AppPage(((asset_tags, "src/lazy.ts"),), cache_control="max-age=60"),
    "/app/revalidated": AppPage(((asset_url, "config.json"),), cache_control="no-cache", etag=CONTENT),
    "/app/public": AppPage(((asset_tags, "src/main.ts"),), cache_control="public, max-age=60"),
    "/app/first-key": AppPage(((asset_tags, "src/main.ts"),), sets_key=True),
    "/app/error": AppPage(((asset_url, "logo.svg"),), status="500 Internal Server Error"),
    "/app/nothing": AppPage(status="204 No Content"),
    "/app/download": AppPage(((asset_url, "logo.svg"),), attachment=True),
    "/app/moved": AppPage(((asset_url, "logo.svg"),), status="302 Found", location="/app/main"),
    "/app/login": AppPage(status="303 See Other", location="/app/main", sets_key=True),
    "/app/api/login": AppPage(status="200 OK", content_type="application/json", sets_key=True),
}
APP_NAVIGATIONS = tuple(path for path in APP_PAGES if "login" not in path)


class Application:
    """The wrapped application. It notes which version the last request was decided for, by the documented environ."""

    def __init__(self) -> None:
        self.decided = ""
        self.key = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        self.decided = environ["version_affinity.version"]
        page = APP_PAGES.get(environ["PATH_INFO"])
        if page is None:
            start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"the application has no such page"]
        named = [call(environ, entry) if entry else call(environ) for call, entry in page.calls]
        # With files of a version in it, a page says for whom it was rendered.
        body = f"<!doctype html><p>{environ['PATH_INFO']}"
        body += f"<!-- decided={self.decided} -->{''.join(named)}" if named else ""
        headers = []
        if page.cache_control:
            headers.append(("Cache-Control", page.cache_control))
        if page.location:
            headers.append(("Location", page.location))
        if page.attachment:
            headers.append(("Content-Disposition", 'attachment; filename="page.html"'))
        if page.sets_key:
            self.key += 1
            headers.append(("Set-Cookie", f"user_id=user{self.key}; Path=/; SameSite=Lax"))
        if page.etag:
            etag = f'"{sha256((body if page.etag == CONTENT else page.etag).encode()).hexdigest()[:16]}"'
            headers.append(("ETag", etag))
            if environ.get("HTTP_IF_NONE_MATCH") == etag:
                start_response("304 Not Modified", headers)
                return []
        if page.status.startswith("204"):
            start_response(page.status, [*headers, ("Content-Length", "0")])  # which Werkzeug's checker wants
            return []
        start_response(page.status, [("Content-Type", page.content_type), *headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body.encode()]


@dataclass(frozen=True)
class World:
    """What an example begins with."""

    builds: dict[str, Build]
    percentages: dict[str, float]
    retained: tuple[str, ...]
    prefix: str
    has_app: bool
    not_found_handling: str
    memory: int
    cookie: bool
    scheme: str
    fetch_metadata: bool
    keeps_cookies: bool
    key_header: str
    first_cookie: str


@st.composite
def builds(draw: st.DrawFn, version: str) -> Build:
    """Draw a version's files; what two versions have under one name is equal or not."""
    files = {}
    for path in FILES:
        variant = draw(st.sampled_from((OWN, EQUAL, ABSENT)))
        if variant:
            files[path] = f"{path} of {version if variant == OWN else 'several'}{' ' * 100}".encode()
            if draw(st.sampled_from((False, False, True))):
                files[f"{path}.gz"] = gzip.compress(files[path], mtime=0)
    for path in PAGES:
        variant = draw(st.sampled_from((OWN, EQUAL) if path != "/about.html" else (OWN, EQUAL, ABSENT)))
        if variant:
            files[path] = f"<!doctype html><p>{path}<!-- build={version if variant == OWN else '*'} -->".encode()
    for name, rules in (("/_headers", HEADERS), ("/_redirects", REDIRECTS)):
        files[name] = draw(st.sampled_from(rules)).encode()
    listed = draw(st.sets(st.sampled_from(sorted(ENTRIES))))
    return Build(tuple(sorted(files.items())), frozenset(entry for entry in listed if ENTRIES[entry] in files))


PERCENTAGES = st.sampled_from((50.0, 40.0, 75.0, 90.0, 10.0, 1.0, 0.0, 100.0))


@st.composite
def deployments(draw: st.DrawFn, versions: tuple[str, ...]) -> dict[str, float]:
    """Draw percentages of some of the versions: one at 100 %, a split of two, or of three; others staged at 0 %."""
    chosen = draw(st.lists(st.sampled_from(versions), min_size=min(2, len(versions)), max_size=3, unique=True))
    first = draw(PERCENTAGES)
    if len(chosen) == 1:
        return {chosen[0]: 100.0}
    rest = 100.0 - first
    if len(chosen) == 2:
        return dict(zip(chosen, (first, rest), strict=True))
    return dict(zip(chosen, (first, rest / 2, rest / 2), strict=True))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw what an example begins with."""
    percentages = draw(deployments(IDS))
    others = [version for version in IDS if version not in percentages]
    retained = tuple(version for version in others if draw(st.booleans()))
    mostly = st.sampled_from((True, True, True, False))
    first_cookies = ["", "", "", "4711.v0", "77.v1", "77.gone", ".v2", "99999999.v1", "garbage"]
    return World(
        builds={version: draw(builds(version)) for version in IDS},
        percentages=percentages,
        retained=retained,
        prefix=draw(st.sampled_from(("/", "/", "/shop/"))),
        has_app=draw(mostly),
        not_found_handling=draw(st.sampled_from(("none", "single-page-application", "404-page"))),
        memory=draw(st.sampled_from((1 << 20, 0))),
        cookie=draw(st.sampled_from((True, True, True, True, True, False))),
        scheme=draw(st.sampled_from(("http", "https"))),
        fetch_metadata=draw(mostly),
        keeps_cookies=draw(mostly),
        key_header=draw(st.sampled_from(("", "", "", "", "alice"))),
        first_cookie=draw(st.sampled_from(first_cookies)),
    )


@functools.cache
def directory_of(build: Build, root: Path) -> Path:
    """Write a build to disk, once."""
    directory = Path(tempfile.mkdtemp(dir=root))
    manifest = {entry: {"file": ENTRIES[entry].lstrip("/"), "isEntry": True} for entry in sorted(build.entries)}
    files = {path.lstrip("/"): data for path, data in build.files}
    return write_build(directory, {**files, ".vite/manifest.json": json.dumps(manifest)} if manifest else files)


# The promise.


@dataclass
class Promise:
    """What invariant 1 promises, from the history of deployments, the files, and what the browser loaded.

    This is the property; it is all here.

    (1a) A file (no HTML) whose bytes agree in all known versions that have it is served, with those bytes, to everyone,
         under any key, percentages, history, cookies or override, in any tab. Every fingerprinted file without a
         collision is one. Of the others, those that only staged versions have are reached by an override alone.
         A fingerprinted name whose bytes agree in all versions that have or had a share is served like that too, and
         may be kept for a year, to requests that name no staged version: see ``shared``.
         Limit: a copy that the browser's own cache keeps as immutable from before a version with other bytes under that
         name had a share is out of any server's reach.

    (1b) Any other file of the page's version V (public/ files, collisions) has V's bytes, when
         - the request carries an override that names V, and V is deployed (the override decides this one request); or
         - the Referer names V: the importing file is fingerprinted, has no collision, and is V's alone among all known
           versions, and the browser sends Fetch Metadata (by which a page's own request is told); or
         - the browser keeps cookies, these go with the request, and V's page is the one that it loaded last: see
           ``loaded``; or
         - it holds no pin of a known version, and V has 100 % now; or
         - the same, V is the baseline, and the browser sends Fetch Metadata: a page that was loaded before the split.
         With the cookie switched off, the last of these holds for a browser without a key.

    (1c) While neither deployment nor key changes, a browser that keeps cookies, or has a key, gets one version on all
         its navigations. (Otherwise the pin follows each page, and no file would tell that users change versions.) The
         script of a service worker, which serves every tab, is of this version.

    (1d) A file that is no HTML is never answered with ``200 text/html``.

    Where the promise ends, the decided version's bytes are served, or a 404.
    """

    builds: dict[str, Build]
    known: list[str]
    percentages: dict[str, float]
    #: Those that have had a share, or were retained at the start: the others are staged.
    shown: set[str]
    cookie: bool = True
    complete: str = ""
    revision: int = 1
    #: The version of the page that the browser loaded last, as far as a server can tell the browser.
    pin: str = ""
    #: Whether the browser holds our cookie with anything in the pin's place.
    holds_pin: bool = False
    #: Revision, key and version of the last navigation that decides the next ones, too.
    settled: tuple[int, str, str] | None = None

    @property
    def only(self) -> str:
        """The version that has 100 %, "" during a split."""
        live = [version for version, percentage in self.percentages.items() if percentage > 0]
        return live[0] if len(live) == 1 else ""

    @property
    def baseline(self) -> str:
        """The version that last had 100 %, else that with the largest share (first listed on a tie)."""
        return self.complete or max(self.percentages, key=lambda version: self.percentages[version])

    def deploy(self, percentages: dict[str, float]) -> None:
        """Follow a deployment."""
        self.percentages = percentages
        self.shown |= {version for version, percentage in percentages.items() if percentage > 0}
        self.complete = self.only or self.complete
        self.revision += 1

    def retire(self, version: str) -> None:
        """Follow the retirement of a version."""
        self.known.remove(version)
        self.shown.discard(version)
        if self.complete == version:
            self.complete = ""

    def loaded(self, version: str) -> None:
        """Follow a top-level page that was shown, by a safe method, without an override, with cookies going both ways.

        At 100 % a browser without our cookie gets none: the baseline stands for it.
        """
        if not self.only or self.holds_pin:
            self.pin = version
            self.holds_pin = True

    def forget(self) -> None:
        """Follow the loss of the browser's cookies."""
        self.pin = ""
        self.holds_pin = False
        self.settled = None

    def owners(self, path: str) -> dict[str, bytes]:
        """Return the known versions that have a file, with its bytes."""
        found = {version: self.builds[version].content.get(path) for version in self.known}
        return {version: data for version, data in found.items() if data is not None}

    def agreed(self, path: str) -> bytes | None:
        """(1a) Return the bytes that everyone must get for a path, None where versions disagree or nobody has it."""
        owners = self.owners(path)
        if len(set(owners.values())) != 1 or not (path in FINGERPRINTED or self.shown.intersection(owners)):
            return None
        return next(iter(owners.values()))

    def shared(self, path: str, *named: str) -> bytes | None:
        """(1a) Return the bytes that a fingerprinted name has in all versions that have or had a share.

        None where they disagree, and where a request names a version that is not one of them.
        """
        if path not in FINGERPRINTED or not self.shown.issuperset(filter(None, named)):
            return None
        contents = {content for version, content in self.owners(path).items() if version in self.shown}
        return contents.pop() if len(contents) == 1 else None

    def version(self, page: Page, browser: Browser, importer: str, override: str, key: str) -> str:
        """(1b) Return the version whose bytes a page's request must get, "" where none is promised."""
        own = page.version
        if override in self.percentages:
            return override
        if browser.fetch_metadata and importer in FINGERPRINTED and [*self.owners(importer)] == [own]:
            return own
        if page.first_party and self.pin in self.known:
            return own if self.pin == own else ""
        if self.only:
            return own if self.only == own else ""
        if browser.fetch_metadata and self.baseline == own and (self.cookie or not key):
            return own
        return ""

    def bytes(self, page: Page, path: str, browser: Browser, importer: str, override: str, key: str) -> bytes | None:
        """(1a, 1b) Return what a page's request for a file must get, None where nothing is promised."""
        agreed = self.agreed(path)
        if agreed is None:
            agreed = self.shared(path, page.version, self.pin, override)
        if agreed is not None:
            return agreed
        return (
            self.builds[version].content.get(path)
            if (version := self.version(page, browser, importer, override, key))
            else None
        )


# The machine.

_DECIDED = re.compile(rb"<!-- decided=(\S+) -->")
_BUILD = re.compile(rb"<!-- build=(\S+) -->")

TAB = st.integers(0, 2)
#: Pages of builds, and of the wrapped application.
WHERE = st.sampled_from(("", "", "about", "about.html", "some/route")) | st.sampled_from(APP_NAVIGATIONS)
TAGGED = ("", *(path for path, page in APP_PAGES.items() if page.etag))
SEVERAL = st.integers(0, 30)


class Skew(RuleBasedStateMachine):
    """Drives a browser and deployments, and holds every answer against the promise."""

    #: Where builds are written.
    root: Path

    @initialize(world=worlds())
    def start(self, world: World) -> None:
        """Set an application and a browser up."""
        self.world = world
        shares = world.percentages
        versions = [
            Version(id_, directory_of(world.builds[id_], self.root), percentage=share) for id_, share in shares.items()
        ]
        self.application = Application()
        self.affinity = VersionAffinity(
            self.application if world.has_app else None,
            versions,
            retained=[Version(version, directory_of(world.builds[version], self.root)) for version in world.retained],
            keys=[Cookie("user_id"), Header("X-User-Id")],
            prefix=world.prefix,
            app_first=["/app/*"],
            not_found_handling=world.not_found_handling,
            cookie="pin" if world.cookie else None,
            memory=world.memory,
        )
        self.promise = Promise(
            world.builds,
            known=[*shares, *world.retained],
            percentages=shares,
            shown={version for version, share in shares.items() if share > 0} | set(world.retained),
            cookie=world.cookie,
        )
        self.promise.complete = self.promise.only
        self.checked = checked(self.affinity)
        self.browser = Browser(
            self.checked,
            lambda: frozenset(self.promise.shown),
            fetch_metadata=world.fetch_metadata,
            keeps_cookies=world.keeps_cookies,
            added={"X-User-Id": world.key_header} if world.key_header else {},
            scheme=world.scheme,
        )
        self.versions_of_pages: dict[str, str] = {}
        self.deployed = [shares]
        self.cookie_name = "__Host-pin" if world.scheme == "https" else "pin"
        if world.first_cookie and world.keeps_cookies:
            self.browser.jar[self.cookie_name] = world.first_cookie
            pinned = world.first_cookie.partition(".")[2]
            if world.cookie and pinned:
                # Left from an earlier visit: the last page that this browser loaded was that version's.
                self.promise.holds_pin = True
                self.promise.pin = pinned

    # What the operator does.

    @rule(data=st.data())
    def deploy(self, data: st.DataObject) -> None:
        """Move the percentages."""
        self._deploy(data.draw(deployments(tuple(self.promise.known)), "percentages"))

    @rule(version=SEVERAL)
    def complete(self, version: int) -> None:
        """Give one version 100 %."""
        self._deploy({self.promise.known[version % len(self.promise.known)]: 100.0})

    @rule()
    def roll_back(self) -> None:
        """Deploy again what was deployed before, where it is still known."""
        before = self.deployed[-2:][0]
        if set(before) <= set(self.promise.known):
            self._deploy(before)

    def _deploy(self, percentages: dict[str, float]) -> None:
        self.affinity.deploy(percentages)
        self.promise.deploy(percentages)
        self.deployed.append(percentages)

    @precondition(lambda self: len(self.promise.known) < len(IDS))
    @rule(version=SEVERAL)
    def add(self, version: int) -> None:
        """Make a version known, or known again."""
        unknown = [id_ for id_ in IDS if id_ not in self.promise.known]
        added = unknown[version % len(unknown)]
        self.affinity.add(Version(added, directory_of(self.world.builds[added], self.root)))
        self.promise.known.append(added)

    @rule(version=SEVERAL)
    def retire(self, version: int) -> None:
        """Retire a version, no page of which is open."""
        open_versions = {page.version for page in self.browser.pages()}
        free = [id_ for id_ in self.promise.known if id_ not in self.promise.percentages and id_ not in open_versions]
        if free:
            retired = free[version % len(free)]
            self.affinity.retire(retired)
            self.promise.retire(retired)

    # What the user does.

    @property
    def key(self) -> str:
        """The version key that the browser's requests carry."""
        return self.browser.jar.get("user_id", "") or self.world.key_header

    def _tab(self, index: int) -> Tab:
        tabs = self.browser.tabs
        if index >= len(tabs):
            tabs.append(Tab())
        return tabs[min(index, len(tabs) - 1)]

    def _url(self, where: str) -> str:
        if where.startswith("/app/") and self.world.has_app:
            return where
        return self.world.prefix + where.partition("/app/")[2]

    @rule(tab=TAB, where=WHERE, worker=st.booleans(), reload=st.booleans())
    def navigate(self, tab: int, where: str, worker: bool, reload: bool) -> None:
        """Go somewhere in a tab, perhaps through a service worker."""
        self._show(self._tab(tab), self._visit(self._url(where), self.browser.navigation(worker=worker), reload=reload))

    @rule(tab=TAB)
    def reload(self, tab: int) -> None:
        """Ask for the page of a tab again, on condition that it has changed."""
        page = self._tab(tab).page
        if page is not None:
            self._show(self._tab(tab), self._visit(page.url, self.browser.navigation(), reload=True))

    @rule(tab=TAB, where=st.sampled_from(("", "/app/lazy", "/app/tagged")), revisited=st.sampled_from(TAGGED))
    def revisit(self, tab: int, where: str, revisited: str) -> None:
        """See a page, then another, then the first again: the browser asks on condition that it has changed."""
        for url in (revisited, where, revisited):
            self._show(self._tab(tab), self._visit(self._url(url), self.browser.navigation()))

    @rule(tab=TAB, where=WHERE, version=st.sampled_from((*IDS, "v9", "no such; thing")))
    def navigate_with_override(self, tab: int, where: str, version: str) -> None:
        """Go somewhere with an override on this one request."""
        url, headers = self._url(where), {**self.browser.navigation(), "Version-Override": version}
        self._show(self._tab(tab), self._visit(url, headers, override=version))

    @precondition(lambda self: self.world.has_app)
    @rule(tab=TAB, how=st.sampled_from(("log in", "log in by script", "form", "form of another site")))
    def submit(self, tab: int, how: str) -> None:
        """Submit a form that answers with a page, or log in.

        At a login the application sets the cookie that is the key, and redirects; or a script of the page does it.
        """
        headers = self.browser.navigation()
        if how == "log in by script":
            self.browser.request("/app/api/login", self.browser.subresource("/login.json", "/app/main"), method="POST")
        elif how == "log in":
            self._show(self._tab(tab), self._visit("/app/login", headers, method="POST"))
        else:
            page = self._visit("/app/main", headers, method="POST", first_party=how == "form")
            self._show(self._tab(tab), page and replace(page, first_party=True))

    @rule(tab=TAB, what=st.sampled_from(("key", "cookies", "tab")))
    def lose(self, tab: int, what: str) -> None:
        """Log out, clear the cookies, or close a tab."""
        if what == "key":
            self.browser.jar.pop("user_id", None)
        elif what == "cookies":
            self.browser.jar.clear()
            self.promise.forget()
        else:
            del self.browser.tabs[tab : tab + 1]

    @rule(tab=TAB, steps=st.sampled_from((-1, 1, -2)))
    def go(self, tab: int, steps: int) -> None:
        """Go back or forward."""
        self._tab(tab).go(steps)

    @rule(tab=TAB, where=WHERE, embedded=st.booleans())
    def frame(self, tab: int, where: str, embedded: bool) -> None:
        """Show a page in a frame; ``embedded``: the page around it is another site's."""
        page = self._visit(
            self._url(where), self.browser.navigation(framed=True), framed=True, first_party=not embedded
        )
        if page is not None:
            self._tab(tab).frames.append(page)

    @rule(tab=TAB, where=WHERE, speculative=st.booleans(), activated=st.booleans())
    def prefetch(self, tab: int, where: str, speculative: bool, activated: bool) -> None:
        """Fetch a page ahead, and perhaps show it: no request is sent for that."""
        page = self._visit(self._url(where), self.browser.prefetch(speculative=speculative), prefetched=True)
        if page is not None and activated:
            self._tab(tab).show(page)
        elif page is not None:
            self._tab(tab).prefetched[page.url] = page

    def _show(self, tab: Tab, page: Page | None) -> None:
        """Show a page; a download, a 204 and what is no page leave the tab as it was."""
        if page is not None:
            tab.show(page)

    def _visit(
        self,
        url: str,
        headers: dict[str, str],
        *,
        method: str = "GET",
        override: str = "",
        first_party: bool = True,
        framed: bool = False,
        prefetched: bool = False,
        reload: bool = False,
    ) -> Page | None:
        """Ask for a page, follow its redirects, and return it; None when the answer is none."""
        promise, browser = self.promise, self.browser
        for _ in range(4):
            self.application.decided = ""
            key = self.key if first_party else self.world.key_header
            before = dict(browser.jar)
            response = browser.request(url, headers, method=method, first_party=first_party, reload=reload)
            # A browser that tells of its navigations is believed; another one's frames and prefetches look like pages.
            top = not prefetched and (not framed or not browser.fetch_metadata)
            forced = override in promise.percentages
            if not top or method == "POST" or forced:
                assert browser.jar.get(self.cookie_name) == before.get(self.cookie_name), "the pin followed no page"
            # Without Fetch Metadata, only GET is told as a page's.
            told = method == "GET" or browser.fetch_metadata
            if response.asked and top and told and not forced and key and not promise.only:
                promise.settled = (promise.revision, key, self._decided(response))
            if response.status not in (302, 303, 307):
                break
            url = response.get("Location")
            method = "GET"
        if not response.is_html or response.status == 204:
            return None
        if not response.asked:
            return Page(url, self.versions_of_pages[url], first_party)
        version = self._version_of(url, response)
        self.versions_of_pages[url] = version
        carries = "public" not in response.get("Cache-Control") or self._is_build_page(response)
        with_cookies = first_party and browser.keeps_cookies and self.world.cookie
        if top and method == "GET" and not forced and carries and with_cookies:
            promise.loaded(version)
            if not promise.only and not key:
                promise.settled = (promise.revision, "", self._decided(response))
        return Page(url, version, first_party)

    def _is_build_page(self, response: Response) -> bool:
        return _BUILD.search(response.body) is not None

    def _decided(self, response: Response) -> str:
        """Return the version that a request was decided for, as the application or the trace tells."""
        # What a shared cache may keep tells of no version: there is one alone.
        return self.application.decided or response.trace.partition(";")[0] or self.promise.only

    def _version_of(self, url: str, response: Response) -> str:
        """Return whose page a page is, by what it names."""
        build = _BUILD.search(response.body)
        if build is not None:
            # Of equal pages, it is that of the version that was decided.
            return self._decided(response) if build[1] == b"*" else build[1].decode()
        marked = _DECIDED.search(response.body)
        decided = marked[1].decode() if marked else self.application.decided
        # A page is the decided version's, unless all of its entries and files are found in other versions only.
        others = []
        for call, entry in APP_PAGES[url].calls:
            # A staged version is named to those only who are on it.
            able = (version for version in self.promise.known if version in {decided, *self.promise.shown})
            owners = [version for version in able if self._names(call, entry, version)]
            if decided in owners:
                return decided
            if owners:
                others.append(owners)
        if not others:
            return decided
        served = response.trace.rpartition(";served=")[2]
        return others[-1][0] if len(others[-1]) == 1 else served if served in others[-1] else decided

    def _names(self, call: Callable[..., str], entry: str, version: str) -> bool:
        build = self.world.builds[version]
        return entry in build.entries if call is asset_tags else call is asset_url and f"/{entry}" in build.content

    # What the pages load.

    @rule(
        tab=TAB,
        which=SEVERAL,
        path=st.sampled_from(FILES),
        importer=st.sampled_from(("", MAIN, LAZY)),
        override=st.sampled_from(("", "", *IDS)),
        worker=st.booleans(),
    )
    def load(self, tab: int, which: int, path: str, importer: str, override: str, worker: bool) -> None:
        """Load a file of a page, through the HTTP cache."""
        pages = self._tab(tab).pages()
        if pages:
            self._load(pages[which % len(pages)], path, importer, override=override, worker=worker, cache=True)

    @invariant()
    def every_page_has_its_files(self) -> None:
        """Load every file of every page, from the page itself and from each script that may import it."""
        for page in {(page.version, page.first_party): page for page in self.browser.pages()}.values():
            for path in self.world.builds[page.version].content:
                for importer in ("", MAIN, LAZY):
                    self._load(page, path, importer)
            for path in ("/assets/gone-C7h2Np5w.js", "/gone.json"):
                response = self.browser.request(path, self.browser.subresource(path, page.url), cache=False)
                assert response.status == 404, "(1d) a file that nobody has was answered with something else"

    def _load(
        self, page: Page, path: str, importer: str, *, override: str = "", worker: bool = False, cache: bool = False
    ) -> None:
        browser, content = self.browser, self.world.builds[page.version].content
        if path not in content or (importer and importer not in content):
            return
        prefix = self.world.prefix[:-1]
        headers = browser.subresource(path, prefix + importer if importer else page.url, worker=worker)
        if override:
            headers["Version-Override"] = override
        before = dict(browser.jar)
        app = None if cache else self.affinity
        response = browser.request(prefix + path, headers, first_party=page.first_party, cache=cache, app=app)
        assert browser.jar == before, "a file set a cookie"
        assert response.status != 200 or not response.is_html, "(1d) a page's file was answered with a document"
        key = self.key if page.first_party else self.world.key_header
        promised = self.promise.bytes(page, path, browser, importer, override, key)
        if not response.asked and response.cached and page.version not in response.cached.shown_then:
            return  # immutable since before this version had a share
        if promised is not None:
            assert (response.status, response.body) == (200, promised), f"{page} misses its {path}"

    @invariant()
    def everyone_gets_what_all_agree_on(self) -> None:
        """(1a) Ask for what everyone must get as strangers do: without cookies, with other keys, as a page."""
        strangers: list[dict[str, str]] = [
            {"Accept": "*/*"},
            {"Accept": "text/html", "X-User-Id": "carol"},
            {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
            {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Cookie": "user_id=dave; pin=1.v1"},
        ]
        for path in FILES:
            agreed = self.promise.agreed(path)
            if agreed is not None:
                for headers in strangers:
                    response = send(self.affinity, environ_of("GET", self.world.prefix[:-1] + path, headers))
                    assert (response.status, response.body) == (200, agreed), f"{path} is not served to {headers}"
        for path in FINGERPRINTED:
            shared = self.promise.shared(path)
            if shared is not None:
                for headers in strangers[:-1]:
                    response = send(self.affinity, environ_of("GET", self.world.prefix[:-1] + path, headers))
                    assert (response.status, response.body) == (200, shared), f"{path} is not served to {headers}"
                    assert "private" not in response.get("Cache-Control"), f"a staged version keeps {path} from caches"

    @invariant()
    def an_override_reaches_staged_versions(self) -> None:
        """(1b) Ask for the fingerprinted files of each staged version with an override, also where others collide."""
        promise = self.promise
        for version in promise.percentages.keys() - promise.shown:
            for path in FINGERPRINTED:
                self._load(Page(self.world.prefix, version), path, "", override=version)

    @invariant()
    def the_next_page_is_of_the_same_version(self) -> None:
        """(1c) Ask for the next page, and for the script of a service worker, without going there."""
        promise, browser, prefix = self.promise, self.browser, self.world.prefix
        expected = promise.only
        if not expected and promise.settled is not None and promise.settled[:2] == (promise.revision, self.key):
            expected = promise.settled[2]
        if not expected:
            return
        cookies = {"Cookie": "; ".join(f"{name}={value}" for name, value in browser.jar.items())}
        for headers in (browser.navigation(), browser.navigation(worker=True)):
            environ = environ_of("GET", prefix, {**headers, **browser.added, **cookies}, browser.scheme)
            send(self.affinity, environ)
            assert environ["version_affinity.version"] == expected, "a user changed the version, and nothing else did"
        script = self.world.builds[expected].content.get(SCRIPT)
        if script is not None:
            headers = {**browser.worker_script(prefix), **browser.added, **cookies}
            response = send(self.affinity, environ_of("GET", prefix + SCRIPT[1:], headers, browser.scheme))
            assert (response.status, response.body) == (200, script), "another version's service worker"


#: ``test_invariant_processes.py`` has a quicker form of the promise, which runs by default.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True, scope="module")
def _root(tmp_path_factory: pytest.TempPathFactory) -> None:
    Skew.root = tmp_path_factory.mktemp("builds")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="version_affinity")


@pytest.mark.parametrize("path", FILES)
def test_the_files_are_what_they_are_meant_to_be(path: str) -> None:
    """The package takes those files for fingerprinted that this test does, and no other."""
    assert is_fingerprinted(path) == (path in FINGERPRINTED)


def test_no_page_gets_a_file_of_another_version() -> None:
    """Whatever operators and users do, every open page gets its own files wherever the promise holds."""
    run_state_machine_as_test(Skew, settings=budget(300, stateful_step_count=20))


# Mutations: each changes one place of the package, and the property must see it.


def _only_before_pin(patch: pytest.MonkeyPatch) -> None:
    order = ("override", "referer", "only", "pin", "baseline")
    patch.setitem(decisions.ORDER, SUBRESOURCE, order)


def _not_minted_before_routing(patch: pytest.MonkeyPatch) -> None:
    minted = Decider.STEPS["minted"]
    patch.setitem(
        Decider.STEPS, "minted", lambda decider, request: minted(decider, request) if request.bucket else None
    )


def _decided_stamped(patch: pytest.MonkeyPatch) -> None:
    stamp = Finisher.stamp
    patch.setattr(
        Finisher, "stamp", lambda self, request, decision, served: stamp(self, request, decision, decision.version)
    )


def _only_before_pin_without_metadata(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(decisions.ORDER, OTHER, ("override", "only", "pin", "key", "bucket", "random"))


def _key_before_pin(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(decisions.ORDER, SUBRESOURCE, ("override", "referer", "key", "pin", "only", "baseline"))


def _no_referer(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(Decider.STEPS, "referer", lambda decider, request: None)


def _referer_of_any_owner(patch: pytest.MonkeyPatch) -> None:
    def first_owner(self: Catalog, environ: dict[str, Any]) -> str:
        file = self.named_file("/" + environ["HTTP_REFERER"].partition("://")[2].partition("/")[2])
        return file.version if file is not None else ""

    patch.setattr(Catalog, "referer_version", first_owner)


def _baseline_is_the_largest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "version_affinity.rollout.state.baseline_of", lambda deployment, _complete: baseline_of(deployment, None)
    )


def _stale_pin_kept_at_100_percent(patch: pytest.MonkeyPatch) -> None:
    stamp = Finisher.stamp

    def lazy(self: Finisher, request: Request, decided: DecisionHeaders, served: str) -> tuple[str, str] | None:
        return None if decided.only else stamp(self, request, decided, served)

    patch.setattr(Finisher, "stamp", lazy)


def _frames_stamp(patch: pytest.MonkeyPatch) -> None:
    _stamped_like_pages(patch, SUBRESOURCE)


def _prefetches_stamp(patch: pytest.MonkeyPatch) -> None:
    _stamped_like_pages(patch, PREFETCH)


def _stamped_like_pages(patch: pytest.MonkeyPatch, kind: Kind) -> None:
    patch.setattr("version_affinity.responses.headers.STAMPED", frozenset((PAGE, FRAME, kind)))


def _overrides_stamp(patch: pytest.MonkeyPatch) -> None:
    stamp = Finisher.stamp

    def stamped(self: Finisher, request: Request, decided: DecisionHeaders, served: str) -> tuple[str, str] | None:
        decided.stamped |= request.kind == PAGE
        return stamp(self, request, decided, served)

    patch.setattr(Finisher, "stamp", stamped)


def _no_rescues(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Catalog, "rescues", property(lambda self: {}, lambda self, value: None), raising=False)


def _collisions_overlooked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "version_affinity.rollout.catalog.compare_files",
        lambda builds, bits: compare_files(builds, bits)._replace(different_bytes=frozenset()),
    )


def _collisions_of_staged_versions_counted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Catalog, "guarded_file", lambda self, name, version: None)


def _staged_versions_overlooked(patch: pytest.MonkeyPatch) -> None:
    guarded_file = Catalog.guarded_file
    patch.setattr(Catalog, "guarded_file", lambda self, name, version: guarded_file(self, name, ""))


def _document_for_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("version_affinity.assets.build.wants_document", lambda path, environ, *, has_app: True)


def _conditional_headers_reach_the_application(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("version_affinity.responses.applications.remove_preconditions", lambda environ: None)


MUTATIONS = {
    # The three that the design names.
    "only before pin": _only_before_pin,
    "not minting before routing": _not_minted_before_routing,
    "stamping the decided instead of the served version": _decided_stamped,
    # Further ones.
    "only before pin, without Fetch Metadata": _only_before_pin_without_metadata,
    "key before pin": _key_before_pin,
    "Referer ignored": _no_referer,
    "Referer believed of shared files": _referer_of_any_owner,
    "baseline without history": _baseline_is_the_largest,
    "stale pin kept at 100 %": _stale_pin_kept_at_100_percent,
    "frames stamp the pin": _frames_stamp,
    "prefetches stamp the pin": _prefetches_stamp,
    "overrides stamp the pin": _overrides_stamp,
    "no rescues": _no_rescues,
    "collisions overlooked": _collisions_overlooked,
    "collisions of staged versions counted": _collisions_of_staged_versions_counted,
    "colliding files of staged versions overlooked": _staged_versions_overlooked,
    "the single-page document for everything": _document_for_everything,
    "conditional headers reach the application": _conditional_headers_reach_the_application,
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_mutation_breaks_the_promise(mutation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The property fails, within as many examples as it is given, when the package is broken in this one place."""
    MUTATIONS[mutation](monkeypatch)
    options = {"stateful_step_count": 20, "phases": [Phase.generate], "database": None, "print_blob": False}
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Skew, settings=budget(500, report_multiple_bugs=False, **options))
