"""Send the files of builds, redirects and refusals, under a decision; and what is rare about files served by name."""

from __future__ import annotations

import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Final

from version_affinity.assets.build import DOCUMENT, MISSING, STAND_IN_STATUS
from version_affinity.assets.http.conditions import NOT_MODIFIED, READING
from version_affinity.assets.http.response import OK, REVALIDATE
from version_affinity.assets.loading.asset import ETAG, Asset
from version_affinity.assets.loading.fingerprint import looks_like_asset
from version_affinity.assets.routing import Redirect
from version_affinity.assets.rules.redirects import Redirected
from version_affinity.assets.sending import (
    LOST,
    NO_CONTENT,
    NOT_FOUND,
    changed,
    method_answer,
    send_file,
    text_answer,
)
from version_affinity.assets.static import redirected
from version_affinity.counters import LimitedLog
from version_affinity.decision.request import OTHER, SERVICE_WORKER, Request, is_script_request
from version_affinity.ramp.evidence import MISSING_ASSETS

from .finish import is_page
from .headers import retraced, trace
from .route import PREFLIGHT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.assets.build import Build
    from version_affinity.assets.handover import HandOver
    from version_affinity.assets.loading.asset import Representation
    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.assets.sending import Sent
    from version_affinity.counters import Counters
    from version_affinity.decision.cookies import PinCookie
    from version_affinity.decision.decider import Decision
    from version_affinity.ramp.failing import FailureNotes
    from version_affinity.rollout.catalog import NamedFile
    from version_affinity.rollout.state import State

    from .finish import Finisher
    from .headers import DecisionHeaders, Headers
    from .route import Route

# A service worker's requests are recognised by their Referer, which names its script under this policy.
_NAMED: Final = ("Referrer-Policy", "same-origin")


