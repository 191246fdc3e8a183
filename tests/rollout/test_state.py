"""What changes while the application runs: deploy, add and retire, the baseline, and who is staged."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from typing import TYPE_CHECKING

import pytest
from werkzeug.test import create_environ

from tests.builds import COLLISION, DIFFERING, ENTRY, OWN, SHARED, Answer, key_of, pinned, rollout, write_builds
from tests.harness import NAVIGATION, SCRIPT, client, state_of
from version_affinity import ConfigurationError, StaticAssets, Version, VersionAffinity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def builds(tmp_path: Path) -> dict[str, Path]:
    """The three builds, to be changed at will."""
    return write_builds(tmp_path)


def decided(affinity: VersionAffinity, **headers: str) -> tuple[str, str]:
    """Return version and reason of a request."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    decision = affinity.explain(create_environ("/logo.svg", headers=sent)).decision
    return decision.version, decision.reason


def baseline(affinity: VersionAffinity) -> str:
    """Return the version of a page that was loaded before the split: its subresources carry no pin."""
    return decided(affinity, **SCRIPT)[0]


@pytest.mark.parametrize(
    ("shares", "retained", "deploys", "expected"),
    [
        ({"v1": 100}, [], [], "v1"),
        ({"v1": 90, "v2": 10}, [], [], "v1"),
        ({"v1": 10, "v2": 90}, [], [], "v2"),
        ({"v1": 50, "v2": 50}, [], [], "v1"),
        ({"v2": 50, "v1": 50}, [], [], "v2"),
        ({"v1": 40, "v2": 60}, ["v0"], [], "v2"),
        ({"v1": 100, "v2": 0}, [], [{"v1": 10, "v2": 90}], "v1"),
        ({"v1": 100, "v2": 0}, [], [{"v2": 100}], "v2"),
        ({"v1": 100, "v2": 0}, [], [{"v2": 100}, {"v1": 90, "v2": 10}], "v2"),
        ({"v1": 100, "v2": 0}, [], [{"v1": 50, "v2": 50}, {"v1": 100}], "v1"),
        ({"v1": 90, "v2": 10}, [], [{"v1": 10, "v2": 90}], "v2"),
        ({"v0": 100}, [], [{"v0": 50, "v1": 50}, {"v1": 50, "v2": 50}], "v0"),
    ],
)
def test_baseline(
    builds: dict[str, Path],
    shares: dict[str, float],
    retained: list[str],
    deploys: list[dict[str, float]],
    expected: str,
) -> None:
    """The baseline is the version that last had 100 %, else the one with the largest share, the first on a tie."""
    affinity = rollout(builds, None, shares, retained)
    for version in builds.keys() - {*shares, *retained}:
        affinity.add(Version(version, builds[version]))
    for percentages in deploys:
        affinity.deploy(percentages)
    assert baseline(affinity) == expected


def test_baseline_after_its_retirement(builds: dict[str, Path]) -> None:
    """When the version that last had 100 % is retired, the largest share is the baseline again."""
    affinity = rollout(builds, None, {"v0": 100})
    affinity.add(Version("v1", builds["v1"]))
    affinity.add(Version("v2", builds["v2"]))
    affinity.deploy({"v1": 40, "v2": 60})
    assert baseline(affinity) == "v0"
    affinity.retire("v0")
    assert baseline(affinity) == "v2"


def test_deploy(builds: dict[str, Path]) -> None:
    """A deployment replaces the one before, under the same name and the next revision; what was known stays known."""
    affinity = rollout(builds)
    assert (affinity.deployment.revision, affinity.known) == (1, ("v1", "v2"))
    returned = affinity.deploy({"v1": 0, "v2": None})
    assert returned is affinity.deployment
    assert (returned.name, returned.revision, returned.percentages) == ("storefront", 2, {"v1": 0.0, "v2": 100.0})
    affinity.deploy({"v2": 100})
    assert (affinity.deployment.revision, affinity.known) == (3, ("v1", "v2"))
    assert client(affinity).get(ENTRY["v1"]).status_code == 200


@pytest.mark.parametrize(
    "percentages", [{}, {"v1": 99}, {"v1": 50, "v9": 50}, {"v1": float("nan")}, {"v1": -1, "v2": 101}, {"v1": "100"}]
)
def test_failed_deploy_changes_nothing(builds: dict[str, Path], percentages: dict[str, float]) -> None:
    """A deployment that cannot be used is refused and leaves everything as it was."""
    affinity = rollout(builds)
    before = affinity.deployment
    with pytest.raises(ConfigurationError):
        affinity.deploy(percentages)
    assert affinity.deployment is before


