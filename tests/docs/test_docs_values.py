"""The defaults, times and limits that the pages name are those of the code."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import click
import pytest

from version_affinity import StaticAssets, VersionAffinity
from version_affinity.assets.loading.tree import LARGE
from version_affinity.cli.output import MIN_PREFIX
from version_affinity.cli.workers import wait_option
from version_affinity.decision.overrides import SHORTEST_SECRET
from version_affinity.ramp.evidence import MERGED, UNITS
from version_affinity.ramp.judgement import SILENCE
from version_affinity.ramp.next_entry import UNKNOWN_LOOKS
from version_affinity.ramp.notify import GIVEN_UP
from version_affinity.ramp.plan import PRESETS
from version_affinity.releases.follow.follower import START_PATIENCE
from version_affinity.releases.follow.guard import FOLLOWED
from version_affinity.releases.follow.readiness import LONGEST
from version_affinity.releases.log.file import WRITE_PATIENCE
from version_affinity.releases.reports.report import HEARTBEAT
from version_affinity.releases.store.durable import LOCK_PATIENCE

DOCS = Path(__file__).parents[2] / "docs"
WORDS = {1: "a", 2: "two", 4: "four", 5: "five", 10: "ten", 20: "twenty", 30: "thirty"}
(WAIT,) = [option.default for option in wait_option(click.Command("deploy")).params]
#: Options whose default is described in words, or that have none.
IN_WORDS = {"keys", "override_headers", "directory"}


@pytest.mark.parametrize(("made", "column"), [(StaticAssets, 2), (VersionAffinity, 1)])
def test_options(made: type, column: int) -> None:
    """The table of options has the defaults of the code."""
    _, _, text = (DOCS / "reference/options.md").read_text("utf-8").partition(f"\n## {made.__name__}\n")
    rows = re.findall(r"^\| `(\w+)` \|(.*)", text.partition("\n## ")[0], re.MULTILINE)
    cells = {name: rest.split("|")[column - 1].strip(" `").replace("64 MiB", str(64 << 20)) for name, rest in rows}
    found = {name: ast.literal_eval(cell) for name, cell in cells.items() if name not in IN_WORDS}
    options = inspect.signature(made).parameters
    assert found == {name: options[name].default for name in found}
    assert len(found) > 12


def test_presets_of_ramps() -> None:
    """The page about ramps has the presets of the code."""
    page = (DOCS / "how-to/guarded-ramps.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)`[^|]* \| ([\d, ]+) % \| (\w+) \| (\w+) \|", page, re.MULTILINE)
    assert rows == [
        (name, ", ".join(map(str, plan["steps"])), plan["every"], plan["bake"]) for name, plan in PRESETS.items()
    ]


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("how-to/guarded-ramps.md", f"No report for {SILENCE.seconds} seconds and {WORDS[UNKNOWN_LOOKS]} looks."),
        ("how-to/guarded-ramps.md", f"after {WORDS[int(FOLLOWED)]} seconds a warning"),
        ("how-to/guarded-ramps.md", f"tried again for {WORDS[GIVEN_UP.days]} day"),
        ("how-to/roll-out.md", f"does not serve it within {WORDS[WAIT]} seconds (`--wait`)"),
        ("how-to/roll-out.md", f"otherwise up to {WORDS[int(LONGEST)]} seconds"),
        ("how-to/roll-out.md", f"a starting worker waits up to {WORDS[int(START_PATIENCE)]} seconds"),
        ("how-to/several-hosts.md", f"until all of them serve it: {WORDS[WAIT]} seconds in all"),
        ("how-to/pipelines.md", f"longer than {WORDS[WAIT]} seconds"),
        ("reference/command-line.md", f"its beginning: {MIN_PREFIX} characters or more"),
        ("reference/options.md", f"a secret of {SHORTEST_SECRET} characters or more"),
        ("reference/options.md", f"Files above {LARGE // 1024} KiB"),
        ("reference/releases-directory.md", f"every {WORDS[int(HEARTBEAT)]} seconds in any case"),
        ("reference/releases-directory.md", f"at most {UNITS:,} users for each signal and process, and {MERGED:,} in"),
        ("reference/releases-directory.md", f"up to {WORDS[int(WRITE_PATIENCE)]} seconds for the lock of the log"),
        ("reference/releases-directory.md", f"up to {WORDS[int(LOCK_PATIENCE)]} seconds for the lock of the versions"),
    ],
)
def test_times_and_limits(page: str, sentence: str) -> None:
    """A page names the time or limit of the code."""
    assert sentence in " ".join((DOCS / page).read_text("utf-8").split())
