"""Builds with service workers, and negotiated URLs, in Chromium, Firefox and WebKit.

The builds in data/workers were made by vite-plugin-pwa, by Angular's ngsw-config, and by Vite with a worker that passes
every request on. Each scenario changes the deployment under an open browser and asserts which version the browser
shows, that every part of the page is of that version, and that no request failed.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

import pytest

from example_app.app import create_app
from tests.browsers.browsed import DATA, NEARLY_V1, NEARLY_V2, OTHER, SPLIT, Site, serving, shop, shown, start, visit
from tests.browsers.browsers import Browser, BrowserError, Tab, eventually
from version_affinity import Deployment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

pytestmark = pytest.mark.browser

PRECACHING = ("pwa", "angular")
#: What each kind's worker is, and what it polls for a new version.
POLLED = {"pwa": "/sw.js", "angular": "/ngsw.json", "pass-through": "/sw.js"}
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


def test_a_worker_with_a_name_of_its_own(tabs: Browser, tmp_path: Path) -> None:
    """A worker's script is found by its code: a ramp and a rollback reach the browser under any name of the script."""
    for version in OTHER:
        build = shutil.copytree(DATA / "pwa" / version, tmp_path / "pwa" / version)
        (build / "sw.js").rename(build / "background.js")
        (script,) = build.glob("assets/index-*.js")
        script.write_text(script.read_text().replace("/sw.js", "/background.js"))
    with shop("pwa", NEARLY_V1, data=tmp_path) as site:
        tab = start(tabs, site)
        assert visit(tab, site) == "v1"
        install(tab, "pwa", "v1")
        for percentages, version in ((NEARLY_V2, "v2"), ({"v1": 100}, "v1")):
            site.affinity.deploy(percentages)
            arrive(tab, site, version)
            check_caches(tab, "pwa", version)


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
    app = create_app(SPLIT)
    affinity = app.extensions["version_affinity"]
    show = "document.querySelector('[data-panel=ready]') && document.documentElement.dataset.version"
    with serving(app.wsgi_app) as site:
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
