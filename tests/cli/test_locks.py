"""Commands while another process holds a lock: those of an incident go on, the others end with a message."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import Site
from version_affinity.cli import plan
from version_affinity.releases.log import file as file_log
from version_affinity.releases.store import directory as directory_module
from version_affinity.releases.store import durable
from version_affinity.releases.store.durable import FileLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Give a site with two versions, on which locks are waited for only briefly."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy({"v1": 100}, {"v1": 90, "v2": 10})
    monkeypatch.setattr(plan, "PATIENCE", 0.1)
    monkeypatch.setattr(file_log, "WRITE_PATIENCE", 0.1)
    monkeypatch.setattr(directory_module.publishing, "__kwdefaults__", {"patience": 0.1})
    return site


@contextmanager
def held(file: Path) -> Iterator[str]:
    """Hold a lock, and give what a message says of its holder."""
    with FileLock.acquire(file, guards=file.parent):
        yield f"process {os.getpid()} on "


@pytest.mark.parametrize("arguments", [("rollback", "-y"), ("versions", "deploy", "v1@50%", "v2@50%", "-y")])
def test_a_deployment_goes_on(waiting: Site, arguments: tuple[str, ...]) -> None:
    """A rollback and a deployment do not wait for a process that changes the versions, and warn of it."""
    with held(waiting.directory.uploads / ".lock") as holder:
        done = waiting.run(*arguments)
    assert holder in done.stderr
    assert "Deploying without the lock" in done.stderr
    assert len(waiting.percentages) == 3


@pytest.mark.parametrize(
    "arguments", [("versions", "upload", "{build}"), ("prune", "--keep", "0", "-y"), ("retention", "--keep", "3", "-y")]
)
def test_other_changes_end(waiting: Site, arguments: tuple[str, ...]) -> None:
    """An upload, a pruning and a change of the retention end in time, and name the process that they waited for."""
    waiting.upload("v0")
    before = sorted(waiting.directory.versions())
    build = str(waiting.build("v3"))
    with held(waiting.directory.uploads / ".lock") as holder:
        done = waiting.run(*(argument.format(build=build) for argument in arguments), code=1)
    assert holder in done.stderr
    assert "end it if it hangs" in done.stderr
    assert sorted(waiting.directory.versions()) == before
    assert not [entry for entry in os.listdir(waiting.directory.uploads) if entry.startswith(".upload")]  # noqa: PTH208


def test_the_lock_of_the_log(waiting: Site) -> None:
    """Without the log's own lock nothing is deployed: two writers at once would damage it. Its holder is named."""
    with held(waiting.directory.path / ".deployments.jsonl.lock") as holder:
        done = waiting.run("rollback", "-y", code=1)
    assert holder in done.stderr
    assert "nothing is deployed" in done.stderr
    assert len(waiting.percentages) == 2
    assert durable.LOCK_PATIENCE <= 60
