"""Reports in a directory: who may read them, whose clock counts, and what is left of crashes."""

from __future__ import annotations

import json
import os
import queue
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from tests.releases.disks import on_a_disk
from tests.releases.reports.reporting import GONE, KEY, KNOWN, FilePlace, Process
from version_affinity.releases.log.entries import LogUnavailableError
from version_affinity.releases.reports import files, reporter
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.positions import FilePosition
from version_affinity.releases.reports.report import Report, Workers, machine_id

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such modes")


def may_do_anything() -> bool:
    """Return whether modes do not keep this process from reading and writing, as those of root."""
    with tempfile.NamedTemporaryFile() as file:
        os.chmod(file.name, 0)  # noqa: PTH101
        return os.access(file.name, os.R_OK)


LIMITED = pytest.mark.skipif(may_do_anything(), reason="this user may read and write anything")


@pytest.fixture(autouse=True)
def at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process report as often as it is asked to."""
    monkeypatch.setattr(reporter, "SHORTEST", 0.0)


@POSIX
@pytest.mark.parametrize(("mode", "expected"), [(0o755, 0o644), (0o2775, 0o664), (0o750, 0o640), (0o700, 0o600)])
def test_who_may_read(tmp_path: Path, mode: int, expected: int) -> None:
    """Reports and totals are readable for whom the releases directory is, whatever the umask of the application."""
    tmp_path.chmod(mode)
    before = os.umask(0o077)
    try:
        place = FilePlace(tmp_path)
        for lifetime in (GONE, 15.0):
            process = Process(place.reports())
            process.add()
            process.report(lifetime=lifetime)
        place.fold()
    finally:
        os.umask(before)
    assert (tmp_path / "workers").stat().st_mode & 0o7777 == mode
    kept = [file for file in (tmp_path / "workers").iterdir() if file.name != ".lock"]
    assert len(kept) == 2
    assert {file.stat().st_mode & 0o777 for file in kept} == {expected}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_a_report_of_root(tmp_path: Path) -> None:
    """A command of root that loads the application first leaves what the application's user can go on with."""
    os.chown(tmp_path, 4711, 4712)
    place = FilePlace(tmp_path)
    Process(place.reports()).report()
    place.fold()
    owners = [(file.stat().st_uid, file.stat().st_gid) for file in (tmp_path / "workers", tmp_path / "workers/.lock")]
    assert owners == [(4711, 4712)] * 2


def test_many_short_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start leaves alone what others have left; the end of each process adds it up, so that files do not pile up."""
    place = FilePlace(tmp_path)
    monkeypatch.setattr(files, "FOLDING", -1.0)
    for number in range(3):
        process = Process(place.reports())
        process.report()
        assert place.count() == 1
        process.add()
        process.reporter.finish(reporter.WorkerState(), KNOWN)
        assert place.count() == 0
        assert place.reports().read().counts == {KEY: number + 1}


def test_a_lock_that_is_a_link(tmp_path: Path) -> None:
    """The file that it leads to is left alone."""
    place = FilePlace(tmp_path)
    Process(place.reports()).report()
    (tmp_path / "precious").write_text("text")
    (tmp_path / "workers" / ".lock").symlink_to(tmp_path / "precious")
    os.utime(tmp_path / "precious", (1000, 1000))
    with pytest.raises(LogUnavailableError, match="workers cannot be written to"):
        place.reports().fold(["v1"])
    assert (tmp_path / "precious").read_text() == "text"


def test_the_clock_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this host's clock says, a report is as old as the disk says."""
    reports = FileReports(tmp_path)
    Process(reports).report()
    now = time.time()
    monkeypatch.setattr(files.time, "time", lambda: now + 3600)
    (report,) = reports.read().live
    assert abs(report.age) < 10
    os.utime(tmp_path / "workers" / f"{report.process}.json", (now - 20, now - 20))
    assert reports.read().live == ()


def test_nothing_is_there(tmp_path: Path) -> None:
    """Before the first report, nobody runs and nothing was counted."""
    workers = FileReports(tmp_path).read()
    assert (workers.live, workers.counts, workers.obstacle) == ((), {}, "")


def test_no_directory(tmp_path: Path) -> None:
    """Where the directory cannot be made, that is an error that names it."""
    (tmp_path / "workers").write_text("a file")
    reports = FileReports(tmp_path)
    with pytest.raises(LogUnavailableError, match=r"workers cannot be written to: Not a directory"):
        reports.write(Report("0" * 16, 1), is_first=True)
    with pytest.raises(LogUnavailableError, match=r"workers cannot be read: Not a directory"):
        reports.read()


