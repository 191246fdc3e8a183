"""The shop's Flask application and, around it, the rollout of its front end.

Environment:
    EXAMPLE_PERCENTAGES: The percentages to start with, for example ``v1=90,v2=10``; default ``v1=50,v2=50``. Builds
        that it does not name are retained.
    EXAMPLE_OVERRIDE_SECRET: With it, overrides are signed, and override links are answered; default none.
"""

from __future__ import annotations

import os
import re
import secrets
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, abort, jsonify, redirect, render_template, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from version_affinity import ConfigurationError, Cookie, Deployment, Header, Version
from version_affinity.flask import init_app
from version_affinity.metrics import metrics_app

from .catalogue import PRODUCTS
from .unprotected import COOKIE as UNPROTECTED
from .unprotected import Unprotected, is_chosen
from .words import DECIDED_BY, demonstration, described

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.wrappers import Response as AnyResponse

    from version_affinity import Decision, VersionAffinity

NAME = "example"
BUILDS = Path(__file__).parent / "builds"
APP_FIRST = ["/api/*", "/login", "/logout", "/rollout", "/switch", "/welcome"]
USER_ID = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
BUCKET = re.compile(r"[0-9]{1,7}")
MAX_COHORT = 1000
COOKIE_OPTIONS: dict[str, Any] = {"httponly": True, "samesite": "Lax"}


def create_app(percentages: Mapping[str, float] | None = None) -> Flask:
    """Return the application with the rollout around it.

    Args:
        percentages: By version; None reads ``EXAMPLE_PERCENTAGES``.

    Raises:
        ConfigurationError: The percentages cannot be used.
    """
    app = Flask(__name__)
    shares = starting_percentages() if percentages is None else percentages
    affinity = init_app(
        app,
        [Version(version, BUILDS / version, percentage=share) for version, share in shares.items()],
        retained=[Version(build.name, build) for build in sorted(BUILDS.iterdir()) if build.name not in shares],
        name=NAME,
        keys=[Cookie("user_id"), Cookie("session_id"), Header("Cloudflare-Workers-Version-Key")],
        not_found_handling="single-page-application",
        app_first=APP_FIRST,
        override_secret=os.environ.get("EXAMPLE_OVERRIDE_SECRET") or None,
    )
    unprotected = Unprotected(
        app.wsgi_app,
        BUILDS,
        lambda environ: next_page(affinity, environ).version,
        tuple(pattern.rstrip("*") for pattern in APP_FIRST),
    )
    # Beside the rollout, so that a scrape is not counted.
    app.wsgi_app = DispatcherMiddleware(unprotected, {"/metrics": metrics_app(affinity)})  # type: ignore[method-assign]
    add_pages(app, affinity)
    add_api(app, affinity, unprotected)
    add_controls(app, affinity)
    return app


def starting_percentages() -> dict[str, float]:
    """Return the percentages that the environment asks for."""
    text = os.environ.get("EXAMPLE_PERCENTAGES", "v1=50,v2=50")
    pairs = (item.partition("=") for item in text.split(","))
    try:
        return {version.strip(): float(share) for version, _, share in pairs}
    except ValueError:
        raise ConfigurationError(f"EXAMPLE_PERCENTAGES={text!r} is not of the form 'v1=90,v2=10'") from None


def add_pages(app: Flask, affinity: VersionAffinity) -> None:
    """Add the pages that the server renders, and signing in and out."""

    @app.get("/rollout")
    def rollout() -> str:
        return render_template(
            "rollout.html",
            explanation=affinity.explain(request.environ),
            decision=decision(),
            verdict=described(decision()),
            decided_by=DECIDED_BY,
            protected=not is_chosen(request.environ),
        )

    @app.post("/switch")
    def switch() -> AnyResponse:
        refuse_other_origins()
        response = redirect("/rollout#open-tab", 303)
        if request.form.get("protection") == "off":
            response.set_cookie(UNPROTECTED, "on", **COOKIE_OPTIONS)
        else:
            response.delete_cookie(UNPROTECTED, **COOKIE_OPTIONS)
        # Plain affinity needs a key: without one, each request would get a random version.
        keep_session(response)
        # Otherwise the browser would use files that it cached in the other mode.
        response.headers["Clear-Site-Data"] = '"cache"'
        return response

    @app.get("/welcome")
    def welcome() -> Response:
        cookies = request.cookies
        facts = {"returning": "session_id" in cookies, "user": cookies.get("user_id"), "decision": decision()}
        facts["protected"] = not is_chosen(request.environ)
        response = Response(render_template("welcome.html", **facts))
        keep_session(response)
        return response

    @app.get("/login")
    def login_form() -> str:
        return render_template("login.html", target=own_path(request.args.get("next", "/")), user_id="", problem=None)

    @app.post("/login")
    def login() -> AnyResponse | tuple[str, int]:
        refuse_other_origins()
        user_id = request.form.get("user_id", "")
        target = own_path(request.form.get("next", "/"))
        if not USER_ID.fullmatch(user_id):
            problem = "Use 1 to 64 letters, digits or the characters _ . @ -"
            return render_template("login.html", target=target, user_id=user_id, problem=problem), 400
        response = redirect(target, 303)
        response.set_cookie("user_id", user_id, **COOKIE_OPTIONS)
        return response

    @app.post("/logout")
    def logout() -> AnyResponse:
        refuse_other_origins()
        response = redirect(own_path(request.form.get("next", "/")), 303)
        response.delete_cookie("user_id", **COOKIE_OPTIONS)
        return response


