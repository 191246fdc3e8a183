"""Reading a build directory."""

import gc
import gzip
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unicodedata
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.assets.asking import ask
from tests.harness import write_build
from version_affinity.assets.loading import tree as reading
from version_affinity.assets.loading.asset import etag_of
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.memory import Memory
from version_affinity.assets.loading.tree import LARGE
from version_affinity.assets.static import StaticAssets
from version_affinity.errors import ConfigurationError

POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such files")
NOBODY = 65534


def reasons(index):
    """Return what was skipped, from path to reason."""
    return dict(index.skipped)


def test_assets(tree):
    """Every regular file is found, at any depth, under its path."""
    root = tree({"index.html": "<p>", "assets/a.js": "1", "a/b/c/d.txt": "x", "empty.txt": "", "no extension": "y"})
    assert set(scan(root).assets) == {"/index.html", "/assets/a.js", "/a/b/c/d.txt", "/empty.txt", "/no extension"}


def test_asset(tree):
    """An asset says everything that a response needs."""
    root = tree({"assets/index-BX4CeNGm.js": "let a = 1"})
    asset = scan(root, memory=Memory(100)).assets["/assets/index-BX4CeNGm.js"]
    status = (root / "assets/index-BX4CeNGm.js").stat()
    assert asset.path == "/assets/index-BX4CeNGm.js"
    assert Path(asset.file) == root / "assets/index-BX4CeNGm.js"
    assert (asset.size, asset.mtime_ns, asset.data) == (9, status.st_mtime_ns, b"let a = 1")
    assert (asset.fingerprinted, asset.is_html) == (True, False)
    assert asset.content_type == "text/javascript; charset=utf-8"
    assert asset.headers == (
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Content-Length", "9"),
        ("ETag", asset.etag),
        ("X-Content-Type-Options", "nosniff"),
        ("Accept-Ranges", "bytes"),
    )
    assert asset.variants == ()


def test_etag_is_the_content(tree):
    """Equal bytes have equal tags in any directory and at any time, other bytes have others."""
    first, second = tree({"a.txt": "same", "b.txt": "other"}), tree({"c/d.js": "same"})
    os.utime(second / "c/d.js", (1, 1))
    one, two = scan(first).assets, scan(second).assets
    assert one["/a.txt"].etag == two["/c/d.js"].etag != one["/b.txt"].etag
    assert re.fullmatch(r'"[A-Za-z0-9_-]{22}"', one["/a.txt"].etag)
    assert one["/a.txt"].etag == etag_of(one["/a.txt"].digest)


def test_etag_is_stable():
    """The tag of known bytes is the same on every host and in every release."""
    assert etag_of(bytes.fromhex("fbff" + 14 * "00")) == '"-_8AAAAAAAAAAAAAAAAAAA"'
    assert etag_of(bytes(16), "br") == '"AAAAAAAAAAAAAAAAAAAAAA.br"'


