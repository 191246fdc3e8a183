"""What the two rule files of a build share: ``_redirects`` and ``_headers``, as Cloudflare and Netlify read them.

Both are text, a rule or a part of one on each line, ``#`` at the start of a line for comments. A line that cannot be
used is reported with its number, and the rest applies. They are read when a build is loaded:

    content = open("_redirects", "rb").read().decode("utf-8", "surrogateescape")    # bytes that are no UTF-8 survive
    redirects = parse_redirects(content)
    changes = parse_headers(other_content)
    for line, _, message in redirects.invalid:
        logger.warning("_redirects:%d: %s", line, message)

On a request, both take the path below the mount, decoded as in ``PATH_INFO``:

    answer = redirects.match(path, environ["QUERY_STRING"], mount="/shop")
    found = changes.for_path(path)
    if found is not None:
        headers = found.applied_to(headers)          # found.private.applied_to(...) where the answer is one user's
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

#: Characters in a line, without the blanks around it.
MAX_LINE: Final = 2000
#: Characters of a path up to which rules of ``_redirects`` are tried: a longer one is an attack, not a link.
MAX_PATH: Final = 2000
#: Lines that are reported; a file with more is no rule file, and is not read on.
MAX_INVALID: Final = 10_000

_PLACEHOLDER: Final = re.compile(r":([A-Za-z]\w*)", re.ASCII)


class InvalidLine(NamedTuple):
    """A line of a rule file that is not used.

    Attributes:
        line: Its number, from 1.
        reason: What is wrong, as a word that stays the same: ``"bad_status"``.
        message: What is wrong and what helps.
    """

    line: int
    reason: str
    message: str


def rule_lines(text: str, longest: int, invalid: list[InvalidLine]) -> Iterator[tuple[int, str]]:
    """Yield the lines that are neither empty nor comments, each with its number, and report those that are too long.

    Args:
        text: The file, its bytes decoded as UTF-8 with ``surrogateescape``; a byte order mark is skipped.
        longest: Characters that a line may have.
        invalid: What is reported; reading ends when it is full.
    """
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        if len(invalid) >= MAX_INVALID:
            message = f"the lines from here on are not read: {MAX_INVALID} before them cannot be used"
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
        fixed: The one path that it matches, as in ``PATH_INFO``; None where there are more.
        host_bound: Whether it names hosts.
        fault: Why it never matches; "" if it does.

    >>> RuleSource("https://:team.example.com/*").match("/a", "red.example.com")
    {'team': 'red', 'splat': 'a'}
    """

    __slots__ = ("_host", "_path", "fault", "fixed", "host_bound", "names")

    def __init__(self, text: str) -> None:
        read = read_url(text)
        url = read or RuleURL("", text, "", "")
        self._host: Final = Pattern(_lowered(url.host), ".") if url.host else None
        self._path: Final = Pattern(url.path, "/")
        self.names: Final = (*(self._host.names if self._host else ()), *self._path.names)
        self.fixed: Final = self._path.fixed
        self.host_bound: Final = self._host is not None
        twice = next((name for at, name in enumerate(self.names) if name in self.names[:at]), "")
        fault = f"{'*' if twice == SPLAT else f':{twice}'} stands twice in {text!r}" if twice else ""
        self.fault: Final = fault if read else f"{text!r} is no path"

    def match(self, path: str, host: str = "") -> dict[str, str] | None:
        """Return what the placeholders stand for, decoded; None when it does not match.

        Args:
            path: The path, as in ``PATH_INFO``.
            host: The ``hostname`` that was asked for.
        """
        if self.fault:
            return None
        values: dict[str, str] = {}
        if self._host is not None:
            spans = self._host.match(host)
            if spans is None:
                return None
            values = {name: host[start:end] for name, (start, end) in zip(self._host.names, spans, strict=True)}
        spans = self._path.match(path)
        if spans is None:
            return None
        for name, (start, end) in zip(self._path.names, spans, strict=True):
            values[name] = path[start:end]
        return values


class Template:
    """Text with placeholders in it, for those names that its rule knows; other ones are text.

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
        # Text and names take turns; text comes first and last.
        self._parts: Final = tuple(parts)
        self.is_constant: Final = len(parts) == 1

    def filled(self, values: Mapping[str, str], write: Callable[[str], str] = str) -> str:
        """Return the text with each placeholder's value in its place, written by a function."""
        if self.is_constant:
            return self._parts[0]
        return "".join(write(values[part]) if at % 2 else part for at, part in enumerate(self._parts))


def _lowered(host: str) -> str:
    """Return a host in lower case, but for the names of its placeholders."""
    return "".join(part if at % 2 else part.lower() for at, part in enumerate(MARK.split(host)))


REDIRECTS_FILE: Final = "_redirects"
HEADERS_FILE: Final = "_headers"
# A rule file that is larger is none: 2,100 lines of 2,000 characters.
_RULES_LIMIT: Final = 4 * 1024 * 1024
_REPORTED: Final = 10  # files and lines that a log line names; the rest is counted


def stamps(directory: str) -> tuple[object, ...]:
    """Return what tells whether a build's rule files have changed: other values, other files."""
    return tuple(stamp_of(through_projection(f"{directory}/{name}")) for name in (REDIRECTS_FILE, HEADERS_FILE))


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
    used = (f"/{REDIRECTS_FILE}", f"/{HEADERS_FILE}")
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
