"""The manifest of an earlier load."""

import gzip
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import write_build
from version_affinity.assets.loading import inventory
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.inventory import (
    Inventory,
    InventoryError,
    inventory_from,
    inventory_lines,
    parse_inventory,
)
from version_affinity.assets.loading.memory import Memory, cached_content
from version_affinity.assets.loading.tree import DIGEST_SIZE, Content

POSIX = pytest.mark.skipif(os.name != "posix", reason="the file system has no such files")
TEXT = "const answer = 42;\n" * 100
VITE = '{"src/app.ts": {"file": "assets/app-Ro_66fij.js", "css": ["assets/a.css"], "isEntry": true}}'
BUILD = {
    "index.html": "<p>",
    "assets/app-Ro_66fij.js": TEXT,
    "assets/app-Ro_66fij.js.gz": gzip.compress(TEXT.encode()),
    "assets/app-Ro_66fij.js.br": "garbage",
    "assets/app-Ro_66fij.js.zst": "garbage",
    "über/ß.txt": "",
    "manifest.json": '{"name": "My App", "icons": []}',
    "large.bin": bytes(1_000_000),
}
# In a new process: load with a manifest, and print which files below the directory were opened.
OPENED = """
import json, os, sys
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
from version_affinity.assets.loading.index import scan
from version_affinity.assets.loading.memory import Memory
root, manifest = sys.argv[1:]
del opened[:]
index = scan(root, manifest=manifest, memory=Memory(1 << 30))
assert opened, "the hook hears nothing"
paths = {path: [asset.etag, asset.fingerprinted, len(asset.variants)] for path, asset in index.assets.items()}
vite = index.manifest and index.manifest.document()
print(json.dumps([[name for name in opened if name.startswith(root)], paths, index.skipped, vite]))
"""


def load(root, manifest):
    """Load in a new process; return the opened files of the build, and what the index says."""
    ran = subprocess.run(
        [sys.executable, "-c", OPENED, str(root), str(manifest)], check=True, capture_output=True, text=True
    )
    opened, *index = json.loads(ran.stdout)
    return sorted(os.path.relpath(name, root) for name in opened), index


@pytest.fixture
def manifest(tmp_path):
    """Give the name of a manifest."""
    return tmp_path / "build.manifest.json"


@pytest.mark.parametrize("vite", [{}, {".vite/manifest.json": VITE}])
def test_nothing_is_read(tree, manifest, vite):
    """A load whose files have the sizes and times of an earlier one opens none of them, and says the same of them."""
    root = tree({**BUILD, **vite})
    opened, first = load(root, manifest)
    assert set(BUILD) <= set(opened)
    opened, second = load(root, manifest)
    assert opened == []
    assert second == first
    assert second[1] == []
    assert (second[2] is not None) is bool(vite)


def test_what_changed_is_read(tree, manifest):
    """Of a build that has changed, what changed is read; the manifest follows, and the next load reads nothing."""
    root = tree(BUILD)
    load(root, manifest)
    (root / "index.html").write_text("<p>longer")
    (root / "new.txt").write_text("")
    (root / "large.bin").unlink()
    assert load(root, manifest)[0] == ["index.html", "new.txt"]
    assert load(root, manifest)[0] == []
    assert set(json.loads(manifest.read_text())["files"]) == {*BUILD, "new.txt"} - {"large.bin"}
    assert load(root, manifest)[1] == load(root, manifest.with_name("other.json"))[1]


@pytest.mark.parametrize("change", ["size", "time"])
def test_size_and_time(tree, manifest, change):
    """Another size alone, or another time alone, has a file read."""
    root = tree({"a.txt": "before", "b.txt": ""})
    before = scan(root, manifest=manifest).assets["/a.txt"]
    (root / "a.txt").write_text("after!" if change == "time" else "longer")
    time = before.mtime_ns + (1 if change == "time" else 0)
    if change == "size":
        (root / "a.txt").write_text("longer than before")
    os.utime(root / "a.txt", ns=(time, time))
    after = scan(root, manifest=manifest).assets["/a.txt"]
    assert after.etag == scan(root).assets["/a.txt"].etag != before.etag


