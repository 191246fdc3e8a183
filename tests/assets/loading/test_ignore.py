"""What of a directory is not served, although it lies there, and which directories are refused as a build."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.harness import client, write_build
from version_affinity import ConfigurationError, StaticAssets, Version, VersionAffinity
from version_affinity.assets.loading.compress import compress
from version_affinity.assets.loading.ignore import CONTROL_FILE, HIDDEN
from version_affinity.releases.store.contents import contents_of
from version_affinity.releases.store.directory import ReleasesDirectory
from version_affinity.releases.store.upload import upload

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

PAGE = "<!doctype html><p>page"
VITE_SOURCE = '<!doctype html><div id=app></div><script type="module" src="{}"></script>'


def served(directory: Path, **options: Any) -> set[str]:
    """Return the paths of a directory's files that are served, alone and as an uploaded version alike."""
    paths = set(StaticAssets(directory, **options).index.assets)
    rules = {"/_headers", "/_redirects", "/.vite/manifest.json"}
    if not options:
        assert {file.path for file in contents_of(os.path.realpath(directory)).files} - rules == paths
    return paths


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("assets/.pnpm-cCnnJdwi.js", []),
        ("assets/.pnpm-mOahPUOG.js", []),  # it reads as a word
        ("assets/.pnpm-d8x3k2mq.css", []),
        ("assets/.pnpm.cCnnJdwi.js", []),
        ("assets/.pnpm-cCnnJdwi.js.map", []),
        ("assets/.pnpm-cCnnJdwi.js.gz", []),
        ("_nuxt/.pnpm-cCnnJdwi.js", []),
        ("assets/.logo-0123456789abcdef.png", []),
        ("app/static/.pnpm-mOahPUOG.js", ["app/static/index-BX4CeNGm.js"]),
        (".pnpm-cCnnJdwi.js", ["index-BX4CeNGm.js"]),
    ],
)
def test_built_dot_names(tmp_path: Path, path: str, others: list[str]) -> None:
    """A chunk that a build tool named with a dot is served, by each way to serve a build."""
    write_build(tmp_path, {"index.html": PAGE, path: "1", **dict.fromkeys(others, "2")})
    assert f"/{path}" in served(tmp_path)
    assert client(StaticAssets(tmp_path)).get(f"/{path}").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        "assets/.env",
        "assets/.eslintrc.js",
        "assets/.config-settings.js",
        "assets/.secrets-cCnnJdwi.json",
        "assets/.htpasswd-cCnnJdwi",
        "assets/.notes-cCnnJdwi.txt",
        "assets/.page-cCnnJdwi.html",
        "assets/.cCnnJdwi/app-BX4CeNGm.js",
        ".git/chunk-cCnnJdwi.js",
        "docs/.theme-mOahPUOG.css",
        "assets/.photo-20240115.jpg",
        "assets/..data",
    ],
)
def test_hidden(tmp_path: Path, path: str) -> None:
    """Any other dot name is hidden, and the reason can be asked for."""
    write_build(tmp_path, {"index.html": PAGE, "assets/index-BX4CeNGm.js": "1", path: "2"})
    assert served(tmp_path) == {"/index.html", "/assets/index-BX4CeNGm.js"}
    assert StaticAssets(tmp_path).index.why_not_served(f"/{path}") == HIDDEN


def test_dot_name_in_a_rollout(tmp_path: Path) -> None:
    """A dot name is a fingerprinted file: everybody gets it, from the version that has it, and keeps it."""
    path = "/assets/.pnpm-cCnnJdwi.js"
    write_build(tmp_path / "v1", {"index.html": PAGE, path[1:]: "1"})
    write_build(tmp_path / "v2", {"index.html": PAGE})
    shares = {"v1": 0.5, "v2": 99.5}
    affinity = VersionAffinity(None, [Version(v, tmp_path / v, percentage=share) for v, share in shares.items()])
    for _ in range(20):
        answer = client(affinity).get(path)
        assert (answer.text, answer.headers["Cache-Control"]) == ("1", "public, max-age=31536000, immutable")


