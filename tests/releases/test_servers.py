"""Releases under real servers: every worker follows, however the server makes its workers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builds import ENTRY
from tests.harness import NAVIGATION, SCRIPT, missing
from tests.releases.followed import PATH, Site, until
from tests.releases.site_servers import workers
from tests.servers.servers import HOST, Server, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.servers

WORKERS = 2
V1, V2 = {"v1": 100.0}, {"v2": 100.0}

GUNICORN = ("-m", "gunicorn", f"--workers={WORKERS}", "--bind={host}:{port}", "tests.releases.followed:site()")
UWSGI_APP = "--module=tests.releases.followed:site()"
UWSGI = ("--http-socket={host}:{port}", "--master", "--need-app", UWSGI_APP, "--die-on-term")
#: By name: the modules that it needs, the number of its processes, and the command.
SERVERS: dict[str, tuple[tuple[str, ...], int, tuple[str, ...]]] = {
    "gunicorn sync": (("gunicorn",), WORKERS, GUNICORN),
    "gunicorn preload": (("gunicorn",), WORKERS, (*GUNICORN, "--preload")),
    "gunicorn gthread": (("gunicorn",), WORKERS, (*GUNICORN, "--worker-class=gthread", "--threads=4")),
    "gunicorn gthread preload": (("gunicorn",), WORKERS, (*GUNICORN, "--worker-class=gthread", "--preload")),
    "gunicorn gevent": (("gunicorn", "gevent"), WORKERS, (*GUNICORN, "--worker-class=gevent")),
    "gunicorn gevent preload": (("gunicorn", "gevent"), WORKERS, (*GUNICORN, "--worker-class=gevent", "--preload")),
    "granian": (
        ("granian",),
        WORKERS,
        (
            *("-m", "granian", f"--workers={WORKERS}", "--interface=wsgi", "--host={host}", "--port={port}"),
            *("--factory", "tests.releases.followed:site"),
        ),
    ),
    "waitress": (
        ("waitress",),
        1,
        ("-m", "waitress", "--listen={host}:{port}", "--call", "tests.releases.followed:site"),
    ),
    "uwsgi": ((), WORKERS, ("uwsgi", *UWSGI, f"--processes={WORKERS}", "--enable-threads")),
    "uwsgi alone": ((), 1, ("uwsgi", *(word for word in UWSGI if word != "--master"), "--enable-threads")),
    "uwsgi threads": ((), WORKERS, ("uwsgi", *UWSGI, f"--processes={WORKERS}", "--threads=2")),
    "uwsgi lazy": ((), WORKERS, ("uwsgi", *UWSGI, f"--processes={WORKERS}", "--enable-threads", "--lazy-apps")),
}


def command(name: str, port: int) -> list[str]:
    """Return the command of a server; its test is skipped where the server is not installed."""
    modules, _, words = SERVERS[name]
    for module in modules:
        if importlib.util.find_spec(module) is None:
            missing(module, "it comes with the extra 'test'")
    words = tuple(word.format(host=HOST, port=port) for word in words)
    if words[0] != "uwsgi":
        return [sys.executable, *words]
    uwsgi = shutil.which("uwsgi", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    if uwsgi is None:
        missing("uwsgi", "pip install uwsgi, in any environment on the PATH")
    return [str(uwsgi), f"--home={sys.prefix}", *words[1:]]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed."""
    made = Site(tmp_path)
    made.upload("v1")
    made.deploy(V1)
    return made


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> Iterator[tuple[Server, int]]:
    """The site under each server, and how many processes answer."""
    port = free_port()
    environment = {**site.environment, "PYTHONPATH": PATH}
    with running(command(request.param, port), port, tmp_path / "server.log", environment) as started:
        workers(started, SERVERS[request.param][1])  # each has begun
        yield started, SERVERS[request.param][1]
    written = started.log.read_text(errors="replace")
    sys.stderr.write(written)
    assert "Traceback" not in written


def test_every_worker_follows(server: tuple[Server, int], site: Site) -> None:
    """An upload, a deployment and a rollback reach every worker, and none of its requests fails."""
    running_server, number = server
    assert {told["revision"] for told in workers(*server).values()} == {1}

    site.upload("v2")
    until(lambda: all("v2" in told["versions"] for told in workers(*server).values()))
    assert running_server.ask(ENTRY["v2"], SCRIPT).status == 200
    assert running_server.ask("/assets/index-AAAAAAAA.js", SCRIPT).status == 404
    for revision, shares in ((2, V2), (3, V1)):
        site.deploy(shares)
        until(lambda: {told["serving"] for told in workers(*server).values()} == {revision})  # noqa: B023
        pages = {running_server.ask("/", NAVIGATION).body[-2:].decode() for _ in range(4 * number)}
        assert pages == shares.keys()
    assert {told["error"] for told in workers(*server).values()} == {""}


def test_uwsgi_without_threads_says_so(site: Site, tmp_path: Path) -> None:
    """Where the server lets no thread run, its log says what to start it with; requests are answered all the same."""
    port = free_port()
    words = [word for word in command("uwsgi", port) if word != "--enable-threads"]
    environment = {**site.environment, "PYTHONPATH": PATH}
    with running(words, port, tmp_path / "server.log", environment) as started:
        assert started.ask("/", NAVIGATION).status == 200
        assert started.ask(ENTRY["v2"], SCRIPT).status == 404
    assert "start it with --enable-threads" in started.log.read_text()
