"""``python -m benchmarks [--quick] [--json] [--http]``: measure, and print Markdown tables or JSON."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from . import over_http, readme
from .assigning import assignments_per_second
from .contestants import NULL, Builds
from .loading import measure_loads, measure_pauses
from .report import Results, RowResult, markdown
from .requests import Row, Rows
from .timing import Stopwatch, check
from .trees import grow


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        versions: How many versions take part, a contestant for each number.
        files: How many files each version has.
        loaded_files: How many files the loads are of.
        sittings: How often the rows are gone through.
        rounds: In each sitting, the turns of each contestant in a row.
        block: The requests in one turn.
        load_rounds: How often each load is made.
        http_rounds: The turns of each server.
        http_seconds: How long each takes.
    """

    versions: tuple[int, ...]
    files: tuple[int, ...]
    loaded_files: int
    sittings: int
    rounds: int
    block: int
    load_rounds: int
    http_rounds: int
    http_seconds: int


FULL = Scale(
    versions=(1, 2, 5, 20),
    files=(1_000, 20_000),
    loaded_files=50_000,
    sittings=2,
    rounds=51,
    block=200,
    load_rounds=5,
    http_rounds=9,
    http_seconds=5,
)
QUICK = Scale(
    versions=(1, 2),
    files=(1_000,),
    loaded_files=5_000,
    sittings=1,
    rounds=51,
    block=200,
    load_rounds=1,
    http_rounds=5,
    http_seconds=1,
)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer versions, files and rounds: for a first look")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON instead of tables")
    parser.add_argument("--rows", default="", help="only rows whose title has this text, without assignments and loads")
    parser.add_argument("--http", action="store_true", help="instead, a small file over sockets: granian against nginx")
    parser.add_argument(
        "--readme",
        type=Path,
        metavar="FILE",
        help="write three rows into the table between the markers of a README too",
    )
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    if options.http:
        served = run_over_http(scale)
        shown, lines = served.as_dict(), over_http.markdown(served)
    else:
        results = run(scale, options.rows)
        shown, lines = results.as_dict(), markdown(results)
        if options.readme:
            readme.write(results, options.readme)
    print(json.dumps(shown, indent=2) if options.json else "\n".join(lines))


def run_over_http(scale: Scale) -> over_http.HttpResults:
    """Measure real servers, with builds in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="version-affinity-benchmark-") as temporary:
        return over_http.measure(Path(temporary), rounds=scale.http_rounds, seconds=scale.http_seconds)


def run(scale: Scale, chosen: str = "") -> Results:
    """Measure everything, or the rows with some text in their titles, with builds in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="version-affinity-benchmark-") as temporary:
        root = Path(temporary)
        requests = {files: _time_requests(root / str(files), files, scale, chosen) for files in scale.files}
        if chosen:
            return Results(scale.versions, requests, {}, scale.loaded_files, {}, {})
        _say("assignments")
        numbers = [number for number in scale.versions if number > 1]
        assignments = assignments_per_second(numbers, rounds=scale.sittings * scale.rounds)
        _say(f"loading {scale.loaded_files:,} files")
        builds = grow(root / "load", versions=2, files=scale.loaded_files)
        loads = measure_loads(builds[0], rounds=scale.load_rounds)
        _say(f"requests while {scale.loaded_files:,} files are loaded")
        pauses = measure_pauses(builds, rounds=scale.load_rounds)
    return Results(scale.versions, requests, assignments, scale.loaded_files, loads, pauses)


def _time_requests(root: Path, files: int, scale: Scale, chosen: str) -> list[RowResult]:
    _say(f"{max(scale.versions)} versions of {files:,} files")
    directories = grow(root, versions=max(scale.versions), files=files, others=True)
    # With the fewest files alone: what a thread beside the requests costs does not grow with them.
    releases = root / "releases" if files == min(scale.files) else None
    with closing(Builds(directories, scale.versions, releases)) as builds:
        return _time_rows([row for row in Rows(builds) if chosen in row.title], scale, chosen)


def _time_rows(rows: list[Row], scale: Scale, chosen: str) -> list[RowResult]:
    if not rows:
        sys.exit(f"no row's title has {chosen!r}")
    watches = [Stopwatch(NULL) for _ in rows]
    # Each row is measured in several sittings, so that a busy minute of the machine falls on all rows alike.
    for sitting in range(scale.sittings):
        for row, watch in zip(rows, watches, strict=True):
            _say(f"  {sitting + 1}/{scale.sittings} {row.title}")
            plays = row.plays()
            if not sitting:
                for contestant, play in plays.items():
                    check(row.title, contestant, play)
            watch.run(plays, rounds=scale.rounds, block=row.block or scale.block)
    return [RowResult(row.title, row.bar, watch.timings()) for row, watch in zip(rows, watches, strict=True)]


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