@pytest.mark.parametrize("size", [0, 1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 7])
def test_sizes(tree, size):
    """A file above the limit is hashed in blocks and not held; its tag is what holding it would give."""
    content = bytes(range(256)) * (size // 256 + 1)
    root = tree({"f.bin": content[:size], "g.bin": content[:size] + b"!"})
    assets = scan(root, memory=Memory(1 << 30)).assets
    asset = assets["/f.bin"]
    assert asset.size == size
    assert (asset.data == content[:size]) if size <= LARGE else (asset.data is None)
    assert asset.digest == reading.read(asset.file, limit=1 << 30).digest != assets["/g.bin"].digest


def test_memory(tree):
    """Content is held as far as it fits, equal content once; without a memory nothing is held."""
    root = tree({"a.txt": "12345", "b.txt": "12345", "c.txt": "1234567"})
    memory = Memory(8)
    assets = scan(root, memory=memory).assets
    assert assets["/a.txt"].data is assets["/b.txt"].data is not None
    assert (assets["/c.txt"].data, memory.used) == (None, 5)
    assert all(asset.data is None for asset in scan(root).assets.values())


def test_a_failed_scan_gives_its_memory_back(tree):
    """A scan that raises leaves nothing in the shared memory."""
    memory = Memory(100)

    def fail(path):
        if path == "/b.txt":
            raise RuntimeError

    with pytest.raises(ConfigurationError):
        scan(tree({"a.txt": "1", "b.txt": "2"}), memory=memory, fingerprinted=fail)
    assert memory.used == 0


@pytest.mark.usefixtures("no_hanging")
def test_other_threads_go_on(tree):
    """A load that is kept waiting in one thread keeps no request of another thread waiting, nor its garbage."""
    root = tree({"a.txt": "1", "b.txt": "2"})
    app = StaticAssets(root)
    waiting, answered = threading.Event(), threading.Event()
    collecting, loaded = [], []

    def rule(path):
        collecting.append(gc.isenabled())
        waiting.set()
        assert answered.wait(20)

    thread = threading.Thread(target=lambda: loaded.append(scan(root, fingerprinted=rule)))
    thread.start()
    assert waiting.wait(20)
    assert [ask(app, path).body for path in ("/a.txt", "/b.txt")] == [b"1", b"2"]
    assert not loaded
    answered.set()
    thread.join()
    assert set(loaded[0].assets) == {"/a.txt", "/b.txt"}
    assert collecting == [True, True]


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_collection_is_as_before(tree, enabled):
    """Garbage collection pauses during a scan at most: afterwards it is on where it was on."""
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        index = scan(tree({"a.txt": ""}))
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() == 0
        assert any(found is index for found in gc.get_objects())
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize(
    ("name", "served"),
    [
        (".env", False),
        (".git/config", False),
        ("a/.htaccess", False),
        ("a/.hidden/b.txt", False),
        (".vite/manifest.json", False),
        (".well-known/security.txt", True),
        (".well-known/.hidden", False),
        ("a/.well-known/x.txt", False),
        ("_headers", False),
        ("_redirects", False),
        ("a/_headers", True),
    ],
)
def test_hidden(tree, name, served):
    """Names with a leading dot are not served but for /.well-known/, nor are rule files at the root."""
    index = scan(tree({"index.html": "", name: "{}"}))
    assert ("/" + name in index.assets) is served


def test_rule_files_are_reported(tree):
    """Who wrote a rule file learns that it is not served."""
    assert "/_redirects" in reasons(scan(tree({"index.html": "", "_redirects": ""})))


@POSIX
@pytest.mark.parametrize(
    ("name", "path"),
    [
        (b"line\nbreak.txt", "/line\nbreak.txt"),
        (b"back\\slash.txt", "/back\\slash.txt"),
        (b"%2e%2e.txt", "/%2e%2e.txt"),
        (b"q?x#y.txt", "/q?x#y.txt"),
        (b" space .txt", "/ space .txt"),
        (b"..\\x.txt", None),
        (b"...txt", None),
        (b"CON.txt", "/CON.txt"),
        ("ü-😀.txt".encode(), "/ü-😀.txt".encode().decode("latin-1")),
        (unicodedata.normalize("NFD", "é.txt").encode(), "/e\xcc\x81.txt"),
        pytest.param(
            b"\xff\xfe.txt",
            "/\xff\xfe.txt",
            marks=pytest.mark.skipif(sys.platform == "darwin", reason="the file system refuses the name"),
        ),
    ],
)
def test_odd_names(tree, name, path):
    """A name's bytes, whatever they are, decoded as latin-1 are its path; the file can be opened again."""
    root = tree({"index.html": ""})
    (root / os.fsdecode(name)).write_bytes(b"content")
    assets = scan(root).assets
    assert set(assets) == ({"/index.html", path} if path else {"/index.html"})
    if path:
        assert Path(assets[path].file).read_bytes() == b"content"


def test_case_matters(tree):
    """Names that differ in case only are different files, where the file system tells them apart."""
    root = tree({"A.txt": "A", "a.txt": "a"})
    names = {f"/{file.name}" for file in root.iterdir()}
    assert set(scan(root).assets) == names


@POSIX
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("gone.txt", "a dangling link"),
        ("link", "a link that leads to itself"),
        ("/etc/passwd", "a link that leads out of the directory"),
        ("../secret.txt", "a link that leads out of the directory"),
        ("../build1-other/secret.txt", "a link that leads out of the directory"),
        ("..", "a link that leads out of the directory"),
        ("sub", "a link to a directory, which is not followed"),
        (".", "a link that leads out of the directory"),
        (".env", "a link to a hidden file"),
        ("sub/.hidden/x.txt", "a link to a hidden file"),
        ("pipe", "a link to something that is not a regular file"),
    ],
)
def test_bad_links(tree, target, reason):
    """A link that is not one to a servable file of the tree is skipped, and the reason given."""
    root = tree({"index.html": "", ".env": "", "sub/x.txt": "", "sub/.hidden/x.txt": ""})
    (root.parent / "secret.txt").write_text("secret")
    (root.parent / "build1-other").mkdir()
    (root.parent / "build1-other/secret.txt").write_text("secret")
    os.mkfifo(root / "pipe")
    (root / "link").symlink_to(target)
    index = scan(root)
    assert "/link" not in index.assets
    assert reasons(index)["/link"] == reason


