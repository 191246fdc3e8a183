"""A worker that follows releases: what it serves after each change, and what changes nothing."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import create_environ, run_wsgi_app

from tests.budget import budget
from tests.builds import ENTRY, write_builds
from tests.harness import NAVIGATION, SCRIPT, client, finishers, state_of, write_build
from tests.releases.followed import NAME, Site, follower_of, pause, until
from version_affinity import ConfigurationError, Cookie, Version, VersionAffinity
from version_affinity.counters import OTHER
from version_affinity.releases import Releases
from version_affinity.releases.follow.threads import pause_all, resume_all
from version_affinity.releases.store.retention import Retention, prune_plan
from version_affinity.releases.store.upload import upload
from version_affinity.releases.store.workspace import prune_versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from version_affinity.releases.follow.status import Status

V1, V2 = {"v1": 100.0}, {"v2": 100.0}
SPLIT = {"v1": 50.0, "v2": 50.0}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed."""
    made = Site(tmp_path)
    made.upload("v1")
    made.deploy(V1)
    return made


def page(affinity: VersionAffinity, **headers: str) -> str:
    """Return the version whose page a browser gets."""
    answer = client(affinity).get("/", headers={**NAVIGATION, **headers})
    assert answer.status_code == 200
    return answer.text[-2:]


def asked(affinity: VersionAffinity, version: str) -> int:
    """Return the status of a version's own fingerprinted file."""
    return client(affinity).get(ENTRY[version], headers=SCRIPT).status_code


def percentages(affinity: VersionAffinity) -> dict[str, float]:
    """Return what is deployed."""
    return dict(affinity.deployment.percentages)


def status_of(releases: Releases) -> Status:
    """Return how the worker stands."""
    status = releases.status()
    assert status is not None
    return status


# What is followed.


def test_a_deployment_is_followed(site: Site) -> None:
    """A line in the log is all that it takes: the next page is of the new version, under the log's revision."""
    site.upload("v2")
    with site.followed() as (affinity, _):
        assert page(affinity) == "v1"
        site.deploy(V2)
        until(lambda: percentages(affinity) == V2)
        assert page(affinity) == "v2"
        assert affinity.deployment.revision == 2
        assert affinity.deployment.name == NAME


def test_the_same_percentages_again_are_another_revision(site: Site) -> None:
    """Every deployment counts, also one that moves nobody."""
    with site.followed() as (affinity, _):
        site.deploy(V1)
        until(lambda: affinity.deployment.revision == 2)


def test_an_upload_is_known_before_it_is_deployed(site: Site) -> None:
    """Its files are served by name, its page under an override, and to nobody else."""
    with site.followed() as (affinity, _):
        assert affinity.known == ("v1",)
        site.upload("v2")
        until(lambda: affinity.known == ("v1", "v2"))
        assert asked(affinity, "v2") == 200
        assert page(affinity) == "v1"
        site.deploy({"v1": 100.0, "v2": 0.0})
        until(lambda: affinity.deployment.revision == 2)
        assert page(affinity) == "v1"
        assert page(affinity, **{"Version-Override": "v2"}) == "v2"


def test_nothing_is_hashed_again(site: Site) -> None:
    """A version is loaded from its manifest: a file of the same size and time is not read."""
    script = site.directory.build_path("v1") / ENTRY["v1"][1:]
    status = script.stat()
    script.chmod(0o644)
    script.write_text("// ENTRY of v1")  # as long, and, by its time, the same
    os.utime(script, ns=(status.st_atime_ns, status.st_mtime_ns))
    with site.followed() as (affinity, releases):
        status = releases.status()
        assert status is not None
        assert not status.failures
        assert asked(affinity, "v1") == 200


def test_a_miss_waits_for_nothing(site: Site) -> None:
    """A file of a version that this worker has not seen yet is 404 until the next look."""
    with site.followed(interval=3600) as (affinity, releases):
        site.upload("v2")
        assert asked(affinity, "v2") == 404
        assert affinity.known == ("v1",)
        follower_of(releases).look()
        assert asked(affinity, "v2") == 200


