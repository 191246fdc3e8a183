"""Who runs a command, for the log and the manifests."""

from __future__ import annotations

import getpass
import os
import subprocess
from typing import Final

#: Says who it is where that cannot be found out, as on a build server.
VARIABLE: Final = "VERSION_AFFINITY_AUTHOR"
_PATIENCE: Final = 5.0


def author() -> str:
    """Return who runs this command: as the environment says, else Git, else the system; "" where nobody knows."""
    named = os.environ.get(VARIABLE, "").strip() or _in_git()
    if named:
        return named
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in a container
        return ""


def _in_git() -> str:
    try:
        found = subprocess.run(
            ["git", "config", "--get", "user.name"],  # noqa: S607 - the user's own
            capture_output=True,
            check=False,
            timeout=_PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.decode("utf-8", "replace").strip() if found.returncode == 0 else ""
