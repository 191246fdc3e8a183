"""URLs and tags of the decided version's files, from its Vite manifest."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import SPLIT, key_of, pinned
from tests.harness import NAVIGATION, client, write_build
from version_affinity import Version, VersionAffinity, asset_tags, asset_url, current_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

MANIFEST_V1 = {
    "src/main.ts": {
        "file": "assets/main-BX4CeNGm.js",
        "name": "main",
        "isEntry": True,
        "imports": ["_shared.js"],
        "dynamicImports": ["src/lazy.ts"],
        "css": ["assets/main-Dk38Xq2Z.css"],
        "assets": ["assets/logo-Qm3rT7xK.svg"],
    },
    "_shared.js": {
        "file": "assets/shared-B7mQ2xLp.js",
        "name": "shared",
        "imports": ["_deep.js", "src/main.ts"],
        "css": ["assets/shared-Zq81LmX4.css"],
    },
    "_deep.js": {"file": "assets/deep-V1k8Xq2Z.js", "name": "deep", "imports": ["_shared.js"]},
    "src/lazy.ts": {"file": "assets/lazy-Aq3kZ0b1.js", "name": "lazy", "isDynamicEntry": True},
    "src/theme.css": {"file": "assets/theme-Pw9nR4sT.css", "isEntry": True},
    "src/odd.ts": {"file": 'assets/o"d&d <é>-Hx72LkQd.js', "isEntry": True},
}
MANIFEST_V2 = {
    "src/main.ts": {"file": "assets/main-Qz81xKpL.js", "name": "main", "isEntry": True},
    "src/new.ts": {"file": "assets/new-Wc5vN8bM.js", "name": "new", "isEntry": True},
}
PLAIN = {"index.html": "<p>", "logo.svg": "<svg/>", "caf\xe9.svg": "<svg/>"}

MAIN_V1 = """\
<link rel="stylesheet" href="/assets/shared-Zq81LmX4.css">
<link rel="stylesheet" href="/assets/main-Dk38Xq2Z.css">
<script type="module" crossorigin src="/assets/main-BX4CeNGm.js"></script>
<link rel="modulepreload" crossorigin href="/assets/deep-V1k8Xq2Z.js">
<link rel="modulepreload" crossorigin href="/assets/shared-B7mQ2xLp.js">"""
MAIN_V2 = '<script type="module" crossorigin src="/assets/main-Qz81xKpL.js"></script>'


def script(path: str) -> str:
    """Return the tag of a script."""
    return f'<script type="module" crossorigin src="{path}"></script>'


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """v1 and v2 with manifests, v3 without one."""
    root = tmp_path_factory.mktemp("builds")
    manifests: dict[str, dict[str, Any]] = {"v1": MANIFEST_V1, "v2": MANIFEST_V2}
    for version, manifest in manifests.items():
        files = {chunk["file"]: f"// {version}" for chunk in manifest.values()}
        write_build(root / version, {**PLAIN, **files, ".vite/manifest.json": json.dumps(manifest)})
    write_build(root / "v2", {"only-v2.svg": "<svg/>"})
    write_build(root / "v3", {**PLAIN, "only-v3.svg": "<svg/>"})
    return {version: root / version for version in ("v1", "v2", "v3")}


def rendering(render: Callable[[WSGIEnvironment], str], kind: str = "text/html", **more: str) -> Any:
    """Return an application that answers with what a function renders."""
    headers = [("Content-Type", kind), *((name.replace("_", "-"), value) for name, value in more.items())]

    def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        body = render(environ).encode()
        start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return app


def affinity(builds: dict[str, Path], app: Any, shares: dict[str, float] = SPLIT, **options: Any) -> VersionAffinity:
    """Return a middleware over some of the builds."""
    versions = [Version(version, builds[version], percentage=share) for version, share in shares.items()]
    return VersionAffinity(app, versions, **{"name": "storefront", **options})


def key(version: str, shares: dict[str, float] = SPLIT) -> dict[str, str]:
    """Return the header of a key that falls on a version."""
    return {"Version-Key": key_of(version, shares)}


@pytest.mark.parametrize(
    ("version", "entry", "expected"),
    [
        ("v1", "src/main.ts", MAIN_V1),
        ("v1", "/src/main.ts", MAIN_V1),
        ("v2", "src/main.ts", MAIN_V2),
        ("v1", "src/theme.css", '<link rel="stylesheet" href="/assets/theme-Pw9nR4sT.css">'),
        ("v1", "src/lazy.ts", script("/assets/lazy-Aq3kZ0b1.js")),
        ("v1", "src/odd.ts", script("/assets/o%22d&amp;d%20%3C%C3%A9%3E-Hx72LkQd.js")),
        ("v2", "src/new.ts", script("/assets/new-Wc5vN8bM.js")),
        ("v1", "src/new.ts", script("/assets/new-Wc5vN8bM.js")),
        ("v2", "src/theme.css", '<link rel="stylesheet" href="/assets/theme-Pw9nR4sT.css">'),
        ("v1", "src/none.ts", ""),
        ("v1", "logo.svg", ""),
    ],
)
def test_asset_tags(builds: dict[str, Path], version: str, entry: str, expected: str) -> None:
    """An entry's tags are its style sheets in the cascade's order, its script and the preloads of its imports."""
    app = rendering(lambda environ: asset_tags(environ, entry))
    assert client(affinity(builds, app)).get("/page", headers=key(version)).text == expected


@pytest.mark.parametrize(
    ("version", "entry", "expected"),
    [
        ("v1", "src/main.ts", "/assets/main-BX4CeNGm.js"),
        ("v2", "src/main.ts", "/assets/main-Qz81xKpL.js"),
        ("v2", "/src/main.ts", "/assets/main-Qz81xKpL.js"),
        ("v1", "logo.svg", "/logo.svg"),
        ("v1", "/logo.svg", "/logo.svg"),
        ("v1", "caf\xe9.svg", "/caf%C3%A9.svg"),
        ("v1", "assets/main-BX4CeNGm.js", "/assets/main-BX4CeNGm.js"),
        ("v1", "src/new.ts", "/assets/new-Wc5vN8bM.js"),
        ("v1", "only-v2.svg", "/only-v2.svg"),
        ("v1", "none.svg", "/none.svg"),
    ],
)
def test_asset_url(builds: dict[str, Path], version: str, entry: str, expected: str) -> None:
    """A URL names an entry's output file or a file of the build, encoded."""
    app = rendering(lambda environ: asset_url(environ, entry))
    asked = client(affinity(builds, app))
    assert asked.get("/page", headers=key(version)).text == expected
    assert asked.get(expected).text != expected or entry == "none.svg"


