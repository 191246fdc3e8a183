"""The guard of a ramp in workers: who writes which entry, and what it does while the log or the reports are away."""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.builds import SPLIT
from tests.harness import client
from tests.ramp.running import QUICK, STILL, RampSite, came_back, failing_api
from tests.releases.followed import until
from version_affinity.ramp import next_entry
from version_affinity.ramp.plan import Ramp
from version_affinity.releases.follow import guard
from version_affinity.releases.log.entries import LogUnavailableError
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.reports.files import FileReports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site(tmp_path: Path) -> RampSite:
    """A site that can start a ramp."""
    return RampSite(tmp_path)


@contextlib.contextmanager
def workers(site: RampSite, number: int = 3, **options: Any) -> Iterator[list[Any]]:
    """Follow the site with several workers, as far as one process can be several."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(site.followed(failing_api, **options))[0] for _ in range(number)]


@contextlib.contextmanager
def looks() -> Iterator[list[str]]:
    """Note the state of the ramp as each worker's guard finds it, at each look within the block."""
    found: list[str] = []

    def look(entries: Any, *arguments: Any) -> Any:
        found.append(Ramp.from_json(entries[-1].ramp).state)
        return next_entry.look(entries, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guard, "look", look)
        yield found


def fail(affinity: Any, buckets: range) -> None:
    """Let browsers fail that have a page."""
    for bucket in buckets:
        client(affinity).get("/api/cart?500", headers=came_back("v1", str(bucket)))


def test_a_healthy_ramp_is_completed(site: RampSite, caplog: pytest.LogCaptureFixture) -> None:
    """Each step is written once, by one of the workers, and is logged by that one."""
    caplog.set_level(logging.INFO, logger="version_affinity")
    with workers(site):
        site.ramp(**QUICK)
        until(lambda: site.state == "completed")
        until(lambda: {report.revision for report in site.workers.live} == {site.log.read()[-1].revision})
    assert site.events == ["start", "step due", "step due", "bake over"]
    assert [dict(entry.percentages).get("v2") for entry in site.log.read()] == [None, 20, 50, 100, 100]
    written = [record.getMessage() for record in caplog.records if record.getMessage().startswith("wrote revision")]
    assert [line.split(":")[0] for line in written] == ["wrote revision 3", "wrote revision 4", "wrote revision 5"]


@pytest.mark.slow
def test_a_process_that_only_observes_writes_nothing(site: RampSite) -> None:
    """A process without reports of its own leaves the ramp to the workers."""
    with workers(site, 1):
        site.ramp(**{**QUICK, "every": "2s"})
        with site.followed(failing_api, reports=False):
            pass
    events = site.events
    with site.followed(failing_api, reports=False):
        time.sleep(4)
    assert site.events == events


def test_a_failing_version_is_held(site: RampSite, caplog: pytest.LogCaptureFixture) -> None:
    """Users of v2 who fail hold the ramp. The entry names the signal and the paths; a person may go on."""
    with workers(site) as affinities:
        site.ramp(**{**STILL, "every": "15s"})
        until(lambda: all(affinity.deployment.percentages == SPLIT for affinity in affinities))
        assign = affinities[0].deployment.assign
        buckets = [bucket for bucket in range(200) if assign(f"bucket:{bucket}") == "v2"]
        for bucket in buckets[:40]:
            fail(affinities[bucket % 3], range(bucket, bucket + 1))
        until(lambda: site.state == "held")
        held = site.history[-1]
        signal = held.evidence["signals"]["app-errors"]
        assert (signal["base"], signal["examples"]) == (0, ["/api/cart"])
        assert 5 <= signal["new"] <= 40  # those that were reported by then
        assert held.evidence["verdict"] == "failing"
        until(lambda: [it for it in caplog.records if it.levelno == logging.WARNING and "halt: hold" in it.message])
        site.command("resume")
        with looks() as looked:
            until(lambda: "running" in looked[6:])  # two of each worker
        assert site.state == "running"


