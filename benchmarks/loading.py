"""What loading one large build costs: ``python -m benchmarks.loading WHO DIRECTORY`` is one load, in a new process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Final

from whitenoise import WhiteNoise

from version_affinity import StaticAssets

if TYPE_CHECKING:
    from collections.abc import Callable

WHITENOISE: Final = "WhiteNoise, scan without hashes"
INDEX_ALONE: Final = "StaticAssets with hashes, index alone (memory=0)"
IN_MEMORY: Final = "StaticAssets with hashes, default memory"


@dataclass(frozen=True, slots=True)
class Load:
    """A load's cost, medians of rounds: seconds of processor time, megabytes (10**6 bytes) of growth."""

    seconds: float
    megabytes: float


def measure_loads(directory: Path, *, rounds: int) -> dict[str, Load]:
    """Load a build in turns, each time in a new process, with the files in the operating system's cache."""
    results: dict[str, list[Load]] = {who: [] for who in _LOADERS}
    for turn in range(rounds + 1):
        for who, loads in results.items():
            ran = subprocess.run(
                [sys.executable, "-m", "benchmarks.loading", who, str(directory)],
                check=True,
                capture_output=True,
                text=True,
                cwd=Path(__file__).parent.parent,
            )
            if turn:  # the first turn fills the cache
                loads.append(Load(**json.loads(ran.stdout)))
    return {
        who: Load(median(load.seconds for load in loads), median(load.megabytes for load in loads))
        for who, loads in results.items()
    }


_LOADERS: Final[dict[str, Callable[[str], object]]] = {
    WHITENOISE: lambda directory: WhiteNoise(None, root=directory),
    INDEX_ALONE: lambda directory: StaticAssets(directory, memory=0),
    IN_MEMORY: StaticAssets,
}


def _resident() -> float:
    """Return this process's resident megabytes (proc(5)); NaN where there is no such file."""
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


if __name__ == "__main__":
    print(json.dumps(asdict(_load(*sys.argv[1:]))))
