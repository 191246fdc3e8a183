"""Builds with service workers, frames and negotiated URLs in Chromium, Firefox and WebKit.

The builds in data/workers were made by vite-plugin-pwa, by Angular's ngsw-config, and by Vite with a worker that passes
every request on. Each scenario changes the deployment under an open browser and asserts which version the browser
shows, that every part of the page is of that version, and that no request failed.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

import pytest
from browsers import ENGINES, Browser, BrowserError, Tab, browser, eventually, fresh_host
from servers import HOST
from werkzeug.serving import WSGIRequestHandler, make_server

from example_app.app import create_app
from version_affinity import Cookie, Deployment, Version, VersionAffinity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

pytestmark = pytest.mark.browser

DATA = Path(__file__).parent / "data" / "workers"
PRECACHING = ("pwa", "angular")
#: What each kind's worker is, and what it polls for a new version.
POLLED = {"pwa": "/sw.js", "angular": "/ngsw.json", "pass-through": "/sw.js"}
OTHER = {"v1": "v2", "v2": "v1"}
#: A split in which every bucket that is drawn belongs to the first version, but for one in 100,000.
NEARLY_V1, NEARLY_V2 = {"v1": 99.999, "v2": 0.001}, {"v1": 0.001, "v2": 99.999}
SPLIT = {"v1": 50, "v2": 50}

SHOWN = "window.app && document.readyState === 'complete' && [document.documentElement.dataset.version, app.version]"
#: The files without a hash in their names of every cache that the page's worker keeps.
CACHED = """(async () => {
    const found = [];
    for (const name of await caches.keys()) {
        const cache = await caches.open(name);
        const requests = (await cache.keys()).map(request => [new URL(request.url).pathname, request]);
        const stable = requests.filter(([path]) => /^[/]\\w+[.](html|js)$/.test(path));
        const texts = stable.map(async ([path, request]) => [path, await (await cache.match(request)).text()]);
        found.push((await Promise.all(texts)).sort());
    }
    return found;
})()"""


class Seen(NamedTuple):
    """A request, and what answered it."""

    path: str
    mode: str
    dest: str
    accept: str
    referer: str
    worker: bool
    status: int
    version: str


@dataclass
class Site:
    """An application behind a server in this process, and every request that it got."""

    app: WSGIApplication
    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request and note it."""
        path = environ["PATH_INFO"]
        if path == "/clear-cache":
            start_response("200 OK", [("Content-Type", "text/plain"), ("Clear-Site-Data", '"cache"')])
            return [b"cleared"]
        fields = [environ.get(f"HTTP_{name}", "") for name in ("SEC_FETCH_MODE", "SEC_FETCH_DEST", "ACCEPT", "REFERER")]
        worker = environ.get("HTTP_SERVICE_WORKER") == "script"

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            version = environ.get("version_affinity.version", "")
            if path != "/favicon.ico":  # browsers ask for it by themselves
                self.seen.append(Seen(path, *fields, worker, int(status[:3]), version))
            return start_response(status, headers, *rest)

        return self.app(environ, start)

    @property
    def affinity(self) -> VersionAffinity:
        """The application, where it is the middleware."""
        assert isinstance(self.app, VersionAffinity)
        return self.app

    def failures(self) -> list[Seen]:
        """Return the requests that failed."""
        return [seen for seen in self.seen if seen.status >= 400]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def serving(app: WSGIApplication, host: str = "", tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Site]:
    """Serve an application to browsers until the block ends, by default at a host that no browser knows."""
    site = Site(app)
    server = make_server(HOST, port, site, threaded=True, request_handler=_Quiet, ssl_context=tls)
    site.url = f"{'https' if tls else 'http'}://{host or fresh_host()}:{server.port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def versions(kind: str, percentages: dict[str, float]) -> list[Version]:
    """Return the two versions of a kind of build."""
    return [Version(name, DATA / kind / name, percentage=share) for name, share in percentages.items()]


