"""The results as Markdown tables for the README, and as JSON."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from .contestants import ALONE, FOLLOWING, LISTED, NULL, SHARED_DATA, WHITENOISE, ours
from .loading import IN_MEMORY, INDEX_ALONE
from .loading import WHITENOISE as WHITENOISE_LOAD
from .requests import NULL_OF_BARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from .loading import Load, Pauses
    from .timing import Timing

#: The bar for loading: this part of the seconds of WhiteNoise's scan. The index alone may take all of its megabytes.
_LOAD_PART = 0.5

_TIMES = "\N{MULTIPLICATION SIGN}"
_NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row's times by contestant, measured in one run, in turns, and its bar as in ``Row``."""

    title: str
    bar: float | None
    timings: Mapping[str, Timing]


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured.

    Attributes:
        numbers: The numbers of versions that took part.
        requests: By the number of files in each version.
        assignments: Per second, by the number of versions.
        loaded_files: How many files the loads were of.
        loads: By who loaded.
        pauses: By what was done while requests were answered.
    """

    numbers: Sequence[int]
    requests: Mapping[int, Sequence[RowResult]]
    assignments: Mapping[int, float]
    loaded_files: int
    loads: Mapping[str, Load]
    pauses: Mapping[str, Pauses]

    def as_dict(self) -> dict[str, Any]:
        """Return the results as lists and objects that JSON can carry."""
        return {"machine": machine(), **asdict(self)}


def machine() -> str:
    """Return what the figures were measured on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("whitenoise", "werkzeug"))
    system = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()}"
    return f"{_processor()}, {os.cpu_count()} processors; {system}; {packages}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def markdown(results: Results) -> Iterator[str]:
    """Yield the lines of the report."""
    files, rows = next(iter(results.requests.items()))
    main = ours(min(results.numbers, key=lambda number: abs(number - 2)))
    null = median(row.timings[NULL].total for row in rows)
    yield f"Measured on: {machine()}."
    yield ""
    yield f"## Requests ({main}, {files:,} files each)"
    yield ""
    yield (
        "Microseconds of processor time per request, net of a null app that is called with the same environ in the "
        f"same rounds. The null app takes {null:.2f} µs (median), with the copy of the environ and the iteration and "
        "closing of the body. For requests that are passed on, the null app is the application behind. The bars were "
        f"set with a null app of {NULL_OF_BARS:.2f} µs, so each bar is compared twice: in microseconds, and in "
        "multiples of the null app."
    )
    yield ""
    yield from table(
        (
            "request",
            main,
            f"{_TIMES} null app",
            "bar",
            f"bar {_TIMES} null app",
            f"met: µs, {_TIMES} null",
            ALONE,
            WHITENOISE,
            SHARED_DATA,
        ),
        (_request_line(row, main) for row in rows),
    )
    yield ""
    yield "## Ratios"
    yield ""
    yield (
        "The time of the others divided by the time of version_affinity: net of the null app, and in brackets "
        "including it, as a server sees it. Below 1 the others are faster; they decide nothing, count nothing, and "
        "know one version. They read each file from the disk, and their bodies are iterated here, where a server may "
        "use sendfile. This package holds small files in memory, except in the rows that say otherwise, which are the "
        "direct comparison."
    )
    yield ""
    yield from table(
        ("request", f"{WHITENOISE} ÷ ours", f"{SHARED_DATA} ÷ ours", f"{WHITENOISE} ÷ {ALONE}"),
        (
            (row.title, _ratio(row, WHITENOISE, main), _ratio(row, SHARED_DATA, main), _ratio(row, WHITENOISE, ALONE))
            for row in rows
        ),
    )
    following = [row for row in rows if FOLLOWING in row.timings]
    if following:
        yield ""
        yield "## Releases that are followed, beside a list"
        yield ""
        yield (
            "Net microseconds per request while two versions share the users: two uploaded directories as a list, and "
            "the same directories followed by a thread that looks at them four times in a second."
        )
        yield ""
        yield from table(("request", "list", "Releases", "Releases ÷ list"), map(_following_line, following))
    yield ""
    yield "## More versions, more files"
    yield ""
    yield (
        "Net microseconds per request, by the number of files in each version and the number of known versions. The "
        "versions share 95 % of their files."
    )
    yield ""
    columns = [(count, ours(number), number) for count in results.requests for number in results.numbers]
    yield from table(
        ("request", *(f"{count:,} {_TIMES} {number}" for count, _, number in columns)),
        (
            (title, *(_net(results.requests[count][place], name) for count, name, _ in columns))
            for place, title in enumerate(row.title for row in rows)
        ),
    )
    if not results.loads:
        return
    yield ""
    yield "## Assignments"
    yield ""
    yield from table(
        ("versions", "assignments per second"),
        ((str(number), f"{rate:,.0f}") for number, rate in results.assignments.items()),
    )
    yield ""
    yield f"## Loading {results.loaded_files:,} files, from the operating system's cache"
    yield ""
    yield from table(("", "processor seconds", "MB", f"÷ {WHITENOISE}: s, MB", "bar met"), _load_lines(results.loads))
    yield ""
    yield f"## Requests while {results.loaded_files:,} files are loaded in the same process"
    yield ""
    yield (
        "Milliseconds that a request waits for Python's lock, with a request every millisecond while another thread "
        "loads. No request waits for the disk. Python passes the lock on every 5 ms, and the garbage collector holds "
        "the lock while it walks the objects of the process."
    )
    yield ""
    yield from table(
        ("while", "half wait no longer than", "99 of 100", "longest wait"),
        (
            (what, f"{pauses.half:.1f}", f"{pauses.most:.1f}", f"{pauses.worst:.0f}")
            for what, pauses in results.pauses.items()
        ),
    )


