"""A rollout by the command line under load, while workers are killed: what the commands print and count is true."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import Site, ran
from tests.releases.followed import PATH, until
from tests.servers.servers import HOST, free_port, running
from version_affinity.releases.releases import open_log, open_reports
from version_affinity.releases.reports.hours import last_day
from version_affinity.releases.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.servers import Server
    from version_affinity.releases.reports.report import Workers

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs a system that forks"),
]

WORKERS, BROWSERS = 4, 4
#: Seconds of load between two kills.
LOAD = 1.5
#: Tenths of a second whose counts a killed worker may not have reported: a report per second, a look, a busy machine.
UNREPORTED = 25
#: The kinds of requests that the load makes; a server's start makes others.
KINDS = ("page", "subresource", "asset")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 to v2 uploaded, of which v1 is deployed."""
    made = Site(tmp_path)
    made.upload("v1", "v2")
    assert "No worker reports: no application follows this directory" in command(made, "versions deploy v1@100% -y")
    return made


@pytest.fixture
def server(site: Site, tmp_path: Path) -> Iterator[Server]:
    """The site under gunicorn, with workers that have all begun."""
    port = free_port()
    words = ["-m", "gunicorn", f"--workers={WORKERS}", "--worker-class=gthread", "--threads=2"]
    words = [sys.executable, *words, f"--bind={HOST}:{port}", "tests.releases.counting:site()"]
    environment = {"VERSION_AFFINITY_RELEASES": str(site.path), "PYTHONPATH": PATH}
    with running(words, port, tmp_path / "gunicorn.log", environment) as started:
        until(lambda: len(workers(site).live) == WORKERS, "all workers have begun")
        yield started
    assert "Traceback" not in started.log.read_text(errors="replace")


class Load:
    """The load of another process (``counting.py``)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, word: str) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def counted(self, word: str = "pause") -> tuple[Counter[str], Counter[int]]:
        """Let it pause, or end; return what it has counted, and when it has sent how many requests."""
        self.say(word)
        assert self._process.stdout is not None
        told = json.loads(self._process.stdout.readline())
        return Counter(told["counts"]), Counter({int(at): number for at, number in told["times"].items()})


@contextlib.contextmanager
def load(server: Server) -> Iterator[Load]:
    """Run the load until the block ends."""
    script = Path(__file__).with_name("counting.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(server.port), str(BROWSERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Load(process)
        finally:
            process.kill()


def command(site: Site, line: str, code: int = 0) -> str:
    """Run a command, check its exit code, and return what it prints."""
    done = ran(site.root, *line.split(), code=code)
    return done.stdout + done.stderr


def workers(site: Site) -> Workers:
    """Return what the workers report."""
    return open_reports(site.directory, open_log(site.directory)).read()


def reported(site: Site) -> Counter[str]:
    """Return what all workers have counted of the load, without reasons."""
    found = Counter[str]()
    for key, number in workers(site).counts.items():
        family, *labels = key.split("|")
        if family in ("app", "missing", "new_keys"):
            found[key] += number
        elif family == "requests" and labels[1] in KINDS:
            found["|".join((family, *labels[:3]))] += number
    return found


def check_reported(site: Site, counts: Counter[str], patience: float = 0) -> None:
    """Check that all that was counted is reported, and nothing else, after some seconds at most."""
    end = time.monotonic() + patience
    while (found := reported(site)) != counts and time.monotonic() < end:
        time.sleep(0.05)
    assert {key: (found[key], counts[key]) for key in found | counts if found[key] != counts[key]} == {}
    now = workers(site)
    pages = sum(number for key, number in now.counts.items() if key.startswith("requests|") and "|page|" in key)
    assert last_day(now.counts, now.since, utc_now())[0].pages == pages


def kill_one(site: Site, turn: int) -> float:
    """Kill a worker; return when."""
    live = workers(site).live
    os.kill(live[turn % len(live)].pid, signal.SIGKILL)
    return time.time()


def test_sums_are_exact(site: Site, server: Server) -> None:
    """The sums over all workers are what the load got, per version and class, whoever was killed after a report."""
    steps = ("v2@10% --rest", "v2@50% --rest", "v1@0% --rest")
    with load(server) as generator:
        for turn, shares in enumerate(steps, 2):
            until(lambda: len(workers(site).live) == WORKERS, "all workers are back")
            generator.say("go")
            shown = command(site, f"versions deploy {shares} -y")
            assert f"Deployed revision {turn}.\n{WORKERS} of {WORKERS} workers serve revision {turn}.\n" in shown
            time.sleep(LOAD)
            counts, _ = generator.counted()
            assert counts["unanswered"] == 0
            check_reported(site, counts, patience=10)
            kill_one(site, turn)
            time.sleep(0.5)
            check_reported(site, counts)
        counts, _ = generator.counted("end")
    check_reported(site, counts)
    assert {key.split("|")[1] for key in counts if "|" in key} == {"v1", "v2"}
    assert all(counts[f"{key}|{version}"] for key in ("missing", "new_keys") for version in ("v1", "v2"))
    assert all(counts[f"app|{version}|{status}"] for version in ("v1", "v2") for status in ("2xx", "4xx", "5xx"))
    told = json.loads(command(site, "deployments status --json"))
    assert [(it["id"], it["percentage"], it["observed"]) for it in told["versions"]] == [
        ("v1", 0.0, None),
        ("v2", 100.0, None),
    ]


def test_kills_under_load(site: Site, server: Server) -> None:
    """A worker that is killed under load takes no more with it than what was counted since its last report."""
    killed: list[float] = []
    with load(server) as generator:
        generator.say("go")
        for turn, share in enumerate((10, 30, 50), 2):
            shown = command(site, f"versions deploy v2@{share}% --rest -y")
            assert re.search(rf"\n(\d) of \1 workers? serves? revision {turn}\.\n", shown)
            time.sleep(2 * LOAD)
            killed.append(kill_one(site, turn))
            time.sleep(LOAD)
        counts, times = generator.counted("end")
    until(lambda: all(it.revision == turn for it in workers(site).live), "all follow")
    time.sleep(UNREPORTED / 10)  # the last report of each
    found, unanswered = reported(site), counts.pop("unanswered", 0)
    lost = sum(number for at, number in times.items() if any(0 <= 10 * then - at <= UNREPORTED + 1 for then in killed))
    assert unanswered <= BROWSERS * len(killed)
    assert all(number - found[key] <= lost for key, number in counts.items())
    assert all(number - counts[key] <= unanswered for key, number in found.items())
    requests = [sum(number for key, number in it.items() if key.startswith("requests|")) for it in (counts, found)]
    assert requests[0] - lost <= requests[1] <= requests[0] + unanswered
    assert lost < requests[0] / 2  # so that the bound says something


def test_a_broken_version(site: Site, server: Server) -> None:
    """A build without a page cannot be loaded by the workers of a single-page application: it is refused, with why."""
    broken = site.build("v3")
    (broken / "index.html").unlink()
    command(site, f"versions upload {broken} --id v3")
    told = command(site, "versions deploy v3@10% --rest -y", 1)
    assert "nothing is deployed (--force overrules this):\n  - no worker can load v3: " in told
    assert "/index.html" in told
    assert site.percentages == [{"v1": 100.0}]
    told = command(site, "versions deploy v3@10% --rest -y --force --wait 5")
    assert f"{WORKERS} of {WORKERS} workers do not serve it:\n" in told
    assert "it cannot load v3: " in told
    assert server.ask("/").body.endswith(b"<p>v1")
