"""The typed public API. Never run: the strict type check reads it, so that a change of a signature is seen."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest

from version_affinity import (
    ConfigurationError,
    Cookie,
    Counts,
    Decision,
    Deployment,
    Explanation,
    Header,
    HtmlHandling,
    MissingBuild,
    NotFoundHandling,
    Releases,
    StaticAssets,
    Step,
    Version,
    VersionAffinity,
    asset_tags,
    asset_url,
    current_version,
    django,
    override_link,
    sign_override,
)
from version_affinity.flask import flask_routes, init_app
from version_affinity.metrics import MetricsCollector, metrics_app

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask import Flask
    from markupsafe import Markup


affinity = VersionAffinity(None, [Version("v1", "builds/v1")])


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Stand for any WSGI application."""
    version: str = current_version(environ)
    url: str = asset_url(environ, "src/main.ts")
    tags: str = asset_tags(environ, "src/main.ts")
    tags = affinity.asset_tags(environ, "src/main.ts", nonce="r4nd0m", crossorigin=False)
    url = affinity.asset_url(environ, "logo.svg")
    version = affinity.current_version(environ)
    decision: Decision = environ["version_affinity.decision"]
    start_response("200 OK", [("Content-Type", "text/html"), ("X-Reason", decision.reason)])
    return [version.encode(), url.encode(), tags.encode()]


def tenant(environ: WSGIEnvironment) -> str | bytes | None:
    """Stand for any key source."""
    return b"a" if "HTTP_X_TENANT" in environ else None


def text_only(environ: WSGIEnvironment) -> str:
    """Stand for a key source that always yields text."""
    return str(environ["REMOTE_ADDR"])


def construct() -> VersionAffinity:
    """Name every option, and every form of a version."""
    build = StaticAssets(Path("builds/v3"), html_handling="none", not_found_handling="404-page", memory=0)
    versions: list[Version] = [
        Version("v1", "builds/v1", percentage=90),
        Version("v2", Path("builds/v2"), percentage=9.5),
        Version("v3", build),
        Version("v4", application, percentage=0),
    ]
    least: WSGIApplication = VersionAffinity(None, versions)
    return VersionAffinity(
        least,
        (version for version in versions),
        retained=[Version("v0", "builds/v0")],
        name="storefront",
        keys=[Cookie("user_id"), Header("X-User-Id"), tenant, text_only, lambda _environ: None],
        prefix="/shop/",
        app_first=["/api/*", "!/api/docs/*"],
        html_handling="auto-trailing-slash",
        not_found_handling="single-page-application",
        cookie="version-affinity-{name}",
        secure=None,
        override_headers=("Version-Override",),
        override_secret=["the text before it", b"a long random text"],
        fingerprinted=re.compile("[.]hashed[.]"),
        memory=64 * 1024 * 1024,
        ignore=["*.map"],
    )


def misspelt(html: HtmlHandling, missing: NotFoundHandling) -> list[StaticAssets]:
    """Give values that an option does not have: each ignored error is one that a type checker must find."""
    return [
        StaticAssets("dist", html_handling=html, not_found_handling=missing),
        StaticAssets("dist", html_handling="auto"),  # type: ignore[arg-type]
        StaticAssets("dist", not_found_handling="spa"),  # type: ignore[arg-type]
        StaticAssets("dist", not_found_handling=str(missing)),  # type: ignore[arg-type]
    ]


def switched_off() -> VersionAffinity:
    """Give the options' other types."""

    def by_name(path: str) -> bool | None:
        return path.endswith(".hashed.js") or None

    return VersionAffinity(
        application,
        [Version("v1", "builds/v1")],
        keys=(),
        cookie=None,
        secure=True,
        override_headers=(),
        override_secret=os.environ["OVERRIDE_SECRET"],
        fingerprinted=by_name,
    )


def developed(flask_app: Flask, missing: MissingBuild) -> list[VersionAffinity]:
    """Name the options for development, and the forms of ``app_first`` in Flask."""

    def own_routes(app: Flask) -> list[str]:
        return [*flask_routes(app), "/ws/*"]

    versions = [Version("v1", StaticAssets("builds/v1", missing_build=missing))]
    return [
        VersionAffinity(None, versions, missing_build="placeholder", vite=os.environ.get("VITE"), react_refresh=True),
        VersionAffinity(None, versions, app_first=lambda: ["/api/*"]),
        init_app(flask_app, versions, app_first=flask_routes, missing_build=missing, vite="http://localhost:5173"),
        init_app(flask_app, versions, app_first=[flask_routes, "/ws/*", "!/api/docs"]),
        init_app(flask_app, versions, app_first=own_routes),
    ]