def _request_line(row: RowResult, main: str) -> tuple[str, ...]:
    mine = row.timings.get(main)
    null = row.timings[NULL].total
    others = (_net(row, ALONE), _net(row, WHITENOISE), _net(row, SHARED_DATA))
    if mine is None:
        return (row.title, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, *others)
    multiple = mine.net / null
    measured = (row.title, f"{mine.net:.2f}", f"{multiple:.1f}")
    if row.bar is None:
        return (*measured, _NOTHING, _NOTHING, _NOTHING, *others)
    allowed = row.bar / NULL_OF_BARS
    met = f"{_yes(mine.net <= row.bar)}, {_yes(multiple <= allowed)}"
    return (*measured, f"{row.bar:g}", f"{allowed:.1f}", met, *others)


def _net(row: RowResult, contestant: str) -> str:
    timing = row.timings.get(contestant)
    return _NOTHING if timing is None else f"{timing.net:.2f}"


def _following_line(row: RowResult) -> tuple[str, ...]:
    given, followed = row.timings[LISTED].net, row.timings[FOLLOWING].net
    return (row.title, f"{given:.2f}", f"{followed:.2f}", f"{followed / given:.2f}")


def _ratio(row: RowResult, other: str, main: str) -> str:
    if main not in row.timings or other not in row.timings:
        return _NOTHING
    theirs, mine = row.timings[other], row.timings[main]
    return f"{theirs.net / mine.net:.2f} ({theirs.total / mine.total:.2f})"


def _load_lines(loads: Mapping[str, Load]) -> Iterator[tuple[str, ...]]:
    scan = loads[WHITENOISE_LOAD]
    for who, load in loads.items():
        seconds, megabytes = load.seconds / scan.seconds, load.megabytes / scan.megabytes
        met = {
            WHITENOISE_LOAD: "",
            INDEX_ALONE: f"{_yes(seconds <= _LOAD_PART)}, {_yes(megabytes <= 1)}",
            IN_MEMORY: _yes(seconds <= _LOAD_PART),
        }
        yield who, f"{load.seconds:.2f}", f"{load.megabytes:.0f}", f"{seconds:.2f}, {megabytes:.2f}", met[who]


def _yes(met: bool) -> str:
    return "yes" if met else "**no**"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a Markdown table: its first column to the left, the others to the right."""
    yield f"| {' | '.join(head)} |"
    yield f"|{'|'.join(('---', *('---:' for _ in head[1:])))}|"
    for line in lines:
        yield f"| {' | '.join(line)} |"
