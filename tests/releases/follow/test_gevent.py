"""Under gevent, where one thread answers all requests: slow work runs elsewhere, and processes end as they should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.releases.followed import PATH, Site, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import workers
from tests.servers.servers import HOST, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest.importorskip("gevent")
pytest.importorskip("gunicorn")

pytestmark = pytest.mark.servers

#: Starts and ends of a server; three of ten died before.
RUNS = 6


def test_requests_go_on_while_a_version_is_loaded(tmp_path: Path) -> None:
    """By the thread that follows releases, and by a request that calls ``add``."""
    site = Site(tmp_path)
    site.upload("v1")
    site.deploy({"v1": 100.0})
    command = [sys.executable, str(Path(__file__).with_name("under_gevent.py")), str(tmp_path)]
    ended = subprocess.run(command, env={"PYTHONPATH": PATH}, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    during = json.loads(ended.stdout)
    assert min(during["v2"], during["v3"]) > 10


@pytest.fixture
def far_site(tmp_path: Path) -> Iterator[Site]:
    """A site with its log in Redis."""
    with redis_server() as redis:
        made = Site(tmp_path, redis.url)
        made.upload("v1")
        made.deploy({"v1": 100.0})
        yield made
        made.log.close()


def test_a_preloaded_application_with_a_log_in_redis(far_site: Site) -> None:
    """Its workers follow the log, and end without a crash."""
    far_site.upload("v2")
    options = ("--workers=2", "--worker-class=gevent", "--preload")
    for number in range(RUNS):
        port = free_port()
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            *options,
            f"--bind={HOST}:{port}",
            "tests.releases.followed:site()",
        ]
        log = far_site.root / f"server-{number}.log"
        with running(command, port, log, {**far_site.environment, "PYTHONPATH": PATH}) as server:
            workers(server, 2)
            entry = far_site.deploy({"v1": 100.0 - number, "v2": float(number)})
            until(lambda: {told["serving"] for told in workers(server, 2).values()} == {entry.revision})  # noqa: B023
        written = log.read_text()
        assert "SIG" not in written.replace("SIGTERM", "")
        assert "Traceback" not in written