def rendered(request: Any) -> tuple[str, str, str]:
    """Call the functions for Django."""
    tags: str = django.asset_tags(request, "src/main.ts", nonce="r4nd0m", crossorigin=False)
    return tags, django.asset_url(request, "logo.svg"), django.current_version(request)


def followed(app: WSGIApplication, flask_app: Flask) -> tuple[VersionAffinity, VersionAffinity]:
    """Follow releases, in any application and in Flask."""
    releases = Releases("releases/", log="redis://localhost", interval=0.5, host="web-1")
    releases.close()
    return VersionAffinity(app, releases), init_app(flask_app, Releases(Path("releases")))


def change(affinity: VersionAffinity) -> tuple[str, ...]:
    """Change what runs, and read how it stands."""
    after: Deployment = affinity.deploy({"v1": 50, "v2": None, "v3": 0.5})
    affinity.add(Version("v5", "builds/v5"))
    affinity.retire("v0")
    deployment: Deployment = affinity.deployment
    percentages: Mapping[str, float] = deployment.percentages
    revision: int = after.revision
    only: str | None = deployment.only
    secret: bytes | None = affinity.override_secret
    followed: bool = affinity.source is not None
    prefix: str = affinity.prefix
    handling: NotFoundHandling = affinity.not_found_handling
    app_first: tuple[str, ...] = affinity.app_first
    known: tuple[str, ...] = affinity.known
    paths = (prefix, *app_first, handling)
    return (deployment.name, *percentages, str(revision), only or "", str(secret), str(followed), *paths, *known)


def read(affinity: VersionAffinity, environ: WSGIEnvironment) -> list[object]:
    """Read counters and explanations."""
    counts: Counts = affinity.counters()
    requests: Mapping[tuple[str, str, str, str], int] = counts.requests
    rescues: Mapping[tuple[str, str], int] = counts.rescues
    app: Mapping[tuple[str, str], int] = counts.app
    decisions: Mapping[tuple[str, str], int] = counts.decisions
    new_keys: Mapping[str, int] = counts.new_keys
    same: bool = Counts.from_flat(counts.flat()) == counts
    missing: Mapping[str, int] = counts.missing
    refused: Mapping[str, int] = counts.refused
    as_json: dict[str, Any] = counts.as_dict()
    explanation: Explanation = affinity.explain(environ)
    steps: tuple[Step, ...] = explanation.steps
    told: list[tuple[str, str, bool]] = [(step.name, step.outcome, step.decided) for step in steps]
    decision: Decision = explanation.decision
    words: list[str] = [decision.version, decision.reason, decision.source, decision.refused]
    answer: str = explanation.answer
    served: str = explanation.served
    bucket: str = explanation.bucket
    scores: Mapping[str, float] = explanation.scores
    document: dict[str, Any] = explanation.as_dict()
    answers = [explanation.kind, answer, served, bucket, scores, document]
    return [requests, app, decisions, new_keys, same, rescues, missing, refused, as_json, told, words, *answers]


def pure() -> str:
    """Use what needs no application."""
    deployment = Deployment("storefront", {"v1": 90, "v2": None}, revision=3)
    text: str = deployment.assign("alice")
    wire: str = deployment.assign(b"alice")
    scores: dict[str, float] = deployment.scores("alice")
    override: str = sign_override("v2", name="storefront", secret=b"a long random text", lifetime=3600)
    within: str = override_link("v2", name="storefront", secret="a long random text", lifetime=3600)  # noqa: S106
    link: str = override_link(
        "v2", name="app", secret=b"a long random text", lifetime=0.5, path="/ink?a=1", base="https://a.example"
    )
    key: bytes | None = Cookie("user_id")({"HTTP_COOKIE": "user_id=42"})
    error: ValueError = ConfigurationError("what, which and how else")
    return f"{text}{wire}{scores}{override}{within}{link}{key!r}{error}"


def in_flask(app: Flask) -> Markup:
    """Use the Flask extension."""
    from version_affinity import flask  # noqa: PLC0415 - its names are those of the package

    affinity: VersionAffinity = init_app(app, [Version("v1", "builds/v1")], retained=[], name="storefront")
    version: str = flask.current_version()
    url: str = flask.asset_url("src/main.ts")
    tags: Markup = flask.asset_tags("src/main.ts")
    return tags + version + url + str(affinity.known)


def measured(affinity: VersionAffinity) -> tuple[WSGIApplication, bytes]:
    """Export metrics, of an application and of releases."""
    registry = CollectorRegistry()
    registry.register(MetricsCollector(affinity))
    registry.register(MetricsCollector(Releases("releases/")))
    application: WSGIApplication = metrics_app(Releases("releases/"))
    return metrics_app(affinity) if registry else application, generate_latest(registry)
