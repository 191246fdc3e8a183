"""The releases directory: what makes one, and which versions are seen in it."""

import errno
import json
import logging
import os
from pathlib import Path

import pytest

from tests.releases.uploading import releases_in, write
from version_affinity import ConfigurationError
from version_affinity.releases.store.directory import PruneError, Release, ReleasesDirectory, UploadError, explained
from version_affinity.releases.store.upload import upload


@pytest.fixture
def releases(tmp_path):
    """Give an empty releases directory."""
    return releases_in(tmp_path)


def test_init_is_repeatable(tmp_path):
    """A directory is made with its name, also below others that are missing; made again, it is opened."""
    path = tmp_path / "new" / "releases"
    first = ReleasesDirectory.init(path, name="storefront")
    assert json.loads((path / "affinity.json").read_text()) == {"name": "storefront", "layout": 1}
    assert sorted(entry.name for entry in path.iterdir()) == ["affinity.json", "versions", "workers"]
    again = ReleasesDirectory.init(path, name="storefront")
    assert (first.path, first.name) == (again.path, again.name) == (path, "storefront")


@pytest.mark.parametrize("present", [[], [".gitkeep"], ["versions/"], ["versions/", "deployments.jsonl"]])
def test_init_in_what_is_left(tmp_path, present):
    """What an interrupted making leaves, and hidden files, are no obstacle."""
    for name in present:
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
    assert ReleasesDirectory.init(tmp_path, name="storefront").versions() == {}


@pytest.mark.parametrize(
    ("prepare", "name", "message"),
    [
        (
            lambda path: ReleasesDirectory.init(path, name="other"),
            "storefront",
            "has the name 'other'.*part of the hash",
        ),
        (lambda path: path.mkdir(), "Not a name", "name='Not a name' cannot be used"),
        (lambda path: (path / "src").mkdir(parents=True), "storefront", r"holds something else \('src'\)"),
        (lambda path: path.touch(), "storefront", "cannot be made: .*exists"),
    ],
)
def test_init_refuses(tmp_path, prepare, name, message):
    """A directory of another name, or of something else, is left as it is."""
    path = tmp_path / "releases"
    prepare(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ConfigurationError, match=message):
        ReleasesDirectory.init(path, name=name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (None, "is not a releases directory.*version-affinity --releases .* init"),
        ("", "is not JSON.*restore it"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "has layout None"),
        ('{"name": "a", "layout": 2}', "has layout 2, and this release of version_affinity reads layout 1"),
        ('{"name": "A!", "layout": 1}', "affinity.json.*name='A!' cannot be used"),
        ('{"layout": 1}', "name=None cannot be used"),
    ],
)
def test_open_refuses(tmp_path, settings, message):
    """What is not a releases directory, or one of a later layout, is told with the remedy."""
    if settings is not None:
        (tmp_path / "affinity.json").write_text(settings)
    with pytest.raises(ConfigurationError, match=message):
        ReleasesDirectory(tmp_path)


@pytest.mark.parametrize("path", ["", b"releases", None, "a\0b"])
def test_no_path(path):
    """What cannot be the name of a directory is refused."""
    with pytest.raises(ConfigurationError, match="cannot be a directory"):
        ReleasesDirectory(path)


def test_later_settings_are_ignored(tmp_path, releases):
    """What a later version adds to the settings does no harm."""
    (releases.path / "affinity.json").write_text('{"name": "storefront", "layout": 1, "more": [1]}')
    assert ReleasesDirectory(releases.path).name == "storefront"


def test_versions_are_in_the_order_of_their_upload(tmp_path, releases):
    """Versions are listed from the oldest to the newest, whatever their ids, with what their upload said."""
    for version in ("c", "a", "b"):
        upload(releases, write(tmp_path, version), id=version, author="Ann", tag=f"tag {version}", message='"\n\ud800é')
    versions = releases.versions()
    assert list(versions) == ["c", "a", "b"]
    assert ReleasesDirectory(releases.path).versions() == versions
    assert versions["a"] == releases.release("a")
    release = versions["a"]
    assert (release.author, release.tag, release.message, release.files) == ("Ann", "tag a", '"\n\ud800é', 9)
    assert release.size == sum(file.stat().st_size for file in (tmp_path / "dist-a").rglob("*") if file.is_file())
    assert Release.from_about("a", release.about()) == release


