"""What an application's response depends on, noted in the environ: whatever applications change there, it stays."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import create_environ, run_wsgi_app

from tests.builds import ENTRY, key_of, pinned, rollout, write_builds
from tests.harness import NAVIGATION, client
from version_affinity import asset_tags, asset_url, current_version

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

COOKIE = "version-affinity-storefront"
MIXED = {"app": 50.0, "v2": 50.0}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds."""
    return write_builds(tmp_path_factory.mktemp("builds"))


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page that says the decided version, and keep nothing."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [current_version(environ).encode()]


def tagged(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with a page of the decided version: its id, a URL and tags."""
    words = (current_version(environ), asset_url(environ, "logo.svg"), asset_tags(environ, "src/main.ts"))
    start_response("200 OK", [("Content-Type", "text/html")])
    return [" ".join(words).encode()]


def overriding(app: WSGIApplication, **changes: str) -> WSGIApplication:
    """Return an application around another one that changes its environ in place."""

    def changing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ.update(changes)
        return app(environ, start_response)

    return changing


@pytest.mark.parametrize("role", ["wrapped", "version"])
@pytest.mark.parametrize(("came", "told"), [("http", "https"), ("https", "http")])
def test_proxy_fix_inside(builds: dict[str, Path], role: str, came: str, told: str) -> None:
    """A scheme that is corrected inside leaves cookie and bucket as they were: the next visit is the same visitor's."""
    app = ProxyFix(page)
    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    headers = {**NAVIGATION, "X-Forwarded-Proto": told}
    first = client(affinity).get("/page", base_url=f"{came}://localhost", headers=headers)
    sent = first.headers["Set-Cookie"].partition(";")[0]
    assert sent.startswith(f"__Host-{COOKIE}=" if came == "https" else f"{COOKIE}=")
    assert ("; Secure" in first.headers["Set-Cookie"]) is (came == "https")
    version = first.headers["Version-Affinity"].partition(";")[0]
    for _ in range(8):
        again = client(affinity).get("/page", base_url=f"{came}://localhost", headers={**headers, "Cookie": sent})
        assert again.headers["Version-Affinity"] == f'{version};reason=minted;source="cookie:{COOKIE}"'
        assert "Set-Cookie" not in again.headers


@pytest.mark.parametrize("role", ["wrapped", "version"])
@pytest.mark.parametrize(
    ("came", "made", "stamped"), [("POST", "GET", False), ("GET", "POST", True), ("PUT", "HEAD", False)]
)
def test_method_override_inside(builds: dict[str, Path], role: str, came: str, made: str, stamped: bool) -> None:
    """A method that is replaced inside does not let an unsafe request set the cookie, nor keep a safe one from it."""
    app = overriding(page, REQUEST_METHOD=made)
    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    environ = create_environ("/page", method=came, headers={**NAVIGATION, "Version-Key": key_of("v1")})
    _, status, headers = run_wsgi_app(affinity, environ)
    assert (status, "Set-Cookie" in headers) == ("200 OK", stamped)


@pytest.mark.parametrize("script_name", ["", "/site"])
@pytest.mark.parametrize("prefix", ["/", "/shop/"])
@pytest.mark.parametrize("path", ["/page", "/admin", "/admin/a/b"])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_dispatcher_inside(builds: dict[str, Path], script_name: str, prefix: str, path: str, version: str) -> None:
    """What is mounted inside names the files where we serve them, not below its own mount; and they are there."""
    affinity = rollout(builds, DispatcherMiddleware(tagged, {"/admin": tagged}), prefix=prefix)
    mounted = {"SCRIPT_NAME": script_name}
    headers = {**NAVIGATION, "Version-Key": key_of(version)}
    response = client(affinity).get(path, headers=headers, environ_overrides=mounted)
    told, logo, tags = response.text.split(" ", 2)
    assert told == version
    assert logo == f"{script_name}{prefix}logo.svg"
    assert f'src="{script_name}{prefix[:-1]}{ENTRY[version]}"' in tags
    for url in (logo, f"{script_name}{prefix[:-1]}{ENTRY[version]}"):
        asked = client(affinity).get(url.removeprefix(script_name), headers=headers, environ_overrides=mounted)
        assert (asked.status_code, version in asked.text) == (200, True)


@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_application_as_version(builds: dict[str, Path], prefix: str) -> None:
    """An application that is a version knows its version, and finds the files of the others where they are served."""
    affinity = rollout({**builds, "app": tagged}, None, MIXED, prefix=prefix)
    response = client(affinity).get(f"{prefix}x", headers={**NAVIGATION, "Version-Key": key_of("app", MIXED)})
    told, logo, tags = response.text.split(" ", 2)
    assert (told, logo) == ("app", f"{prefix}logo.svg")
    assert f'src="{prefix[:-1]}{ENTRY["v2"]}"' in tags
    assert response.headers["Version-Affinity"].startswith("app;reason=key")


@pytest.mark.parametrize("prefix", ["/", "/shop/"])
def test_application_as_version_draws_once(builds: dict[str, Path], prefix: str) -> None:
    """What it reads is the decision that was made for this request, not another draw."""
    affinity = rollout({"v1": page, "v2": page}, None, prefix=prefix)
    for _ in range(30):
        response = client(affinity).get(f"{prefix}x")
        assert response.text == response.headers["Version-Affinity"].partition(";")[0]


@pytest.mark.parametrize("role", ["wrapped", "version"])
def test_explain_inside_after_a_deployment(builds: dict[str, Path], role: str) -> None:
    """A request is explained under the deployment that it is answered by, though there is another one by now."""
    told: list[Any] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        affinity.deploy({"v1": 100})
        told.append(affinity.explain(environ))
        affinity.deploy({"v1": 50, "v2": 50})
        return page(environ, start_response)

    affinity = rollout(builds, app) if role == "wrapped" else rollout({"v1": app, "v2": app})
    for headers in ({"Version-Key": key_of("v2")}, pinned("v2"), {**NAVIGATION, "Version-Key": key_of("v2")}, {}):
        response = client(affinity).get("/page", headers=headers)
        explained = told.pop()
        assert explained.decision.version == response.headers["Version-Affinity"].partition(";")[0]
        assert f"reason={explained.decision.reason}" in response.headers["Version-Affinity"]
        assert explained.steps[-1].name == explained.decision.reason
        assert explained.answer == ("wrapped application" if role == "wrapped" else "application of the version")


@pytest.mark.parametrize("path", ["/", "/passed-on", "/own"])
def test_no_request_waits_for_garbage_collection(tmp_path: Path, path: str) -> None:
    """A request leaves no cycle behind: its socket and its upload go when the server lets go of the environ."""
    affinity = rollout({**write_builds(tmp_path), "v2": page}, page, app_first=["/passed-on"])
    environs = [
        create_environ(path, headers={**NAVIGATION, "X-Held": path, "Version-Key": str(number)}) for number in range(50)
    ]
    gc.collect()
    gc.disable()
    try:
        while environs:
            affinity(environs.pop(), lambda *_: lambda _data: None)
        assert not [kept for kept in gc.get_objects() if type(kept) is dict and kept.get("HTTP_X_HELD") == path]
    finally:
        gc.enable()