@pytest.mark.parametrize("time", [0, 1, 315_532_800, 318_211_200])
def test_times_that_tell_nothing(tree, manifest, time):
    """A time that every reproducible build has is no sign that a file is the same."""
    root = tree({"a.txt": "before"})
    os.utime(root / "a.txt", (time, time))
    before = scan(root, manifest=manifest).assets["/a.txt"]
    (root / "a.txt").write_text("after!")
    os.utime(root / "a.txt", (time, time))
    assert scan(root, manifest=manifest).assets["/a.txt"].etag != before.etag


#: A commit's time, which tools that follow SOURCE_DATE_EPOCH give to every file of a build.
EPOCH = 1_700_000_000


@pytest.mark.parametrize(
    ("times", "told"),
    [
        # all of them, all but one, and nearly all
        ([EPOCH] * 4, False),
        ([EPOCH] * 3 + [EPOCH - 5], False),
        ([EPOCH] * 6 + [EPOCH - 5, EPOCH - 6, EPOCH - 7, EPOCH - 8], False),
        # a file alone
        ([EPOCH], False),
        # of a build as it was written
        ([EPOCH, EPOCH + 1], True),
        ([EPOCH, EPOCH, EPOCH + 1, EPOCH + 2], True),
        ([EPOCH + 0.25] * 4, True),
    ],
)
@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_times_that_most_files_share(tree, manifest, times, told, memory):
    """A time in whole seconds that most files have was given to them, and does not tell that one is the same."""
    names = [f"{number}.txt" for number in range(len(times))]

    def build(content):
        for name, time in zip(names, times, strict=True):
            (root / name).write_text(content)
            os.utime(root / name, ns=(int(time * 4) * 250_000_000,) * 2)

    root = tree({})
    build("before")
    before = scan(root, manifest=manifest, memory=Memory(memory)).assets["/0.txt"]
    build("after!")
    after = scan(root, manifest=manifest, memory=Memory(memory)).assets["/0.txt"]
    assert (after.etag == before.etag) is told
    shared = max(map(times.count, times)) if not told else 0
    opened, _ = load(root, manifest)
    assert len(opened) == shared


def test_vites_manifest_among_times_that_files_share(tree, manifest):
    """Vite's own manifest is read again too where its time is the one that the build's files share."""
    root = tree({"index.html": "", ".vite/manifest.json": VITE})
    for name in ("index.html", ".vite/manifest.json"):
        os.utime(root / name, (EPOCH, EPOCH))
    load(root, manifest)
    assert load(root, manifest)[0] == [".vite/manifest.json", "index.html"]


def test_settings_are_decided_anew(tree, manifest):
    """Type, fingerprint and what is ignored follow this load's settings, and the manifest follows them."""
    root = tree({"a.mdl": "1", "b.mdl": "2"})
    scan(root, manifest=manifest)
    options = {"content_types": {".mdl": "model/mdl"}, "fingerprinted": "a", "ignore": ["b*"]}
    (asset,) = scan(root, manifest=manifest, **options).assets.values()
    assert (asset.path, asset.content_type, asset.fingerprinted) == ("/a.mdl", "model/mdl", True)
    (entry,) = json.loads(manifest.read_text())["files"].values()
    assert (entry["type"], entry["fingerprinted"]) == ("model/mdl", True)


@pytest.mark.parametrize("options", [{}, {"indent": 2}, {"separators": (",", ":")}, {"sort_keys": True}])
def test_any_form(tree, manifest, options):
    """The manifest is JSON: another program may write it in another form, and parsed it will do as well."""
    root = tree(BUILD)
    scan(root, manifest=manifest)
    document = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(document, **options))
    before = manifest.read_bytes()
    assert load(root, manifest)[0] == []
    assert manifest.read_bytes() == before
    etags = {path: asset.etag for path, asset in scan(root).assets.items()}
    document["files"]["index.html"]["digest"] = "00" * DIGEST_SIZE
    assert {path for path, asset in scan(root, manifest=document).assets.items() if asset.etag != etags[path]} == {
        "/index.html"
    }


def test_what_else_it_says_is_kept(tree, manifest):
    """Whatever else a manifest says, who made the build for one, is still there when it is written anew."""
    root = tree({"a.txt": "1"})
    scan(root, manifest=manifest)
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "author": "ü"}))
    (root / "b.txt").write_text("2")
    scan(root, manifest=manifest)
    document = json.loads(manifest.read_text())
    assert (document["author"], set(document["files"])) == ("ü", {"a.txt", "b.txt"})


