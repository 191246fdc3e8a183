"""``affinity.json``: what it says of the retention, what is refused, and how it is changed."""

import contextlib
import itertools
import json
import os
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.harness import write_build
from tests.releases.disks import on_a_disk
from tests.releases.uploading import at_step, fill_disk, kill, releases_in
from version_affinity import ConfigurationError, Releases, VersionAffinity
from version_affinity.releases.releases import open_log
from version_affinity.releases.store.directory import ReleasesDirectory, ReleasesError, RetentionConflictError
from version_affinity.releases.store.retention import KEEP_ALL, Retention
from version_affinity.releases.store.upload import upload

POSIX = pytest.mark.skipif(os.name != "posix", reason="it is about POSIX processes and users")
MONTH = timedelta(days=30)


@pytest.fixture
def releases(tmp_path):
    """Give an empty releases directory."""
    return releases_in(tmp_path)


def settle(releases, retention):
    """Write settings with this retention, as an editor does."""
    document = {"name": "storefront", "layout": 1, "retention": retention}
    (releases.path / "affinity.json").write_text(json.dumps(document))


def settled(releases):
    """Return what the settings say."""
    return json.loads((releases.path / "affinity.json").read_text())


@pytest.mark.parametrize(
    ("said", "retention"),
    [
        ({}, Retention()),
        ({"keep": 0}, Retention(0)),
        ({"younger_than": "30d"}, Retention(10, MONTH)),
        ({"keep": 20, "younger_than": "4w2d"}, Retention(20, MONTH)),
        ({"keep": 20, "younger_than": None}, Retention(20)),
        (None, Retention()),
        ({"keep": 20, "later": {"b": 1}}, Retention(20)),
    ],
)
def test_read(releases, said, retention):
    """What is not said is as by default."""
    settle(releases, said)
    assert ReleasesDirectory(releases.path).retention == retention


def test_older_settings(releases):
    """A directory of the time before there were such settings goes by the defaults."""
    assert settled(releases) == {"name": "storefront", "layout": 1}
    assert releases.retention == Retention()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (5, "retention=5 cannot be used: write {"),
        ({"keep": "5"}, "keep='5' is not a number of versions: write one from 0"),
        ({"keep": -1}, "keep=-1 is not a number of versions"),
        ({"keep": True}, "keep=True is not a number of versions"),
        ({"younger_than": 30}, 'younger_than=30 is not a duration: write one such as "30d", or null'),
        ({"younger_than": "none"}, "younger_than='none' is not a duration"),
        ({"younger_than": "9" * 400 + "d"}, "younger_than='999"),
        ({"younger_than": ["30d"]}, "younger_than=['30d'] is not a duration"),
    ],
)
def test_unusable(releases, said, message):
    """What cannot be used keeps all versions, and is told with the file, the key and what to write."""
    settle(releases, said)
    found = ReleasesDirectory(releases.path)
    assert (found.name, found.retention) == ("storefront", KEEP_ALL)
    assert found.retention_error.startswith(repr(str(releases.path / "affinity.json")))
    assert message in found.retention_error
    assert len(found.retention_error) < 500 + len(str(releases.path))
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        ReleasesDirectory.init(releases.path, name="storefront", retention=Retention())
    found.change_retention(Retention(5))
    assert (found.retention_error, settled(releases)["retention"]) == ("", Retention(5).as_dict())


def test_keys_of_a_later_release(releases):
    """What this release does not know of the retention is told, and stays when the retention is changed."""
    assert releases.retention_warning == ""
    settle(releases, {"keeps": 5, "later": {"b": 1}})
    found = ReleasesDirectory(releases.path)
    assert found.retention_error == ""
    assert "affinity.json': retention has the unknown key 'keeps', which is ignored" in found.retention_warning
    found.change_retention(Retention(5))
    assert settled(releases)["retention"] == {"keeps": 5, "later": {"b": 1}, "keep": 5, "younger_than": None}


