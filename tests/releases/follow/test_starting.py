"""A process that starts: it serves when it knows what the others know, however long it took to load."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.builds import DIFFERING, ENTRY
from tests.harness import NAVIGATION, SCRIPT, client
from tests.releases.followed import Site, follower_of
from version_affinity import Cookie, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.follow import follower
from version_affinity.releases.log.entries import Details, LogUnavailableError
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.log.local_copy import COPY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

V1, SPLIT = {"v1": 100.0}, {"v1": 50.0, "v2": 50.0}
THREE = {"v0": 30.0, "v1": 40.0, "v2": 30.0}
USERS = [{**NAVIGATION, "Cookie": f"user={number}"} for number in range(30)]


class SlowLoad:
    """A rule of an application for fingerprints, through which something else is done while a version loads.

    Args:
        meanwhile: Version to what happens while it is loaded for the first time.
    """

    def __init__(self, meanwhile: dict[str, Callable[[], None]]) -> None:
        self._meanwhile = meanwhile

    def __call__(self, path: str) -> None:
        """Decide nothing."""
        for version in list(self._meanwhile):
            if path.endswith(ENTRY[version]):
                self._meanwhile.pop(version)()


@contextlib.contextmanager
def starting(
    site: Site, meanwhile: dict[str, Callable[[], None]], interval: float = 3600
) -> Iterator[tuple[VersionAffinity, Releases]]:
    """Start a worker; after that it does not look any more, unless it has a shorter interval."""
    releases = Releases(site.directory.path, interval=interval)
    try:
        yield VersionAffinity(None, releases, keys=[Cookie("user")], fingerprinted=SlowLoad(meanwhile)), releases
    finally:
        releases.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed."""
    made = Site(tmp_path)
    made.upload("v1")
    made.deploy(V1)
    return made


def check_pages_of(affinity: VersionAffinity, *versions: str) -> None:
    """Check that pages of these versions, sent by other workers, get their own files here."""
    for version in versions:
        pinned = {**SCRIPT, "Cookie": f"version-affinity-storefront=4711.{version}"}
        assert client(affinity).get(ENTRY[version], headers=pinned).status_code == 200
        assert version in client(affinity).get(DIFFERING, headers=pinned).text


def pages(affinity: VersionAffinity) -> set[str]:
    """Return the versions of the pages that users get."""
    return {client(affinity).get("/", headers=user).text[-2:] for user in USERS}


def test_an_upload_while_it_starts(site: Site) -> None:
    """A version that was uploaded while another one was loaded is known with the first request."""
    with starting(site, {"v1": lambda: site.upload("v2")}) as (affinity, _):
        assert affinity.known == ("v1", "v2")
        assert client(affinity).get(ENTRY["v2"], headers=SCRIPT).status_code == 200


def test_an_upload_while_the_upload_before_is_loaded(site: Site) -> None:
    """The worker looks until nothing is new, not only once more."""
    meanwhile = {"v1": lambda: site.upload("v2"), "v2": lambda: site.upload("v0")}
    with starting(site, meanwhile) as (affinity, _):
        assert affinity.known == ("v1", "v2", "v0")


def first_share(site: Site, version: str, percentages: dict[str, float]) -> Callable[[], None]:
    """Return a function that uploads a version and deploys it."""

    def do() -> None:
        site.upload(version)
        site.deploy(percentages)

    return do


