"""What answers at a path under a decision: the whole table of step 4."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import create_environ

from tests.builds import COLLISION, DIFFERING, ENTRY, EQUAL, OWN, write_builds
from tests.harness import NAVIGATION, SCRIPT, write_build
from version_affinity import StaticAssets
from version_affinity.app_first import compile_patterns
from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.routing import Redirect
from version_affinity.counters import Tally
from version_affinity.responses.route import route
from version_affinity.rollout.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[..., tuple[str, str, str]]

HTML = {"Accept": "text/html"}
ANY = {"Accept": "*/*"}
FRAME = {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}
PREFETCH = {**NAVIGATION, "Sec-Purpose": "prefetch"}
WORKER = {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Return the function that asks v1 for a path: what answers, its path, and the version that it is from."""
    directories = write_builds(tmp_path_factory.mktemp("builds"))
    write_build(directories["v1"], {"404.html": "gone", "docs/404.html": "no such page"})
    loaded = {
        handling: {
            version: StaticAssets(directory, not_found_handling=handling).build
            for version, directory in directories.items()
        }
        for handling in ("none", "404-page", "single-page-application")
    }
    routes: dict[str, dict[str, Any]] = {handling: {"v1": {}} for handling in loaded}
    catalog = Catalog(
        loaded["none"],
        staged={"v2"},
        live={"v1"},
        prefix="/",
        tallies=lambda version: Tally(),
    )

    def asked(
        path: str, headers: dict[str, str], handling: str = "none", method: str = "GET", *, has_app: bool = True
    ) -> tuple[str, str, str]:
        environ = create_environ(path, method=method, headers=headers)
        state: Any = SimpleNamespace(
            settings=SimpleNamespace(prefix="/"), builds=loaded[handling], catalog=catalog, routes=routes[handling]
        )
        what, target, served, _ = route(state, path, "v1", environ, compile_patterns([]), has_app)
        named = target.path if isinstance(target, Asset | Redirect) else ""
        return what, named, served

    return asked


@pytest.mark.parametrize("headers", [NAVIGATION, SCRIPT, HTML, {}])
@pytest.mark.parametrize("handling", ["none", "404-page", "single-page-application"])
@pytest.mark.parametrize("has_app", [True, False])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (EQUAL, ("file", EQUAL, "v1")),
        (DIFFERING, ("file", DIFFERING, "v1")),
        (COLLISION, ("file", COLLISION, "v1")),
        (ENTRY["v1"], ("file", ENTRY["v1"], "v1")),
        ("/", ("file", "/index.html", "v1")),
        ("/about", ("file", "/about.html", "v1")),
        ("/about.html", ("redirect", "/about", "v1")),
        ("/index.html", ("redirect", "/", "v1")),
        ("", ("redirect", "/", "v1")),
        (OWN["v0"], ("rescue", OWN["v0"], "v0")),
    ],
)
def test_what_a_version_has(
    ask: Ask, path: str, expected: tuple[str, str, str], headers: dict[str, str], handling: str, has_app: bool
) -> None:
    """The decided version's file, its redirect or a rescue answers, whoever asks and whatever is configured."""
    assert ask(path, headers, handling, has_app=has_app) == expected


DOCUMENT, MISSING = ("single-page document", "/index.html", "v1"), ("missing asset", "", "v1")
APP, NOTHING = ("wrapped application", "", ""), ("not found", "", "v1")
GONE, NO_DOCS = ("not found", "/404.html", "v1"), ("not found", "/docs/404.html", "v1")
LOST, STAGED = "/assets/index-N0tHere1.js", OWN["v2"]

