"""On a real terminal: tables, colours, questions, progress, Ctrl+C; and nothing of that elsewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals of this kind", allow_module_level=True)

from tests.cli.commanding import NEW, OLD, OTHER, Site, environment, program, ran
from tests.cli.screen import CTRL_C, CTRL_D, terminal
from tests.harness import write_build
from version_affinity.cli.output import width
from version_affinity.releases.log.local_copy import LocalCopy
from version_affinity.releases.releases import COPY, open_log
from version_affinity.releases.store.directory import ReleasesDirectory, publishing
from version_affinity.releases.store.retention import Retention
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

V1 = {"v1": 100.0}
ESCAPE = "\x1b["
#: The codes that show the cursor, and what was on the terminal before.
LEFT = f"{ESCAPE}?25h{ESCAPE}?1049l"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with v1 deployed, and v2 uploaded."""
    site = Site(tmp_path)
    site.upload("v1", "v2", tag="checkout")
    site.deploy(V1, message="all of them, " * 20)
    return site


def test_tables(site: Site) -> None:
    """A terminal gets a table: a header, aligned cells, times as people tell them, and lines that fit."""
    with terminal(site.root, "versions", "list", columns=90) as screen:
        assert screen.end() == 0
    header, *rows, _, retention = screen.text.splitlines()
    assert retention == "Retention: keep 10"
    columns = ["VERSION", "STATE", "UPLOADED", "(UTC)", "BY", "TAG", "FILES", "SIZE", "MESSAGE"]
    assert header.split() == columns
    assert [row.split()[0] for row in rows] == ["v2", "v1"]
    assert all(row.index("ada") == header.index("BY") for row in rows)
    assert re.search(r"  \d\d-\d\d \d\d:\d\d, (now|\d+s ago)  ", rows[0])
    assert ESCAPE in screen.raw
    with terminal(site.root, "versions", "list", columns=66) as screen:
        assert screen.end() == 0
    assert screen.text.splitlines()[0].split() == [*columns[:6], "MESSAGE"]
    with terminal(site.root, "deployments", "list", columns=70) as screen:
        assert screen.end() == 0
    assert screen.text.splitlines()[0].split() == ["REVISION", "WHEN", "(UTC)", "BY", "DEPLOYED", "MESSAGE"]
    assert max(map(len, screen.text.splitlines())) <= 70
    assert screen.text.splitlines()[1].endswith("...")


def test_long_names(site: Site) -> None:
    """Authors, tags and messages are cut where a table is too wide for the terminal, and never in a pipe."""
    author, tag, message = "Ada-Augusta von Lovelace-K", "release-2026-11-checkout", "the new checkout " * 5
    more = {"VERSION_AFFINITY_AUTHOR": author}
    arguments = ("versions", "upload", str(site.build("v3")), "--id", "128db5012d84", "--tag", tag, "-m", message)
    ran(site.root, *arguments, **more)
    ran(site.root, "versions", "deploy", "v1@90", "128db5012d84@10", "-y", "-m", message, **more)
    for command, rows in (("versions list", 4), ("deployments list", 3), ("deployments status", 3)):
        with terminal(site.root, *command.split(), columns=80) as screen:
            assert screen.end() == 0
        table = screen.text[screen.text.index("VERSION") if "status" in command else 0 :].split("\n\n")[0].splitlines()
        assert len(table) == rows
        assert max(map(len, screen.text.splitlines())) <= 80
    with terminal(site.root, "versions", "list", columns=80) as screen:
        assert screen.end() == 0
    header, row, *_ = screen.text.splitlines()
    assert header.split() == ["VERSION", "STATE", "UPLOADED", "(UTC)", "BY", "TAG", "MESSAGE"]
    assert row[header.index("BY") :].startswith("Ada-")
    assert row.count("...") == 3
    with terminal(site.root, "versions", "list", columns=200) as screen:
        assert screen.end() == 0
    assert "..." not in screen.text.splitlines()[1]
    first = ran(site.root, "versions", "list").stdout.splitlines()[0].split("\t")
    assert (first[3], first[4], first[7]) == (author, tag, message)


