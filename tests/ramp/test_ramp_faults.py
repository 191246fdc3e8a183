"""Faults while a ramp runs under real servers: of the log, of clocks, of the disk, and of all workers at once.

Whatever happens, no step is taken twice or early, requests are answered, and the ramp goes on afterwards.
"""

from __future__ import annotations

import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.ramp.fleet import Fleet, fleet
from tests.releases.disks import on_a_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs a system that forks"),
]

EVERY = 3.0
# Begins with 50 %: at 20 %, the clients that always fail would hold one healthy ramp of a hundred, all by chance in v2.
PLAN: dict[str, Any] = {"steps": (50, 80, 100), "every": f"{EVERY:g}s", "bake": "2s"}
WHOLE = ["start", "step due", "step due", "bake over"]
#: Seconds by which this process may see an entry later than the workers do.
SEEN = 1.0


def check_times(made: Fleet) -> None:
    """Check that each step has lasted for as long as planned, as this process saw the entries arrive."""
    revisions = enumerate(made.history, made.history[0].first)
    taken = [revision for revision, ramp in revisions if ramp.evidence["event"] in ("start", "step due")]
    for before, after in pairwise([made.arrived[revision] for revision in taken]):
        assert after - before >= EVERY - SEEN


def test_redis_goes_away_during_a_ramp(tmp_path: Path) -> None:
    """A step that came due meanwhile is taken once, after a full look; a Redis that is empty waits for a person."""
    with fleet("redis", tmp_path) as made:
        site, redis = made.site, made.redis
        assert redis is not None
        site.ramp(**PLAN)
        made.wait(lambda: made.has_been_read(2), "all have read the start")
        redis.kill()
        time.sleep(EVERY + 2)
        status = made.command("ramp", "status")
        assert "cannot be reached" in status.stderr
        assert "revision 2, from this host's copy" in status.stderr
        redis.start()
        back = time.monotonic()
        made.wait(lambda: made.has_been_read(3), "the step that came due is taken")
        assert made.arrived[3] - back >= site.history[0].plan.look.total_seconds() - 0.1
        redis.kill()
        redis.forget()
        redis.start()
        time.sleep(EVERY + 2)
        with redis.client() as client:
            assert client.xlen("version-affinity:storefront:deployments") == 0
        assert "has lost deployments" in made.command("ramp", "status", code=1).stderr
        made.command("deployments", "restore", "-y")
        assert len(site.log.read()) == 3
        made.wait(made.ended, "the ramp is completed")
        assert site.events == WHOLE
    check_times(made)
    assert "has lost deployments" in made.logged
    assert not made.outcome["failed"]
    assert "cut" not in made.outcome["counts"]


def test_a_file_that_is_changed_during_a_ramp(tmp_path: Path) -> None:
    """The log is cut, replaced by an older copy, and emptied: nothing is stepped, and the status says it each time."""
    with fleet("file", tmp_path) as made:
        site = made.site
        file = site.directory.path / "deployments.jsonl"
        site.ramp(**PLAN)
        made.wait(lambda: made.has_been_read(3), "a step is taken")
        whole = file.read_bytes()
        older = b"".join(whole.splitlines(keepends=True)[:2])
        damaged = {"cut": older, "without an end": whole[:-20], "empty": b""}
        for name, content in damaged.items():
            other = file.with_name("other")
            other.write_bytes(content)
            other.replace(file)
            time.sleep(2 if name != "cut" else EVERY + 1)
            assert file.read_bytes() == content, name
            shown = made.command("ramp", "status", code=0 if content else 1)
            assert "lost deployments" in shown.stderr, name
        file.write_bytes(whole)
        made.wait(made.ended, "the ramp is completed")
        assert site.events == WHOLE
    assert "has lost deployments" in made.logged
    assert not made.outcome["failed"]


def test_clocks_that_differ(tmp_path: Path) -> None:
    """One host is five minutes ahead, the other one behind, and the person between them: each step lasts its time."""
    with fleet("redis", tmp_path, environments=[{"SHOP_CLOCK": "300"}, {"SHOP_CLOCK": "-300"}]) as made:
        made.site.ramp(**{**PLAN, "steps": (50, 100)})
        made.wait(made.ended, "the ramp is completed")
        assert made.site.events == ["start", "step due", "bake over"]
    check_times(made)
    assert not made.outcome["failed"]


FULL = """
import sys, time
from pathlib import Path
from tests.ramp.fleet import fleet

root = Path(sys.argv[1])
with fleet("file", root) as made:
    # An entry is longer than what is left of the last page of the file, which a full disk has.
    made.site.ramp(steps=(50, 80, 100), every="3s", bake="1s", other={"note": "n" * 5000})
    made.wait(lambda: made.site.history, "the ramp has begun")
    filling = root / "filling"
    with filling.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
    before = made.site.log.read()
    time.sleep(5)
    assert made.site.log.read() == before
    print(made.command("ramp", "status").stderr)
    filling.unlink()
    made.wait(made.ended, "the ramp is completed")
    print(made.logged)
print(made.site.events, made.outcome["failed"])
"""


def test_a_full_disk(tmp_path: Path) -> None:
    """No step is taken while nothing can be written; the workers say so, and go on when there is room."""
    *written, last = on_a_disk(tmp_path / "disk", FULL, size="2m").splitlines()
    assert last == f"{WHOLE} []"
    assert "make room on the disk" in "".join(written)


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
    """All workers die after each entry and while each notice is sent: each step is taken once, each notice arrives."""
    with fleet("file", tmp_path, environments=[{"SHOP_DIES": "1"}]) as made:
        receiver.kill = made.kill_workers
        url = f"http://127.0.0.1:{receiver.server_port}/"
        made.site.ramp(**{**PLAN, "steps": (50, 100), "bake": "0s"}, other={"webhook": url})
        made.wait(made.ended, "the ramp is completed")
        assert made.site.events == ["start", "step due"]

        def told() -> list[int]:
            return [json.loads(body)["data"]["customData"]["revision"] for body in receiver.got]

        made.wait(lambda: told().count(3) >= 2, "the last notice is sent again")
    check_times(made)
    assert sorted(told()) == told()
    assert {revision: told().count(revision) >= 2 for revision in told()} == {2: True, 3: True}
    assert not made.outcome["failed"]
