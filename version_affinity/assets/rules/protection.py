"""``Basic-Auth`` in ``_headers``: paths that Netlify asks a password for.

Passwords are not implemented. A protected path is answered with 404, and its file is left out of the build, so that no
redirect, rewrite, stand-in or compressed form leads to it. A line whose meaning is unclear protects more rather than
less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.asset import Asset
from version_affinity.assets.loading.siblings import uncompressed
from version_affinity.assets.routing import HTML_HANDLING, Redirect, routes

from .files import InvalidLine
from .headers import BASIC_AUTH, PATH_LINE
from .patterns import Pattern, read_url

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLLOWED: Final = 8  # redirects from one path of a build to another; there are at most two


class Protection:
    """The paths that a build protects with ``Basic-Auth`` in its file ``_headers``, and the ``lines`` that do so."""

    __slots__ = ("_fixed", "_patterns", "lines")

    def __init__(self, text: str) -> None:
        lines: list[InvalidLine] = []
        patterns: list[Pattern] = []
        source = ""
        for number, whole in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
            line = whole.strip()
            if BASIC_AUTH.match(line):
                message = "Basic-Auth belongs to no path: write one above it"
                if source:
                    patterns += [Pattern(form, "/") for form in _forms(source)]
                    message = (
                        f"Basic-Auth is not implemented, so {source!r} is answered with 404: let the application "
                        "protect these files"
                    )
                lines.append(InvalidLine(number, "basic_auth", message))
            elif PATH_LINE.match(line):
                source = _path_of(line)
        self.lines: Final = tuple(lines)
        self._fixed: Final = frozenset(pattern.fixed for pattern in patterns)
        self._patterns: Final = tuple(pattern for pattern in patterns if pattern.fixed is None)

    def __bool__(self) -> bool:
        """Whether any path is protected."""
        return bool(self._fixed)

    def covers(self, path: str) -> bool:
        """Return whether a path is protected: as in ``PATH_INFO``, "" for the mount without its slash."""
        asked = path or "/"
        return asked in self._fixed or any(pattern.match(asked) is not None for pattern in self._patterns)

    def files(self, assets: Mapping[str, Asset]) -> set[str]:
        """Return the files that are protected by their own path, or by one that shows them in any ``html_handling``."""
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
