"""``ramp``: start, status and the commands of a person, against workers that follow in this process."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commanding import run
from tests.harness import NAVIGATION, client
from tests.ramp.running import STILL as QUIET
from tests.ramp.running import RampSite, came_back, failing_api
from tests.releases.followed import until
from version_affinity.ramp.next_entry import look
from version_affinity.releases.follow.guard import observed
from version_affinity.releases.times import format_time, parse_time, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

STILL = ("--steps", "50,100", "--every", "1d")


class Operated(RampSite):
    """A site, and the commands of an operator."""

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run a command."""
        return run("--releases", str(self.directory.path), *arguments, code=code)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command, and return the JSON that it prints."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def start(self, *arguments: str) -> Result:
        """Start a ramp to v2 that steps once a day."""
        return self.run("ramp", "start", "v2", *STILL, "-y", *arguments)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Operated]:
    """A site with two workers."""
    made = Operated(tmp_path)
    with made.followed(failing_api), made.followed(failing_api):
        yield made


def test_start_waits_for_the_workers(site: Operated) -> None:
    """The first step is deployed, all workers serve it, and the command says what comes next."""
    shown = site.start("-m", "New checkout").stdout
    assert "50 % of the users move" in shown
    assert "Deployed revision 2" in shown
    entry = site.log.read()[-1]
    assert entry.author == "ada"
    assert entry.message == "ramp-2: start, step 1 of 2, v2 at 50 %: New checkout"
    assert site.history[-1].plan.to_json() == {
        "version": "v2",
        "steps": [50, 100],
        "every": "1d",
        "bake": "30m",
        "min_keys": 0,
        "alpha": 0.05,
        "guard": ["app-errors", "missing-assets"],
        "approve_at": [],
        "on_halt": "hold",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("v2", "--steps", "5,1"), 2, "the step to 1 % follows the one to 5 %"),
        (("v2", "--steps", "0,5"), 2, "a step of 0.0 % gives the version to no user"),
        (("v2", "--steps", "a,5"), 2, "is not a list of percentages"),
        (("v2", "--every", "0s"), 2, "is not a time from one second"),
        (("v2", "--every", "soon"), 2, "is not a duration"),
        (("v2", "--guard", "cpu"), 2, "the guard knows no signal 'cpu'"),
        (("v2", "--alpha", "2"), 2, "is not a probability"),
        (("v2", "--approve-each", "--approve-at", "50"), 2, "exclude each other"),
        (("v2", "--approve-at", "33"), 2, "33 % needs approval and is not a later step"),
        (("v9",), 1, "v9 is not uploaded"),
        (("v1",), 1, "v1 has 100 % already"),
        (("v2",), 1, "there is no terminal. Pass -y to confirm"),
        (("v2", "--expect", "7", "-y"), 1, "the current revision is 1"),
    ],
)
def test_plans_that_cannot_be(site: Operated, arguments: tuple[str, ...], code: int, expected: str) -> None:
    """A wrong plan is refused with the reason, and nothing is deployed."""
    assert expected in " ".join(site.run("ramp", "start", *arguments, code=code).stderr.split())
    assert len(site.log.read()) == 1


def test_no_reports_no_ramp(tmp_path: Path) -> None:
    """Without a worker that reports, the guard would see nothing."""
    assert "no worker reports" in Operated(tmp_path).run("ramp", "start", "v2", "-y", code=1).stderr


def test_another_ramp_goes_on(site: Operated) -> None:
    """One ramp at a time."""
    site.start()
    assert (
        "ramp-2 is running: end it first (ramp abort or ramp promote)"
        in site.run("ramp", "start", "v2", "-y", code=1).stderr
    )


def test_dry_run(site: Operated) -> None:
    """The steps have times, and the prediction says what it is based on. Nothing is deployed."""
    arguments = ("ramp", "start", "v2", "--dry-run", "--approve-at", "50", "--min-keys", "100")
    unknown = site.run(*arguments).stdout
    assert "Unknown: the workers have counted no traffic yet" in unknown
    assert site.json(*arguments)["prediction"] is None
    site.run("versions", "deploy", "v1@90", "v2", "-y")
    with site.followed(failing_api) as (affinity, _):
        for _ in range(50):
            client(affinity).get("/", headers=NAVIGATION)
        until(lambda: sum(site.observed().new_keys.values()) >= 50)
    # What a worker has counted that has ended counts too.
    shown = site.run(*arguments, "--steps", "20,50,100").stdout
    assert re.search(r"  2 +50 % +\d\d-\d\d \d\d:\d\d, in 15m ", shown)
    assert [line.split()[:3] for line in shown.splitlines() if line.strip()[:1].isdigit() and " % " in line][:3] == [
        *(["1", "20", "%"], ["2", "50", "%"], ["3", "100", "%"])
    ]
    assert "after an approval, with 100 new users before" in shown
    assert "after 30m at 100 %" in shown
    assert "  Based on 1m: 50 new users.\n  The workers have not counted for longer.\n" in shown
    assert "  0.2 % of the users fail anyway.\n" in shown
    assert "100 % of its users" in shown
    assert "Nothing is deployed: this was a dry run." in shown
    found = site.json(*arguments, "--steps", "20,50,100")
    assert [(it["percentage"], it["needs_approval"]) for it in found["steps"]] == [
        (20, False),
        (50, True),
        (100, False),
    ]
    first, second, _ = (parse_time(it["at"]) for it in found["steps"])
    assert second - first == timedelta(minutes=15)
    assert found["prediction"]["failure_rate"] == 0.002
    assert [it["hits"] for it in found["prediction"]["faults"]] == [0.02, 0.2, 1.0]
    assert found["prediction"]["faults"][2]["found_after"] > 0
    assert len(site.log.read()) == 2