@POSIX
@pytest.mark.parametrize("absolute", [True, False])
def test_good_links(tree, absolute):
    """A link to a file inside the tree is served as that file, relative or absolute, through other links too."""
    root = tree({"assets/a.js": "content", ".well-known/x.json": "{}"})
    (root / "b.js").symlink_to(root / "assets/a.js" if absolute else "assets/a.js")
    (root / "c.js").symlink_to("b.js")
    (root / "d.json").symlink_to(".well-known/x.json")
    assets = scan(root, memory=Memory(100)).assets
    assert assets["/b.js"].data == assets["/c.js"].data == b"content"
    assert assets["/c.js"].file == os.path.realpath(root / "assets/a.js")
    assert "/d.json" in assets


@POSIX
def test_loops_of_directories(tree):
    """Links between directories do not make the walk endless."""
    root = tree({"a/x.txt": "", "b/y.txt": ""})
    (root / "a/b").symlink_to("../b", target_is_directory=True)
    (root / "b/a").symlink_to("../a", target_is_directory=True)
    (root / "b/root").symlink_to("..", target_is_directory=True)
    index = scan(root)
    assert set(index.assets) == {"/a/x.txt", "/b/y.txt"}
    assert set(reasons(index)) == {"/a/b", "/b/a", "/b/root"}


@POSIX
def test_the_directory_may_be_a_link(tree):
    """The directory may be a link: what it leads to now is indexed, and stays so when it is pointed elsewhere."""
    first, second = tree({"a.txt": "first"}), tree({"a.txt": "second"})
    current = first.parent / "current"
    current.symlink_to(first, target_is_directory=True)
    index = scan(current)
    current.unlink()
    current.symlink_to(second, target_is_directory=True)
    assert index.directory == os.path.realpath(first)
    assert Path(index.assets["/a.txt"].file).read_text() == "first"


@POSIX
@pytest.mark.usefixtures("no_hanging")
def test_special_files(tree):
    """Pipes and sockets are skipped without being opened."""
    root = tree({"index.html": ""})
    os.mkfifo(root / "pipe.js")
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(root)  # a socket's name has at most some hundred bytes
        try:
            server.bind("socket.js")
        finally:
            os.chdir(here)
        index = scan(root)
    assert set(index.assets) == {"/index.html"}
    assert reasons(index) == {"/pipe.js": "not a regular file", "/socket.js": "not a regular file"}


@POSIX
@pytest.mark.usefixtures("no_hanging")
def test_a_pipe_in_a_files_place(tree):
    """A pipe that takes a file's place between the look and the opening does not hang the process."""
    root = tree({"index.html": ""})
    os.mkfifo(root / "pipe")
    with pytest.raises(reading.UnservableError):
        reading.read(str(root / "pipe"))


@POSIX
def test_a_link_in_a_files_place(tree):
    """A link that takes a file's place between the look and the opening is not followed."""
    root = tree({"index.html": ""})
    (root / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match=r"link"):
        reading.read(str(root / "link"))