def test_check_cuts_nothing(site: Site) -> None:
    """A warning of check is longer than the terminal is wide: all of it is shown, in lines below each other."""
    worker = "caches.open('v1').then(cache => cache.addAll(['/index.html']))"
    build = site.build("v3", {"sw.js": worker})
    with terminal(site.root, "check", str(build.relative_to(site.root)), columns=80) as screen:
        assert screen.end() == 0
    lines = screen.text.splitlines()
    first = next(number for number, line in enumerate(lines) if "  1  warning  the worker caches /index.html" in line)
    assert lines[first + 1].startswith(" " * 14)
    assert "Let the worker cache /, or serve with html_handling='none'" in " ".join(screen.text.split())
    assert max(map(len, lines[first:])) <= 80


MESSAGE = "the new checkout, to a few users, as agreed"


@pytest.fixture
def commits(tmp_path: Path) -> Site:
    """A site whose versions are called by their commits; two of the ids begin alike."""
    site = Site(tmp_path)
    for version in (OLD, NEW, OTHER):
        upload(site.directory, site.build("v1", {"id.txt": version}), id=version, author="Ada Lovelace", tag="main")
    site.deploy({OLD: 100.0}, {OLD: 90.0, NEW: 10.0}, message=MESSAGE)
    return site


@pytest.mark.parametrize("columns", [58, 80, 120])
def test_commits_fit(commits: Site, columns: int) -> None:
    """Long hashes are shortened on a terminal, to beginnings that differ, so that every table fits."""
    for command in ("versions list", "deployments list", "simulate 89e6c98", "versions deploy 89e6c98 --dry-run"):
        with terminal(commits.root, *command.split(), columns=columns) as screen:
            assert screen.end() == 0
        assert {OLD[:8], NEW[:7]} <= set(re.findall("[0-9a-f]{7,}", screen.text))
        assert NEW not in screen.text
        assert max(map(len, screen.text.splitlines())) <= max(columns, 76)
    with terminal(commits.root, "versions", "view", "89e6c98", columns=columns) as screen:
        assert screen.end() == 0
    assert f"Version   {NEW}" in screen.text


@pytest.mark.parametrize("columns", [56, 80])
def test_status_fits(commits: Site, columns: int) -> None:
    """The status of a deployment and of a ramp are lines that fit, broken between words, with short ids and times."""
    commits.report("web-1", (OLD, NEW, OTHER), 2)
    reason = f"The fault in {NEW} is repaired"
    commits.run("ramp", "start", NEW, "--steps", "50,75,100", "--every", "1d", "-y", "--wait", "0", "-m", reason)
    for command in ("ramp status", "deployments status"):
        with terminal(commits.root, *command.split(), columns=columns) as screen:
            assert screen.end() == 0
        assert NEW not in screen.text
        assert " ".join(screen.text.split()).count(f"The fault in {NEW[:7]} is repaired") == 1
        assert max(map(len, screen.text.splitlines())) <= columns
        assert not re.search(r"\d\n +%|\d\n%", screen.text)
        assert "... " not in screen.text
        assert "...\n" not in screen.text
        assert "0 of 1 worker serves revision 3" in screen.text
        text = " ".join(screen.text.split())
        assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d UTC \((just now|\d+ seconds ago)\)", text)
        if command == "ramp status":
            steps = [line.split()[-4:] for line in screen.text.splitlines() if re.match("  [> ] [123] ", line)]
            assert [" ".join(step[2:]) for step in steps[1:]] == ["in 24h", "in 2d"]