IGNORED = """\
# comments and blank lines

*.map
!keep.map
/drafts/
secret.txt
docs/**/internal.html
\\#notes.txt
caf\u00e9.txt
node_modules
"""


def test_assetsignore(tmp_path: Path) -> None:
    """Files that ``.assetsignore`` names are not served, nor what they are compressed to; its syntax is Git's."""
    left = ["keep.map", "a.js", "a.js.gz", "sub/drafts/b.txt", "docs/public.html", "notes.txt"]
    out = ["a.js.map", "sub/b.js.map", "a.js.map.gz", "drafts/c.txt", "drafts/d/e.txt", "secret.txt", "secret.txt.br"]
    out += ["sub/secret.txt", "docs/internal.html", "docs/a/b/internal.html", "#notes.txt", "caf\xe9.txt"]
    out += ["node_modules/x/index.js"]
    write_build(tmp_path, {**dict.fromkeys([*left, *out], "x"), ".assetsignore": IGNORED})
    assert served(tmp_path) == {f"/{path}" for path in left}
    assert served(tmp_path, ignore=["notes.txt"]) == {f"/{path}" for path in left if path != "notes.txt"}
    index = StaticAssets(tmp_path).index
    for path in out:
        assert ".assetsignore" in index.why_not_served("/" + path.encode().decode("latin-1"))
    assert index.why_not_served("/none.js") == ""
    compress(tmp_path, encodings=["gzip"])
    assert not (tmp_path / "secret.txt.gz").exists()


@pytest.mark.parametrize("text", ["\ufeffsecret.txt\n", "a\r\nsecret.txt\r\n", "secret.txt"])
def test_assetsignore_of_other_editors(tmp_path: Path, text: str) -> None:
    """A byte order mark, the line ends of Windows and a last line without an end change no pattern."""
    write_build(tmp_path, {"secret.txt": "x", "b.txt": "b"})
    (tmp_path / ".assetsignore").write_bytes(text.encode())
    assert served(tmp_path) == {"/b.txt"}


def test_assetsignore_is_read_again(tmp_path: Path) -> None:
    """With autorefresh, a change of ``.assetsignore`` counts; one that cannot be used changes nothing."""
    write_build(tmp_path, {"a.txt": "a", "b.txt": "b"})
    asked = client(StaticAssets(tmp_path, autorefresh=True))
    assert asked.get("/b.txt").status_code == 200
    (tmp_path / ".assetsignore").write_text("b.txt")
    assert asked.get("/b.txt").status_code == 404
    (tmp_path / ".assetsignore").write_text("!")
    assert asked.get("/b.txt").status_code == 404
    (tmp_path / ".assetsignore").unlink()
    assert asked.get("/b.txt").status_code == 200


@pytest.mark.parametrize("content", ["!\n", "a\n**foo\\\n", "[z-a]\n"])
def test_bad_assetsignore(tmp_path: Path, content: str) -> None:
    """An ``.assetsignore`` that cannot be used is an error: what it is to hide would be served."""
    write_build(tmp_path, {"a.txt": "a", ".assetsignore": content})
    with pytest.raises(ConfigurationError, match=r"assetsignore.*not a pattern"):
        StaticAssets(tmp_path)


CONTROL = ["_worker.js", "_worker.js.map", "_worker.js.gz", "_routes.json", "netlify.toml", "vercel.json"]
CONTROL += ["wrangler.toml", "wrangler.json", "wrangler.jsonc", "firebase.json", "staticwebapp.config.json"]