def test_manifests_are_read_once(tmp_path, releases):
    """A second look at the versions opens no file; a manifest that has changed is read again."""
    upload(releases, write(tmp_path, "v1"), id="v1", tag="one")
    opened = []
    listening = True

    def hook(event, args):
        if listening and event == "open" and str(args[0]).startswith(str(releases.path)):
            opened.append(args[0])

    import sys  # noqa: PLC0415

    sys.addaudithook(hook)
    other = ReleasesDirectory(releases.path)
    opened.clear()
    first = other.versions()
    assert opened == [str(releases.manifest_path("v1"))]
    assert other.versions() == first
    assert len(opened) == 1
    manifest = releases.manifest_path("v1")
    manifest.write_text(manifest.read_text().replace('"one"', '"other"'))
    assert other.versions()["v1"].tag == "other"
    listening = False


def test_manifest_of_another_form(tmp_path, releases):
    """A manifest that somebody has formatted is read all the same."""
    before = upload(releases, write(tmp_path, "v1"), id="v1", tag="one")
    manifest = releases.manifest_path("v1")
    for indent in (None, 2):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()), indent=indent))
        assert releases.versions() == {"v1": releases.release("v1")}
        assert releases.release("v1").content == before.content


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"manifest": "else", "files": {}}', "\xff"])
def test_broken_manifest(tmp_path, releases, caplog, broken):
    """A version whose manifest cannot be read is left out, and reported once, not each time."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    upload(releases, write(tmp_path, "v2"), id="v2")
    releases.manifest_path("v1").write_text(broken, "latin-1")
    with caplog.at_level(logging.WARNING):
        assert list(releases.versions()) == list(releases.versions()) == ["v2"]
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["version 'v1' is left out"]


def test_what_is_no_version(tmp_path, releases):
    """A manifest without a build, a build without a manifest, and all other names are no versions."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    text = releases.manifest_path("v1").read_text()
    for name in ("alone.json", ".hidden.json", "v1.json.json", "-.json", ".json", "v2.txt"):
        (releases.uploads / name).write_text(text)
    for name in ("build", ".hidden", "directory.json", "directory", "v1.json.d"):
        (releases.uploads / name).mkdir()
    assert list(releases.versions()) == ["v1"]
    with pytest.raises(ConfigurationError, match=r"version 'alone' is not in .*upload it"):
        releases.release("alone")


@pytest.mark.parametrize("version", ["", "../v1", "v1/..", "a b", ".", "v1.json", "V1.JSON", None, "x" * 65])
def test_ids_that_cannot_be(releases, version):
    """An id that could lead elsewhere, or would be a manifest's name, is refused wherever it is given."""
    for ask in (releases.release, releases.build_path, releases.manifest_path):
        with pytest.raises(ConfigurationError, match="cannot be used"):
            ask(version)


def test_linked_versions_directory(tmp_path, releases):
    """The versions may lie on another disk, behind a link."""
    elsewhere = tmp_path / "elsewhere"
    releases.uploads.rename(elsewhere)
    releases.uploads.symlink_to(elsewhere)
    upload(releases, write(tmp_path, "v1"), id="v1")
    assert (elsewhere / "v1.json").is_file()
    assert list(releases.versions()) == ["v1"]


@pytest.mark.parametrize(
    ("number", "denied"),
    [
        (errno.EACCES, True),
        (errno.EPERM, True),
        (errno.ENOSPC, False),
        (errno.EROFS, False),
        (errno.EIO, False),
        (errno.EMFILE, False),
    ],
)
def test_remedies(tmp_path, monkeypatch, number, denied):
    """Another user is the remedy for a missing permission only, whatever is written or read."""

    def fail(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    with pytest.raises(UploadError) as raised, explained(Path("versions"), UploadError, "nothing is done"):
        fail()
    assert ("as a user who may write there" in str(raised.value)) == denied
    monkeypatch.setattr(os, "listdir", fail)
    with pytest.raises(ConfigurationError) as refused:
        ReleasesDirectory.init(tmp_path / "new", name="app")
    assert ("that this user may write to" in str(refused.value)) == denied
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(ConfigurationError) as unread:
        ReleasesDirectory(tmp_path / "new")
    assert ("let this user read" in str(unread.value)) == denied


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [(UploadError, r"make room \(version-affinity prune\)"), (PruneError, "make room on the disk$")],
)
def test_full_disk(kind, remedy):
    """A full disk is told with a remedy, which for a pruning is not to prune."""
    with pytest.raises(kind, match=remedy), explained(Path("versions"), kind, "nothing is done"):
        raise OSError(errno.ENOSPC, "No space left on device")
