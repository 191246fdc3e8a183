"""What the tests of the command line share: a site, and commands run in this process or in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from tests.harness import write_build
from version_affinity.cli.main import cli
from version_affinity.releases.log.entries import Details
from version_affinity.releases.releases import open_log, open_reports
from version_affinity.releases.reports.report import Report
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from click.testing import Result

NAME = "storefront"
AUTHOR = "ada"
ENTRY = {
    "v0": "/assets/index-Aq3kZ0b1.js",
    "v1": "/assets/index-BX4CeNGm.js",
    "v2": "/assets/index-Qz81xKpL.js",
    "v3": "/assets/index-Mn3pRt7w.js",
}
SHARED = "/assets/vendor-Dx81xKpQ.js"
COLLISION = "/assets/chunk-C0liD3sX.js"
#: Commits as ids. The first two begin alike.
OLD, OTHER = "3f786850e387550fdab836ed7e6dc881de23001b", "3f78685117d9f1c06b83a2ecd4e4b9b3e2a9b0d5"
NEW = "89e6c98d92887913cadf06b2adb97f26cde4849b"
#: Nothing of the machine's own: no directory, no log, no colours, no width.
ENVIRONMENT: dict[str, str | None] = {
    "VERSION_AFFINITY_AUTHOR": AUTHOR,
    "VERSION_AFFINITY_RELEASES": None,
    "VERSION_AFFINITY_LOG": None,
    "VERSION_AFFINITY_OVERRIDE_SECRET": None,
    "NO_COLOR": None,
    "COLUMNS": None,
    "LINES": None,
}


def build_of(version: str) -> dict[str, str | bytes]:
    """Return the files of a version's build, of which it shares one with the others."""
    return {
        "index.html": f'<!doctype html><script type="module" src="{ENTRY[version]}"></script><p>{version}',
        ENTRY[version][1:]: f"// entry of {version}",
        SHARED[1:]: "// vendor" * 200,
        "logo.svg": f"<svg><title>{version}</title></svg>",
    }


class Site:
    """A directory to work in, with builds, releases and their log.

    Args:
        root: The directory.
        log: The URL of the log, None for the file.
    """

    def __init__(self, root: Path, log: str | None = None) -> None:
        self.root = root
        self.url = log
        self.path = root / "releases"
        self.directory = ReleasesDirectory.init(self.path, name=NAME)

    def build(self, version: str, more: Mapping[str, str | bytes] | None = None) -> Path:
        """Write a build."""
        return write_build(self.root / "builds" / version, {**build_of(version), **(more or {})})

    def upload(self, *versions: str, more: Mapping[str, str | bytes] | None = None, tag: str = "") -> None:
        """Upload builds, not by the command."""
        for version in versions:
            upload(self.directory, self.build(version, more), id=version, tag=tag, author=AUTHOR)

    def deploy(self, *deployments: Mapping[str, float], message: str = "", created: str | None = None) -> None:
        """Append deployments to the log, not by the command; of the present, unless they are of another time."""
        log = open_log(self.directory, self.url)
        for percentages in deployments:
            log.append(
                percentages, expected=len(log.read()), details=Details(author=AUTHOR, message=message, created=created)
            )
        log.close()

    def report(self, host: str, versions: tuple[str, ...], revision: int, **more: Any) -> None:
        """Let a worker report that it serves a revision; a host's second report here is of the same worker."""
        number = int(host[-1])
        given = {"log_revision": revision, **more}
        report = Report(f"{number:016x}", 1, host, number, versions=versions, revision=revision, **given)
        log = open_log(self.directory, self.url)
        open_reports(self.directory, log).write(report, is_first=True)
        log.close()

    @property
    def percentages(self) -> list[dict[str, float]]:
        """What was deployed, the first deployment first."""
        log = open_log(self.directory, self.url)
        entries = log.read()
        log.close()
        return [dict(entry.percentages) for entry in entries]

    def run(self, *arguments: str, code: int = 0, **environment: str | None) -> Result:
        """Run a command for this site, in this process, and check its exit code."""
        log = () if self.url is None else ("--log", self.url)
        return run("--releases", str(self.path), *log, *arguments, code=code, **environment)

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command, and return the JSON that it prints."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)


def run(*arguments: str, code: int = 0, **environment: str | None) -> Result:
    """Run a command in this process, and check its exit code, and that nothing went wrong that is not told."""
    result = CliRunner().invoke(cli, list(arguments), env={**ENVIRONMENT, **environment}, prog_name="version-affinity")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a process that runs a command."""
    kept = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    return {**kept, "VERSION_AFFINITY_AUTHOR": AUTHOR, "PYTHONWARNINGS": "error", **more}


def program(*arguments: str) -> list[str]:
    """Return the command that runs the command line in a process of its own."""
    return [sys.executable, "-m", "version_affinity", *arguments]


def ran(cwd: Path, *arguments: str, code: int = 0, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, and check its exit code."""
    done = subprocess.run(
        program(*arguments), cwd=cwd, env=environment(**more), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done
