"""The two rule files of a build, ``_redirects`` and ``_headers``: what they share, reading them, and reports.

Cloudflare and Netlify have the same form: text, a rule or a part of a rule on each line, comments after ``#`` at the
start of a line. A line that cannot be used is reported with its number, and the others apply. Both files are read when
a build is loaded.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.fingerprint import DIRECTORY, has_known_hash
from version_affinity.assets.loading.tree import UnservableError, read, stamp_of, through_projection

from .patterns import MARK, SPLAT, Pattern
from .urls import RuleURL, read_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from version_affinity.assets.loading.index import Index

logger = logging.getLogger("version_affinity")

REDIRECTS_FILE: Final = "_redirects"
HEADERS_FILE: Final = "_headers"
# A larger file does not hold rules: 2,100 lines of 2,000 characters.
_RULES_LIMIT: Final = 4 * 1024 * 1024
#: Characters in a line, without the blanks around it.
MAX_LINE: Final = 2000
#: Characters of a path up to which rules of ``_redirects`` are tried: a longer path is an attack, not a link.
MAX_PATH: Final = 2000
#: Lines that are reported; then reading ends.
MAX_INVALID: Final = 10_000
_REPORTED: Final = 10  # files and lines that a log line names; the others are counted

_PLACEHOLDER: Final = re.compile(r":([A-Za-z]\w*)", re.ASCII)


class InvalidLine(NamedTuple):
    """A line of a rule file that is not used; ``reason`` is a word that stays the same, such as "bad_status"."""

    line: int
    reason: str
    message: str


class UnusableError(Exception):
    """A line cannot be used; the arguments are the reason and the message of an ``InvalidLine``."""


def rule_lines(text: str, longest: int, invalid: list[InvalidLine]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments with their numbers; report lines that are too long."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        if len(invalid) >= MAX_INVALID:
            message = f"the lines from here on are not read: {MAX_INVALID} lines before cannot be used"
            invalid.append(InvalidLine(number, "too_many_invalid", message))
            return
        if len(rule) > longest:
            message = f"the line has {len(rule)} characters, more than {longest}"
            invalid.append(InvalidLine(number, "line_too_long", message))
            continue
        yield number, rule


class RuleSource:
    """What a rule is for: a path of any host, or of the hosts that it names.

    Args:
        text: A path, or ``https://``, a host and a path.

    Attributes:
        names: The placeholders of host and path.
        fixed: The only path that matches, as in ``PATH_INFO``; None if several paths match.
        host_bound: Whether it names hosts.
        fault: Why it never matches; "" if it can match.

    >>> RuleSource("https://:team.example.com/*").match("/a", "red.example.com")
    {'team': 'red', 'splat': 'a'}
    """

    __slots__ = ("_host", "_path", "fault", "fixed", "host_bound", "names")

    def __init__(self, text: str) -> None:
        read = read_url(text)
        url = read or RuleURL("", text, "", "")
        # A host in lower case, except the names of its placeholders.
        host = "".join(part if at % 2 else part.lower() for at, part in enumerate(MARK.split(url.host)))
        self._host: Final = Pattern(host, ".") if host else None
        self._path: Final = Pattern(url.path, "/")
        self.names: Final = (*(self._host.names if self._host else ()), *self._path.names)
        self.fixed: Final = self._path.fixed
        self.host_bound: Final = self._host is not None
        twice = next((name for at, name in enumerate(self.names) if name in self.names[:at]), "")
        fault = f"{'*' if twice == SPLAT else f':{twice}'} stands twice in {text!r}" if twice else ""
        self.fault: Final = fault if read else f"{text!r} is not a path"

    def match(self, path: str, host: str = "") -> dict[str, str] | None:
        """Return the values of the placeholders in a path and a ``hostname``, decoded; None if they do not match."""
        if self.fault:
            return None
        values: dict[str, str] = {}
        for pattern, text in ((self._host, host), (self._path, path)):
            if pattern is not None:
                spans = pattern.match(text)
                if spans is None:
                    return None
                values.update((name, text[start:end]) for name, (start, end) in zip(pattern.names, spans, strict=True))
        return values


class Template:
    """Text with placeholders, of those names that its rule has; other names are text.

    >>> Template("/:year/:other", {"year"}).filled({"year": "2024"})
    '/2024/:other'
    """

    __slots__ = ("_parts", "is_constant")

    def __init__(self, text: str, names: Iterable[str]) -> None:
        known = frozenset(names)
        parts = [""]
        for at, part in enumerate(_PLACEHOLDER.split(text)):
            if at % 2 == 0:
                parts[-1] += part
            elif part in known:
                parts += [part, ""]
            else:
                parts[-1] += f":{part}"
        # Text and names alternate; text is first and last.
        self._parts: Final = tuple(parts)
        self.is_constant: Final = len(parts) == 1

    def filled(self, values: Mapping[str, str], write: Callable[[str], str] = str) -> str:
        """Return the text with the values of its placeholders, each passed through a function."""
        if self.is_constant:
            return self._parts[0]
        return "".join(write(values[part]) if at % 2 else part for at, part in enumerate(self._parts))


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
    reported = [
        repr(path)
        for path, asset in index.assets.items()
        if asset.why == DIRECTORY and not has_known_hash(path[: path.rindex("/") + 1], path[path.rindex("/") + 1 :])
    ]
    return _report(
        f"{index.directory!r}", "kept for a year by their directory, without a hash of a known kind", reported
    )


def about_lines(directory: str, name: str, what: str, lines: Iterable[InvalidLine]) -> str:
    """Return a report of lines of a rule file, "" for none."""
    reported = [f"line {line}: {message}" for line, _, message in sorted(lines)]
    return _report(f"{directory!r}, {name}", what, reported)


def _report(where: str, what: str, reported: list[str]) -> str:
    more = len(reported) - _REPORTED
    others = f"; and {more} more" if more > 0 else ""
    return f"{where}: {len(reported)} {what}: {'; '.join(reported[:_REPORTED])}{others}" if reported else ""
