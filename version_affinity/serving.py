"""Sending the files of builds: by name, and under a decision."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .assets.files import open_body
from .assets.response import if_none_match
from .assets.routing import location
from .counters import LimitedLog
from .policy import retraced, trace
from .request import OTHER, Request
from .wsgi import NOT_FOUND, NOT_MODIFIED, OK, no_file, plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .assets.index import Asset
    from .assets.routing import Redirect
    from .catalog import NamedFile
    from .counters import Counters
    from .decision import Decision
    from .pin import PinCookie
    from .policy import Policy, Treatment
    from .state import State


class FileServer:
    """Sends files and counts them, rescues and missing ones too.

    Args:
        policy: What each response carries.
        counters: Where it is counted.
        cookie: The affinity cookie, None when it is switched off.
    """

    __slots__ = ("_cookie", "_counters", "_missing_log", "_policy")

    def __init__(self, policy: Policy, counters: Counters, cookie: PinCookie | None) -> None:
        self._policy = policy
        self._counters = counters
        self._cookie = cookie
        self._missing_log = LimitedLog(logging.WARNING)

    def by_name(
        self, state: State, file: NamedFile, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes] | None:
        """Send a fingerprinted file; None when no copy of it is there any more."""
        if "HTTP_IF_NONE_MATCH" in environ and if_none_match(environ["HTTP_IF_NONE_MATCH"], file.asset.etag):
            if not file.owners & state.settled:
                self._count_rescue(state, file, environ)
            file.count_not_modified()
            start_response(NOT_MODIFIED, file.not_modified_headers.copy())
            return ()
        body: Iterable[bytes] | None = file.body
        if body is None:
            opened = (open_body(copy, environ) for copy in file.copies)
            body = next((body for body in opened if body is not None), None)
            if body is None:
                return None
        elif environ["REQUEST_METHOD"] == "HEAD":
            body = ()
        if not file.owners & state.settled:
            self._count_rescue(state, file, environ)
        file.count_ok()
        start_response(OK, file.headers.copy())
        return body

    def under_decision(
        self,
        state: State,
        request: Request,
        treatment: Treatment,
        asset: Asset,
        served: str,
        status: str,
        start_response: StartResponse,
    ) -> Iterable[bytes]:
        """Send a file of a build under the decision."""
        environ = request.environ
        decision = treatment.decision
        stamp = None
        if asset.is_html and (request.pin != served or not request.bucket):
            stamp = self._policy.stamp(request, decision, served)
        if status is NOT_FOUND:  # a page that stands in for a missing one is not the file at this path: no ETag
            headers = treatment.missing
        elif stamp is not None or asset.path in state.catalog.differing:
            headers = treatment.private
        else:
            headers = treatment.shared
        if served != decision.version:
            headers = retraced(headers, decision, served)
        if stamp is not None:
            headers = [*headers, stamp]
        if (
            "HTTP_IF_NONE_MATCH" in environ
            and status is OK
            and if_none_match(environ["HTTP_IF_NONE_MATCH"], asset.etag)
        ):
            self._count_served(treatment, served, NOT_MODIFIED)
            start_response(NOT_MODIFIED, [("ETag", asset.etag), *headers])
            return ()
        body: Iterable[bytes] | None
        if asset.data is not None:
            body = () if environ["REQUEST_METHOD"] == "HEAD" else (asset.data,)
        else:
            body = open_body(asset, environ)
            if body is None:  # it vanished or changed since it was loaded
                self._report_missing(asset.path, decision)
                return no_file(environ, treatment, start_response)
        self._count_served(treatment, served, status)
        described = asset.headers if status is OK else [header for header in asset.headers if header[0] != "ETag"]
        start_response(status, [*described, *headers])
        return body

    def _count_served(self, treatment: Treatment, served: str, status: str) -> None:
        if status is OK:
            treatment.count_success()
        else:
            treatment.tally[status[:1]].advance()
        if served != treatment.decision.version:
            self._counters.rescues[treatment.decision.version, served].advance()

    def redirect(
        self, state: State, request: Request, treatment: Treatment, target: Redirect, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Send a browser to the path at which a page is shown."""
        environ = request.environ
        to = location(
            environ.get("SCRIPT_NAME", ""), state.settings.prefix, target.path, environ.get("QUERY_STRING", "")
        )
        return plain(
            environ, treatment, start_response, "307 Temporary Redirect", [("Location", to), *treatment.private]
        )

    def missing(
        self, path: str, request: Request, treatment: Treatment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Answer for an asset that no known version has."""
        self._report_missing(path, treatment.decision)
        return no_file(request.environ, treatment, start_response)

    def _count_rescue(self, state: State, file: NamedFile, environ: WSGIEnvironment) -> None:
        decided = state.decider.expected(Request(environ, self._cookie, OTHER))
        if decided and not file.owners & state.catalog.bits[decided]:
            self._counters.rescues[decided, file.version].advance()

    def _report_missing(self, path: str, decision: Decision) -> None:
        self._counters.missing[decision.version].advance()
        self._missing_log("no known version can serve %.200r (decided: %s)", path, trace(decision))