@pytest.fixture
def stoppable():
    """Give a directory of a user whom permissions stop, and be that user meanwhile: root is not stopped."""
    root = tempfile.mkdtemp()  # tmp_path lies in directories that are root's alone
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(root, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield Path(root)
    finally:
        if is_root:
            os.seteuid(0)
        for folder in (root, *Path(root).iterdir()):
            Path(folder).chmod(0o700)
        shutil.rmtree(root)


@POSIX
@pytest.mark.parametrize("name", ["file.txt", "folder"])
def test_unreadable(stoppable, name):
    """A file or directory that may not be read is skipped, and the reason given."""
    write_build(stoppable, {"index.html": "", "file.txt": "", "folder/x.txt": ""})
    (stoppable / name).chmod(0)
    index = scan(stoppable)
    path = {"folder": "/folder/"}.get(name, f"/{name}")
    assert path not in index.assets
    assert reasons(index).keys() == {path}
    assert "cannot be read" in reasons(index)[path]


def test_unreadable_directory_among_others(tree, monkeypatch):
    """A directory that fails to list, whoever the user is, costs its own files only."""
    root = tree({"index.html": "", "broken/x.txt": "", "fine/y.txt": ""})
    listing = os.scandir

    def scandir(directory):
        if directory.endswith("broken"):
            raise PermissionError(13, "Permission denied")
        return listing(directory)

    monkeypatch.setattr(os, "scandir", scandir)
    index = scan(root)
    assert set(index.assets) == {"/index.html", "/fine/y.txt"}
    assert reasons(index) == {"/broken/": "the directory cannot be read: Permission denied"}


class Junction:
    """A directory's entry as Windows gives it for a junction."""

    def __init__(self, entry):
        self.entry = entry

    def __getattr__(self, name):
        return getattr(self.entry, name)

    def __fspath__(self):
        return self.entry.path

    def stat(self, *, follow_symlinks=True):
        """Return the status, with the tag that says what the entry is."""
        status = self.entry.stat(follow_symlinks=follow_symlinks)
        return status if follow_symlinks else SimpleNamespace(st_mode=status.st_mode, st_reparse_tag=0xA0000003)


def test_junctions(tree, monkeypatch):
    """What Windows calls a junction is a link to a directory, and as little followed."""
    root = tree({"index.html": "", "there/x.txt": ""})
    listing = os.scandir

    @contextmanager
    def scandir(directory):
        with listing(directory) as entries:
            yield [Junction(entry) if entry.name == "there" else entry for entry in entries]

    monkeypatch.setattr(os, "scandir", scandir)
    index = scan(root)
    assert set(index.assets) == {"/index.html"}
    assert reasons(index) == {"/there": "a link to a directory, which is not followed"}


def test_a_file_that_vanishes(tree, monkeypatch):
    """A file that is deleted between the listing and the opening is skipped."""
    root = tree({"a.txt": "", "b.txt": ""})
    opening = os.open

    def vanish(file, flags):
        if str(file).endswith("b.txt"):
            Path(file).unlink()
        return opening(file, flags)

    monkeypatch.setattr(os, "open", vanish)
    index = scan(root)
    assert set(index.assets) == {"/a.txt"}
    assert set(reasons(index)) == {"/b.txt"}


@pytest.mark.parametrize("size", [10, LARGE + 10])
@pytest.mark.parametrize("change", [-5, 5])
def test_a_file_that_changes_once(tree, monkeypatch, size, change):
    """A file that grows or shrinks while it is read is read again: size, tag and content belong together."""
    root = tree({"a.bin": b"x" * size})
    status_of, changed = os.fstat, []

    def fstat(descriptor):
        status = status_of(descriptor)
        if not changed:
            changed.append(True)
            (root / "a.bin").write_bytes(b"y" * (size + change))
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    asset = scan(root).assets["/a.bin"]
    monkeypatch.undo()
    assert asset.size == size + change
    assert asset.etag == etag_of(reading.read(str(root / "a.bin")).digest)


def test_a_file_that_always_changes(tree, monkeypatch):
    """A file that somebody keeps writing to is skipped."""
    root = tree({"a.log": b"", "b.txt": b""})
    status_of = os.fstat

    def fstat(descriptor):
        status = status_of(descriptor)
        if status.st_ino == (root / "a.log").stat().st_ino:
            with (root / "a.log").open("ab") as log:
                log.write(b"line\n")
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    assert reasons(scan(root)) == {"/a.log": "it changes while it is read"}


def test_deep_tree(tmp_path):
    """A tree may be deeper than Python's stack, and deeper than a name may be long."""
    root = tmp_path / "deep"
    root.mkdir()
    (root / "top.txt").write_text("")
    here = os.open(root, os.O_RDONLY)
    try:
        for _ in range(2500):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        index = scan(root)
    finally:
        os.close(here)
        subprocess.run(["rm", "-r", str(root)], check=True)  # shutil.rmtree recurses
    assert "/top.txt" in index.assets
    assert len(index.skipped) == 1


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        ((), {"/a.js", "/a.js.map", "/drafts/b.html", "/node_modules/x/y.js", "/sub/drafts/c.txt"}),
        (["*.map"], {"/a.js", "/drafts/b.html", "/node_modules/x/y.js", "/sub/drafts/c.txt"}),
        (["drafts"], {"/a.js", "/a.js.map", "/node_modules/x/y.js"}),
        (["drafts/*"], {"/a.js", "/a.js.map", "/node_modules/x/y.js", "/sub/drafts/c.txt"}),
        (["/sub/drafts/"], {"/a.js", "/a.js.map", "/drafts/b.html", "/node_modules/x/y.js"}),
        (["*.map", "node_modules"], {"/a.js", "/drafts/b.html", "/sub/drafts/c.txt"}),
        (["[ab].*"], {"/drafts/b.html", "/node_modules/x/y.js", "/sub/drafts/c.txt"} - {"/drafts/b.html"}),
    ],
)
def test_ignore(tree, ignore, left):
    """A pattern leaves out files and directories by name or by path, silently."""
    files = ("a.js", "a.js.map", "drafts/b.html", "node_modules/x/y.js", "sub/drafts/c.txt")
    index = scan(tree(dict.fromkeys(files, "")), ignore=ignore, allow_source=True)
    assert set(index.assets) == left
    assert index.skipped == ()


