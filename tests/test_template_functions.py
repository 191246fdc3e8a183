"""``affinity.asset_tags``, ``asset_url`` and ``current_version``: attributes, faults, frameworks, test clients."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import flask
import pytest
from werkzeug.test import create_environ

from tests.builds import SPLIT, key_of
from tests.harness import NAVIGATION, client, write_build
from version_affinity import Version, VersionAffinity
from version_affinity.flask import init_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SRI = "sha384-{}"


def chunks(version: str) -> dict[str, Any]:
    """Return a manifest as Vite, plugin-legacy and a plugin for SRI write it."""
    return {
        "src/main.ts": {
            "file": f"assets/main-BX4CeN{version}.js",
            "isEntry": True,
            "imports": ["_shared.js"],
            "css": ["assets/main-Dk38Xq2Z.css"],
            "integrity": SRI.format("main"),
        },
        "_shared.js": {"file": "assets/shared-B7mQ2xLp.js", "integrity": SRI.format("shared")},
        "style.css": {"file": "assets/main-Dk38Xq2Z.css", "integrity": SRI.format("css")},
        "src/main-legacy.ts": {
            "file": "assets/main-legacy-Aq3kZ0b1.js",
            "isEntry": True,
            "imports": ["_shared.js"],
            "css": ["assets/main-Dk38Xq2Z.css"],
        },
        "vite/legacy-polyfills-legacy": {"file": "assets/polyfills-legacy-Wc5vN8bM.js", "isEntry": True},
        "src/app-legacy.ts": {"file": "assets/app-x-Hx72LkQd.js", "isEntry": True},
        f"src/only-{version}.ts": {"file": f"assets/only-{version}-Pw9nR4sT.js", "isEntry": True},
    }


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """v1, v2 and v3 with manifests, and one build without."""
    root = tmp_path_factory.mktemp("builds")
    for version in ("v1", "v2", "v3"):
        manifest = chunks(version)
        files = {chunk["file"]: f"// {version}" for chunk in manifest.values()}
        files |= {"index.html": "<p>", "logo.svg": "<svg/>", f"only-{version}.svg": "<svg/>"}
        write_build(root / version, {**files, ".vite/manifest.json": json.dumps(manifest)})
    write_build(root / "bare", {"index.html": "<p>"})
    return {version: root / version for version in ("v1", "v2", "v3", "bare")}


def affinity_of(
    builds: dict[str, Path], app: WSGIApplication | None = None, shares: dict[str, float] = SPLIT, **options: Any
) -> VersionAffinity:
    """Return a middleware over some of the builds."""
    versions = [Version(version, builds[version], percentage=share) for version, share in shares.items()]
    return VersionAffinity(app, versions, **{"name": "storefront", **options})


def environ_of(version: str, shares: dict[str, float] = SPLIT) -> WSGIEnvironment:
    """Return a request of somebody whose key falls on a version."""
    return create_environ("/page", headers={**NAVIGATION, "Version-Key": key_of(version, shares)})


@pytest.mark.parametrize("version", SPLIT)
def test_decides_on_the_spot(builds: dict[str, Path], version: str) -> None:
    """Where a request did not come through the middleware, the version is decided then, once per request."""
    affinity = affinity_of(builds)
    environ = environ_of(version)
    assert affinity.current_version(environ) == version
    assert affinity.asset_url(environ, "src/main.ts") == f"/assets/main-BX4CeN{version}.js"
    assert f'src="/assets/main-BX4CeN{version}.js"' in affinity.asset_tags(environ, "src/main.ts")
    for _ in range(10):
        drawn: WSGIEnvironment = {}
        assert len({affinity.current_version(drawn) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("//evil.example/x.js", "/evil.example/x.js"),
        ("/", "/"),
        ("a b?x#y.svg", "/a%20b%3Fx%23y.svg"),
        ("\udc80.svg", "/%80.svg"),
    ],
)
def test_odd_paths(builds: dict[str, Path], path: str, url: str) -> None:
    """``asset_url`` never names another host, and no path makes it fail."""
    assert affinity_of(builds).asset_url(environ_of("v1"), path) == url


def test_decides_under_its_own_rollout(builds: dict[str, Path]) -> None:
    """What another middleware around this one has decided is not taken for its own decision."""
    inner = affinity_of(builds, None, {"v3": 100.0})
    told: list[str] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        told.append(inner.current_version(environ))
        start_response("200 OK", [("Content-Type", "text/html")])
        return [b""]

    client(affinity_of(builds, app, prefix="/outer/")).get("/page")
    assert told == ["v3"]


def test_two_front_ends(builds: dict[str, Path]) -> None:
    """Each of two front ends around one application answers by its own decision, and marks the response."""
    told: list[str] = []

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        told.extend(affinity.current_version(environ) for affinity in (outer, inner, inner, outer))
        told.extend(affinity.explain(environ).decision.version for affinity in (inner, outer))
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b""]

    inner = affinity_of(builds, app, name="inner", prefix="/in/")
    outer = affinity_of(builds, inner, name="outer", prefix="/out/")
    for _ in range(12):
        response = client(outer).get("/page", headers=NAVIGATION)
        decided = [trace.partition(";")[0] for trace in response.headers.getlist("Version-Affinity")]
        assert told == [decided[1], decided[0], decided[0], decided[1], *decided]
        told.clear()


NONCE = 'nonce="r4nd&amp;om&quot;"'


def test_attributes(builds: dict[str, Path]) -> None:
    """Attributes reach every tag, escaped; ``integrity`` is each file's own."""
    tags = affinity_of(builds).asset_tags(environ_of("v1"), "src/main.ts", nonce='r4nd&om"', data_turbo_track="reload")
    more = f'{NONCE} data-turbo-track="reload"'
    assert tags.split("\n") == [
        f'<link rel="stylesheet" href="/assets/main-Dk38Xq2Z.css" integrity="sha384-css" {more}>',
        f'<script type="module" crossorigin src="/assets/main-BX4CeNv1.js" integrity="sha384-main" {more}></script>',
        f'<link rel="modulepreload" crossorigin href="/assets/shared-B7mQ2xLp.js" integrity="sha384-shared" {more}>',
    ]


