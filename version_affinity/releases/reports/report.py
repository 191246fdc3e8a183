"""The report of one process, and what the reports of all processes say together."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass, field, fields
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from version_affinity.wire import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from version_affinity.releases.log.entries import Entry

#: Seconds between two reports of a process in which nothing changes.
HEARTBEAT: Final = 5.0
#: Seconds in which the processes that are gone are added to the total once, by any process.
FOLDING: Final = 5
# Seconds without a report after which a process may have been killed, or its host may be unreachable.
_SILENT: Final = 1.5 * HEARTBEAT
#: Why a process lacks a version that is not on its host.
NOT_THERE: Final = "it is not there"
#: Why a process lacks a version that it is loading.
LOADING: Final = "it is still being loaded"
#: The key of the counter of failed readings of the log.
LOG_ERRORS: Final = "log_errors"
_LONGEST_KEY: Final = 1000
_MOST_COUNTED: Final = 2**62
# Seconds between two looks of a command that waits for reports.
_INTERVAL: Final = 0.2
# Changes with each start of the machine.
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
# The process ids of a container are its own.
_PROCESS_IDS: Final = "/proc/self/ns/pid"
# In /proc/<pid>/stat (proc(5)), after the name of the program.
_STATE: Final = 0
_START_TIME: Final = 19
# Seconds after which any process that is silent counts as gone, whatever its report says: more than any lifetime.
_LONGEST_LIFETIME: Final = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Report:
    """One process, as it reports itself.

    Attributes:
        process: A random id of 16 hexadecimal digits. A forked process has another one.
        number: 1 for the first report under this id, 2 for the second one, and so on.
        host, pid: The name of its host, and its process id there.
        machine, birth: Identify the machine's start and the process's start there; "" if they are unknown.
        parent: The id of the process that started it; 0 if unknown.
        started, written: When the process started to follow, and when it wrote the report, by the clock of its host.
        lifetime: Seconds after which the process counts as gone if it has not reported again.
        ended: Whether this is the last report of the process.
        revision: The deployment that it serves.
        log_revision: The newest deployment that it has read.
        versions: The versions that it has loaded.
        unloaded: Other versions that are uploaded on its host. It loads them once they are deployed.
        failures: Version id to why the version cannot be loaded.
        loading: Versions that it is loading, or will load next, to since when, by the clock of its host. One that could
            not be loaded before is among the ``failures`` too.
        error: Why the log or the directory cannot be read; "" if they can.
        left: Versions that it does not know any more. Their counters are those of "other" now.
        counts: The counters of this process since it started, by key (``Counts.flat``, ``Hours``, ``LOG_ERRORS``).
        failing: The failing units of the newest ramp (``ramp.failing.Failures``), "" for none.
        age: Seconds since the report was written, by the clock of the disk or server that stores it.
    """

    process: str
    number: int
    host: str = ""
    pid: int = 0
    machine: str = ""
    birth: str = ""
    parent: int = 0
    started: str = ""
    written: str = ""
    lifetime: float = 3 * HEARTBEAT
    ended: bool = False
    revision: int = 0
    log_revision: int = 0
    versions: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict, hash=False)
    loading: Mapping[str, str] = field(default_factory=dict, hash=False)
    error: str = ""
    left: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict, hash=False)
    failing: str = ""
    age: float = 0.0

    def as_text(self) -> str:
        """Return the report as JSON, without its age."""
        document = {name: getattr(self, name) for name in _READ}
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | bytes, age: float = 0.0) -> Report | None:
        """Return the report in a text, None for a damaged text. Unknown keys are ignored."""
        try:
            document = json.loads(text)
            given = {name: read(document[name]) for name, read in _READ.items() if name in document}
            return cls(**given, age=age)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return None

    @property
    def known(self) -> tuple[str, ...]:
        """The versions that are loaded, or should be."""
        return tuple(dict.fromkeys((*self.versions, *self.failures, *self.loading)))

    def is_gone(self) -> bool:
        """Return whether the process has ended, or is silent for too long. Clocks may be set back: then it is both."""
        if self.ended or not abs(self.age) <= min(self.lifetime, _LONGEST_LIFETIME):  # also for NaN
            return True
        return bool(self.machine) and self.machine == machine_id() and self.birth != birth_of(self.pid, self.birth)

    def is_of_this_host(self) -> bool:
        """Return whether the process runs on the host of the caller, as far as this is known."""
        return self.host == socket.gethostname() or (bool(self.machine) and self.machine == machine_id())

    def lacks(self, version: str) -> str:
        """Return why this process could not serve a version if it were deployed; "" if it could."""
        if version in self.versions or version in self.unloaded:
            return ""
        return self.failures.get(version, LOADING if version in self.loading else NOT_THERE)

    def is_loading(self, version: str) -> bool:
        """Return whether this process is about to have a version for the first time."""
        return self.lacks(version) == LOADING

    def lags(self, entry: Entry, awaited: Collection[str] = ()) -> str:
        """Return why this process does not serve a deployment; "" if it serves this one, or a later one.

        ``awaited`` are the versions that another process is loading.
        """
        if self.revision > entry.revision:
            return self.error  # of a log that has lost what this process serves
        missing = [version for version in entry.live if version not in self.versions]
        for version in missing:
            if version in self.failures:
                return f"it cannot load {version}: {self.failures[version]}"
        if self.revision == entry.revision and not missing:
            return ""
        reason = f"it still serves revision {self.revision}"
        if self.log_revision < entry.revision:
            silent = f", and has not reported for {self.age:.0f} seconds" if self.age > _SILENT else ""
            reason = f"it has read revision {self.log_revision} so far{silent}"
        elif missing:
            absent = ", ".join(version for version in missing if self.lacks(version) == NOT_THERE)
            loading = ", ".join(version for version in missing if self.is_loading(version))
            reason = f"it has not loaded {', '.join(missing)} so far"
            reason = f"it lacks {absent}" if absent else f"it is still loading {loading}" if loading else reason
        elif awaited:
            reason = f"it waits until all workers have loaded {', '.join(awaited)}"
        return self.error or reason

    def is_settled(self, entry: Entry) -> bool:
        """Return whether this process serves a deployment, or cannot, because it lacks a version."""
        lacking = [reason for version in entry.live if (reason := self.lacks(version))]
        failed = self.log_revision >= entry.revision and any(reason != LOADING for reason in lacking)
        return failed or not self.lags(entry)


def _texts(value: dict[Any, Any]) -> dict[str, str]:
    return {str(key): str(text) for key, text in value.items()}


def is_counter(key: str, number: object) -> bool:
    """Return whether a process may have counted this.

    Anybody who may write to the directory of the reports may write anything else there. Python refuses to read or write
    integers of thousands of digits.
    """
    return len(key) <= _LONGEST_KEY and type(number) is int and 0 <= number <= _MOST_COUNTED


def _numbers(value: dict[str, int]) -> dict[str, int]:
    if not all(is_counter(key, number) for key, number in value.items()):
        raise ValueError("the report has impossible counters")
    return value


def _ids(value: list[Any]) -> tuple[str, ...]:
    return tuple(map(str, value))


_TYPES: Final[dict[str, Callable[[Any], Any]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "tuple[str, ...]": _ids,
    "Mapping[str, str]": _texts,
    "Mapping[str, int]": _numbers,
}
# How each field is read from JSON.
_READ: Final = {field.name: _TYPES[str(field.type)] for field in fields(Report) if field.name != "age"}


@dataclass(frozen=True, slots=True)
class Workers:
    """All processes that follow one log.

    Attributes:
        live: The reports of the processes that run, by host and process id.
        counts: What all processes have counted, those that have ended included, by key (``Counts.flat``).
        obstacle: Why the reports cannot be read, or processes of this host may be unable to report
            (``Reports.obstacle``); "" if nothing shows that.
        masters: Processes that run, have started others, and have served no request themselves, such as a server's
            master. Workers that are forked from one have what it has loaded.
        failing: What all processes report as failing, those that have ended included; several texts.
        since: When the first of all these processes started; "" if that is unknown.
    """

    live: tuple[Report, ...]
    counts: Mapping[str, int]
    obstacle: str = ""
    masters: tuple[Report, ...] = ()
    failing: tuple[str, ...] = ()
    since: str = ""

    @property
    def are_unknown(self) -> bool:
        """Whether nothing is known of what the processes have counted: that is not zero."""
        return bool(self.obstacle) and not self.counts

    def lagging(self, entry: Entry) -> list[tuple[Report, str]]:
        """Return the processes that do not serve a deployment or a later one, and why not."""
        awaited = [version for version in entry.live if any(report.is_loading(version) for report in self.live)]
        return [(report, reason) for report in self.live if (reason := report.lags(entry, awaited))]

    def serving(self, entry: Entry) -> str:
        """Return how many processes serve a deployment or a later one: "3 of 3 workers serve revision 7"."""
        live, serving = len(self.live), len(self.live) - len(self.lagging(entry))
        hosts = len({report.host for report in self.live})
        who = f"{live} {'worker' if live == 1 else 'workers'}" + (f" on {hosts} hosts" if hosts > 1 else "")
        return f"{serving} of {who} {'serves' if 1 in (serving, live) else 'serve'} revision {entry.revision}"

    def lag_reasons(self, entry: Entry) -> list[str]:
        """Return who does not serve a deployment, and why: a text for all processes of a host with the same reason."""
        groups: dict[tuple[str, str], list[str]] = {}
        for report, reason in self.lagging(entry):
            groups.setdefault((report.host, reason), []).append(str(report.pid))
        lines = []
        for (host, reason), (*most, last) in groups.items():
            processes = f"processes {', '.join(most)} and {last}" if most else f"process {last}"
            lines.append(f"{printable(host)}, {processes}: {printable(reason)}")
        return lines

    def lacking(self, versions: Iterable[str]) -> dict[str, dict[str, str]]:
        """Return, for each host on which a process lacks versions, those versions and why they are missing."""
        wanted = list(versions)
        missing: dict[str, dict[str, str]] = {}
        for report in self.live:
            reasons = {version: reason for version in wanted if (reason := report.lacks(version))}
            if reasons:
                missing.setdefault(report.host, {}).update(reasons)
        return missing

    def unloadable(self, versions: Iterable[str]) -> dict[str, str]:
        """Return the versions that every process has tried to load in vain, and why."""
        failures = [report.failures for report in self.live]
        return {it: failures[0][it] for it in versions if failures and all(it in failed for failed in failures)}

    def ahead(self, revision: int) -> list[Report]:
        """Return the processes that have read a later deployment than the log's newest."""
        return [report for report in self.live if report.log_revision > revision]

    def loaded_by_all(self) -> frozenset[str] | None:
        """Return the versions that every process has loaded; None where no process reports."""
        return frozenset.intersection(*(frozenset(report.versions) for report in self.live)) if self.live else None


