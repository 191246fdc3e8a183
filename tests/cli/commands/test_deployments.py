"""``deployments list``, ``status`` and ``restore``, with a log in a file and with one in a real Redis."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

import pytest

if os.environ.get("CI") != "true":  # there the import below fails instead
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")

from tests.cli.commanding import AUTHOR, Site
from tests.releases.redis_server import RedisServer, redis_server
from version_affinity.cli.context import Target
from version_affinity.cli.preflight import workers_ahead
from version_affinity.releases.log.local_copy import LocalCopy
from version_affinity.releases.log.redis import RedisLog
from version_affinity.releases.releases import COPY, open_log, open_reports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "s3cret"  # noqa: S105 - of a server that lives for these tests
V1, SPLIT = {"v1": 100.0}, {"v1": 90.0, "v2": 10.0}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis for all tests of this module."""
    with redis_server(password=PASSWORD) as server:
        yield server


@pytest.fixture(params=["file", "redis"])
def site(request: pytest.FixtureRequest, redis: RedisServer, tmp_path: Path) -> Site:
    """A site with v1 and v2 uploaded, with each kind of log."""
    return site_in(tmp_path, redis if request.param == "redis" else None)


@pytest.fixture
def shared(redis: RedisServer, tmp_path: Path) -> Site:
    """A site with v1 and v2 uploaded, with a log in Redis."""
    return site_in(tmp_path, redis)


def site_in(root: Path, redis: RedisServer | None) -> Site:
    """Make a site with v1 and v2 uploaded; its log is empty."""
    if redis is not None:
        forget(redis)
    site = Site(root, None if redis is None else redis.url)
    site.upload("v1", "v2")
    return site


def forget(redis: RedisServer) -> None:
    """Have a Redis lose its data."""
    with redis.client() as client:
        client.flushall()


def log_of(site: Site) -> RedisLog:
    """Return the log in Redis."""
    log = open_log(site.directory, site.url)
    assert isinstance(log, RedisLog)
    return log


def test_list(site: Site) -> None:
    """In a pipe, a deployment is a line of cells behind tabs, the newest first, as many as are asked for."""
    assert site.run("deployments", "list").stdout == ""
    site.deploy(V1, SPLIT, message="why\tnot\n?")
    lines = [line.split("\t") for line in site.run("deployments", "list").stdout.splitlines()]
    assert [(line[0], *line[2:]) for line in lines] == [
        ("2", AUTHOR, "v1 90 %, v2 10 %", r"why\tnot\n?"),
        ("1", AUTHOR, "v1 100 %", r"why\tnot\n?"),
    ]
    assert lines[0][1].endswith("Z")
    told = site.json("deployments", "list", "--limit", "1")
    assert [(entry["revision"], entry["percentages"], entry["message"]) for entry in told] == [
        (2, SPLIT, "why\tnot\n?")
    ]


def test_status(site: Site) -> None:
    """The status tells what is deployed, and what a rollback would do."""
    site.deploy({"v2": 100.0}, V1, SPLIT, message="a few")
    shown = site.run("deployments", "status").stdout
    assert re.match(rf"storefront, revision 3, deployed 20[0-9 :-]+ UTC \(just now\) by {AUTHOR}: a few\n\n", shown)
    rows = [row.split()[:3] for row in shown.splitlines()[2:5]]
    assert rows == [["VERSION", "SHARE", "OBSERVED"], ["v1", "90", "%"], ["v2", "10", "%"]]
    log = "" if site.url is None else "--log ... "
    command = f"version-affinity --releases {site.path} {log}rollback"
    assert f"{command} would give v1 to all users, as in revision 2: 10 % of the users would move\n" in shown


def test_status_as_json(site: Site) -> None:
    """The status's JSON is the deployment's entry, and more."""
    site.deploy({"v2": 100.0}, V1, {"v1": 90.0, "v9": 10.0})
    told = site.json("deployments", "status")
    assert (told["name"], told["revision"], told["percentages"]) == ("storefront", 3, {"v1": 90.0, "v9": 10.0})
    assert [(version["id"], version["percentage"], version["upload"] is None) for version in told["versions"]] == [
        ("v1", 90.0, False),
        ("v9", 10.0, True),
    ]
    assert told["missing"] == ["v9"]
    assert (told["rollback"]["revision"], told["rollback"]["percentages"]) == (2, V1)
    assert told["workers"] == []
    assert told["retention"] == {"keep": 10, "younger_than": None}
    assert "s3cret" not in str(told)


def test_status_of_nothing(site: Site) -> None:
    """Before the first deployment, the status says how it is made."""
    assert "nothing is deployed yet" in (shown := site.run("deployments", "status").stdout)
    assert "versions deploy v2@100%" in shown
    nothing = {"revision": 0, "percentages": {}, "created": None, "author": "", "message": "", "rollback": None}
    told = site.json("deployments", "status")
    assert {name: told[name] for name in nothing} == nothing
    site.deploy(V1)
    assert set(site.json("deployments", "status")) == set(told)


