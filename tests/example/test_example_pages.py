"""The example's pages in a browser: their sentences, their layout at each size, and their accessibility."""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.browsers import test_browser
from tests.browsers.test_browser import DESKTOP, OTHER, PHONE, READY, Visitor, deploy, lazy_route, version_of
from tests.harness import missing
from tests.servers.servers import free_port, running
from version_affinity import Deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

    from tests.browsers.test_browser import Visit
    from tests.servers.servers import Server

pytestmark = pytest.mark.browser

chromium, browser, shop, visit = test_browser.chromium, test_browser.browser, test_browser.shop, test_browser.visit

PATHS = ("/", "/about", "/product/brass-nib", "/nothing/here", "/rollout", "/welcome", "/login")
VERSIONS = ("v2", "v1", "v0")  # in the order in which the pages list them
DEVICES = {"phone": PHONE, "desktop": DESKTOP}
PHONES = ((320, 568), (360, 640), (390, 844), (568, 320), (844, 390))
SIZES = (*PHONES, (768, 1024), (1024, 600), (1280, 860), (1920, 1080))
SLIDER = "#share"
SENTENCE = "[data-moves]"
USERS = "() => [...document.querySelectorAll('.cohort i')].map(user => user.dataset.of).join()"
#: Whether an element, which may be behind another one, is what a person sees at each of these points of it.
SEEN = """element => [0.02, 0.25, 0.5, 0.75, 0.98].every(part => {
    const {left, top, width, height} = element.getBoundingClientRect();
    const found = document.elementFromPoint(left + width * part, top + height / 2);
    return found !== null && (element.contains(found) || found.contains(element));
})"""
#: Whether all of an element is on the screen.
WHOLE = """element => {
    const {left, top, right, bottom} = element.getBoundingClientRect();
    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
}"""


def size(width: int, height: int) -> ViewportSize:
    """Return a viewport as Playwright takes it."""
    return {"width": width, "height": height}


def sign_in(context: BrowserContext, shop: Server, version: str) -> None:
    """Give a browser the key of a user who has a version at the current percentages."""
    deployment = Deployment("example", json.loads(shop.ask("/api/affinity").body)["percentages"])
    user = next(user for user in map("user-{}".format, range(200)) if deployment.assign(user) == version)
    context.add_cookies([{"name": "user_id", "value": user, "url": shop.url}])


@pytest.mark.parametrize("device", DEVICES)
def test_the_first_page_says_what_it_demonstrates(shop: Server, visit: Visit, device: str) -> None:
    """The first screen of each edition says who gets which shop, and follows the percentages."""
    for percentages, version, says in (
        ({"v1": 50, "v2": 50}, "v1", "half of the visitors get the yellow shop, half the blue one"),
        ({"v1": 90, "v2": 10}, "v2", "10 % of the visitors get the yellow shop, 90 % the blue one"),
        ({"v0": 100}, "v0", "all visitors get the brown shop"),
    ):
        deploy(shop, **percentages)
        visitor = visit(**DEVICES[device])
        sign_in(visitor.context, shop, version)
        page = visitor.open()
        assert version_of(page) == version
        sentence = page.locator(".demonstration", has_text=says)
        sentence.wait_for()
        assert sentence.evaluate(WHOLE)
        assert sentence.evaluate(SEEN)
        deploy(shop, v1=75, v2=25)
        page.wait_for_selector(".demonstration:has-text('25 % of the visitors get the yellow shop, 75 % the blue one')")
        page.close()