def test_the_retention_ends_what_is_known(site: Site) -> None:
    """An old version is forgotten when newer ones come, and its memory given back; the deployed one never."""
    site.upload("v2")
    site.directory.change_retention(Retention(keep=1))
    with site.followed() as (affinity, _):
        client(affinity).get(ENTRY["v2"])
        version = state_of(affinity).versions["v2"].app
        (asset,) = (it for path, it in version.index.assets.items() if path == ENTRY["v2"])  # type: ignore[union-attr]
        assert asset.memory is not None
        assert affinity.known == ("v1", "v2")
        site.upload("v0")
        until(lambda: affinity.known == ("v1", "v0"))
        assert asked(affinity, "v2") == 404
        assert asset.memory is None


def put(file: Path, text: str) -> None:
    """Replace a file at once: a worker that looks at it meanwhile reads no half of it."""
    file.with_name(".new").write_text(text)
    file.with_name(".new").replace(file)


def test_the_directory_says_the_retention(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A retention that is changed is followed without a restart, in both directions; one that is broken changes none.

    Uploads and deployments are followed meanwhile.
    """
    site.directory.change_retention(Retention(keep=0))
    site.upload("v2")
    with site.followed() as (affinity, releases):
        assert affinity.known == ("v1",)
        site.directory.change_retention(Retention(keep=1))
        until(lambda: affinity.known == ("v1", "v2"))
        assert asked(affinity, "v2") == 200
        settings = site.directory.path / "affinity.json"
        whole = settings.read_text()
        put(settings, whole[:20])
        until(lambda: "the retention stays as it is" in caplog.text)
        assert "is not JSON" in status_of(releases).error
        site.upload("v0")
        until(lambda: affinity.known == ("v1", "v0"))
        site.deploy({"v0": 100.0})
        until(lambda: page(affinity) == "v0")
        until(lambda: affinity.known == ("v1", "v2", "v0"))
        put(settings, whole.replace('"keep": 1', '"keep": 0'))
        until(lambda: affinity.known == ("v1", "v0"))
        assert status_of(releases).error == ""
        assert caplog.text.count("the retention stays as it is") == 1
        assert "the settings of the releases can be used again" in caplog.text


def test_a_retention_that_cannot_be_used(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that starts by it serves, knows all that is uploaded, and says why; one that runs stays as it is."""
    site.upload("v2")
    settings = site.directory.path / "affinity.json"
    whole = settings.read_text()
    broken = json.dumps({**json.loads(whole), "retention": {"keep": "ten"}})
    fewer = json.dumps({**json.loads(whole), "retention": {"keep": 0}})
    settings.write_text(broken)
    with site.followed() as (affinity, releases):
        assert affinity.known == ("v1", "v2")
        (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert "the retention stays as it is (keep all): " in told.getMessage()
        assert f"{str(settings)!r}: keep='ten' is not a number of versions: write one from 0" in told.getMessage()
        assert "keep='ten'" in status_of(releases).error
        settings.write_text(fewer)
        until(lambda: affinity.known == ("v1",))
        assert status_of(releases).error == ""
        settings.write_text(broken)
        until(lambda: "the retention stays as it is (keep 0): " in caplog.text)
        assert affinity.known == ("v1",)


def test_a_pruned_version_is_forgotten(site: Site) -> None:
    """What is removed from the directory is not known any more; its id may come again, with other files."""
    site.upload("v2")
    with site.followed() as (affinity, _):
        prune_versions(prune_plan(site.directory, site.log.read(), Retention(keep=0)))
        until(lambda: affinity.known == ("v1",))
        assert asked(affinity, "v2") == 404
        site.upload("v2", more={"assets/more-Zx81xKpL.js": "// more"})
        until(lambda: affinity.known == ("v1", "v2"))
        assert client(affinity).get("/assets/more-Zx81xKpL.js").status_code == 200


def test_an_id_that_was_given_again_between_two_looks(site: Site) -> None:
    """A version that was pruned and uploaded anew is another one, also for a worker that has seen neither."""
    site.upload("v2")
    with site.followed(interval=3600) as (affinity, releases):
        assert affinity.known == ("v1", "v2")
        prune_versions(prune_plan(site.directory, site.log.read(), Retention(keep=0)))
        site.upload("v2", more={"assets/more-Zx81xKpL.js": "// more"})
        follower_of(releases).look()
        assert client(affinity).get("/assets/more-Zx81xKpL.js").status_code == 200


# Versions that are not here.


def test_a_version_that_this_host_lacks_gets_no_traffic(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Its users get the others until it arrives; that is told once, and stands in the status."""
    with site.followed() as (affinity, releases):
        site.deploy(SPLIT)
        until(lambda: affinity.deployment.revision == 2)
        assert percentages(affinity) == V1
        status = releases.status()
        assert status is not None
        assert (status.revision, status.serving, status.lacking) == (2, 2, ("v2",))
        assert {page(affinity, Cookie=f"user={number}") for number in range(20)} == {"v1"}
        told = "deployment 2 has versions that are not on this host, and get no traffic here until they are: v2"
        until(lambda: told in caplog.text)
        assert caplog.text.count(told) == 1
        site.upload("v2")
        until(lambda: percentages(affinity) == SPLIT)
        assert {page(affinity, Cookie=f"user={number}") for number in range(20)} == {"v1", "v2"}
        arrived = "all versions of deployment 2 are on this host"
        until(lambda: arrived in caplog.text)
        assert caplog.text.count(arrived) == 1


def test_none_of_the_deployment_is_here(site: Site) -> None:
    """The last deployment of which something is here goes on, until something of the newest arrives."""
    with site.followed() as (affinity, releases):
        site.deploy(V2)
        until(lambda: (status := releases.status()) and status.revision == 2)
        status = releases.status()
        assert status is not None
        assert (status.serving, status.percentages, status.lacking) == (1, V1, ("v2",))
        assert page(affinity) == "v1"
        site.upload("v2")
        until(lambda: percentages(affinity) == V2)


def test_a_version_that_arrives_bit_by_bit(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A version is taken when all of its files are there, whichever comes last."""
    site.upload("v2")
    build = site.directory.build_path("v2")
    aside = site.root / "aside"
    for late in ("index.html", "assets", ".vite/manifest.json"):
        (build / late).rename(aside)
        with site.followed() as (affinity, releases):
            assert affinity.known == ("v1",)
            status = releases.status()
            assert status is not None
            assert "files are here" in status.failures["v2"]
            assert "version 'v2' cannot be loaded, and is tried again" in caplog.text
            aside.rename(build / late)
            until(lambda: affinity.known == ("v1", "v2"))


def test_a_version_with_other_bytes_is_not_taken(site: Site) -> None:
    """A file that was damaged on its way is not served as what was uploaded."""
    site.upload("v2")
    script = site.directory.build_path("v2") / ENTRY["v2"][1:]
    script.chmod(0o644)
    script.write_text("// damaged")
    with site.followed() as (affinity, releases):
        assert affinity.known == ("v1",)
        status = releases.status()
        assert status is not None
        assert status.failures["v2"] == f"{ENTRY['v2']!r} holds other bytes than were uploaded"


# What goes wrong.


def broken_log(site: Site) -> None:
    """Write into the middle of the log."""
    log = site.directory.path / "deployments.jsonl"
    log.write_bytes(b"{nonsense\n" + log.read_bytes())


def unreadable_log(site: Site) -> None:
    """Put a directory where the log was."""
    log = site.directory.path / "deployments.jsonl"
    log.unlink()
    log.mkdir()


def not_mounted(site: Site) -> None:
    """Take everything away, and leave an empty directory."""
    site.directory.path.rename(site.root / "elsewhere")
    site.directory.path.mkdir()


def emptied(site: Site) -> None:
    """Take everything away but the empty directories."""
    not_mounted(site)
    (site.directory.path / "versions").mkdir()


@pytest.mark.parametrize("fault", [broken_log, unreadable_log, not_mounted, emptied])
def test_the_last_good_state_keeps_serving(
    site: Site, fault: Callable[[Site], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is wrong with the log or the directory, nothing changes for requests; it is told, and not again."""
    site.upload("v2")
    site.deploy(SPLIT)
    with site.followed() as (affinity, releases):
        before = state_of(affinity)
        users = [f"user={number}" for number in range(20)]
        pages = [page(affinity, Cookie=user) for user in users]  # which are in memory from now on
        assert asked(affinity, "v2") == 200
        fault(site)
        until(lambda: (status := releases.status()) and status.error)
        assert [page(affinity, Cookie=user) for user in users] == pages
        assert asked(affinity, "v2") == 200
        assert state_of(affinity) is before
    assert [record for record in caplog.records if record.levelno > logging.ERROR] == []
    told = [record.message for record in caplog.records if "stays" in record.message or "looked at" in record.message]
    assert len(told) == len(set(told))


def test_what_was_gone_comes_back(site: Site) -> None:
    """A file system that was away for a while is followed again."""
    with site.followed() as (affinity, releases):
        not_mounted(site)
        until(lambda: (status := releases.status()) and status.error)
        site.directory.path.rmdir()
        (site.root / "elsewhere").rename(site.directory.path)
        site.deploy(V1)
        until(lambda: affinity.deployment.revision == 2)
        until(lambda: (status := releases.status()) and not status.error)


def test_an_application_that_is_gone_is_not_followed_for(site: Site) -> None:
    """The thread ends with what it works for."""
    releases = Releases(site.directory.path, interval=0.02)
    gone = weakref.ref(VersionAffinity(None, releases))
    (thread,) = (it for it in threading.enumerate() if it.name == "version-affinity")
    gc.collect()
    until(lambda: gone() is None and not thread.is_alive())
    releases.close()


# At the start.


def nothing(site: Site) -> None:
    """Change nothing."""


def no_deployment(site: Site) -> None:
    """Forget that v1 was deployed."""
    (site.directory.path / "deployments.jsonl").unlink()


def no_version(site: Site) -> None:
    """Forget v1 itself."""
    shutil.rmtree(site.directory.build_path("v1"))


def no_uploads(site: Site) -> None:
    """Leave no directory of versions."""
    shutil.rmtree(site.directory.uploads)


def no_releases(site: Site) -> None:
    """Leave no releases directory."""
    shutil.rmtree(site.directory.path)


@pytest.mark.parametrize(
    ("fault", "options", "words"),
    [
        (no_deployment, {}, ("nothing is deployed yet", "uploaded: v1", "versions deploy v1@100%")),
        (no_version, {}, ("no version of the deployment", "lacks (v1)", "upload")),
        (no_uploads, {}, ("cannot be looked at", "let this user read")),
        (no_releases, {}, ("is not a releases directory", "version-affinity", "init")),
        (broken_log, {}, ("the log of deployments cannot be read", "deployments.jsonl")),
        (nothing, {"name": "other"}, ("name='other'", "'storefront'", "leave it out")),
        (nothing, {"retained": [Version("v0", "builds/v0")]}, ("retained has no effect", "leave it out")),
        (nothing, {"autorefresh": True}, ("autorefresh has no effect", "leave it out")),
    ],
)
def test_refused_at_the_start(
    site: Site, fault: Callable[[Site], None], options: dict[str, Any], words: tuple[str, ...]
) -> None:
    """What cannot be followed is refused when it is configured, with what to do."""
    fault(site)
    releases = Releases(site.directory.path)
    with pytest.raises(ConfigurationError) as raised:
        VersionAffinity(None, releases, **options)
    assert [word for word in words if word not in str(raised.value)] == []
    assert "\n" not in str(raised.value)
    assert not [thread for thread in threading.enumerate() if thread.name == "version-affinity"]


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((), {}, ("Releases('releases/')", "VERSION_AFFINITY_RELEASES")),
        ((5,), {}, ("Releases(5)", "Releases('releases/')")),
        (("releases",), {"log": 5}, ("log=5", "redis://host")),
        (("releases",), {"log": ""}, ("log=''", "leave it out")),
        (("releases",), {"interval": 0}, ("interval=0", "seconds")),
        (("releases",), {"interval": True}, ("interval=True", "seconds")),
        (("releases",), {"interval": float("nan")}, ("interval=nan", "seconds")),
        (("releases",), {"host": ""}, ("host=''", "leave it out")),
    ],
)
def test_settings_that_cannot_be_used(
    arguments: tuple[str, ...], options: dict[str, Any], words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unusable setting is refused at once, with its name and value and what to write."""
    monkeypatch.delenv("VERSION_AFFINITY_RELEASES", raising=False)
    with pytest.raises(ConfigurationError) as raised:
        Releases(*arguments, **options)
    assert [word for word in words if word not in str(raised.value)] == []


@pytest.mark.parametrize(
    ("change", "command"),
    [
        (lambda affinity: affinity.deploy(V1), "versions deploy"),
        (lambda affinity: affinity.add(Version("v3", "builds/v3")), "versions upload"),
        (lambda affinity: affinity.retire("v1"), "prune"),
    ],
)
def test_changes_are_those_of_the_releases(
    site: Site, change: Callable[[VersionAffinity], object], command: str
) -> None:
    """One worker alone changes nothing; the command that changes all is named, with the directory."""
    with site.followed() as (affinity, _):
        before = state_of(affinity)
        with pytest.raises(ConfigurationError) as raised:
            change(affinity)
        assert f"version-affinity --releases {site.directory.path} {command}" in str(raised.value)
        assert state_of(affinity) is before


def test_one_releases_for_one_application(site: Site) -> None:
    """A second application that is given the same object is refused."""
    with site.followed() as (_, releases), pytest.raises(ConfigurationError, match="make one for each"):
        VersionAffinity(None, releases)


def test_where_the_directory_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name counts from the application's root, the environment's from the working directory."""
    monkeypatch.chdir(site.root)
    monkeypatch.setenv("VERSION_AFFINITY_RELEASES", "releases")
    for releases, root in (
        (Releases(), "/nowhere"),
        (Releases("releases"), str(site.root)),
        (Releases("releases"), ""),
    ):
        affinity = VersionAffinity(None, releases, root=root)
        assert affinity.deployment.name == NAME
        releases.close()


# The same, however a worker came to it.

SHARES = st.sampled_from([V1, V2, SPLIT, {"v0": 100.0}, {"v1": 90.0, "v2": 10.0}, {"v0": 30.0, "v1": 30.0, "v2": 40.0}])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The three builds, as a list has them."""
    return write_builds(tmp_path_factory.mktemp("builds"))


def told(affinity: VersionAffinity) -> tuple[object, ...]:
    """Return everything that decides requests, and some decisions."""
    state = state_of(affinity)
    decided = tuple(
        affinity.explain(create_environ("/logo.svg", headers=headers)).decision
        for user in range(10)
        for headers in ({"Cookie": f"user={user}"}, {**NAVIGATION, "Cookie": f"user={user}"}, SCRIPT)
    )
    files = {path: state.catalog.make_named(path).version for path in state.catalog.names}, state.catalog.names
    rescues = state.catalog.rescues
    facts = state.deployment, state.deployment.revision, state.complete, state.baseline, state.published
    return (*facts, affinity.known, files, rescues, decided)


@pytest.mark.slow
@budget(40)
@given(deployments=st.lists(SHARES, min_size=1, max_size=5))
def test_a_worker_that_starts_is_like_one_that_ran_all_along(
    tmp_path_factory: pytest.TempPathFactory, both: dict[str, Path], deployments: list[dict[str, float]]
) -> None:
    """One that followed each deployment, one that has just started, and a list that was deployed to: the same."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.upload("v0", "v1", "v2")
    site.deploy(deployments[0])
    with site.followed() as (running, _):
        for revision, shares in enumerate(deployments[1:], 2):
            site.deploy(shares)
            until(lambda: running.deployment.revision == revision)  # noqa: B023
        with site.followed() as (started, _):
            assert told(started) == told(running)
            first = [Version(version, both[version], percentage=share) for version, share in deployments[0].items()]
            listed = VersionAffinity(None, first, name=NAME, keys=[Cookie("user")])
            for version in both.keys() - deployments[0].keys():
                listed.add(Version(version, both[version]))
            for shares in deployments[1:]:
                listed.deploy(shares)
            state, expected = state_of(running), state_of(listed)
            assert state.deployment == expected.deployment
            assert state.deployment.revision == expected.deployment.revision
            assert (state.complete, state.baseline) == (expected.complete, expected.baseline)
            assert state.published == expected.published
            assert state.catalog.rescues.keys() == expected.catalog.rescues.keys()
            assert state.catalog.different_bytes == expected.catalog.different_bytes
            assert told(running)[-1] == told(listed)[-1]


def test_a_version_that_came_late_is_like_one_that_was_there(site: Site) -> None:
    """In what order a host got its versions leaves no trace either."""
    site.deploy(SPLIT)
    with site.followed() as (running, _):
        site.upload("v2")
        until(lambda: percentages(running) == SPLIT)
        with site.followed() as (started, _):
            assert told(started) == told(running)


# Forks.


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system knows no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_follows_too(site: Site) -> None:
    """Parent and child both follow after a fork, each with a thread of its own."""
    site.upload("v2")
    with site.followed() as (affinity, _):
        child = os.fork()
        if child == 0:
            with_status = 1
            try:
                signal.alarm(60)
                until(lambda: percentages(affinity) == V2)
                with_status = 0 if asked(affinity, "v2") == 200 else 2
            finally:
                os._exit(with_status)
        site.deploy(V2)
        until(lambda: percentages(affinity) == V2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="this system knows no masks of signals")
def test_the_thread_gets_no_signals(site: Site) -> None:
    """A signal to the process is for the threads of the server: this one's mask has them all."""
    masks: list[set[int]] = []

    def fingerprinted(_: str) -> None:  # called in the thread, for a version that is loaded
        masks.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))

    releases = Releases(site.directory.path, interval=0.02)
    affinity = VersionAffinity(None, releases, fingerprinted=fingerprinted)
    masks.clear()
    site.upload("v2")
    until(lambda: "v2" in affinity.known)
    releases.close()
    assert {signal.SIGTERM, signal.SIGINT, signal.SIGHUP} <= masks[0]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_a_fork_finds_no_thread(site: Site) -> None:
    """At the moment of a fork there is no thread that could hold a lock; afterwards it runs again."""
    with site.followed() as (affinity, releases):
        pause(releases)
        assert not [thread for thread in threading.enumerate() if thread.name == "version-affinity"]
        assert page(affinity) == "v1"
        assert asked(affinity, "v2") == 404
        resume_all()
        site.deploy(V1)
        until(lambda: affinity.deployment.revision == 2)
        releases.close()
        pause_all()
        resume_all()
        assert not [thread for thread in threading.enumerate() if thread.name == "version-affinity"]


def test_what_was_counted_for_a_version_goes_with_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a version goes because it is pruned: its numbers are those of "other", and nothing else is kept."""
    made = finishers(monkeypatch)
    site.upload("v2")
    site.deploy(SPLIT)
    with site.followed() as (affinity, _):
        for user in range(20):
            page(affinity, Cookie=f"user={user}")
        assert {version for version, *_ in affinity.counters().requests} == {"v1", "v2"}
        site.deploy(V2)
        until(lambda: percentages(affinity) == V2)
        site.log.append(V2, expected=3)
        site.directory.build_path("v1").rename(site.root / "gone")
        site.directory.manifest_path("v1").unlink()
        until(lambda: affinity.known == ("v2",))
        until(lambda: {version for version, *_ in affinity.counters().requests} == {"v2", OTHER})
        assert {it.version for each in made[0].headers.values() for it in each} == {"v2"}


@pytest.mark.slow
def test_memory_over_many_versions(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """Of a version that was uploaded, deployed and pruned, a process holds the log's entry for good, and no more."""
    caplog.set_level(logging.CRITICAL, "version_affinity")  # pytest would keep all that is logged
    site.directory.change_retention(Retention(keep=0))

    def one_more(number: int) -> None:
        source = write_build(site.root / "dist", {"index.html": f"v{number}", f"assets/a-{number:0>8}.js": f"{number}"})
        upload(site.directory, source, id=f"v{number}")
        shutil.rmtree(source)
        entry = site.deploy({f"v{number}": 100.0})
        until(lambda: affinity.deployment.revision == entry.revision)
        for path, headers in (
            ("/", NAVIGATION),
            (f"/assets/a-{number:0>8}.js", SCRIPT),
            ("/assets/b-AAAABBBB.js", SCRIPT),
        ):
            run_wsgi_app(affinity, create_environ(path, headers=headers), buffered=True)
        for version in site.directory.versions():
            if version != f"v{number}":
                site.directory.manifest_path(version).unlink()
                shutil.rmtree(site.directory.build_path(version))
        until(lambda: affinity.known == (f"v{number}",))

    def held_after(numbers: range) -> int:
        for number in numbers:
            one_more(number)
        gc.collect()
        # Entries of the log stay, and Python 3.14 tracks their dicts, too.
        of_entries = {"Entry", "mappingproxy", *(["dict"] if sys.version_info >= (3, 14) else [])}
        return sum(type(held).__name__ not in of_entries for held in gc.get_objects())

    with site.followed() as (affinity, _):
        before = held_after(range(10, 20))
        assert held_after(range(20, 60)) - before < 2 * 40
