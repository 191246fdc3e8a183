"""Ramps under real servers: several workers, on one host with the file log and on two hosts with Redis, under load."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.builds import ENTRY
from tests.harness import SCRIPT
from tests.ramp.fleet import WORKERS, fleet
from tests.ramp.shoppers import CHUNK
from tests.releases.followed import until
from version_affinity.ramp.evidence import predicted

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs a system that forks"),
]

PLAN: dict[str, Any] = {"steps": (20, 50, 100), "every": "10s", "bake": "3s"}
#: Seconds of the soak.
SOAK = float(os.environ.get("VERSION_AFFINITY_SOAK", "60"))


@pytest.fixture(params=["file", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    """The log."""
    return str(request.param)


def test_a_faulty_call_holds_the_ramp(kind: str, tmp_path: Path) -> None:
    """One in ten users of v2 fails: the ramp is held after about as many users as predicted, with signal and path."""
    with fleet(kind, tmp_path) as made:
        made.break_api()
        made.site.ramp(**PLAN)
        made.wait(made.ended, "the ramp is held")
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


def test_rollback_brings_users_back(kind: str, tmp_path: Path) -> None:
    """With --on-halt rollback all users get v1 again, and the open tabs of v2 keep their files."""
    with fleet(kind, tmp_path) as made:
        made.break_api()
        made.site.ramp(**PLAN, on_halt="rollback")
        made.wait(made.ended, "the ramp is rolled back")
        assert made.site.log.read()[-1].percentages == {"v1": 100.0}
        until(lambda: {report.revision for report in made.site.workers.live} == {made.site.log.read()[-1].revision})
        before = made.site.observed().pages
        for server in made.servers:
            for path in (ENTRY["v2"], CHUNK["v2"]):
                assert server.ask(path, SCRIPT).status == 200
        time.sleep(2.5)
        after = made.site.observed().pages
        assert after["v1"] > before["v1"]
        assert after["v2"] - before["v2"] <= 2 * len(made.sites)  # those that ran
    assert made.history[-1].state == "rolled_back"
    assert not made.outcome["failed"]
    assert "files 404" not in made.outcome["counts"]


def test_a_missing_chunk_holds_the_ramp(kind: str, tmp_path: Path) -> None:
    """v2 lacks a file that its pages load later. The check refuses it, a person overrules, and the guard finds it."""
    with fleet(kind, tmp_path, without=[CHUNK["v2"][1:]]) as made:
        plan = "ramp", "start", "v2", "--steps=50,80,100", "--every=10s", "--bake=3s", "-y"
        until(lambda: "v2" in made.site.observed().loaded)
        assert CHUNK["v2"] in made.command(*plan, code=1).stderr
        made.command(*plan, "--force")
        made.wait(made.ended, "the ramp is held")
    held = made.history[-1]
    assert held.state == "held"
    assert held.evidence["signals"]["missing-assets"]["examples"] == [CHUNK["v2"]]
    assert held.evidence["signals"]["app-errors"]["ratio"] < 1
    assert not made.outcome["failed"]


def test_a_healthy_ramp_is_completed(kind: str, tmp_path: Path) -> None:
    """v2 gets all users and bakes, beside clients that always fail, with and without cookies or a key.

    Each step waits for 300 new users of v2. With so many, a wrong share would hold the ramp.
    """
    with fleet(kind, tmp_path) as made:
        made.site.ramp(steps=(50, 80, 100), every="4s", bake="3s", min_keys=300)
        made.wait(made.ended, "the ramp is completed")
    assert [ramp.evidence["event"] for ramp in made.history] == ["start", "step due", "step due", "bake over"]
    assert made.outcome["counts"]["monitored"] > 50
    found = made.history[-1].evidence["signals"]["app-errors"]
    assert found["new"] + found["base"] <= 3 * len(made.sites)  # of a hundred times as many failures
    assert not made.outcome["failed"]


PINS_ALL = """proxy_set_header Cloudflare-Workers-Version-Overrides 'storefront="v1"';"""


@pytest.mark.parametrize(
    ("environments", "front"),
    [([{"SHOP_KEY": "everyone"}], ""), ([{}], PINS_ALL)],
    ids=["one key", "an override for all"],
)
def test_a_setup_that_brings_no_new_users_takes_no_step(
    tmp_path: Path, environments: list[dict[str, str]], front: str
) -> None:
    """All users share a key, or a proxy sets an override for all: --min-keys takes no step, and the status says it."""
    with fleet("file", tmp_path, environments=environments, front=front) as made:
        made.site.ramp(steps=(50, 100), every="2s", min_keys=5)
        made.wait(lambda: sum(made.site.observed().pages.values()) > 300, "there are many pages")
        made.wait(lambda: "It waits for new users of v2" in made.command("ramp", "status").stdout, "the step is due")
    assert [ramp.evidence["event"] for ramp in made.history] == ["start"]


def test_a_fault_after_the_last_step_is_found_by_the_bake(tmp_path: Path) -> None:
    """v2 is healthy until all users have it, and fails from then on."""
    with fleet("file", tmp_path) as made:
        made.site.ramp(steps=(50, 100), every="5s", bake="1m")
        made.wait(lambda: made.site.state == "baking", "the ramp bakes")
        made.break_api(one_in=1)
        made.wait(made.ended, "the ramp is held")
    held = made.history[-1]
    assert (held.state, held.percentage, held.evidence["event"]) == ("held", 100, "halt: hold")
    assert held.evidence["signals"]["app-errors"]["ratio"] >= 1
    assert "/api/cart" in held.evidence["signals"]["app-errors"]["examples"]
    assert not made.outcome["failed"]


@pytest.mark.slow
def test_ramps_under_kills(tmp_path: Path) -> None:
    """Ramps are started again and again while workers are killed: steps are in order, no file fails, memory is flat."""
    source, end = random.Random(1), time.monotonic() + SOAK
    sizes: list[int] = []
    with fleet("file", tmp_path) as made:
        site = made.site
        number = 0
        while time.monotonic() < end:
            number += 1
            site.ramp(steps=(50, 80, 100), every="2s", bake="1s")
            while site.state in ("running", "baking") and time.monotonic() < end:
                time.sleep(source.uniform(0.5, 1.5))
                live = site.workers.live
                if live and source.random() < 0.5:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(source.choice(live).pid, signal.SIGKILL)
                elif source.random() < 0.1:
                    made.kill_workers()
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