@pytest.mark.parametrize("cached", [False, True], ids=["fresh", "with the file in its cache"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_switch_shows_the_broken_tab(shop: Server, browser: Browser, version: str, *, cached: bool) -> None:
    """Without version_affinity an open tab does not get its code. With it, in another browser, it does."""
    contexts = browser.new_context(), browser.new_context()
    try:
        without, protected = (Visitor(context, shop) for context in contexts)
        for visitor in (without, protected):
            sign_in(visitor.context, shop, version)
        if cached:
            assert lazy_route(without.open()) == version
        board = without.open("/rollout")
        board.click("role=switch")
        board.wait_for_selector("role=switch[checked=true]")
        board.wait_for_function(READY)
        with without.context.expect_page() as opened:
            board.click("text=the shop in a second tab")
        tab = opened.value
        tab.wait_for_function(READY)
        other_tab = protected.open()
        assert version_of(tab) == version_of(other_tab) == version
        assert "breaks when the percentages move" in tab.inner_text(".demonstration")
        board.click("text=Roll back to v1" if version == "v2" else ".steps button:has-text('100')")
        tab.wait_for_selector(f".panel-next:has-text('A reload brings {OTHER[version]}')")
        assert without.problems == []
        tab.click("nav a[href='/about']")
        tab.wait_for_selector("[data-lazy-error]")
        assert [problem for problem in without.problems if problem.startswith(f"404 {shop.url}/assets/about-")]
        board.wait_for_selector("[data-missing-unprotected]:not(:text-is('0'))")
        assert lazy_route(other_tab) == version
        assert protected.problems == []
        tab.goto(shop.url)
        assert version_of(tab) == OTHER[version]
        assert lazy_route(tab) == OTHER[version]
        # With the switch off again, the tab keeps working after the next change.
        board.click("role=switch")
        board.wait_for_selector("role=switch[checked=false]")
        tab.goto(shop.url)
        assert version_of(tab) == OTHER[version]
        deploy(shop, **{version: 100})
        assert lazy_route(tab) == OTHER[version]
    finally:
        for context in contexts:
            context.close()


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nothing_covers_the_sentence(shop: Server, visit: Visit, version: str) -> None:
    """The sentence about the moves is readable at every size and scroll position, with the panel closed and open."""
    visitor = visit(reduced_motion="reduce")
    sign_in(visitor.context, shop, version)
    page = visitor.open("/rollout")
    for number, (width, height) in enumerate(SIZES):
        page.set_viewport_size(size(width, height))
        way = ("v1 to v2", 10, 90) if number % 2 == 0 else ("v2 to v1", 90, 10)
        deploy(shop, v1=way[2], v2=way[1])
        page.wait_for_function("share => document.querySelector('#share').valueAsNumber === share", arg=way[1])
        page.click(".steps button:has-text('100')" if way[1] == 10 else ".steps button:has-text('Roll back')")
        sentence = page.locator(SENTENCE, has_text=f"moved from {way[0]}. Nobody moved the other way.")
        sentence.wait_for()
        for opened in (False, True):
            page.evaluate("opened => { document.querySelector('.panel').open = opened }", opened)
            for block in ("start", "center", "end"):
                sentence.evaluate(f"element => element.scrollIntoView({{block: '{block}', behavior: 'instant'}})")
                assert sentence.evaluate(WHOLE), (width, height, block, opened)
                assert sentence.evaluate(SEEN), (width, height, block, opened)
        page.evaluate("() => { document.querySelector('.panel').open = false; scrollTo(0, 0) }")


@pytest.mark.parametrize(("width", "height"), PHONES)
def test_the_effect_is_visible_while_one_drags(visit: Visit, width: int, height: int) -> None:
    """On a phone every simulated user is on the screen and changes while the finger is on the slider."""
    visitor = visit(**PHONE | {"viewport": size(width, height)}, reduced_motion="reduce")
    page = visitor.open("/rollout")
    page.wait_for_selector(".cohort i")
    page.wait_for_load_state("networkidle")
    page.evaluate("() => document.fonts.ready.then(() => 0)")  # text that changes its font moves the page
    page.eval_on_selector(SLIDER, "slider => slider.scrollIntoView({block: 'center', behavior: 'instant'})")
    box = page.locator(SLIDER).bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    seen = [page.evaluate(USERS)]
    new = f"({USERS})().split('v2').length - 1"
    for part, change in (
        (0.7, f"before => {new} > before"),
        (0.9, f"before => {new} > before"),
        (0.1, f"() => {new} < 50"),
    ):
        page.mouse.move(box["x"] + box["width"] * part, middle, steps=3)
        page.wait_for_function(change, arg=seen[-1].count("v2"))
        seen.append(page.evaluate(USERS))
        assert page.locator(".cohort").evaluate(WHOLE)
        assert all(page.locator(".cohort i").evaluate_all(f"users => users.map({SEEN})"))
        assert page.locator(".share").evaluate(WHOLE)
    assert seen[2].count("v2") > seen[0].count("v2") > seen[3].count("v2")
    page.mouse.up()


@pytest.mark.parametrize("shop", ["v0=20,v1=30,v2=50"], indirect=True)
def test_versions_stand_in_one_order(visit: Visit) -> None:
    """The slider, the legend, the tables, the panel and the sentence list the newest version first."""
    page = visit().open("/rollout")
    page.wait_for_selector(".legend li")
    page.click(".panel summary")
    listed = {
        "slider": page.locator(".share .mark-badge").all_inner_texts(),
        "legend": [text[-2:] for text in page.locator(".legend li").all_inner_texts()],
        "counters": page.locator(".tally tbody .mark-badge").all_inner_texts(),
        "panel": [part[:2] for part in page.locator(".panel dd").last.inner_text().split(", ")],
    }
    assert listed == {place: list(VERSIONS) for place in listed}
    home = visit().open()
    sentence = home.locator(".demonstration", has_text="half").inner_text()
    assert sentence.index("yellow") < sentence.index("blue") < sentence.index("brown")


def test_counters_and_reasons_have_captions(visit: Visit) -> None:
    """Each table of counters has a visible caption, and shows each reason in words."""
    page = visit().open("/rollout")
    page.wait_for_selector(".reasons tbody tr")
    captions = page.locator(".tally caption")
    assert captions.count() == page.locator(".tally table").count() == 2
    assert all(captions.evaluate_all("all => all.map(one => one.offsetHeight > 10 && one.innerText.length > 20)"))
    rows = dict(
        zip(*(page.locator(f".reasons {cell}").all_inner_texts() for cell in ("code", "tbody th")), strict=True)
    )
    assert rows.keys() >= {"minted", "name"}
    assert all(
        len(words.split()) >= 3 and reason not in words.split() for reason, words in rows.items() if reason != "name"
    )
    assert "minted" not in page.inner_text(".verdict") + page.inner_text(".why")


LUMINANCES = """async ([picture, parts]) => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + picture;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), {width: image.width, height: image.height});
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(image, 0, 0);
    const linear = value => value <= 0.04045 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
    return parts.map(part => {
        const pixels = context.getImageData(Math.round(image.width * part), 0, 1, image.height).data;
        return Array.from({length: image.height}, (_, y) =>
            0.2126 * linear(pixels[4 * y]) + 0.7152 * linear(pixels[4 * y + 1]) + 0.0722 * linear(pixels[4 * y + 2]));
    });
}"""


def contrast(one: float, other: float) -> float:
    """Return the contrast of two luminances, as WCAG 2 defines it."""
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("version", "shop"),
    [
        ("v2", "v1=50,v2=50"),
        ("v1", "v1=50,v2=50"),
        ("v0", "v0=50,v2=50"),
        ("v2", "v0=50,v2=50"),
        ("v0", "v0=60,v1=20,v2=20"),
    ],
    indirect=["shop"],
)
def test_the_track_has_contrast(shop: Server, visit: Visit, version: str, scheme: str) -> None:
    """On a picture of the slider, the track has 3:1 with the page, and its two parts have 3:1 with each other."""
    visitor = visit(color_scheme=scheme, reduced_motion="reduce")
    sign_in(visitor.context, shop, version)
    page = visitor.open("/rollout")
    assert version_of(page) == version
    page.wait_for_selector(SLIDER)
    for _ in range(60):  # until the two parts have their colours
        picture = base64.b64encode(page.locator(SLIDER).screenshot()).decode()
        share = page.eval_on_selector(SLIDER, "slider => slider.valueAsNumber / 100")
        left, right = page.evaluate(LUMINANCES, [picture, [share / 2, (1 + share) / 2]])
        if contrast(left[len(left) // 2], right[len(right) // 2]) >= 3:
            break
        page.wait_for_timeout(250)
    for column in (left, right):
        assert max(contrast(column[0], pixel) for pixel in column) >= 3
        edge = next(pixel for pixel in column if contrast(column[0], pixel) >= 1.2)
        assert max(contrast(column[0], pixel) for pixel in column[column.index(edge) :][:3]) >= 3
    assert contrast(left[len(left) // 2], right[len(right) // 2]) >= 3


def forget_scripts(visitor: Visitor) -> None:
    """Return the problems that switched-off JavaScript does not explain."""
    visitor.problems[:] = [problem for problem in visitor.problems if not problem.startswith("csp ")]


@pytest.mark.parametrize("path", PATHS)
def test_without_javascript_pages_say_what_is_missing(shop: Server, visit: Visit, path: str) -> None:
    """Without JavaScript each page is readable, fits the screen and names the missing parts."""
    for version in ("v1", "v2"):
        visitor = visit(**PHONE, java_script_enabled=False)
        sign_in(visitor.context, shop, version)
        page = visitor.context.new_page()
        page.goto(shop.url + path)
        note = page.locator("noscript :text('Without JavaScript')")
        assert note.is_visible()
        text = note.inner_text()
        assert ("slider" if path == "/rollout" else "panel") in text
        assert page.locator("h1").count() == 1
        page.close()
        forget_scripts(visitor)


def test_the_rollout_works_without_javascript(shop: Server, visit: Visit) -> None:
    """Without JavaScript, the switch works as a form, and the command on the page moves the percentages."""
    visitor = visit(java_script_enabled=False)
    page = visitor.context.new_page()
    page.goto(f"{shop.url}/rollout")
    page.click("role=switch")
    page.wait_for_selector("role=switch[checked=true]")
    forget_scripts(visitor)
    assert f"curl {shop.url}/api/deploy --json" in page.inner_text("noscript")


@pytest.fixture(scope="module")
def axe() -> Callable[[Page], list[str]]:
    """Return the violations that axe-core finds in a page, each with its rule and its elements."""
    try:
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - it may be missing
    except ImportError:
        missing("axe-core", "it comes with the extra 'test'")
    checker = Axe()

    def violations(page: Page) -> list[str]:
        found: list[dict[str, Any]] = checker.run(page).response["violations"]
        return [f"{page.url}: {one['id']} {[node['target'] for node in one['nodes']]}" for one in found]

    return violations


STATES: dict[str, Callable[[Page], object]] = {
    "/": lambda page: page.click(".panel summary"),
    "/product/brass-nib": lambda page: page.click("text=Add to bag"),
    "/rollout": lambda page: (page.click("role=switch"), page.wait_for_selector("role=switch[checked=true]")),
    "/login": lambda page: (
        page.eval_on_selector("main form", "form => { form.noValidate = true }"),
        page.click("main button"),
        page.wait_for_selector("#problem"),
    ),
}


@pytest.fixture(scope="module")
def every_edition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The example with three editions live."""
    port = free_port()
    command = [sys.executable, "-m", "example_app", f"--port={port}"]
    log = tmp_path_factory.mktemp("every") / "shop.log"
    with running(command, port, log, {"EXAMPLE_PERCENTAGES": "v0=34,v1=33,v2=33"}) as server:
        yield server


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("version", VERSIONS)
def test_axe_finds_nothing(
    every_edition: Server,
    browser: Browser,
    axe: Callable[[Page], list[str]],
    version: str,
    device: str,
    scheme: Any,
) -> None:
    """axe-core finds no violations on any page of an edition, after loading and after interaction."""
    context = browser.new_context(**DEVICES[device], color_scheme=scheme, reduced_motion="reduce")
    try:
        visitor = Visitor(context, every_edition)
        sign_in(context, every_edition, version)
        found: list[str] = []
        for path in PATHS:
            page = visitor.open(path)
            page.wait_for_load_state("networkidle")
            assert version_of(page) == version
            found += axe(page)
            if path in STATES:
                STATES[path](page)
                page.wait_for_function(READY)
                page.wait_for_load_state("networkidle")
                found += axe(page)
            page.close()
        assert found == []
    finally:
        context.close()
