"""``Basic-Auth`` in ``_headers``: paths that Netlify asks a password for.

Passwords are not implemented. A protected path is answered with 404, and its file is left out of the build, so that no
redirect, rewrite, stand-in or compressed form leads to it. A line whose meaning is unclear protects more rather than
less.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.loading.siblings import uncompressed
from version_affinity.assets.routing import HTML_HANDLING, Redirect, routes

from .files import InvalidLine
from .patterns import Pattern
from .urls import read_url

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD: Final = re.compile(r"basic-auth\s*(?::|\Z)", re.IGNORECASE)
_PATH: Final = re.compile(r"/|\S+://")
_FOLLOWED: Final = 8  # redirects from one path of a build to another; there are at most two


class Protection:
    r"""The paths that a build protects with ``Basic-Auth``.

    Args:
        text: The file ``_headers``. Its lines and rules are not limited here.

    Attributes:
        lines: The lines with ``Basic-Auth``, for the report.

    >>> protection = Protection("/secret/*\n  Basic-Auth: alice:wonderland")
    >>> protection.covers("/secret/a.html"), protection.covers("/secret"), protection.covers("/secrets")
    (True, True, False)
    """

    __slots__ = ("_fixed", "_patterns", "lines")

    def __init__(self, text: str) -> None:
        lines: list[InvalidLine] = []
        fixed: set[str] = set()
        patterns: list[Pattern] = []
        source = ""
        for number, whole in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            line = whole.strip()
            if _FIELD.match(line):
                lines.append(InvalidLine(number, "basic_auth", _message(source)))
                for form in _forms(source) if source else ():
                    pattern = Pattern(form, "/")
                    if pattern.fixed is None:
                        patterns.append(pattern)
                    else:
                        fixed.add(pattern.fixed)
            elif _PATH.match(line):
                source = _path_of(line)
        self.lines: Final = tuple(lines)
        self._fixed: Final = frozenset(fixed)
        self._patterns: Final = tuple(patterns)

    def __bool__(self) -> bool:
        """Whether any path is protected."""
        return bool(self._fixed or self._patterns)

    def covers(self, path: str) -> bool:
        """Return whether a path is protected.

        Args:
            path: As in ``PATH_INFO``, below the mount; "" for the mount without its slash.
        """
        asked = path or "/"
        return asked in self._fixed or any(pattern.match(asked) is not None for pattern in self._patterns)

    def files(self, assets: Mapping[str, Asset]) -> set[str]:
        """Return the files that are protected by their own path, or by a path that shows them in any html_handling."""
        protected = {path for path in assets if self.covers(path)}
        for handling in HTML_HANDLING:
            found = routes(assets, handling)
            for path in filter(self.covers, found):
                answer = found.get(path)
                for _ in range(_FOLLOWED):
                    if isinstance(answer, Redirect):
                        answer = found.get(answer.path)
                if isinstance(answer, Asset):
                    protected.add(answer.path)
        return {path for path in assets if path in protected or uncompressed(path) in protected}


def _message(source: str) -> str:
    if not source:
        return "Basic-Auth belongs to no path: write one above it"
    return f"Basic-Auth is not implemented, so {source!r} is answered with 404: let the application protect these files"


def _path_of(line: str) -> str:
    """Return the path of a rule for any host. A comment follows "#"."""
    line = line.partition("#")[0].rstrip()
    url = read_url(line)
    if url is not None:
        return url.path
    return line if line.startswith("/") else f"/{line.partition('://')[2].partition('/')[2]}"


def _forms(source: str) -> tuple[str, ...]:
    """Return the patterns that a protected path stands for: with and without its last slash, it is the same page."""
    if source.count("*") > 1:  # a rule may have only one
        source = source[: source.index("*") + 1]
    bare = source.removesuffix("*").rstrip("/")
    if source.endswith("/*"):
        return source, bare or "/"
    return (source,) if source.endswith("*") else (bare or "/", f"{bare}/")
