"""Every option of every public name gets odd values: it works with them, or an error names the option."""

from __future__ import annotations

import inspect
import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flask
import pytest
from werkzeug.test import create_environ

from version_affinity import (
    ConfigurationError,
    Cookie,
    Header,
    Releases,
    StaticAssets,
    Version,
    VersionAffinity,
    XAccelRedirect,
    XSendfile,
    override_link,
    sign_override,
)
from version_affinity.flask import init_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

LONG = "a" * 5000
SIGNED = {"version": "v1", "name": "shop", "secret": "s" * 16, "lifetime": 60}
PATHS = ("/", "/index.html", "/nothing", "/assets/main-AbCdEf12.js", "/api/cart", "/version.json", "/é")


def fail(*_: object) -> Any:
    """Raise, as a callable of an application may."""
    raise ValueError("no rule")


def values() -> Iterator[object]:
    """Yield the values anew, since some can be iterated once."""
    yield from (None, True, False, 0, -1, 1, 3.7, math.nan, math.inf, -0.0, 1e308, 10**400, 1j, ..., NotImplemented)
    yield from ("", " ", "x", "/", "//", "/a", "a/", "/a/", "\n", "a\nb", "\0", "é", "\udc80", "😀", LONG, "../x")
    yield from (b"", b"x", b"\xff", Path("x"), Path(), Path(LONG), re.compile("x"), re.compile(b"x"))
    yield from ([], [None], [""], ["x"], ["/x"], [1], [b"x"], [LONG], (), {}, {"a": 1}, {"a": None}, {1: 2}, {"x"})
    yield from (object(), object, fail, lambda: None, lambda: 5, lambda _: "x", lambda _: 5, range(3), iter(["x"]))


def app(_: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Answer, as the wrapped application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"app"]


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a directory with two builds; the working directory is an empty one below it."""
    for version in ("v1", "v2"):
        (tmp_path / version / "assets").mkdir(parents=True)
        (tmp_path / version / "index.html").write_text(f"<h1>{version}</h1>")
        (tmp_path / version / "assets" / "main-AbCdEf12.js").write_text("same")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return tmp_path


def options_of(function: Callable[..., object], *without: str) -> list[str]:
    """Return the names of a function's parameters."""
    return [name for name in inspect.signature(function).parameters if name not in ("self", *without)]


def listed(builds: Path) -> list[Version]:
    """Return the two builds as versions."""
    return [Version(version, builds / version, percentage=50) for version in ("v1", "v2")]


def is_refused(name: str, make: Callable[[], object]) -> bool:
    """Return whether a value is refused; an error must say for which option."""
    message = None
    try:
        make()
    except ConfigurationError as error:
        message = str(error)
    assert message is None or name in message
    return message is not None


def ask_all(affinity: Callable[..., Any]) -> None:
    """Ask for pages, files and what there is not; nothing may raise or fail."""
    for path in PATHS:
        environ = create_environ(path, headers={"Cookie": "user=1", "Referer": "http://localhost/sw.js"})
        started: list[str] = []
        assert list(affinity(environ, lambda status, _headers, _info=None, out=started: out.append(status))) is not None
        assert started[-1][0] in "234"


@pytest.mark.parametrize("name", options_of(VersionAffinity, "app", "versions"))
@pytest.mark.filterwarnings("ignore")
def test_options_of_the_middleware(name: str, builds: Path) -> None:
    """``VersionAffinity`` refuses a value and names the option, or answers all requests."""
    for value in values():
        made: list[VersionAffinity] = []
        options: dict[str, Any] = {name: value}
        if not is_refused(name, lambda: made.append(VersionAffinity(app, listed(builds), **options))):  # noqa: B023
            ask_all(made[0])


@pytest.mark.parametrize("name", options_of(StaticAssets, "app"))
def test_options_of_static_assets(name: str, builds: Path) -> None:
    """``StaticAssets`` does the same."""
    for value in values():
        made: list[StaticAssets] = []
        options: dict[str, Any] = {"directory": builds / "v1", "app": app, name: value}
        if not is_refused(name, lambda: made.append(StaticAssets(**options))):  # noqa: B023
            ask_all(made[0])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        pytest.param(name, partial(make, **given), id=f"{make.__name__} {name}")
        for make, given in (
            (sign_override, SIGNED),
            (override_link, SIGNED),
            (XAccelRedirect, {"root": "."}),
            (XSendfile, {"root": "."}),
            (Cookie, {}),
            (Header, {}),
            (Version, {"id": "v1", "app": "v1"}),
        )
        for name in options_of(make)
    ],
)
def test_options_of_values(name: str, make: Callable[..., object], builds: Path) -> None:
    """Other public names raise ``ConfigurationError`` or take the value."""
    del builds
    for value in values():
        is_refused("", lambda: make(**{name: value}))  # noqa: B023


@pytest.mark.parametrize("name", options_of(Releases))
def test_options_of_releases(name: str, builds: Path) -> None:
    """So does ``Releases``, when it is used."""
    for value in values():
        is_refused("", lambda: VersionAffinity(app, Releases(**{"path": builds, name: value})))  # noqa: B023


def test_applications_of_flask(builds: Path) -> None:
    """``init_app`` says what it needs: the application, not its ``wsgi_app``."""
    for value in (*values(), flask.Flask("shop").wsgi_app):
        with pytest.raises(ConfigurationError, match="is not a Flask application"):
            init_app(value, listed(builds))  # type: ignore[arg-type]


def test_the_root_of_the_file_system_is_no_build() -> None:
    """A name that became empty before its slash must not serve the whole file system."""
    for name in ("/", "//", "/../"):
        with pytest.raises(ConfigurationError, match=r"^directory='[./]+' is the root of the file system: name"):
            StaticAssets(name)


@pytest.mark.parametrize("rule", [fail, lambda: None, object])
def test_a_rule_that_raises(rule: Any, builds: Path) -> None:
    """The error names the rule, what it raised, and the file."""
    with pytest.raises(ConfigurationError, match=r"fingerprinted=.* raised .* for '/"):
        StaticAssets(builds / "v1", fingerprinted=rule)
