"""Random histories of a ramp: eight processes around one log, with clocks that differ, crashes, outages and persons.

Some processes do not follow for a while: they read the log, and go on to serve an earlier deployment.

The log is the real one, in a file. Time and reports are values.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.budget import budget
from tests.ramp.ramping import BASE, BEGUN, failing
from version_affinity import ConfigurationError
from version_affinity.ramp.judgement import SILENCE, Observed
from version_affinity.ramp.next_entry import UNKNOWN_LOOKS, command, look, start
from version_affinity.ramp.plan import ACTIVE, TRANSITIONS, Ramp, RampPlan
from version_affinity.releases.log.entries import Details, Entry, LogConflictError
from version_affinity.releases.log.file import FileLog
from version_affinity.releases.times import format_time

PROCESSES = 8
EVERY = timedelta(minutes=10)
LOOK = timedelta(seconds=40)
PAUSE = timedelta(seconds=100)
FAULTY = failing([(entry, entry, True) for entry in range(40) for _ in range(12)])


@dataclass
class Process:
    """A worker: what it has read, and since when it runs.

    Attributes:
        offset: How far its clock is ahead.
        entries: What it has read; None before its first look at the log.
        arrived: When it saw the newest entry arrive, by its clock.
        serves: The revision that it serves.
        stuck: Since when it does not follow; None if it does.
        behind: Since when it sees that other processes do not serve the newest entry, by their number.
    """

    log: FileLog
    offset: timedelta
    started: datetime = BEGUN
    entries: list[Entry] | None = None
    arrived: datetime | None = None
    serves: int = 0
    stuck: datetime | None = None
    behind: dict[int, datetime] = field(default_factory=dict)


@dataclass
class World:
    """Eight processes around one log, all that happens by true time, and what was written when."""

    log: FileLog
    plan: RampPlan
    processes: list[Process]
    now: datetime = BEGUN
    outage: datetime | None = None  # since when there are no reports
    fresh: datetime = BEGUN - EVERY  # since when there are reports again
    is_faulty: bool = False
    times: dict[int, datetime] = field(default_factory=dict)  # by revision
    freshness: dict[int, timedelta] = field(default_factory=dict)
    stuck_for: dict[int, timedelta] = field(default_factory=dict)  # the process that did not follow for longest

    def lagging(self, revision: int) -> dict[int, Process]:
        """Return the processes that run and do not serve a revision, by their number."""
        return {at: it for at, it in enumerate(self.processes) if it.entries is not None and it.serves < revision}

    def observed(self, process: Process) -> Observed:
        """Return what a process knows from reports."""
        silent_for = self.now - self.outage if self.outage else timedelta(0)
        since = max(self.fresh, process.started) if silent_for <= SILENCE else self.now
        lagging = self.lagging(len(process.entries or ()))
        process.behind = {at: max(since, process.behind.get(at, self.now)) for at in lagging}
        return Observed(
            behind=", ".join(map(str, lagging)),
            behind_for=self.now - min(process.behind.values(), default=self.now),
            fresh_for=timedelta(0) if silent_for > SILENCE else self.now - max(self.fresh, process.started),
            silent_for=silent_for,
            failing=FAULTY if self.is_faulty else {},
            loaded=frozenset({"v1", "v2"}),
            arrived=process.arrived,
        )

    def append(self, log: FileLog, entry: Entry) -> bool:
        """Append an entry if its revision is still the next one."""
        try:
            log.append(entry.percentages, expected=entry.revision - 1, details=entry.details)
        except LogConflictError:
            return False
        self.times[entry.revision] = self.now
        return True

    def read(self, process: Process) -> None:
        """Let a process read the log."""
        entries = process.log.read()
        new = entries[len(process.entries or ()) :]
        if new and (process.entries is None or not all(map(is_warning, new))):
            process.arrived = None if process.entries is None else self.now + process.offset
            process.behind = {}
        if process.stuck is None:
            process.serves = len(entries)
        process.entries = entries

    def write(self, process: Process) -> None:
        """Let a process act on what it has read, which may be out of date."""
        if process.entries is None:
            return
        observed = self.observed(process)
        found = look(process.entries, observed, self.now + process.offset)
        if found.entry is not None and self.append(process.log, found.entry):
            self.freshness[found.entry.revision] = observed.fresh_for
            stuck = [it.stuck or self.now for it in self.lagging(found.entry.revision - 1).values()]
            if stuck:
                self.stuck_for[found.entry.revision] = self.now - min(stuck)

    def crash(self, process: Process) -> None:
        """Let a process begin anew, with nothing that it knew."""
        process.log = FileLog(self.log.description)
        process.started, process.entries, process.arrived = self.now, None, None
        process.serves, process.stuck, process.behind = 0, None, {}

    def stick(self, process: Process) -> None:
        """Let a process serve what it serves, whatever it reads; or let it follow again."""
        process.stuck = self.now if process.stuck is None and process.entries is not None else None

    def crash_all(self, time: timedelta, source: random.Random) -> None:
        """Let all processes be away for a time, and begin anew at once."""
        self.now += time
        for process in self.processes:
            self.crash(process)
        self.turn(source)

    def run(self, time: timedelta, source: random.Random) -> None:
        """Let time pass. Again and again, all processes read, and then all write: only the log keeps them apart."""
        until = self.now + time
        while self.now < until:
            self.now = min(self.now + PAUSE, until)
            self.turn(source)

    def turn(self, source: random.Random) -> None:
        """Let all processes read, and then all write."""
        for act in (self.read, self.write):
            for process in source.sample(self.processes, PROCESSES):
                act(process)

    def person(self, event: str, source: random.Random) -> None:
        """Let a person write a command, if the ramp's state allows it. Some commands "end" a ramp."""
        entries = self.log.read()
        if event == "end":
            event = source.choice(("promote", "abort", "deploy"))
        if event == "deploy":
            self.append(self.log, Entry(len(entries) + 1, {"v1": 40.0, "v2": 60.0}, format_time(self.now), "ada"))
            return
        step = Ramp.from_json(entries[-1].ramp).step + 1 if entries[-1].ramp else None
        try:
            entry = command(entries, event, self.observed(self.processes[0]), self.now, step=step, author="ada")
        except ConfigurationError:
            return
        self.append(self.log, entry)

    def set_outage(self, begins: bool, source: random.Random) -> None:
        """Begin or end an outage of the reports. At its end, all processes are there at once."""
        if begins:
            self.outage = self.outage or self.now
        elif self.outage:
            self.outage, self.fresh = None, self.now
            self.turn(source)


