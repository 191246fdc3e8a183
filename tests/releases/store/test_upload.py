"""Uploads: all or nothing, never changed, shared where equal."""

import errno
import itertools
import json
import os
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import write_build
from tests.releases.disks import on_a_disk
from tests.releases.uploading import (
    SHARED,
    age,
    at_step,
    build_of,
    encoded,
    fill_disk,
    held,
    hidden,
    kill,
    releases_in,
    write,
)
from version_affinity import ConfigurationError
from version_affinity.releases.store.contents import SourceFile, content_hash, verify_version
from version_affinity.releases.store.durable import written_beside
from version_affinity.releases.store.upload import UploadError, upload

# Other tests may have left a thread, and so may what runs them.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")

POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such files")
LARGE = bytes(range(256)) * 8192


@pytest.fixture
def releases(tmp_path):
    """Give an empty releases directory."""
    return releases_in(tmp_path)


def stamp(file):
    """Return what changes when a file or directory is written or replaced."""
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def test_everything_arrives(tmp_path, releases):
    """A version holds the build to the last byte, with rule files and Vite's manifest, and its manifest tells all."""
    files = {**build_of("v1"), "large.bin": LARGE}
    uploaded = upload(releases, write_build(tmp_path / "dist", files), id="v1")
    assert held(releases, "v1") == encoded(files)
    assert (uploaded.id, uploaded.files, uploaded.is_new, uploaded.linked) == ("v1", 10, True, 0)
    assert uploaded.skipped == ()
    assert hidden(releases) == []
    entries = json.loads(releases.manifest_path("v1").read_text())["files"]
    assert {name for name, entry in entries.items() if entry["fingerprinted"]} == {SHARED, "assets/app-Ro_66fij.js"}
    assert entries["index.html"]["type"] == "text/html; charset=utf-8"


def test_servers_read_no_file(tmp_path, releases):
    """A server that loads a version from its manifest opens no file of the build, and leaves the manifest as it is."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    upload(releases, write(tmp_path, "v2"), id="v2")  # some of its files are links
    code = """
        import os, sys
        from version_affinity.assets.loading.index import scan
        opened = []
        sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
        scan(sys.argv[1], manifest=sys.argv[2])
        print(*sorted(opened), sep="\\n")
    """
    build, manifest = releases.build_path("v2"), releases.manifest_path("v2")
    before = stamp(manifest)
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), build, manifest], check=True, capture_output=True, text=True
    )
    assert [name for name in ran.stdout.splitlines() if name.startswith(str(releases.path))] == [str(manifest)]
    assert stamp(manifest) == before


@POSIX
def test_unchanged_files_are_shared(tmp_path, releases):
    """A file of equal content is a hard link to an earlier version's, wherever it lay; rule files are not shared."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    moved = {"assets/moved-vendor.js": build_of("v1")[SHARED]}
    uploaded = upload(releases, write(tmp_path, "v2", moved), id="v2")
    one, two = releases.build_path("v1"), releases.build_path("v2")
    shared = {SHARED, "assets/moved-vendor.js", "assets/deep/er/logo.svg", "über/ß.txt", "empty.txt"}
    assert {name for name in held(releases, "v2") if (two / name).stat().st_nlink > 1} == shared
    assert uploaded.linked == len(shared)
    assert (one / SHARED).samefile(two / SHARED)
    assert (one / SHARED).samefile(two / "assets/moved-vendor.js")