def test_notices(site: Operated) -> None:
    """The plan carries where notices go, and no JSON shows it; what cannot be used is an error of usage."""
    assert "is not an http" in site.run("ramp", "start", "v2", "--webhook", "hook", code=2).stderr
    assert "cannot be split" in site.run("ramp", "start", "v2", "--exec", "run 'it", code=2).stderr
    site.start("--webhook", "http://127.0.0.1:9/hook", "--exec", "true")
    assert site.history[-1].plan.other == {"webhook": "http://127.0.0.1:9/hook", "exec": "true"}
    documents = [
        site.json("ramp", "status"),
        site.json("deployments", "list")[0]["ramp"],
        site.json("deployments", "view", "2")["ramp"],
        site.json("deployments", "status")["ramp"],
        site.json("ramp", "pause")["entry"]["ramp"],
    ]
    assert {tuple(sorted({"version", "webhook", "exec"} & it["plan"].keys())) for it in documents} == {("version",)}


@pytest.mark.slow
def test_a_person_leads_a_ramp(site: Operated) -> None:
    """Pause, resume, advance and promote; each waits for the workers, and refuses where it cannot be."""
    site.start("--bake", "1h")
    shown = site.run("ramp", "pause", "-m", "Lunch").stdout
    assert shown.splitlines() == [
        "storefront, revision 2 -> 3",
        "",
        "Deployed revision 3.",
        "ramp-2 to v2: paused, step 1 of 2 at 50 %",
        "2 of 2 workers serve revision 3.",
        f"To undo the ramp: version-affinity --releases {site.directory.path} rollback",
    ]
    assert site.json("ramp", "status")["state"] == "paused"
    assert "ramp-2 is paused: pause needs a ramp that is" in site.run("ramp", "pause", code=1).stderr
    site.run("ramp", "resume")
    assert "Pass -y to confirm" in site.run("ramp", "advance", code=1).stderr
    assert "Deployed revision 5" in site.run("ramp", "advance", "-y").stdout
    assert site.json("ramp", "status")["state"] == "baking"
    undo = f"To undo the ramp: version-affinity --releases {site.directory.path} rollback"
    assert undo in site.run("ramp", "promote", "-y").stdout
    assert site.json("ramp", "status")["state"] == "completed"
    assert "no ramp is active: ramp-2 is completed" in site.run("ramp", "resume", code=1).stderr
    assert site.log.read()[-1].percentages == {"v2": 100}


@pytest.mark.slow
def test_approve_names_its_step(site: Operated) -> None:
    """A script that approves step 2 twice approves nothing else."""
    site.run("ramp", "start", "v2", "--steps", "10,20,100", "--every", "1s", "--approve-each", "-y")
    until(lambda: site.state == "waiting")
    assert "name the step to approve: --step 2" in site.run("ramp", "approve", code=1).stderr
    assert "ramp approve --step 2" in site.run("ramp", "status").stdout
    site.run("ramp", "approve", "--step", "2")
    assert (
        "step 2 cannot be approved: the next step of ramp-2 is 3"
        in site.run("ramp", "approve", "--step", "2", code=1).stderr
    )
    until(lambda: site.state == "waiting")
    assert site.history[-1].step == 2


@pytest.mark.slow
def test_abort_and_rollback(site: Operated) -> None:
    """Both return to the percentages before the ramp, which need not be those of a single version."""
    site.run("versions", "deploy", "v1@90", "v2", "-y")
    for leave, state in ((("ramp", "abort", "-y"), "aborted"), (("rollback", "-y"), "superseded")):
        site.start()
        status = site.run("deployments", "status").stdout
        assert "would return to revision" in status
        assert "(v1 90 %, v2 10 %): 40 % of the users would move" in status
        assert "to v2 is running: version-affinity" in status
        assert site.json("deployments", "status")["rollback"]["percentages"] == {"v1": 90, "v2": 10}
        site.run(*leave)
        assert site.log.read()[-1].percentages == {"v1": 90, "v2": 10}
        assert site.json("ramp", "status")["state"] == state