@pytest.mark.parametrize("command", ["deployments view 2", "versions view 89e6c98", "explain /", "check 89e6c98"])
def test_texts_fit(commits: Site, command: str) -> None:
    """Texts are broken between words, and nothing is cut; a command to copy stays on its line."""
    commits.deploy({OLD: 50.0, NEW: 50.0}, message=f"Half of the users get {NEW} from now on")
    with terminal(commits.root, *command.split(), columns=56) as screen:
        assert screen.end() == 0
    lines = [line.strip() for line in screen.text.splitlines() if not line.startswith("Checking ")]  # of progress
    assert max(map(len, lines)) <= 56
    assert not any(line.endswith("...") for line in lines)


def test_help_fits(site: Site) -> None:
    """Lists in a help text go on below their text; examples stay whole."""
    for command in ("versions deploy", "deployments status", "versions list", "check", "explain"):
        with terminal(site.root, *command.split(), "--help", columns=80) as screen:
            assert screen.end() == 0
        long = [line for line in screen.text.splitlines() if len(line) > 80]
        assert [line for line in long if "python -m version_affinity" not in line] == []
    with terminal(site.root, "deployments", "status", "--help", columns=60) as screen:
        assert screen.end() == 0
    assert (
        "    OBSERVED    the share of new users that it got, and\n                their number; counted" in screen.text
    )


def test_ramps_in_a_list(commits: Site) -> None:
    """In 80 columns, the outcome of each ramp is shown: authors are cut, or left out, before it."""
    commits.report("web-1", (OLD, NEW, OTHER), 2)
    for leave in ("versions deploy 3f786850@100", "ramp abort"):
        commits.run("ramp", "start", NEW, "--steps", "50,75,100", "--every", "1d", "-y", "--wait", "0")
        commits.run("ramp", "pause", "--wait", "0")
        commits.run(*leave.split(), "-y", "--wait", "0", "--force")
    with terminal(commits.root, "deployments", "list", columns=80) as screen:
        assert screen.end() == 0
    header, *rows = screen.text.splitlines()
    messages = [row[header.index("MESSAGE") :] for row in rows]
    assert [message.split(":")[0] for message in messages[:3:2]] == ["aborted", "superseded"]
    assert max(map(len, screen.text.splitlines())) <= 80


def test_blocks(commits: Site) -> None:
    """A terminal that is too narrow for a table shows each row as a block, of which nothing is cut."""
    with terminal(commits.root, "deployments", "list", columns=58) as screen:
        assert screen.end() == 0
    block = screen.text.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in block] == ["Revision", "When", "By", "Deployed", "Message"]
    assert block[3:] == ["Deployed    3f786850 90 %, 89e6c98 10 %", f"Message     {MESSAGE}"]
    with terminal(commits.root, "deployments", "list", columns=40) as screen:
        assert screen.end() == 0
    block = screen.text.split("\n\n")[0].splitlines()
    assert block[4:] == ["Message     the new checkout, to a few", "            users, as agreed"]
    name = "a-long-name-that-is-no-hash-0123456789"
    commits.run("versions", "upload", str(commits.build("v2")), "--id", name, "--tag", "x")
    with terminal(commits.root, "versions", "list", columns=80) as screen:
        assert screen.end() == 0
    assert f"Version         {name}\n" in screen.text


def test_whole_ids_elsewhere(commits: Site) -> None:
    """In a pipe, and as JSON on a terminal too, ids are whole."""
    assert ran(commits.root, "deployments", "list").stdout.splitlines()[0].split("\t")[3] == f"{OLD} 90 %, {NEW} 10 %"
    for command in ("versions list", "deployments list", "versions deploy 89e6c98 --dry-run"):
        with terminal(commits.root, *command.split(), "--json") as screen:
            assert screen.end() == 0
        assert NEW in screen.text
        assert f'"{NEW[:7]}"' not in screen.text


def test_no_color(site: Site) -> None:
    """NO_COLOR is respected: the table without a colour."""
    with terminal(site.root, "versions", "list", NO_COLOR="1") as screen:
        assert screen.end() == 0
    assert "VERSION" in screen.text
    assert ESCAPE not in screen.raw


