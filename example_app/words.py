"""Sentences about a rollout, for the pages of the example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from version_affinity import Decision

WHOLE = 100

#: The colour by which a visitor recognises an edition of the shop.
COLOURS = {"v0": "brown", "v1": "blue", "v2": "yellow"}

#: Nouns: the thing that decided the version of a request, by reason.
DECIDED_BY = {
    "name": "the hash in the name of the file",
    "override": "a header or a link",
    "only": "a share of 100 %",
    "key": "the version key of the user",
    "minted": "a random number, which the cookie keeps",
    "bucket": "the random number in the cookie",
    "random": "a draw by percentage",
    "pin": "the version of the last page",
    "referer": "the version of the file that sent it",
    "baseline": "the baseline, because nothing shows the version",
}

#: Clauses: why a version was decided, by reason. Each one follows "because".
WHY = {
    "override": "a header or a link asks for it",
    "only": "it is the only version with a share",
    "key": "your version key is assigned to it",
    "minted": "a random number that was drawn for this browser is assigned to it",
    "bucket": "the random number in the cookie of this browser is assigned to it",
    "random": "it was drawn at random, by the percentages",
    "pin": "the page that this browser loaded last is from it",
    "referer": "the file that sent the request is from it",
    "baseline": "the request does not show which page sent it, and this version is the baseline",
}

#: Clauses: why an override, or for "key-source" a version key, was refused.
REFUSED = {
    "unknown-version": "it names a version that does not exist here",
    "not-deployed": "it names a version that is not in the deployment",
    "bad-syntax": "it could not be read",
    "bad-signature": "its signature is not valid, or has expired",
    "other-app": "it is for another application",
    "key-source": "it could not be read",
}


def described(decision: Decision) -> dict[str, Any]:
    """Return a decision as JSON carries it, with its reason in words."""
    because = WHY.get(decision.reason, decision.reason)
    if decision.reason == "key":
        because += f" ({decision.source.replace(':', ' ')})"
    refused = decision.refused or None
    return {
        "version": decision.version,
        "reason": decision.reason,
        "decided_by": DECIDED_BY.get(decision.reason, decision.reason),
        "because": because,
        "source": decision.source or None,
        "refused": refused,
        "refusal": refused and f"{refused_thing(refused)} was refused: {REFUSED.get(refused, refused)}",
    }


def refused_thing(refused: str) -> str:
    """Return the name of the refused thing."""
    return "a version key" if refused == "key-source" else "an override"


def who_gets_what(percentages: Mapping[str, float]) -> str:
    """Return a clause that says which part of the visitors gets which shop, newest version first.

    >>> who_gets_what({"v1": 50, "v2": 50})
    'half of the visitors get the yellow shop, half the blue one'
    >>> who_gets_what({"v0": 20, "v1": 70, "v2": 10})
    '10 % of the visitors get the yellow shop, 70 % the blue one and 20 % the brown one'
    >>> who_gets_what({"v0": 0, "v1": 100})
    'all visitors get the blue shop'
    """
    (first, share), *others = [
        (COLOURS.get(version, version), percentages[version])
        for version in sorted(percentages, reverse=True)
        if percentages[version]
    ]
    if not others:
        return f"all visitors get the {first} shop"
    most = f"{amount(share)} of the visitors get the {first} shop"
    *middle, last = [f"{amount(share)} the {colour} one" for colour, share in others]
    return f"{', '.join([most, *middle])} and {last}" if middle else f"{most}, {last}"


def amount(share: float) -> str:
    """Return a percentage in words.

    >>> amount(50), amount(12.5)
    ('half', '12.5 %')
    """
    return "half" if share * 2 == WHOLE else f"{round(share, 2):g} %"


def demonstration(percentages: Mapping[str, float], *, protected: bool) -> str:
    """Return the sentence that says what the example demonstrates at these percentages."""
    outcome = (
        "and a tab that is already open keeps working when the percentages move"
        if protected
        else "and, without version_affinity, a tab that is already open breaks when the percentages move"
    )
    return f"This is a demonstration: {who_gets_what(percentages)}, {outcome}."
