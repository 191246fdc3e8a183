"""The page in place of a build that does not exist yet, for a checkout in which nothing was built."""

from __future__ import annotations

from hashlib import sha256
from html import escape
from pathlib import PurePath
from typing import Final, Literal, TypeAlias

from version_affinity.errors import ConfigurationError

from .asset import Asset
from .tree import DIGEST_SIZE, Content

#: What the option ``missing_build`` may be.
MissingBuild: TypeAlias = Literal["error", "placeholder"]
PLACEHOLDER: Final = "placeholder"
#: The version, and its directory, in place of releases without a deployment.
NOT_DEPLOYED: Final = "not-deployed"

_SHOWN: Final = 2  # the last names of the directory: a page need not show where the application is
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 10vh auto; padding: 0 1rem }}</style>
<h1>{title}</h1>
{remedy}
</html>
"""
_NOT_BUILT: Final = """\
<p>The directory <code>{directory}</code> does not exist or has no files. Build the front end into it, for example with
<code>npm run build</code>.</p>
<p>Then reload this page. If it stays the same, restart the application.</p>"""
_NOTHING_DEPLOYED: Final = """\
<p>Upload a build and deploy it: <code>version-affinity versions upload dist/</code>, then
<code>version-affinity versions deploy</code>. The log of the application names the releases directory.</p>
<p>Then restart the application.</p>"""


def check_missing_build(value: object) -> bool:
    """Return whether a placeholder stands in for a missing build, or raise ``ConfigurationError``."""
    if value not in ("error", PLACEHOLDER):
        raise ConfigurationError(f"missing_build={value!r} is unknown: write missing_build='error' or 'placeholder'")
    return value == PLACEHOLDER


def placeholder_page(root: str) -> Asset:
    """Return the page in place of the build in a directory."""
    shown = PurePath(*PurePath(root).parts[-_SHOWN:]).as_posix()
    title, remedy = "This front end has no build yet", _NOT_BUILT.format(directory=escape(shown))
    if is_not_deployed(root):
        title, remedy = "No version is deployed yet", _NOTHING_DEPLOYED
    data = _PAGE.format(title=title, remedy=remedy).encode("utf-8", "backslashreplace")
    content = Content(len(data), 0, sha256(data).digest()[:DIGEST_SIZE], data)
    kind = ("Content-Type", "text/html; charset=utf-8")
    page = Asset("/index.html", "", content, content_type=kind, fingerprinted=False, is_html=True)
    page.data = data
    return page


def is_not_deployed(root: str) -> bool:
    """Return whether a directory is the one in place of releases without a deployment."""
    return PurePath(root).name == NOT_DEPLOYED
