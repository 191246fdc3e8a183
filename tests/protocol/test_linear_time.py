"""The time that a request takes is linear in each of its parts, whatever they hold."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import Answer, rollout
from tests.harness import NAVIGATION, write_build

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed.wsgi import WSGIApplication

pytestmark = pytest.mark.slow

#: Repeated units that make a bad pattern try again and again.
UNITS = ["a", "/", "%", "%41", "//", "/.", "/../", "a.", "-", ";", ",", "=", '"', " ", "\\", "\xff", ":", "W/", "*"]
FIELDS = [
    *("HTTP_COOKIE", "HTTP_REFERER", "HTTP_RANGE", "HTTP_IF_RANGE", "HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH"),
    *("HTTP_IF_MODIFIED_SINCE", "HTTP_ACCEPT_ENCODING", "HTTP_ACCEPT", "HTTP_HOST", "HTTP_VERSION_OVERRIDE"),
    *("HTTP_CLOUDFLARE_WORKERS_VERSION_OVERRIDES", "HTTP_VERSION_KEY", "HTTP_SEC_FETCH_DEST", "HTTP_SEC_PURPOSE"),
]
BEFORE = {"HTTP_COOKIE": "session_id=", "HTTP_RANGE": "bytes=", "HTTP_REFERER": "https://x.example/", "HTTP_HOST": "x"}
RULES = "\n".join(f"/r{number}/*/:x-:y /to/:splat/:x/:y 302" for number in range(40)) + "\n/* /shown/:splat 200\n"
SIZES = [8_192, 16_384, 32_768, 65_536]
#: Three doublings multiply linear time by 8 and quadratic time by 64; an answer below this many seconds is fast enough.
MOST, FAST = 24, 0.05


@pytest.fixture(scope="module")
def applications(tmp_path_factory: pytest.TempPathFactory) -> dict[str, WSGIApplication]:
    """Twenty versions with rules of their own, and two single-page applications with an override secret."""
    directory = tmp_path_factory.mktemp("linear")
    builds, shares = {}, {}
    for number in range(20):
        rules = RULES.replace("/to/", f"/to{number}/")
        files = {"index.html": "home", "a.gz": "a", "a": "a", "_redirects": rules, "_headers": "/*/x/:y\n  X-Y: :y\n"}
        builds[f"v{number}"] = write_build(directory / f"v{number}", files)
        shares[f"v{number}"] = 5.0
    two = {version: builds[version] for version in ("v0", "v1")}
    options: dict[str, Any] = {"not_found_handling": "single-page-application", "override_secret": "a secret of tests"}
    return {
        "rules": rollout(builds, Answer(), shares),
        "single page": rollout(two, Answer(), {"v0": 50.0, "v1": 50.0}, **options),
        "alone": rollout(two, None, {"v0": 50.0, "v1": 50.0}),
    }


def seconds(application: WSGIApplication, environ: Mapping[str, str]) -> float:
    """Return the process time of the fastest of three answers."""
    taken = []
    for _ in range(3):
        started = time.process_time()
        list(application({"REQUEST_METHOD": "GET", "wsgi.url_scheme": "http", **environ}, lambda *_: list.append))  # type: ignore[arg-type,return-value]
        taken.append(time.process_time() - started)
    return min(taken)


def assert_linear(application: WSGIApplication, make: Callable[[int], Mapping[str, str]], what: object) -> None:
    """Fail where three doublings of a part multiply the time by far more than eight."""
    longest = seconds(application, make(SIZES[-1]))
    if longest < FAST:
        return
    taken = [seconds(application, make(size)) for size in SIZES[:-1]]
    assert longest < MOST * max(taken[0], FAST / 8), (what, [*taken, longest])


@pytest.mark.parametrize("name", ["rules", "single page", "alone"])
@pytest.mark.parametrize(
    "fields", [{}, {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in NAVIGATION.items()}]
)
def test_paths_and_queries(applications: dict[str, WSGIApplication], name: str, fields: dict[str, str]) -> None:
    """A path, a query and the undecoded target, with and without a "/" at the beginning."""
    application = applications[name]
    for unit in UNITS:
        for before in ("/", "", "/r1/", "http://"):

            def paths(size: int, unit: str = unit, before: str = before) -> dict[str, str]:
                text = (before + unit * size)[: size - 1] + "%"
                return {**fields, "PATH_INFO": text, "REQUEST_URI": text, "RAW_URI": text}

            assert_linear(application, paths, (name, unit, before))
        for before in ("", "version-override=", "a&"):

            def queries(size: int, unit: str = unit, before: str = before) -> dict[str, str]:
                return {**fields, "PATH_INFO": "/", "QUERY_STRING": (before + unit * size)[:size]}

            assert_linear(application, queries, (name, unit, before))


@pytest.mark.parametrize("name", ["rules", "single page"])
@pytest.mark.parametrize("field", FIELDS)
def test_fields(applications: dict[str, WSGIApplication], name: str, field: str) -> None:
    """Each field that is read, on a page, a file with compressed forms and a path of the application."""
    for unit in [*UNITS, "a=b; ", '"a", ', "0-1,", "gzip;q=0.1,", "version-affinity-app=", "a=b, "]:
        for path in ("/", "/a", "/nothing"):

            def values(size: int, unit: str = unit, path: str = path) -> dict[str, str]:
                return {"PATH_INFO": path, field: (BEFORE.get(field, "") + unit * size)[:size]}

            assert_linear(applications[name], values, (name, field, unit, path))
