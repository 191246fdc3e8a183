"""Hosts that serve one site with ramps: several workers each, under load from a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cli.commanding import run
from tests.ramp.running import FAULT, RampSite
from tests.releases.followed import PATH, until
from tests.releases.redis_server import redis_server
from tests.releases.site_servers import gunicorn
from tests.servers.nginx import nginx
from version_affinity.releases.log.entries import LogError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from click.testing import Result

    from tests.releases.redis_server import RedisServer
    from tests.servers.servers import Server
    from version_affinity.ramp.plan import Ramp

#: Workers of each host.
WORKERS = 2
#: Seconds that a ramp of these tests may take on a busy machine.
PATIENCE = 90.0
#: The states in which the workers write nothing more.
ENDED = ("held", "rolled_back", "completed")


@dataclass
class Fleet:
    """Hosts that serve one site.

    Attributes:
        sites: The site of each host; the log is the same.
        servers: The server of each host.
        redis: The server of the log, None for a file.
        outcome: What the users have seen, at the end.
        history: The newest ramp, at the end.
        arrived: When each revision was seen first (``time.monotonic``), by ``wait``.
    """

    sites: list[RampSite]
    servers: list[Server] = field(default_factory=list)
    redis: RedisServer | None = None
    outcome: dict[str, Any] = field(default_factory=dict)
    history: list[Ramp] = field(default_factory=list)
    arrived: dict[int, float] = field(default_factory=dict)

    @property
    def site(self) -> RampSite:
        """The site of the first host."""
        return self.sites[0]

    @property
    def logged(self) -> str:
        """What the servers have logged."""
        return "".join(server.log.read_text(errors="replace") for server in self.servers)

    def ended(self) -> bool:
        """Return whether no step follows."""
        return self.site.state in ENDED

    def has_been_read(self, revision: int) -> bool:
        """Return whether a revision is the newest one that each worker has read."""
        return {report.log_revision for report in self.site.workers.live} == {revision}

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so, and note when revisions arrive. A log that is away is waited for."""
        end = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(LogError):
                for entry in self.site.log.read():
                    self.arrived.setdefault(entry.revision, time.monotonic())
                if condition():
                    return
            assert time.monotonic() < end, f"{what}: that was not so for {PATIENCE:g} s"
            time.sleep(0.02)

    def command(self, *arguments: str, code: int = 0) -> Result:
        """Run a command on the first host, and check its exit status."""
        log = () if self.site.url is None else ("--log", self.site.url)
        return run("--releases", str(self.site.directory.path), *log, *arguments, code=code)

    def break_api(self, one_in: int = 10) -> None:
        """Let what v2 calls fail for some users, from now on."""
        for site in self.sites:
            (site.root / "new").write_text(f"{one_in}", "ascii")
            (site.root / "new").replace(site.root / FAULT)

    def kill_workers(self) -> None:
        """End all workers as a crash does."""
        for report in self.site.workers.live:
            with contextlib.suppress(ProcessLookupError):
                os.kill(report.pid, signal.SIGKILL)


@contextlib.contextmanager
def fleet(
    kind: str,
    root: Path,
    *,
    without: Collection[str] = (),
    front: str = "",
    environments: Sequence[Mapping[str, str]] = ({}, {}),
) -> Iterator[Fleet]:
    """Serve a site by one host with the file log ("file"), or by two with Redis ("redis"), under load.

    Args:
        kind: The log.
        root: Where the hosts have their directories.
        without: Paths of files that the builds lack.
        front: What an nginx does to requests before it passes them on; "" for no nginx.
        environments: Variables of the hosts' servers.
    """
    with contextlib.ExitStack() as stack:
        if kind == "file":
            made = Fleet([RampSite(root, without=without)])
        else:
            redis = stack.enter_context(redis_server())
            made = Fleet([RampSite(root / host, redis.url, host, without) for host in ("one", "two")], redis=redis)
        for site, environment in zip(made.sites, environments, strict=False):
            stack.callback(site.log.close)
            server = gunicorn(
                site,
                site.root,
                workers=WORKERS,
                factory="tests.ramp.running:shop()",
                environment={"SHOP_ROOT": str(site.root), **environment},
            )
            made.servers.append(stack.enter_context(server))
        until(lambda: len(made.site.workers.live) == WORKERS * len(made.sites))
        servers = made.servers
        if front:
            passed = [f"location / {{ proxy_pass {server.url}; {front} }}" for server in servers]
            servers = [stack.enter_context(nginx(root / "nginx", server)) for server in passed]
        users = stack.enter_context(shoppers(servers))
        yield made
        made.history = made.site.history
        made.outcome.update(json.loads(users.communicate(timeout=60)[0]))
        assert "Traceback" not in made.logged


@contextlib.contextmanager
def shoppers(servers: Sequence[Server]) -> Iterator[subprocess.Popen[str]]:
    """Run the users of servers in a process of their own; it prints what they have seen when its input ends."""
    script = Path(__file__).with_name("shoppers.py")
    with subprocess.Popen(
        [sys.executable, str(script), *(str(server.port) for server in servers)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": PATH},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