class FileServer:
    """Sends and counts what builds answer, and reports missing files."""

    __slots__ = ("_cookie", "_counters", "_failures", "_finisher", "_hand_over", "_lost_log", "_missing_log")

    def __init__(
        self,
        finisher: Finisher,
        counters: Counters,
        failures: FailureNotes,
        cookie: PinCookie | None,
        hand_over: HandOver | None,
    ) -> None:
        self._finisher = finisher
        self._failures = failures
        self._counters = counters
        self._cookie = cookie
        self._hand_over = hand_over
        self._missing_log = LimitedLog(logging.WARNING)
        self._lost_log = LimitedLog(logging.ERROR)

    def rare_answer(self, state: State, file: NamedFile, environ: WSGIEnvironment) -> Sent | None:
        """Return the answer with a fingerprinted file that is not prepared; None if no copy of the file is left.

        None for another method than GET and HEAD too.
        """
        if environ["REQUEST_METHOD"] not in READING:
            return None
        copies, kept, changes = file.copies, file.kept, file.changes
        report_lost = partial(self._report_lost, state)
        sent = send_file(copies, environ, kept, changes, self._hand_over, report_lost, file.last_modified)
        if sent is not None and file.etag is not None and file.data is None:
            # It may have come into memory.
            file.data = next((copy.data for copy in copies if copy.data is not None), None)
        return sent

    def serve(  # noqa: C901, PLR0912 - on every page, and more helpers would be more calls
        self, state: State, request: Request, decided: DecisionHeaders, found: Route, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Send what ``route`` has found: a file of a build, or what answers without one."""
        what, asset, served, path = found
        if not isinstance(asset, Asset) or path is None:
            return self._serve_without_file(state, request, decided, found, start_response)
        environ = request.environ
        status = OK
        stamp = None
        if asset.is_html and ((pin := state.pins[served]) != request.pin or not request.bucket):
            stamp = self._finisher.stamp(request, decided, pin)
        if what in STAND_IN_STATUS:  # a 404 page is not the file at this path
            status = STAND_IN_STATUS[what]
            headers = decided.missing
        elif what == DOCUMENT:  # at the same URL, other requests may get another answer
            headers = decided.document_variants if asset.variants else decided.document
        elif stamp is None and path in state.catalog.same_everywhere and not state.catalog.has_redirect(path):
            headers = decided.shared_variants if asset.variants else decided.shared
        else:
            headers = decided.private_variants if asset.variants else decided.private
        if request.kind == SERVICE_WORKER and is_script_request(environ):
            headers = [*headers, _NAMED]
        rescued = served != decided.version
        if rescued:
            headers = retraced(headers, decided.decision, served)
        build: Build = state.builds[served]  # type: ignore[assignment]  # it has the file
        # Nearly every page, whole or not modified.
        plain = status is OK and not asset.variants and not asset.fingerprinted and build.header_rules is None
        sent = _frequent(asset, environ, headers) if plain else None
        if sent is None:
            if what == DOCUMENT:
                changes = build.changes_elsewhere(path, asset, environ, private=True)
            else:
                changes = build.changes_at(path, environ)
            if status is OK and asset.fingerprinted:
                headers = [*headers, *build.kept[1:]]  # without its Cache-Control: the name is a collision
            sent = self._sent(state, asset, status, request, headers, decided, changes)
            if sent is None:  # the file is gone, or was changed since its version was loaded
                self._report_missing(state, request, decided.decision, asset.path, asset.path)
                missing = text_answer(NOT_FOUND, request.method, decided.missing, changes)
                return decided.start(missing, start_response)
            if (sent[0][0] == "4" and status is OK) or (changes is not None and not is_page(changes)):
                stamp = None  # the browser shows no page of the version
        if stamp is not None and request.method == "GET":
            sent[1].append(stamp)
            decided.count_page_with_cookie(request)
        if rescued:
            self._counters.rescues[decided.version, served].advance()
        status, headers, body = sent
        if status is OK:
            decided.count_success()
        else:
            decided.count(status)
        start_response(status, headers)
        return body

    def _serve_without_file(
        self, state: State, request: Request, decided: DecisionHeaders, found: Route, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Send a redirect, the answer to a preflight, or a refusal."""
        what, target, _, path = found
        environ = request.environ
        build = state.builds[decided.version]
        changes = None if build is None or path is None else build.changes_at(path, environ)
        if what == MISSING:
            self._report_missing(state, request, decided.decision, environ.get("PATH_INFO", ""), path or "")
        sent: Sent
        if what == PREFLIGHT and isinstance(target, list):
            sent = NO_CONTENT, target, ()
        elif isinstance(target, Redirect | Redirected):
            response = redirected(target, state.settings.prefix, environ)
            response.headers.extend(decided.private)
            if changes is not None:
                response = changed(response, changes.uncached if decided.forced else changes.private)
            sent = response.status, response.headers, ()
        else:
            allowed = target if isinstance(target, str) else ""
            sent = method_answer(allowed, request.method, decided.missing, changes)
        return decided.start(sent, start_response)

    def count_rescue(self, state: State, file: NamedFile, environ: WSGIEnvironment) -> None:
        """Count a file that is served by name as a rescue, if the version that this request would get has none."""
        if environ["REQUEST_METHOD"] not in READING:
            return  # a preflight
        decided = state.decider.expected(Request(environ, self._cookie, state.workers, OTHER))
        if decided and not file.owners & state.catalog.bits[decided]:
            self._counters.rescues[decided, file.version].advance()

    def _sent(
        self,
        state: State,
        asset: Asset,
        status: str,
        request: Request,
        headers: Headers,
        decided: DecisionHeaders,
        changes: HeaderChanges | None,
    ) -> Sent | None:
        """Return the answer with a file under a decision; None if the file cannot be sent any more."""
        if changes is not None and decided.forced:
            changes = changes.uncached
        elif changes is not None and REVALIDATE not in headers:
            changes = changes.private
        # Without dates: they cannot tell one version's file from another's.
        report_lost = partial(self._report_lost, state)
        return send_file(
            (asset,),
            request.environ,
            headers,
            changes,
            self._hand_over,
            report_lost,
            refusal=decided.missing,
            status=status,
        )

    def _report_lost(self, state: State, lost: Representation) -> None:
        """Log a file that was there when its version was loaded and cannot be sent now."""
        owners = (
            version
            for version, build in state.builds.items()
            if build is not None and lost.file.startswith(build.index.directory + os.sep)
        )
        self._lost_log("version %r: %r %s", next(owners, "?"), lost.file, LOST)

    def _report_missing(self, state: State, request: Request, decision: Decision, path: str, local: str) -> None:
        """Count and log an asset that no version has; ``local`` is its path in a build.

        A guessed name in a directory that no build has says nothing of a version, so the guard does not count it.
        """
        self._counters.missing[decision.version].advance()
        if self._failures.watched is not None and looks_like_asset(local, state.catalog.directories):
            self._failures.note(MISSING_ASSETS, state, request, request.environ, decision)
        self._missing_log("no known version can serve %.200r (decided: %s)", path, trace(decision))


def _frequent(asset: Asset, environ: WSGIEnvironment, headers: Headers) -> Sent | None:
    """Return the answer with a file without compressed forms and rules, if it is a plain 200 or 304.

    Measured: without it, pages take 1.29 times as long. Dates in the request do not count: no answer here has one.
    """
    if "HTTP_IF_MATCH" in environ or "HTTP_RANGE" in environ:
        return None
    known = environ.get("HTTP_IF_NONE_MATCH")
    if known is not None:
        return (NOT_MODIFIED, [asset.headers[ETAG], *headers], []) if known == asset.etag else None
    data = asset.data
    if data is None:
        return None
    return OK, [*asset.headers, *headers], [data] if environ["REQUEST_METHOD"] == "GET" else []