@pytest.mark.parametrize("text", ["", "[]", '{"counts": []}', '{"counts": {"a": "b"}, "folded": 1}'])
def test_a_total_that_is_damaged(tmp_path: Path, text: str) -> None:
    """A total that cannot be read counts as empty, and is replaced."""
    place = FilePlace(tmp_path)
    process = Process(place.reports())
    process.report()
    process.add()
    process.report()
    os.utime(tmp_path / "workers" / f"{process.reporter.process}.json", (0, 0))
    (tmp_path / "workers" / "total.json").write_text(text)
    assert place.reports().read().counts == {KEY: 1}
    place.fold()
    assert place.reports().read().counts == {KEY: 1}
    assert place.count() == 0


@pytest.mark.parametrize(
    "odd",
    [{f"hour|{'9' * 5000}|pages": 1}, {"rescues|v1": 10**4299}, {"app|v1": -1}, {"app|v1": 1.5}, {"app|v1": True}],
)
def test_counters_that_cannot_be(tmp_path: Path, odd: dict[str, Any]) -> None:
    """A report with a counter that no process has counts as damaged; a total is read without the counter."""
    place = FilePlace(tmp_path)
    damaged, gone = Process(place.reports()), Process(place.reports())
    for process in (damaged, gone):
        process.add()
        process.report(lifetime=GONE)
    workers = tmp_path / "workers"
    for name in (f"{damaged.reporter.process}.json", "total.json"):
        document = json.loads((workers / name).read_text())
        (workers / name).write_text(json.dumps({**document, "counts": {**document["counts"], **odd}}))
        assert place.reports().read().counts == {KEY: 1}
        place.fold()
    assert place.reports().read().counts == {KEY: 1}


def test_what_crashes_leave(tmp_path: Path) -> None:
    """Unfinished files and files that cannot be read are removed an hour later; files of others stay."""
    place = FilePlace(tmp_path)
    Process(place.reports()).report()
    workers = tmp_path / "workers"
    ours = [f"{'0' * 16}.new", f"{'1' * 16}.json", ".total.json.0a", ".clock-0a"]
    for name in (*ours, "notes.txt"):
        (workers / name).write_text("half a")
    place.fold()
    assert {*ours} <= {file.name for file in workers.iterdir()}
    for name in (*ours, "notes.txt"):
        os.utime(workers / name, (time.time() - 4000,) * 2)
    place.fold()
    assert {file.name for file in workers.iterdir()} & {*ours, "notes.txt"} == {"notes.txt"}


def a_pipe(path: Path) -> None:
    """Make a pipe that no process writes to: to open it waits for one."""
    os.mkfifo(path)


def a_dangling_link(path: Path) -> None:
    """Make a link that leads nowhere."""
    path.symlink_to("nowhere")


def an_unreadable_file(path: Path) -> None:
    """Make a file that only root can read."""
    path.write_text("{")
    path.chmod(0)


def a_very_large_file(path: Path) -> None:
    """Make a file of 100 MB, which would take long to read."""
    with path.open("wb") as file:
        file.truncate(100_000_000)


STRANGE = [
    a_pipe,
    Path.mkdir,
    a_dangling_link,
    pytest.param(an_unreadable_file, marks=LIMITED),
    a_very_large_file,
]


def soon(function: Callable[[], T]) -> T:
    """Return the result of a function that must not wait for ever."""
    results: queue.Queue[T] = queue.Queue()
    threading.Thread(target=lambda: results.put(function()), daemon=True).start()
    return results.get(timeout=30)


