"""Retention: which versions stay known, which can go, and their removal."""

import itertools
import os
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budget import budget
from tests.ramp.ramping import Story
from tests.releases.followed import known_versions
from tests.releases.uploading import age, at_step, build_of, encoded, fill_disk, held, hidden, kill, releases_in, write
from version_affinity import ConfigurationError
from version_affinity.ramp.plan import RampPlan
from version_affinity.releases.log.entries import Entry
from version_affinity.releases.store.directory import Release
from version_affinity.releases.store.retention import PrunePlan, Retention, prune_plan, rollback_target
from version_affinity.releases.store.upload import upload
from version_affinity.releases.store.workspace import prune_versions

# Other tests may have left a thread, and so may what runs them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such files")
START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def day(number):
    """Return the time of a day as it is written in the log."""
    return (START + timedelta(days=number)).isoformat().replace("+00:00", "Z")


class Uploads:
    """Uploaded versions, by the day of their upload; nothing else of a releases directory is asked for."""

    def __init__(self, **days):
        self.days = days

    def versions(self):
        """Return the versions, the oldest first."""
        ordered = sorted(self.days, key=lambda version: self.days[version])
        return {version: Release(version, day(self.days[version])) for version in ordered}


def log(*deployments):
    """Return a log of (day, percentages)."""
    return [Entry(number, percentages, day(at)) for number, (at, percentages) in enumerate(deployments, 1)]


ONE, TWO, THREE = {"v1": 100}, {"v2": 100}, {"v3": 100}
SPLIT, STAGED = {"v1": 50, "v2": 50}, {"v1": 100, "v2": 0}


@pytest.mark.parametrize(
    ("deployments", "revision"),
    [
        ([], None),
        ([ONE], None),
        ([SPLIT], None),
        ([ONE, SPLIT], 1),
        ([ONE, TWO], 1),
        ([ONE, SPLIT, TWO], 1),
        ([ONE, TWO, ONE], 2),
        ([ONE, TWO, TWO], 1),
        ([ONE, ONE], None),
        ([STAGED, SPLIT], 1),
        ([ONE, STAGED], None),
        ([ONE, TWO, THREE, SPLIT], 3),
        ([{"v1": 99.9995, "v2": 0}, TWO], 1),
        ([{"v1": 99, "v2": 1}, TWO], None),
    ],
)
def test_rollback_target(deployments, revision):
    """A rollback returns to the newest earlier deployment with a version at 100 % that is not at 100 % now."""
    target = rollback_target(log(*enumerate(deployments)))
    assert (None if target is None else target.revision) == revision


FIVE = Uploads(v1=1, v2=2, v3=3, v4=4, v5=5)


@pytest.mark.parametrize(
    ("deployments", "retention", "known"),
    [
        # Nothing is deployed yet: the last uploads.
        ([], Retention(2), ["v5", "v4"]),
        ([], Retention(0), []),
        # The current deployment's versions stay, however old they are, in its order, those at 0 % too.
        ([(6, {"v2": 0, "v1": 100})], Retention(0), ["v2", "v1"]),
        # So do those of the window of a rollback, and what was live since; not what was staged only.
        ([(6, ONE), (7, TWO)], Retention(0), ["v2", "v1"]),
        ([(6, ONE), (7, {"v1": 90, "v3": 10, "v4": 0}), (8, TWO)], Retention(0), ["v2", "v3", "v1"]),
        ([(6, ONE), (7, TWO), (8, THREE)], Retention(0), ["v3", "v2"]),
        ([(6, SPLIT), (7, THREE)], Retention(0), ["v3"]),
        # The last of those that had users, and the last uploads that had none: neither takes the others' places.
        ([(6, ONE), (7, TWO), (8, THREE)], Retention(1), ["v3", "v2", "v5"]),
        ([(6, ONE), (7, TWO), (8, THREE)], Retention(3), ["v3", "v2", "v1", "v5", "v4"]),
        ([(6, ONE), (7, {"v1": 90, "v2": 10}), (8, ONE), (9, TWO)], Retention(1), ["v2", "v1", "v5"]),
        ([(0, ONE), (1, {"v1": 90, "v2": 10}), (2, ONE)], Retention(2), ["v1", "v5", "v4", "v2"]),
        # For a day after its last users, whatever the retention is; one that was staged had none.
        ([(1, ONE), (2, {"v1": 90, "v2": 10, "v3": 0}), (29.5, ONE)], Retention(0), ["v1", "v2"]),
        ([(1, ONE), (2, {"v1": 90, "v2": 10, "v3": 0}), (29, ONE)], Retention(0), ["v1"]),
        # Younger than: by the end of the last time in a deployment, not by its beginning; or by the upload.
        ([(2, ONE), (29, TWO), (29, THREE)], Retention(0, timedelta(days=2)), ["v3", "v2", "v1"]),
        ([(2, ONE), (27, TWO), (29, THREE)], Retention(0, timedelta(days=2)), ["v3", "v2"]),
        ([(2, ONE)], Retention(0, timedelta(days=26)), ["v1", "v5"]),
        # Either of the two is enough.
        ([(2, ONE)], Retention(1, timedelta(days=27)), ["v1", "v5", "v4"]),
        # A clock that goes back ends no use before it began; the order of the log is what counts.
        ([(29, ONE), (1, TWO), (1, THREE)], Retention(0, timedelta(days=2)), ["v3", "v2", "v1"]),
        # What is not uploaded here is not known here.
        ([(6, {"v9": 90, "v1": 10})], Retention(0), ["v1"]),
        ([(6, {"v9": 100}), (7, ONE)], Retention(1), ["v1", "v5"]),
    ],
)
def test_known_versions(deployments, retention, known):
    """The current deployment's versions, those that a rollback may need, and those within the retention are known."""
    entries, now = log(*deployments), START + timedelta(days=30)
    assert known_versions(FIVE, entries, retention, now=now) == known
    plan = prune_plan(FIVE, entries, retention, now=now)
    assert list(plan.kept) == known
    assert [release.id for release in plan.removed] == [version for version in FIVE.days if version not in known]