def test_pipes_get_neither(site: Site) -> None:
    """A pipe gets no colour and no header, also of a command that somebody types on a terminal."""
    reading, writing = os.pipe()
    with terminal(site.root, "versions", "list", stdout=writing) as screen, os.fdopen(reading) as pipe:
        os.close(writing)
        assert screen.end() == 0
        text = pipe.read()
    assert text == ran(site.root, "versions", "list").stdout
    assert ESCAPE not in text
    assert "VERSION" not in text


@pytest.mark.parametrize("answer", ["y", "yes", "n", ""])
def test_question(site: Site, answer: str) -> None:
    """On a terminal, a deployment is asked about; only a yes goes ahead."""
    with terminal(site.root, "versions", "deploy", "v2@10", "v1") as screen:
        assert "10 % of the users move" in screen.expect("Deploy? [y/N]: ")
        screen.type(f"{answer}\n")
        code = screen.end()
    if answer[:1] == "y":
        assert (code, site.percentages) == (0, [V1, {"v2": 10.0, "v1": 90.0}])
        assert "Deployed revision 2" in screen.text
    else:
        assert (code, site.percentages) == (1, [V1])
        assert screen.text.endswith("Nothing is deployed.\n")


def test_pruned_while_the_question_stood(site: Site) -> None:
    """A version that was removed while somebody thought about the question is not deployed."""
    site.upload("v0")
    with terminal(site.root, "versions", "deploy", "v0") as screen:
        screen.expect("Deploy? [y/N]: ")
        site.run("prune", "--keep", "0", "-y")
        screen.type("y\n")
        assert screen.end() == 1
    assert "nothing is deployed (--force overrules this):\n  - v0 is not uploaded" in screen.text
    assert site.percentages == [V1]


def test_known_again_while_the_question_of_prune_stood(site: Site) -> None:
    """Versions that the retention keeps by now, or whose tabs may be open, are not removed, nor any that was not shown.

    v0 has had users since the question, and no rollback returns to it.
    """
    site.upload("v0")
    site.directory.change_retention(Retention(0))
    with terminal(site.root, "prune") as screen:
        screen.expect("Remove 2 versions? [y/N]: ")
        site.upload("v3")
        site.deploy({"v0": 100.0}, V1, {"v3": 100.0}, V1)
        screen.type("y\n")
        assert screen.end() == 0
    assert "Removed 1 version.\nv0 is kept: had users less than a day ago, whose tabs may be open.\n" in screen.text
    assert list(site.directory.versions()) == ["v1", "v0", "v3"]
    site.upload("v2")
    with terminal(site.root, "prune") as screen:
        screen.expect("Remove 1 version? [y/N]: ")
        site.directory.change_retention(Retention(10))
        screen.type("y\n")
        assert screen.end() == 0
    assert "Removed 0 versions.\nv2 is kept: one of the last 10 that were uploaded.\n" in screen.text
    assert list(site.directory.versions()) == ["v1", "v0", "v3", "v2"]


def test_changed_while_the_question_of_the_retention_stood(site: Site) -> None:
    """What another operator has changed meanwhile stays where it is not named, and what that comes to is asked anew."""
    site.upload("v0")
    site.directory.change_retention(Retention(10, timedelta(days=30)))
    with terminal(site.root, "retention", "--keep", "1", "--younger-than", "none") as screen:
        asked = screen.expect("Change the retention from keep 10, younger than 30d to keep 1? [y/N]: ")
        assert asked.endswith("v2 would no longer be known: its open pages lose their files within a second.\n")
        screen.type("n\n")
        assert screen.end() == 1
    assert screen.text.endswith("Nothing is changed.\n")
    with terminal(site.root, "retention", "--keep", "1", "--json") as screen:
        assert screen.end() == 0
    with terminal(site.root, "retention", "--younger-than", "none") as screen:
        screen.expect("[y/N]: ")
        site.run("retention", "--keep", "0", "--younger-than", "31d")
        screen.type("y\n")
        screen.expect(
            "Warning: another person has changed it in the meantime: the retention is keep 0, younger than 31d now"
        )
        assert "v0 and v2 would no longer be known" in screen.expect("to keep 0? [y/N]: ")
        screen.type("y\n")
        assert screen.end() == 0
    assert ReleasesDirectory(site.path).retention == Retention(0)


