"""A real browser in the example while versions come and go: whatever happens, no page misses a file of its own.

Every request of every visitor is watched: one that fails or is answered 4xx or 5xx fails the test, and so does anything
that a browser reports on its console.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.example.test_example_builds import BUILDS
from tests.harness import missing
from tests.servers.servers import ROOT, Server, free_port, running
from version_affinity import Deployment, override_link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, Request, Response

    Visit = Callable[..., "Visitor"]

pytestmark = pytest.mark.browser

ARTIFACTS = ROOT / "artifacts"
SPLIT = {"v1": 50, "v2": 50}
OTHER = {"v1": "v2", "v2": "v1"}
PIN = "version-affinity-example"
SECRET = "of the example in tests"  # noqa: S105 - it protects nothing
#: Without them a browser looks for services of its maker, and tests would depend on the network.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: What a page says of itself: its document, its script and its style sheet, each naming the version that it is from.
MARKS = """() => [
    document.documentElement.dataset.version,
    document.documentElement.dataset.scriptVersion,
    getComputedStyle(document.documentElement).getPropertyValue('--build').trim(),
]"""
READY = "() => document.readyState === 'complete' && document.querySelector('[data-panel=ready]') !== null"
DECODED = "() => Promise.all([...document.images].map(image => image.decode())).then(images => images.length)"


class Visitor:
    """A browser profile of its own in the shop, and what went wrong in it."""

    def __init__(self, context: BrowserContext, shop: Server) -> None:
        self.context = context
        self.url = shop.url
        self.problems: list[str] = []
        self.responses: list[Response] = []
        context.set_default_timeout(20_000)
        context.on("response", self._note)
        context.on("requestfailed", self._note_failure)
        context.on("console", lambda said: said.type in ("error", "warning") and self.problems.append(said.text))
        context.on("weberror", lambda raised: self.problems.append(str(raised.error)))

    def _note(self, response: Response) -> None:
        self.responses.append(response)
        if response.status >= 400:
            self.problems.append(f"{response.status} {response.url}")

    def _note_failure(self, request: Request) -> None:
        # The browser's own doing: a page that is left drops what it was still asking for.
        if request.failure != "net::ERR_ABORTED":
            self.problems.append(f"{request.failure} {request.url}")

    def open(self, path: str = "/") -> Page:
        """Load a page in a new tab, and return it once it is complete."""
        page = self.context.new_page()
        page.goto(self.url + path)
        page.wait_for_function(READY)
        return page

    def cookies(self) -> dict[str, str]:
        """Return the cookies that the browser keeps for the shop."""
        return {str(cookie["name"]): str(cookie["value"]) for cookie in self.context.cookies(self.url)}

    def check_files(self, version: str) -> None:
        """Assert that every file with a content hash so far came with that version's bytes."""
        paths = {urlsplit(response.url).path: response for response in self.responses}
        assets = {path: response for path, response in paths.items() if path.startswith("/assets/")}
        assert len(assets) >= 8
        for path, response in assets.items():
            assert response.body() == (BUILDS / version / path.lstrip("/")).read_bytes(), path


def version_of(page: Page) -> str:
    """Return the version of a page, all of whose parts are from the same one and whose pictures are there."""
    page.wait_for_function(READY)
    document, *others = page.evaluate(MARKS)
    assert others == [document, document]
    page.evaluate(DECODED)
    return str(document)


def lazy_route(page: Page) -> str:
    """Open the page whose code is fetched only then, and return the version of that code."""
    page.click("nav a[href='/about']")
    page.wait_for_selector("[data-lazy-version], [data-lazy-error]")
    assert page.locator("[data-lazy-error]").count() == 0
    page.evaluate(DECODED)
    return str(page.get_attribute("[data-lazy-version]", "data-lazy-version"))


def stable_file(page: Page) -> str:
    """Return the version of the file with a stable name that the page gets."""
    return str(page.evaluate("async () => (await (await fetch('/release.json')).json()).version"))


def user_of(version: str) -> str:
    """Return a user id that is on a version at 50/50."""
    deployment = Deployment("example", SPLIT)
    return next(user for user in map("user-{}".format, range(100)) if deployment.assign(user) == version)