def valid(**files):
    """Return a manifest's document."""
    return {"manifest": "version_affinity build", "format": 1, "files": files}


OTHERS = [
    b"\xff\xfe",
    b"not json",
    b"{",
    b"[]",
    b"null",
    b'"text"',
    b"{}",
    b'{"name": "my-app", "files": {}}',
    VITE.encode(),
    b"[" * 100_000,
    b'{"manifest": "version_affinity build", "format": 2, "files": {}}',
    b'{"manifest": "version_affinity build", "format": 1, "files": []}',
    b'{"manifest": "version_affinity build", "format": 1}',
    b'{"manifest": "version_affinity build", "format": ' + b"1" * 5000 + b', "files": {}}',
    b'{"manifest": "version_affinity build", "format": 1, "files": {\n"a.txt": {"size": 1\n}}\n',
    b'{"manifest": "version_affinity build", "format": 1, "files": {\n\n}}\n',
]


@pytest.mark.parametrize("text", OTHERS, ids=range(len(OTHERS)))
def test_others(tree, manifest, caplog, text):
    """What is no manifest is reported and ignored; it is written over only if it is broken, not if it is another's."""
    root = tree({"a.txt": "1"})
    manifest.write_bytes(text)
    with caplog.at_level(logging.WARNING, "version_affinity"):
        index = scan(root, manifest=manifest)
    assert index.assets["/a.txt"].etag == scan(root).assets["/a.txt"].etag
    unusable = not text.endswith(b"{\n\n}}\n")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * unusable
    assert not unusable or repr(str(manifest)) in caplog.text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        assert set(json.loads(manifest.read_text())["files"]) == {"a.txt"}
    else:
        assert (manifest.read_bytes() == text) is unusable


def test_a_page_named_by_mistake(tree):
    """A file that is not even called JSON is not written over."""
    root = tree({"index.html": "<p>", "b.txt": ""})
    scan(root, manifest=root / "index.html")
    assert (root / "index.html").read_text() == "<p>"


@pytest.mark.parametrize("name", ["build.manifest.json", "assets/build.manifest.json"])
def test_inside_the_build(tree, name):
    """A manifest that lies in the build is not served, and does not make each load differ."""
    root = tree({"index.html": "", "assets/a.js": ""})
    for _ in range(3):
        assert set(scan(root, manifest=root / name).assets) == {"/index.html", "/assets/a.js"}
    assert sorted(file.name for file in (root / name).parent.iterdir()) == sorted(
        {"build.manifest.json", *(["a.js"] if "/" in name else ["assets", "index.html"])}
    )


@pytest.mark.parametrize("written", [True, False])
def test_inside_the_build_compressed(tree, written):
    """Nor is what such a manifest is compressed to, beside it or beside a link to it, before there is one or after."""
    root = tree({"index.html": "", "build.json.gz": "", "link.json.br": ""})
    (root / "link.json").symlink_to("build.json")
    if written:
        scan(root, manifest=root / "build.json")
    assert set(scan(root).assets) >= {"/build.json.gz", "/link.json.br"}
    paths = {"/index.html"} if written else {"/index.html", "/link.json.br"}  # until then it is a dangling link
    assert set(scan(root, manifest=root / "build.json").assets) == paths


@pytest.mark.parametrize("name", ["build.json.gz", "build.gz.json"])
def test_inside_the_build_by_any_name(tree, name):
    """Whatever it is called."""
    root = tree({"index.html": ""})
    for _ in range(2):
        assert set(scan(root, manifest=root / name).assets) == {"/index.html"}


@POSIX
@pytest.mark.usefixtures("no_hanging")
@pytest.mark.parametrize(
    ("make", "reason"),
    [(os.mkfifo, "not a regular file"), (lambda file: file.symlink_to(file), None)],
    ids=["pipe", "loop"],
)
def test_no_file(tree, manifest, caplog, make, reason):
    """What is no file does no harm as a manifest."""
    make(manifest)
    with caplog.at_level(logging.WARNING, "version_affinity"):
        assert scan(tree({"a.txt": ""}), manifest=manifest).assets
    assert caplog.records
    assert reason is None or reason in caplog.text


