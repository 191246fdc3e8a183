"""A real Prometheus scrapes two hosts with two gunicorn workers each, while workers are killed and a host restarts."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import ExitStack, closing
from math import isfinite
from typing import TYPE_CHECKING

import pytest

from tests.builds import ENTRY, pinned
from tests.cli.commanding import run
from tests.docs.test_monitoring import FAMILIES, dashboard_expressions
from tests.harness import NAVIGATION, SCRIPT
from tests.ramp.running import STILL, RampSite
from tests.releases.followed import Site, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import gunicorn
from tests.servers.prometheus import prometheus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.servers import Server

pytestmark = pytest.mark.servers

WORKERS = 2
#: Seconds after which every worker has reported what it counted.
REPORTED = 1.6
#: By name and label values, without the instance: the sums of all workers of both hosts.
ANSWERS = "max by (version, code) (version_affinity_app_responses_total)"
PAGES = 'max by (version, code) (version_affinity_requests_total{kind="page"})'


def load(server: Server, requests: int, sent: Counter[tuple[str, str]], first: int) -> int:
    """Ask a server for pages and answers of its application; return one of its processes."""
    process = 0
    with server.connection() as connection:
        for number in range(first, first + requests):
            user = {"Cookie": f"user={number}"}
            page = connection.ask("/", {**NAVIGATION, **user}).body
            sent["page", page.decode()[-2:]] += 1
            for status in ("200", "500", "404"):
                found = connection.ask(f"/api?{status}", user)
                assert found.status == int(status)
                sent["answer", f"{status[0]}xx"] += 1
                process = int(found.body)
    return process


def test_two_hosts(tmp_path: Path) -> None:
    """Both hosts export the sums of both, whichever worker is asked; no counter goes down, and nothing is lost."""
    sent: Counter[tuple[str, str]] = Counter()
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server())
        sites = [Site(tmp_path / name, redis.url, name) for name in ("one", "two")]
        for site in sites:
            stack.enter_context(closing(site.log))
            site.upload("v1", "v2")
        sites[0].deploy({"v1": 50.0, "v2": 50.0})

        def serve(site: Site, name: str, *options: str) -> tuple[ExitStack, Server]:
            own = stack.enter_context(ExitStack())
            (tmp_path / name).mkdir()
            factory = "tests.servers.measured:measured()"
            return own, own.enter_context(gunicorn(site, tmp_path / name, *options, workers=WORKERS, factory=factory))

        _, one = serve(sites[0], "server-one")
        running_two, two = serve(sites[1], "server-two", "--preload")
        monitoring = stack.enter_context(prometheus(tmp_path / "prometheus", one, two))
        for turn in range(4):
            processes = [load(server, 40, sent, first=1000 * turn + 100 * at) for at, server in enumerate((one, two))]
            time.sleep(REPORTED)  # a process that is killed takes with it what it counted within the last second
            os.kill(processes[turn % 2], signal.SIGKILL)
            if turn == 1:
                sites[1].deploy({"v1": 20.0, "v2": 80.0})
        running_two.close()
        until(lambda: monitoring.query('max(version_affinity_workers{state="current"})') == {(): WORKERS})
        load(one, 40, sent, first=9000)

        def as_sent() -> bool:
            answers, pages = monitoring.query(ANSWERS), monitoring.query(PAGES)
            found = Counter({("page", version): number for (_, version), number in pages.items()})
            for (code, _), number in answers.items():
                found["answer", code] += int(number)
            return found == sent

        until(as_sent)
        time.sleep(10)  # processes that are gone are added to the totals
        assert as_sent()
        for name in (name for name, (kind, _) in FAMILIES.items() if kind == "counter"):
            assert set(monitoring.query(f"resets(version_affinity_{name}[10m])").values()) <= {0}, name
        assert len(monitoring.query("resets(version_affinity_requests_total[10m])")) >= 8
        assert monitoring.query("version_affinity_deployment_revision").keys() == {(f"127.0.0.1:{one.port}",)}
        assert monitoring.query("max by (version) (version_affinity_deployment_ratio)") == {("v1",): 0.2, ("v2",): 0.8}
        labels = '{__name__=~"version_affinity_.*", version!~"v1|v2|"}'
        assert monitoring.query(f"count({labels})") == {}
        healths = {target["scrapeUrl"].split(":")[2]: target["lastError"] for target in monitoring.targets()}
        assert healths[f"{one.port}/metrics"] == ""
        assert [rule["lastError"] for rule in monitoring.rules() if rule["health"] != "ok"] == []
    assert "Traceback" not in one.log.read_text() + two.log.read_text()


#: What makes each kind of numbers: a path, and the headers of its request.
KINDS = (
    ("/", NAVIGATION),
    ("/", {**NAVIGATION, "Version-Override": "v9"}),
    ("/api?200", pinned("v1")),
    ("/api?404", pinned("v2", "12")),
    ("/api?500", pinned("v2", "13")),
    ("/assets/index-Zz81xKpL.js", {**SCRIPT, **pinned("v1")}),
    (ENTRY["v2"], {**SCRIPT, **pinned("v1")}),
)


def test_every_panel_has_data(tmp_path: Path) -> None:
    """Prometheus has an answer to each query of the dashboard, once there are traffic, a rollback and a ramp."""
    site = RampSite(tmp_path)
    expressions = [it.replace("[4m]", "[20s]") for it in dashboard_expressions("shop")]
    empty = dict.fromkeys(expressions)
    with ExitStack() as stack:
        (tmp_path / "server").mkdir()
        server = stack.enter_context(
            gunicorn(site, tmp_path / "server", workers=WORKERS, factory="tests.servers.measured:measured()")
        )
        monitoring = stack.enter_context(prometheus(tmp_path / "prometheus", server))
        site.deploy({"v2": 100.0})
        until(lambda: monitoring.query("max(version_affinity_deployment_revision)") == {(): 2})
        run("--releases", str(site.directory.path), "rollback", "-y")
        site.ramp(**STILL)

        def is_answered() -> bool:
            with server.connection() as connection:
                for path, headers in KINDS:
                    connection.ask(path, headers)
            for expression in list(empty):
                if any(map(isfinite, monitoring.query(expression).values())):
                    del empty[expression]
            return not empty

        until(is_answered, f"an answer to {list(empty)}")
