"""A request and what is noted of the response to it, in the environ, while an application makes that response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.decision.request import Request

if TYPE_CHECKING:
    from version_affinity.decision.decider import Decision
    from version_affinity.rollout.state import State

#: Where the environ holds the ``Exchange``, once an application is called with it. Of two front ends it is the inner
#: one's; each one's own is at ``Settings.exchange_key``.
EXCHANGE: Final = "version_affinity.exchange"


class Exchange(Request):
    """A request and what is noted of an application's response to it.

    One object for both, since one is made on every request: whoever calls an application ``begin``s it.

    Attributes:
        state: The versions and the deployment as they were when the request came.
        decision: What was decided under it.
        script_name: Where the middleware is mounted. An application may change the environ's own.
        depends: Whether the response depends on the version.
        served: The version whose files the response names; "" while it names none.
        own: Whether the application is the version itself, while others are known.
        negotiated: Whether a browser's navigation to the same URL would be shown a page of the build.
        counted: The first digit of the status that the response was counted under; "" before.
    """

    __slots__ = ("counted", "decision", "depends", "negotiated", "own", "script_name", "served", "state")

    def begin(
        self, state: State, decision: Decision, *, own: bool = False, depends: bool = False, negotiated: bool = False
    ) -> None:
        """Note all this in the environ, which the exchange does not hold from then on.

        A cycle would keep every request, its socket and its upload, until the next garbage collection.
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
