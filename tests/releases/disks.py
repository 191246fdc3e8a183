"""Disks of the test's own: a small one in memory, for what happens when it is full or cannot be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.harness import missing
from tests.releases.followed import PATH

if TYPE_CHECKING:
    from pathlib import Path

_MOUNTED = """
set -e
mount -t tmpfs -o size="$2" none "$1"
shift 2
exec "$@"
"""


def on_a_disk(mount: Path, code: str, *arguments: object, size: str = "1m") -> str:
    """Run a Python program in a world of its own, where a new disk is mounted on a directory; return what it printed.

    The program finds the directory in ``sys.argv[1]`` and may mount it again. Where nothing can be mounted, the test is
    skipped.
    """
    try:
        subprocess.run(["unshare", "-rm", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        missing("unshare", "no disk of one's own can be mounted")
    mount.mkdir()
    program = [sys.executable, "-c", code, mount, *arguments]
    command = ["unshare", "-rm", "sh", "-c", _MOUNTED, "sh", mount, size, *program]
    environment = {**os.environ, "PYTHONPATH": PATH}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert ran.returncode == 0, ran
    return ran.stdout
