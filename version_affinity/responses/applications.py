"""Call the wrapped application and versions that are applications, and complete and count their responses."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from version_affinity.assets.http.conditions import READING
from version_affinity.decision.request import SHOWING, Request, is_for_html
from version_affinity.ramp.evidence import APP_ERRORS, CLIENT_ERRORS
from version_affinity.rollout.state import EXCHANGE

from .route import VERSION_APP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity.counters import Tally
    from version_affinity.decision.decider import Decision
    from version_affinity.ramp.failing import FailureNotes
    from version_affinity.rollout.state import State

    from .finish import Finisher
    from .headers import DecisionHeaders
    from .route import Route

#: Where the environ holds the original values that were removed from it or changed in it.
ORIGINAL: Final = "version_affinity.original"
#: Removed from a request if a 304 might confirm another version's page (RFC 9110 section 13.1).
_PRECONDITIONS: Final[tuple[str, ...]] = (
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_MATCH",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_IF_RANGE",
)
#: What an answer that begins with such a digit is a signal of.
_SIGNALS: Final = {"5": APP_ERRORS, "4": CLIENT_ERRORS}


class Exchange(Request):
    """A request, and notes about an application's response to it. One object for both: one is made on every request.

    Attributes, which ``begin`` sets:
        state: The versions and the deployment when the request came.
        script_name: Where the middleware is mounted. An application may change the environ's own.
        depends: Whether the response depends on the version.
        served: The version whose files the response names; "" as long as it names none.
        own: Whether the application is the version itself, while other versions are known.
        negotiated: Whether a browser's navigation to the same URL would get a page of the build.
        counted: The first digit of the status under which the response was counted; "" before.
    """

    __slots__ = ("counted", "decision", "depends", "negotiated", "own", "script_name", "served", "state")

    def begin(
        self, state: State, decision: Decision, own: bool = False, depends: bool = False, negotiated: bool = False
    ) -> None:
        """Start the notes, and put this object into the environ, which it does not hold from then on.

        A cycle would keep every request, its socket and its upload until the next garbage collection.
        """
        environ = self.environ
        del self.environ
        self.state = state
        self.decision = decision
        self.script_name = environ.get("SCRIPT_NAME", "")
        self.own = own
        self.depends = depends
        self.negotiated = negotiated
        self.served = ""
        self.counted = ""
        environ[EXCHANGE] = environ[state.settings.exchange_key] = self


class Applications:
    """Calls the wrapped application, None without one, and versions that are applications."""

    __slots__ = ("_app", "_failures", "_finisher")

    def __init__(self, app: WSGIApplication | None, finisher: Finisher, failures: FailureNotes) -> None:
        self._app = app
        self._failures = failures
        self._finisher = finisher

    def call(
        self, state: State, exchange: Exchange, decided: DecisionHeaders, found: Route, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Call the application that answers, which ``route`` has found; its iterable is returned as it is."""
        what, _, version, path = found
        environ = exchange.environ
        if what == VERSION_APP:
            tally = decided.tally
            app: WSGIApplication = state.versions[version].app  # type: ignore[assignment]  # it has no build
            exchange.begin(state, decided.decision, len(state.versions) > 1)
            if state.settings.prefix != "/":
                environ[ORIGINAL] = {"SCRIPT_NAME": exchange.script_name, "PATH_INFO": environ.get("PATH_INFO", "")}
                environ["SCRIPT_NAME"] = exchange.script_name + state.settings.prefix[:-1]
                environ["PATH_INFO"] = path
            if exchange.own and exchange.method in READING:
                remove_preconditions(environ)
        else:
            app = self._app  # type: ignore[assignment]  # ``route`` knows that there is one
            tally = decided.app_tally
            depends = negotiated = False
            if path is not None:  # a version may answer here, or a navigation get a page
                depends = state.catalog.is_answered_elsewhere(path, environ)
                build = state.builds[decided.version]
                negotiated = build is not None and build.may_show_pages and build.shows_page(path, environ)
            if (
                ("HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MODIFIED_SINCE" in environ)
                and len(state.versions) > 1
                and exchange.kind in SHOWING
                and is_for_html(exchange)
            ):
                # The browser's copy may be another version's page, whatever the pin says: the pin follows all tabs.
                remove_preconditions(environ)
            exchange.begin(state, decided.decision, False, depends, negotiated)
        try:
            # A partial costs less than half of a closure over as many variables.
            return app(environ, partial(self._start, environ, exchange, decided, tally, start_response))
        except BaseException:
            self._count(environ, exchange, tally, "5")  # the server answers 500
            raise

    def _start(
        self,
        environ: WSGIEnvironment,
        exchange: Exchange,
        decided: DecisionHeaders,
        tally: Tally,
        start_response: StartResponse,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: OptExcInfo | None = None,
    ) -> Callable[[bytes], object]:
        """Start the response that an application starts."""
        completed = self._finisher.finish(environ, exchange, decided, status, headers)
        if status[:1] == "2" and not exchange.counted:
            exchange.counted = "2"
            tally.count_success()
        else:
            self._count(environ, exchange, tally, status[:1])
        return start_response(status, completed) if exc_info is None else start_response(status, completed, exc_info)

    def _count(self, environ: WSGIEnvironment, exchange: Exchange, tally: Tally, digit: str) -> None:
        """Count a response, or move one that was counted under another status."""
        if exchange.counted:
            tally.move(exchange.counted, digit)
        else:
            tally[digit].advance()
        exchange.counted = digit
        if digit in _SIGNALS and self._failures.watched is not None:
            self._failures.note(_SIGNALS[digit], exchange.state, exchange, environ, exchange.decision)


def remove_preconditions(environ: WSGIEnvironment) -> None:
    """Remove the conditional headers from a request, and keep them under ``ORIGINAL``."""
    if environ.keys().isdisjoint(_PRECONDITIONS):
        return
    taken = {name: environ.pop(name) for name in _PRECONDITIONS if name in environ}
    if "HTTP_IF_RANGE" in taken and "HTTP_RANGE" in environ:
        # A range of other bytes than the client has a part of (RFC 9110 section 13.1.5).
        taken["HTTP_RANGE"] = environ.pop("HTTP_RANGE")
    environ[ORIGINAL] = {**environ.get(ORIGINAL, {}), **taken}