def test_a_first_share_while_it_starts(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of the new version get their files at once; this worker sends none before all others are ready for it."""
    monkeypatch.setattr(follower, "START_PATIENCE", 0.0)
    with starting(site, {"v1": first_share(site, "v2", SPLIT)}) as (affinity, releases):
        status = releases.status()
        assert status is not None
        assert (status.revision, status.serving, status.lacking) == (2, 1, ())
        check_pages_of(affinity, "v1", "v2")
        assert pages(affinity) == {"v1"}


def test_two_first_shares_in_a_row(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one comes while the first one's version is loaded: both wait, and both have their files."""
    monkeypatch.setattr(follower, "START_PATIENCE", 0.0)
    meanwhile = {"v1": first_share(site, "v2", SPLIT), "v2": first_share(site, "v0", THREE)}
    with starting(site, meanwhile) as (affinity, releases):
        status = releases.status()
        assert status is not None
        assert (status.revision, status.serving, status.lacking) == (3, 1, ())
        check_pages_of(affinity, "v1", "v2", "v0")
        assert pages(affinity) == {"v1"}


def test_first_shares_just_before_the_start(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other workers may not have seen them yet either."""
    monkeypatch.setattr(follower, "START_PATIENCE", 0.0)
    first_share(site, "v2", SPLIT)()
    first_share(site, "v0", THREE)()
    with starting(site, {}) as (affinity, _):
        check_pages_of(affinity, "v1", "v2", "v0")
        assert pages(affinity) == {"v1"}


def test_a_short_wait_is_part_of_the_start(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker rather starts a moment later than with a deployment that others have left."""
    monkeypatch.setattr(follower, "START_PATIENCE", 60.0)
    first_share(site, "v2", SPLIT)()
    began = time.monotonic()
    with starting(site, {}, interval=0.25) as (affinity, _):
        assert time.monotonic() - began >= 0.5
        assert affinity.deployment.percentages == SPLIT
        assert pages(affinity) == {"v1", "v2"}


def test_what_others_have_known_for_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deployment of yesterday is served with the first request, without a wait."""
    monkeypatch.setattr(follower, "START_PATIENCE", 0.0)
    site.upload("v2")
    site.log.append(SPLIT, expected=1, details=Details(created="2026-01-02T03:04:05Z"))
    with starting(site, {}) as (affinity, _):
        assert affinity.deployment.percentages == SPLIT


def test_a_first_share_that_is_dated_in_the_future(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the clock of who deployed is fast, workers that start wait for a minute, not until that time has come."""
    monkeypatch.setattr(follower, "START_PATIENCE", 0.0)
    site.upload("v2")
    manifest = site.directory.manifest_path("v2")
    manifest.write_text(re.sub(r'"created": ?"[^"]+"', '"created":"2126-01-02T03:04:05Z"', manifest.read_text()))
    site.log.append(SPLIT, expected=1, details=Details(created="2126-01-02T03:04:05Z"))
    with starting(site, {}) as (affinity, _):
        assert affinity.deployment.percentages == V1
    copy = site.directory.path / COPY
    os.utime(copy, (copy.stat().st_mtime - 120,) * 2)
    with starting(site, {}) as (affinity, _):
        assert affinity.deployment.percentages == SPLIT


def test_a_log_that_does_not_answer_is_asked_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer that does not come takes seconds; the thread asks again later, however long the load takes."""
    with starting(site, {}):
        pass  # a copy of the log is here from now on
    asked = []

    def read(*_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            asked.append(1)
        raise LogUnavailableError("it does not answer")

    monkeypatch.setattr(FileLog, "read", read)
    with starting(site, {"v1": lambda: time.sleep(0.1)}, interval=0.02) as (affinity, _):
        assert affinity.deployment.percentages == V1
    assert len(asked) == 1


def test_a_rollback_while_it_starts(site: Site) -> None:
    """What was rolled back meanwhile is not served."""
    site.upload("v2")
    site.log.append(SPLIT, expected=1, details=Details(created="2026-01-02T03:04:05Z"))
    with starting(site, {"v2": lambda: site.deploy(V1) and None}) as (affinity, _):
        assert affinity.deployment.percentages == V1


def test_an_upload_while_the_first_state_is_made(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the load and the first request there is more that takes time."""
    from version_affinity import middleware  # noqa: PLC0415

    made = middleware.State.of

    def slowly(*arguments: object) -> object:
        monkeypatch.undo()
        site.upload("v2")
        return made(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(middleware.State, "of", slowly)
    with starting(site, {}) as (affinity, _):
        assert affinity.known == ("v1", "v2")


def test_a_worker_forked_by_uwsgi_hours_later(site: Site) -> None:
    """A new worker of uWSGI is forked from a process without a thread, whose state is old: it catches up."""
    with starting(site, {}) as (affinity, releases):
        follower_of(releases).stop()
        site.upload("v2")
        site.deploy(V1)
        before = threading.active_count()
        follower_of(releases).catch_up()
        assert threading.active_count() == before
        assert affinity.known == ("v1", "v2")
        assert affinity.deployment.revision == 2