@pytest.mark.parametrize(
    ("attributes", "present", "absent"),
    [
        ({"async_": True}, r"<script[^>]* async>", r"<link[^>]*async"),
        ({"crossorigin": "use-credentials"}, r'crossorigin="use-credentials"', r"crossorigin[ >]"),
        ({"crossorigin": False}, r"<script", r"crossorigin"),
        ({"integrity": None}, r"<script", r"integrity"),
        ({"integrity": "sha256-x"}, r'<script[^>]*integrity="sha256-x"', r'<link[^>]*"sha256-x"'),
        ({"nonce": None}, r"<script", r"nonce"),
        ({"src": "/evil.js", "rel": "x", "href": "y"}, r'src="/assets/main', r'evil|rel="x"|href="y"'),
        ({"src_": "/evil.js", "REL": "x", "_href": "y"}, r'src="/assets/main', r'evil|REL|href="y"'),
        ({'x"><script>': "1"}, r"<script", r'x">'),
        ({"nonce": "<&>"}, r'nonce="&lt;&amp;&gt;"', r"<&>"),
    ],
)
def test_odd_attributes(builds: dict[str, Path], attributes: dict[str, Any], present: str, absent: str) -> None:
    """Attributes can replace and drop the tags' own, but for the address; none breaks out of its tag."""
    tags = affinity_of(builds).asset_tags(environ_of("v1"), "src/main.ts", **attributes)
    assert re.search(present, tags)
    assert not re.search(absent, tags)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "src/main-legacy.ts",
            '<script nomodule crossorigin src="/assets/main-legacy-Aq3kZ0b1.js" nonce="n"></script>',
        ),
        (
            "vite/legacy-polyfills-legacy",
            '<script nomodule crossorigin src="/assets/polyfills-legacy-Wc5vN8bM.js" nonce="n"></script>',
        ),
        (
            "src/app-legacy.ts",  # an entry of its own that is called so
            '<script type="module" crossorigin src="/assets/app-x-Hx72LkQd.js" nonce="n"></script>',
        ),
    ],
)
def test_legacy(builds: dict[str, Path], entry: str, expected: str) -> None:
    """An entry of plugin-legacy is a script for browsers without modules."""
    assert affinity_of(builds).asset_tags(environ_of("v1"), entry, nonce="n") == expected


@pytest.mark.parametrize("use", ["asset_tags", "asset_url"])
def test_unknown_entry(builds: dict[str, Path], caplog: pytest.LogCaptureFixture, use: str) -> None:
    """An entry that no version has raises in development, and is logged in production, with those that there are."""
    development = affinity_of(builds, autorefresh=True)
    with pytest.raises(LookupError) as raised:
        getattr(development, use)(environ_of("v1"), "src/mian.ts")
    getattr(affinity_of(builds), use)(environ_of("v1"), "src/mian.ts")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    for message in (str(raised.value), record.getMessage()):
        assert "'src/mian.ts'" in message
        assert "v1 has 'src/main.ts', 'src/main-legacy.ts'" in message
        assert "'src/only-v2.ts'" in message
        assert "_shared.js" not in message  # no page loads it
        assert "build.manifest" not in message