def deploy(shop: Server, **percentages: float) -> None:
    """Change the percentages while the shop is open."""
    with shop.connection() as connection:
        connection.request("POST", "/api/deploy", json.dumps(percentages), {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200


@pytest.fixture(scope="module")
def chromium() -> Iterator[tuple[BrowserType, str]]:
    """Playwright's Chromium driver, and the system's Chromium for it."""
    if importlib.util.find_spec("playwright") is None:
        missing("Playwright", "it comes with the extra 'test'")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - it may be missing

    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing("Chromium", "no chromium on the PATH")
    with sync_playwright() as playwright:
        yield playwright.chromium, found


@pytest.fixture(scope="module")
def browser(chromium: tuple[BrowserType, str]) -> Iterator[Browser]:
    """One browser for all visitors; each of them has a profile of its own."""
    driver, executable = chromium
    with driver.launch(executable_path=executable, args=FLAGS) as browser:
        yield browser


@pytest.fixture
def shop(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The example in a process of its own, started as the README says, at 50/50 or what the test asks for."""
    port = free_port()
    percentages = getattr(request, "param", "v1=50,v2=50")
    command = [sys.executable, "-m", "example_app", f"--port={port}"]
    environment = {"EXAMPLE_PERCENTAGES": percentages, "EXAMPLE_OVERRIDE_SECRET": SECRET}
    with running(command, port, tmp_path / "shop.log", environment) as server:
        yield server
        counters = json.loads(server.ask("/api/affinity").body)["counters"]
        log = server.log.read_text()
        sys.stderr.write(log)
    assert counters["missing"] == {}
    assert "Traceback" not in log


@pytest.fixture
def visit(browser: Browser, shop: Server) -> Iterator[Visit]:
    """Make a visitor; at the end, none of them has met a problem."""
    visitors: list[Visitor] = []

    def new(**options: Any) -> Visitor:
        visitors.append(Visitor(browser.new_context(**options), shop))
        return visitors[-1]

    yield new
    for visitor in visitors:
        visitor.context.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


def test_thirty_fresh_visitors(visit: Visit) -> None:
    """At 50/50 every first visit, wherever it begins, is whole, with its own version's bytes in every file."""
    seen: Counter[str] = Counter()
    for number in range(30):
        visitor = visit()
        page = visitor.open(("/", "/product/brass-nib", "/about", "/", "/rollout")[number % 5])
        version = version_of(page)
        assert stable_file(page) == version
        assert visitor.cookies()[PIN].split(".")[1] == version  # a signature follows
        visitor.check_files(version)
        seen[version] += 1
        page.close()
    assert seen.keys() == {"v1", "v2"}


@pytest.mark.parametrize(
    ("shop", "deployments", "follows"),
    [
        ("v1=50,v2=50", [{"v2": 100}], True),
        ("v1=50,v2=50", [{"v1": 10, "v2": 90}, {"v2": 100}, {"v1": 100}], True),
        ("v1=50,v2=50", [{"v2": 100}, {"v0": 100}], True),
        # Without a split there is no cookie, and a stable name says nothing about the page that asks for it.
        ("v1=100,v2=0", [{"v2": 100}], False),
        ("v1=100,v2=0", [{"v1": 50, "v2": 50}], True),
        ("v1=100,v2=0", [{"v1": 50, "v2": 50}, {"v2": 100}, {"v1": 0, "v2": 100}], False),
        ("v1=100", [{"v2": 100}, {"v1": 100}], True),
    ],
    indirect=["shop"],
)
def test_an_open_tab_outlives_its_deployment(
    shop: Server, visit: Visit, deployments: list[dict[str, float]], *, follows: bool
) -> None:
    """A tab at v1 opens its lazy route after a ramp to v2, after a rollback, and without v1 in the deployment."""
    visitor = visit()
    visitor.context.add_cookies([{"name": "user_id", "value": user_of("v1"), "url": shop.url}])
    page = visitor.open()
    assert version_of(page) == "v1"
    for percentages in deployments:
        deploy(shop, **percentages)
    assert lazy_route(page) == "v1"
    assert version_of(page) == "v1"
    visitor.check_files("v1")
    if follows:
        assert stable_file(page) == "v1"
    page.reload()
    arrived = version_of(page)
    assert arrived == Deployment("example", deployments[-1]).assign(user_of("v1"))
    assert stable_file(page) == arrived


@pytest.mark.parametrize("rounds", range(3))
def test_a_rollback_returns_an_open_canary(shop: Server, visit: Visit, rounds: int) -> None:
    """A tab at v2 opens its lazy route after everybody was sent back to v1, and moves when it is loaded again."""
    del rounds  # each is another bucket
    visitor = visit()
    deploy(shop, v1=1, v2=99)
    page = visitor.open()
    canary = version_of(page)
    deploy(shop, v1=100, v2=0)
    assert lazy_route(page) == canary
    assert stable_file(page) == canary
    visitor.check_files(canary)
    page.reload()
    assert version_of(page) == "v1"
    assert stable_file(page) == "v1"


def test_a_first_visit_that_sets_a_session(visit: Visit) -> None:
    """The answer that hands out the key is whole, and so is the next page, which the key decides, moved or not."""
    moved: set[bool] = set()
    for _ in range(40):
        visitor = visit()
        page = visitor.open("/welcome")
        first = version_of(page)
        assert stable_file(page) == first
        visitor.check_files(first)
        page.click("text=Enter the shop")
        page.wait_for_url("**/")
        second = version_of(page)
        assert second == Deployment("example", SPLIT).assign(visitor.cookies()["session_id"])
        assert stable_file(page) == second
        assert lazy_route(page) == second
        page.close()
        moved.add(first != second)
        if len(moved) == 2:
            return
    pytest.fail("40 visitors all moved, or none of them did")


def test_a_session_that_begins_behind_an_open_page(visit: Visit) -> None:
    """A key that an API call hands out changes nothing for the page that is open."""
    for _ in range(3):
        visitor = visit()
        page = visitor.open()
        version = version_of(page)
        page.evaluate("() => fetch('/api/session').then(answer => answer.json())")
        session = visitor.cookies()["session_id"]
        assert lazy_route(page) == version
        assert stable_file(page) == version
        visitor.check_files(version)
        page.reload()
        assert version_of(page) == Deployment("example", SPLIT).assign(session)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_login_in_the_middle(shop: Server, visit: Visit, version: str) -> None:
    """Signing in moves the visitor to the user's version with the next page, whole, and signing out moves back."""
    visitor = visit()
    visitor.context.add_cookies([{"name": "session_id", "value": user_of(version), "url": shop.url}])
    page = visitor.open()
    assert version_of(page) == version
    page.click(".panel summary")
    page.fill("#panel-user", user_of(OTHER[version]))
    with page.expect_navigation():
        page.click("text=Sign in")
    assert version_of(page) == OTHER[version]
    assert stable_file(page) == OTHER[version]
    assert lazy_route(page) == OTHER[version]
    page.click(".panel summary")
    with page.expect_navigation():
        page.click("text=Sign out")
    assert version_of(page) == version
    assert stable_file(page) == version


def test_a_login_in_another_tab(visit: Visit) -> None:
    """Two tabs on two versions: each one's lazy route works; files with a stable name follow the last page."""
    visitor = visit()
    first = visitor.open()
    version = version_of(first)
    second = visitor.open("/login")
    assert version_of(second) == version
    second.fill("main input[name=user_id]", user_of(OTHER[version]))
    with second.expect_navigation():
        second.click("main button[type=submit]")
    assert version_of(second) == OTHER[version]
    assert lazy_route(first) == version
    assert lazy_route(second) == OTHER[version]
    assert stable_file(first) == stable_file(second) == OTHER[version]
    assert version_of(first) == version
    first.reload()
    assert version_of(first) == OTHER[version]


def test_two_tabs_on_two_versions_without_a_key(shop: Server, visit: Visit) -> None:
    """A tab from before a deployment and one from after it live side by side."""
    visitor = visit()
    old = visitor.open()
    version = version_of(old)
    deploy(shop, **{OTHER[version]: 100})
    new = visitor.open()
    assert version_of(new) == OTHER[version]
    assert lazy_route(old) == version
    assert lazy_route(new) == OTHER[version]
    assert stable_file(old) == stable_file(new) == OTHER[version]


@pytest.mark.parametrize("shop", ["v1=100,v2=0"], indirect=True)
def test_an_override_link(shop: Server, visit: Visit) -> None:
    """A link shows the staged version with all its files, at the URL without what was signed, until it is left."""
    visitor = visit()
    path = "/product/brass-nib?from=chat#reviews"
    link = override_link("v2", name="example", secret=SECRET, lifetime=600, path=path, base=shop.url)
    page = visitor.context.new_page()
    page.goto(link)
    assert version_of(page) == "v2"
    assert page.url == shop.url + path
    assert stable_file(page) == "v2"
    assert lazy_route(page) == "v2"
    visitor.check_files("v2")
    page.reload()
    assert version_of(page) == "v2"
    assert version_of(visitor.open("/rollout")) == "v2"
    assert visitor.cookies().keys() == {f"{PIN}.override"}
    page.goto(f"{shop.url}/about?version-override=")
    assert version_of(page) == "v1"
    assert page.url == f"{shop.url}/about"
    assert stable_file(page) == "v1"
    assert visitor.cookies() == {}
    page.goto(link.replace("version-override=", "version-override=x"))
    assert version_of(page) == "v1"
    assert page.url == shop.url + path
    page.goto(link)  # until it expires it can be opened again
    assert version_of(page) == "v2"


def test_cookies_blocked(chromium: tuple[BrowserType, str], shop: Server, tmp_path: Path) -> None:
    """A browser that keeps no cookie is drawn anew on each page, and every one of these pages is whole."""
    profile = tmp_path / "profile"
    (profile / "Default").mkdir(parents=True)
    blocked = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Default" / "Preferences").write_text(json.dumps(blocked))
    driver, executable = chromium
    with driver.launch_persistent_context(profile, executable_path=executable, args=FLAGS) as context:
        visitor = Visitor(context, shop)
        seen: set[str] = set()
        for number in range(40):
            page = visitor.open()
            version = version_of(page)
            assert lazy_route(page) == version
            assert stable_file(page) == "v1"  # the baseline: nothing tells whose page it is
            if number == 1:
                assert all("cookie" not in response.request.all_headers() for response in visitor.responses[-10:])
            page.close()
            seen.add(version)
            if number > 4 and len(seen) == 2:
                break
        assert seen == {"v1", "v2"}
        assert visitor.cookies() == {}
        assert visitor.problems == []


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_service_worker_that_fetches_pages(shop: Server, visit: Visit, version: str) -> None:
    """A page that comes through a service worker is decided and pinned as one that does not."""
    visitor = visit()
    visitor.context.add_cookies([{"name": "user_id", "value": user_of(version), "url": shop.url}])
    page = visitor.open("/?sw=1")
    page.wait_for_function("() => navigator.serviceWorker.controller !== null")
    answer = page.goto(shop.url)
    assert answer is not None
    assert answer.from_service_worker
    assert version_of(page) == version
    assert stable_file(page) == version
    deploy(shop, **{OTHER[version]: 100})
    assert lazy_route(page) == version
    assert stable_file(page) == version
    page.reload()
    assert version_of(page) == OTHER[version]
    assert stable_file(page) == OTHER[version]
    deploy(shop, **SPLIT)
    page.goto(shop.url)
    assert version_of(page) == version
    assert stable_file(page) == version


@pytest.mark.parametrize("kept", [True, False], ids=["kept in memory", "loaded again"])
def test_back_and_forward(chromium: tuple[BrowserType, str], shop: Server, *, kept: bool) -> None:
    """The pages of a tab's history are whole and go on working, while newer ones are of another version."""
    driver, executable = chromium
    # Playwright switches the browser's back/forward cache off; people have it.
    without = ["--disable-back-forward-cache"] if kept else []
    with driver.launch(executable_path=executable, args=FLAGS, ignore_default_args=without) as browser:
        visitor = Visitor(browser.new_context(), shop)
        visitor.context.add_init_script("addEventListener('pageshow', shown => { window.kept = shown.persisted })")
        page = visitor.open()
        version = version_of(page)
        page.goto(f"{shop.url}/rollout")
        assert version_of(page) == version
        deploy(shop, **{OTHER[version]: 100})
        page.goto(f"{shop.url}/product/brass-nib")
        assert version_of(page) == OTHER[version]
        # "commit": a page from memory is not loaded.
        page.go_back(wait_until="commit")
        page.wait_for_url("**/rollout", wait_until="commit")
        version_of(page)
        page.go_back(wait_until="commit")
        page.wait_for_function("() => location.pathname === '/'")
        if kept:
            assert page.evaluate("() => window.kept")
            assert version_of(page) == version
        returned = version_of(page)
        assert lazy_route(page) == returned
        page.go_back(wait_until="commit")
        page.wait_for_function("() => location.pathname === '/'")
        for path in ("/about", "/"):
            page.evaluate("path => path === '/about' ? history.forward() : history.back()", path)
            page.wait_for_function("path => location.pathname === path", arg=path)
            assert version_of(page) == returned
        page.reload()
        assert version_of(page) == OTHER[version]
        assert lazy_route(page) == OTHER[version]
        assert visitor.problems == []


def test_the_controls_move_the_rollout(visit: Visit) -> None:
    """The rollout page sends everybody to one version; a tab of the other one learns of it and goes on working."""
    visitor = visit()
    tab = visitor.open()
    version = version_of(tab)
    board = visitor.open("/rollout")
    board.click("text=Roll back to v1" if version == "v2" else ".steps button:has-text('100')")
    tab.wait_for_selector(f".panel-next:has-text('A reload brings {OTHER[version]}')")
    assert lazy_route(tab) == version
    tab.reload()
    assert version_of(tab) == OTHER[version]


PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 860}}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "options"), [("phone", PHONE), ("desktop", DESKTOP)], ids=["phone", "desktop"])
def test_pictures_of_the_pages(visit: Visit, device: str, options: dict[str, Any], scheme: str) -> None:
    """Every page fits the screen, and a picture of it is kept."""
    ARTIFACTS.mkdir(exist_ok=True)
    visitor = visit(**options, color_scheme=scheme, reduced_motion="reduce")
    for version, path, last in (("v1", "/", "#shelf li"), ("v2", "/", "#shelf li"), ("v2", "/rollout", ".cohort i")):
        visitor.context.add_cookies([{"name": "user_id", "value": user_of(version), "url": visitor.url}])
        page = visitor.open(path)
        page.wait_for_selector(last)
        assert version_of(page) == version
        assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        title = path.strip("/") or "shop"
        page.screenshot(path=ARTIFACTS / f"{title}-{version}-{device}-{scheme}.png")
        page.close()
