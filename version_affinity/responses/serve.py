"""Sending the files of builds: by name, and under a decision."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Final

from version_affinity.assets.build import DOCUMENT, NO_FILE
from version_affinity.assets.http.response import NOT_MODIFIED, REVALIDATE, Parts, Response, respond
from version_affinity.assets.loading.asset import ETAG
from version_affinity.assets.sending import (
    LOST,
    changed,
    newly_lost,
    preflight_headers,
    send,
    stand_in_headers,
    uncoded,
)
from version_affinity.assets.static import redirected
from version_affinity.counters import LimitedLog
from version_affinity.decision.request import OTHER, SERVICE_WORKER, Request
from version_affinity.decision.service_workers import is_script_request

from .applications import NOT_FOUND, OK, answer_preflight, no_file
from .finish import is_page
from .headers import retraced, trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from version_affinity.assets.build import Build, Leading
    from version_affinity.assets.handover import HandOver
    from version_affinity.assets.loading.asset import Asset
    from version_affinity.assets.prepared import Sent
    from version_affinity.assets.rules.changes import HeaderChanges
    from version_affinity.counters import Counters
    from version_affinity.decision.cookies import PinCookie
    from version_affinity.decision.decider import Decision
    from version_affinity.rollout.named_files import NamedFile
    from version_affinity.rollout.state import State

    from .finish import Finisher
    from .headers import DecisionHeaders, Headers


# A service worker's requests are told by the Referer, which names its script under this finisher.
_NAMED: Final = ("Referrer-Policy", "same-origin")


class FileServer:
    """Sends files and counts them, rescues and missing ones too.

    Args:
        finisher: What each response carries.
        counters: Where it is counted.
        cookie: The affinity cookie, None when it is switched off.
        hand_over: How the server in front is told to send large files, None where it does not.
    """

    __slots__ = ("_cookie", "_counters", "_finisher", "_hand_over", "_lost_log", "_missing_log")

    def __init__(
        self, finisher: Finisher, counters: Counters, cookie: PinCookie | None, hand_over: HandOver | None
    ) -> None:
        self._finisher = finisher
        self._counters = counters
        self._cookie = cookie
        self._hand_over = hand_over
        self._missing_log = LimitedLog(logging.WARNING)
        self._lost_log = LimitedLog(logging.ERROR)

    def by_name(
        self, state: State, file: NamedFile, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Send a fingerprinted file; None when no copy of it is there any more."""
        data = file.data
        if data is not None and not (
            # Nearly all requests. Written out, this takes half the time of ``isdisjoint(CONDITIONAL)``.
            "HTTP_IF_NONE_MATCH" in environ
            or "HTTP_RANGE" in environ
            or "HTTP_IF_MODIFIED_SINCE" in environ
            or "HTTP_IF_MATCH" in environ
            or "HTTP_IF_UNMODIFIED_SINCE" in environ
        ):
            if not file.owners & state.settled:
                self._count_rescue(state, file, environ)
            file.count_ok()
            start_response(OK, [*file.headers])
            return [data] if environ["REQUEST_METHOD"] == "GET" else []
        sent = file.conditional(environ) or self._rare_answer(state, file, environ)
        if sent is None:
            return None
        if not file.owners & state.settled:
            self._count_rescue(state, file, environ)
        status, headers, body = sent
        if status is NOT_MODIFIED:
            file.count_not_modified()
        else:
            file.tally[status[0]].advance()
        start_response(status, headers)
        return body

    def preflight_by_name(
        self,
        state: State,  # noqa: ARG002 - called like ``by_name``
        file: NamedFile,
        environ: WSGIEnvironment,
        start_response: StartResponse,
    ) -> Iterable[bytes] | None:
        """Answer a preflight for a fingerprinted file; None for any other request."""
        headers = preflight_headers(environ, file.kept, file.changes)
        return () if answer_preflight(headers, file.count_ok, start_response) else None

    def _rare_answer(self, state: State, file: NamedFile, environ: WSGIEnvironment) -> Sent | None:
        """Return the answer with a fingerprinted file that is not prepared; None when no copy is there any more."""
        for copy in file.copies:
            response = respond(copy, environ["REQUEST_METHOD"], environ.get, file.kept, file.last_modified)
            if file.changes is not None:
                response = changed(response, file.changes)
            sent = send(response, environ, self._hand_over)
            if sent is not None:
                if file.etag is not None:
                    file.data = copy.data  # it may have come into memory
                return response.status, *sent
            self._report_lost(state, response)
        plain = uncoded(environ)
        return None if plain is None else self._rare_answer(state, file, plain)

    def under_decision(  # noqa: C901, PLR0912 - on every page, and more helpers would be more calls
        self,
        state: State,
        request: Request,
        decided: DecisionHeaders,
        found: str,
        path: str,
        asset: Asset,
        served: str,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Send a file of a build under the decision.

        Args:
            state: The versions and the deployment.
            request: The request.
            decided: What follows from its decision.
            found: What the path stands for (``look_up``).
            path: The path inside the version.
            asset: The file.
            served: The version that it is from.
            start_response: As the server gave it.
        """
        environ = request.environ
        decision = decided.decision
        status = OK
        stamp = None
        if asset.is_html and ((pin := state.pins[served]) != request.pin or not request.bucket):
            stamp = self._finisher.stamp(request, decision, pin)
        if found == NO_FILE:  # a page that stands in for a missing one is not the file at this path
            status = NOT_FOUND
            headers = decided.missing
        elif found == DOCUMENT:  # something else may answer what is no navigation
            headers = decided.document_variants if asset.variants else decided.document
        elif (
            stamp is None and path in state.catalog.alike and not (state.catalog.ruled and state.catalog.is_ruled(path))
        ):
            headers = decided.shared_variants if asset.variants else decided.shared
        else:
            headers = decided.private_variants if asset.variants else decided.private
        rescued = served != decision.version
        if request.kind == SERVICE_WORKER and is_script_request(environ, environ.get("HTTP_SEC_FETCH_DEST")):
            headers = [*headers, _NAMED]
        if rescued:
            headers = retraced(headers, decision, served)
        build: Build = state.builds[served]  # type: ignore[assignment]  # it has the file
        # Nearly every page, whole or not modified.
        plain = status is OK and not asset.variants and not asset.fingerprinted and build.header_rules is None
        sent = _frequent(asset, environ, headers) if plain else None
        if sent is None:
            if found == DOCUMENT:
                changes = build.changes_elsewhere(path, asset, environ, private=True)
            else:
                changes = build.changes_at(path, environ)
            sent = self._sent(state, asset, status, request, headers, decided, build, changes)
            if sent is None:  # it vanished or changed since it was loaded
                self._report_missing(asset.path, decision)
                return no_file(environ, decided, start_response, changes)
            if (sent[0][0] == "4" and status is OK) or (changes is not None and not is_page(changes)):
                stamp = None  # nothing of the version was shown
        status, headers, body = sent
        if status is OK:
            decided.count_success()
        else:
            decided.count(status)
        if stamp is not None and request.method == "GET":
            headers.append(stamp)
        if rescued:
            self._counters.rescues[decision.version, served].advance()
        start_response(status, headers)
        return body

    def _sent(
        self,
        state: State,
        asset: Asset,
        status: str,
        request: Request,
        headers: Headers,
        decided: DecisionHeaders,
        build: Build,
        changes: HeaderChanges | None,
    ) -> Sent | None:
        """Return the answer with a file under a decision; None when the file is not there any more."""
        response = _response(asset, status, request, headers, decided, build, changes)
        sent = send(response, request.environ, self._hand_over)
        if sent is not None:
            return response.status, *sent
        self._report_lost(state, response)
        plain = uncoded(request.environ) if asset.variants else None
        if plain is None:
            return None
        request.environ = plain
        return self._sent(state, asset, status, request, headers, decided, build, changes)

    def redirect(
        self,
        state: State,
        request: Request,
        decided: DecisionHeaders,
        path: str,
        to: Leading,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Send a browser to the path at which a page is shown, or to where a rule says."""
        environ = request.environ
        response = redirected(to, state.settings.prefix, environ)
        response.headers.extend(decided.private)
        build = state.builds[decided.decision.version]
        changes = None if build is None else build.changes_at(path, environ)
        if changes is not None:
            response = changed(response, changes.uncached if decided.forced else changes.private)
        decided.count(response.status)
        start_response(response.status, response.headers)
        return ()

    def missing(
        self,
        path: str,
        request: Request,
        decided: DecisionHeaders,
        changes: HeaderChanges | None,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Answer for an asset that no known version has."""
        self._report_missing(path, decided.decision)
        return no_file(request.environ, decided, start_response, changes)

    def _count_rescue(self, state: State, file: NamedFile, environ: WSGIEnvironment) -> None:
        decided = state.decider.expected(Request(environ, self._cookie, state.workers, OTHER))
        if decided and not file.owners & state.catalog.bits[decided]:
            self._counters.rescues[decided, file.version].advance()

    def _report_lost(self, state: State, response: Response) -> None:
        """Log a file that was there when its version was loaded and cannot be sent now: once, until it is back."""
        lost = newly_lost(response)
        if lost is not None:
            owners = (
                version
                for version, build in state.builds.items()
                if build is not None and lost.file.startswith(build.index.directory + os.sep)
            )
            self._lost_log("version %r: %r %s", next(owners, "?"), lost.file, LOST)

    def _report_missing(self, path: str, decision: Decision) -> None:
        self._counters.missing[decision.version].advance()
        self._missing_log("no known version can serve %.200r (decided: %s)", path, trace(decision))


def _frequent(asset: Asset, environ: WSGIEnvironment, headers: Headers) -> Sent | None:
    """Return the answer with a file that has one form and no rules: all of it, or 304; None where it is a rare one.

    No dates, so that none of those in a request counts.
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


def _response(
    asset: Asset,
    status: str,
    request: Request,
    headers: Headers,
    decided: DecisionHeaders,
    build: Build,
    changes: HeaderChanges | None,
) -> Response:
    """Return the response with a file under a decision: by the request's fields, and the rules of ``_headers``."""
    environ = request.environ
    if status is OK:
        if asset.fingerprinted:
            headers = [*headers, *build.kept[1:]]  # but for how long: its name is a collision
        # No dates: they cannot tell one version's file from another's.
        response = respond(asset, request.method, environ.get, headers)
        if response.status[0] == "4":
            told = [header for header in response.headers if header[0] != "Cache-Control"]
            response.headers[:] = [*told, *decided.missing]
    else:
        whole = Parts(asset, ()) if request.method == "HEAD" else asset
        response = Response(status, [*stand_in_headers(asset), *headers], whole)
    if changes is None:
        return response
    if decided.forced:
        changes = changes.uncached
    elif REVALIDATE not in headers:
        changes = changes.private
    return changed(response, changes)
