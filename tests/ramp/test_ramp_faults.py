"""Faults while a ramp runs under real servers: of the log, of clocks, of the disk, and of all workers at once.

Whatever happens, no step is taken twice or early, requests are answered, and the ramp goes on afterwards.
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.ramp.fleet import Fleet, fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs a system that forks"),
]

EVERY = 4.0
PLAN: dict[str, Any] = {"steps": (20, 50, 100), "every": f"{EVERY:g}s", "bake": "2s"}
WHOLE = ["start", "step due", "step due", "bake over"]
#: Seconds by which this process may see an entry later than the workers do.
SEEN = 1.0


def check_times(made: Fleet) -> None:
    """Check that each step has lasted for as long as planned, as this process saw the entries arrive."""
    arrived = [made.arrived[revision] for revision in sorted(made.arrived)[1:4]]
    for before, after in pairwise(arrived):
        assert after - before >= EVERY - SEEN


def test_clocks_that_differ(tmp_path: Path) -> None:
    """One host is five minutes ahead, the other one behind, and the person between them: each step lasts its time."""
    with fleet("redis", tmp_path, environments=[{"SHOP_CLOCK": "300"}, {"SHOP_CLOCK": "-300"}]) as made:
        made.site.ramp(**PLAN)
        made.wait(made.ended, "the ramp is completed")
        assert made.site.events == WHOLE
    check_times(made)
    assert not made.outcome["failed"]


class Deadly(BaseHTTPRequestHandler):
    """A webhook whose first notice of each revision kills all workers, before it is answered."""

    def do_POST(self) -> None:
        """Take a notice, or die of it."""
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_new = body not in server.got
        server.got.append(body)
        if is_new:
            server.kill()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Any]:
    """A server of such a webhook; ``got`` are the notices, ``kill`` kills all workers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Deadly) as server:
        server.got = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_all_workers_die_at_each_step(tmp_path: Path, receiver: Any) -> None:
    """They die between an entry and its notice, and while each notice is sent: all is done once, all is told."""
    with fleet("file", tmp_path, environments=[{"SHOP_DIES": "1"}]) as made:
        receiver.kill = made.kill_workers
        url = f"http://127.0.0.1:{receiver.server_port}/"
        made.site.ramp(**{**PLAN, "steps": (50, 100), "bake": "0s"}, other={"webhook": url})
        made.wait(made.ended, "the ramp is completed")
        assert made.site.events == ["start", "step due"]

        def told() -> list[int]:
            return [json.loads(body)["data"]["revision"] for body in receiver.got]

        made.wait(lambda: told().count(3) >= 2, "the last notice is sent again")
    check_times(made)
    assert sorted(told()) == told()
    assert {revision: told().count(revision) >= 2 for revision in told()} == {2: True, 3: True}
    assert not made.outcome["failed"]