def test_status_without_a_way_back(site: Site) -> None:
    """Where a rollback has nothing to return to, that is told; so are versions that are not here."""
    site.deploy({"v1": 50.0, "v9": 50.0, "v2": 0.0})
    shown = site.run("deployments", "status").stdout
    assert "no other version has had 100 %" in shown
    assert "v9 is not in this directory\n" in shown
    assert re.search(r"^v2 +staged ", shown, re.MULTILINE)


def test_workers(site: Site) -> None:
    """The status shows how many workers serve the deployment, which do not, and why."""
    site.deploy(V1, SPLIT)
    assert "No worker reports: no application follows this directory" in site.run("deployments", "status").stdout
    # No worker has reported, so the figures are unknown.
    assert {it["pages"] for it in site.json("deployments", "status")["versions"]} == {None}
    site.report("web-1", ("v1", "v2"), 2)
    site.report("web-2", ("v1",), 1, error="the log hangs")
    site.report("web-3", ("v1",), 2, failures={"v2": "it has no page"})
    shown = site.run("deployments", "status").stdout
    absent, _, told = shown.partition("1 of 3 workers on 3 hosts serves revision 2\n")
    assert [" ".join(row.split()) for row in told.splitlines()] == [
        "HOST WORKERS REVISION LAST START (UTC)",
        "web-1 1 2 -",
        "web-2 1 1 -",
        "web-3 1 2 -",
        "web-2, process 2: the log hangs",
        "web-3, process 3: it cannot load v2: it has no page",
    ]
    assert "1 worker of web-2 without v2\n1 worker of web-3 without v2: it has no page\n" in absent
    told = site.json("deployments", "status")
    assert [
        (worker["host"], worker["pid"], worker["revision"], worker["missing"], worker["error"])
        for worker in told["workers"]
    ] == [
        ("web-1", 1, 2, [], ""),
        ("web-2", 2, 1, ["v2"], "the log hangs"),
        ("web-3", 3, 2, ["v2"], "it cannot load v2: it has no page"),
    ]
    assert told["versions"][1]["lacking"] == [
        {"host": "web-2", "pid": 2, "reason": "", "loading_since": None},
        {"host": "web-3", "pid": 3, "reason": "it has no page", "loading_since": None},
    ]


def test_figures(site: Site) -> None:
    """The status shows what all workers have counted for each version since the deployment."""
    counts = {"requests|v1|page|2xx|key": 900, "missing|v1": 100, "new_keys|v1": 70, "app|v1|5xx": 3, "app|v1|2xx": 7}
    site.deploy(V1)
    site.report("web-1", ("v1", "v2"), 1, counts=counts)
    site.run("versions", "deploy", "v2@10%", "--rest", "-y", "--force", "--wait", "1")
    more = {"requests|v1|page|4xx|key": 180, "requests|v2|page|2xx|key": 20, "requests|v2|asset|2xx|name": 5}
    more |= {"new_keys|v1": 70 + 45, "new_keys|v2": 5, "app|v1|2xx": 7 + 90, "app|v1|5xx": 3 + 10, "missing|v2": 3}
    site.report("web-1", ("v1", "v2"), 2, counts={**counts, **more, "rescues|v2|v1": 4})
    rows = [row.split() for row in site.run("deployments", "status").stdout.splitlines()[2:5]]
    assert rows[0] == ["VERSION", "SHARE", "OBSERVED", "PAGES", "APP", "ERRORS", "MISSING", "RESCUES"]
    assert " ".join(rows[1]) == "v2 10 % 10.0 % (5) 20 0 3 (15 %) 4"
    assert " ".join(rows[2]) == "v1 90 % 90.0 % (45) 180 10 (10 %) 0 0"
    told = site.json("deployments", "status")
    assert told["counted_since"] == told["created"]
    assert "counted" not in told
    assert {key: value for key, value in told["versions"][0].items() if key not in ("lacking", "upload")} == {
        "id": "v2",
        "percentage": 10.0,
        "observed": 10.0,
        "new_keys": 5,
        "pages": 20,
        "app_responses": 0,
        "app_errors": 0,
        "app_error_rate": None,
        "missing_assets": 3,
        "missing_rate": 0.15,
        "rescues": 4,
    }
    # A deployment that does not say what had been counted: all that was.
    site.deploy(V1)
    told = site.json("deployments", "status")
    assert (told["counted_since"], told["versions"][0]["pages"]) == (None, 900 + 180)
    assert "The numbers are those since the workers began to count" in site.run("deployments", "status").stdout


