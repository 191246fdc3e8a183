"""A process under gevent that follows releases: prints how many other greenlets ran while a version was loaded."""

from gevent import monkey

monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from tests.builds import build_of  # noqa: E402
from tests.harness import write_build  # noqa: E402
from version_affinity import Version, VersionAffinity  # noqa: E402
from version_affinity.releases import Releases  # noqa: E402
from version_affinity.releases.store.directory import ReleasesDirectory  # noqa: E402
from version_affinity.releases.store.upload import upload  # noqa: E402

sleep = monkey.get_original("time", "sleep")
ticks = 0
during: dict[str, int] = {}


def tick() -> None:
    """Count, as often as the event loop lets this greenlet run."""
    global ticks  # noqa: PLW0603
    while True:
        ticks += 1
        gevent.sleep(0.005)


def slow(path: str) -> None:
    """Keep the thread that loads v2 or v3 from everything else for a while."""
    for version in ("v2", "v3"):
        if path == f"/slow-{version}.txt":
            before = ticks
            sleep(1.0)
            during[version] = ticks - before


def build(root: Path, version: str) -> Path:
    """Write a build that is slow to load."""
    return write_build(root / version, {**build_of("v1"), f"slow-{version}.txt": version})


root = Path(sys.argv[1])
directory = ReleasesDirectory(root / "releases")
affinity = VersionAffinity(None, Releases(directory.path, interval=0.05), fingerprinted=slow)
listed = VersionAffinity(None, [Version("v1", build(root, "v1"))], name="listed", fingerprinted=slow)
gevent.spawn(tick)
upload(directory, build(root, "v2"), id="v2")
with gevent.Timeout(60):
    while "v2" not in affinity.known:
        gevent.sleep(0.01)
    gevent.spawn(listed.add, Version("v3", build(root, "v3"))).get()
sys.stdout.write(json.dumps(during))
