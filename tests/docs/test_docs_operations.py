"""The pages about operating a site are run against real workers: pipelines, ramps, several hosts."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.builds import COLLISION, build_of, pinned
from tests.cli.commanding import run
from tests.docs.test_docs_walks import blocks
from tests.harness import client, missing, write_build
from tests.ramp.running import failing_api
from tests.releases.followed import Site, until
from tests.releases.redis_server import redis_server
from version_affinity.ramp.plan import Ramp

pytestmark = [pytest.mark.slow, pytest.mark.servers]

#: The builds of these tests have a file of one name with different bytes, which "check" refuses.
SAME = {COLLISION[1:]: "// the same in all"}

#: Where a shell finds the command line.
PATHS = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
_STEP = re.compile(r"^      - run: (?!pip install )(.*)$", re.MULTILINE)
#: The front end of a job: its build copies what is in the repository.
FRONT_END = {
    "package.json": '{"name": "storefront", "scripts": {"build": "rm -rf dist && cp -r site dist"}}',
    "package-lock.json": '{"name": "storefront", "lockfileVersion": 3, "packages": {}}',
    ".gitignore": "dist\nnode_modules\n",
}
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")


class Pipeline:
    """A repository with a front end, and jobs that run the scripts of a page in it."""

    def __init__(self, root: Path, releases: Path) -> None:
        self.repository = write_build(root / "repository", FRONT_END)
        self._releases = releases
        subprocess.run([*GIT, "init", "-q"], cwd=self.repository, check=True)

    def commit(self, version: str) -> str:
        """Commit a version of the front end, and return the commit's id."""
        shutil.rmtree(self.repository / "site", ignore_errors=True)
        write_build(self.repository / "site", {**build_of(version), **SAME})
        subprocess.run([*GIT, "add", "--all"], cwd=self.repository, check=True)
        subprocess.run([*GIT, "commit", "-qm", f"Front end {version}"], cwd=self.repository, check=True)
        found = subprocess.run([*GIT, "rev-parse", "HEAD"], cwd=self.repository, check=True, capture_output=True)
        return found.stdout.decode().strip()

    def run(self, script: str, commit: str) -> subprocess.CompletedProcess[str]:
        """Run a script as a step of a job for a commit."""
        own = {"VERSION_AFFINITY_RELEASES": str(self._releases), "VERSION_AFFINITY_AUTHOR": "ada"}
        given = {"GITHUB_SHA": commit, "GITHUB_REF_NAME": "main", "npm_config_update_notifier": "false"}
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.repository,
            env={**os.environ, **own, **given, "PATH": PATHS},
            capture_output=True,
            text=True,
            check=False,
        )


def test_pipelines(tmp_path: Path) -> None:
    """The job and the scripts of the page build, upload and deploy commits, and go by the figures of real workers."""
    for program in ("git", "jq", "npm"):
        if shutil.which(program) is None:
            missing(program, f"install the package {program}")
    page = blocks("docs/how-to/pipelines.md")
    job, guarded, judging = (block.text for block in page if block.language in ("yaml", "bash"))
    site = Site(tmp_path)
    site.upload("v1", more=SAME)
    site.deploy({"v1": 100.0})
    pipeline = Pipeline(tmp_path, site.directory.path)

    def step(script: str, commit: str, *, code: int = 0) -> str:
        done = pipeline.run(script, commit)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def percentages() -> dict[str, float]:
        return {version: share for version, share in site.log.read()[-1].percentages.items() if share}

    with site.followed(failing_api) as (affinity, _):
        first = pipeline.commit("v2")
        steps = _STEP.findall(job)
        assert len(steps) == 5
        printed = [step(script, first) for script in steps]
        assert "1 of 1 worker serves revision 2" in printed[-1]
        assert percentages() == {"v1": 90, first: 10}
        assert site.directory.versions()[first].message == "Front end v2"

        # At first no other person has deployed. Then one has.
        second = pipeline.commit("v0")
        step(guarded, second)
        assert percentages() == {"v1": 81, first: 9, second: 10}
        late = guarded.replace("npm ci", "version-affinity rollback v1 -y && npm ci")
        assert "Nothing is deployed" in step(late, pipeline.commit("v1"), code=1)
        assert percentages() == {"v1": 100}

        # The figures of a version without faults, and of one with them.
        step(steps[-1], second)
        step(judging, second)
        assert percentages() == {"v1": 50, second: 50}
        until(lambda: affinity.deployment.revision == 6)
        for version, status in (("v1", "200"), (second, "500")):
            for bucket in range(20):
                client(affinity).get(f"/api/cart?{status}", headers=pinned(version, str(bucket)))
        until(lambda: sum(site.workers.counts.values()) >= 40)
        step(judging, second)
        assert percentages() == {"v1": 100}
        assert site.log.read()[-1].message.endswith("application errors")


def test_ramp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the page upload a version, predict a ramp, start it, and show it."""
    monkeypatch.chdir(tmp_path)
    site = Site(tmp_path)
    site.upload("v1", more=SAME)
    site.deploy({"v1": 100.0})
    write_build(tmp_path / "dist", {**build_of("v2"), **SAME})
    text = next(block.text for block in blocks("docs/how-to/guarded-ramps.md") if block.language == "text")
    commands = [shlex.split(line.removeprefix("$ version-affinity ")) for line in text.splitlines()]
    assert [words[:2] for words in commands] == [["versions", "upload"], *[["ramp", "start"]] * 2, ["ramp", "status"]]
    with site.followed(failing_api):
        for words in commands:
            ran = [*words, "-y"] if words == ["ramp", "start", "v2"] else [it for it in words if it != "--watch"]
            shown = run("--releases", str(site.directory.path), *ran).stdout
        assert "to v2: running, step 1 of 5" in shown
    assert Ramp.from_json(site.log.read()[-1].ramp).state == "running"


#: Copies to a directory of this machine, since rsync would log in to the host.
_RSYNC = 'rsync() { local to="${@: -1}"; cp -a --no-clobber releases/versions/. "../${to%%:*}/releases/versions/"; }'


def test_several_hosts(tmp_path: Path) -> None:
    """The script of the page uploads a version, copies it to two hosts, and deploys it for the workers of both."""
    (script,) = (block.text for block in blocks("docs/how-to/several-hosts.md") if block.language == "sh")
    with redis_server() as redis, ExitStack() as stack:
        sites = [Site(tmp_path / name, redis.url, name) for name in ("own", "web-1", "web-2")]
        for site in sites:
            stack.enter_context(closing(site.log))
            site.upload("v1", more=SAME)
        own = sites[0]
        own.deploy({"v1": 100.0})
        write_build(own.root / "dist", {**build_of("v2"), **SAME})
        for site in sites[1:]:
            stack.enter_context(site.followed(failing_api, host=site.host))
        done = subprocess.run(
            ["bash", "-e", "-c", f"{_RSYNC}\n{script.strip()} -y"],
            cwd=own.root,
            env={**os.environ, "PATH": PATHS, "REDIS": redis.url, "VERSION_AFFINITY_AUTHOR": "ada"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 of 2 workers on 2 hosts serve revision 2" in done.stdout
