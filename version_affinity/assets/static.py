"""A WSGI application that serves one build: ``StaticAssets``.

    app = StaticAssets("dist", not_found_handling="single-page-application")    # alone
    app.wsgi_app = StaticAssets("dist", app.wsgi_app)                           # in front of an application

Files are indexed when it is made and never looked for afterwards: what is not in the index does not exist, whatever the
request's path spells. Small files are sent from memory, large ones through the server's ``wsgi.file_wrapper``.

Fingerprinted files may be kept for a year; every other answer is checked with its content's ETag. What nobody has is a
``404`` that no cache keeps: a missing script is never answered with an HTML document.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError

from .asset import NOSNIFF
from .files import open_body
from .fingerprint import looks_like_asset
from .index import DEFAULT_IGNORE, scan
from .media import is_media
from .memory import Memory
from .response import IMMUTABLE, NO_STORE, REVALIDATE, if_none_match
from .routing import Redirect, check_handling, location, merge_slashes, not_found, routes

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .asset import Asset, Header
    from .index import FingerprintRule, Index

logger = logging.getLogger("version_affinity")

#: Bytes of file content that a process holds, unless told otherwise.
DEFAULT_MEMORY: Final = 64 * 1024 * 1024


_DOCUMENT: Final = "/index.html"
_READS: Final = frozenset(("GET", "HEAD"))
_ALLOW: Final = ("Allow", "GET, HEAD, OPTIONS")
_ALLOW_PAGE: Final = ("Allow", "GET, HEAD")
# What tells a page's request from that of what it loads (W3C Fetch Metadata).
_FETCH: Final = "Sec-Fetch-Mode, Sec-Fetch-Dest"
_KEPT: Final = (IMMUTABLE,)
_ASKED_FOR: Final = (REVALIDATE,)
_REPORTED: Final = 10  # skipped files that a log line names; the rest is counted


class StaticAssets:
    """Serves the files of one directory.

    Args:
        directory: The build.
        app: Gets every request that no file answers, other methods than GET and HEAD included. Without it, such a
            request is answered by ``not_found_handling``.
        prefix: Where the files are mounted below ``SCRIPT_NAME``.
        html_handling: ``auto-trailing-slash``, ``force-trailing-slash``, ``drop-trailing-slash`` or ``none``: the paths
            at which HTML files are shown (``routing.py``).
        not_found_handling: ``none``; ``404-page``: the nearest ``404.html``; ``single-page-application``:
            ``/index.html`` with status 200, for pages and for nothing that a page loads.
        memory: Bytes of content to hold, or a ``Memory`` that several builds share.
        ignore: Shell patterns of files that are not served.
        fingerprinted: Adds to the rule of which names carry their content's hash: a regular expression, or a callable.

    Raises:
        ConfigurationError: a setting cannot be used.

    Attributes:
        index: The files.
        routes: Request path below the prefix to a file or a redirect.
        memory: What holds the content.
        prefix: Where the files are mounted, as in ``PATH_INFO``, with "/" at both ends.

    >>> import tempfile, pathlib
    >>> from werkzeug.test import Client
    >>> with tempfile.TemporaryDirectory() as build:
    ...     _ = pathlib.Path(build, "hello.txt").write_text("Hello")
    ...     client = Client(StaticAssets(build))
    >>> client.get("/hello.txt").text, client.get("/missing.js").status_code
    ('Hello', 404)
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        app: WSGIApplication | None = None,
        *,
        prefix: str = "/",
        html_handling: str = "auto-trailing-slash",
        not_found_handling: str = "none",
        memory: Memory | int = DEFAULT_MEMORY,
        ignore: Iterable[str] = DEFAULT_IGNORE,
        fingerprinted: FingerprintRule | None = None,
    ) -> None:
        check_handling(html_handling, not_found_handling)
        if app is not None and not callable(app):
            raise ConfigurationError(f"app={app!r} is no WSGI application: give a callable, or None to go without one")
        self.app: Final = app
        self.prefix: Final = _mounted(prefix)
        self.html_handling: Final = html_handling
        self.not_found_handling: Final = not_found_handling
        self.memory: Final = memory if isinstance(memory, Memory) else Memory(memory)
        self._released = False
        self.index: Final[Index] = scan(directory, fingerprinted=fingerprinted, ignore=ignore, memory=self.memory)
        self.routes: Final = routes(self.index.assets, html_handling)
        if not_found_handling == "single-page-application" and _DOCUMENT not in self.index.assets:
            self.release()
            raise ConfigurationError(
                f"not_found_handling={not_found_handling!r} answers with /index.html, and {self.index.directory!r} has "
                "none: build the front end first, or use not_found_handling='none'",
            )
        self._mount: Final = self.prefix[:-1]
        # Where the client says nothing of its fetch, it is asked which types it takes.
        self._vary: Final = ("Vary", f"{_FETCH}, Accept" if app else _FETCH)
        _report(self.index)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO", "") or self._root(environ)
        mount = self._mount
        if mount:
            if path != mount and not path.startswith(self.prefix):
                return (self.app or _missing)(environ, start_response)
            path = path[len(mount) :]
        answer = self.routes.get(path)
        if answer is None:
            return self._unclaimed(path, environ, start_response)
        if environ["REQUEST_METHOD"] not in _READS:
            return (self.app or _refused)(environ, start_response)
        if isinstance(answer, Redirect):
            return self._redirect(answer, environ, start_response)
        return _send(answer, _KEPT if answer.fingerprinted else _ASKED_FOR, environ, start_response)

    @staticmethod
    def _root(environ: WSGIEnvironment) -> str:
        """Return what an empty path means: the mount without its slash, or, where nothing is mounted, the root."""
        return "" if environ.get("SCRIPT_NAME") else "/"

    def release(self) -> None:
        """Give the content held in ``memory`` back when this build is no longer served; again, it does nothing."""
        if not self._released:
            self._released = True
            self.memory.release(asset.digest for asset in self.index.assets.values() if asset.data is not None)

    def _unclaimed(self, path: str, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer where no file does."""
        if environ["REQUEST_METHOD"] not in _READS:
            has_page = self.not_found_handling == "single-page-application" or self._not_found_page(path) is not None
            return (self.app or (_refused_page if has_page else _missing))(environ, start_response)
        redirect = self._respelt(path, environ)
        if redirect is not None:
            return self._redirect(redirect, environ, start_response)
        if self._wants_document(path, environ):
            return _send(self.index.assets[_DOCUMENT], (REVALIDATE, self._vary), environ, start_response)
        if looks_like_asset(path, self.index.directories if self.app else None):
            return _missing(environ, start_response)
        if self.app is not None:
            return self.app(environ, start_response)
        page = self._not_found_page(path)
        return _missing(environ, start_response) if page is None else _send_not_found(page, environ, start_response)

    def _not_found_page(self, path: str) -> Asset | None:
        return not_found(self.index.assets, path) if self.not_found_handling == "404-page" else None

    def _respelt(self, path: str, environ: WSGIEnvironment) -> Redirect | None:
        """Return where a path leads that is spelt as no answer is: with doubled slashes, or without the first one."""
        if not path:
            # The mount without its slash: relative references in a page at "/app" would miss "/app/".
            return Redirect("/") if "/" in self.routes else None
        if "//" not in path:
            return None
        merged = merge_slashes(path)
        answer = self.routes.get(merged)
        if answer is not None:
            return answer if isinstance(answer, Redirect) else Redirect(merged)
        if self.app is None and (self._wants_document(merged, environ) or self._not_found_page(merged) is not None):
            return Redirect(merged)
        return None

    def _wants_document(self, path: str, environ: WSGIEnvironment) -> bool:
        """Tell whether the document of the single-page application is the answer: to pages, never to what they load."""
        if self.not_found_handling != "single-page-application":
            return False
        mode, destination = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
        if mode is not None or destination is not None:
            # With an application behind, only what a browser shows: an iframe may well show something of its own.
            shown = ("document", "empty", None) if self.app else ("document", "empty", "iframe", "frame", None)
            return destination in shown if mode == "navigate" else mode is None and destination == "document"
        if is_media(path):
            return False
        return self.app is None or "text/html" in environ.get("HTTP_ACCEPT", "")

    def _redirect(self, to: Redirect, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        query = environ.get("QUERY_STRING", "")
        target = location(environ.get("SCRIPT_NAME", ""), self.prefix, to.path, query)
        start_response("307 Temporary Redirect", [("Location", target), *_text_headers(b"")])
        return ()


def _mounted(prefix: object) -> str:
    """Return a prefix as PATH_INFO shows it: with "/" at both ends, its UTF-8 decoded as latin-1 (PEP 3333)."""
    if not isinstance(prefix, str) or "//" in prefix or set(prefix) & set("?#%"):
        raise ConfigurationError(f"prefix={prefix!r} is no path: write one such as '/shop/'")
    segments = prefix.strip("/").encode("utf-8", "surrogatepass").decode("latin-1")
    return f"/{segments}/" if segments else "/"


def _send(
    asset: Asset, caching: tuple[Header, ...], environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    field = environ.get("HTTP_IF_NONE_MATCH")
    if field and if_none_match(field, asset.etag):
        # RFC 9110 section 15.4.5: what the 200 would say, without what describes the body.
        start_response("304 Not Modified", [("ETag", asset.etag), *caching])
        return ()
    body = _body(asset, environ)
    if body is None:
        return _missing(environ, start_response)
    start_response("200 OK", [*asset.headers, *caching])
    return body


def _send_not_found(page: Asset, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Send a 404 page: never kept, and without an ETag, since it is not the file at this path."""
    body = _body(page, environ)
    if body is None:
        return _missing(environ, start_response)
    start_response("404 Not Found", [*(header for header in page.headers if header[0] != "ETag"), NO_STORE])
    return body


def _body(asset: Asset, environ: WSGIEnvironment) -> Iterable[bytes] | None:
    """Return the content, nothing for HEAD; None when the file is no longer the one that was indexed."""
    if asset.data is None:
        return open_body(asset, environ)
    return () if environ["REQUEST_METHOD"] == "HEAD" else (asset.data,)


def _missing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    return _say("404 Not Found", (NO_STORE,), environ, start_response)


def _refused(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer another method than GET and HEAD on a file."""
    if environ["REQUEST_METHOD"] == "OPTIONS":
        start_response("204 No Content", [_ALLOW])
        return ()
    return _say("405 Method Not Allowed", (_ALLOW, NO_STORE), environ, start_response)


def _refused_page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer another method than GET and HEAD where a page stands in for a missing file."""
    return _say("405 Method Not Allowed", (_ALLOW_PAGE, NO_STORE), environ, start_response)


def _say(
    status: str, headers: tuple[Header, ...], environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    body = status.encode("ascii") + b"\n"
    start_response(status, [*_text_headers(body), *headers])
    return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)


def _text_headers(body: bytes) -> tuple[Header, ...]:
    return (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))), NOSNIFF)


def _report(index: Index) -> None:
    """Log once what is not served, names escaped: a file's name may hold line breaks."""
    if index.skipped:
        named = "; ".join(f"{path!r}: {reason}" for path, reason in index.skipped[:_REPORTED])
        more = len(index.skipped) - _REPORTED
        logger.warning(
            "%r: %d not served: %s%s",
            index.directory,
            len(index.skipped),
            named,
            f"; and {more} more" if more > 0 else "",
        )