@pytest.mark.parametrize(
    ("prefix", "script_name", "expected"),
    [
        ("/", "", "/assets/main-BX4CeNGm.js"),
        ("/shop/", "", "/shop/assets/main-BX4CeNGm.js"),
        ("/shop", "/site", "/site/shop/assets/main-BX4CeNGm.js"),
        ("/", "/a b", "/a%20b/assets/main-BX4CeNGm.js"),
        ("/", "/caf\xc3\xa9", "/caf%C3%A9/assets/main-BX4CeNGm.js"),
        ("/caf\xe9/", "", "/caf%C3%A9/assets/main-BX4CeNGm.js"),
    ],
)
def test_where_it_is_mounted(builds: dict[str, Path], prefix: str, script_name: str, expected: str) -> None:
    """URLs begin with where the application is mounted and with the prefix, encoded as the bytes on the wire."""
    app = rendering(lambda environ: f"{asset_url(environ, 'src/main.ts')} {asset_tags(environ, 'src/lazy.ts')}")
    asked = client(affinity(builds, app, prefix=prefix))
    text = asked.get("/page", headers=key("v1"), environ_overrides={"SCRIPT_NAME": script_name}).text
    assert text == f"{expected} {script(expected.replace('main-BX4CeNGm', 'lazy-Aq3kZ0b1'))}"


@pytest.mark.parametrize("render", [current_version, lambda environ: asset_url(environ, "src/main.ts")])
def test_marks_the_response(builds: dict[str, Path], render: Callable[[WSGIEnvironment], str]) -> None:
    """Using any of them makes an answer that is no page private and traced, though not stamped."""
    for kind in ("application/json", "text/css"):
        response = client(affinity(builds, rendering(render, kind))).get("/page", headers={**NAVIGATION, **key("v1")})
        assert response.headers["Cache-Control"] == "private, no-cache"
        assert response.headers["Version-Affinity"].startswith("v1;")
        assert "Vary" in response.headers
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("max-age=60", "max-age=60, private"),
        ("no-cache", "no-cache, private"),
        ("private, max-age=60", "private, max-age=60"),
        ("no-store", "no-store"),
        ('private="X-A"', 'private="X-A", private'),
        ("public, max-age=60", "public, max-age=60"),
    ],
)
def test_marked_data_is_not_shared(builds: dict[str, Path], own: str, expected: str) -> None:
    """Data that depends on the version is kept out of shared caches, unless the application declares it public."""
    app = rendering(current_version, "application/json", Cache_Control=own)
    response = client(affinity(builds, app)).get("/data", headers=key("v1"))
    assert response.headers.getlist("Cache-Control") == [expected]
    assert ("Vary" in response.headers) is ("public" not in own)