@pytest.mark.parametrize(
    ("ignore", "left"),
    [
        ((), {"/a.js", "/a.js.gz", "/a.js.map", "/a.js.map.br", "/a.js.map.gz", "/b.map.zst.gz", "/c/d.txt.gz"}),
        (["*.map"], {"/a.js", "/a.js.gz", "/c/d.txt.gz"}),
        (["c/d.txt", "b.map"], {"/a.js", "/a.js.gz", "/a.js.map", "/a.js.map.br", "/a.js.map.gz"}),
        (["*.gz"], {"/a.js", "/a.js.map", "/a.js.map.br"}),
    ],
)
def test_ignore_what_is_compressed(tree, ignore, left):
    """What an ignored file is compressed to is left out as it is, with the original or without it, silently."""
    content = b"const answer = 42;\n" * 100
    files = {"a.js": content, "a.js.map": content}
    packed = ("a.js.gz", "a.js.map.br", "a.js.map.gz", "b.map.zst.gz", "c/d.txt.gz")
    index = scan(tree({**files, **dict.fromkeys(packed, gzip.compress(content))}), ignore=ignore)
    assert set(index.assets) == left
    assert {skipped.path for skipped in index.skipped} <= {"/a.js.map.br"}


PATHS = ["/assets/index-BX4CeNGm.js", "/hashed/x.js", "/plain.js", "/hashed/x.html"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (None, {"/assets/index-BX4CeNGm.js"}),
        (r"^/hashed/", {"/assets/index-BX4CeNGm.js", "/hashed/x.js"}),
        (re.compile(r"HASHED", re.IGNORECASE), {"/assets/index-BX4CeNGm.js", "/hashed/x.js"}),
        (lambda path: None, {"/assets/index-BX4CeNGm.js"}),
        (lambda path: False, set()),
        (lambda path: True, {"/assets/index-BX4CeNGm.js", "/hashed/x.js", "/plain.js"}),
        (lambda path: True if path == "/plain.js" else None, {"/assets/index-BX4CeNGm.js", "/plain.js"}),
    ],
)
def test_fingerprinted(tree, rule, expected):
    """A pattern adds to the built-in rule, a callable decides or leaves it to that rule; HTML never counts."""
    index = scan(tree(dict.fromkeys((path[1:] for path in PATHS), "")), fingerprinted=rule)
    assert {path for path, asset in index.assets.items() if asset.fingerprinted} == expected


MANIFEST = '{"src/app.ts": {"file": "out/app-Ro_66fij.js", "css": ["out/style.css"], "isEntry": true}}'


@pytest.mark.parametrize(
    ("name", "text", "parsed", "skipped"),
    [
        (".vite/manifest.json", MANIFEST, True, []),
        ("manifest.json", MANIFEST, True, []),
        ("manifest.json", '{"name": "My App", "icons": []}', False, []),
        ("manifest.json", "not json", False, []),
        (".vite/manifest.json", "not json", False, ["/.vite/manifest.json"]),
        (".vite/manifest.json", "{}", False, ["/.vite/manifest.json"]),
        (".vite/manifest.json/x", "", False, ["/.vite/manifest.json"]),
        (".vite", "a file", False, []),
        ("other.json", MANIFEST, False, []),
    ],
)
def test_manifest(tree, name, text, parsed, skipped):
    """Vite's manifest is read where Vite writes it; a bad one is skipped with a reason, another file is no manifest."""
    index = scan(tree({"index.html": "", name: text}))
    assert (index.manifest is not None) is parsed
    assert [path for path, _ in index.skipped] == skipped


