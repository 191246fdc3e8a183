"""Explain the response to a request without serving it: the steps of the request path up to the sending."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - of a public dataclass
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from version_affinity.assets.http.conditions import READING
from version_affinity.decision.decider import BUCKET, MINTED
from version_affinity.wire import path_of

from .applications import Exchange
from .route import route

if TYPE_CHECKING:
    from collections.abc import Callable

    from version_affinity.decision.decider import Decision, Step
    from version_affinity.decision.request import Kind, Request
    from version_affinity.rollout.state import State

BY_NAME = "served by name"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The response to a request, and how it is found.

    Attributes:
        decision: The decision. If it is a random draw, another request may get another one.
        kind: The kind of request.
        steps: What was tried, in order.
        answer: What answers: "file", "rescue", "single-page document", "redirect", "missing asset", "not found",
            "placeholder" (in place of a build that does not exist yet), "not allowed", "allowed methods" (to OPTIONS),
            "preflight", "wrapped application", "application of the version" or "served by name".
        served: The version that the answer is from; "" for the wrapped application.
        bucket: The bucket that decided, "" for none. If one was drawn for a request that is now being answered, it is
            not known any more.
        scores: By version id, ``-ln(u) / percentage`` of the key or bucket that decided: the smallest wins. Empty if
            neither decided.
    """

    decision: Decision
    kind: Kind
    steps: tuple[Step, ...]
    answer: str
    served: str
    bucket: str
    scores: Mapping[str, float] = field(hash=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the explanation as lists and objects for JSON."""
        return {
            "decision": self.decision._asdict(),
            "kind": self.kind,
            "steps": [step._asdict() for step in self.steps],
            "answer": self.answer,
            "served": self.served,
            "bucket": self.bucket,
            "scores": dict(self.scores),
        }


def explain(state: State, request: Request, app_first: Callable[[str], object], *, has_app: bool) -> Explanation:
    """Return the explanation of a request under a state; of one that is being answered, under its own state."""
    environ = request.environ
    path = path_of(environ)
    answered = environ.get(state.settings.exchange_key)
    made = None
    if isinstance(answered, Exchange):
        state, made = answered.state, answered.decision
        # An application that is mounted inside sees its own part of the path only (PEP 3333).
        whole: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        path = whole.removeprefix(answered.script_name) or path
    decision, steps = state.decider.explain(request, made)
    version = decision.version
    named = state.catalog.named_file(path, version)
    if named is not None and (request.method in READING or named.answer(environ) is not None):
        answer, served = BY_NAME, named.version
    else:
        answer, _, served, _ = route(state, path, version, environ, app_first, has_app)
    scores = MappingProxyType(state.decider.scores(request, decision))
    bucket = request.bucket if decision.reason in (MINTED, BUCKET) else ""
    return Explanation(decision, request.kind, steps, answer, served, bucket, scores)