def test_while_redis_is_away(tmp_path: Path) -> None:
    """While the log cannot be reached, the status and an explanation are those of this host's copy, and say so."""
    with redis_server() as redis:
        site = site_in(tmp_path, redis)
        site.deploy(V1, SPLIT)
        lost = "This host has no copy of the log either"
        LocalCopy(site.path / COPY).save(log_of(site).read())
    result = site.run("deployments", "status")
    assert result.stdout.startswith("storefront, revision 2, deployed 2")
    assert "No worker reports: redis://127.0.0.1:" in result.stdout
    assert "The states are those of revision 2, from this host's copy of the log" in result.stderr
    assert lost not in result.stderr
    told = site.json("deployments", "status")
    assert (told["revision"], told["percentages"], told["workers"]) == (2, SPLIT, [])
    assert "Redis" in told["log_error"] or "redis" in told["log_error"]
    unknown = {"pages", "app_errors", "app_error_rate", "missing_assets", "missing_rate", "rescues", "new_keys"}
    assert {told["versions"][0][name] for name in unknown} == {None}
    assert "began to count" not in site.run("deployments", "status").stdout
    result = site.run("deployments", "list")
    assert result.stdout.startswith("2\t")
    assert "from this host's copy of the log" in result.stderr
    result = site.run("explain", "/")
    assert "Decision" in result.stdout
    assert "this host" in result.stderr
    (site.path / COPY).unlink()
    assert "Error: " in site.run("deployments", "status", code=1).stderr
    assert "no copy of the log" in site.run("deployments", "list", code=1).stderr


def test_watching_needs_a_terminal(site: Site) -> None:
    """In a pipe, there is nothing to draw on: --json is proposed."""
    site.deploy(V1)
    assert "add --json" in site.run("deployments", "status", "--watch", code=2).stderr


def test_view(site: Site) -> None:
    """One deployment is shown with its author, message, percentages, who moved, and until when it lasted."""
    site.deploy(V1)
    site.deploy(SPLIT, message="a few")
    shown = site.run("deployments", "view", "2").stdout
    facts = dict(line.split(maxsplit=1) for line in shown.splitlines()[:5])
    assert (facts["Revision"], facts["By"], facts["Message"]) == ("2", AUTHOR, "a few")
    assert facts["Deployed"].endswith(" UTC (just now)")
    assert facts["Lasted"] == "it is the current one"
    assert "  v1  100 %  ->  90 %\n  v2      -  ->  10 %\n" in shown
    assert "  v1  ->  v2  10 %\n" in shown
    first = site.run("deployments", "view", "1").stdout
    assert "until revision 2, 2" in first
    assert first.endswith("\n\n  v1  100 %\n")
    told = site.json("deployments", "view", "2")
    assert (told["revision"], told["percentages"], told["message"], told["before"]) == (2, SPLIT, "a few", V1)
    assert told["movement"]["pairs"] == [{"from": "v1", "to": "v2", "users": 10.0}]
    assert (told["until"], site.json("deployments", "view", "1")["until"]) == (None, told["created"])
    refused = site.run("deployments", "view", "3", code=1).stderr
    assert "there is no revision 3: the newest is revision 2" in refused


@pytest.mark.slow
def test_a_worker_lacks_a_version(site: Site) -> None:
    """A version that a worker lacks is refused, unless it is forced."""
    site.deploy(V1)
    site.report("web-2", ("v1",), 1)
    told = site.json("versions", "deploy", "v2@10", "v1", "-y", "--wait", "0", code=1)
    assert [refusal["kind"] for refusal in told["refusals"]] == ["host-lacks-version"]
    assert told["refusals"][0]["reason"].startswith("the host web-2 lacks v2: its users would get another version")
    assert site.percentages == [V1]
    result = site.run("versions", "deploy", "v2@10", "v1", "-y", "--force")
    assert "overruled: the host web-2 lacks v2" in result.stderr
    site.report("web-2", ("v1",), 1, failures={"v2": "'/index.html' is missing"})
    result = site.run("versions", "deploy", "v2@20", "v1", "-y", "--wait", "0", code=1)
    assert "no worker can load v2: '/index.html' is missing" in result.stderr
    site.report("web-1", ("v1", "v2"), 1)
    result = site.run("versions", "deploy", "v2@20", "v1", "-y", "--wait", "0", code=1)
    assert "the host web-2 lacks v2" in result.stderr
    assert "It cannot be loaded there: '/index.html' is missing" in result.stderr
    site.report("web-2", ("v1",), 2, unloaded=("v2",))
    site.run("versions", "deploy", "v2@50", "v1", "-y", "--wait", "0")
    assert len(site.percentages) == 3


def test_commands_report_nothing(shared: Site) -> None:
    """No command reports as a worker that deployments wait for."""
    shared.deploy(V1, SPLIT)
    shared.run("explain", "/")
    shared.run("deployments", "status")
    assert open_reports(shared.directory, log_of(shared)).read().live == ()