def is_warning(entry: Entry) -> bool:
    """Return whether an entry leaves the step and the state as they are."""
    return entry.ramp is not None and entry.ramp["evidence"]["event"] == "halt: warn"


SINGLE = ("restart", "read", "write", "crash", "stick")
ACTS = ("run",) * 8 + ("pass", "crash all", "outage", "fault", "stick", *SINGLE) + ("person",) * 4
COMMANDS = ("approve", "approve", "pause", "resume", "advance", "end")
SECONDS = (1, 39, 40, 300, 599, 600, 1500)


def drawn(source: random.Random) -> tuple[RampPlan, list[int], list[tuple[str, Any]]]:
    """Return a plan, how far the clocks are ahead in seconds, and what happens."""
    plan = RampPlan(
        "v2",
        source.choice([(1, 25, 50, 100), (5, 10, 15, 20, 25, 30)]),
        EVERY,
        source.choice([timedelta(0), EVERY]),
        approve_at=source.choice([(), (25,)]),
        on_halt=source.choice(["hold", "rollback", "warn"]),
    )
    clocks = [source.choice((0, source.randint(-120, 120))) for _ in range(PROCESSES)]
    acts: list[tuple[str, Any]] = []
    for what in source.choices(ACTS, k=source.randint(3, 25)):
        detail: Any = timedelta(seconds=source.choice(SECONDS))
        if what in SINGLE:
            detail = source.randrange(PROCESSES)
        elif what in ("outage", "fault"):
            detail = source.random() < 0.5
        elif what == "person":
            detail = source.choice(COMMANDS)
        acts.append((what, detail))
    return plan, clocks if source.random() < 0.7 else [0] * PROCESSES, acts


