"""Which log is meant: told by what is in it, not by how its URL is written. And under which name it was made."""

from __future__ import annotations

import json
import logging
import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.releases.followed import NAME, Site, until
from tests.releases.redis_server import redis_server
from version_affinity import ConfigurationError, VersionAffinity
from version_affinity.releases import Releases
from version_affinity.releases.log.file import FILE_NAME, FileLog
from version_affinity.releases.log.local_copy import COPY, LocalCopy
from version_affinity.releases.log.redis import RedisLog
from version_affinity.releases.releases import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.releases.redis_server import RedisServer
    from version_affinity.releases.store.directory import ReleasesDirectory

#: A log and its copies as release 0.1 wrote them.
OLD = Path(__file__).parents[2] / "data" / "written_by_0_1"
STREAM = f"version-affinity:{NAME}:deployments"
V1, V2, SPLIT = {"v1": 100.0}, {"v2": 100.0}, {"v1": 50.0, "v2": 50.0}
WRITTEN = [V1, {"v1": 90.0, "v2": 10.0}, V2]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """Give an empty Redis."""
    with redis_server() as server:
        yield server


def stream(server: RedisServer, records: list[tuple[str, dict[str, str]]]) -> None:
    """Have a Redis hold these deployments and no others."""
    with server.client() as client:
        client.delete(STREAM)
        for number, fields in records:
            client.xadd(STREAM, fields, id=number)  # type: ignore[arg-type]


def spelt(url: str) -> str:
    """Return another URL of the same server."""
    return url.replace("127.0.0.1", "localhost")


# --- release 0.1 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copy", ["last-known-of-a-file.jsonl", "last-known-of-redis.jsonl", ""])
@pytest.mark.parametrize("kind", ["file", "redis"])
def test_what_release_0_1_wrote(tmp_path: Path, request: pytest.FixtureRequest, kind: str, copy: str) -> None:
    """Its logs and copies are read and gone on with, and workers follow them; from then on the log has an id."""
    directory = tmp_path / "releases"
    directory.mkdir()
    shutil.copy(OLD / "affinity.json", directory)
    (directory / "versions").mkdir()
    url = None
    if kind == "file":
        shutil.copy(OLD / "deployments.jsonl", directory / FILE_NAME)
    else:
        server: RedisServer = request.getfixturevalue("redis")
        stream(server, json.loads((OLD / "stream.json").read_text()))
        url = server.url
    if copy:
        shutil.copy(OLD / copy, directory / COPY)
    site = Site(tmp_path, url)
    with closing(site.log):
        site.upload("v1", "v2")
        assert [entry.percentages for entry in site.log.read()] == WRITTEN
        assert site.log.read()[1].message == 'naïve ✓ "quoted"'
        with site.followed() as (affinity, releases):
            assert affinity.deployment.percentages == V2
            assert site.deploy(SPLIT).log_id
            until(lambda: affinity.deployment.percentages == SPLIT)
            status = releases.status()
            assert status is not None
            assert status.error == ""
        with site.followed() as (affinity, _):
            assert affinity.deployment.percentages == SPLIT
    assert [entry.percentages for entry in LocalCopy(directory / COPY).load()] == [*WRITTEN, SPLIT]


# --- one log, several spellings ---------------------------------------------------------------------------------------


