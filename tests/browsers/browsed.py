"""Sites that tests open in browsers: builds of two versions behind a server in this process."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.browsers.browsers import ENGINES, Browser, Tab, browser, fresh_host
from tests.servers.servers import HOST
from version_affinity import Cookie, Version, VersionAffinity

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

DATA = Path(__file__).parents[1] / "data" / "workers"
#: A split in which every bucket that is drawn belongs to the first version, but for one in 100,000.
NEARLY_V1, NEARLY_V2 = {"v1": 99.999, "v2": 0.001}, {"v1": 0.001, "v2": 99.999}
SPLIT = {"v1": 50, "v2": 50}
OTHER = {"v1": "v2", "v2": "v1"}

SHOWN = "window.app && document.readyState === 'complete' && [document.documentElement.dataset.version, app.version]"


class Seen(NamedTuple):
    """A request, and what answered it."""

    path: str
    mode: str
    dest: str
    accept: str
    referer: str
    worker: bool
    status: int
    version: str


@dataclass
class Site:
    """An application behind a server in this process, and every request that it got."""

    app: WSGIApplication
    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request and note it."""
        path = environ["PATH_INFO"]
        if path == "/clear-cache":
            start_response("200 OK", [("Content-Type", "text/plain"), ("Clear-Site-Data", '"cache"')])
            return [b"cleared"]
        fields = [environ.get(f"HTTP_{name}", "") for name in ("SEC_FETCH_MODE", "SEC_FETCH_DEST", "ACCEPT", "REFERER")]
        worker = environ.get("HTTP_SERVICE_WORKER") == "script"

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            version = environ.get("version_affinity.version", "")
            if path != "/favicon.ico":  # browsers ask for it by themselves
                self.seen.append(Seen(path, *fields, worker, int(status[:3]), version))
            return start_response(status, headers, *rest)

        return self.app(environ, start)

    @property
    def affinity(self) -> VersionAffinity:
        """The application, where it is the middleware."""
        assert isinstance(self.app, VersionAffinity)
        return self.app

    def failures(self) -> list[Seen]:
        """Return the requests that failed."""
        return [seen for seen in self.seen if seen.status >= 400]


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def serving(app: WSGIApplication, host: str = "", tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Site]:
    """Serve an application to browsers until the block ends, by default at a host that no browser knows."""
    site = Site(app)
    server = make_server(HOST, port, site, threaded=True, request_handler=_Quiet, ssl_context=tls)
    site.url = f"{'https' if tls else 'http'}://{host or fresh_host()}:{server.port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def versions(directory: Path, percentages: dict[str, float]) -> list[Version]:
    """Return the versions whose builds are in a directory."""
    return [Version(name, directory / name, percentage=share) for name, share in percentages.items()]


@contextlib.contextmanager
def shop(
    kind: str, percentages: dict[str, float], app: WSGIApplication | None = None, data: Path = DATA
) -> Iterator[Site]:
    """Serve a build as a single-page application; no request of it fails."""
    affinity = VersionAffinity(
        app,
        versions(data / kind, percentages),
        name="shop",
        keys=[Cookie("user")],
        not_found_handling="single-page-application",
    )
    # Angular's worker waits for five quiet seconds before it fills its cache, but not at localhost.
    with serving(affinity, "localhost" if kind == "angular" else "") as site:
        yield site
    assert site.failures() == []


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all scenarios; each is at a host of its own."""
    with browser(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def tabs(engine: Browser) -> Iterator[Browser]:
    """The browser, whose tabs are closed at the end."""
    yield engine
    engine.close_tabs()


def start(tabs: Browser, site: Site) -> Tab:
    """Open a tab at a site. Cookies go from port to port, so those of the site before are removed."""
    tab = tabs.tab().open(f"{site.url}/clear-cache")
    tab.remove_cookies()
    return tab


def shown(tab: Tab) -> str:
    """Return the version of a page that is complete: its document and its script are of one version."""
    document, script = tab.wait_for(SHOWN)
    assert document == script
    return str(script)


def visit(tab: Tab, site: Site, path: str = "/") -> str:
    """Load a page as if its address was typed, and return its version."""
    return shown(tab.open(site.url + path))