class Observation(NamedTuple):
    """The deployments, and all processes that follow them.

    Attributes:
        entries: The deployments, oldest first, as far as this process could read them.
        workers: The processes; None if their reports cannot be read.
        error: Why the log cannot be read; "" if it can.
        report_error: Why this process cannot report; "" if it can, or should not.
    """

    entries: Sequence[Entry]
    workers: Workers | None
    error: str = ""
    report_error: str = ""


class Reports(Protocol):
    """Where the processes that follow one log report: files beside a file log, a hash beside a log in Redis.

    All methods raise ``LogError``.
    """

    @property
    def description(self) -> str:
        """The place's name in messages."""

    def read(self) -> Workers:
        """Return what all processes report now."""

    def write(self, report: Report, *, is_first: bool) -> int | None:
        """Replace the report of a process. ``is_first`` if none of this process is known to be written.

        Return None; but if the process counted as gone, so that its counters were added to the total: the number of the
        report that was added. Then nothing is written, and the process continues under a new id with the difference.
        ``REPORT_LOST`` if neither the earlier report nor a total with it is there.
        """

    def fold(self, known: Collection[str]) -> None:
        """Add the counters of processes that are gone to the total, if it is time to.

        Series of versions that are neither ``known`` nor loaded by a live process become those of "other".
        """

    def obstacle(self, workers: Workers) -> str:
        """Return why processes of this host may be unable to report, with the remedy; "" if nothing shows that.

        ``workers`` are those that report. Only commands ask, since a byte is written to find out.
        """