def test_not_writable(tree, manifest, caplog):
    """A manifest that cannot be written is reported, and leaves nothing behind."""
    root = tree({"a.txt": ""})
    with caplog.at_level(logging.WARNING, "version_affinity"):
        assert scan(root, manifest=root.parent / "missing" / "m.json").assets
    assert "is not written" in caplog.text
    assert not (root.parent / "missing").exists()


def test_a_write_that_fails(tree, manifest, caplog, monkeypatch):
    """A write that fails in the middle leaves the manifest as it was, and nothing beside it."""
    root = tree({"a.txt": ""})
    scan(root, manifest=manifest)
    before = manifest.read_bytes()
    (root / "b.txt").write_text("")
    monkeypatch.setattr(os, "fsync", lambda _descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with caplog.at_level(logging.WARNING, "version_affinity"):
        assert "/b.txt" in scan(root, manifest=manifest).assets
    assert "No space left on device" in caplog.text
    assert manifest.read_bytes() == before
    assert {file.name for file in manifest.parent.iterdir() if file.is_file()} == {manifest.name}


@POSIX
def test_a_link(tree, tmp_path):
    """A manifest may be a link: the file that it leads to is written, and the link stays."""
    (tmp_path / "real").mkdir()
    (tmp_path / "m.json").symlink_to("real/m.json")
    scan(tree({"a.txt": ""}), manifest=tmp_path / "m.json")
    assert (tmp_path / "m.json").is_symlink()
    assert "a.txt" in json.loads((tmp_path / "real/m.json").read_text())["files"]


@POSIX
def test_it_names_no_other_file(tree, manifest):
    """A manifest's names are looked up, never opened: what is not in the tree is not served."""
    root = tree({"a.txt": "1"})
    entry = {"size": 1, "mtime_ns": 2**60, "digest": "00" * DIGEST_SIZE}
    names = ("../secret", "/etc/passwd", "b.txt", "", "a.txt/../../x", "\0")
    manifest.write_text(json.dumps(valid(**dict.fromkeys(names, entry))))
    assert set(scan(root, manifest=manifest).assets) == {"/a.txt"}


ENTRY = {"size": 1, "mtime_ns": 1718000000000000000, "digest": "ab" * DIGEST_SIZE}


@pytest.mark.parametrize(
    ("name", "entry", "kept"),
    [
        ("a.txt", ENTRY, True),
        ("a.txt", {**ENTRY, "type": 5, "fingerprinted": "yes", "compressed": 5, "more": []}, True),
        ("a.txt", {**ENTRY, "size": -1}, False),
        ("a.txt", {**ENTRY, "size": 10**40}, False),
        ("\udcff", ENTRY, True),
        ("a.txt", {**ENTRY, "size": "1"}, False),
        ("a.txt", {**ENTRY, "size": True}, False),
        ("a.txt", {**ENTRY, "size": 1.0}, False),
        ("a.txt", {**ENTRY, "mtime_ns": None}, False),
        ("a.txt", {**ENTRY, "digest": "ab"}, False),
        ("a.txt", {**ENTRY, "digest": "x" * 32}, False),
        ("a.txt", {**ENTRY, "digest": 5}, False),
        ("a.txt", [], False),
        ("a.txt", None, False),
        ("a.txt", {}, False),
    ],
)
def test_entries(name, entry, kept):
    """An entry that cannot be used is left out, whatever it is, and the others stay."""
    document = valid(**{"before.txt": ENTRY, name: entry})
    for parsed in (inventory_from(document), parse_inventory(json.dumps(document).encode())):
        assert (len(parsed.files), parsed.listed) == (1 + kept, 2)


def test_a_hostile_entry_does_no_harm(tree, manifest):
    """Sizes and times that no file has match no file."""
    root = tree({"a.txt": "1"})
    etag = scan(root).assets["/a.txt"].etag
    for entry in ({**ENTRY, "size": -1}, {**ENTRY, "mtime_ns": 10**40}, {**ENTRY, "mtime_ns": -1}):
        manifest.write_text(json.dumps(valid(**{"a.txt": entry})))
        assert scan(root, manifest=manifest).assets["/a.txt"].etag == etag


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text() | st.sampled_from(["size", "digest", "mtime_ns"]), x),
    ),
    st.sampled_from(["document", "files", "entry", "vite"]),
)
def test_parse_is_total(value, place):
    """Any JSON, in any place of a manifest, is an inventory or an InventoryError."""
    document = {
        "document": value,
        "files": {**valid(), "files": value},
        "entry": valid(**{"a.txt": value}),
        "vite": {**valid(), "vite": value},
    }[place]
    for make in (lambda: parse_inventory(json.dumps(document).encode()), lambda: inventory_from(document)):
        with suppress(InventoryError):
            assert isinstance(make(), Inventory)


