"""Releases under real servers: every worker follows, however the server makes its workers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import ENTRY
from tests.harness import NAVIGATION, SCRIPT, missing
from tests.releases.followed import PATH, Site, until
from tests.releases.site_servers import gunicorn, workers
from tests.servers.servers import HOST, Server, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.servers import Answer

pytestmark = pytest.mark.servers

WORKERS = 2
V1, V2 = {"v1": 100.0}, {"v2": 100.0}

GUNICORN = ("-m", "gunicorn", f"--workers={WORKERS}", "--bind={host}:{port}", "tests.releases.followed:site()")
UWSGI_APP = "--module=tests.releases.followed:site()"
UWSGI = ("--http-socket={host}:{port}", "--master", "--need-app", UWSGI_APP, "--die-on-term")
#: The servers whose workers are ended by SIGTERM without a word.
ABRUPT = ("granian", "waitress")
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


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses of all answers that this process gets from servers."""
    statuses: list[int] = []
    ask = Server.ask

    def noted(self: Server, *arguments: Any, **options: Any) -> Answer:
        answer = ask(self, *arguments, **options)
        statuses.append(answer.status)
        return answer

    monkeypatch.setattr(Server, "ask", noted)
    return statuses


def requests(site: Site) -> int:
    """Return how many requests all workers have reported."""
    return sum(number for key, number in site.workers.counts.items() if key.startswith("requests|"))


@pytest.mark.parametrize("name", SERVERS)
def test_every_worker_reports(name: str, site: Site, tmp_path: Path, answers: list[int]) -> None:
    """Each process that serves reports, and no other; all requests are counted, also the last ones before the end."""
    port = free_port()
    environment = {**site.environment, "PYTHONPATH": PATH}
    with running(command(name, port), port, tmp_path / "server.log", environment) as started:
        pids = set(workers(started, SERVERS[name][1]))
        until(lambda: {report.pid for report in site.workers.live} == pids)
        assert {report.revision for report in site.workers.live} == {1}
        until(lambda: requests(site) == len(answers))
        before = len(answers)
        for _ in range(10):
            started.ask("/", NAVIGATION)
        if name in ABRUPT:
            until(lambda: requests(site) == len(answers))
        time.sleep(0.1)  # uWSGI ends a worker without a word that is still at the end of a request
        os.kill(os.getpgid(next(iter(pids))), signal.SIGTERM)  # the first process, which ends the others
        until(lambda: site.workers.live == ())
        assert len(answers) == before + 10
        assert requests(site) == len(answers)


def test_workers_that_come_and_go(site: Site, tmp_path: Path, answers: list[int]) -> None:
    """A server that replaces its workers every few requests has the current ones in the reports, and lost no count."""
    with gunicorn(site, tmp_path, "--worker-class=sync", "--threads=1", "--max-requests=7", workers=WORKERS) as server:
        for _ in range(60):
            server.ask("/", NAVIGATION)
        until(lambda: len(site.workers.live) == WORKERS)
        until(lambda: requests(site) == len(answers))
        (victim, *_) = site.workers.live
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: victim.process not in {report.process for report in site.workers.live})
        assert requests(site) == len(answers)
    assert requests(site) == len(answers)


def test_uwsgi_without_threads_says_so(site: Site, tmp_path: Path) -> None:
    """Where the server lets no thread run, its log says what to start it with; requests are answered all the same."""
    port = free_port()
    words = [word for word in command("uwsgi", port) if word != "--enable-threads"]
    environment = {**site.environment, "PYTHONPATH": PATH}
    with running(words, port, tmp_path / "server.log", environment) as started:
        assert started.ask("/", NAVIGATION).status == 200
        assert started.ask(ENTRY["v2"], SCRIPT).status == 404
    assert "start it with --enable-threads" in started.log.read_text()