def test_current_version(builds: dict[str, Path]) -> None:
    """``current_version`` is the decided version, as the environ has it."""
    app = rendering(lambda environ: current_version(environ) + environ["version_affinity.version"])
    asked = client(affinity(builds, app))
    assert [asked.get("/page", headers=key(version)).text for version in SPLIT] == ["v1v1", "v2v2"]


def served(*uses: Callable[[WSGIEnvironment], str]) -> Any:
    """Return an application that uses some of them in turn."""
    return rendering(lambda environ: " ".join(use(environ) for use in uses))


def main(environ: WSGIEnvironment) -> str:
    """Use an entry that both versions have."""
    return asset_tags(environ, "src/main.ts")


def new(environ: WSGIEnvironment) -> str:
    """Use an entry that only v2 has."""
    return asset_tags(environ, "src/new.ts")


def unknown(environ: WSGIEnvironment) -> str:
    """Use an entry that nobody has."""
    return asset_tags(environ, "src/none.ts")


@pytest.mark.parametrize(
    ("uses", "served_by"),
    [
        ([main], "v1"),
        ([new], "v2"),
        ([main, new], "v1"),
        ([new, main], "v1"),
        ([current_version, new], "v2"),
        ([new, current_version], "v2"),
        ([unknown], "v1"),
    ],
)
def test_page_of_another_version(builds: dict[str, Path], uses: list[Any], served_by: str) -> None:
    """A page with an entry that only another version has is that version's page: in the trace, and in the pin."""
    response = client(affinity(builds, served(*uses))).get("/page", headers={**NAVIGATION, **key("v1")})
    told = f";served={served_by}" if served_by != "v1" else ""
    assert response.headers["Version-Affinity"] == f'v1;reason=key;source="header:Version-Key"{told}'
    assert response.headers["Set-Cookie"].partition(";")[0].endswith(f".{served_by}")
    assert response.headers.getlist("Server-Timing") == [f'version;desc="{served_by}"']


def test_page_of_another_version_under_an_override(builds: dict[str, Path]) -> None:
    """Under an override, too, the trace tells which version's files the page names; nothing is stamped."""
    response = client(affinity(builds, served(new))).get("/page", headers={**NAVIGATION, "Version-Override": "v1"})
    assert response.headers["Version-Affinity"] == 'v1;reason=override;source="header:Version-Override";served=v2'
    assert response.headers.getlist("Server-Timing") == ['version;desc="v2"']
    assert "Set-Cookie" not in response.headers


def test_page_of_another_version_already_pinned(builds: dict[str, Path]) -> None:
    """A pin that already names the version served stays as it is."""
    headers = {**NAVIGATION, **key("v1"), **pinned("v2")}
    response = client(affinity(builds, served(new))).get("/page", headers=headers)
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize(
    ("shares", "expected"),
    [({"v3": 60.0, "v1": 40.0}, MAIN_V1), ({"v3": 30.0, "v1": 30.0, "v2": 40.0}, MAIN_V2)],
)
def test_build_without_manifest(builds: dict[str, Path], shares: dict[str, float], expected: str) -> None:
    """Where the decided build has no manifest, the baseline's entry steps in, then any known version's."""
    asked = client(affinity(builds, rendering(main), shares))
    assert asked.get("/page", headers=key("v3", shares)).text == expected


def test_application_as_version_has_no_manifest(builds: dict[str, Path]) -> None:
    """A version that is an application is passed over; outside the prefix, the wrapped application still renders."""
    versions = [Version("app", rendering(lambda _environ: "own"))]
    mixed = VersionAffinity(rendering(main), versions, retained=[Version("v1", builds["v1"])], prefix="/shop/")
    assert client(mixed).get("/page").text == MAIN_V1.replace('"/assets', '"/shop/assets')
    assert client(mixed).get("/shop/x").text == "own"


def test_unknown_entry_is_logged(builds: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    """An entry that no version has is an error that names those that there are."""
    client(affinity(builds, rendering(unknown))).get("/page")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "'src/none.ts'" in record.getMessage()
    assert "'src/new.ts'" in record.getMessage()


@pytest.mark.parametrize("use", [current_version, main, lambda environ: asset_url(environ, "logo.svg")])
def test_not_wrapped(use: Callable[[WSGIEnvironment], str]) -> None:
    """Outside the middleware each of them raises an error that says how to wrap the application."""
    with pytest.raises(LookupError, match="VersionAffinity"):
        use({"REQUEST_METHOD": "GET"})