def test_sharing_survives_an_edited_file(tmp_path, releases):
    """A file that somebody has changed in an earlier version is not shared: the new version holds the build's bytes."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    file = releases.build_path("v1") / SHARED
    file.chmod(0o644)
    file.write_text("// defaced!")
    upload(releases, write(tmp_path, "v2"), id="v2")
    assert held(releases, "v2") == encoded(build_of("v2"))


@POSIX
@pytest.mark.parametrize("seconds", [1, 315_532_800, 1_700_000_000])
def test_equal_times_are_shared(tmp_path, releases, seconds):
    """Files with equal times are shared as all others are: container layers and SOURCE_DATE_EPOCH give such times."""
    for version in ("v1", "v2"):
        source = write(tmp_path, version)
        for file in source.rglob("*"):
            os.utime(file, (seconds, seconds))
        uploaded = upload(releases, source, id=version)
    assert uploaded.linked == 4
    assert verify_version(releases, "v2") == ()


@POSIX
@pytest.mark.parametrize("in_secret", [False, True])
def test_damage_does_not_spread(tmp_path, releases, in_secret):
    """A damaged file is not shared, even where size and time are as before; one of an older version is no obstacle."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    file = releases.build_path("v1") / SHARED
    status = file.stat()
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().swapcase())
    if in_secret:
        os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))
    assert upload(releases, write(tmp_path, "v2"), id="v2").linked > 0
    assert held(releases, "v2") == encoded(build_of("v2"))
    assert verify_version(releases, "v2") == ()
    assert verify_version(releases, "v1") == (("/" + SHARED, "has other content than was uploaded"),)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda build: None, []),
        (lambda build: (build / SHARED).unlink(), [("/" + SHARED, "is missing")]),
        (lambda build: rewrite(build / SHARED), [("/" + SHARED, "has other content than was uploaded")]),
        (lambda build: rewrite(build / "index.html"), [("/index.html", "has other content than was uploaded")]),
        (lambda build: (build / "new.js").write_text(""), [("/new.js", "was not uploaded")]),
        (lambda build: rewrite(build / "_headers"), [("/.vite/manifest.json, /_headers, /_redirects", "a file for")]),
        (lambda build: rewrite(build / ".vite/manifest.json"), [("/.vite/manifest.json, /_hea", "a file for")]),
        (lambda build: build.with_name("v1.json").write_text("{}"), [("v1.json", "the manifest cannot be used")]),
        (lambda build: [file.unlink() for file in build.rglob("*") if file.is_file()], [("/", "holds no file")]),
    ],
)
def test_verify(tmp_path, releases, damage, expected):
    """All files of a version are hashed, and those that are not as uploaded are named."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    damage(releases.build_path("v1"))
    found = verify_version(releases, "v1")
    assert [(path[: len(at)], part in why) for (path, why), (at, part) in zip(found, expected, strict=True)] == [
        (at, True) for at, _ in expected
    ]


def rewrite(file):
    """Write other bytes into a file of a version, and set its time back."""
    status = file.stat()
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[::-1] or b"x")
    os.utime(file, ns=(status.st_mtime_ns, status.st_mtime_ns))


def test_mending(tmp_path, releases):
    """The same build under the same id replaces damaged files, and keeps what is said of the version."""
    before = upload(releases, write(tmp_path, "v1"), id="v1", tag="first")
    rewrite(releases.build_path("v1") / SHARED)
    again = upload(releases, tmp_path / "dist-v1", id="v1", tag="later")
    assert (again.is_mended, again.is_new, again.tag, again.created) == (True, False, "first", before.created)
    assert held(releases, "v1") == encoded(build_of("v1"))
    assert verify_version(releases, "v1") == ()
    assert not upload(releases, tmp_path / "dist-v1", id="v1").is_mended
    assert hidden(releases) == []


@POSIX
@pytest.mark.parametrize("code", ["EXDEV", "EPERM", "EMLINK", "ENOTSUP"])
def test_refused_links_are_copies(tmp_path, releases, code):
    """Where the file system makes no hard link, the file is copied."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    source, refused = write(tmp_path, "v2"), getattr(errno, code)

    def work():
        sys.addaudithook(refuse)
        assert upload(releases, source, id="v2").linked == 0

    def refuse(event, _args):
        if event == "os.link":
            raise OSError(refused, os.strerror(refused))

    assert at_step(0, kill, work) == (False, 0)
    assert held(releases, "v2") == encoded(build_of("v2"))
    assert (releases.build_path("v2") / SHARED).stat().st_nlink == 1


def test_manifest_that_leads_out(tmp_path, releases):
    """A manifest that names a file outside its build makes nobody share that file."""
    secret = tmp_path / "secret.txt"
    secret.write_text("// vendor" * 100)
    upload(releases, write(tmp_path, "v1"), id="v1")
    manifest, status = releases.manifest_path("v1"), secret.stat()
    document = json.loads(manifest.read_text())
    entry = {**document["files"].pop(SHARED), "mtime_ns": status.st_mtime_ns}
    document["files"]["../../../secret.txt"] = entry
    manifest.write_text(json.dumps(document))
    upload(releases, write(tmp_path, "v2"), id="v2")
    assert secret.stat().st_nlink == 1