@POSIX
@pytest.mark.parametrize("put", STRANGE)
def test_what_others_put_there(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """Whatever has the name of a report, no reader waits for it, and all other reports are read and folded."""
    place = FilePlace(tmp_path)
    gone, blocked, live = (Process(place.reports()) for _ in range(3))
    for process, lifetime in ((gone, GONE), (blocked, GONE), (live, 15.0)):
        process.report(lifetime=lifetime)
        process.add()
        process.report(lifetime=lifetime)
    strange = {f"{'0' * 16}.json", f"{'1' * 16}.gone", f"{live.reporter.process}.gone"}
    for name in (*strange, f"{'2' * 16}.new", f"{blocked.reporter.process}.gone"):
        put(tmp_path / "workers" / name)
    assert soon(place.reports().read).counts == {KEY: 3}
    soon(place.fold)
    workers = soon(place.reports().read)
    assert workers.counts == {KEY: 3}
    assert [report.process for report in workers.live] == [live.reporter.process]
    assert not (tmp_path / "workers" / f"{gone.reporter.process}.json").exists()
    is_replaced = put in (a_pipe, a_dangling_link)
    assert (tmp_path / "workers" / f"{blocked.reporter.process}.json").exists() != is_replaced
    live.add()
    soon(live.report)
    assert soon(place.reports().read).counts == {KEY: 4}


@POSIX
@pytest.mark.parametrize("put", [a_pipe, a_dangling_link, a_very_large_file])
def test_a_total_that_is_something_else(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """It counts as empty, and is replaced."""
    place = FilePlace(tmp_path)
    process = Process(place.reports())
    process.add()
    process.report(lifetime=GONE)
    put(tmp_path / "workers" / "total.json")
    assert soon(place.reports().read).counts == {KEY: 1}
    soon(place.fold)
    assert place.count() == 0
    assert soon(place.reports().read).counts == {KEY: 1}


@POSIX
@pytest.mark.parametrize("put", [a_pipe, a_dangling_link])
def test_an_unfinished_report_that_is_something_else(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """It is replaced, and what it leads to is left alone."""
    process = Process(FileReports(tmp_path))
    process.report()
    put(tmp_path / "workers" / f"{process.reporter.process}.new")
    process.add()
    soon(process.report)
    assert process.reporter.error == ""
    assert FileReports(tmp_path).read().counts == {KEY: 1}
    assert not (tmp_path / "workers" / "nowhere").exists()


@POSIX
@pytest.mark.parametrize("put", [a_pipe, a_dangling_link, a_very_large_file])
def test_noted_notices_that_are_something_else(tmp_path: Path, put: Callable[[Path], None]) -> None:
    """No notice counts as sent, and the next one that is sent is noted."""
    (tmp_path / "workers").mkdir()
    put(tmp_path / "workers" / "notices.json")

    def sent(revision: int) -> int:
        with FilePosition(tmp_path).claim("a log") as claim:
            assert claim is not None
            before = claim.sent
            assert claim.advance(revision)
            return before

    assert soon(lambda: sent(3)) == 0
    assert soon(lambda: sent(4)) == 3


def test_this_host_cannot_report(tmp_path: Path) -> None:
    """A command finds out whether a process of this user could report here, and what to do."""
    reports = FileReports(tmp_path)
    assert reports.obstacle(reports.read()) == ""
    Process(reports).report()
    assert reports.obstacle(reports.read()) == ""
    assert [file.suffix for file in (tmp_path / "workers").iterdir()] == [".json"]


@LIMITED
def test_this_user_may_not_write(tmp_path: Path) -> None:
    """That is an obstacle, unless a process of this host reports: then it is another user's."""
    reports = FileReports(tmp_path)
    Process(reports, host="web-9").report()
    (report,) = reports.read().live
    (tmp_path / "workers").chmod(0o500)
    try:
        assert not machine_id() or reports.obstacle(reports.read()) == ""
        elsewhere = Workers((replace(report, machine="0a", host="web-9"),), {})
        assert "this user may not write to" in reports.obstacle(elsewhere)
        assert "let the user of the application write there" in reports.obstacle(Workers((), {}))
    finally:
        (tmp_path / "workers").chmod(0o700)


_ON_A_DISK = """
import subprocess, sys
from pathlib import Path
from version_affinity.releases.log.entries import LogError
from version_affinity.releases.reports.files import FileReports
from version_affinity.releases.reports.report import Report

disk = Path(sys.argv[1])
reports = FileReports(disk)
reports.write(Report("0" * 16, 1, "web-1"), is_first=True)
if sys.argv[2] == "full":
    with (disk / "filler").open("wb", buffering=0) as filler:
        try:
            while filler.write(b"x" * 4096):
                pass
        except OSError:
            pass
else:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
try:
    reports.write(Report("0" * 16, 2, "web-1", error="x" * 10_000), is_first=False)
except LogError as error:
    print(error)
print(reports.obstacle(reports.read()))
workers = reports.read()
print([(report.host, report.number) for report in workers.live], sorted(it.suffix for it in reports.path.iterdir()))
"""


@pytest.mark.skipif(os.name != "posix", reason="no disk can be mounted")
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("full", "No space left on device: make room on the disk"),
        ("read-only", "Read-only file system: make the file system writable"),
    ],
)
def test_a_disk_that_takes_nothing(tmp_path: Path, state: str, reason: str) -> None:
    """The error says why, the last report stays, and it is read all the same."""
    written = on_a_disk(tmp_path / "disk", _ON_A_DISK, state).splitlines()
    why, remedy = reason.split(": ")
    assert written[0].endswith(f"workers cannot be written to: {reason}")
    assert written[1].endswith(f"workers' cannot be written to ({why}): {remedy}")
    assert written[2] == "[('web-1', 1)] ['.json']"
