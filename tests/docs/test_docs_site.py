"""The documentation site builds without a warning, and its pages load nothing from other hosts."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("furo", reason="the extra 'docs' is not installed")
pytest.importorskip("myst_parser", reason="the extra 'docs' is not installed")
pytest.importorskip("sphinx_click", reason="the extra 'docs' is not installed")

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
#: URLs that a browser loads by itself, as opposed to links.
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link(?![^>]*rel="(?:canonical|author|license)"))\b[^>]*\b(?:src|href)="([^"]+)""",
)
_CSS_URL = re.compile(r"""(?:url\(|@import )\s*["']?((?:https?:)?//[^"')\s]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning is an error."""
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, built]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


def test_offline(site: Path) -> None:
    """No page, style sheet or script of the site names a resource of another host."""
    pages = list(site.rglob("*.html"))
    loaded = {url for page in pages for url in _LOADED.findall(page.read_text("utf-8"))}
    assert "_static/styles/furo.css" in {url.split("?")[0] for url in loaded}
    assert not {url for url in loaded if re.match(r"(?:\w+:)?//", url)}
    assert not {url for sheet in site.rglob("*.css") for url in _CSS_URL.findall(sheet.read_text("utf-8"))}


def test_every_page_is_reached(site: Path) -> None:
    """The first page's menu leads to every page of the documentation."""
    menu = (site / "index.html").read_text("utf-8")
    sources = {page.relative_to(DOCS).with_suffix(".html").as_posix() for page in DOCS.rglob("*.md")}
    assert {page for page in sources - {"index.html"} if f'href="{page}"' not in menu} == set()


def test_every_command_has_its_reference(site: Path) -> None:
    """The reference of the command line has a heading for every command, of groups too."""
    from version_affinity.cli.main import cli  # noqa: PLC0415 - with the site alone

    text = (site / "reference" / "command-line.html").read_text("utf-8")
    names = list(cli.list_commands(None))
    for group in ("versions", "deployments"):
        names += [f"{group}-{name}" for name in cli.get_command(None, group).list_commands(None)]
    assert len(names) > 15
    assert [name for name in names if f'id="version-affinity-{name}"' not in text] == []


def test_every_public_name_has_its_reference(site: Path) -> None:
    """The reference of the API describes each public name."""
    import version_affinity  # noqa: PLC0415 - with the site alone

    text = (site / "reference" / "api.html").read_text("utf-8")
    public = [name for name in version_affinity.__all__ if not name.startswith("__")]
    assert [name for name in public if f'id="version_affinity.{name}"' not in text] == []