def test_deploy_opens_no_file(builds: dict[str, Path]) -> None:
    """Deployments go back and forth after the directories are gone, and files in memory are served all the same."""
    affinity = rollout(builds, Answer(), {"v1": 100, "v2": 0}, retained=["v0"])
    for directory in builds.values():
        shutil.rmtree(directory)
    asked = client(affinity)
    for percentages in ({"v1": 50, "v2": 50}, {"v2": 100}, {"v0": 30, "v1": 30, "v2": 40}, {"v0": 100}, {"v1": 100}):
        affinity.deploy(percentages)
        for version in ENTRY:
            assert asked.get(ENTRY[version]).text == f"// entry of {version}"
        ((version, _),) = [max(percentages.items(), key=lambda item: item[1])]
        assert asked.get("/", headers={"Version-Override": version}).text.endswith(f"page of {version}")
    affinity.retire("v2")
    assert affinity.known == ("v1", "v0")


def test_staged(builds: dict[str, Path]) -> None:
    """At 0 % from the start a version is staged: no rescue comes from it, but its own pages get its files."""
    affinity = rollout(builds, Answer(), {"v1": 100, "v2": 0}, retained=["v0"])
    asked = client(affinity)
    assert decided(affinity, **SCRIPT, **pinned("v2")) == ("v2", "pin")
    assert decided(affinity, **SCRIPT, Referer=f"http://localhost{ENTRY['v2']}") == ("v2", "referer")
    assert decided(affinity, Version_Override="v2") == ("v2", "override")
    assert asked.get(OWN["v2"]).text == "the app"
    assert asked.get(ENTRY["v2"]).status_code == 200
    assert asked.get(OWN["v2"], headers={"Version-Override": "v2"}).text == "of v2"


@pytest.mark.parametrize("final", [{"v1": 100, "v2": 0}, {"v1": 100}])
def test_rolled_back_is_not_staged(builds: dict[str, Path], final: dict[str, float]) -> None:
    """A version that once had a share has pages out there: back at 0 % its pin, Referer and files still count."""
    affinity = rollout(builds, Answer(), {"v1": 100, "v2": 0})
    affinity.deploy({"v1": 90, "v2": 10})
    affinity.deploy(final)
    assert decided(affinity, **SCRIPT, **pinned("v2")) == ("v2", "pin")
    assert decided(affinity, **SCRIPT, Referer=f"http://localhost{ENTRY['v2']}") == ("v2", "referer")
    assert decided(affinity, **NAVIGATION, **pinned("v2")) == ("v1", "only")
    assert client(affinity).get(OWN["v2"]).text == "of v2"


def test_retained_is_not_staged(builds: dict[str, Path]) -> None:
    """A version that is retained from the start has pages out there, and cannot be forced: it is not deployed."""
    affinity = rollout(builds, Answer(), {"v1": 100}, retained=["v0"])
    assert decided(affinity, **SCRIPT, **pinned("v0")) == ("v0", "pin")
    explained = affinity.explain(create_environ(headers={"Version-Override": "v0"}))
    assert (explained.decision.version, explained.decision.refused) == ("v1", "not-deployed")


def test_add(builds: dict[str, Path]) -> None:
    """An added version is served by name at once, and gets its share by a deployment."""
    affinity = rollout(builds, Answer(), {"v1": 100})
    asked = client(affinity)
    assert asked.get(ENTRY["v2"]).status_code == 404
    affinity.add(Version("v2", builds["v2"]))
    assert (affinity.known, affinity.deployment.percentages) == (("v1", "v2"), {"v1": 100.0})
    assert asked.get(ENTRY["v2"]).text == "// entry of v2"
    assert decided(affinity, **SCRIPT, **pinned("v2")) == ("v2", "pin")
    assert asked.get("/", headers={"Version-Override": "v2"}).headers["Version-Affinity"] == (
        "v1;reason=only;refused=not-deployed"
    )
    affinity.deploy({"v1": 0, "v2": 100})
    assert asked.get("/").text.endswith("page of v2")
    assert affinity.known == ("v1", "v2")