@contextlib.contextmanager
def shop(
    kind: str, percentages: dict[str, float], app: WSGIApplication | None = None, **options: Any
) -> Iterator[Site]:
    """Serve a build as a single-page application; no request of it fails."""
    affinity = VersionAffinity(
        app,
        versions(kind, percentages),
        name="shop",
        keys=[Cookie("user")],
        not_found_handling="single-page-application",
    )
    # Angular's worker waits for five quiet seconds before it fills its cache, but not at localhost.
    with serving(affinity, "localhost" if kind == "angular" else "") as site:
        yield site
    assert site.failures() == []


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all scenarios; each is at a host of its own."""
    with browser(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def tabs(engine: Browser) -> Iterator[Browser]:
    """The browser, whose tabs are closed at the end."""
    yield engine
    engine.close_tabs()


def start(tabs: Browser, site: Site) -> Tab:
    """Open a tab at a site. Cookies go from port to port, so those of the site before are removed."""
    tab = tabs.tab().open(f"{site.url}/clear-cache")
    tab.remove_cookies()
    return tab


def shown(tab: Tab) -> str:
    """Return the version of a page that is complete: its document and its script are of one version."""
    document, script = tab.wait_for(SHOWN)
    assert document == script
    return str(script)


def visit(tab: Tab, site: Site, path: str = "/") -> str:
    """Load a page as if its address was typed, and return its version."""
    return shown(tab.open(site.url + path))


def install(tab: Tab, kind: str, version: str) -> None:
    """Wait until the page's worker is there for the page, with its files where it precaches any."""
    tab.wait_for("navigator.serviceWorker.controller !== null")
    if kind in PRECACHING:
        check_caches(tab, kind, version)


def arrive(tab: Tab, site: Site, version: str) -> None:
    """Let the worker look for updates, and load the page until it is of a version."""

    def look() -> bool:
        # A worker that takes over reloads the page.
        with contextlib.suppress(BrowserError):
            tab.evaluate("app.update()")
        return visit(tab, site) == version

    eventually(look, f"{version} is shown")
    assert tab.evaluate("app.chunk()") == version


def check_caches(tab: Tab, kind: str, version: str) -> None:
    """Wait until a worker has a cache that holds every file of a version, and none of another."""
    names = ("imported.js", "index.html", "inner.js", "lazy.js", "remoteEntry.js", "worker.js")
    files = [[f"/{name}", (DATA / kind / version / name).read_text()] for name in names]
    eventually(lambda: files in tab.evaluate(CACHED), f"a cache of {version} alone")


THERE_AND_BACK = (NEARLY_V1, NEARLY_V2, {"v2": 100}, {"v1": 100}, {"v2": 100})


@pytest.mark.parametrize(
    ("kind", "deployments"),
    [
        ("pwa", THERE_AND_BACK),
        ("pass-through", THERE_AND_BACK),
        # Angular's worker ignores a version that it still holds, so it does not go back within one run of it.
        ("angular", (NEARLY_V1, NEARLY_V2, {"v2": 100})),
        ("angular", (NEARLY_V2, {"v1": 100})),
    ],
    ids=["pwa", "pass-through", "angular, promotion", "angular, rollback"],
)
def test_promotion_rollback_and_retirement(tabs: Browser, kind: str, deployments: list[dict[str, float]]) -> None:
    """A ramp, 100 % and a rollback reach the browser, and a version that is retired then leaves no blank page."""
    first, *others = deployments
    with shop(kind, first) as site:
        tab = start(tabs, site)
        version = visit(tab, site)
        install(tab, kind, version)
        for percentages in others:
            site.affinity.deploy(percentages)
            version = max(percentages, key=lambda name: percentages[name])
            arrive(tab, site, version)
            if kind in PRECACHING:
                check_caches(tab, kind, version)
        if kind == "pass-through":
            check_navigations(tabs.engine, site)
        site.affinity.retire(OTHER[version])
        tab = empty_cache(tabs, tab)
        assert visit(tab, site) == version
        assert tab.evaluate("app.chunk()") == version


def check_navigations(engine: str, site: Site) -> None:
    """Assert that the worker passed navigations on in the way that is this engine's own."""
    navigations = [seen for seen in site.seen if seen.path == "/"]
    if engine == "firefox":
        assert any(
            (seen.mode, seen.dest) == ("same-origin", "empty") and "text/html" in seen.accept for seen in navigations
        )
    else:
        assert any((seen.mode, seen.dest) == ("navigate", "empty") for seen in navigations)
    if engine == "webkit":
        assert any(seen.referer.endswith("/sw.js") for seen in navigations)


def empty_cache(tabs: Browser, tab: Tab) -> Tab:
    """Empty the HTTP cache, and return a new tab: a tab remembers files, too."""
    tab.evaluate("fetch('/clear-cache').then(answer => answer.text())")
    tab.close()
    return tabs.tab()


@pytest.mark.parametrize("kind", PRECACHING)
def test_retired_while_away(tabs: Browser, kind: str) -> None:
    """A browser that was away comes back to its cached page, which is whole, and gets the new version then."""
    with shop(kind, NEARLY_V1) as site:
        tab = start(tabs, site)
        visit(tab, site)
        install(tab, kind, "v1")
        tab = empty_cache(tabs, tab)
        site.affinity.deploy({"v2": 100})
        site.affinity.retire("v1")
        assert tab.open(site.url).evaluate("app.chunk()") in OTHER
        arrive(tab, site, "v2")
        check_caches(tab, kind, "v2")