def test_unknown_entry_without_manifest(builds: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """That a version was built without a manifest is said of that version alone."""
    affinity_of(builds, None, {"v1": 50.0, "bare": 50.0}).asset_tags({}, "src/mian.ts")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "bare has no Vite manifest (build it with build.manifest=true)" in record.getMessage()
    assert record.getMessage().count("build.manifest") == 1


def test_staged_version(builds: dict[str, Path]) -> None:
    """An entry that only a staged version has is for those who are on it, by an override."""
    affinity = affinity_of(builds, None, {"v1": 100.0, "v3": 0.0})
    for path in ("src/only-v3.ts", "only-v3.svg"):
        assert affinity.asset_tags({}, path) == ""
        assert affinity.asset_url({}, path) == f"/{path}"
    forced = create_environ("/page", headers={"Version-Override": "v3"})
    assert "only-v3-Pw9nR4sT.js" in affinity.asset_tags(forced, "src/only-v3.ts")
    affinity.deploy({"v1": 50, "v3": 50})
    assert "only-v3-Pw9nR4sT.js" in affinity.asset_tags(environ_of("v1", {"v1": 50.0, "v3": 50.0}), "src/only-v3.ts")


def streaming(render: Callable[[WSGIEnvironment], str], before: Callable[[WSGIEnvironment], Any]) -> WSGIApplication:
    """Return an application whose body is rendered after its headers are sent."""

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        before(environ)
        start_response("200 OK", [("Content-Type", "text/html")])
        return (render(environ).encode() for _ in range(1))

    return app


@pytest.mark.parametrize("marked", [False, True])
def test_streamed(builds: dict[str, Path], caplog: pytest.LogCaptureFixture, marked: bool) -> None:
    """What runs after the headers is logged, once; not where the response was marked before."""
    affinity = affinity_of(
        builds,
        streaming(
            lambda environ: affinity.asset_tags(environ, "src/main.ts"),
            lambda environ: marked and affinity.current_version(environ),
        ),
    )
    for _ in range(3):
        assert "<script" in client(affinity).get("/page", headers={"Version-Key": key_of("v1")}).text
    lines = [record for record in caplog.records if "after the headers" in record.getMessage()]
    assert len(lines) == (not marked)


def test_flask(builds: dict[str, Path]) -> None:
    """Jinja's functions take attributes too, raise in debug mode, and work in Flask's test client without the app."""
    app = flask.Flask("shop")
    init_app(app, [Version("v1", builds["v1"])], name="storefront")
    app.add_url_rule(
        "/page", view_func=lambda: flask.render_template_string("{{ asset_tags(entry, nonce='n') }}", entry=entry)
    )
    entry = "src/main.ts"
    tags = app.test_client().get("/page").text
    assert tags.count('nonce="n"') == 3
    inner = flask.Flask("inner")
    inner.extensions = app.extensions
    inner.add_url_rule("/page", view_func=tags_in_another)
    assert "<script" in inner.test_client().get("/page").text
    entry = "src/none"
    assert app.test_client().get("/page").status_code == 200
    app.debug = app.testing = True
    with pytest.raises(LookupError, match="no version has the entry 'src/none'"):
        app.test_client().get("/page")


def tags_in_another() -> str:
    """Return the tags in a request that did not come through the middleware."""
    from version_affinity.flask import asset_tags  # noqa: PLC0415 - as an application's own module does it

    return asset_tags("src/main.ts")


DJANGO = """
import asyncio
import sys
import django
from django.conf import settings

settings.configure(
    DEBUG=sys.argv[2] == "debug", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="x",
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)
django.setup()
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.template import Context, Template
from django.test import AsyncClient, Client, override_settings
from django.urls import path
from version_affinity import Version, VersionAffinity

def page(request):
    tags = affinity.asset_tags(request.META, request.GET.get("entry", "src/main.ts"), nonce="n")
    return HttpResponse(Template("{{ tags }}").render(Context({"tags": tags})))

urlpatterns = [path("page", page)]
affinity = VersionAffinity(get_wsgi_application(), [Version("v1", sys.argv[1])])
wanted = '<script type="module" crossorigin src="/assets/main-BX4CeNv1.js" integrity="sha384-main" nonce="n"></script>'
response = Client().get("/page")
assert response.status_code == 200 and wanted in response.content.decode(), response.content
async def asked():
    response = await AsyncClient().get("/page")
    assert response.status_code == 200 and wanted in response.content.decode(), response.content
asyncio.run(asked())
try:
    Client().get("/page?entry=src/none.ts")
    print("passed")
except LookupError as error:
    print("raised", error)
"""


@pytest.mark.parametrize(("mode", "expected"), [("debug", "raised"), ("production", "passed")])
def test_django(builds: dict[str, Path], mode: str, expected: str) -> None:
    """Django's test clients, for WSGI and ASGI, get the tags unescaped; in its debug mode a mistake raises."""
    pytest.importorskip("django")
    done = subprocess.run(
        [sys.executable, "-c", DJANGO, str(builds["v1"]), mode], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout[: len(expected)]) == (0, expected), done.stderr


def test_asgi(builds: dict[str, Path]) -> None:
    """An ASGI application behind a2wsgi finds the environ, and its decision, in its scope."""
    a2wsgi = pytest.importorskip("a2wsgi")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        tags = affinity.asset_tags(scope["wsgi_environ"], "src/main.ts")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": tags.encode()})

    affinity = affinity_of(builds, a2wsgi.ASGIMiddleware(app))
    for version in SPLIT:
        response = client(affinity).get("/page", headers={**NAVIGATION, "Version-Key": key_of(version)})
        assert f"main-BX4CeN{version}.js" in response.text
        assert response.headers["Version-Affinity"].startswith(f"{version};reason=key")