@pytest.mark.parametrize("directory", [False, True])
def test_control_files(tmp_path: Path, caplog: pytest.LogCaptureFixture, directory: bool) -> None:
    """Other platforms' control files at the top of a build are not served, and reported; elsewhere they are files."""
    files = {**dict.fromkeys(CONTROL, "secret"), "index.html": PAGE, "docs/_worker.js": "1", "docs/vercel.json": "2"}
    if directory:
        files = {"_worker.js/index.js": "secret", "_worker.js/a/b.js": "secret", **files}
        files = {path: content for path, content in files.items() if path != "_worker.js"}
    write_build(tmp_path, files)
    assert served(tmp_path) == {"/index.html", "/docs/_worker.js", "/docs/vercel.json"}
    assert CONTROL_FILE in caplog.text
    index = StaticAssets(tmp_path).index
    for path in files:
        expected = CONTROL_FILE if path in CONTROL or path.startswith("_worker.js") else ""
        assert index.why_not_served(f"/{path}") == expected
    asked = client(StaticAssets(tmp_path))
    assert {asked.get(f"/{path}").status_code for path in CONTROL} == {404}
    releases = ReleasesDirectory.init(tmp_path.parent / f"{tmp_path.name}-releases", name="shop")
    uploaded = upload(releases, tmp_path, id="v1")
    assert CONTROL_FILE in {reason for _, reason in uploaded.skipped}
    assert not (releases.build_path("v1") / "vercel.json").exists()


SOURCES = [
    ({"node_modules/vue/index.js": "1"}, "node_modules"),
    ({"index.html": VITE_SOURCE.format("/src/main.ts")}, "/src/main.ts"),
    ({"index.html": VITE_SOURCE.format("./src/main.tsx")}, "./src/main.tsx"),
    ({"index.html": VITE_SOURCE.format("src/main.js").upper().replace("SRC/MAIN", "src/main")}, "src/main"),
]


@pytest.mark.parametrize(("files", "sign"), SOURCES)
def test_source_directory(tmp_path: Path, files: dict[str, str], sign: str) -> None:
    """A project's source directory is refused, however a build is served, with the sign and the remedy."""
    source = write_build(tmp_path / "project", {"index.html": PAGE, **files})
    releases = ReleasesDirectory.init(tmp_path / "releases", name="shop")
    for attempt in (
        lambda: StaticAssets(source),
        lambda: VersionAffinity(None, [Version("v1", source)]),
        lambda: upload(releases, source, id="v1"),
    ):
        with pytest.raises(ConfigurationError, match="source directory") as refused:
            attempt()
        assert sign in str(refused.value)
        assert "allow_source=True" in str(refused.value)
    assert StaticAssets(source, allow_source=True).index.assets
    assert VersionAffinity(None, [Version("v1", source)], allow_source=True).known == ("v1",)
    uploaded = upload(releases, source, id="v1", allow_source=True)
    assert uploaded.is_new


@pytest.mark.parametrize(
    "files",
    [
        {"index.html": '<script src="/assets/src/main.js"></script><img src="/src/logo.png">'},
        {"index.html": "<!-- " + VITE_SOURCE.format("/src/main.ts") + " -->"},
        {"index.html": "<script>'<script src=/src/main.ts>'</script>"},
        {"docs/index.html": VITE_SOURCE.format("/src/main.ts")},
        {"vendor/node_modules/vue/index.js": "1"},
        {"node_modules": "a file"},
        {"node_modules/vue/index.js": "1", ".assetsignore": "node_modules"},
    ],
)
def test_no_source_directory(tmp_path: Path, files: dict[str, str]) -> None:
    """What only looks like a source directory is a build."""
    write_build(tmp_path, {"index.html": PAGE, **files})
    assert served(tmp_path)