@POSIX
def test_files_are_read_only(tmp_path, releases):
    """No file of a version can be written by mistake, not even by its owner: others may share it."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    modes = {file.stat().st_mode & 0o222 for file in releases.build_path("v1").rglob("*") if file.is_file()}
    assert modes == {0}


def test_id_of_the_content(tmp_path, releases):
    """Without an id, the same build gets the same one, whenever it was built; another build gets another."""
    first = upload(releases, write(tmp_path, "v1"))
    for file in (tmp_path / "dist-v1").rglob("*"):
        os.utime(file, (1_700_000_000, 1_700_000_000))
    again = upload(releases, tmp_path / "dist-v1", tag="later")
    assert (again.id, again.is_new, again.created, again.tag) == (first.id, False, first.created, "")
    assert first.id == first.content[:12]
    assert upload(releases, write(tmp_path, "v2")).id != first.id
    write(tmp_path, "v1", {"_headers": "/*\n  X: other\n"})
    assert upload(releases, tmp_path / "dist-v1").id != first.id


NAMES = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="/"), min_size=1, max_size=3)
FILES = st.dictionaries(NAMES, st.tuples(st.integers(0, 9), st.binary(min_size=16, max_size=16)), max_size=4)


def content(files):
    """Return the hash of files from path to size and content hash."""
    listed = [SourceFile(f"/{name}", "", size, 0) for name, (size, _) in files.items()]
    return content_hash(listed, {f"/{name}": digest for name, (_, digest) in files.items()})


@given(FILES, FILES)
def test_equal_contents_are_equal(one, other):
    """Two builds have the same content hash if they have the same files, in whatever order, and only then."""
    assert (content(one) == content(other)) == (one == other)
    assert content(one) == content(dict(reversed(one.items())))


def test_versions_never_change(tmp_path, releases):
    """An id that is there takes no other content, and the same content changes nothing."""
    first = upload(releases, write(tmp_path, "v1"), id="v1", tag="first")
    before = stamp(releases.manifest_path("v1")), stamp(releases.build_path("v1"))
    with pytest.raises(ConfigurationError, match=r"'v1' exists with other content.*another id"):
        upload(releases, write(tmp_path, "v2"), id="v1")
    again = upload(releases, tmp_path / "dist-v1", id="v1", tag="second")
    assert not again.is_new
    assert (again.tag, again.created) == ("first", first.created)
    assert (stamp(releases.manifest_path("v1")), stamp(releases.build_path("v1"))) == before
    assert hidden(releases) == []


def test_broken_manifest_is_not_written_over(tmp_path, releases):
    """An id whose manifest cannot be read is refused: what it holds is not known."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    releases.manifest_path("v1").write_text("{")
    with pytest.raises(ConfigurationError, match=r"'v1' has a manifest .* that cannot be used"):
        upload(releases, tmp_path / "dist-v1", id="v1")
    assert releases.manifest_path("v1").read_text() == "{"


def test_lost_build_is_mended(tmp_path, releases):
    """A version whose build was lost is no version any longer; the same build may be uploaded again."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    releases.build_path("v1").rename(tmp_path / "lost")
    assert releases.versions() == {}
    assert upload(releases, tmp_path / "dist-v1", id="v1").is_new
    assert held(releases, "v1") == encoded(build_of("v1"))


@pytest.mark.parametrize("id_", ["../v1", "", "v1.json", ".upload-1", "a/b"])
def test_unusable_ids(tmp_path, releases, id_):
    """An id that cannot be used is refused before anything is read."""
    with pytest.raises(ConfigurationError, match=r"version id .* cannot be used"):
        upload(releases, tmp_path / "missing", id=id_)


@pytest.mark.parametrize(
    ("files", "source", "message"),
    [
        ({}, "missing", "source=.*missing' does not exist"),
        ({"file": ""}, "file", "is a file"),
        ({"dist/.hidden": ""}, "dist", "holds no file to serve: build the front end first"),
        ({"dist/_headers": "", "dist/.vite/manifest.json": "{}"}, "dist", "holds no file to serve"),
        ({"a.txt": ""}, ".", "holds the uploaded versions themselves"),
        ({"a.txt": ""}, "releases", "holds the uploaded versions themselves"),
        ({"a.txt": ""}, "releases/versions", "holds the uploaded versions themselves"),
        ({"a.txt": ""}, "a\0b", "source=.* cannot be"),
    ],
)
def test_unusable_sources(tmp_path, releases, files, source, message):
    """What is no finished build is refused, and leaves nothing behind."""
    write_build(tmp_path, files)
    with pytest.raises(ConfigurationError, match=message):
        upload(releases, f"{tmp_path}/{source}", id="v1")
    assert list(releases.uploads.iterdir()) == []


@POSIX
def test_hostile_source(tmp_path, releases):
    """What a server would not serve is left out and reported; a link inside the build becomes a file."""
    source = write(tmp_path, "v1", {".env": "SECRET=1", ".git/config": "", ".vite/other.json": ""})
    (tmp_path / "secret").write_text("secret")
    for name, target in [("out", "../secret"), ("dangling", "nowhere"), ("loop", "loop"), ("in.js", SHARED)]:
        (source / name).symlink_to(target)
    (source / "etc").symlink_to("/etc")
    os.mkfifo(source / "pipe")
    uploaded = upload(releases, source, id="v1")
    assert held(releases, "v1") == encoded({**build_of("v1"), "in.js": build_of("v1")[SHARED]})
    assert dict(uploaded.skipped) == {
        "/dangling": "a dangling link",
        "/etc": "a link that leads out of the directory",
        "/loop": "a link that leads to itself",
        "/out": "a link that leads out of the directory",
        "/pipe": "not a regular file",
    }
    assert not (releases.build_path("v1") / "in.js").is_symlink()


@POSIX
@pytest.mark.parametrize("target", ["../../secret.json", "nowhere"])
def test_hostile_vite_manifest(tmp_path, releases, target):
    """Vite's manifest is not read through a link."""
    (tmp_path / "secret.json").write_text("{}")
    source = write(tmp_path, "v1")
    (source / ".vite/manifest.json").unlink()
    (source / ".vite/manifest.json").symlink_to(target)
    assert dict(upload(releases, source, id="v1").skipped) == {"/.vite/manifest.json": "not a regular file"}
    assert not (releases.build_path("v1") / ".vite").exists()


def test_unused_compressed_files_are_reported(tmp_path, releases):
    """A compressed sibling that servers will not use is uploaded, and reported."""
    uploaded = upload(releases, write(tmp_path, "v1", {f"{SHARED}.gz": ""}), id="v1")
    assert [(path, "served by its own name only" in reason) for path, reason in uploaded.skipped] == [
        (f"/{SHARED}.gz", True)
    ]


def test_stale_compressed_files_stay_stale(tmp_path, releases):
    """A compressed sibling that is older than its original is so in the version too, though both are known files."""
    one, two = "// one" * 100, "// two" * 100
    times = {"v1": {"": 10, ".br": 11}, "v2": {"": 20, ".br": 21}, "v3": {"": 30, ".br": 21}}
    for version, text, compressed in [("v1", one, "br one"), ("v2", two, "br two"), ("v3", one, "br two")]:
        source = write_build(tmp_path / version, {"a.js": text, "a.js.br": compressed})
        for ending, hours in times[version].items():
            os.utime(source / f"a.js{ending}", (1_700_000_000 + 3600 * hours,) * 2)
        upload(releases, source, id=version)
    build = releases.build_path("v3")
    assert (build / "a.js.br").stat().st_mtime < (build / "a.js").stat().st_mtime


def test_compressed_files_of_shared_originals_are_used(tmp_path, releases):
    """A compressed sibling of a file that an earlier upload had, with a later time, is used: here it is not older."""
    for version, files in [("v1", {"a.js": 30}), ("v2", {"a.js": 10, "a.js.br": 11})]:
        source = write_build(tmp_path / version, {"b.js": version, "a.js": "// one" * 100, "a.js.br": "br one"})
        for name in {"a.js", "a.js.br"} - files.keys():
            (source / name).unlink()
        for name, hours in files.items():
            os.utime(source / name, (1_700_000_000 + 3600 * hours,) * 2)
        assert upload(releases, source, id=version).skipped == ()


def test_equal_times_are_not_kept(tmp_path, releases):
    """Files of 1970 and 1980, which some tools write, get a time that tells; all others keep theirs."""
    source = write_build(tmp_path / "dist", {"a.txt": "a", "b.txt": "b", "c.txt": "c"})
    for name, seconds in [("a.txt", 1), ("b.txt", 315_532_800), ("c.txt", 1_700_000_000)]:
        os.utime(source / name, (seconds, seconds))
    upload(releases, source, id="v1")
    kept = {file.name: int(file.stat().st_mtime) for file in releases.build_path("v1").iterdir()}
    assert kept["c.txt"] == 1_700_000_000
    assert min(kept["a.txt"], kept["b.txt"]) > 1_700_000_000
    held(releases, "v1")


def test_progress(tmp_path, releases):
    """Each file is told when it is there, and again when the disk has it; what is shared is there at once."""
    calls = []
    source = write(tmp_path, "v1")
    upload(releases, source, id="v1", progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(1, 19))
    assert {total for _, total, _ in calls} == {18}
    assert {name for _, _, name in calls[:9]} == {name for _, _, name in calls[9:]} == set(build_of("v1"))
    (source / "more.txt").write_text("more")
    calls.clear()
    upload(releases, source, id="v2", progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == sorted({done for done, _, _ in calls})
    assert calls[-1][:2] == (20, 20)
    assert len(calls) < 20


@pytest.mark.parametrize(
    "change",
    [
        lambda source: (source / "late.js").write_text(""),
        lambda source: (source / "index.html").write_text("longer than before"),
        lambda source: (source / "index.html").unlink(),
        lambda source: os.utime(source / "empty.txt", (1_700_000_000, 1_700_000_000)),
        lambda source: (source / "_headers").write_text(""),
    ],
)
@pytest.mark.parametrize("at", [1, 9])
def test_a_build_that_is_still_written(tmp_path, releases, change, at):
    """A build that changes while it is uploaded is refused: the version would hold parts of two."""
    source = write(tmp_path, "v1")

    def progress(done, _total, _name):
        if done == at:
            change(source)

    with pytest.raises(UploadError, match="has changed while it was uploaded: upload the build once it is finished"):
        upload(releases, source, id="v1", progress=progress)
    assert [entry.name for entry in releases.uploads.iterdir() if entry.name != ".lock"] == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_interrupt_leaves_nothing(tmp_path, releases, error):
    """An upload that is given up, by Ctrl-C for one, leaves nothing behind."""

    def progress(done, _total, _name):
        if done == 5:
            raise error

    with pytest.raises(error):
        upload(releases, write(tmp_path, "v1"), id="v1", progress=progress)
    assert list(releases.uploads.iterdir()) == []


@pytest.mark.slow
@POSIX
def test_killed_at_any_step(tmp_path, releases):
    """An upload that is killed before any call of the file system leaves no version, or the whole; the next one works.

    What it leaves is hidden, and is swept once it is old.
    """
    upload(releases, write(tmp_path, "v1"), id="v1")
    source, expected = write(tmp_path, "v2"), encoded(build_of("v2"))
    outcomes = set()
    for step in itertools.count(1):
        reached, _ = at_step(step, kill, lambda: upload(releases, source, id="v2"))
        seen = "v2" in releases.versions()
        outcomes.add((reached, seen))
        if seen:
            assert held(releases, "v2") == expected
        if not reached:
            break
        if step % 3 == 0:  # sometimes the next upload comes at once, sometimes after the sweep
            assert upload(releases, source, id="v2").is_new is not seen
            assert held(releases, "v2") == expected
        age(releases)
        upload(releases, tmp_path / "dist-v1", id="v1")  # sweeps
        assert hidden(releases) == []
        left = {entry.name for entry in releases.uploads.iterdir()}
        assert left - {"v2", "v2.json"} == {".lock", "v1", "v1.json"}
        assert ("v2" in left) == ("v2.json" in left)
        remove(releases, "v2")
    assert outcomes >= {(True, False), (True, True), (False, True)}


@POSIX
def test_files_of_writers_that_were_killed(tmp_path, releases):
    """A file that a killed process has not finished is removed by an upload, but not before it is a day old."""
    child = os.fork()
    if child == 0:
        with written_beside(releases.path / "copy.jsonl", ["text"]):
            os._exit(0)
    os.waitpid(child, 0)
    (left,) = releases.path.glob(".copy.jsonl.*")
    upload(releases, write(tmp_path, "v1"), id="v1")
    assert left.exists()
    os.utime(left, (0, 0))
    upload(releases, write(tmp_path, "v2"), id="v2")
    assert not left.exists()


def remove(releases, version):
    """Remove a version."""
    if releases.manifest_path(version).exists():
        releases.manifest_path(version).unlink()
        releases.build_path(version).rename(releases.path / "gone")
        subprocess.run(["rm", "-rf", releases.path / "gone"], check=True)


@pytest.mark.slow
@POSIX
def test_disk_full_at_any_step(tmp_path, releases):
    """A disk that is full at any one call of the file system leaves no version and nothing else, or the whole."""
    upload(releases, write(tmp_path, "v1"), id="v1")
    source, expected = write(tmp_path, "v2"), encoded(build_of("v2"))
    outcomes = set()
    for step in itertools.count(1):
        reached, status = at_step(step, fill_disk, lambda: upload(releases, source, id="v2"))
        seen = "v2" in releases.versions()
        outcomes.add((reached, status, seen))
        assert hidden(releases) == [] or status == 0, step
        age(releases)
        if seen:
            assert held(releases, "v2") == expected
        if not reached:
            break
        remove(releases, "v2")
    # It succeeds where it can do without the call, or else it says so: an exit with another status would be a fault.
    assert outcomes == {(True, 1 << 8, False), (True, 0, True), (False, 0, True)}


UPLOADING = """
import pathlib, subprocess, sys
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.durable import written_beside
from version_affinity.releases.store.upload import UploadError, upload
mount, source = sys.argv[1:]
releases = ReleasesDirectory.init(pathlib.Path(mount, "releases"), name="storefront")
{before}
try:
    upload(releases, source, id="v1")
except UploadError as error:
    print(error)
print(sorted(path.name for path in releases.uploads.iterdir()))
"""


@POSIX
@pytest.mark.parametrize(
    ("before", "size", "message"),
    [
        ("", 2_000_000, "No space left on device: make room (version-affinity prune)"),
        (
            "subprocess.run(['mount', '-o', 'remount,ro', mount], check=True)",
            1,
            "Read-only file system: make the",
        ),
    ],
)
def test_real_disk(tmp_path, before, size, message):
    """A disk that is full, and one that cannot be written to, are told, and nothing is left there."""
    source = write_build(tmp_path / "dist", {"index.html": "", "a.bin": bytes(size)})
    printed = on_a_disk(tmp_path / "mount", UPLOADING.format(before=before), source)
    assert message in printed
    assert "nothing was uploaded" in printed
    assert printed.splitlines()[-1] in ("[]", "['.lock']")


def upload_one(arguments):
    """Upload in a process of a pool; return what came of it."""
    path, source, version = arguments
    releases = releases_in(path)
    try:
        return upload(releases, source, id=version).is_new
    except ConfigurationError:
        return "refused"


@pytest.mark.slow
def test_concurrent_uploads(tmp_path):
    """Of several processes at once, those of one id and content give one version; other content under it is refused."""
    releases = releases_in(tmp_path)
    same, other = write(tmp_path, "same"), write(tmp_path, "other")
    work = [(tmp_path, same, "a"), (tmp_path, other, "a")] * 4 + [(tmp_path, same, id_) for id_ in "bcde"]
    with ProcessPoolExecutor(4, get_context("spawn")) as pool:  # unlike multiprocessing's, it tells of a dead worker
        results = list(pool.map(upload_one, work))
    assert sorted(results[:8], key=str) == [False] * 3 + [True] + ["refused"] * 4
    assert results[8:] == [True] * 4
    assert sorted(releases.versions()) == ["a", "b", "c", "d", "e"]
    for version in releases.versions():
        assert held(releases, version) in (encoded(build_of("same")), encoded(build_of("other")))
    assert hidden(releases) == []


def test_a_running_upload_is_not_swept(tmp_path, releases):
    """What another upload is putting together stays, however old it looks; what nobody holds goes when it is old."""
    source, seen = write(tmp_path, "slow"), []
    paused, resume = threading.Event(), threading.Event()

    def progress(done, _total, _name):
        if done == 3:
            paused.set()
            resume.wait(30)

    thread = threading.Thread(target=lambda: seen.append(upload(releases, source, id="slow", progress=progress)))
    thread.start()
    try:
        assert paused.wait(30)
        for name in (".upload-fresh", ".upload-old", ".prune-old"):
            write_build(releases.uploads / name / "build", {"a.js": ""})
        before = hidden(releases)
        fresh = releases.uploads / ".upload-fresh"
        age(releases)
        os.utime(fresh)
        upload(releases, write(tmp_path, "v1"), id="v1")
        assert set(before) - set(hidden(releases)) == {".upload-old", ".prune-old"}
    finally:
        resume.set()
        thread.join(30)
    assert [release.id for release in seen] == ["slow"]
    assert held(releases, "slow") == encoded(build_of("slow"))
