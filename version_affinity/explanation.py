"""Why a request gets what it gets: the steps of the request path, told instead of taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .assets.build import APP, NO_FILE
from .lookup import look_up
from .rendering import RENDERING, Rendering
from .request import READING, path_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .decision import Decision, Step
    from .request import Kind, Request
    from .state import State

NOT_ALLOWED: Final = "not allowed"
ALLOWED_METHODS: Final = "allowed methods"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request gets what it gets.

    Attributes:
        decision: The decision. Where it is drawn at random, another request may draw another.
        kind: The kind of request.
        steps: What was tried, in order.
        answer: What answers: "file", "rescue", "single-page document", "redirect", "missing asset", "not found",
            "not allowed", "allowed methods" (to OPTIONS), "wrapped application", "application of the version" or
            "served by name".
        served: The version that the answer is from, "" for the wrapped application's.
    """

    decision: Decision
    kind: Kind
    steps: tuple[Step, ...]
    answer: str
    served: str


def explain(state: State, request: Request, app_first: Callable[[str], bool], *, has_app: bool) -> Explanation:
    """Return the explanation of a request under a state.

    For a request that is being answered, that is the state and the decision that it is answered by.
    """
    environ = request.environ
    path = path_of(environ)
    answered = environ.get(RENDERING)
    made = None
    if isinstance(answered, Rendering):
        state, made = answered.state, answered.decision
        # What is mounted inside sees its own part of the path alone (PEP 3333).
        whole: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = whole.removeprefix(answered.script_name) or path
    decision, steps = state.decider.explain(request, made)
    answer, served = _answer(state, request, path, decision, app_first, has_app=has_app)
    return Explanation(decision, request.kind, steps, answer, served)


def _answer(
    state: State, request: Request, path: str, decision: Decision, app_first: Callable[[str], bool], *, has_app: bool
) -> tuple[str, str]:
    reading = request.method in READING
    named = state.catalog.named.get(path)
    if named is not None and reading:
        return "served by name", named.version
    local = state.settings.local(path)
    if local is None or app_first(path):
        return APP if has_app else NO_FILE, ""
    build = state.builds[decision.version]
    if build is None:
        return "application of the version", decision.version
    if not reading:
        if has_app:
            return APP, ""
        refused = ALLOWED_METHODS if request.method == "OPTIONS" else NOT_ALLOWED
        known = named is not None or build.find(local, request.environ) is not None
        return refused if known else NO_FILE, ""
    found, _, served = look_up(local, decision.version, build, state.catalog, request.environ, has_app=has_app)
    return found, "" if found == APP else served