@given(st.binary())
def test_parse_of_any_bytes(text):
    """Any bytes are an inventory or an InventoryError."""
    with pytest.raises(InventoryError):
        parse_inventory(text)


NAMES = st.binary(min_size=1).filter(lambda name: b"\0" not in name).map(lambda name: "/" + name.decode("latin-1"))
DIGESTS = st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE)
FIELDS = st.tuples(
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63),
    DIGESTS,
    st.none(),
    st.text(),
    st.booleans(),
    st.none() | st.booleans(),
    st.text(),
)


INVENTORIES = st.builds(
    lambda files, about: Inventory(
        {path: Content(*fields) for path, fields in files.items()}, None, about, listed=len(files)
    ),
    st.dictionaries(NAMES, FIELDS),
    st.dictionaries(st.text().map(lambda key: f"x{key}"), st.text()),
)
#: Files that are parsed at once: one, some, all.
AT_ONCE = st.sampled_from([1, 2, 500])


@given(INVENTORIES, AT_ONCE)
def test_round_trip(written, at_once):
    """What is written is read back, some lines at a time and as a whole, whatever the names are."""
    text = "".join(inventory_lines(written))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inventory, "AT_ONCE", at_once)
        parsed = parse_inventory(text.encode())
    assert parsed == inventory_from(json.loads(text))
    assert parsed._replace(given=None) == written
    assert text.count("\n") == len(written.files) + 2


def outcome(read):
    """Return what was read, or the error."""
    try:
        return read()
    except InventoryError as error:
        return type(error)
    except (ValueError, RecursionError):
        return inventory.BrokenError


@given(INVENTORIES, AT_ONCE, st.data())
def test_damaged_lines(written, at_once, data):
    """Whatever has happened to its lines, a manifest read in slices says what it says as a whole, or is as broken."""
    text = "".join(inventory_lines(written))
    for _ in range(data.draw(st.integers(1, 3))):
        kept = text.splitlines(keepends=True)
        place = data.draw(st.integers(0, len(kept) - 1))
        if data.draw(st.booleans()):
            # lines left out, said twice, or replaced
            text = "".join(
                [
                    *kept[:place],
                    *data.draw(
                        st.sampled_from(
                            [
                                [],
                                kept[place : place + 1] * 2,
                                ["\n"],
                                [",\n"],
                                ["}}\n"],
                                ['"a.js": {},\n'],
                                ['"a.js": 5\n'],
                                ['}, "files": {\n'],
                                ['}}, "files": {"a": {\n'],
                                ['{"x": 1, "files": {\n'],
                            ]
                        )
                    ),
                    *kept[place + 1 :],
                ]
            )
        else:
            at = data.draw(st.integers(0, len(text)))
            text = (
                text[:at]
                + data.draw(st.sampled_from(['"', "{", "}", ",", ",\n", "\n", ', "files": {', "\\"]))
                + text[at:]
            )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inventory, "AT_ONCE", at_once)
        by_lines = outcome(lambda: parse_inventory(text.encode()))
    whole = outcome(lambda: inventory_from(json.loads(text)))
    assert by_lines == whole or (whole is inventory.BrokenError and isinstance(by_lines, Inventory))


HEAD = '{"manifest": "version_affinity build", "format": 1, "files": {\n'
ONE = f'"a.txt": {json.dumps(ENTRY)}'
OTHER = f'"b.txt": {json.dumps(ENTRY)}'


