"""``completion``: the scripts, and what a shell is told through them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.commanding import Site, environment, run
from tests.harness import missing

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_script(shell: str, words: str) -> None:
    """There is a script for each shell, which asks this very command."""
    script = run("completion", shell).stdout
    assert words in script
    assert "_VERSION_AFFINITY_COMPLETE" in script


def test_as_json() -> None:
    """The JSON holds the shell and its script."""
    told = json.loads(run("completion", "bash", "--json").stdout)
    assert told == {"shell": "bash", "script": run("completion", "bash").stdout.removesuffix("\n")}


def test_unknown_shell() -> None:
    """A shell that is not known is an error of usage that names those that are."""
    assert "'bash', 'zsh', 'fish'" in run("completion", "tcsh", code=2).stderr


@pytest.mark.slow
def test_bash(tmp_path: Path) -> None:
    """A real bash completes commands, options and the ids of versions, of the releases that are named."""
    bash = shutil.which("bash")
    if bash is None:
        missing("bash", "install the package bash")
    site = Site(tmp_path)
    site.upload("v1", "v2")
    (tmp_path / "venv").mkdir()
    other = Site(tmp_path / "other")
    other.upload("v3")
    command = tmp_path / "version-affinity"
    command.write_text(f"#!{sys.executable}\nfrom version_affinity.cli.main import main\nmain()\n")
    command.chmod(0o755)
    script = tmp_path / "complete.sh"
    script.write_text(
        f"""
{run("completion", "bash").stdout}
ask() {{
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _version_affinity_completion version-affinity
    echo "${{COMPREPLY[*]}}"
}}
ask version-affinity ver
ask version-affinity deployments ""
ask version-affinity versions deploy --dr
ask version-affinity versions view ""
ask version-affinity --releases other/releases versions view ""
ask version-affinity versions deploy v1@50 v
ask version-affinity --releases nowhere rollback ""
ask version-affinity check v
ask version-affinity check bui
ask version-affinity check builds/
ask version-affinity check v1 --against builds/v
"""
    )
    done = subprocess.run(
        [str(bash), str(script)],
        cwd=tmp_path,
        env=environment(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.splitlines() == [
        "versions",
        "list status view restore",
        "--dry-run",
        "v2 v1",
        "v3",
        "v2 v1",
        "",
        "v2 v1 venv/",
        "builds/",
        "builds/v1/ builds/v2/",
        "builds/v1/ builds/v2/",
    ], done.stderr
