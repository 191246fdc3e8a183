"""An operator in a process of its own, who deploys or uploads again and again and tells of each until it is killed.

``operators.py deploy RELEASES [URL]`` prints revisions, ``operators.py upload RELEASES BUILD PREFIX`` prints ids.
"""

from __future__ import annotations

import itertools
import sys

from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

SHARES = ({"v1": 90.0, "v2": 10.0}, {"v1": 50.0, "v2": 50.0}, {"v2": 100.0}, {"v1": 100.0})


def tell(text: object) -> None:
    """Print a line, so that the parent has it whatever happens next."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def deploy(path: str, url: str | None = None) -> None:
    """Deploy for ever."""
    log = open_log(path, url)
    revision = len(log.read())
    tell("ready")
    for shares in itertools.cycle(SHARES):
        revision = log.append(shares, expected=revision).revision
        tell(revision)


def upload_builds(path: str, build: str, prefix: str) -> None:
    """Upload a build under ever new ids."""
    releases = ReleasesDirectory(path)
    tell("ready")
    for number in itertools.count():
        tell(upload(releases, build, id=f"{prefix}-{number}").id)


if __name__ == "__main__":
    {"deploy": deploy, "upload": upload_builds}[sys.argv[1]](*sys.argv[2:])