def test_pruned_in_the_last_moment(site: Site) -> None:
    """A deployment waits for a removal under way, and looks again after it."""
    with terminal(site.root, "versions", "deploy", "v2") as screen:
        screen.expect("Deploy? [y/N]: ")
        with publishing(site.directory):
            screen.type("y\n")
            time.sleep(0.3)
            assert site.percentages == [V1]
            site.directory.manifest_path("v2").unlink()
        assert screen.end() == 1
    assert "v2 is not uploaded" in screen.text
    assert site.percentages == [V1]


@pytest.mark.parametrize("columns", [80, 120])
def test_watch(site: Site, columns: int) -> None:
    """The watched status stays on one screen, follows a deployment, and ends with Ctrl+C and status 0, last shown."""
    site.report("web-1", ("v1", "v2"), 1, counts={"requests|v1|page|2xx|only": 123456})
    with terminal(site.root, "deployments", "status", "--watch", columns=columns) as screen:
        assert "123k" in screen.expect("1 of 1 worker serves revision 1")
        site.deploy({"v1": 90.0, "v2": 10.0}, message="a few")
        screen.expect("storefront, revision 2")
        screen.expect("it has read revision 1 so far")
        screen.expect("Ctrl+C ends.")
        screen.type(CTRL_C)
        assert screen.end() == 0
    shown, _, after = screen.raw.rpartition(f"{ESCAPE}?1049l")
    assert f"{ESCAPE}?1049h" in shown
    assert "storefront" in after
    assert "0 of 1 worker serves revision 2" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", after)
    frames = shown.split(f"{ESCAPE}H")[1:]
    assert len(frames) > 1
    assert f"{ESCAPE}2J" not in shown  # erasing the screen first would flicker
    for frame in frames:
        lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", frame).split("\r\n")
        assert max(map(len, lines)) <= columns
        assert len(lines) <= 50


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_watched_until_a_signal(site: Site, number: int) -> None:
    """A signal ends the process as it would without a screen, and the terminal is as it was before."""
    with terminal(site.root, "deployments", "status", "--watch") as screen:
        screen.expect("Ctrl+C ends.")
        screen.send(number)
        assert screen.end() == -number
    assert screen.raw.endswith(LEFT)
    assert "Traceback" not in screen.text


def test_watched_with_a_pause(site: Site) -> None:
    """Ctrl+Z shows the shell's screen with its cursor; "fg" shows the status again (here it goes on at once)."""
    with terminal(site.root, "deployments", "status", "--watch") as screen:
        screen.expect("Ctrl+C ends.")
        screen.send(signal.SIGTSTP)
        screen.expect_code(f"{LEFT}{ESCAPE}?1049h")
        screen.expect("Ctrl+C ends.")
        screen.type(CTRL_C)
        assert screen.end() == 0


def test_watched_with_an_error(site: Site) -> None:
    """An error that ends the watching is shown on the terminal as it was before."""
    with terminal(site.root, "deployments", "status", "--watch") as screen:
        screen.expect("Ctrl+C ends.")
        (site.path / "versions").rename(site.path / "moved")
        (site.path / "versions").write_text("")
        assert screen.end() == 1
    assert "Error:" in screen.raw.rpartition(LEFT)[2]


def test_a_script_that_ends_reading(site: Site) -> None:
    """A pipe without a reader ends the watching without an error message."""
    pipe = ["bash", "-c", 'set -o pipefail; "$@" | head -n 1', "-"]
    watch = program("deployments", "status", "--watch", "--json")
    kept = {"capture_output": True, "text": True, "timeout": 60}
    shown = subprocess.run([*pipe, *watch], cwd=site.root, env=environment(), check=False, **kept)
    assert json.loads(shown.stdout)["revision"] == 1
    assert (shown.returncode, shown.stderr) == (1, "")