def test_manifest_fingerprints(tree):
    """What the manifest lists is fingerprinted wherever it lies, if its name carries a hash."""
    files = {".vite/manifest.json": MANIFEST, "out/app-Ro_66fij.js": "", "out/style.css": "", "out/x-BX4CeNGm.js": ""}
    index = scan(tree(files))
    assert {path for path, asset in index.assets.items() if asset.fingerprinted} == {"/out/app-Ro_66fij.js"}


def test_what_the_manifest_does_not_list(tree):
    """In a build with a manifest, code beside its files may be hashed without being listed; other files are not."""
    files = dict.fromkeys(["assets/worker-BX4CeNGm.js", "assets/NotoSans-CJKscReg.woff2", "assets/app-Ro_66fij.js"], "")
    manifest = MANIFEST.replace("out/", "assets/")
    with_one, without = scan(tree({**files, ".vite/manifest.json": manifest})), scan(tree(files))
    assert {path for path, asset in with_one.assets.items() if asset.fingerprinted} == {
        "/assets/worker-BX4CeNGm.js",
        "/assets/app-Ro_66fij.js",
    }
    assert without.assets["/assets/NotoSans-CJKscReg.woff2"].fingerprinted


def test_a_manifest_above_the_limit_of_memory(tree):
    """A manifest is read whole, however large."""
    chunks = ", ".join(f'"c{n}.js": {{"file": "assets/c{n}.js"}}' for n in range(12_000))
    index = scan(tree({"index.html": "", ".vite/manifest.json": f"{{{chunks}}}"}))
    assert len(index.manifest.files) == 12_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "missing", r"does not exist.*build the front end"),
        (lambda root: root / "index.html", r"is a file.*name the directory"),
        (lambda root: root / "empty", r"holds no file.*build the front end"),
        (lambda root: root / "hidden", r"holds no file"),
        (lambda root: f"{root}\0", r"directory="),
        (os.fsencode, r"is not text"),
        (lambda root: 5, r"is not text"),
    ],
    ids=["missing", "file", "empty", "hidden", "nul", "bytes", "number"],
)
def test_bad_directory(tree, make, message):
    """A directory that cannot be served is refused at once: the message names the setting, the value and the remedy."""
    root = tree({"index.html": "", "hidden/.env": ""})
    (root / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"directory=.*") as error:
        scan(make(root))
    assert re.search(message, str(error.value))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("ignore", "*.map"),
        ("ignore", [1]),
        ("ignore", 5),
        ("ignore", None),
        ("ignore", [b"*.map"]),
        ("ignore", ["*.map", Path("x")]),
        ("content_types", {"mdl": "model/mdl"}),
        ("manifest", 5),
        ("manifest", b"m.json"),
        ("manifest", ""),
        ("manifest", "/"),
        ("manifest", "m\0.json"),
        ("ignore", ["\ud800"]),
        ("fingerprinted", "["),
        ("fingerprinted", 1),
        ("fingerprinted", b"x"),
        ("fingerprinted", re.compile(b"x")),
    ],
)
def test_bad_option(tree, option, value):
    """An option that cannot be used is refused by name."""
    with pytest.raises(ConfigurationError, match=f"{option}[= ]"):
        scan(tree({"index.html": ""}), **{option: value})


def test_order(tree):
    """Two scans of one tree, and of a copy made in another order, agree in everything, their order included."""
    numbers = [f"{number * 37 % 101:03}" for number in range(101)]
    names = [f"{folder}/{name}.txt" for folder in "cab" for name in numbers]
    one, two = tree(dict.fromkeys(names, "x")), tree(dict.fromkeys(reversed(names), "x"))
    in_order = [f"/{folder}/{name}.txt" for folder in "cba" for name in sorted(numbers)]
    assert list(scan(one).assets) == list(scan(one).assets) == list(scan(two).assets) == in_order


def test_unchangeable(tree):
    """An index cannot be changed after the scan."""
    index = scan(tree({"a.txt": ""}))
    with pytest.raises(TypeError):
        index.assets["/b.txt"] = index.assets["/a.txt"]
    with pytest.raises(AttributeError):
        index.directory = "/"
    with pytest.raises(AttributeError):
        index.assets["/a.txt"].other = 1
