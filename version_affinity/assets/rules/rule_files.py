"""The rule files of a build as they lie on the disk, and what is told of a build: what is not served, what not used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.fingerprint import DIRECTORY, has_known_hash
from version_affinity.assets.loading.tree import UnservableError, read, stamp_of, through_projection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from version_affinity.assets.loading.index import Index

    from .files import InvalidLine

logger = logging.getLogger("version_affinity")

REDIRECTS: Final = "_redirects"
HEADERS: Final = "_headers"
# A rule file that is larger is none: 2,100 lines of 2,000 characters.
_RULES_LIMIT: Final = 4 * 1024 * 1024
_REPORTED: Final = 10  # files and lines that a log line names; the rest is counted


def stamps(directory: str) -> tuple[object, ...]:
    """Return what tells whether a build's rule files have changed: other values, other files."""
    return tuple(stamp_of(through_projection(f"{directory}/{name}")) for name in (REDIRECTS, HEADERS))


def read_rules(directory: str, name: str) -> str:
    """Return the text of a rule file, "" without one."""
    try:
        content = read(through_projection(f"{directory}/{name}"), _RULES_LIMIT)
    except FileNotFoundError:
        return ""
    except (OSError, UnservableError) as error:
        logger.warning("%r: %s is not used: %s", directory, name, error)
        return ""
    if content.data is None:
        logger.warning("%r: %s is not used: it has %d bytes", directory, name, content.size)
        return ""
    return content.data.decode("utf-8", "surrogateescape")


def about_files(index: Index) -> str:
    """Tell what is not served, names escaped: a file's name may hold line breaks. Rule files are used."""
    used = (f"/{REDIRECTS}", f"/{HEADERS}")
    told = [f"{path!r}: {reason}" for path, reason in index.skipped if path not in used]
    return _told(f"{index.directory!r}", "not served", told)


def about_hashes(index: Index) -> str:
    """Return which files are kept for a year because of their directory, although their names hold no known hash."""
    told = [
        repr(path)
        for path, asset in index.assets.items()
        if asset.why == DIRECTORY and not has_known_hash(path[: path.rindex("/") + 1], path[path.rindex("/") + 1 :])
    ]
    return _told(f"{index.directory!r}", "kept for a year by their directory, without a hash of a known kind", told)


def about_lines(directory: str, name: str, what: str, lines: Iterable[InvalidLine]) -> str:
    """Tell, by number, of which lines of a rule file something is to be said; "" for none."""
    told = [f"line {line}: {message}" for line, _, message in sorted(lines)]
    return _told(f"{directory!r}, {name}", what, told)


def _told(where: str, what: str, told: list[str]) -> str:
    more = len(told) - _REPORTED
    rest = f"; and {more} more" if more > 0 else ""
    return f"{where}: {len(told)} {what}: {'; '.join(told[:_REPORTED])}{rest}" if told else ""