def test_watched_without_colours(site: Site) -> None:
    """NO_COLOR leaves out the colours, and nothing that the screen needs."""
    with terminal(site.root, "deployments", "status", "--watch", NO_COLOR="1") as screen:
        screen.expect("Ctrl+C ends.")
        screen.type(CTRL_C)
        assert screen.end() == 0
    assert f"{ESCAPE}?1049h" in screen.raw
    assert "m" not in {code[-1] for code in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]", screen.raw)}


def test_watched_by_a_script(site: Site) -> None:
    """With --json the status is a line each second."""
    reading, writing = os.pipe()
    arguments = ("deployments", "status", "--watch", "--json")
    with terminal(site.root, *arguments, stdout=writing) as screen, os.fdopen(reading) as pipe:
        os.close(writing)
        documents = [json.loads(pipe.readline()) for _ in range(2)]
        screen.type(CTRL_C)
        assert screen.end() == 0
    assert [document["revision"] for document in documents] == [1, 1]


def test_interrupted_while_it_waits(site: Site) -> None:
    """Ctrl+C while a deployment waits for the workers says that it is written."""
    site.report("web-1", ("v1", "v2"), 1)
    with terminal(site.root, "versions", "deploy", "v2", "-y", "--wait", "60") as screen:
        screen.expect("Waiting until all workers serve revision 2, up to 60 seconds")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert "Revision 2 is deployed. Only the wait for the workers was interrupted" in screen.text
    assert "Traceback" not in screen.text
    assert site.percentages == [V1, {"v2": 100.0}]


def test_yes(site: Site) -> None:
    """With -y nobody is asked."""
    with terminal(site.root, "rollback", "v2", "-y") as screen:
        assert screen.end() == 0
    assert "[y/N]" not in screen.text


@pytest.mark.parametrize("command", ["rollback v2", "prune --keep 0"])
def test_other_questions(site: Site, command: str) -> None:
    """Whatever takes something away is asked about."""
    with terminal(site.root, *command.split()) as screen:
        screen.expect("? [y/N]: ")
        screen.type("n\n")
        assert screen.end() == 1
    assert site.percentages == [V1]
    assert list(site.directory.versions()) == ["v1", "v2"]


@pytest.mark.parametrize(("key", "code", "words"), [(CTRL_C, 130, ""), (CTRL_D, 1, "the question was not answered")])
def test_interrupted_question(site: Site, key: str, code: int, words: str) -> None:
    """Ctrl+C at a question ends with 130, the end of the input with 1; nothing is written, no traceback shown."""
    with terminal(site.root, "versions", "deploy", "v2") as screen:
        screen.expect("[y/N]: ")
        screen.type(key)
        assert screen.end() == code
    assert words in screen.text
    assert "Traceback" not in screen.text
    assert site.percentages == [V1]


def test_choosing(site: Site) -> None:
    """Without a spec, a terminal is asked for the versions and their percentages, until the answers can be used."""
    with terminal(site.root, "versions", "deploy", "-m", "chosen") as screen:
        shown = screen.expect("Numbers or ids [1 2]: ")
        assert "  1  v2" in shown
        assert re.search(r"  2  v1       100 %  \d\d-\d\d \d\d:\d\d, (now|\d+s ago)  checkout", shown)
        screen.type("1 7\n")
        assert "'7' is not in the list. Write numbers from 1 to 2, or ids" in screen.expect("Numbers or ids [1 2]: ")
        screen.type("2, v2\n")
        screen.expect("Percentage of v1 [50]: ")
        screen.type("many\n")
        assert "'many' is not a percentage" in screen.expect("Percentage of v1 [50]: ")
        screen.type("70%\n")
        screen.expect("v2 gets 30 %")
        screen.expect("Deploy? [y/N]: ")
        screen.type("y\n")
        assert screen.end() == 0
    assert site.percentages[-1] == {"v1": 70.0, "v2": 30.0}


