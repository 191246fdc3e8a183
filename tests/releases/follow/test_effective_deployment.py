"""What a history of deployments comes to: percentages without what is not here, the baseline, who is published."""

from __future__ import annotations

import random

import pytest

from version_affinity import Deployment
from version_affinity.releases.follow.reading import (
    effective_deployment,
    missing_versions,
    published,
)
from version_affinity.releases.log.entries import Entry

NAME = "storefront"


def history(*deployments: dict[str, float]) -> list[Entry]:
    """Return the entries of these deployments."""
    return [Entry(revision, shares, "2026-11-24T05:00:00Z") for revision, shares in enumerate(deployments, 1)]


V1, V2, V3 = {"v1": 100.0}, {"v2": 100.0}, {"v3": 100.0}
RAMP = {"v1": 90.0, "v2": 10.0}
THREE = {"v1": 50.0, "v2": 30.0, "v3": 20.0}


@pytest.mark.parametrize(
    ("deployments", "held", "revision", "percentages", "complete", "shown"),
    [
        ([V1], "v1", 1, V1, "v1", "v1"),
        ([V1, RAMP], "v1 v2", 2, RAMP, "v1", "v1 v2"),
        ([V1, V2], "v1 v2", 2, V2, "v2", "v1 v2"),
        ([V1, RAMP, V1], "v1 v2", 3, V1, "v1", "v1 v2"),
        ([RAMP], "v1 v2", 1, RAMP, None, "v1 v2"),
        # Uploaded and never deployed, or staged: reached by an override only.
        ([V1], "v1 v2", 1, V1, "v1", "v1"),
        ([{"v1": 100.0, "v2": 0.0}], "v1 v2", 1, {"v1": 100.0, "v2": 0.0}, "v1", "v1"),
        # What is not here has no share, and the others keep their proportions.
        ([V1, RAMP], "v1", 2, V1, "v1", "v1"),
        ([V1, RAMP], "v2", 2, V2, None, "v2"),
        ([V1, THREE], "v1 v3", 2, {"v1": 500 / 7, "v3": 200 / 7}, "v1", "v1 v3"),
        ([V1, {"v1": 100.0, "v2": 0.0}], "v1", 2, V1, "v1", "v1"),
        # Nothing of the newest is here: the one before goes on.
        ([V1, V2], "v1", 1, V1, "v1", "v1"),
        ([V1, RAMP, V3], "v1 v2", 2, RAMP, "v1", "v1 v2"),
        ([V1, {"v1": 0.0, "v2": 100.0}], "v1", 1, V1, "v1", "v1"),
        # The version that last had all is gone.
        ([V1, {"v2": 50.0, "v3": 50.0}], "v2 v3", 2, {"v2": 50.0, "v3": 50.0}, None, "v2 v3"),
    ],
)
def test_standing(
    deployments: list[dict[str, float]],
    held: str,
    revision: int,
    percentages: dict[str, float],
    complete: str | None,
    shown: str,
) -> None:
    """A deployment is served by the versions that are here; complete and published follow from the whole history."""
    entries, here = history(*deployments), held.split()
    found = effective_deployment(NAME, entries, here, here)
    assert found is not None
    deployment, last = found
    assert deployment.percentages == pytest.approx(Deployment(NAME, percentages).percentages)
    assert (deployment.revision, last) == (revision, complete)
    assert published(entries, here) == set(shown.split())


@pytest.mark.parametrize(("deployments", "held"), [([], "v1"), ([V1], ""), ([V1], "v2"), ([{"v1": 0.0}], "v1")])
def test_nothing_to_serve(deployments: list[dict[str, float]], held: str) -> None:
    """Where nothing with a share is here, nothing can be served."""
    assert effective_deployment(NAME, history(*deployments), held.split(), held.split()) is None


def test_a_version_that_is_not_here_moves_only_its_own_users() -> None:
    """Everybody whose version is here keeps it: it is the same hash, over fewer versions."""
    whole = effective_deployment(NAME, history(THREE), ["v1", "v2", "v3"], ["v1", "v2", "v3"])
    without = effective_deployment(NAME, history(THREE), ["v1", "v3"], ["v1", "v3"])
    assert whole is not None
    assert without is not None
    moved = set()
    for number in range(2000):
        before, after = whole[0].assign(str(number)), without[0].assign(str(number))
        if before == "v2":
            moved.add(after)
        else:
            assert after == before
    assert moved == {"v1", "v3"}


@pytest.mark.parametrize(
    ("deployments", "held", "ready", "revision", "percentages"),
    [
        ([V1, RAMP], "v1 v2", "v1 v2", 2, RAMP),
        # One that is new here: the deployment before goes on, as it was, for that moment.
        ([V1, RAMP], "v1 v2", "v1", 1, V1),
        ([V1, RAMP, THREE], "v1 v2 v3", "v1 v2", 2, RAMP),
        ([V1, RAMP, THREE], "v1 v2 v3", "v1", 1, V1),
        # What is staged waits for nobody.
        ([V1, {"v1": 100.0, "v2": 0.0}], "v1 v2", "v1", 2, {"v1": 100.0, "v2": 0.0}),
        # What is not here is not waited for either.
        ([V1, THREE], "v1 v2", "v1 v2", 2, {"v1": 62.5, "v2": 37.5}),
        # A later deployment without it.
        ([V1, RAMP, V1], "v1 v2", "v1", 3, V1),
        # There is nothing else to be served.
        ([RAMP], "v1 v2", "v1", 1, RAMP),
        ([V1, V2], "v2", "", 2, V2),
    ],
)
def test_versions_that_are_not_ready(
    deployments: list[dict[str, float]], held: str, ready: str, revision: int, percentages: dict[str, float]
) -> None:
    """A deployment that gives a share to a version which is not ready yet waits."""
    found = effective_deployment(NAME, history(*deployments), held.split(), ready.split())
    assert found is not None
    assert (found[0].revision, dict(found[0].percentages)) == (revision, percentages)


def test_lacking() -> None:
    """What is lacking is what the newest deployment has and this host has not, staged versions too."""
    assert missing_versions(history(V1, THREE), ["v1"]) == ("v2", "v3")
    assert missing_versions(history(V1, {"v1": 100.0, "v2": 0.0}), ["v1"]) == ("v2",)
    assert missing_versions([], ["v1"]) == ()


def test_an_entry_that_is_no_deployment_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """Percentages that nobody could have deployed change nothing, and are told of."""
    found = effective_deployment(NAME, history(V1, {"v1": 70.0, "v2": 70.0}), ["v1", "v2"], ["v1", "v2"])
    assert found is not None
    assert found[0].revision == 1
    assert "deployment 2 is left out: percentages sum to 140" in caplog.text


def test_the_history_alone_decides() -> None:
    """Whatever a host had in between, what it has now and the log decide; in any order of what it has."""
    entries = history(V1, RAMP, THREE, V3, {"v2": 50.0, "v3": 50.0})
    held = ["v1", "v2", "v3"]
    found = {effective_deployment(NAME, entries, random.sample(held, 3), held) for _ in range(20)}
    assert len(found) == 1