def test_made_with_a_retention(tmp_path):
    """A retention that is given when the directory is made stands in it; made again, it must be the same, or none."""
    retention = Retention(20, MONTH)
    releases = ReleasesDirectory.init(tmp_path / "new", name="storefront", retention=retention)
    assert settled(releases)["retention"] == {"keep": 20, "younger_than": "30d"}
    for again in (retention, None):
        assert ReleasesDirectory.init(releases.path, name="storefront", retention=again).retention == retention
    with pytest.raises(ConfigurationError, match=r"another retention \(keep 20, younger than 30d\)"):
        ReleasesDirectory.init(releases.path, name="storefront", retention=Retention(5))
    assert ReleasesDirectory(releases.path).retention == retention


def test_change(releases):
    """A change holds at once, for whoever opens the directory next too; what a later release has written stays."""
    document = {"name": "storefront", "layout": 1, "more": [1]}
    (releases.path / "affinity.json").write_text(json.dumps(document))
    releases.change_retention(Retention(5, MONTH))
    assert releases.retention == ReleasesDirectory(releases.path).retention == Retention(5, MONTH)
    assert settled(releases) == {**document, "retention": {"keep": 5, "younger_than": "30d"}}
    assert sorted(entry.name for entry in releases.path.iterdir()) == ["affinity.json", "versions", "workers"]


def test_change_of_what_was_read(releases):
    """A change of what somebody else has changed meanwhile is refused, and what holds now is known."""
    stale = ReleasesDirectory(releases.path)
    releases.change_retention(Retention(5), expected=Retention())
    with pytest.raises(RetentionConflictError, match="the retention is keep 5 now"):
        stale.change_retention(Retention(10, MONTH), expected=Retention())
    assert stale.retention == ReleasesDirectory(releases.path).retention == Retention(5)
    stale.change_retention(Retention(5, MONTH), expected=stale.retention)
    assert ReleasesDirectory(releases.path).retention == Retention(5, MONTH)


def test_changes_at_once(releases):
    """Of several who count up what they have read, again where another was faster, none is lost."""

    def count(times):
        mine = ReleasesDirectory(releases.path)
        while times:
            with contextlib.suppress(RetentionConflictError):
                mine.change_retention(Retention(mine.retention.keep + 1), expected=mine.retention)
                times -= 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, [20] * 4))
    assert ReleasesDirectory(releases.path).retention == Retention(90)


@POSIX
def test_a_change_outlasts_a_crash(releases, monkeypatch):
    """The new settings are on the disk before they have their name, and the name before the change is done."""
    synced = []

    def fsync(descriptor):
        kind = "directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, settled(releases).get("retention")))

    monkeypatch.setattr(os, "fsync", fsync)
    releases.change_retention(Retention(5))
    assert synced == [("file", None), ("directory", Retention(5).as_dict())]


@POSIX
def test_a_change_is_another_file(tmp_path, releases):
    """Whoever is reading the settings while they change has the old ones, whole."""
    before = settled(releases)
    with (releases.path / "affinity.json").open() as reader:
        releases.change_retention(Retention(5))
        assert json.load(reader) == before != settled(releases)


@POSIX
def test_change_keeps_mode_and_links(tmp_path, releases):
    """Who may read the settings may still do so; settings that are a link to a file elsewhere stay one."""
    settings, elsewhere = releases.path / "affinity.json", tmp_path / "settings.json"
    settings.rename(elsewhere)
    settings.symlink_to(elsewhere)
    elsewhere.chmod(0o6640)
    releases.change_retention(Retention(5))
    assert settings.is_symlink()
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640  # without setuid and setgid: the owner may be another
    assert ReleasesDirectory(releases.path).retention == Retention(5)


