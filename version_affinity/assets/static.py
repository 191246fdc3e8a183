"""A WSGI application that serves one build: ``StaticAssets``.

    app = StaticAssets("dist", not_found_handling="single-page-application")    # alone
    app.wsgi_app = StaticAssets("dist", app.wsgi_app)                           # in front of an application

Files are indexed when the object is made. A file that is not in the index is never served, whatever the request's path.
Small files are sent from memory, large ones through the server's ``wsgi.file_wrapper``.

Caches may keep fingerprinted files for a year; every other answer is revalidated by the content's ETag. A missing file
is a ``404`` that no cache keeps: a missing script is never answered with an HTML document.
"""

from __future__ import annotations

import logging
from functools import partial
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Final, cast

from version_affinity.errors import ConfigurationError
from version_affinity.wire import path_of, wsgi_text

from .build import APP, DOCUMENT, REDIRECT, STAND_IN_STATUS, Build, Found
from .http.conditions import READING
from .http.response import NO_STORE, REVALIDATE, Response, text_headers
from .loading.asset import Asset
from .loading.ignore import DEFAULT_IGNORE
from .loading.index import refresh, scan
from .loading.memory import Memory
from .routing import check_handling, location
from .rules.changes import NEGOTIATED, negotiated
from .rules.redirects import Redirected
from .sending import (
    ALL_METHODS,
    LOST,
    NO_CONTENT,
    NOT_FOUND,
    VARY_ENCODING,
    changed,
    is_of_server,
    method_answer,
    send_file,
    text_answer,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from .build import Leading
    from .handover import HandOver
    from .loading.asset import HeaderField, Representation
    from .loading.index import FingerprintRule, Index
    from .loading.inventory import Inventory
    from .loading.placeholder import MissingBuild
    from .routing import HtmlHandling, NotFoundHandling
    from .rules.changes import HeaderChanges
    from .sending import Sent

logger = logging.getLogger("version_affinity")

#: The default number of bytes of file content that a process holds.
DEFAULT_MEMORY: Final = 64 * 1024 * 1024

# Heuristically cacheable (RFC 9110 section 15.1): caches keep these unless Cache-Control says otherwise.
_LASTING: Final = ("301", "308")
# These tell the request for a page from those for what the page loads (W3C Fetch Metadata).
_FETCH: Final = "Sec-Fetch-Mode, Sec-Fetch-Dest"
_OF_OTHERS: Final = (REVALIDATE,), (REVALIDATE, VARY_ENCODING)


class StaticAssets:
    """Serves the files of one directory: a complete WSGI application, or middleware in front of one.

    Args:
        directory: The directory of the build.
        app: The application that gets every request that no file answers, and all methods except GET and HEAD. Without
            it, ``not_found_handling`` says what answers.
        prefix: The path at which the files are mounted, below ``SCRIPT_NAME``.
        html_handling: The paths at which HTML files are shown: ``auto-trailing-slash``, ``force-trailing-slash``,
            ``drop-trailing-slash`` or ``none``.
        not_found_handling: ``none``; ``404-page``: the nearest ``404.html``; ``single-page-application``:
            ``/index.html`` with status 200, for pages and never for what a page loads.
        memory: How many bytes of content to hold in this process, or a ``Memory`` that several builds share.
        ignore: Shell patterns of files that are not served.
        fingerprinted: Which further files carry a hash of their content in the name: a regular expression or a
            callable.
        content_types: Content types by extension, which add to the built-in ones or replace them:
            ``{".mdl": "model/vnd.mdl"}``.
        manifest: A file in which a load notes what it found, so that the next load reads only changed files.
        allow_all_origins: Whether pages of other origins may use the fingerprinted files, such as fonts
            (``Access-Control-Allow-Origin: *``).
        hand_over: ``XAccelRedirect(...)`` or ``XSendfile(...)`` if the server in front sends large files.
        allow_source: Whether the directory may be a project's source directory, which is refused otherwise.
        missing_build: ``placeholder``: a page with status 503 stands in for a directory that does not exist or has no
            files, for example in a new checkout. ``error``: this is refused.
        autorefresh: For development: check on every request whether the directory has changed.

    Raises:
        ConfigurationError: An option cannot be used.

    .. versionadded:: 0.2.0
       ``allow_source`` and ``missing_build``; and ``.assetsignore`` in the directory lists files that are not served.

    .. versionchanged:: 0.2.0
       Paths are decoded and looked up: there is no redirect to a canonical percent-encoding.

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
        html_handling: HtmlHandling = "auto-trailing-slash",
        not_found_handling: NotFoundHandling = "none",
        memory: Memory | int = DEFAULT_MEMORY,
        ignore: Iterable[str] = DEFAULT_IGNORE,
        fingerprinted: FingerprintRule | None = None,
        content_types: Mapping[str, str] | None = None,
        manifest: str | os.PathLike[str] | Mapping[str, object] | Inventory | None = None,
        allow_all_origins: bool = False,
        hand_over: HandOver | None = None,
        allow_source: bool = False,
        missing_build: MissingBuild = "error",
        autorefresh: bool = False,
    ) -> None:
        check_handling(html_handling, not_found_handling)
        if app is not None and not callable(app):
            raise ConfigurationError(f"app={app!r} is not a WSGI application: give a callable, or None")
        self.app: Final = app
        self.prefix: Final = mounted(prefix)
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
            missing_build=missing_build,
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

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        path = environ.get("PATH_INFO") or path_of(environ)
        reading = environ["REQUEST_METHOD"] in READING
        mount = self._mount
        is_inside = not mount or path == mount or path.startswith(self.prefix)
        sent: Sent | None = None
        if is_inside:
            path = path[len(mount) :] if mount else path
            if self.autorefresh:
                self.refresh()
            prepared = self.build.prepared.get(path)
            sent = None if prepared is None else prepared.answer(environ)
            if sent is None and reading:
                sent = self._read(path, environ)
            elif sent is None and (allowing := self.build.preflight(path, environ)) is not None:
                sent = NO_CONTENT, allowing, ()
        if sent is None:
            if self.app is not None:
                if reading and is_inside and self.build.shows_page(path, environ):
                    start_response = partial(_start_negotiated, start_response)
                return self.app(environ, start_response)
            sent = self._refused(path if is_inside else None, environ)
        status, headers, body = sent
        start_response(status, headers)
        return body

    def _read(self, path: str, environ: WSGIEnvironment) -> Sent | None:
        """Return the answer to a GET or HEAD; None for a request of the application."""
        build = self.build
        at = build.direct.get(path) or build.find(path, environ)
        if isinstance(at, Asset):
            if at.fingerprinted and path == at.path and path not in build.prepared:
                build.prepare(at)
            caching = self._of_fingerprinted if at.fingerprinted else _OF_OTHERS
            return self._file(at, caching, build.changes_at(path, environ), environ)
        if at is None:
            at = build.stand_in(path, environ, build.index.directories if self.app else None)
        what, target = at if isinstance(at, Found) else (REDIRECT, at)
        if what == APP:
            return None
        if what == DOCUMENT and isinstance(target, Asset):
            return self._file(target, self._of_document, build.changes_elsewhere(path, target, environ), environ)
        changes = build.changes_at(path, environ)
        if not isinstance(target, Asset):
            return self._without_file(target, changes, environ)
        if what not in STAND_IN_STATUS:  # shown by a rule, at a path without a hash
            return self._file(target, _OF_OTHERS, changes, environ)
        # Never cached: it is not the file at this path.
        sent = send_file((target,), environ, (NO_STORE,), changes, None, _report_lost, status=STAND_IN_STATUS[what])
        return self._without_file(None, changes, environ) if sent is None else sent

    def _without_file(self, target: Leading | None, changes: HeaderChanges | None, environ: WSGIEnvironment) -> Sent:
        """Return the answer with a redirect, or a plain 404."""
        if target is None:
            return text_answer(NOT_FOUND, environ["REQUEST_METHOD"], (NO_STORE,), changes)
        response = redirected(target, self.prefix, environ)
        if response.status[:3] in _LASTING:
            response.headers.append(REVALIDATE)
        response = response if changes is None else changed(response, changes)
        return response.status, response.headers, ()

    def _refused(self, path: str | None, environ: WSGIEnvironment) -> Sent:
        """Return the answer where there is no application: outside the mount (None), or to another method."""
        allowed = ALL_METHODS if is_of_server(environ) else "" if path is None else self.build.allowed(path, environ)
        changes = None if path is None else self.build.changes_at(path, environ)
        return method_answer(allowed, environ["REQUEST_METHOD"], (NO_STORE,), changes)

    @property
    def index(self) -> Index:
        """The index of the files."""
        return self.build.index

    def refresh(self) -> bool:
        """Read the directory again if it has changed, and return whether it has.

        The last good state stays while the directory cannot be served, for example in the middle of a build, and when
        a ``fingerprinted`` callable fails, which is logged.
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
            except Exception:  # a request waits for its answer
                logger.exception("%r cannot be read again: its last good state is still served", before.index.directory)
                return False
            return True

    def release(self) -> None:
        """Release the content in ``memory``, once this build is no longer served. May be called again."""
        with self._refreshing:
            self._newest.release()

    def _file(
        self,
        asset: Asset,
        caching: tuple[tuple[HeaderField, ...], tuple[HeaderField, ...]],
        changes: HeaderChanges | None,
        environ: WSGIEnvironment,
    ) -> Sent:
        """Return the answer with a file; ``caching`` is for one without compressed forms, and for one with them."""
        extra = caching[1 if asset.variants else 0]
        sent = send_file((asset,), environ, extra, changes, self.hand_over, _report_lost, asset.last_modified)
        return text_answer(NOT_FOUND, environ["REQUEST_METHOD"], (NO_STORE,), changes) if sent is None else sent


def _report_lost(file: Representation) -> None:
    logger.error("%r %s", file.file, LOST)


def _start_negotiated(
    start_response: StartResponse, status: str, headers: list[HeaderField], exc_info: OptExcInfo | None = None
) -> Callable[[bytes], object]:
    """Start an application's response at a URL where a navigation gets a page of the build."""
    marked = negotiated(status, headers)
    return start_response(status, marked) if exc_info is None else start_response(status, marked, exc_info)


def check_hand_over(hand_over: object) -> HandOver | None:
    """Return the option ``hand_over``, or raise ``ConfigurationError``."""
    if hand_over is not None and (not callable(hand_over) or isinstance(hand_over, type)):
        raise ConfigurationError(
            f"hand_over={hand_over!r} is not a way to hand files over: write XAccelRedirect('/srv/builds')"
        )
    return cast("HandOver | None", hand_over)


def check_switch(name: str, value: object) -> bool:
    """Return a boolean option, or raise ``ConfigurationError``."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name}={value!r} is not a boolean: write {name}=True or {name}=False")
    return value


def redirected(target: Leading, prefix: str, environ: WSGIEnvironment) -> Response:
    """Return the response that redirects, without Cache-Control."""
    if isinstance(target, Redirected):
        status, to = f"{target.status} {HTTPStatus(target.status).phrase}", target.location
    else:
        script_name, query = environ.get("SCRIPT_NAME", ""), environ.get("QUERY_STRING", "")
        status, to = "307 Temporary Redirect", location(script_name, prefix, target.path, query)
    return Response(status, [*text_headers(b""), ("Location", to)], b"")


def mounted(prefix: object) -> str:
    """Return a prefix as in PATH_INFO, with "/" at both ends, or raise ``ConfigurationError``."""
    segments = prefix.strip("/") if isinstance(prefix, str) and "//" not in prefix else "?"
    if set(segments) & set("?#%") or not {".", ".."}.isdisjoint(segments.split("/")):
        raise ConfigurationError(
            f"prefix={prefix!r} is not a path: write one such as '/shop/', without '?', '#' and '%', and without '//', "
            "'.' and '..' between slashes"
        )
    return f"/{wsgi_text(segments)}/" if segments else "/"
