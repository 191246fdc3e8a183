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

_SHOWN: Final = 2  # the last names of the directory: a page need not show where the application is
_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>No build yet</title>
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 10vh auto; padding: 0 1rem }}</style>
<h1>This front end has no build yet</h1>
<p>The directory <code>{directory}</code> does not exist or has no files. Build the front end into it, for example with
<code>npm run build</code>. A releases directory needs a deployment: <code>version-affinity versions deploy</code>.</p>
<p>Then reload this page. If it stays the same, restart the application.</p>
</html>
"""


def check_missing_build(value: object) -> bool:
    """Return whether a placeholder stands in for a missing build, or raise ``ConfigurationError``."""
    if value not in ("error", PLACEHOLDER):
        raise ConfigurationError(f"missing_build={value!r} is unknown: write missing_build='error' or 'placeholder'")
    return value == PLACEHOLDER


def placeholder_page(root: str) -> Asset:
    """Return the page in place of the build in a directory."""
    shown = PurePath(*PurePath(root).parts[-_SHOWN:]).as_posix()
    data = _PAGE.format(directory=escape(shown)).encode("utf-8", "backslashreplace")
    content = Content(len(data), 0, sha256(data).digest()[:DIGEST_SIZE], data)
    kind = ("Content-Type", "text/html; charset=utf-8")
    page = Asset("/index.html", "", content, content_type=kind, fingerprinted=False, is_html=True)
    page.data = data
    return page