@pytest.mark.parametrize(
    ("lines", "files"),
    [
        ([ONE, OTHER], {"/a.txt", "/b.txt"}),
        # Of two members with one name, the last one counts, here one that cannot be used.
        ([ONE, OTHER, '"a.txt": {}'], {"/b.txt"}),
        (['"a.txt": {}', OTHER, ONE], {"/a.txt", "/b.txt"}),
        ([ONE, OTHER[:-1]], None),
        ([ONE[:-1], OTHER], None),
        ([ONE[1:], OTHER], None),
        ([f"{ONE}, {OTHER}"], {"/a.txt", "/b.txt"}),
        ([f'{ONE}}}, "files": {{{OTHER}'], {"/b.txt"}),
        ([f"{ONE}}}", f'"files": {{{OTHER}'], {"/b.txt"}),
        ([f"{ONE}}}}}", f'"more": {{"x": {{{OTHER}'], None),
    ],
)
def test_lines_of_any_kind(lines, files, monkeypatch):
    """What is read line by line says what the whole does, or is as broken."""
    text = f"{HEAD}{f',{chr(10)}'.join(lines)}\n}}}}\n"
    monkeypatch.setattr(inventory, "AT_ONCE", 1)
    parsed = outcome(lambda: parse_inventory(text.encode()))
    assert parsed == outcome(lambda: inventory_from(json.loads(text)))
    assert (parsed is inventory.BrokenError) if files is None else parsed.files.keys() == files


def test_a_string_that_looks_like_the_beginning():
    """What only ends like the line before the first file is not that."""
    text = f"{HEAD}{ONE}\n}}}}\n".replace('"files": {', '"files": {}, "x\\"files": {')
    assert json.loads(text)["files"] == {}
    assert parse_inventory(text.encode()).files == {}


def test_read_by_lines(tree, manifest, monkeypatch):
    """An inventory as it is written here is read some lines at a time: the whole is never parsed at once."""
    scan(tree(BUILD), manifest=manifest)
    text = manifest.read_bytes()
    parsed, loads = [], json.loads
    monkeypatch.setattr(inventory, "AT_ONCE", 2)
    monkeypatch.setattr(inventory.json, "loads", lambda part: loads(parsed.append(part) or part))
    assert len(parse_inventory(text).files) == len(BUILD)
    assert len(parsed) == 1 + len(BUILD) // 2
    assert max(map(len, parsed)) < len(text) / 2


@pytest.mark.parametrize("end", [-len("\n}}\n"), None])
def test_an_inventory_that_ends_early(tree, manifest, end):
    """An inventory that is cut between two lines is broken: what it lacks is not a file that the build never had."""
    scan(tree(BUILD), manifest=manifest)
    *lines, _, _ = manifest.read_bytes().splitlines(keepends=True)
    cut = manifest.read_bytes()[:end] if end else b"".join(lines).rstrip(b"\n")
    with pytest.raises(inventory.BrokenError):
        parse_inventory(cut)


def test_bytes_of_another_file_are_not_shared(tree, manifest):
    """If an inventory is wrong about a file, other versions with that hash do not get the file's bytes."""
    root = tree({"a.txt": "right"})
    scan(root, manifest=manifest)
    times = (root / "a.txt").stat()
    (root / "a.txt").write_text("wrong")
    os.utime(root / "a.txt", ns=(times.st_atime_ns, times.st_mtime_ns))
    memory = Memory(100)
    assert cached_content(scan(root, memory=memory, manifest=manifest).assets["/a.txt"]) is None
    right = scan(tree({"b.txt": "right"}), memory=memory).assets["/b.txt"]
    assert right.data == b"right"


def test_memory_is_shared_at_once(tree, manifest):
    """A file whose content another version holds has it without being read."""
    one, two = tree({"a.txt": "same", "b.txt": "b"}), tree({"c.txt": "same"})
    scan(two, manifest=manifest)
    memory = Memory(100)
    first, second = scan(one, memory=memory), scan(two, memory=memory, manifest=manifest)
    assert second.assets["/c.txt"].data is first.assets["/a.txt"].data
    first.release()
    assert memory.used == 4
    second.release()
    assert memory.used == 0


def test_a_failed_load_writes_nothing(tmp_path, manifest):
    """A load that is refused leaves no manifest."""
    write_build(tmp_path / "build", {".hidden": ""})
    with pytest.raises(ValueError, match="directory="):
        scan(tmp_path / "build", manifest=manifest)
    assert not Path(manifest).exists()