@pytest.mark.parametrize("base", [{"v1": 100.0}, {"v1": 60.0, "v3": 40.0}, {"v1": 100.0, "v3": 0.0}])
@pytest.mark.parametrize("events", [(), ("pause",), ("advance",), ("advance", "advance"), ("promote", "pause")])
def test_base_of_a_ramp(base, events):
    """While a ramp goes on, the versions before it stay whatever the retention is: a rollback returns to them."""
    story = Story(RampPlan("v2", (1, 50, 100)), base)
    for event in events:
        story.command(event)
    much_later = START + timedelta(days=1000)
    assert set(known_versions(FIVE, story.entries, Retention(0), now=much_later)) == {*base, "v2"}


def test_base_of_a_completed_ramp():
    """After the ramp, a rollback still returns to the version that had all users before it."""
    story = Story(RampPlan("v2", (1, 100)))
    for event in ("promote", "promote"):
        story.command(event)
    assert story.shown == ("completed", 2, {"v2": 100.0})
    assert known_versions(FIVE, story.entries, Retention(0), now=START + timedelta(days=1000)) == ["v2", "v1"]


def test_reasons():
    """A plan says of each version why it stays."""
    entries = log((6, ONE), (29, TWO))
    kept = prune_plan(FIVE, entries, Retention(1), now=START + timedelta(days=30)).kept
    assert kept == {
        "v2": "in the current deployment",
        "v1": "deployed since revision 1, which a rollback returns to",
        "v5": "the last one that was uploaded",
    }
    entries = log((6, ONE), (7, TWO), (29, {"v1": 90, "v2": 10}), (29.5, ONE), (29.6, THREE))
    kept = prune_plan(FIVE, entries, Retention(0), now=START + timedelta(days=30)).kept
    assert kept["v2"] == "had users less than a day ago, whose tabs may be open"
    kept = prune_plan(FIVE, entries, Retention(9), now=START + timedelta(days=60)).kept
    assert kept["v2"] == "one of the last 9 that had users"
    kept = prune_plan(FIVE, entries, Retention(0, timedelta(days=26)), now=START + timedelta(days=30)).kept
    assert kept["v5"] == "in use, or uploaded, less than 26d ago"


@pytest.mark.parametrize("created", ["", "yesterday", "2026-01-09T00:00:00", "2026-01-09T00:00:00Z", "2026"])
def test_unreadable_times(created):
    """A time that is none, or has no zone, stops nothing, and takes no version from a deployment."""
    entries = [Entry(1, ONE, created), Entry(2, TWO, created)]
    assert known_versions(FIVE, entries, Retention(0))[:2] == ["v2", "v1"]


@pytest.mark.parametrize(
    "arguments", [{"keep": -1}, {"keep": 1.5}, {"keep": True}, {"younger_than": 30}, {"younger_than": timedelta(-1)}]
)
def test_unusable_retention(arguments):
    """A number below 0 and a time that is none are refused when they are given."""
    with pytest.raises(ConfigurationError, match=next(iter(arguments))):
        Retention(**arguments)


@given(keep=st.integers(0), young=st.none() | st.timedeltas(timedelta(0), timedelta(days=20_000)))
def test_written_and_read(keep, young):
    """A retention that is written down is the same when it is read."""
    assert Retention.from_dict(Retention(keep, young).as_dict()) == Retention(keep, young)


VERSIONS = ["v1", "v2", "v3", "v4", "v5", "v6"]
SHARES = st.one_of(
    st.sampled_from(VERSIONS).map(lambda version: {version: 100}),
    st.lists(st.sampled_from(VERSIONS), min_size=2, max_size=3, unique=True).map(
        lambda versions: {version: (50 if place < 2 else 0) for place, version in enumerate(versions)}
    ),
)