@pytest.mark.parametrize("kind", PRECACHING)
def test_update_checks_without_a_key(tabs: Browser, kind: str) -> None:
    """A browser without key and bucket stays on the baseline in a split: update checks never reload its tab."""
    with shop(kind, {"v1": 100, "v2": 0}) as site:
        tab = start(tabs, site)
        visit(tab, site)
        install(tab, kind, "v1")
        assert tab.cookies() == {}
        load = tab.evaluate("app.load")
        # The baseline has the smaller share.
        site.affinity.deploy(NEARLY_V2)
        site.seen.clear()
        for _ in range(4):
            tab.evaluate("app.update()")
        assert [seen.version for seen in site.seen if seen.path == POLLED[kind]] == ["v1"] * 4
        assert tab.evaluate("app.load") == load
        assert visit(tab, site) == "v1"
        check_caches(tab, kind, "v1")
        site.affinity.deploy({"v2": 100})
        arrive(tab, site, "v2")


@pytest.mark.parametrize("kind", PRECACHING)
def test_first_visits_in_a_split(tabs: Browser, kind: str) -> None:
    """Page, worker, precached files and update checks of a new browser are of one version, whichever is drawn."""
    drawn: set[str] = set()
    for _ in range(12):
        with shop(kind, SPLIT) as site:
            tab = start(tabs, site)
            version = visit(tab, site)
            install(tab, kind, version)
            load = tab.evaluate("app.load")
            for _ in range(2):
                tab.evaluate("app.update()")
            assert {seen.version for seen in site.seen if seen.version} == {version}
            assert tab.evaluate("app.load") == load
            assert visit(tab, site) == version
            tab.close()
        drawn.add(version)
        if len(drawn) == 2:
            return
    pytest.fail("12 browsers all drew the same version")


