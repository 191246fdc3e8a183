"""What loading one large build costs, and what it costs the requests that are answered meanwhile.

``python -m benchmarks.loading WHO DIRECTORY...`` is one measurement, in a new process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Final

from whitenoise import WhiteNoise

from version_affinity import StaticAssets, Version, VersionAffinity
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.static import DEFAULT_MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WHITENOISE: Final = "WhiteNoise, scan without hashes"
INDEX_ALONE: Final = "StaticAssets with hashes, index alone (memory=0)"
IN_MEMORY: Final = "StaticAssets with hashes, default memory"
FROM_MANIFEST: Final = "the same, with the manifest of an earlier load"
#: Whose loads the bars compare.
COMPARED: Final = (WHITENOISE, INDEX_ALONE, IN_MEMORY)

WHILE_READ: Final = "one version is loaded, all of its files read"
WHILE_KNOWN: Final = "one version is loaded from its manifest"
WHILE_ADDED: Final = "a second one is loaded from its manifest and added to the first"
_INTERVAL: Final = 0.001  # seconds between requests while a build is loaded


@dataclass(frozen=True, slots=True)
class Load:
    """A load's cost, medians of rounds: seconds of processor time, megabytes (10**6 bytes) of growth."""

    seconds: float
    megabytes: float


@dataclass(frozen=True, slots=True)
class Pauses:
    """How long requests in one thread waited while another loads a build, in milliseconds; medians of rounds.

    Attributes:
        half: Half of the requests waited no longer than this.
        most: 99 of 100 did not.
        worst: None did.
    """

    half: float
    most: float
    worst: float


def measure_loads(directory: Path, *, rounds: int, who: Sequence[str] = COMPARED) -> dict[str, Load]:
    """Load a build in turns, each time in a new process, with the files in the operating system's cache."""
    results: dict[str, list[Load]] = {name: [] for name in who}
    for turn in range(rounds + 1):
        for name, loads in results.items():
            printed = _run(name, directory)
            if turn:  # the first turn fills the cache, and writes the manifest
                loads.append(Load(**json.loads(printed)))
    return {
        who: Load(median(load.seconds for load in loads), median(load.megabytes for load in loads))
        for who, loads in results.items()
    }


def measure_pauses(directories: Sequence[Path], *, rounds: int) -> dict[str, Pauses]:
    """Answer requests while a build is loaded, each time in a new process.

    Args:
        directories: Two versions.
        rounds: How often each load is made.
    """
    for directory in directories:
        _load_from_manifest(str(directory))  # writes it
    found = {what: [Pauses(**json.loads(_run(what, *directories))) for _ in range(rounds)] for what in _WORK}
    return {
        what: Pauses(*(median(getattr(pauses, name) for pauses in each) for name in Pauses.__slots__))
        for what, each in found.items()
    }


def _run(who: str, *directories: Path) -> str:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.loading", who, *map(str, directories)],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
    ).stdout


def _load_from_manifest(directory: str) -> object:
    return scan(directory, memory=Memory(DEFAULT_MEMORY), manifest=_manifest(directory))


def _manifest(directory: str) -> str:
    return f"{directory}.manifest.json"


_LOADERS: Final[dict[str, Callable[[str], object]]] = {
    WHITENOISE: lambda directory: WhiteNoise(None, root=directory),
    INDEX_ALONE: lambda directory: StaticAssets(directory, memory=0),
    IN_MEMORY: StaticAssets,
    FROM_MANIFEST: _load_from_manifest,
}


def _resident() -> float:
    """Return this process's resident megabytes (proc(5)); NaN without that file."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024 / 1e6


def _load(who: str, directory: str) -> Load:
    load = _LOADERS[who]
    before = _resident()
    began = process_time()
    loaded = load(directory)
    seconds = process_time() - began
    grown = _resident() - before
    del loaded
    return Load(seconds, grown)


def _added(first: str, second: str) -> Callable[[], object]:
    affinity = VersionAffinity(None, [Version("v1", first)])
    return lambda: affinity.add(Version("v2", StaticAssets(second, manifest=_manifest(second))))


#: From the directories of two versions to what is done while requests are answered.
_WORK: Final[dict[str, Callable[[str, str], Callable[[], object]]]] = {
    WHILE_READ: lambda _, second: lambda: StaticAssets(second),
    WHILE_KNOWN: lambda _, second: lambda: StaticAssets(second, manifest=_manifest(second)),
    WHILE_ADDED: _added,
}


def _pauses(what: str, first: str, second: str) -> Pauses:
    working = threading.Thread(target=_WORK[what](first, second))
    late: list[float] = []
    working.start()
    while working.is_alive():
        due = perf_counter() + _INTERVAL
        sleep(_INTERVAL)
        # The request itself is nothing: what counts is how long its thread waits to run.
        late.append((perf_counter() - due) * 1000)
    late.sort()
    return Pauses(median(late), late[len(late) * 99 // 100], late[-1])


if __name__ == "__main__":
    measure = partial(_pauses if sys.argv[1] in _WORK else _load, sys.argv[1])
    print(json.dumps(asdict(measure(*sys.argv[2:]))))
