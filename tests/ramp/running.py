"""A site whose ramps run in real workers: begin a ramp, read what the log says of it, and clients that come back."""

from __future__ import annotations

import json
import os
import signal
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from tests.builds import COLLISION, ENTRY, pinned
from tests.ramp.shoppers import CHUNK
from tests.releases.followed import Site, until
from version_affinity import Cookie, VersionAffinity
from version_affinity.ramp import failing
from version_affinity.ramp.failing import Failures
from version_affinity.ramp.next_entry import command, ramp_history, start
from version_affinity.ramp.plan import Ramp, RampPlan
from version_affinity.releases import Releases, times
from version_affinity.releases.follow.guard import observed
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.report import Report
from version_affinity.releases.times import utc_now

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from version_affinity.ramp.judgement import Observed
    from version_affinity.releases.log.entries import Entry

#: The file that lets the shop fail.
FAULT = "fault"
#: A plan that tests can wait for.
QUICK: Mapping[str, Any] = {"steps": (20, 50, 100), "every": "1s", "bake": "1s"}
#: A plan whose first step lasts for ever.
STILL: Mapping[str, Any] = {"steps": (50, 100), "every": "1d"}


class RampSite(Site):
    """A site with v1 deployed and v2 uploaded. ``without``: paths of files that the builds lack."""

    def __init__(
        self, root: Path, log: str | None = None, host: str | None = None, without: Collection[str] = ()
    ) -> None:
        super().__init__(root, log, host)
        for version in ("v1", "v2"):
            # Without the collision of these builds, and with a file that pages load later.
            more = {
                COLLISION[1:]: "// the same in both",
                ENTRY[version][1:]: f'import("{CHUNK[version]}") // entry of {version}',
                CHUNK[version][1:]: f"// later in {version}",
            }
            self.upload(version, more={path: text for path, text in more.items() if path not in without})
        if not self.log.read():
            self.deploy({"v1": 100.0})

    def observed(self) -> Observed:
        """Return what a person's command knows of the workers."""
        return observed(self.workers, "", fresh_for=timedelta(0), silent_for=timedelta(0))

    def observed_failing(self) -> set[int]:
        """Return the units that fail, by the application's errors, as the reports say."""
        found = [it for it in map(Failures.decoded, self.workers.failing) if it is not None]
        return {unit for it in found for unit in it.units["app-errors"]}

    def ramp(self, **plan: Any) -> Entry:
        """Start a ramp to v2 once all workers have it."""
        until(lambda: "v2" in self.observed().loaded)
        return self._write(start(self.log.read(), RampPlan("v2", **plan), self.observed(), utc_now()))

    def other_host(self, **report: Any) -> None:
        """Let a worker of another host report, which serves what was deployed first."""
        said: dict[str, Any] = {"revision": 1, "log_revision": 1, "versions": ("v1", "v2"), **report}
        self.reports.write(Report("0123456789abcdef", 1, host="web-2", pid=7, lifetime=600.0, **said), is_first=True)

    def command(self, event: str, step: int | None = None) -> Entry:
        """Let a person's command write."""
        return self._write(command(self.log.read(), event, self.observed(), utc_now(), step=step))

    def _write(self, entry: Entry) -> Entry:
        return self.log.append(entry.percentages, expected=entry.revision - 1, details=entry.details)

    @property
    def history(self) -> list[Ramp]:
        """What the log says of its newest ramp."""
        return ramp_history(self.log.read())

    @property
    def state(self) -> str:
        """The state of the newest ramp."""
        return self.history[-1].state

    @property
    def events(self) -> list[str]:
        """The events of the newest ramp."""
        return [str(ramp.evidence.get("event")) for ramp in self.history]


def failing_api(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer with the status that the query names, or raise."""
    query = environ["QUERY_STRING"]
    if query == "raise":
        raise RuntimeError("a fault of the application")
    start_response(f"{query or '200'} As asked", [("Content-Type", "text/plain"), ("Content-Length", "0")])
    return [b""]


def came_back(version: str = "v1", bucket: str = "4711", user: str = "") -> dict[str, str]:
    """Return the headers of a fetch by a browser that has a page of a version, perhaps of a user who is logged in."""
    cookies = "; ".join(filter(None, (pinned(version, bucket)["Cookie"], f"user={user}" if user else "")))
    return {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin", "Cookie": cookies}


def shop() -> WSGIApplication:
    """Return the application of a server process.

    A check of its health always fails. The file ``FAULT`` says which users get a 500 from what pages of v2 call: one
    in so many. In the environment, ``SHOP_CLOCK`` sets the process's clock off by seconds, ``SHOP_KEY`` is the key of
    all users, and with ``SHOP_DIES`` all workers die when one of them has written an entry.
    """
    root = Path(os.environ["SHOP_ROOT"])
    fault = root / FAULT

    def api(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        user = int(parse_qs(environ["QUERY_STRING"]).get("user", ["1"])[0])
        fails = path == "/api/health"
        if path == "/api/cart" and fault.exists():
            fails = user % int(fault.read_text("ascii")) == 0
        body = json.dumps({"process": os.getpid(), "path": path}).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response("500 Internal Server Error" if fails else "200 OK", headers)
        return [body]

    set_clock(timedelta(seconds=float(os.environ.get("SHOP_CLOCK", "0"))))
    if os.environ.get("SHOP_DIES"):
        die_after_writing()
    releases = Releases(host=os.environ.get("FOLLOWED_HOST"))
    key = os.environ.get("SHOP_KEY")
    return VersionAffinity(api, releases, keys=[Cookie("user") if key is None else lambda _: key])


def set_clock(ahead: timedelta) -> None:
    """Set the clock of this process off by some time."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + ahead

    if ahead:
        for module in (times, failing):
            module.datetime = Clock  # type: ignore[attr-defined] # which it tells the time by


def die_after_writing() -> None:
    """Kill all workers of the file log as soon as one of them has written an entry, before anything else happens."""
    append = FileLog.append

    def append_and_die(self: FileLog, *arguments: Any, **named: Any) -> Entry:
        append(self, *arguments, **named)
        reports = FileReports(Path(self.description).parent).read().live
        for process in sorted({report.pid for report in reports}, key=lambda pid: pid == os.getpid()):
            os.kill(process, signal.SIGKILL)
        raise SystemExit

    FileLog.append = append_and_die  # type: ignore[method-assign] # of a process of the test