def test_package_json(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A package.json alone is a warning, given once; the file is served."""
    source = write_build(tmp_path / "dist", {"index.html": PAGE, "package.json": "{}"})
    with caplog.at_level(logging.WARNING):
        site = StaticAssets(source, autorefresh=True)
    assert [record for record in caplog.records if "package.json" in record.getMessage()] == caplog.records[:1]
    assert client(site).get("/package.json").status_code == 200
    assert len(caplog.records) == 1
    releases = ReleasesDirectory.init(tmp_path / "releases", name="shop")
    assert "package.json" in upload(releases, source, id="v1").doubt


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A directory as the kubelet mounts a ConfigMap with nested items."""
    root = tmp_path / "mount"
    files = {"index.html": PAGE, "env.js": "one", "assets/app.js": "1", "_headers": "/env.js\n  X-Rule: one"}
    write_build(root / "..2024_05_01", files)
    (root / "..data").symlink_to("..2024_05_01")
    for name in ("index.html", "env.js", "assets", "_headers"):
        (root / name).symlink_to(f"..data/{name}")
    return root


def swap(volume: Path, env: str) -> None:
    """Update a mounted volume as the kubelet does: another directory, ``..data`` renamed, the old directory removed."""
    shutil.copytree(volume / "..2024_05_01", volume / "..2024_05_02")
    (volume / "..2024_05_02" / "env.js").write_text(env)
    (volume / "..2024_05_02" / "_headers").write_text(f"/env.js\n  X-Rule: {env}")
    (volume / "..data_tmp").symlink_to("..2024_05_02")
    (volume / "..data_tmp").replace(volume / "..data")
    shutil.rmtree(volume / "..2024_05_01")


def test_kubernetes(volume: Path) -> None:
    """The links of a Kubernetes volume are served, those to directories too, and so are its rule files."""
    assert served(volume) == {"/index.html", "/env.js", "/assets/app.js"}
    asked = client(StaticAssets(volume))
    assert asked.get("/assets/app.js").text == "1"
    assert asked.get("/env.js").headers["X-Rule"] == "one"
    assert asked.get("/..data/env.js").status_code == 404
    assert asked.get("/..2024_05_01/env.js").status_code == 404


def test_kubernetes_volume_in_a_build(volume: Path, tmp_path: Path) -> None:
    """A volume may be mounted below the build's own directory."""
    build = write_build(tmp_path / "dist", {"index.html": PAGE})
    volume.rename(build / "config")
    assert {"/index.html", "/config/env.js", "/config/assets/app.js"} < served(build)


def test_kubernetes_update(volume: Path) -> None:
    """With autorefresh, an update of the volume is served; without it, the content in memory."""
    refreshed, held = client(StaticAssets(volume, autorefresh=True)), client(StaticAssets(volume))
    unheld = client(StaticAssets(volume, memory=0))
    swap(volume, "another one")
    assert refreshed.get("/env.js").text == "another one"
    assert refreshed.get("/env.js").headers["X-Rule"] == "another one"
    assert held.get("/env.js").text == "one"
    assert unheld.get("/env.js").status_code in (200, 404)
    assert unheld.get("/assets/app.js").text == "1"  # its bytes and its time are the same


@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("out.txt", "..data/out.txt"),  # which is itself a link that leads out
        ("env2.js", "..data/.env"),
        ("up.txt", "..data/../../outside.txt"),
        ("dir", "..data/.."),
        ("data", "..data"),
        ("timestamp", "..2024_05_01/env.js"),
        ("outside.txt", "../outside.txt"),
        ("directory", "assets"),
    ],
)
def test_other_links_of_a_volume(volume: Path, tmp_path: Path, link: str, target: str) -> None:
    """Links that lead out of the tree, or to hidden files, are refused as before, through ``..data`` too."""
    (tmp_path / "outside.txt").write_text("outside")
    (volume / "..data" / ".env").write_text("secret")
    (volume / "..data" / "out.txt").symlink_to(tmp_path / "outside.txt")
    (volume / link).symlink_to(target)
    assert served(volume) == {"/index.html", "/env.js", "/assets/app.js"}


def test_data_that_leads_out(volume: Path, tmp_path: Path) -> None:
    """A ``..data`` that leads to another place than a directory beside it is no volume's."""
    write_build(tmp_path / "elsewhere", {"env.js": "outside", "index.html": "outside"})
    (volume / "robots.txt").write_text("")
    (volume / "..data").unlink()
    (volume / "..data").symlink_to(tmp_path / "elsewhere")
    assert served(volume) == {"/robots.txt"}