def test_another_spelling(tmp_path: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """The same Redis under another URL is the same log: the host's copy is started from, and not written over.

    A Redis that was rolled back meanwhile is not followed.
    """
    site = Site(tmp_path, redis.url)
    with closing(site.log):
        site.upload("v1", "v2")
        site.deploy(V1)
        site.deploy(SPLIT)
        site.deploy(V2)
        with site.followed():
            pass
        copy = site.directory.path / COPY
        before = copy.read_bytes()
        with redis.client() as client:
            records = [(key.decode(), fields) for key, fields in client.xrange(STREAM)]
        for url in (spelt(redis.url), redis.url):
            site.url = url
            stream(redis, records[:2])
            with site.followed() as (affinity, releases):
                status = releases.status()
                assert status is not None
                assert "has 2 deployments, and this host has seen 3" in status.error
                assert affinity.deployment.percentages == V2
                assert copy.read_bytes() == before
                stream(redis, records)
                until(lambda: (status := releases.status()) and not status.error)
    assert "is not used" not in caplog.text
    assert copy.read_bytes() == before


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_another_log_of_the_same_deployments(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    """A log that was begun anew is another one, though it has the same deployments: it is not followed."""
    url = request.getfixturevalue("redis").url if kind == "redis" else None
    site = Site(tmp_path, url)
    with closing(site.log):
        site.upload("v1", "v2")
        first = [site.deploy(V1), site.deploy(V2)]
        with site.followed(reports=False) as (running, watched):  # a host that reports would have it refused
            if url is None:
                (site.directory.path / FILE_NAME).unlink()
            else:
                stream(request.getfixturevalue("redis"), [])
            other = RedisLog(url, name=NAME) if url else FileLog(site.directory.path / FILE_NAME, name=NAME)
            with closing(other):
                anew = [other.append(entry.percentages, expected=entry.revision - 1) for entry in first]
                anew.append(other.append(V1, expected=2))
            assert len({entry.log_id for entry in anew}) == 1
            assert anew[0].log_id != first[0].log_id
            until(lambda: (status := watched.status()) and "has lost deployments" in status.error)
            with site.followed() as (started, _):
                assert started.deployment.percentages == running.deployment.percentages == V2
        assert [entry.log_id for entry in LocalCopy(site.directory.path / COPY).load()] == [first[0].log_id] * 2


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("kind", ["file", "redis"])
def test_a_mended_word(tmp_path: Path, request: pytest.FixtureRequest, kind: str, position: int) -> None:
    """An author or a message that was mended in an old deployment makes no worker refuse the log, nor any writer."""
    url = request.getfixturevalue("redis").url if kind == "redis" else None
    site = Site(tmp_path, url)
    with closing(site.log):
        site.upload("v1", "v2")
        site.deploy(V1)
        site.deploy(SPLIT)
        with site.followed() as (running, watched):
            texts = [json.dumps(entry.as_document()) for entry in site.log.read()]
            texts[position] = json.dumps({**json.loads(texts[position]), "author": "Ada L.", "message": "mended"})
            if url is None:
                (site.directory.path / FILE_NAME).write_text("".join(f"{text}\n" for text in texts))
            else:
                records = [(f"{number}-0", {"entry": text, "writer": ""}) for number, text in enumerate(texts, 1)]
                stream(request.getfixturevalue("redis"), records)
            with site.followed() as (started, releases):
                site.deploy(V2)
                for affinity, followed in ((running, watched), (started, releases)):
                    until(lambda: affinity.deployment.percentages == V2)  # noqa: B023
                    status = followed.status()
                    assert status is not None
                    assert status.error == ""
        assert site.log.read()[position].author == "Ada L."


# --- the name ---------------------------------------------------------------------------------------------------------


def rename(directory: ReleasesDirectory, name: str) -> None:
    """Change the name in the settings, as a person does with an editor."""
    file = directory.path / "affinity.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "name": name}))


@pytest.mark.parametrize("kind", ["file", "redis"])
def test_a_changed_name(
    tmp_path: Path, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """A worker keeps its name and logs one error; new workers and commands refuse the other name, with the remedy."""
    url = request.getfixturevalue("redis").url if kind == "redis" else None
    site = Site(tmp_path, url)
    with closing(site.log):
        site.upload("v1", "v2")
        site.deploy(V1)
        with site.followed() as (affinity, _):
            site.deploy(SPLIT)
            until(lambda: affinity.deployment.percentages == SPLIT)
            until(lambda: len(LocalCopy(site.directory.path / COPY).load()) == 2)
            shares = [affinity.deployment.assign(f"user {number}") for number in range(100)]
            rename(site.directory, "shop")
            until(lambda: "was changed from 'storefront' to 'shop'" in caplog.text)
            site.deploy(V1)
            site.deploy(SPLIT)
            until(lambda: affinity.deployment.revision == 4)
            assert [affinity.deployment.assign(f"user {number}") for number in range(100)] == shares
            with pytest.raises(ConfigurationError, match=r"were made under 'storefront'.*write 'storefront' again"):
                VersionAffinity(None, Releases(site.directory.path, log=url))
            with pytest.raises(ConfigurationError, match=r"'shop'.*were made under 'storefront'"):
                open_log(site.directory.path, url)
            errors = [it for it in caplog.records if it.levelno == logging.ERROR and "was changed" in it.getMessage()]
            assert len(errors) == 1
            rename(site.directory, NAME)
            until(lambda: "can be used again" in caplog.text)
        open_log(site.directory.path, url).close()
