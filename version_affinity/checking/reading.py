"""A file of a build as the references in it, whatever it holds: what cannot be parsed is a fault, no exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.tree import UnservableError, read

from .languages import css, html, javascript, web_manifest
from .references import Document, Fault

if TYPE_CHECKING:
    from version_affinity.assets.loading.asset import Asset

HTML: Final = "HTML"
CSS: Final = "CSS"
JAVASCRIPT: Final = "JavaScript"
MANIFEST: Final = "web app manifest"

_LANGUAGES: Final = {
    "text/html": HTML,
    "application/xhtml+xml": HTML,
    "text/css": CSS,
    "text/javascript": JAVASCRIPT,
    "application/javascript": JAVASCRIPT,
    "application/manifest+json": MANIFEST,
}
#: Bytes of a file that is looked into: the tree of a script takes a hundred times its size.
_LIMIT: Final = 32 * 1024 * 1024


class Task(NamedTuple):
    """A file that is to be read.

    Attributes:
        language: What it is written in.
        file: Its absolute name.
        size: Its length in bytes.
        digest: The hash of the content that the build was loaded with.
    """

    language: str
    file: str
    size: int
    digest: bytes


def task_of(asset: Asset, language: str | None = None) -> Task | None:
    """Return how a file is read; None for one that holds no references, as images.

    Args:
        asset: The file.
        language: What it is written in; None: what its Content-Type says.
    """
    language = language or _LANGUAGES.get(asset.content_type.partition(";")[0].rstrip().lower())
    return None if language is None else Task(language, asset.file, asset.size, asset.digest)


def read_one(task: Task) -> Document:
    """Return what is found in a file. Does not raise."""
    if task.size > _LIMIT:
        return faulty(f"it is not looked into: it has {task.size} bytes, more than {_LIMIT}")
    try:
        content = read(task.file, _LIMIT)
    except (OSError, UnservableError) as error:
        return faulty(f"it cannot be read: {error}")
    if content.digest != task.digest or content.data is None:
        return faulty("it has changed since the build was loaded: check it once more")
    return parse(task.language, content.data)


def parse(language: str, data: bytes) -> Document:
    """Return what is found in the content of a file. Does not raise.

    >>> parse(CSS, b"a { background: url(a.png) }").references[0].text
    'a.png'
    """
    try:
        if language == HTML:
            return html.html_references(data)
        if language == CSS:
            return css.css_references(css.decoded(data))
        return javascript.script_references(data) if language == JAVASCRIPT else web_manifest.manifest_references(data)
    except Exception as error:  # noqa: BLE001 - whatever a parser of others does, the other files are checked
        return faulty(f"it cannot be parsed as {language}: {type(error).__name__}: {error!s:.100}")


def faulty(reason: str) -> Document:
    """Return what is found in a file that cannot be read."""
    return Document(faults=(Fault(1, reason),))