#: The answer of ``Reports.write`` if the earlier report has disappeared.
REPORT_LOST: Final = -1


def in_order(reports: Iterable[Report]) -> tuple[tuple[Report, ...], tuple[Report, ...]]:
    """Return the reports of processes that run, by host and process id: those of workers, and those of masters."""
    live = [report for report in reports if not report.is_gone()]
    live.sort(key=lambda it: (it.host, it.pid, it.process))
    parents = {(report.host, report.machine, report.parent) for report in live if report.parent}
    masters = [it for it in live if (it.host, it.machine, it.pid) in parents and not it.counts.keys() - {LOG_ERRORS}]
    return tuple(report for report in live if report not in masters), tuple(masters)


def await_revision(reports: Reports, entry: Entry, timeout: float) -> Workers:
    """Wait, at most ``timeout`` seconds, until every live process serves a deployment or cannot; return the reports.

    ``Workers.lagging`` says who does not serve it.
    """
    until = time.monotonic() + timeout
    while True:
        workers = reports.read()
        left = until - time.monotonic()
        if left <= 0 or all(report.is_settled(entry) for report in workers.live):
            return workers
        time.sleep(min(_INTERVAL, left))


@cache
def machine_id() -> str:
    """Return an id that all processes share that see each other's process ids; "" if that is unknown."""
    try:
        parts = _BOOT.read_text("ascii"), os.readlink(_PROCESS_IDS)  # noqa: PTH115 - not a path
    except (OSError, ValueError, AttributeError):  # not on Linux
        return ""
    return sha256("".join(parts).encode()).hexdigest()[:12]


def birth_of(pid: int, unknown: str = "") -> str | None:
    """Return when a process of this machine started, None if there is none; ``unknown`` if that cannot be seen."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return unknown if _exists(pid) else None  # /proc may hide the processes of other users
    except OSError:
        return unknown
    values = text.rpartition(b")")[2].split()
    return None if values[_STATE] in (b"Z", b"X") else values[_START_TIME].decode()


def _exists(pid: int) -> bool:
    if pid <= 0:
        return False  # to the system, that is a group of processes
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # another user's
    return True