def test_deployed_while_somebody_chose(site: Site) -> None:
    """A deployment that was made, and followed here, while somebody chose is a conflict: no log has lost anything."""
    with terminal(site.root, "versions", "deploy") as screen:
        screen.expect("Numbers or ids [1 2]: ")
        site.deploy({"v2": 100.0}, message="the other one")
        LocalCopy(site.path / COPY).save(open_log(site.directory).read())
        screen.type("1 2\n\n")
        assert screen.end() == 1
    assert "ada has deployed revision 2 in the meantime, 20" in screen.text
    assert 'UTC (just now): v2 100 % ("the other one")' in screen.text
    assert "Deploy?" not in screen.text
    assert "lost" not in screen.text
    assert site.percentages == [V1, {"v2": 100.0}]


def test_choosing_more_than_there_is(site: Site) -> None:
    """Percentages above 100 are asked for once more."""
    site.upload("v3")
    with terminal(site.root, "versions", "deploy") as screen:
        screen.expect("Numbers or ids [1 3]: ")
        screen.type("v1 v2 v3\n")
        for share, proposed in (("80", "33.333"), ("70", "10")):
            screen.expect(f"[{proposed}]: ")
            screen.type(f"{share}\n")
        screen.expect("more than 100 %")
        for share, proposed in (("80", "33.333"), ("10", "10")):
            screen.expect(f"[{proposed}]: ")
            screen.type(f"{share}\n")
        screen.expect("v3 gets 10 %")
        screen.expect("[y/N]: ")
        screen.type(CTRL_C)
        assert screen.end() == 130


def test_choosing_from_nothing(tmp_path: Path) -> None:
    """Where nothing is uploaded, there is nothing to choose."""
    site = Site(tmp_path)
    with terminal(site.root, "versions", "deploy") as screen:
        assert screen.end() == 1
    assert "nothing is uploaded yet: python -m version_affinity versions upload dist/" in screen.text


@pytest.mark.parametrize("command", ["versions upload builds/v1 --id v9", "compress builds/v1 --encoding gzip"])
def test_progress(site: Site, command: str) -> None:
    """Long work shows how far it is on a terminal's stderr, and nowhere else."""
    site.build("v1", {"n.txt": "new"})
    with terminal(site.root, *command.split()) as screen:
        assert screen.end() == 0
    assert "[####" in screen.text
    again = command.replace("v9", "v8")
    done = ran(site.root, *again.split())
    assert (done.stderr, "[##" in done.stdout) == ("", False)


