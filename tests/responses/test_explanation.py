"""An explanation's answer is what happens: every kind, method and path, under every configuration that matters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.test import create_environ, run_wsgi_app

from tests.builds import (
    COLLISION,
    DIFFERING,
    ENTRY,
    EQUAL,
    OWN,
    SHARED,
    SPLIT,
    Answer,
    bucket_of,
    key_of,
    pinned,
    rollout,
    write_builds,
)
from tests.harness import NAVIGATION, SCRIPT, checked, write_build
from version_affinity import Cookie, Deployment
from version_affinity.cli.commands.explain import HEADERS as CLIENTS
from version_affinity.cli.commands.explain import environ_of
from version_affinity.decision.request import Request

if TYPE_CHECKING:
    from pathlib import Path

    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.datastructures import Headers

    from version_affinity import VersionAffinity

LOST = "/assets/index-N0tHere1.js"
SPA, PAGE_404 = {"not_found_handling": "single-page-application"}, {"not_found_handling": "404-page"}
MIXED = {"app": 50.0, "v2": 50.0}

PATHS = [
    "",
    "/",
    "/about",
    "/about/",
    "/index.html",
    "//index.html",
    "//about",
    "//deep",
    EQUAL,
    DIFFERING,
    COLLISION,
    SHARED,
    *ENTRY.values(),
    *OWN.values(),
    LOST,
    "/assets/lost.css",
    "/photo.jpg",
    "/route/x",
    "/api/x",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]
HEADERS: dict[str, dict[str, str]] = {
    "page": NAVIGATION,
    "page by Accept": {"Accept": "text/html"},
    "frame": {**NAVIGATION, "Sec-Fetch-Dest": "iframe"},
    "subresource": {**SCRIPT, **pinned("v1")},
    "prefetch": {**NAVIGATION, "Sec-Purpose": "prefetch"},
    "service worker": {"Service-Worker": "script", "Sec-Fetch-Dest": "serviceworker", "Sec-Fetch-Mode": "same-origin"},
    "other": {},
    "override": {"Version-Override": "v2"},
    "refused override": {"Version-Override": "v9"},
}
# options of the middleware, whether an application is wrapped, the shares
CONFIGURATIONS: dict[str, tuple[dict[str, Any], bool, dict[str, float]]] = {
    "around an application": ({"app_first": ["/api/*", "!/api/y"]}, True, SPLIT),
    "alone": ({"app_first": ["/api/*"]}, False, SPLIT),
    "single-page, around": (SPA, True, SPLIT),
    "single-page, alone": (SPA, False, SPLIT),
    "single-page, plain paths": ({**SPA, "html_handling": "none"}, False, SPLIT),
    "404 page, around": (PAGE_404, True, SPLIT),
    "404 page, alone": (PAGE_404, False, SPLIT),
    "below a prefix, around": ({**SPA, "prefix": "/shop/"}, True, SPLIT),
    "below a prefix, alone": ({"prefix": "/shop/"}, False, SPLIT),
    "one version": (SPA, False, {"v1": 100.0}),
    "an application as version, around": ({"prefix": "/shop/"}, True, MIXED),
    "an application as version, alone": ({}, False, MIXED),
}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds, each with a 404 page."""
    builds = write_builds(tmp_path_factory.mktemp("builds"))
    for version, directory in builds.items():
        write_build(directory, {"404.html": f"nothing in {version}"})
    return builds


def happened(
    affinity: VersionAffinity, environ: WSGIEnvironment, wrapped: Answer, own: Answer, pages: set[str]
) -> tuple[str, str, Headers]:
    """Ask, and return what answered by the answer itself, whose it is ("" where it does not tell), and its headers."""
    wrapped.environ = own.environ = {}
    before = affinity.counters()
    path = environ["PATH_INFO"]
    body, status, headers = run_wsgi_app(checked(affinity), environ, buffered=True)
    b"".join(body)
    after = affinity.counters()
    trace = headers.get("Version-Affinity", "")
    version = trace.partition(";served=")[2] or trace.partition(";")[0]
    code = int(status[:3])
    for app, name in ((wrapped, "wrapped application"), (own, "application of the version")):
        if app.environ:
            return name, "", headers
    if code == 404:
        return "not found" if after.missing == before.missing else "missing asset", version, headers
    if code != 200:
        return {204: "allowed methods", 307: "redirect", 405: "not allowed"}[code], version, headers
    if "immutable" in headers["Cache-Control"]:
        (named,) = (label for label, count in after.requests.items() if before.requests.get(label) != count)
        return "served by name", named[0], headers
    if after.rescues != before.rescues:
        return "rescue", version, headers
    document = headers["Content-Type"].startswith("text/html") and path.removeprefix("/shop") not in pages
    return "single-page document" if document else "file", version, headers