# path, headers, then what answers: (single-page with an app, without), (404 page with an app, without)
UNCLAIMED = [
    ("/route/x", NAVIGATION, (DOCUMENT, DOCUMENT), (APP, GONE)),
    ("/route/x", {**NAVIGATION, "Sec-Fetch-Dest": "empty"}, (DOCUMENT, DOCUMENT), (APP, GONE)),
    ("/route/x", HTML, (DOCUMENT, DOCUMENT), (APP, GONE)),
    ("/route/x", SCRIPT, (APP, NOTHING), (APP, GONE)),
    ("/route/x", FETCH, (APP, NOTHING), (APP, GONE)),
    ("/route/x", PREFETCH, (DOCUMENT, DOCUMENT), (APP, GONE)),
    ("/route/x", FRAME, (APP, DOCUMENT), (APP, GONE)),
    ("/route/x", WORKER, (APP, NOTHING), (APP, GONE)),
    ("/route/x", ANY, (APP, DOCUMENT), (APP, GONE)),
    ("/route/x", {}, (APP, DOCUMENT), (APP, GONE)),
    ("/docs/x", NAVIGATION, (DOCUMENT, DOCUMENT), (APP, NO_DOCS)),
    ("/v1.2", NAVIGATION, (DOCUMENT, DOCUMENT), (APP, GONE)),
    ("/v1.2", {}, (APP, DOCUMENT), (APP, GONE)),
    ("/old.html", HTML, (DOCUMENT, DOCUMENT), (APP, GONE)),
    # a media type's extension: only a browser that tells of a navigation is believed
    ("/photo.jpg", NAVIGATION, (DOCUMENT, DOCUMENT), (APP, GONE)),
    ("/photo.jpg", HTML, (APP, NOTHING), (APP, GONE)),
    ("/photo.jpg", {}, (APP, NOTHING), (APP, GONE)),
    ("/media/photo.jpg", SCRIPT, (APP, NOTHING), (APP, GONE)),
    ("/main.js", SCRIPT, (APP, NOTHING), (APP, GONE)),
    # what looks like a build's asset is 404 for everyone but a navigation of a single-page application
    (LOST, SCRIPT, (MISSING, MISSING), (MISSING, MISSING)),
    (LOST, {}, (MISSING, MISSING), (MISSING, MISSING)),
    (LOST, HTML, (MISSING, MISSING), (MISSING, MISSING)),
    (LOST, FETCH, (MISSING, MISSING), (MISSING, MISSING)),
    (LOST, WORKER, (MISSING, MISSING), (MISSING, MISSING)),
    ("/assets/old.css", SCRIPT, (MISSING, MISSING), (MISSING, MISSING)),
    ("/_next/static/chunks/x.js", SCRIPT, (MISSING, MISSING), (MISSING, MISSING)),
    ("/main.1a2b3c4d.js", SCRIPT, (MISSING, MISSING), (MISSING, MISSING)),
    # where no build has a directory, hashed names are the application's own
    ("/static/js/main.1a2b3c4d.chunk.js", SCRIPT, (APP, MISSING), (APP, MISSING)),
    # a staged version rescues nobody
    (STAGED, SCRIPT, (APP, NOTHING), (APP, GONE)),
]


@pytest.mark.parametrize(("path", "headers", "single_page", "not_found_page"), UNCLAIMED)
def test_what_no_version_has(
    ask: Ask,
    path: str,
    headers: dict[str, str],
    single_page: tuple[object, object],
    not_found_page: tuple[object, object],
) -> None:
    """What no version has is the document for pages, 404 for assets, and the application's for all else."""
    spa, page = "single-page-application", "404-page"
    assert (ask(path, headers, spa), ask(path, headers, spa, has_app=False)) == single_page
    assert (ask(path, headers, page), ask(path, headers, page, has_app=False)) == not_found_page


@pytest.mark.parametrize(("path", "headers", "single_page", "not_found_page"), UNCLAIMED)
def test_without_handling(
    ask: Ask,
    path: str,
    headers: dict[str, str],
    single_page: tuple[object, object],
    not_found_page: tuple[object, object],
) -> None:
    """Without a handling, an application gets what is no asset, and without one it is not found."""
    with_app, without = not_found_page
    assert ask(path, headers) == with_app
    assert ask(path, headers, has_app=False) == (MISSING if without == MISSING else NOTHING)
