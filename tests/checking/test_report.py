"""A build against known versions: collisions, stable names with other bytes, sizes, churn; and the report as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.builds import COLLISION, DIFFERING, ENTRY, SHARED, build_of
from tests.checking.sites import PAGE, checked, loaded
from version_affinity.checking import Amount, Collision, Unstable, check_build

if TYPE_CHECKING:
    from pathlib import Path


def test_collisions(tmp_path: Path) -> None:
    """A fingerprinted name with other bytes in a known version is a collision with just that version."""
    known = {version: loaded(tmp_path, build_of(version)) for version in ("v0", "v1")}
    known["same"] = loaded(tmp_path, build_of("v2"))
    report = checked(tmp_path, build_of("v2"), known=known)
    assert (report.ok, report.collisions) == (False, (Collision(COLLISION, ("v0", "v1")),))
    assert check_build(known["same"], known={"same": known["same"]}).ok


def test_collisions_by_either(tmp_path: Path) -> None:
    """A name collides when either version takes it for fingerprinted: that one's copy may be kept for a year."""
    plain, other = ({"a.js": text, "index.html": f"{PAGE}<script src=a.js></script>"} for text in ("1", "2"))
    expected = (Collision("/a.js", ("v1",)),)
    for ours, theirs in (({}, {"fingerprinted": "a.js"}), ({"fingerprinted": "a.js"}, {})):
        report = checked(tmp_path, plain, ours, known={"v1": loaded(tmp_path, other, **theirs)})
        assert (report.collisions, report.unstable) == (expected, ())
    report = checked(tmp_path, plain, known={"v1": loaded(tmp_path, other)})
    assert (report.collisions, [one.path for one in report.unstable]) == ((), ["/a.js"])


def test_unstable(tmp_path: Path) -> None:
    """Files that pages load, directly or not, under a name that stays while its bytes change are told."""
    files = {
        "index.html": f'{PAGE}\n<link rel="stylesheet" href="/site.css"><iframe src="/frame.html"></iframe>',
        "site.css": "\n\n@import '/theme.css'; a { background: url(logo.svg) }",
        "theme.css": "1",
        "logo.svg": "1",
        "frame.html": f"{PAGE}1<a href='/paper.pdf'></a>",
        "paper.pdf": "1",
        "unused.txt": "1",
        "robots.txt": "same",
        "assets/a-Cl_2P7Ep.js": "same",
    }
    changed = {name: text.replace("1", "2") for name, text in files.items()}
    known = {
        "v1": loaded(tmp_path, changed),
        "v2": loaded(tmp_path, files),
        "v3": loaded(tmp_path, {"logo.svg": "3", "x.html": ""}),
    }
    report = checked(tmp_path, files, known=known)
    assert report.unstable == (
        Unstable("/logo.svg", ("v1", "v3"), "/site.css", 3),
        Unstable("/theme.css", ("v1",), "/site.css", 3),
    )
    assert report.ok


def test_unstable_of_scripts(tmp_path: Path) -> None:
    """A path that a script holds as a string is one that pages load, when a file is there."""
    files = {"index.html": f"{PAGE}<script>image.src = '/logo.svg'</script>", "logo.svg": "1"}
    known = {"v1": loaded(tmp_path, files | {"logo.svg": "2"})}
    assert [one.path for one in checked(tmp_path, files, known=known).unstable] == ["/logo.svg"]


def test_unstable_builds(tmp_path: Path) -> None:
    """Of a bundler's build, what its pages do not refer to is not told."""
    known = {"v1": loaded(tmp_path, build_of("v1"))}
    files = build_of("v2")
    assert checked(tmp_path, files, known=known).unstable == ()
    files["index.html"] += f'<img src="{DIFFERING}">'
    assert [one.path for one in checked(tmp_path, files, known=known).unstable] == [DIFFERING]


