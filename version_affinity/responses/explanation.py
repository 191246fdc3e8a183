"""Why a request gets what it gets: the steps of the request path, told instead of taken."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - of a public dataclass
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from version_affinity.assets.build import ALL_METHODS, APP, NO_FILE
from version_affinity.decision.decider import BUCKET, MINTED
from version_affinity.decision.request import READING, is_of_server, path_of

from .exchange import Exchange
from .route import allowed, look_up

if TYPE_CHECKING:
    from collections.abc import Callable

    from version_affinity.decision.decider import Decision, Step
    from version_affinity.decision.request import Kind, Request
    from version_affinity.rollout.state import State

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
        bucket: The bucket that the decision was made by, "" where none was. One that was drawn for a request that is
            being answered is not known any more.
        scores: By version id, ``-ln(u) / percentage`` of the key or bucket that the decision was made by (``hashing``):
            the smallest wins. Empty where neither decided.
    """

    decision: Decision
    kind: Kind
    steps: tuple[Step, ...]
    answer: str
    served: str
    bucket: str
    scores: Mapping[str, float] = field(hash=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it as lists and objects that JSON can carry."""
        return {
            "decision": self.decision._asdict(),
            "kind": self.kind,
            "steps": [step._asdict() for step in self.steps],
            "answer": self.answer,
            "served": self.served,
            "bucket": self.bucket,
            "scores": dict(self.scores),
        }


def explain(state: State, request: Request, app_first: Callable[[str], bool], *, has_app: bool) -> Explanation:
    """Return the explanation of a request under a state.

    For a request that is being answered, that is the state and the decision that it is answered by.
    """
    environ = request.environ
    path = path_of(environ)
    answered = environ.get(state.settings.exchange_key)
    made = None
    if isinstance(answered, Exchange):
        state, made = answered.state, answered.decision
        # What is mounted inside sees its own part of the path alone (PEP 3333).
        whole: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = whole.removeprefix(answered.script_name) or path
    decision, steps = state.decider.explain(request, made)
    answer, served = _answer(state, request, path, decision, app_first, has_app=has_app)
    scores = MappingProxyType(state.decider.scores(request, decision))
    bucket = request.bucket if decision.reason in (MINTED, BUCKET) else ""
    return Explanation(decision, request.kind, steps, answer, served, bucket, scores)


def _answer(
    state: State, request: Request, path: str, decision: Decision, app_first: Callable[[str], bool], *, has_app: bool
) -> tuple[str, str]:
    reading = request.method in READING
    named = state.catalog.named_file(path, decision.version)
    if named is not None and reading:
        return "served by name", named.version
    local = state.settings.local(path)
    refused = ALLOWED_METHODS if request.method == "OPTIONS" else NOT_ALLOWED
    if local is None or app_first(path):
        return APP if has_app else refused if is_of_server(request.environ) else NO_FILE, ""
    build = state.builds[decision.version]
    if build is None:
        return "application of the version", decision.version
    if not reading:
        if has_app:
            return APP, ""
        methods = ALL_METHODS if named is not None else allowed(local, build, state.catalog, request.environ)
        return (refused if methods == ALL_METHODS else NOT_ALLOWED if methods else NO_FILE), ""
    environ = request.environ
    at = build.find(local, environ)
    found, _, served = look_up(at, local, decision.version, build, state.catalog, environ, has_app=has_app)
    return found, "" if found == APP else served
