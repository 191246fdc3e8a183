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
from functools import partial
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

from version_affinity.errors import ConfigurationError
from version_affinity.wire import wsgi_text

from .build import APP, DOCUMENT, FILE, REDIRECT, Build, Found
from .http.response import NO_STORE, REVALIDATE, Parts, Response, respond, text_headers
from .loading.asset import Asset
from .loading.ignore import DEFAULT_IGNORE
from .loading.index import refresh, scan
from .loading.memory import Memory, is_misdescribed
from .refusals import missing, outside, refused
from .routing import check_handling, location
from .rules.changes import NEGOTIATED, negotiated
from .rules.redirects import Redirected
from .sending import LOST, VARY_ENCODING, changed, newly_lost, send, stand_in_headers, uncoded, wsgi_body

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .build import Leading
    from .handover import HandOver
    from .loading.asset import HeaderField
    from .loading.index import FingerprintRule, Index
    from .loading.inventory import Inventory
    from .routing import Redirect
    from .rules.changes import HeaderChanges

logger = logging.getLogger("version_affinity")

#: Bytes of file content that a process holds, unless told otherwise.
DEFAULT_MEMORY: Final = 64 * 1024 * 1024

# Caches may keep these for as long as they like, unless told otherwise (RFC 9110 section 15.1).
_LASTING: Final = ("301", "308")
#: What a prefix must be.
ASKABLE: Final = "write one such as '/shop/', without '?', '#' and '%', and without '//', '.' and '..' between slashes"
_READS: Final = frozenset(("GET", "HEAD"))
# What tells a page's request from that of what it loads (W3C Fetch Metadata).
_FETCH: Final = "Sec-Fetch-Mode, Sec-Fetch-Dest"
_OF_OTHERS: Final = (REVALIDATE,), (REVALIDATE, VARY_ENCODING)


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
        content_types: Adds to the built-in types, or changes them: ``{".mdl": "model/vnd.mdl"}``.
        manifest: A file where a load leaves what it found, so that the next one reads only what has changed; see
            ``scan``.
        allow_all_origins: Whether pages of other origins may use the fingerprinted files, as fonts and modules behind
            an asset host need it (``Access-Control-Allow-Origin: *``).
        hand_over: ``XAccelRedirect(…)`` or ``XSendfile(…)`` where the server in front sends large files.
        allow_source: Whether the directory may be a project's source directory, which is refused otherwise.
        autorefresh: For development: look at every request whether the directory has changed.

    Raises:
        ConfigurationError: a setting cannot be used.

    Attributes:
        autorefresh: Whether it looks for changes at every request. ``hand_over`` likewise is as given.
        build: The files, the paths that lead to them, and the rules.
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
        content_types: Mapping[str, str] | None = None,
        manifest: str | os.PathLike[str] | Mapping[str, object] | Inventory | None = None,
        allow_all_origins: bool = False,
        hand_over: HandOver | None = None,
        allow_source: bool = False,
        autorefresh: bool = False,
    ) -> None:
        check_handling(html_handling, not_found_handling)
        if app is not None and not callable(app):
            raise ConfigurationError(f"app={app!r} is no WSGI application: give a callable, or None to go without one")
        self.app: Final = app
        self.prefix: Final = _mounted(prefix)
        self.memory: Final = memory if isinstance(memory, Memory) else Memory(memory)
        self.hand_over: Final = check_hand_over(hand_over)
        self.autorefresh: Final = check_switch("autorefresh", autorefresh)
        self._make: Final = partial(
            Build,
            html_handling=html_handling,
            not_found_handling=not_found_handling,
            allow_all_origins=check_switch("allow_all_origins", allow_all_origins),
        )
        index = scan(
            directory,
            fingerprinted=fingerprinted,
            ignore=ignore,
            content_types=content_types,
            memory=self.memory,
            manifest=manifest,
            allow_source=check_switch("allow_source", allow_source),
        )
        try:
            self.build = self._make(index)
        except ConfigurationError:
            index.release()
            raise
        self._newest = index
        self._refreshing: Final = Lock()
        self._mount: Final = self.prefix[:-1]
        vary = NEGOTIATED[1] if app else _FETCH
        self._of_document: Final = (REVALIDATE, ("Vary", vary)), (REVALIDATE, ("Vary", f"{vary}, Accept-Encoding"))
        self._of_fingerprinted: Final = self.build.kept, (*self.build.kept, VARY_ENCODING)

    def __call__(  # noqa: C901, PLR0911, PLR0912 - one return for each thing that a path can stand for
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO", "") or _root(environ)
        mount = self._mount
        if mount:
            if path != mount and not path.startswith(self.prefix):
                return (self.app or outside)(environ, start_response)
            path = path[len(mount) :]
        if self.autorefresh:
            self.refresh()
        build = self.build
        if environ["REQUEST_METHOD"] not in _READS:
            allowing = build.preflight(path, environ)
            if allowing is not None:
                start_response("204 No Content", allowing)
                return ()
            return (self.app or partial(refused, build, path))(environ, start_response)
        prepared = build.prepared.get(path)
        sent = None if prepared is None else prepared.answer(environ)
        if sent is not None:
            status, headers, body = sent
            start_response(status, headers)
            return body
        answer = build.find(path, environ)
        if answer.__class__ is Asset:
            if answer.fingerprinted and prepared is None and path == answer.path:
                build.prepare(answer)
            caching = self._of_fingerprinted if answer.fingerprinted else _OF_OTHERS
            return self._send(answer, caching, build.changes_at(path, environ), environ, start_response)
        if answer is None:
            answer = build.stand_in(path, environ, build.index.directories if self.app else None)
        what, target = answer if isinstance(answer, Found) else (REDIRECT, answer)
        if what == APP and self.app is not None:
            if build.shows_page(path, environ):
                start_response = partial(_start_negotiated, start_response)
            return self.app(environ, start_response)
        changes = build.changes_at(path, environ)
        if isinstance(target, Asset):
            if what == DOCUMENT:
                changes = build.changes_elsewhere(path, target, environ)
                return self._send(target, self._of_document, changes, environ, start_response)
            if what == FILE:
                # The path at which a rule shows a file carries no hash.
                return self._send(target, _OF_OTHERS, changes, environ, start_response)
            return _send_not_found(target, changes, environ, start_response)
        if target is None:
            return missing(environ, start_response, changes)
        redirect = redirected(target, self.prefix, environ)
        if redirect.status[:3] in _LASTING:
            redirect.headers.append(REVALIDATE)
        redirect = redirect if changes is None else changed(redirect, changes)
        start_response(redirect.status, redirect.headers)
        return ()

    @property
    def index(self) -> Index:
        """The files."""
        return self.build.index

    @property
    def routes(self) -> Mapping[str, Asset | Redirect]:
        """Request path below the prefix to a file or a redirect."""
        return self.build.routes

    def refresh(self) -> bool:
        """Look whether the directory has changed, and serve it as it is now; tell whether it has.

        Nothing changes while the directory is in no state to be served, as in the middle of a build, nor when a
        callable given as ``fingerprinted`` fails, which is logged.
        """
        with self._refreshing:
            before = self.build
            try:
                index = refresh(self._newest)
                if index is self._newest and not before.has_changed_rules():
                    return False
                self._newest = index
                self.build = self._make(index, reported=before.reports)
            except ConfigurationError:
                return False
            except Exception:  # a request may be waiting for its answer
                logger.exception("%r is served as it was: it cannot be read again", before.index.directory)
                return False
            return True

    def release(self) -> None:
        """Give the content held in ``memory`` back when this build is no longer served; again, it does nothing."""
        with self._refreshing:
            self._newest.release()

    def _send(
        self,
        asset: Asset,
        caching: tuple[tuple[HeaderField, ...], tuple[HeaderField, ...]],
        changes: HeaderChanges | None,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Send a file; ``caching`` is for one without variants, and for one with variants."""
        response = respond(
            asset,
            environ["REQUEST_METHOD"],
            environ.get,
            caching[1 if asset.variants else 0],
            asset.last_modified,
        )
        if changes is not None:
            response = changed(response, changes)
        sent = send(response, environ, self.hand_over)
        if sent is None:
            lost = newly_lost(response)
            if lost is not None:
                logger.error("%r %s", lost.file, LOST)
            plain = uncoded(environ) if asset.variants else None
            if plain is not None:
                return self._send(asset, caching, changes, plain, start_response)
            if is_misdescribed(asset):
                self.refresh()
                if self.index.assets.get(asset.path) is not asset:
                    return self(environ, start_response)
            return missing(environ, start_response, changes)
        headers, body = sent
        start_response(response.status, headers)
        return body


def _start_negotiated(
    start_response: StartResponse, status: str, headers: list[HeaderField], exc_info: OptExcInfo | None = None
) -> Callable[[bytes], object]:
    """Start an application's answer at a URL at which a navigation is shown a page."""
    marked = negotiated(status, headers)
    return start_response(status, marked) if exc_info is None else start_response(status, marked, exc_info)


def check_hand_over(hand_over: object) -> HandOver | None:
    """Return the way to hand files over, or raise ``ConfigurationError``."""
    if hand_over is not None and (not callable(hand_over) or isinstance(hand_over, type)):
        raise ConfigurationError(f"hand_over={hand_over!r} hands nothing over: write XAccelRedirect('/srv/builds')")
    return cast("HandOver | None", hand_over)


def check_switch(name: str, value: object) -> bool:
    """Return a setting that is on or off, or raise ``ConfigurationError``."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} is neither on nor off: write {name}=True or {name}=False")
    return value


def redirected(target: Leading, prefix: str, environ: WSGIEnvironment) -> Response:
    """Return the response that redirects, without a word on how long it is kept."""
    if isinstance(target, Redirected):
        status, to = f"{target.status} {HTTPStatus(target.status).phrase}", target.location
    else:
        script_name, query = environ.get("SCRIPT_NAME", ""), environ.get("QUERY_STRING", "")
        status, to = "307 Temporary Redirect", location(script_name, prefix, target.path, query)
    return Response(status, [*text_headers(b""), ("Location", to)], b"")


def _root(environ: WSGIEnvironment) -> str:
    """Return what an empty path means: the mount without its slash, or, where nothing is mounted, the root."""
    return "" if environ.get("SCRIPT_NAME") else "/"


def is_askable(prefix: str) -> bool:
    """Tell whether a prefix is one that a path from a browser can begin with."""
    segments = prefix.strip("/").split("/")
    return "//" not in prefix and not set(prefix) & set("?#%") and {".", ".."}.isdisjoint(segments)


def _mounted(prefix: object) -> str:
    """Return a prefix as PATH_INFO shows it: with "/" at both ends, its UTF-8 decoded as latin-1 (PEP 3333)."""
    if not isinstance(prefix, str) or not is_askable(prefix):
        raise ConfigurationError(f"prefix={prefix!r} is no path: {ASKABLE}")
    segments = wsgi_text(prefix.strip("/"))
    return f"/{segments}/" if segments else "/"


def _send_not_found(
    page: Asset, changes: HeaderChanges | None, environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Send a 404 page: never kept, and without an ETag or ranges, since it is not the file at this path."""
    body = wsgi_body(Parts(page, ()) if environ["REQUEST_METHOD"] == "HEAD" else page, environ)
    if body is None:
        return missing(environ, start_response, changes)
    response = Response("404 Not Found", [*stand_in_headers(page), NO_STORE], b"")
    start_response(response.status, response.headers if changes is None else changed(response, changes).headers)
    return body