@pytest.mark.parametrize("query", ["", "?plain"], ids=["behind a worker", "without a worker"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_an_open_tab(tabs: Browser, query: str, version: str) -> None:
    """Modules, data and a dedicated worker without a hash in their names are of the version of the open tab."""
    with shop("pass-through", {"v1": 100 - 0.001, "v2": 0.001} if version == "v1" else NEARLY_V2) as site:
        tab = start(tabs, site)
        assert visit(tab, site, f"/{query}") == version
        if not query:
            install(tab, "pass-through", version)
        for percentages in ({OTHER[version]: 100}, NEARLY_V1, {OTHER[version]: 100}):
            site.affinity.deploy(percentages)
            assert tab.evaluate("app.data()") == version
            assert tab.evaluate("app.worker()") == [version] * 3
        assert tab.evaluate("app.lazy()") == [version] * 2
        assert tab.evaluate("app.chunk()") == version
        if not query:
            tab.evaluate("app.update()")
            assert tab.evaluate("app.data()") == version


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_example_behind_its_worker(tabs: Browser, version: str) -> None:
    """A ramp and a rollback reach a browser in which the example's own worker answers page loads."""
    deployment = Deployment("example", SPLIT)
    user = next(user for user in map("user-{}".format, range(100)) if deployment.assign(user) == version)
    affinity = create_app(SPLIT).wsgi_app
    assert isinstance(affinity, VersionAffinity)
    show = "document.querySelector('[data-panel=ready]') && document.documentElement.dataset.version"
    with serving(affinity) as site:
        tab = start(tabs, site)
        tab.set_cookie("user_id", user)
        tab.open(f"{site.url}/?sw=1").wait_for("navigator.serviceWorker.controller !== null")
        for percentages, expected in (
            (SPLIT, version),
            ({OTHER[version]: 100}, OTHER[version]),
            ({version: 100}, version),
            (SPLIT, version),
        ):
            affinity.deploy(percentages)
            assert tab.open(site.url).wait_for(show) == expected
            assert tab.evaluate("fetch('/release.json').then(r => r.json()).then(r => r.version)") == expected
    assert site.failures() == []


def api(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with JSON that a browser may keep."""
    body = json.dumps({"from": "the application"}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response("200 OK", [*headers, ("Cache-Control", "max-age=600")])
    return [body]


@pytest.mark.parametrize("percentages", [{"v1": 100, "v2": 0}, NEARLY_V1], ids=["100 %", "split"])
@pytest.mark.parametrize("first", ["fetched first", "visited first"])
def test_a_negotiated_url(tabs: Browser, percentages: dict[str, float], first: str) -> None:
    """A URL that gives a page to a navigation and JSON to a script gives each its own, also from the HTTP cache."""
    fetched = "fetch('/products?plain').then(answer => answer.json())"
    with shop("pass-through", percentages, api) as site:
        tab = start(tabs, site)
        visit(tab, site, "/?plain" if first == "fetched first" else "/products?plain")
        for _ in range(2):
            assert tab.evaluate(fetched) == {"from": "the application"}
            tab.open(f"{site.url}/products?plain")
            assert tab.evaluate("document.contentType") == "text/html"
            assert shown(tab) == "v1"


# Pages of another site. Over https: browsers send a partitioned cookie with Secure only.


def user_of_query(environ: WSGIEnvironment) -> str | None:
    """Return the key of a request. A cookie cannot be one: browsers keep it from frames of other sites."""
    return parse_qs(environ.get("QUERY_STRING", "")).get("user", [None])[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate of this machine, signed by itself."""
    directory = tmp_path_factory.mktemp("certificate")
    names = f"subjectAltName=DNS:localhost,IP:{HOST}"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run(
        [*command, "-addext", names, "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
    return context


PAGE_AROUND = b"""<!doctype html><title>around</title><body><script>
window.frame = (src, again) => new Promise(resolve => {
    const frame = document.createElement("iframe");
    onmessage = ({ data }) => {
        if (again) frame.contentWindow.postMessage("reload", "*");
        else { frame.remove(); resolve(data.files); }
        again = false;
    };
    frame.src = src;
    document.body.append(frame);
});
window.embed = src => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = src;
    script.onload = () => resolve(window.remote);
    script.onerror = reject;
    document.head.append(script);
});
</script>"""


def page_around(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page that can show another site's page in a frame and run its scripts."""
    start_response("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(PAGE_AROUND)))])
    return [PAGE_AROUND]


class Framed(NamedTuple):
    """A tab with a page of one site, and another site that it can embed."""

    tab: Tab
    site: Site

    def fresh(self) -> str:
        """Return an address of the site that embeds, as a browser that has not seen it yet."""
        return f"https://{fresh_host()}:{self.site.url.rpartition(':')[2]}"


@pytest.fixture
def framed(tabs: Browser, certificate: ssl.SSLContext) -> Iterator[Framed]:
    """A page of one site, and another site in a split, both over https."""
    affinity = VersionAffinity(None, versions("pass-through", SPLIT), name="shop", keys=[user_of_query])
    with serving(affinity, tls=certificate) as site, serving(page_around, HOST, certificate) as outer:
        yield Framed(tabs.tab().open(outer.url), site)
    assert site.failures() == []


USERS = [f"user-{number}" for number in range(8)]
ASSIGNED = {user: Deployment("shop", SPLIT).assign(user) for user in USERS}


def test_a_frame_on_another_site(framed: Framed, engine: Browser) -> None:
    """Users in a cross-site frame are split by their key where the browser can pin the frame, with all its files."""
    assert set(ASSIGNED.values()) == {"v1", "v2"}
    for user, assigned in ASSIGNED.items():
        # WebKit keeps no cookie in such a frame.
        version = "v1" if engine.engine == "webkit" else assigned
        address = f"{framed.fresh()}/?plain&user={user}"
        for reload in ("false", "true"):
            assert framed.tab.evaluate(f"frame('{address}', {reload})") == [version] * 5, (user, reload)


def test_a_frame_on_another_site_without_a_key(framed: Framed, engine: Browser) -> None:
    """A frame without a key is drawn once, and stays on that version, with all its files."""
    drawn = set()
    for _ in range(8):
        address = f"{framed.fresh()}/?plain"
        first = framed.tab.evaluate(f"frame('{address}', true)")
        assert len(set(first)) == 1
        for reload in ("false", "true"):
            assert framed.tab.evaluate(f"frame('{address}', {reload})") == first
        drawn.update(first)
    # One run in 128 draws the same version eight times.
    assert drawn == {"v1"} if engine.engine == "webkit" else drawn <= {"v1", "v2"}


def test_scripts_on_another_site(framed: Framed) -> None:
    """A script that another site's page embeds is split by the key of its request."""
    for user, assigned in ASSIGNED.items():
        assert framed.tab.evaluate(f"embed('{framed.fresh()}/remoteEntry.js?user={user}')") == assigned
    framed.site.affinity.deploy({"v2": 100})
    assert framed.tab.evaluate(f"embed('{framed.fresh()}/remoteEntry.js?user={USERS[0]}')") == "v2"
