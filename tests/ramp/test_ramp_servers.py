"""Ramps under real servers: several workers, on one host with the file log and on two hosts with Redis, under load."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.ramp.running import RampSite
from tests.ramp.shoppers import CHUNK
from tests.releases.followed import PATH, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import gunicorn
from version_affinity.ramp.evidence import predicted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tests.servers.servers import Server
    from version_affinity.ramp.plan import Ramp

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs a system that forks"),
]

WORKERS = 2
PLAN: dict[str, Any] = {"steps": (20, 50, 100), "every": "10s", "bake": "3s"}
#: Seconds of the soak.
SOAK = float(os.environ.get("VERSION_AFFINITY_SOAK", "60"))


@dataclass
class Running:
    """Hosts that serve one site, and their users. ``outcome`` and ``history`` are those at the end."""

    sites: list[RampSite]
    servers: list[Server] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)
    history: list[Ramp] = field(default_factory=list)

    @property
    def site(self) -> RampSite:
        """The site of the first host."""
        return self.sites[0]


@contextlib.contextmanager
def running(kind: str, root: Path, *, fault: str = "", without: Collection[str] = ()) -> Iterator[Running]:
    """Serve a site by one host with the file log, or by two with Redis, under load from another process."""
    with contextlib.ExitStack() as stack:
        if kind == "file":
            made = Running([RampSite(root, without=without)])
        else:
            url = stack.enter_context(redis_server()).url
            made = Running([RampSite(root / host, url, host, without) for host in ("one", "two")])
        for site in made.sites:
            stack.callback(site.log.close)
            arguments: dict[str, Any] = {"workers": WORKERS, "factory": "tests.ramp.running:shop()"}
            server = gunicorn(site, site.root, environment={"SHOP_FAULT": fault}, **arguments)
            made.servers.append(stack.enter_context(server))
        number = WORKERS * len(made.sites)
        until(lambda: len(made.site.workers.live) == number)
        ports = [str(server.port) for server in made.servers]
        script = Path(__file__).with_name("shoppers.py")
        process = stack.enter_context(
            subprocess.Popen(
                [sys.executable, str(script), *ports],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": PATH},
            )
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield made
        made.history = made.site.history
        made.outcome.update(json.loads(process.communicate(timeout=60)[0]))
        for server in made.servers:
            assert "Traceback" not in server.log.read_text(errors="replace")


@pytest.fixture(params=["file", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    """The log."""
    return str(request.param)


def settled(made: Running) -> bool:
    """Return whether no step follows."""
    return made.site.state in ("held", "rolled_back", "completed")


def test_a_faulty_call_holds_the_ramp(kind: str, tmp_path: Path) -> None:
    """One in ten users of v2 fails: the ramp is held after about as many users as predicted, with signal and path."""
    with running(kind, tmp_path, fault="api") as made:
        made.site.ramp(**PLAN)
        until(lambda: settled(made), "the ramp is held")
    held = made.history[-1]
    assert held.state == "held"
    found = held.evidence["signals"]["app-errors"]
    assert "/api/cart" in found["examples"]
    assert held.evidence["signals"]["missing-assets"]["new"] == 0
    assert not made.outcome["failed"]
    # What is expected for a fault of 10 % lies between those of 2 % and of 20 %.
    plan = held.plan
    expected = [it.failing for it in predicted(plan, keys_per_hour=1e6, failure_rate=0.001) if it.after is not None]
    assert found["new"] + found["base"] <= 3 * max(expected) + 20


def test_rollback_brings_users_back(tmp_path: Path) -> None:
    """With --on-halt rollback all users get v1 again, and the open tabs of v2 keep their files."""
    with running("file", tmp_path, fault="api") as made:
        made.site.ramp(**PLAN, on_halt="rollback")
        until(lambda: settled(made), "the ramp is rolled back")
        assert made.site.log.read()[-1].percentages == {"v1": 100.0}
        until(lambda: {report.revision for report in made.site.workers.live} == {made.site.log.read()[-1].revision})
        before = made.site.observed().pages
        time.sleep(2.5)
        after = made.site.observed().pages
        assert after["v1"] > before["v1"]
        assert after["v2"] - before["v2"] <= 2  # those that ran
    assert made.history[-1].state == "rolled_back"
    assert not made.outcome["failed"]
    assert "files 404" not in made.outcome["counts"]


def test_a_missing_chunk_holds_the_ramp(tmp_path: Path) -> None:
    """v2 lacks a file that its pages load later."""
    with running("file", tmp_path, without=[CHUNK["v2"][1:]]) as made:
        made.site.ramp(**PLAN)
        until(lambda: settled(made), "the ramp is held")
    held = made.history[-1]
    assert held.state == "held"
    assert held.evidence["signals"]["missing-assets"]["examples"] == [CHUNK["v2"]]
    assert held.evidence["signals"]["app-errors"]["ratio"] < 1
    assert not made.outcome["failed"]


def test_a_healthy_ramp_is_completed(kind: str, tmp_path: Path) -> None:
    """v2 gets all users and bakes, beside clients that always fail, with and without cookies or a key."""
    with running(kind, tmp_path) as made:
        made.site.ramp(**{**PLAN, "every": "4s"})
        until(lambda: settled(made), "the ramp is completed")
    assert [ramp.evidence["event"] for ramp in made.history] == ["start", "step due", "step due", "bake over"]
    assert made.outcome["counts"]["monitored"] > 50
    found = made.history[-1].evidence["signals"]["app-errors"]
    assert found["new"] + found["base"] <= 3 * len(made.sites)  # of a hundred times as many failures
    assert not made.outcome["failed"]


@pytest.mark.slow
def test_ramps_under_kills(tmp_path: Path) -> None:
    """Ramps are started again and again while workers are killed: steps are in order, no file fails, memory is flat."""
    source, end = random.Random(1), time.monotonic() + SOAK
    sizes: list[int] = []
    with running("file", tmp_path) as made:
        site = made.site
        number = 0
        while time.monotonic() < end:
            number += 1
            site.ramp(steps=(20, 50, 100), every="2s", bake="1s")
            while site.state in ("running", "baking") and time.monotonic() < end:
                time.sleep(source.uniform(0.5, 1.5))
                live = site.workers.live
                if live and source.random() < 0.5:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(source.choice(live).pid, signal.SIGKILL)
                sizes.append(max((_resident(report.pid) for report in live), default=0))
            assert site.events[1:] == ["step due", "step due", "bake over"][: len(site.events) - 1]
            site.deploy({"v1": 100.0})
            until(lambda: len(site.workers.live) == WORKERS)
        history = site.log.read()
    assert number > 2
    assert [entry.revision for entry in history] == list(range(1, len(history) + 1))
    assert not made.outcome["failed"]
    assert "files 404" not in made.outcome["counts"]
    assert max(sizes[len(sizes) // 2 :]) < 1.3 * max(sizes[: len(sizes) // 2])


def _resident(process: int) -> int:
    """Return the memory of a process in pages; 0 if it has ended."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1])
    return 0
