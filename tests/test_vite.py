"""Vite's development server in place of builds: the tags of entries, URLs, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask
import pytest

from tests.builds import SPLIT, Answer, key_of, write_builds
from tests.harness import NAVIGATION, client
from version_affinity import ConfigurationError, Releases, Version, VersionAffinity
from version_affinity.flask import init_app

if TYPE_CHECKING:
    from pathlib import Path

VITE = "http://localhost:5173"
CLIENT = f'<script type="module" src="{VITE}/@vite/client"></script>'
ENTRY = f'<script type="module" src="{VITE}/src/main.ts"></script>'


def with_nonce(tags: str) -> str:
    """Return scripts with a nonce."""
    return tags.replace("></", ' nonce="n"></')


def affinity_of(root: Path, **options: Any) -> VersionAffinity:
    """Return a front end without builds."""
    return VersionAffinity(Answer(), [Version("v1", root / "nothing")], **{"vite": VITE, **options})


def test_tags(tmp_path: Path) -> None:
    """An entry is Vite's client and the source file; no build is needed."""
    assert affinity_of(tmp_path).asset_tags({}, "src/main.ts") == f"{CLIENT}\n{ENTRY}"
    assert affinity_of(tmp_path).asset_tags({}, "/src/main.ts") == f"{CLIENT}\n{ENTRY}"


def test_react(tmp_path: Path) -> None:
    """With ``react_refresh`` the preamble of React's plugin stands before the entry."""
    tags = affinity_of(tmp_path, react_refresh=True).asset_tags({}, "src/main.ts", nonce="n")
    before, _, after = tags.partition("\n")
    assert before == with_nonce(CLIENT)
    assert after.startswith(f'<script type="module" nonce="n">import runtime from "{VITE}/@react-refresh";\n')
    assert "runtime.injectIntoGlobalHook(window);" in after
    assert after.endswith(f"\n{with_nonce(ENTRY)}")


@pytest.mark.parametrize(
    ("attributes", "entry"),
    [
        ({"nonce": 'r4nd&"om'}, 'nonce="r4nd&amp;&quot;om"'),
        ({"data_turbo_track": "reload"}, 'data-turbo-track="reload"'),
        ({"crossorigin": True}, "crossorigin"),
    ],
)
def test_attributes(tmp_path: Path, attributes: dict[str, Any], entry: str) -> None:
    """Attributes reach every tag."""
    affinity = affinity_of(tmp_path, react_refresh=True)
    for source, count in (("src/main.ts", 3), ("src/style.scss", 3)):
        assert affinity.asset_tags({}, source, **attributes).count(entry) == count


@pytest.mark.parametrize("nonce", ["", None, False])
def test_no_nonce(tmp_path: Path, nonce: Any) -> None:
    """Without a nonce, the attribute is left out: an empty one would allow nothing. Others may be empty."""
    tags = affinity_of(tmp_path).asset_tags({}, "src/main.ts", nonce=nonce, data_empty="")
    assert "nonce" not in tags
    assert tags.count('data-empty=""') == 2


def test_attributes_of_built_files(tmp_path: Path) -> None:
    """What is for files of a build is left out: the order of the scripts, and a hash of other content."""
    tags = affinity_of(tmp_path).asset_tags(
        {}, "src/main.ts", async_=True, integrity="sha256-x", type="x", src="/evil.js"
    )
    assert tags == f"{CLIENT}\n{ENTRY}"


@pytest.mark.parametrize(
    ("entry", "last"),
    [
        ("src/style.css", f'<link rel="stylesheet" href="{VITE}/src/style.css">'),
        ("a b&<'.ts", f'<script type="module" src="{VITE}/a%20b&amp;%3C&#x27;.ts"></script>'),
        ("src/main-legacy.ts", ""),
        ("vite/legacy-polyfills-legacy", ""),
        ("vite/legacy-polyfills", ""),
    ],
)
def test_entries(tmp_path: Path, entry: str, last: str) -> None:
    """A style sheet is a link, names are escaped, and entries of plugin-legacy exist in builds only."""
    assert affinity_of(tmp_path).asset_tags({}, entry) == (f"{CLIENT}\n{last}" if last else "")


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("logo.svg", "/logo.svg"),
        ("/src/x.png", "/src/x.png"),
        ("//evil.example/x", "/evil.example/x"),
        ("\udc80", "/%80"),
    ],
)
def test_urls(tmp_path: Path, path: str, url: str) -> None:
    """A file is one of Vite's."""
    assert affinity_of(tmp_path).asset_url({}, path) == f"{VITE}{url}"


@pytest.mark.parametrize(
    ("vite", "prefix"),
    [
        ("http://localhost:5173", "http://localhost:5173/"),
        ("http://localhost:5173/", "http://localhost:5173/"),
        ("https://dev.shop.example/front/end/", "https://dev.shop.example/front/end/"),
        ("http://[::1]:5173", "http://[::1]:5173/"),
        ("http://front_end:5173", "http://front_end:5173/"),
    ],
)
def test_addresses(tmp_path: Path, vite: str, prefix: str) -> None:
    """The address is the one that Vite prints, with its base."""
    affinity = affinity_of(tmp_path, vite=vite, prefix="/shop/")
    assert affinity.asset_url({}, "logo.svg") == f"{prefix}logo.svg"
    assert f'"{prefix}@vite/client"' in affinity.asset_tags({}, "src/main.ts")