def test_a_deployment_ends_the_ramp(site: Operated) -> None:
    """The command says so before it asks."""
    site.start()
    shown = site.run("versions", "deploy", "v1@70", "v2", "--dry-run")
    assert "ramp-2, to v2, is running: this deployment ends it" in shown.stderr
    site.run("versions", "deploy", "v1@50", "v2", "-y")  # the same percentages, and no ramp
    shown = site.run("ramp", "status").stdout
    assert "superseded, now v1 50 %, v2 50 %\nLast event: a person's deployment, 20" in shown
    assert "The guard had not looked yet." in shown
    assert "no ramp is active: ramp-2 is superseded" in site.run("ramp", "pause", code=1).stderr


def test_versions_of_a_ramp_are_not_deleted(site: Operated) -> None:
    """Also while the new version has all users, the one before stays: a rollback returns to it."""
    site.start("--bake", "1h")
    site.run("ramp", "promote", "-y")
    site.run("prune", "--keep", "0", "--older-than", "none", "-y")
    assert "it is in the current deployment" in site.run("versions", "delete", "v1", "-y", code=1).stderr
    assert list(site.directory.versions()) == ["v1", "v2"]
    site.run("rollback", "-y")
    assert site.log.read()[-1].percentages == {"v1": 100}


def test_the_list_has_a_ramp_as_one_line(site: Operated) -> None:
    """A ramp is one group with its steps and its outcome; JSON has all of its deployments."""
    site.start("--bake", "0s")
    site.run("ramp", "pause")
    site.run("ramp", "promote", "-y")
    lines = [line.split("\t") for line in site.run("deployments", "list").stdout.splitlines()]
    assert [(line[0], line[-1]) for line in lines] == [("2-4", "completed: ramp-2 to v2, 50, 100 %"), ("1", "")]
    assert [entry["revision"] for entry in site.json("deployments", "list")] == [4, 3, 2, 1]
    site.deploy({"v1": 100.0})
    site.start()
    site.run("versions", "deploy", "v1@70", "v2", "-y", "-m", "Enough")
    lines = [line.split("\t") for line in site.run("deployments", "list").stdout.splitlines()]
    assert [(line[0], line[-2], line[-1]) for line in lines[:2]] == [
        ("7", "v1 70 %, v2 30 %", "Enough"),
        ("6", "v1 50 %, v2 50 %", "superseded: ramp-6 to v2, 50 %"),
    ]


def test_status_shows_what_the_guard_finds(site: Operated) -> None:
    """Signal, failing users, paths, workers, and the commands to type next."""
    assert "there has been no ramp yet" in site.run("ramp", "status", code=1).stderr
    site.start("--min-keys", "10")
    with site.followed(failing_api) as (affinity, _):
        for bucket in range(10):
            client(affinity).get("/api/cart?500", headers=came_back("v1", str(bucket)))
        until(lambda: len(site.observed_failing()) == 10)
        shown = site.run("ramp", "status").stdout
        document = site.json("ramp", "status")
    assert "ramp-2 to v2: running, step 1 of 2 at 50 %\nLast event: start, 20" in shown
    assert "UTC (in 24 hours)\n" in shown
    assert "Guard: no difference is found" in shown
    assert "Paths with app-errors: /api/cart" in shown
    assert "The next step needs 10 new users of v2: 0 so far" in shown
    assert "3 of 3 workers serve revision 2" in shown
    assert "ramp pause" in shown
    found = document["judgement"]["signals"]["app-errors"]
    assert found["new"] + found["base"] == 10
    assert document["percentages"] == {"v1": 50, "v2": 50}
    assert parse_time(document["due"]) - parse_time(document["since"]) >= timedelta(hours=23)


def test_what_comes_after_a_ramp_is_not_of_it(site: Operated) -> None:
    """The status of a ramp that has ended shows what its guard found last."""
    site.start()
    site.run("ramp", "abort", "-y")
    with site.followed(failing_api) as (affinity, _):
        for bucket in range(10):
            client(affinity).get("/", headers={**came_back("v1", str(bucket)), **NAVIGATION})
        until(lambda: sum(site.observed().pages.values()) >= 10)
        shown, document = site.run("ramp", "status").stdout, site.json("ramp", "status")
    assert "Guard, at the end: no difference is found" in shown
    assert "Last event: abort, 20" in shown
    assert sum(document["judgement"]["pages"].values()) == 0