@budget(300)
@given(
    days=st.dictionaries(st.sampled_from(VERSIONS), st.integers(0, 30)),
    deployments=st.lists(st.tuples(st.integers(0, 30), SHARES), max_size=6),
    keep=st.integers(0, 7),
    young=st.none() | st.integers(0, 30),
)
def test_what_is_needed_is_never_removed(days, deployments, keep, young):
    """Whatever was deployed when, no plan removes a version that is deployed or that a rollback returns to.

    A longer retention keeps at least as much; at most so many more stay than are kept and needed.
    """
    uploads, entries, now = Uploads(**days), log(*deployments), START + timedelta(days=30)
    time = None if young is None else timedelta(days=young)
    plan = prune_plan(uploads, entries, Retention(keep, time), now=now)
    removed = {release.id for release in plan.removed}
    assert removed | set(plan.kept) == set(days)
    assert not removed & set(plan.kept)
    target = rollback_target(entries)
    needed = {*(entries[-1].percentages if entries else ()), *(target.percentages if target else ())}
    live = {version for entry in (entries[-1:] + ([target] if target else [])) for version in entry.percentages}
    assert not removed & {v for v in live if v in needed and (not target or v in entries[-1].percentages)}
    assert not removed & ({v for v, share in target.percentages.items() if share > 0} if target else set())
    assert len(plan.kept) >= min(keep, len(days))
    longer = prune_plan(uploads, entries, Retention(keep + 1, timedelta(days=(young or 0) + 1)), now=now)
    assert set(plan.kept) <= set(longer.kept)


class Log:
    """A log that is asked again while versions are removed."""

    def __init__(self, entries):
        self.entries = entries

    def read(self, after=0):
        """Return the deployments."""
        return self.entries[after:]


@pytest.fixture
def releases(tmp_path):
    """Give a releases directory with three versions."""
    releases = releases_in(tmp_path)
    for version in ("v1", "v2", "v3"):
        upload(releases, write(tmp_path, version), id=version)
    return releases


def test_prune(releases):
    """What a plan removes is gone; the files that others share with it are still theirs."""
    entries = log((6, THREE))
    plan = prune_plan(releases, entries, Retention(keep=1))
    assert [release.id for release in plan.removed] == ["v1"]
    assert prune_versions(plan, Log(entries)) == ["v1"]
    assert list(releases.versions()) == ["v2", "v3"]
    assert sorted(path.name for path in releases.uploads.iterdir()) == [".lock", "v2", "v2.json", "v3", "v3.json"]
    assert held(releases, "v3") == encoded(build_of("v3"))
    assert prune_versions(plan, Log(entries)) == []


def test_pruned_ids_are_free(tmp_path, releases):
    """A version that was removed may be uploaded again, with other content too."""
    prune_versions(PrunePlan(releases, (releases.release("v1"),), {}))
    assert upload(releases, write(tmp_path, "other"), id="v1").is_new


def test_deployed_meanwhile(releases):
    """A version that was deployed after the plan was made stays."""
    plan = prune_plan(releases, log((6, THREE)), Retention(keep=0))
    assert [release.id for release in plan.removed] == ["v1", "v2"]
    assert prune_versions(plan, Log(log((6, THREE), (7, ONE)))) == ["v2"]
    assert list(releases.versions()) == ["v1", "v3"]
    assert held(releases, "v1") == encoded(build_of("v1"))


def test_unreadable_log(releases):
    """Where the log cannot be read, nothing is removed."""

    class Unreadable(Log):
        def read(self, after=0):
            raise RuntimeError

    plan = prune_plan(releases, log((6, THREE)), Retention(keep=0))
    with pytest.raises(RuntimeError):
        prune_versions(plan, Unreadable([]))
    assert list(releases.versions()) == ["v1", "v2", "v3"]
    assert hidden(releases) == []


@pytest.mark.slow
@POSIX
@pytest.mark.parametrize("event", [kill, fill_disk])
def test_stopped_at_any_step(tmp_path, releases, event):
    """A pruning that is killed or fails before any call of the file system leaves the version whole, or none of it."""
    plan = PrunePlan(releases, (releases.release("v2"),), {})
    outcomes = set()
    for step in itertools.count(1):
        reached, status = at_step(step, event, lambda: prune_versions(plan))
        seen = "v2" in releases.versions()
        outcomes.add(seen)
        if seen:
            assert held(releases, "v2") == encoded(build_of("v2"))
        assert event is kill or status in (0, 1 << 8), step
        age(releases)
        upload(releases, tmp_path / "dist-v1", id="v1")  # sweeps
        assert hidden(releases) == []
        assert (releases.uploads / "v2").exists() is seen
        upload(releases, tmp_path / "dist-v2", id="v2")
        if not reached:
            break
    assert outcomes == {True, False}