READ_ONLY = """
import pathlib, subprocess, sys
from version_affinity.releases.store.retention import Retention
from version_affinity.releases.store.directory import ReleasesDirectory, ReleasesError
mount = pathlib.Path(sys.argv[1])
releases = ReleasesDirectory.init(mount / "releases", name="storefront")
subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
try:
    releases.change_retention(Retention(5))
except ReleasesError as error:
    print(error)
print(releases.retention == ReleasesDirectory(releases.path).retention == Retention())
"""


@POSIX
def test_change_on_a_disk_that_is_read_only(tmp_path):
    """Where the settings cannot be written, they stay, and the message says what helps."""
    told, stays = on_a_disk(tmp_path / "mount", READ_ONLY).splitlines()
    assert "affinity.json' cannot be written to: Read-only file system: make the file system writable" in told
    assert stays == "True"


@POSIX
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("event", [kill, fill_disk])
def test_change_stopped_at_any_step(releases, event):
    """A change that is killed or fails before any call of the file system leaves the old settings, or the new."""
    before, after = Retention(), Retention(5, MONTH)
    outcomes = set()

    def change():
        try:
            releases.change_retention(after)
        except ConfigurationError as error:  # they could not be read
            raise ReleasesError from error

    for step in itertools.count(1):
        releases.change_retention(before)
        reached, status = at_step(step, event, change)
        found = ReleasesDirectory(releases.path).retention
        outcomes.add(found)
        assert found in (before, after)
        assert event is kill or status in (0, 1 << 8), step
        assert status != 0 or found == after
        if not reached:
            break
    assert outcomes == {before, after}


def serve(site, **options):
    """Start an application that follows the releases with these options, and stop it."""
    followed = Releases(site)
    VersionAffinity(None, followed, **options)
    followed.close()


@pytest.mark.parametrize(
    ("said", "options", "remedy"),
    [
        ({}, {"prefix": "/shop/"}, ""),
        ({"prefix": "/shop"}, {"prefix": "/shop/"}, ""),
        ({"app_first": ["/a", "/b"]}, {"app_first": ["/b", "/a"]}, ""),
        ({"origins": ["https://cdn.example"]}, {}, ""),
        ({"prefix": "/shop/"}, {}, "settings --prefix /"),
        ({"app_first": ["/api/*"]}, {}, "settings --app-first none"),
        ({"app_first": []}, {"app_first": ["/api/*", "/b c"]}, "settings --app-first '/api/*' --app-first '/b c'"),
        ({"not_found_handling": "404-page"}, {}, "settings --no-spa"),
        (
            {"prefix": "/a/", "not_found_handling": "none"},
            {"prefix": "/b/", "not_found_handling": "single-page-application"},
            "settings --prefix /b/ --spa",
        ),
    ],
)
def test_application_that_serves_otherwise(releases, tmp_path, caplog, said, options, remedy):
    """An application serves as its own options say. Where the settings say otherwise, it warns, and names a remedy."""
    build = write_build(tmp_path / "build", {"index.html": "<!doctype html>"})
    upload(releases, build, id="v1")
    log = open_log(releases)
    log.append({"v1": 100}, expected=0)
    (releases.path / "affinity.json").write_text(json.dumps({"name": "storefront", "layout": 1, **said}))
    serve(releases.path, **options)
    warnings = [record.getMessage() for record in caplog.records if "settings" in record.getMessage()]
    assert [text.partition(f"--releases {releases.path} ")[2] for text in warnings] == ([remedy] if remedy else [])
    for key in said if remedy else ():
        assert f"{key}={said[key]!r}" in warnings[0]


def test_application_with_bad_serving_settings(releases, tmp_path, caplog):
    """Settings that cannot be used are logged by an application, which does not need them."""
    upload(releases, write_build(tmp_path / "build", {"index.html": "<!doctype html>"}), id="v1")
    open_log(releases).append({"v1": 100}, expected=0)
    (releases.path / "affinity.json").write_text('{"name": "storefront", "layout": 1, "prefix": "shop"}')
    serve(releases.path)
    assert f"'{releases.path / 'affinity.json'}': prefix='shop' is not a path" in caplog.text