def add_api(app: Flask, affinity: VersionAffinity, unprotected: Unprotected) -> None:
    """Add the JSON API that the front end reads."""

    @app.get("/api/products")
    def products() -> Response:
        return jsonify(products=[asdict(product) for product in PRODUCTS])

    @app.get("/api/affinity")
    def own_affinity() -> Response:
        deployment = affinity.deployment
        protected = not is_chosen(request.environ)
        return jsonify(
            name=deployment.name,
            revision=deployment.revision,
            percentages=dict(deployment.percentages),
            known=sorted(affinity.known),
            demonstration=demonstration(deployment.percentages, protected=protected),
            protected=protected,
            **described(decision()),
            pin=pin(),
            next_page=described(next_page(affinity, request.environ)),
            user=request.cookies.get("user_id"),
            counters=counted(affinity) | {"missing_unprotected": unprotected.missing},
        )

    @app.get("/api/session")
    def session() -> Response:
        response = jsonify(returning="session_id" in request.cookies)
        keep_session(response)
        return response

    @app.after_request
    def never_store(response: Response) -> Response:
        if request.path.startswith("/api/"):
            response.headers["Cache-Control"] = "no-store"
        return response


def add_controls(app: Flask, affinity: VersionAffinity) -> None:
    """Add the controls: the deployment, and the versions of simulated users."""

    @app.get("/api/cohort")
    def cohort() -> Response | tuple[Response, int]:
        asked = request.args.to_dict()
        try:
            size = int(asked.pop("size", "200"))
            shares = {version: float(share) for version, share in asked.items()}
            deployment = Deployment(NAME, shares) if shares else affinity.deployment
        except ValueError as error:
            return jsonify(error=str(error)), 400
        users = [deployment.assign(f"simulated-{number}") for number in range(min(size, MAX_COHORT))]
        return jsonify(users=users)

    @app.post("/api/deploy")
    def deploy() -> Response | tuple[Response, int]:
        refuse_other_origins()
        # A page of another origin cannot send this type without a preflight request, which is refused.
        if request.mimetype != "application/json":
            return jsonify(error="send the percentages as application/json"), 415
        shares = request.get_json(silent=True)
        if not isinstance(shares, dict):
            return jsonify(error='send an object of version and percentage, for example {"v1": 90, "v2": 10}'), 400
        try:
            affinity.deploy(shares)
        except ConfigurationError as error:
            return jsonify(error=str(error)), 400
        return jsonify(revision=affinity.deployment.revision, percentages=dict(affinity.deployment.percentages))


def decision() -> Decision:
    """Return the decision for this request."""
    decided: Decision = request.environ["version_affinity.decision"]
    return decided


def next_page(affinity: VersionAffinity, environ: WSGIEnvironment) -> Decision:
    """Return the decision for a page that this browser would load now."""
    navigation = {
        **environ,
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "HTTP_SEC_FETCH_MODE": "navigate",
        "HTTP_SEC_FETCH_DEST": "document",
    }
    return affinity.explain(navigation).decision


def pin() -> dict[str, Any] | None:
    """Return the content of this request's affinity cookie, or None without a cookie."""
    cookies = request.cookies
    value = cookies.get(f"__Host-version-affinity-{NAME}") or cookies.get(f"version-affinity-{NAME}")
    if not value:
        return None
    bucket, _, pinned = value.partition(".")
    version = pinned.partition(".")[0]  # a signature follows where overrides are signed
    return {"bucket": int(bucket) if BUCKET.fullmatch(bucket) else None, "version": version}


def counted(affinity: VersionAffinity) -> dict[str, Any]:
    """Return the counters as the rollout page shows them."""
    counts = affinity.counters()
    by_version: dict[str, int] = {}
    pages: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for (version, kind, _, reason), number in counts.requests.items():
        by_version[version] = by_version.get(version, 0) + number
        reasons[reason] = reasons.get(reason, 0) + number
        if kind == "page":
            pages[version] = pages.get(version, 0) + number
    shown = counts.as_dict()
    decided = [
        {"reason": reason, "decided_by": DECIDED_BY.get(reason, reason), "count": number}
        for reason, number in sorted(reasons.items(), key=lambda item: -item[1])
    ]
    return {"requests": by_version, "pages": pages, "reasons": decided} | {
        name: shown[name] for name in ("missing", "rescues", "refused")
    }


def keep_session(response: AnyResponse) -> None:
    """Set the cookie ``session_id`` in a browser that does not have it."""
    if "session_id" not in request.cookies:
        response.set_cookie("session_id", secrets.token_urlsafe(12), **COOKIE_OPTIONS)


def own_path(target: str) -> str:
    r"""Return the target if it is a path of this site, and "/" otherwise.

    Browsers remove control characters, read a backslash as a slash, and read "//host" as another site.

    >>> own_path("/about?x=1"), own_path("//evil.example"), own_path("/\\evil.example"), own_path("https://evil.example")
    ('/about?x=1', '/', '/', '/')
    """
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else "/"


def refuse_other_origins() -> None:
    """Answer 403 if a page of another site sent this request."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"same-origin", "none"}:
        abort(403)


app = create_app()
