"""What the tests of the releases directory share: builds, a look at every byte of a version, crashes at any step."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import traceback
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.harness import write_build
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.inventory import parse_inventory
from version_affinity.assets.loading.tree import DIGEST_SIZE
from version_affinity.releases.store.directory import ReleasesDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SHARED = "assets/vendor-Dx81xKpQ.js"
VITE = '{"src/app.ts": {"file": "assets/app-Ro_66fij.js", "isEntry": true, "name": "app"}}'


def build_of(version: str) -> dict[str, str | bytes]:
    """Return the files of a build, of which each version shares some with the others."""
    return {
        "index.html": f"<p>{version}",
        "assets/app-Ro_66fij.js": f"// {version}",
        SHARED: "// vendor" * 100,
        "assets/deep/er/logo.svg": "<svg/>",
        "_headers": "/*\n  X-Robots-Tag: noindex\n",
        "_redirects": "/old /new 301\n",
        ".vite/manifest.json": VITE,
        "über/ß.txt": "ß",
        "empty.txt": "",
    }


def write(directory: Path, version: str, more: Mapping[str, str | bytes] | None = None) -> Path:
    """Write a version's build below a directory."""
    return write_build(directory / f"dist-{version}", {**build_of(version), **(more or {})})


def releases_in(directory: Path) -> ReleasesDirectory:
    """Make a releases directory below a directory."""
    return ReleasesDirectory.init(directory / "releases", name="storefront")


def held(releases: ReleasesDirectory, version: str) -> dict[str, bytes]:
    """Return a version's files by relative name, each checked against the manifest to the last byte."""
    root = releases.build_path(version)
    files = {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}
    inventory = parse_inventory(releases.manifest_path(version).read_bytes())
    for path in inventory.files:
        name = path[1:].encode("latin-1").decode()
        entry, status = inventory.known(path), (root / name).stat()
        assert entry is not None
        assert entry[:3] == (status.st_size, status.st_mtime_ns, sha256(files[name]).digest()[:DIGEST_SIZE])
    assert {path[1:].encode("latin-1").decode() for path in inventory.files} == {
        name for name in files if name[0] not in "._"
    }
    assert len(scan(root, manifest=releases.manifest_path(version)).assets) == len(inventory.files)
    return files


def encoded(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    """Return files with their contents as bytes."""
    return {name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()}


def hidden(releases: ReleasesDirectory) -> list[str]:
    """Return the hidden names below ``versions/`` but the lock's: nothing while nothing is going on."""
    return sorted(entry.name for entry in releases.uploads.iterdir() if entry.name[0] == "." and entry.name != ".lock")


def age(releases: ReleasesDirectory, seconds: float = 172_800) -> None:
    """Make all leftovers look as if they had been left so long ago."""
    then = time.time() - seconds
    for name in hidden(releases):
        os.utime(releases.uploads / name, (then, then))


def at_step(step: int, event: Callable[[], None], work: Callable[[], object]) -> tuple[bool, int]:
    """Do some work in a child process, where something happens before its n-th call of the file system.

    Return whether the step was reached, and the child's wait status: 0 for success, 1 << 8 for an expected error.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        calls = 0

        def hook(name: str, _args: object) -> None:
            nonlocal calls
            if name.startswith(("open", "os.", "fcntl.")):
                calls += 1
                if calls == step:
                    os.write(writer, b"!")
                    event()

        code = 2
        try:
            sys.addaudithook(hook)
            work()
            code = 0
        except Exception as error:  # noqa: BLE001 - the parent tells
            code = 1 if type(error).__name__ in {"UploadError", "PruneError", "ReleasesError"} else 2
            if code == 2:
                traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writer)
    reached = os.read(reader, 1) == b"!"
    os.close(reader)
    return reached, os.waitpid(child, 0)[1]


def kill() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def fill_disk() -> None:
    """Fail a call as a full disk does."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