def carry_out(world: World, act: tuple[str, Any], source: random.Random) -> None:
    """Let one thing happen."""
    what, detail = act
    if what in SINGLE:
        for name in ("crash", "read", "write") if what == "restart" else (what,):
            getattr(world, name)(world.processes[detail])
    elif what in ("run", "crash all", "person"):
        {"run": world.run, "crash all": world.crash_all, "person": world.person}[what](detail, source)
    elif what == "pass":
        world.now += detail
    elif what == "outage":
        world.set_outage(detail, source)
    else:
        world.is_faulty = detail


def check(world: World, skew: timedelta) -> None:
    """Check everything that was written."""
    entries = world.log.read()
    steps, warned = set(), set()
    begun = world.times[entries[1].revision]
    for before, entry in pairwise(entries[1:]):
        if entry.author != "ramp":
            begun = world.times[entry.revision]
            continue
        assert before.ramp is not None, "a worker acts past a person's deployment"
        was, now = Ramp.from_json(before.ramp), Ramp.from_json(entry.ramp)
        event = now.evidence["event"]
        assert was.id == now.id
        assert was.state in TRANSITIONS[event].before
        assert now.state in (TRANSITIONS[event].after or (was.state,))
        assert now.since >= was.since
        if TRANSITIONS[event].percentages == "base":
            assert entry.percentages == BASE
        else:
            expected = world.plan.percentages(BASE, now.percentage)
            assert {**expected, **entry.percentages} == expected
        if event in ("step due", "approval due", "bake over"):
            assert world.times[entry.revision] - begun >= EVERY - skew, "early"
            assert world.freshness[entry.revision] >= LOOK
            assert entry.revision not in world.stuck_for, "a step is taken although a worker does not follow"
        if event == "workers behind":
            assert world.stuck_for[entry.revision] > SILENCE + UNKNOWN_LOOKS * LOOK
        if event == "step due":
            assert now.step == was.step + 1
            assert now.step not in steps, "a step is taken twice"
            steps.add(now.step)
        if event == "halt: warn":
            assert now.step not in warned, "a step has two warnings"
            warned.add(now.step)
        else:
            begun = world.times[entry.revision]


@budget(100)
@given(seed=st.integers(0, 2**32))
def test_random_histories(seed: int) -> None:
    """Each step has one writer, none is early or taken twice, and no worker acts past a person's deployment.

    When all is well again, the ramp ends: a person resumes and approves, nothing else is needed.
    """
    source = random.Random(seed)
    plan, clocks, history = drawn(source)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "deployments.jsonl")
        log = FileLog(file)
        log.append(BASE, expected=0, details=Details(created=format_time(BEGUN)))
        world = World(log, plan, [Process(FileLog(file), timedelta(seconds=offset)) for offset in clocks])
        world.append(log, start(log.read(), plan, world.observed(world.processes[0]), world.now, author="ada"))
        for act in history:
            carry_out(world, act, source)
        world.set_outage(False, source)
        world.is_faulty = world.is_faulty and plan.on_halt == "warn"
        for process in world.processes:
            process.stuck = None
        for _ in range(2 * len(plan.steps) + 4):
            newest = log.read()[-1]
            if newest.ramp is None or Ramp.from_json(newest.ramp).state not in ACTIVE:
                break
            world.person("resume", source)
            world.person("approve", source)
            world.run(EVERY + 4 * timedelta(minutes=1), source)
        check(world, timedelta(seconds=max(0, *clocks) - min(0, *clocks)))
        assert newest.ramp is None or Ramp.from_json(newest.ramp).state not in ACTIVE, "the ramp does not end"