def test_status_shows_what_a_step_waits_for(site: Operated) -> None:
    """A step whose time is over and that is not taken says why: a worker that does not follow, or too few users."""
    site.run("ramp", "start", "v2", "--steps", "50,100", "--every", "1s", "--min-keys", "10", "-y")
    waits = "new users of v2: 0 of 10 have come in this step"
    until(lambda: site.json("ramp", "status")["waits_for"] == waits)
    shown = site.run("ramp", "status").stdout
    assert f"The next step is due.\nIt waits for {waits}\n" in shown
    assert [line.split()[-1] for line in shown.splitlines() if "100 %" in line] == ["waits"]
    assert "ramp advance" in shown
    site.other_host()
    lags = "2 of 3 workers on 2 hosts serve revision 2: web-2, process 7: it has read revision 1 so far"
    assert site.json("ramp", "status")["waits_for"] == f"all workers to follow: {lags}"
    assert lags in " ".join(site.run("ramp", "advance", "--wait", "0", "-y").stderr.split())


def test_status_and_a_share_that_is_far_off(tmp_path: Path) -> None:
    """Status says what the guard of a worker finds: before the hold, and of a ramp that is held, why it was."""
    site = Operated(tmp_path)
    site.other_host()
    site.ramp(**{**QUIET, "every": "1d"})
    site.other_host(revision=2, log_revision=2, counts={"new_keys|v1": 1000})
    found = "0 of 1000 new users have v2, at 50 %"
    assert f"Guard: {found}" in site.run("ramp", "status").stdout
    assert site.json("ramp", "status")["judgement"]["verdict"] == "share"
    entries = site.log.read()
    workers = observed(site.workers, "", entries[-1], fresh_for=timedelta(0), silent_for=timedelta(0))
    held = look(entries, workers, utc_now()).entry
    assert held is not None
    site.log.append(held.percentages, expected=2, details=held.details)
    site.other_host(revision=3, log_revision=3, counts={"new_keys|v1": 1000, "new_keys|v2": 1000})
    shown = " ".join(site.run("ramp", "status").stdout.split())
    assert "Guard, at the hold: the share of new users is far off" in shown
    assert f"by ramp: {found}" in shown
    assert "To undo the ramp" not in shown  # the commands are shown below, with the options of this one
    assert site.json("ramp", "status")["judgement"]["verdict"] == "share"


def test_promote_says_that_the_bake_is_blind(site: Operated) -> None:
    """Without pages of the version before, the bake has nothing to compare with: promote and the status say it."""
    site.start("--bake", "1h")
    blind = "nothing to compare with: the earlier versions had too few pages in this ramp (0)"
    assert f"the bake has {blind}" in " ".join(site.run("ramp", "promote", "-y").stderr.split())
    assert f"Guard: {blind}" in " ".join(site.run("ramp", "status").stdout.split())


def test_status_without_workers(tmp_path: Path) -> None:
    """Without any report, the status does not state for how long."""
    site = Operated(tmp_path)
    site.other_host()
    site.ramp(**QUIET)
    site.other_host(revision=2, log_revision=2, ended=True)
    assert "Guard: no worker reports\n" in site.run("ramp", "status").stdout


def test_a_step_waits_for_fresh_reports(tmp_path: Path) -> None:
    """Reports are not fresh for longer than the oldest worker runs; here all workers have just started."""
    site = Operated(tmp_path)
    site.other_host()
    site.ramp(**{**QUIET, "every": "1s"})
    follows: dict[str, Any] = {"revision": 2, "log_revision": 2}
    site.other_host(**follows, started=format_time(utc_now() + timedelta(hours=1)))
    waits = "reports that are fresh for one full look"
    until(lambda: site.json("ramp", "status")["waits_for"] == waits)
    assert f"It waits for {waits}" in site.run("ramp", "status").stdout
    site.other_host(**follows, started=format_time(utc_now() - timedelta(hours=1)))
    assert site.json("ramp", "status")["waits_for"] == ""


@pytest.mark.slow
def test_watch_ends_with_the_ramp(site: Operated) -> None:
    """The exit status is the outcome, and a script gets a line for each change."""
    site.run("ramp", "start", "v2", "--steps", "20,100", "--every", "5s", "--bake", "1s", "-y")
    shown = site.run("ramp", "status", "--watch", "--timeout", "60s").stdout
    assert "ramp-2 to v2: running, step 1 of 2" in shown
    assert "completed, now v2 100 %" in shown
    site.deploy({"v1": 100.0})
    site.start()
    assert site.run("ramp", "status", "--timeout", "1s", "--json", code=3).stdout.count('"running"') >= 1
    for act, code in ((lambda: site.command("abort"), 1), (lambda: site.deploy({"v1": 100.0}), 2)):
        if site.state != "running":
            site.start()
        later = threading.Timer(1.5, act)
        with contextlib.closing(site.log):
            later.start()
            site.run("ramp", "status", "--watch", code=code)
            later.join()
        time.sleep(0.1)