@pytest.mark.slow
def test_a_warning_does_not_begin_the_step_anew(site: RampSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that fails on and on takes its steps; each worker counts a step's time from when the step arrived."""
    arrived: dict[int, set[Any]] = {}

    def look(entries: Any, observed: Any, now: Any) -> Any:
        arrived.setdefault(Ramp.from_json(entries[-1].ramp).step, set()).add(observed.arrived)
        return next_entry.look(entries, observed, now)

    monkeypatch.setattr(guard, "look", look)
    with workers(site, 1) as (affinity,):
        site.ramp(steps=(40, 50, 100), every="4s", bake="0s", on_halt="warn")
        for bucket in itertools.count():
            if site.state == "completed":
                break
            if affinity.deployment.assign(f"bucket:{bucket}") == "v2":
                fail(affinity, range(bucket, bucket + 1))
            time.sleep(0.005)
    assert [event for event in site.events if event != "halt: warn"] == ["start", "step due", "step due"]
    assert 1 <= site.events.count("halt: warn") <= 2
    assert [len(arrived[step]) for step in (1, 2)] == [1, 1]


@pytest.mark.slow
def test_made_up_units_can_hold_a_ramp_and_nothing_else(site: RampSite) -> None:
    """A client that makes up cookies holds the ramp. By default nobody loses a version, and a person goes on."""
    with workers(site, 1) as (affinity,):
        site.ramp(**{**STILL, "every": "15s"})
        until(lambda: affinity.deployment.percentages == SPLIT)
        fail(affinity, range(400))  # at random, it proves nothing
        until(lambda: len(site.observed_failing()) > 390)  # a few have the same hash
        with looks() as looked:
            until(lambda: len(looked) > 1)
        assert site.state == "running"
        assign = affinity.deployment.assign
        for bucket in range(5000, 6000):
            if assign(f"bucket:{bucket}") == "v2":  # it knows the name and the percentages
                fail(affinity, range(bucket, bucket + 1))
        until(lambda: site.state == "held")
        assert affinity.deployment.percentages == SPLIT
        site.command("advance")
        until(lambda: affinity.deployment.percentages == {"v2": 100.0, "v1": 0.0})


@pytest.mark.slow
def test_a_client_that_always_fails_halts_nothing(site: RampSite) -> None:
    """One failing user counts once in a ramp, however often it asks and whichever version it is moved to."""
    with workers(site, 1) as (affinity,):
        site.ramp(**{**QUICK, "every": "2s"})
        while site.state not in ("completed", "held"):
            client(affinity).get("/api/health?500", headers=came_back("v1", "77"))
            client(affinity).get("/api/health?500")
            time.sleep(0.01)
    assert site.state == "completed"
    assert sum(site.history[-1].evidence["signals"]["app-errors"][side] for side in ("new", "base")) == 1


@pytest.mark.slow
def test_a_log_that_cannot_be_written(
    site: RampSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a full disk nothing is stepped; it is said once, and the step is taken when there is room."""
    append, full = FileLog.append, True

    def refuse(self: FileLog, *arguments: Any, **options: Any) -> Any:
        if full and options["details"].author == "ramp":
            raise LogUnavailableError("no space left")
        return append(self, *arguments, **options)

    monkeypatch.setattr(FileLog, "append", refuse)
    with workers(site, 1):
        site.ramp(**{**QUICK, "steps": (20, 100)})
        until(lambda: "cannot be written, and is tried again: no space left" in caplog.text)
        time.sleep(2.5)
        assert site.events == ["start"]
        assert caplog.text.count("no space left") == 1
        full = False
        until(lambda: site.state == "completed")
    assert site.events == ["start", "step due", "bake over"]


def test_reports_that_stop_hold_the_ramp(
    site: RampSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Reports that cannot be read are unknown, not failures: after a while the ramp is held, and not rolled back."""
    read, away = FileReports.read, False

    def fail_to_read(self: FileReports) -> Any:
        if away:
            raise LogUnavailableError("the disk is away")
        return read(self)

    monkeypatch.setattr(FileReports, "read", fail_to_read)
    with workers(site, 1) as (affinity,):
        site.ramp(**{**STILL, "every": "20s", "on_halt": "rollback"})
        until(lambda: affinity.deployment.percentages == SPLIT)
        away = True
        until(lambda: "cannot read the worker reports: the disk is away" in caplog.text)
        monkeypatch.setattr(guard.time, "monotonic", lambda start=time.monotonic: start() + 70)
        until(lambda: site.state == "held")
    assert site.history[-1].evidence["verdict"] == "unknown"
    assert caplog.text.count("the disk is away") == 1


def test_a_step_waits_for_all_workers(site: RampSite, caplog: pytest.LogCaptureFixture) -> None:
    """No step is taken while a worker does not serve the one before. Each step's writer logs who serves it."""
    caplog.set_level(logging.INFO, logger="version_affinity")
    with workers(site, 2):
        site.other_host()
        site.ramp(**{**QUICK, "steps": (20, 100)})
        until(lambda: len([it for it in site.workers.live if it.revision == 2]) == 2)
        time.sleep(3)
        assert site.events == ["start"]
        for revision in (2, 3, 4):
            site.other_host(revision=revision, log_revision=revision)
            until(lambda: site.log.read()[-1].revision > revision or site.state == "completed")  # noqa: B023
        until(lambda: "3 of 3 workers on 2 hosts serve revision 3" in caplog.text)
        until(lambda: "3 of 3 workers on 2 hosts serve revision 4" in caplog.text)
    assert site.events == ["start", "step due", "bake over"]
    assert caplog.text.count("serve revision 3") == 1


@pytest.mark.slow
def test_no_step_is_written_to_a_log_that_lacks_deployments(site: RampSite) -> None:
    """Where a worker has read more than the log has, the log was replaced by an older copy: it takes no other steps."""
    with workers(site, 1):
        site.other_host(revision=9, log_revision=9)
        site.ramp(**QUICK)
        time.sleep(4)
        assert site.events == ["start"]
        site.other_host(revision=2, log_revision=2)
        until(lambda: site.history[-1].step == 2)


@pytest.mark.slow
def test_the_share_of_new_users_counts_once_all_workers_follow(site: RampSite) -> None:
    """Those who came to a worker that did not serve the step yet prove nothing; those who come later do."""
    with workers(site, 1):
        site.other_host()
        site.ramp(**{**STILL, "every": "15s"})
        time.sleep(2.5)  # until the guard has looked
        for revision in (1, 2):
            site.other_host(revision=revision, log_revision=2, counts={"new_keys|v1": 1000})
            time.sleep(2.5)
            assert site.state == "running"
        site.other_host(revision=2, log_revision=2, counts={"new_keys|v1": 2000})
        until(lambda: site.state == "held")
    assert site.events == ["start", "share mismatch"]
    assert site.log.read()[-1].message.endswith(f"0 of 1000 new users have v2, at 50 %{next_entry.WAYS_OUT}")


@pytest.mark.slow
def test_a_worker_that_stays_behind_holds_the_ramp(
    site: RampSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The ramp does not hang silently: the log says who does not follow a step, and later the ramp is held."""
    monkeypatch.setattr(next_entry, "UNKNOWN_LOOKS", -57)  # after 3 seconds instead of 64
    monkeypatch.setattr(guard, "FOLLOWED", 2.0)
    lags = "web-2, process 7: it has read revision 1 so far"
    with workers(site, 2):
        site.other_host(revision=2, log_revision=2)
        site.ramp(**{**QUICK, "every": "2s"})
        until(lambda: site.history[-1].step == 2)
        site.other_host()
        until(lambda: f"2 of 3 workers on 2 hosts serve revision 3: {lags}" in caplog.text)
        until(lambda: site.state == "held")
        assert site.events == ["start", "step due", "workers behind"]
        assert site.log.read()[-1].message.endswith(f"{lags}{next_entry.WAYS_OUT}")


@pytest.mark.slow
def test_a_person_ends_the_ramp(site: RampSite) -> None:
    """After a deployment that a person made, no worker writes anything."""
    with workers(site, 2):
        site.ramp(**{**QUICK, "every": "3s"})
        site.deploy({"v1": 90.0, "v2": 10.0})
        time.sleep(5)
    assert len(site.log.read()) == 3