@pytest.mark.parametrize(
    "vite",
    [
        *(
            "localhost:5173",
            "//localhost:5173",
            "ftp://localhost",
            "http://",
            "http://:5173",
            "http://a b",
            " http://a",
        ),
        *("http://a/?x", "http://a/#x", "http://me:secret@a", 'http://a/"><script>', "http://a\n", "http://a:port"),
        *("http://a:123456", 5173, True, b"http://a", "javascript:alert(1)", "http://a//b"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_bad_addresses(tmp_path: Path, vite: Any, debug: bool) -> None:
    """Anything else is refused with an example, by ``init_app`` too, also outside debug mode."""
    with pytest.raises(ConfigurationError, match=r"is not the address of Vite.*vite='http://localhost:5173'"):
        affinity_of(tmp_path, vite=vite)
    app = flask.Flask("shop", root_path=str(write_builds(tmp_path)["v1"].parent))
    app.debug = debug
    with pytest.raises(ConfigurationError, match="is not the address of Vite"):
        init_app(app, [Version("v1", "v1")], vite=vite)


def test_bad_react_refresh(tmp_path: Path) -> None:
    """``react_refresh`` is a boolean."""
    with pytest.raises(ConfigurationError, match="react_refresh='yes'"):
        affinity_of(tmp_path, react_refresh="yes")


@pytest.mark.parametrize("vite", [None, ""])
def test_off(tmp_path: Path, vite: str | None) -> None:
    """None and "", as of an environment variable, mean builds, which must exist then."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        affinity_of(tmp_path, vite=vite)
    given = [Version("v1", write_builds(tmp_path)["v1"])]
    tags = VersionAffinity(None, given, vite=vite, react_refresh=True).asset_tags({}, "src/main.ts")
    assert "index-BX4CeNGm.js" in tags


@pytest.mark.parametrize("version", SPLIT)
def test_version_and_headers(tmp_path: Path, version: str) -> None:
    """The version is decided as with builds, and a page that names Vite's files depends on it."""

    def page(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/html")])
        return [f"{affinity.current_version(environ)} {affinity.asset_tags(environ, 'src/main.ts')}".encode()]

    given = [Version(name, tmp_path / name, percentage=share) for name, share in SPLIT.items()]
    affinity = VersionAffinity(page, given, name="storefront", vite=VITE)
    response = client(affinity).get("/page", headers={**NAVIGATION, "Version-Key": key_of(version)})
    assert response.text == f"{version} {CLIENT}\n{ENTRY}"
    assert response.headers["Cache-Control"] == "private, no-cache"
    assert response.headers["Version-Affinity"].startswith(f"{version};reason=key")


def test_releases(tmp_path: Path) -> None:
    """A checkout without a releases directory needs none."""
    affinity = VersionAffinity(Answer(), Releases(tmp_path / "releases"), vite=VITE)
    assert affinity.asset_tags({}, "src/main.ts") == f"{CLIENT}\n{ENTRY}"


def test_it_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A process that names Vite's server says so at its start."""
    affinity_of(tmp_path)
    assert f"Vite's development server, {VITE}/: not in production" in caplog.text


# --- Flask ------------------------------------------------------------------------------------------------------------


def shop(root: Path, *, debug: bool, **options: Any) -> flask.Flask:
    """Return a Flask application with a page."""
    app = flask.Flask("shop", root_path=str(root))
    app.debug = debug
    init_app(app, [Version("v1", "v1")], **options)
    app.add_url_rule(
        "/page", view_func=lambda: flask.render_template_string("{{ asset_tags('src/main.ts', nonce='n') }}")
    )
    return app


def test_flask_in_debug_mode(tmp_path: Path) -> None:
    """In debug mode pages load Vite's files, unescaped, and no build is needed."""
    tags = shop(tmp_path, debug=True, vite=VITE).test_client().get("/page").text
    assert tags == with_nonce(f"{CLIENT}\n{ENTRY}")


def test_flask_in_production(tmp_path: Path) -> None:
    """Outside debug mode the option has no effect: the builds count, and must exist."""
    with pytest.raises(ConfigurationError, match="does not exist"):
        shop(tmp_path, debug=False, vite=VITE)
    write_builds(tmp_path)
    page = shop(tmp_path, debug=False, vite=VITE, react_refresh=True).test_client().get("/page").text
    assert "index-BX4CeNGm.js" in page
    assert VITE not in page


@pytest.mark.parametrize(
    ("debug", "options", "expected"),
    [(True, {}, True), (False, {}, False), (True, {"autorefresh": False}, False), (False, {"autorefresh": True}, True)],
)
def test_autorefresh_in_flask(tmp_path: Path, debug: bool, options: dict[str, Any], expected: bool) -> None:
    """``autorefresh`` follows the debug mode, unless it is given."""
    write_builds(tmp_path)
    app = shop(tmp_path, debug=debug, **options)
    (tmp_path / "v1/index.html").write_text("built again, longer than before")
    assert app.test_client().get("/", headers=NAVIGATION).text.startswith("built again") is expected


def test_autorefresh_with_releases(tmp_path: Path) -> None:
    """With releases, which are not read again, debug mode changes nothing, and a wish for it is refused."""
    for options in ({}, {"autorefresh": False}):
        app = flask.Flask("shop", root_path=str(tmp_path))
        app.debug = True
        init_app(app, Releases(tmp_path / "releases"), missing_build="placeholder", **options)
        assert app.test_client().get("/x").status_code == 404
    with pytest.raises(ConfigurationError, match="autorefresh has no effect with releases"):
        init_app(flask.Flask("other"), Releases(tmp_path / "releases"), autorefresh=True)