@pytest.mark.parametrize(
    ("command", "name"), [("check builds/v1", "builds/v1"), ("versions deploy v2 --dry-run", "v2")]
)
def test_progress_of_a_check(site: Site, command: str, name: str) -> None:
    """A check says what it does, and then how far it is: on a terminal, and neither in a pipe nor with --json."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    with terminal(site.root, *command.split()) as screen:
        screen.expect(f"Checking {name} ...")
        screen.expect(f"Checking {name}  [######")
        screen.expect("######]  3/3")
        assert screen.end() == 0
    assert ran(site.root, *command.split()).stderr == ""
    reading, writing = os.pipe()
    with terminal(site.root, *command.split(), "--json", stdout=writing) as screen, os.fdopen(reading) as pipe:
        os.close(writing)
        assert screen.end() == 0
        assert json.load(pipe)
    assert "Checking" not in screen.text


def test_progress_of_a_huge_file(site: Site) -> None:
    """While one huge file is read, the line says for how long already."""
    pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    with (site.root / "builds" / "v1" / "huge.bin").open("wb") as file:
        file.truncate(2 << 30)  # sparse: it takes no space
    with terminal(site.root, "check", "builds/v1") as screen:
        screen.expect("Checking builds/v1 ... 0:00:01")
        screen.expect("######]  3/3")
        assert screen.end() == 0


@pytest.mark.parametrize(("columns", "bar"), [(80, 20), (40, 8)])
def test_progress_stays_on_its_line(site: Site, columns: int, bar: int) -> None:
    """However long the name and the counts are, a work is shown on one line: one that wraps would stay there.

    Each file is counted twice.
    """
    name = "a-directory-whose-name-is-long/日本語の長い名前のディレクトリ"
    write_build(site.root / name, {f"{number}.txt": "" for number in range(5000)})
    reading, writing = os.pipe()  # as wide as a pipe is, which is not asked
    arguments = ("versions", "upload", name, "--id", "v9")
    with terminal(site.root, *arguments, columns=columns, stdout=writing) as screen:
        os.close(writing)
        assert screen.end() == 0
    os.close(reading)
    assert max(map(width, re.split("[\r\n]", screen.text))) < columns
    lines = screen.text.rstrip().split("\n")
    assert len(lines) == 1
    shown = lines[0].split("\r")[-1]
    assert re.fullmatch(r"Uploadin.*\.\.\.  \[(#+)\]  10000/10000 *", shown)
    assert shown.count("#") >= bar


def test_json_on_a_terminal(site: Site) -> None:
    """What is to be JSON stays JSON where somebody is asked: the plan and the question are on stderr."""
    reading, writing = os.pipe()
    arguments = ("versions", "deploy", "v2@10", "v1", "--json")
    with terminal(site.root, *arguments, stdout=writing) as screen, os.fdopen(reading) as pipe:
        os.close(writing)
        assert "10 % of the users move" in screen.expect("Deploy? [y/N]: ")
        screen.type("y\n")
        assert screen.end() == 0
        text = pipe.read()
    assert text.startswith("{")
    assert '"deployed": true' in text


def test_nothing_yet(tmp_path: Path) -> None:
    """Empty lists say on a terminal what comes next."""
    site = Site(tmp_path)
    for command, words in (
        ("versions list", "Nothing is uploaded yet"),
        ("deployments list", "Nothing is deployed yet"),
    ):
        with terminal(site.root, *command.split()) as screen:
            assert screen.end() == 0
        assert words in screen.text


def test_how_many_more(site: Site) -> None:
    """A list that is cut says so on a terminal."""
    site.deploy(V1, V1)
    with terminal(site.root, "deployments", "list", "--limit", "1") as screen:
        assert screen.end() == 0
    assert "2 earlier deployments: --limit 3 lists all" in screen.text


def test_interrupted_work(site: Site) -> None:
    """SIGINT in the middle of a work ends with 130, without a traceback, and leaves nothing behind."""
    pipe = site.root / "builds" / "v1"
    site.build("v1", {f"assets/{number}.txt": "x" * 1000 for number in range(2000)})
    with terminal(site.root, "versions", "upload", str(pipe), "--id", "v9") as screen:
        screen.expect("[")
        screen.type(CTRL_C)
        assert screen.end() == 130
    assert "Traceback" not in screen.text
    assert list(site.directory.versions()) == ["v1", "v2"]


def test_errors_are_red(site: Site) -> None:
    """An error's first word is red on a terminal, and plain elsewhere."""
    with terminal(site.root, "versions", "view", "v9") as screen:
        assert screen.end() == 1
    assert f"{ESCAPE}31m{ESCAPE}1mError:" in screen.raw
    done = subprocess.run(
        program("versions", "view", "v9"), cwd=site.root, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stderr.startswith("Error: version 'v9'")


def test_files_by_reason(site: Site) -> None:
    """A terminal of 80 columns gets the files of a version under the reasons why they are fingerprinted or are not."""
    with terminal(site.root, "versions", "view", "v1", "--files", columns=80) as screen:
        assert screen.end() == 0
    lines = screen.text.splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings[0] == "Fingerprinted: usual name (2 files)"
    assert "Not fingerprinted: HTML (1 file)" in headings
    assert max(map(len, lines)) <= 80
    assert lines[lines.index("Not fingerprinted: HTML (1 file)") + 1].split()[-2:] == ["html", "/index.html"]
