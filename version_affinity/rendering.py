"""What an application's response depends on, noted in the environ while the application makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .decision import Decision
    from .state import State

#: Where the environ holds the ``Rendering``.
RENDERING: Final = "version_affinity.rendering"


class Rendering:
    """One response of an application.

    It does not hold the environ, which holds it: a cycle would keep every request until the next garbage collection.

    Attributes:
        state: The versions and the deployment as they were when the request came.
        decision: What was decided under it.
        script_name: Where the middleware is mounted. An application may change the environ's own.
        depends: Whether the response depends on the version.
        served: The version whose files the response names; "" while it names none.
        own: Whether the application is the version itself, while others are known.
        counted: The first digit of the status that the response was counted under; "" before.
    """

    __slots__ = ("counted", "decision", "depends", "own", "script_name", "served", "state")

    def __init__(
        self, state: State, decision: Decision, script_name: str, *, own: bool = False, depends: bool = False
    ) -> None:
        self.state = state
        self.decision = decision
        self.script_name = script_name
        self.own = own
        self.depends = depends
        self.served = ""
        self.counted = ""
