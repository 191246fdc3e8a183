"""The two rule files of a build, ``_redirects`` and ``_headers``: what they share, reading them, and reports.

Cloudflare and Netlify have the same form: text, a rule or a part of a rule on each line, comments after ``#`` at the
start of a line. A line that cannot be used is reported with its number, and the others apply. Both files are read when
a build is loaded.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.fingerprint import DIRECTORY, has_known_hash
from version_affinity.assets.loading.tree import UnservableError, read, stamp_of, through_projection

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from version_affinity.assets.loading.index import Index

logger = logging.getLogger("version_affinity")

REDIRECTS_FILE: Final = "_redirects"
HEADERS_FILE: Final = "_headers"
# A larger file does not hold rules: 2,100 lines of 2,000 characters.
_RULES_LIMIT: Final = 4 * 1024 * 1024
#: Characters in a line, without the blanks around it.
MAX_LINE: Final = 2000
_MAX_INVALID: Final = 10_000  # lines that are reported; then reading ends
_REPORTED: Final = 10  # files and lines that a log line names; the others are counted


class InvalidLine(NamedTuple):
    """A line of a rule file that is not used; ``reason`` is a word that stays the same, such as "bad_status"."""

    line: int
    reason: str
    message: str


class UnusableError(Exception):
    """A line cannot be used; the arguments are the reason and the message of an ``InvalidLine``."""


def rule_lines(text: str, invalid: list[InvalidLine]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments with their numbers; report lines that are too long."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        if len(invalid) >= _MAX_INVALID:
            message = f"the lines from here on are not read: {_MAX_INVALID} lines before cannot be used"
            invalid.append(InvalidLine(number, "too_many_invalid", message))
            return
        if len(rule) > MAX_LINE:
            message = f"the line has {len(rule)} characters, more than {MAX_LINE}"
            invalid.append(InvalidLine(number, "line_too_long", message))
            continue
        yield number, rule


def stamps(directory: str) -> tuple[object, ...]:
    """Return a value that differs once a build's rule files have changed."""
    return tuple(stamp_of(through_projection(f"{directory}/{name}")) for name in (REDIRECTS_FILE, HEADERS_FILE))


def read_rules(directory: str, name: str) -> str:
    """Return the text of a rule file, "" if there is none or, which is logged, it cannot be read."""
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
    """Return a report of the files that are not served, "" for none. Names are escaped: they may hold line breaks."""
    used = (f"/{REDIRECTS_FILE}", f"/{HEADERS_FILE}")
    reported = [f"{path!r}: {reason}" for path, reason in index.skipped if path not in used]
    return _report(f"{index.directory!r}", "not served", reported)


def about_hashes(index: Index) -> str:
    """Return a report of the files that are cached for a year because of their directory, without a known hash."""
    what = "kept for a year by their directory, without a hash of a known kind"
    paths = (path for path, asset in index.assets.items() if asset.why == DIRECTORY)
    return _report(f"{index.directory!r}", what, [repr(path) for path in paths if not has_known_hash(path)])


def about_lines(directory: str, name: str, what: str, lines: Iterable[InvalidLine]) -> str:
    """Return a report of lines of a rule file, "" for none."""
    reported = [f"line {line}: {message}" for line, _, message in sorted(lines)]
    return _report(f"{directory!r}, {name}", what, reported)


def _report(where: str, what: str, reported: list[str]) -> str:
    more = len(reported) - _REPORTED
    others = f"; and {more} more" if more > 0 else ""
    return f"{where}: {len(reported)} {what}: {'; '.join(reported[:_REPORTED])}{others}" if reported else ""
