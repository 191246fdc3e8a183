"""A model of a browser, as far as a server can see one: tabs, cookies, an HTTP cache, and the headers of each request.

What it sends follows what Chromium was seen to send; a browser without Fetch Metadata (an old one, or any on a plain
http origin) sends the same without ``Sec-Fetch-*``. Time stands still: what is fresh stays fresh.
"""

from __future__ import annotations

import gzip
import io
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_HTML_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
_MAX_AGE = re.compile(r"max-age=(\d+)")

#: By extension, what a page's request for such a file says: Sec-Fetch-Dest, Sec-Fetch-Mode and Accept.
_DESTINATIONS = {
    "js": ("script", "cors", "*/*"),
    "css": ("style", "no-cors", "text/css,*/*;q=0.1"),
    "svg": ("image", "no-cors", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"),
    "woff2": ("font", "cors", "*/*"),
    "json": ("empty", "cors", "*/*"),
}


class Response(NamedTuple):
    """What a server answered; for a 304, what the browser makes of it together with its cached copy.

    Attributes:
        status: The status code.
        headers: The headers.
        body: The content.
        cached: The copy that the browser used, with or without asking.
        asked: Whether the server was asked.
        trace: The trace header as the server sent it this time.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    cached: CacheEntry | None = None
    asked: bool = True
    trace: str = ""

    def get(self, name: str) -> str:
        """Return the values of a header, joined by commas, "" without one."""
        return ", ".join(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def cookies(self) -> list[str]:
        """The Set-Cookie headers."""
        return [value for key, value in self.headers if key.lower() == "set-cookie"]

    @property
    def is_html(self) -> bool:
        """Whether a browser shows it as a page."""
        return self.get("Content-Type").startswith("text/html") and not self.get("Content-Disposition")


def environ_of(method: str, url: str, headers: dict[str, str], scheme: str = "http") -> dict[str, Any]:
    """Return the WSGI environ of a request for a path with an optional query."""
    path, _, query = url.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "443" if scheme == "https" else "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ


def send(app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> Response:
    """Ask a WSGI application as a server does (PEP 3333), and return its whole answer."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        assert exc_info is not None or not started, "start_response was called again without exc_info"
        started.append((status, headers))
        return written.append

    body = app(environ, start_response)
    try:
        written.extend(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    status, headers = started[-1]
    trace = next((value for name, value in headers if name == "Version-Affinity"), "")
    return Response(int(status[:3]), list(headers), b"".join(written), trace=trace)


def _decoded(response: Response) -> Response:
    """Return a response as a page sees it."""
    if response.get("Content-Encoding") == "gzip" and response.body:
        return response._replace(body=gzip.decompress(response.body))
    return response


@dataclass
class CacheEntry:
    """A stored response, with what its reuse depends on and the versions that had had a share when it was stored."""

    response: Response
    varying: dict[str, str]
    shown_then: frozenset[str]

    @property
    def fresh(self) -> bool:
        """Whether it may be used without asking (RFC 9111 section 4.2)."""
        cache_control = self.response.get("Cache-Control")
        age = _MAX_AGE.search(cache_control)
        return age is not None and int(age[1]) > 0 and "no-cache" not in cache_control


@dataclass
class Page:
    """A document that a tab or a frame shows.

    Attributes:
        url: Where it was loaded from.
        version: Whose page it is, by its content.
        first_party: Whether its requests carry cookies; those of a page framed by another site do not (SameSite=Lax).
    """

    url: str
    version: str
    first_party: bool = True


@dataclass
class Tab:
    """A tab: its history, where it stands in it, the frames of the page shown, and what was fetched ahead."""

    history: list[Page] = field(default_factory=list)
    position: int = -1
    frames: list[Page] = field(default_factory=list)
    prefetched: dict[str, Page] = field(default_factory=dict)

    @property
    def page(self) -> Page | None:
        """The page that is shown."""
        return self.history[self.position] if self.history else None

    def show(self, page: Page) -> None:
        """Show a page that was navigated to."""
        del self.history[self.position + 1 :]
        self.history.append(page)
        self.position = len(self.history) - 1
        self.frames = []
        self.prefetched = {}

    def go(self, steps: int) -> None:
        """Go back or forward, as far as there is a page: no request is sent."""
        position = min(max(self.position + steps, 0), len(self.history) - 1)
        if position != self.position:
            self.position = position
            self.frames = []

    def pages(self) -> list[Page]:
        """Return every page that this tab shows or may show again without a request."""
        return [*self.history, *self.frames, *self.prefetched.values()]


class Browser:
    """One browser: its cookies and its HTTP cache, shared by all tabs.

    Args:
        app: The WSGI application that it talks to.
        shown: Returns the versions that have had a share until now; noted with each stored response.
        fetch_metadata: Whether it sends ``Sec-Fetch-*``.
        keeps_cookies: False where the user blocks them.
        added: Headers that something on the way adds to each request, for example a key.
        scheme: "http" or "https".
    """

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        shown: Callable[[], frozenset[str]],
        *,
        fetch_metadata: bool = True,
        keeps_cookies: bool = True,
        added: dict[str, str] | None = None,
        scheme: str = "http",
    ) -> None:
        self.app = app
        self.shown = shown
        self.fetch_metadata = fetch_metadata
        self.keeps_cookies = keeps_cookies
        self.added = added or {}
        self.scheme = scheme
        self.jar: dict[str, str] = {}
        self.cache: dict[str, CacheEntry] = {}
        self.tabs: list[Tab] = []

    def pages(self) -> list[Page]:
        """Return the pages of all tabs."""
        return [page for tab in self.tabs for page in tab.pages()]

    # What each sort of request says.

    def navigation(self, *, worker: bool = False, framed: bool = False) -> dict[str, str]:
        """Return the headers of a navigation; ``worker``: sent by a service worker's ``fetch(event.request)``."""
        dest = "iframe" if framed else "empty" if worker else "document"
        return {"Accept": _HTML_ACCEPT, **self._metadata(dest, "navigate")}

    def prefetch(self, *, speculative: bool) -> dict[str, str]:
        """Return the headers of a speculation rule's prefetch, or of a ``<link rel=prefetch>``."""
        metadata = self._metadata("document", "navigate") if speculative else self._metadata("empty", "no-cors")
        return {"Accept": _HTML_ACCEPT, "Sec-Purpose": "prefetch", **metadata}

    def subresource(self, path: str, referer: str, *, worker: bool = False) -> dict[str, str]:
        """Return the headers of what a page loads; ``worker``: through its service worker."""
        dest, mode, accept = _DESTINATIONS[path.rpartition(".")[2]]
        origin = f"{self.scheme}://localhost"
        return {"Accept": accept, "Referer": origin + referer, **self._metadata("empty" if worker else dest, mode)}

    def worker_script(self, referer: str) -> dict[str, str]:
        """Return the headers of the request for a service worker's script."""
        metadata = self._metadata("serviceworker", "same-origin")
        return {
            "Accept": "*/*",
            "Service-Worker": "script",
            "Referer": f"{self.scheme}://localhost{referer}",
            **metadata,
        }

    def _metadata(self, dest: str, mode: str) -> dict[str, str]:
        if not self.fetch_metadata:
            return {}
        return {"Sec-Fetch-Dest": dest, "Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "same-origin"}

    # The network.

    def request(
        self,
        url: str,
        headers: dict[str, str],
        *,
        method: str = "GET",
        first_party: bool = True,
        cache: bool = True,
        reload: bool = False,
        app: Callable[..., Iterable[bytes]] | None = None,
    ) -> Response:
        """Send a request, through the HTTP cache and with the cookies that go with it, and keep what comes back.

        Args:
            url: A path with an optional query.
            headers: What the sort of request says.
            method: The method.
            first_party: False for what another site frames or posts: no Lax cookie goes or comes.
            cache: Whether the HTTP cache takes part.
            reload: Whether what is fresh is asked for again, too.
            app: Asked instead of the browser's application.
        """
        sent = {**headers, "Accept-Encoding": "gzip, deflate, br, zstd", **self.added}
        if first_party and self.jar:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        entry = self.cache.get(url) if cache and method == "GET" else None
        if entry is not None:
            # A stored response whose Vary does not match is still asked about by its tag (Chromium).
            matches = all(sent.get(name, "") == value for name, value in entry.varying.items())
            if entry.fresh and matches and not reload:
                return entry.response._replace(cached=entry, asked=False)
            if entry.response.get("ETag"):
                sent["If-None-Match"] = entry.response.get("ETag")
        response = _decoded(send(app or self.app, environ_of(method, url, sent, self.scheme)))
        if first_party and self.keeps_cookies:
            self._keep_cookies(response)
        if response.status == 304:
            assert entry is not None, f"304 without a condition: {url}"
            renewed = {name.lower() for name, _ in response.headers}
            kept = [(name, value) for name, value in entry.response.headers if name.lower() not in renewed]
            response = Response(200, [*kept, *response.headers], entry.response.body, entry, trace=response.trace)
        if cache and method == "GET" and response.status == 200:
            self._store(url, sent, response)
        return response

    def _keep_cookies(self, response: Response) -> None:
        for cookie in response.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.jar[name] = value

    def _store(self, url: str, sent: dict[str, str], response: Response) -> None:
        if "no-store" in response.get("Cache-Control"):
            self.cache.pop(url, None)
            return
        varying = {name.strip(): sent.get(name.strip(), "") for name in response.get("Vary").split(",")}
        headers = [header for header in response.headers if header[0] != "Set-Cookie"]
        shown_then = self.shown() if response.cached is None else response.cached.shown_then
        self.cache[url] = CacheEntry(response._replace(headers=headers, cached=None), varying, shown_then)