def test_a_staged_version_takes_no_file_from_the_live_one(
    builds: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """A name that collides with a staged version's is served by name, except to requests that get that version.

    Once the version has a share, the name is a collision, which is logged once.
    """

    def reported() -> bool:
        return any(COLLISION in record.getMessage() for record in caplog.records)

    def kept(**headers: str) -> tuple[str, str]:
        response = asked.get(COLLISION, headers={name.replace("_", "-"): sent for name, sent in headers.items()})
        assert response.headers.get("Set-Cookie") is None
        assert affinity.explain(response.request.environ).served == response.text[-2:]
        return response.text, response.headers["Cache-Control"]

    affinity = rollout(builds, Answer(), {"v1": 100})
    asked = client(affinity)
    by_name = ("// chunk of v1", "public, max-age=31536000, immutable")
    assert kept() == by_name
    assert "public" in asked.get(DIFFERING).headers["Cache-Control"]
    affinity.add(Version("v2", builds["v2"]))
    affinity.add(Version("v0", builds["v0"]))
    affinity.deploy({"v1": 100, "v2": 0})
    assert asked.get(DIFFERING).headers["Cache-Control"] == "private, no-cache"
    strangers: list[dict[str, str]] = [{}, SCRIPT, NAVIGATION, pinned("v1"), {"Version_Override": "v9"}]
    for headers in strangers:
        assert kept(**headers) == by_name
    assert asked.head(COLLISION).headers["Cache-Control"] == by_name[1]
    assert asked.get(COLLISION, headers={"Range": "bytes=0-1"}).status_code == 206
    application_first = rollout(builds, Answer(), {"v1": 100, "v2": 0}, app_first=["/assets/*"])
    assert client(application_first).get(COLLISION).text == by_name[0]
    assert not reported()

    affinity.deploy({"v1": 90, "v2": 10})
    assert kept(**SCRIPT, **pinned("v1"))[1] == "private, no-cache"
    assert reported()
    caplog.clear()
    affinity.deploy({"v1": 100})
    assert kept(**SCRIPT, **pinned("v1"))[1] == "private, no-cache"
    assert not reported()
    affinity.retire("v2")
    assert kept(**SCRIPT) == by_name


@pytest.mark.parametrize("named_by", [{"Version_Override": "v2"}, pinned("v2")])
def test_a_staged_version_gets_its_own_colliding_file(builds: dict[str, Path], named_by: dict[str, str]) -> None:
    """A request that gets a staged version, by an override or a pin, gets that version's bytes; no cache keeps them."""
    for version, path in (("v1", SHARED), ("v2", OWN["v2"])):
        (builds[version] / path[1:]).unlink()
    affinity = rollout(builds, None, {"v1": 100, "v2": 0})
    headers = {name.replace("_", "-"): value for name, value in {**SCRIPT, **named_by}.items()}
    response = client(affinity).get(COLLISION, headers=headers)
    assert response.text == "// chunk of v2"
    assert response.headers["Cache-Control"].startswith("private, no-")
    # A staged version that lacks the file, or has the same bytes, gets the one that is served by name.
    (builds["v0"] / COLLISION[1:]).unlink()
    affinity.add(Version("v0", builds["v0"]))
    affinity.deploy({"v1": 100, "v2": 0, "v0": 0})
    response = client(affinity).get(COLLISION, headers={"Version-Override": "v0"})
    assert (response.text, "immutable" in response.headers["Cache-Control"]) == ("// chunk of v1", True)


def test_staged_versions_that_collide(builds: dict[str, Path]) -> None:
    """A collision between staged versions alone is each one's own; with the first share the file is served by name."""
    (builds["v1"] / COLLISION[1:]).unlink()
    affinity = rollout(builds, None, {"v1": 100, "v0": 0, "v2": 0})
    asked = client(affinity)
    assert asked.get(COLLISION).status_code == 404
    for version in ("v0", "v2"):
        assert asked.get(COLLISION, headers={"Version-Override": version}).text == f"// chunk of {version}"
    affinity.deploy({"v1": 50, "v2": 50, "v0": 0})
    response = asked.get(COLLISION)
    assert (response.text, "immutable" in response.headers["Cache-Control"]) == ("// chunk of v2", True)
    assert asked.get(COLLISION, headers={"Version-Override": "v0"}).text == "// chunk of v0"


def memory_used(affinity: VersionAffinity) -> int:
    """Return how many bytes of file content are held."""
    app = state_of(affinity).versions["v1"].app
    assert isinstance(app, StaticAssets)
    return app.memory.used


@pytest.mark.parametrize(
    "version",
    [
        lambda builds: Version("v1", builds["v2"]),
        lambda builds: Version("v2", builds["v2"], percentage=10),
        lambda builds: Version("v2", builds["v2"] / "nothing"),
    ],
)
def test_failed_add_changes_nothing(builds: dict[str, Path], version: object) -> None:
    """A version that cannot be added is refused and leaves everything as it was, the memory included."""
    affinity = rollout(builds, Answer(), {"v1": 100})
    state, used = state_of(affinity), memory_used(affinity)
    with pytest.raises(ConfigurationError):
        affinity.add(version(builds))  # type: ignore[operator]
    assert state_of(affinity) is state
    assert memory_used(affinity) == used


def test_retire(builds: dict[str, Path]) -> None:
    """A retired version is forgotten: its files are gone, its pin is void, its id is free again."""
    affinity = rollout(builds, Answer(), {"v1": 100}, retained=["v0"])
    asked = client(affinity)
    assert asked.get(ENTRY["v0"]).status_code == 200
    affinity.retire("v0")
    assert affinity.known == ("v1",)
    assert asked.get(ENTRY["v0"]).status_code == 404
    assert asked.get(SHARED).status_code == 200
    assert decided(affinity, **SCRIPT, **pinned("v0")) == ("v1", "only")
    affinity.add(Version("v0", builds["v0"]))
    assert asked.get(ENTRY["v0"]).status_code == 200
    assert decided(affinity, **SCRIPT, **pinned("v0")) == ("v0", "pin")


def test_retire_gives_memory_back(builds: dict[str, Path]) -> None:
    """Loading and retiring over and over ends with the memory of what is still known."""
    affinity = rollout(builds, None, {"v1": 100})
    used = memory_used(affinity)
    for _ in range(3):
        affinity.add(Version("v0", builds["v0"]))
        assert memory_used(affinity) > used
        affinity.retire("v0")
        assert memory_used(affinity) == used


def test_retire_leaves_a_given_build_alone(builds: dict[str, Path]) -> None:
    """The memory of a ``StaticAssets`` that was given belongs to whoever made it."""
    own = StaticAssets(builds["v0"])
    affinity = rollout(builds, None, {"v1": 100})
    used = own.memory.used
    affinity.add(Version("v0", own))
    affinity.retire("v0")
    assert (own.memory.used, client(own).get("/").status_code) == (used, 200)


@pytest.mark.parametrize(("version", "message"), [("v1", "is in the deployment"), ("v2", "in the deployment with 0 %")])
def test_deployed_is_not_retired(builds: dict[str, Path], version: str, message: str) -> None:
    """What is in the deployment, at 0 % too, is not retired."""
    affinity = rollout(builds, None, {"v1": 100, "v2": 0})
    with pytest.raises(ConfigurationError, match=message):
        affinity.retire(version)
    assert affinity.known == ("v1", "v2")


def test_requests_during_changes(builds: dict[str, Path]) -> None:
    """While deployments, additions and retirements go on, every request is answered from one state."""
    affinity = rollout(builds, Answer(), {"v1": 100, "v2": 0})
    failures: list[object] = []
    over = threading.Event()

    def ask() -> None:
        asked = client(affinity)
        while not over.is_set():
            page = asked.get("/", headers=NAVIGATION)
            version = page.text[-2:]
            if page.headers["Version-Affinity"].partition(";")[0] != version:
                failures.append(page.headers)
            entry = asked.get(ENTRY[version])
            if entry.text != f"// entry of {version}":
                failures.append(entry.status)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(15):
        affinity.deploy({"v1": number % 3 * 50, "v2": 100 - number % 3 * 50})
        affinity.add(Version("v0", builds["v0"]))
        affinity.retire("v0")
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_key_keeps_its_version_over_changes(builds: dict[str, Path]) -> None:
    """A rollback returns every key exactly, whatever was deployed in between."""
    affinity = rollout(builds, None)
    keys = [str(number) for number in range(200)]
    before = [decided(affinity, Version_Key=key) for key in keys]
    affinity.deploy({"v2": 100})
    affinity.deploy({"v1": 20, "v2": 80})
    affinity.deploy({"v2": 50, "v1": 50})
    assert [decided(affinity, Version_Key=key) for key in keys] == before
    assert decided(affinity, Version_Key=key_of("v2")) == ("v2", "key")


def test_what_is_replaced_is_freed_at_once(builds: dict[str, Path]) -> None:
    """An old state holds tens of thousands of objects: none waits for a garbage collection, which requests wait for."""
    affinity = rollout(builds, None, {"v1": 100}, retained=["v0"])
    replaced = weakref.ref(state_of(affinity).decider)
    gc.disable()
    try:
        affinity.retire("v0")
        assert replaced() is None
    finally:
        gc.enable()