def test_sizes(tmp_path: Path) -> None:
    """Files and bytes are counted, in all and by media type, the largest type first."""
    files = {"index.html": "1" * 10, "a.js": "2" * 30, "b.js": "3" * 5, "c.png": "4" * 20, "c.unknown": ""}
    sizes = checked(tmp_path, files).sizes
    assert sizes.total == Amount(5, 65)
    assert sizes.types == (
        ("text/javascript", Amount(2, 35)),
        ("image/png", Amount(1, 20)),
        ("text/html", Amount(1, 10)),
        ("application/octet-stream", Amount(1, 0)),
    )


def test_churn(tmp_path: Path) -> None:
    """What is new, shared and removed is told against the live version, by the bytes, whatever the name."""
    live = {"index.html": "1" * 10, "a.js": "2" * 30, "b.js": "3" * 5, "old.js": "4" * 7}
    files = {"index.html": "5" * 11, "a.js": "2" * 30, "renamed.js": "3" * 5, "copy.js": "3" * 5}
    known = {"v1": loaded(tmp_path, live), "v0": loaded(tmp_path, files)}
    assert checked(tmp_path, files, known=known).churn is None
    churn = checked(tmp_path, files, known=known, live="v1").churn
    assert churn == ("v1", Amount(1, 11), Amount(3, 40), Amount(2, 17))
    same = checked(tmp_path, files, known=known, live="v0").churn
    assert same == ("v0", Amount(0, 0), Amount(4, 51), Amount(0, 0))


def test_json(tmp_path: Path) -> None:
    """The report is JSON with all that it holds, whatever the names of files are."""
    files = {
        **build_of("v2"),
        "caf\xe9.html": f"{PAGE}<img src='logo.svg'><img src='/x\x1b.png'><script src='{'y' * 500}'></script>",
        "a.css": "a { b: url(c(d) }",
        "lib.js": "import './missing.js'",
        "about.html": f'{PAGE}<link rel="modulepreload" href="https://cdn.example{COLLISION}">',
    }
    known = {"v1": loaded(tmp_path, build_of("v1"))}
    report = checked(tmp_path, files, known=known, live="v1")
    document = json.loads(json.dumps(report.as_dict()))
    assert document["ok"] is False
    assert document["broken"][0] == {
        "file": "/caf\xe9.html",
        "line": 1,
        "kind": "<img src>",
        "text": "/x\\x1b.png",
        "path": "/x\\x1b.png",
        "reason": "the file does not exist",
        "versions": [],
        "doubt": "",
    }
    assert len(document["broken"][1]["text"]) == 200
    assert [one["file"] for one in document["doubtful"]] == ["/lib.js"]
    assert document["collisions"] == [{"path": COLLISION, "versions": ["v1"]}]
    assert document["unstable"] == [{"path": DIFFERING, "versions": ["v1"], "file": "/caf\xe9.html", "line": 1}]
    assert [one["file"] for one in document["faults"]] == ["/a.css"]
    assert document["sizes"]["total"]["files"] == report.sizes.total.files
    assert document["sizes"]["types"]["text/css"] == {"files": 1, "size": 17}
    assert document["unchecked"] == [{"origin": "https://cdn.example", "references": 1, "path": ""}]
    assert document["churn"]["live"] == "v1"
    assert set(document["churn"]) == {"live", "new", "shared", "removed"}
    assert json.loads(json.dumps(checked(tmp_path, {"index.html": PAGE}).as_dict()))["churn"] is None


def test_bundlers_build(tmp_path: Path) -> None:
    """A build that is right is clean, and its entry is missed when it is gone, also where another version has it."""
    files = build_of("v2")
    assert checked(tmp_path, files).ok
    del files[ENTRY["v2"][1:]]
    known = {version: loaded(tmp_path, build_of(version)) for version in ENTRY} | {"v9": loaded(tmp_path, {"a": ""})}
    report = checked(tmp_path, files, known=known)
    assert [(one.file, one.path, one.versions) for one in report.broken] == [
        ("/.vite/manifest.json", ENTRY["v2"], ("v2",)),
        ("/index.html", ENTRY["v2"], ("v2",)),
    ]
    assert SHARED in {f"/{name}" for name in files}