@pytest.mark.slow
@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("script_name", ["", "/site"])
def test_answer_is_what_happens(builds: dict[str, Path], configuration: str, kind: str, script_name: str) -> None:
    """For every path and method, what an explanation says answers, answers, and it is of the version that it says."""
    options, around, shares = CONFIGURATIONS[configuration]
    wrapped, own = Answer(), Answer(b"own")
    versions = {**builds, "app": own}
    affinity = rollout(versions, wrapped if around else None, shares, ["v0"], **options)
    prefix = options.get("prefix", "/")[:-1]
    pages = {"/index.html"} if options.get("html_handling") == "none" else {"", "/", "/about"}
    wrong = []
    for of in shares:
        headers = {**HEADERS[kind], "Version-Key": key_of(of, shares)}
        for path in [*PATHS, *([prefix + path for path in PATHS] if prefix else [])]:
            for method in METHODS:
                environ = create_environ("/", method=method, headers=headers)
                environ.update(PATH_INFO=path, SCRIPT_NAME=script_name)
                explained = affinity.explain(environ)
                answer, served, sent = happened(affinity, environ, wrapped, own, pages)
                told = sent.get("Version-Affinity", "").partition(";")[0]
                if explained.answer != answer or (served and explained.served not in ("", served)):
                    wrong.append((of, method, path, explained.answer, explained.served, answer, served))
                if told and told != explained.decision.version:
                    wrong.append((of, method, path, "decision", explained.decision.version, told))
    assert wrong == []


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/about", "/api/x", EQUAL, SHARED])
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_inside_an_application_as_version(builds: dict[str, Path], prefix: str, path: str, method: str) -> None:
    """Asked from within an application that is mounted as a version, an explanation says that it answers."""
    own = Answer()
    affinity = rollout({**builds, "app": own}, None, MIXED, prefix=prefix)
    headers = {"Version-Key": key_of("app", MIXED)}
    run_wsgi_app(affinity, create_environ(prefix[:-1] + path, method=method, headers=headers))
    if path == SHARED and method == "GET":
        assert own.environ == {}
    else:
        explained = affinity.explain(own.environ)
        assert (explained.answer, explained.served) == ("application of the version", "app")


def failing(environ: WSGIEnvironment) -> str:
    """Raise, as a key source of somebody's may."""
    raise LookupError(environ["PATH_INFO"])


# The headers, the reason, and the bucket: None for the one that is drawn.
SCORED: dict[str, tuple[dict[str, str], str, str | None]] = {
    "key": ({**NAVIGATION, "Cookie": f"user={key_of('v2')}"}, "key", ""),
    "minted": ({**NAVIGATION, **pinned("v1", bucket_of("v2"))}, "minted", bucket_of("v2")),
    "minted, drawn": (NAVIGATION, "minted", None),
    "bucket": ({"Cookie": f"version-affinity-storefront={bucket_of('v1')}."}, "bucket", bucket_of("v1")),
    "override": ({**NAVIGATION, "Version-Override": "v2", "Cookie": "user=alice"}, "override", ""),
    "pin": ({**SCRIPT, **pinned("v1")}, "pin", ""),
    "random": ({}, "random", ""),
}


@pytest.mark.parametrize("case", SCORED)
def test_scores(builds: dict[str, Path], case: str) -> None:
    """Where a key or a bucket decides, each version has its score, and the decided version the smallest."""
    headers, reason, bucket = SCORED[case]
    affinity = rollout({version: builds[version] for version in SPLIT}, keys=[failing, Cookie("user")])
    explained = affinity.explain(create_environ("/", headers=headers))
    decision, scores = explained.decision, explained.scores
    assert (decision.reason, explained.bucket or None) == (
        reason,
        bucket or (None if bucket == "" else explained.bucket),
    )
    if reason not in ("key", "minted", "bucket"):
        assert scores == {}
        return
    key = f"bucket:{explained.bucket}" if explained.bucket else headers["Cookie"].removeprefix("user=")
    assert scores == Deployment("storefront", SPLIT).scores(key)
    assert min(scores, key=scores.__getitem__) == decision.version


def test_scores_of_a_request_that_is_answered(builds: dict[str, Path]) -> None:
    """Inside a request, the scores are those of its key; a bucket that was drawn for it is not known any more."""
    wrapped = Answer()
    affinity = rollout({version: builds[version] for version in SPLIT}, wrapped, keys=[Cookie("user")])
    run_wsgi_app(affinity, create_environ("/x", headers={**NAVIGATION, "Cookie": "user=alice"}))
    assert affinity.explain(wrapped.environ).scores == Deployment("storefront", SPLIT).scores("alice")
    run_wsgi_app(affinity, create_environ("/x", headers=NAVIGATION))
    explained = affinity.explain(wrapped.environ)
    assert (explained.decision.reason, explained.bucket, explained.scores) == ("minted", "", {})


def test_as_dict(builds: dict[str, Path]) -> None:
    """An explanation can be written as JSON, with everything that it says."""
    affinity = rollout({version: builds[version] for version in SPLIT}, keys=[Cookie("user")])
    explained = affinity.explain(create_environ("/", headers={**NAVIGATION, "Cookie": f"user={key_of('v2')}"}))
    document = json.loads(json.dumps(explained.as_dict()))
    assert document["decision"] == {"version": "v2", "reason": "key", "source": "cookie:user", "refused": ""}
    assert document["steps"][-1] == {"name": "key", "outcome": "v2 (cookie:user)", "decided": True}
    assert (document["kind"], document["answer"], document["served"]) == ("page", "file", "v2")
    assert document["scores"] == explained.scores


@pytest.mark.parametrize("kind", sorted(set(CLIENTS) - {"curl"}))
def test_command_line_kinds(kind: str) -> None:
    """``explain --as`` makes a request of the kind that is asked for."""
    environ, chosen = environ_of("/app.js", method="GET", kind=kind, cookies=(), headers=())
    assert (Request(environ, None).kind, chosen) == (kind, kind)