def test_restore(shared: Site, redis: RedisServer) -> None:
    """A Redis that has lost its data gets the history back from the host's copy, and no other Redis does."""
    assert "has no deployments" in shared.run("deployments", "restore", "-y", code=1).stderr
    shared.deploy(V1, SPLIT)
    entries = log_of(shared).read()
    LocalCopy(shared.path / COPY).save(entries)
    assert "nothing is lost" in shared.run("deployments", "restore", "-y", code=1).stderr
    forget(redis)
    assert "Pass -y" in shared.run("deployments", "restore", code=1).stderr
    assert shared.percentages == []
    shown = shared.run("deployments", "restore", "-y").stdout
    assert "has 2 deployments, up to revision 2 (v1 90 %, v2 10 %)" in shown
    assert "Restored 2 deployments" in shown
    assert log_of(shared).read() == entries
    forget(redis)
    told: dict[str, Any] = shared.json("deployments", "restore", "-y")
    assert (told["restored"], told["revision"]) == (2, 2)


def test_restore_of_a_file(tmp_path: Path) -> None:
    """A file needs no command: it is told what does."""
    site = Site(tmp_path)
    assert str(site.path / COPY) in site.run("deployments", "restore", "-y", code=1).stderr


def test_a_worker_is_ahead_of_the_log(site: Site) -> None:
    """A worker that has read a later revision than the log has is named with its host, and holds up no deployment."""
    site.deploy(V1)
    site.report("web-1", ("v1", "v2"), 7)
    result = site.run("deployments", "status")
    assert "the host web-1 follows revision 7, and the newest in " in result.stderr
    assert "web-1        1  7         -" in result.stdout
    result = site.run("versions", "deploy", "v2@10", "v1", "-y")
    assert "the host web-1 follows revision 7, and the newest in " in result.stderr
    assert len(site.percentages) == 2


def test_a_log_that_was_emptied(shared: Site) -> None:
    """Where a worker has read deployments and the log has none, nothing is deployed over them, by no means."""
    shared.report("web-1", ("v1", "v2"), 7)
    lost = "has lost deployments: it is empty, but the host web-1 follows revision 7"
    told = shared.json("versions", "deploy", "v2@10", "v1", "-y", code=1)
    assert [refusal["kind"] for refusal in told["refusals"]] == ["log-lost"]
    assert lost in told["refusals"][0]["reason"]
    forced = shared.run("versions", "deploy", "v2@10", "v1", "-y", "--force", code=1)
    assert "nothing is deployed:\n" in forced.stderr
    assert "--force overrules" not in forced.stderr
    assert shared.percentages == []


def test_deployed_since_the_log_was_read(shared: Site) -> None:
    """What a host, or the copy, has beyond what was read is in the log by now: then nothing is lost."""
    shared.deploy(V1)
    log = log_of(shared)
    target = Target()
    target.releases = str(shared.path)
    read = log.read()
    shared.deploy(SPLIT)
    LocalCopy(shared.path / COPY).save(log.read())
    shared.report("web-1", ("v1", "v2"), 2)
    assert workers_ahead(open_reports(shared.directory, log).read(), log, read) == ""
    assert target.other_log(log, read) == ""


def test_emptied_redis(shared: Site, redis: RedisServer) -> None:
    """Of a Redis that lost its data while a host reports, and has a copy, there is one reason and one remedy."""
    shared.deploy(V1, SPLIT)
    LocalCopy(shared.path / COPY).save(log_of(shared).read())
    forget(redis)
    shared.report("web-1", ("v1", "v2"), 2)
    (reason,) = shared.json("versions", "deploy", "v1@40", "v2", "-y", code=1)["refusals"]
    assert reason["kind"] == "log-lost"
    assert "has lost deployments: it is empty" in reason["reason"]


def test_restore_in_place_of_a_new_history(shared: Site, redis: RedisServer) -> None:
    """Where somebody has deployed to a Redis that had lost its data, the copy can take the place of what is there."""
    shared.deploy(V1, SPLIT)
    entries = log_of(shared).read()
    LocalCopy(shared.path / COPY).save(entries)
    shown = shared.run("deployments", "restore", "--replace", "-y", code=1).stderr
    assert "nothing is lost: " in shown
    forget(redis)
    shared.deploy({"v2": 100.0})
    told = shared.run("deployments", "restore", "-y", code=1).stderr
    assert "has 1 deployment, up to revision 1 (v2 100 %)" in told
    assert "--replace" in told
    shown = shared.run("deployments", "restore", "--replace", "-y").stdout
    assert "has 1 deployment, up to revision 1 (v2 100 %). They will be lost" in shown
    assert "Restored 2 deployments" in shown
    assert log_of(shared).read() == entries
