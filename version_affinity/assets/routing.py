"""The paths at which a build shows its HTML files, their redirects, and not-found pages. No I/O.

Each HTML file has one clean path, and its other spellings redirect there. For ``/docs/page.html`` (a page) and
``/docs/index.html`` (an index):

==========================  ================  ==================
mode                        a page's path     an index's path
==========================  ================  ==================
``auto-trailing-slash``     ``/docs/page``    ``/docs/``
``force-trailing-slash``    ``/docs/page/``   ``/docs/``
``drop-trailing-slash``     ``/docs/page``    ``/docs``
``none``                    the file's name   the file's name
==========================  ================  ==================

All paths are computed when a build is loaded, so a request is one look-up. If another file takes the clean path of a
file, that file is shown under its own name. A redirect may lead to another redirect; the last one leads to a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from version_affinity.errors import ConfigurationError
from version_affinity.wire import quoted_components, requoted_query

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .loading.asset import Asset

#: The paths at which HTML files are shown.
HtmlHandling: TypeAlias = Literal["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"]
#: What answers a path that no file has.
NotFoundHandling: TypeAlias = Literal["none", "404-page", "single-page-application"]

HTML_HANDLING: Final[tuple[HtmlHandling, ...]] = get_args(HtmlHandling)
NOT_FOUND_HANDLING: Final[tuple[NotFoundHandling, ...]] = get_args(NotFoundHandling)

# What follows the stem in the path of a page (/docs/page.html) and of an index (/docs/index.html).
_CLEAN: Final = {
    "auto-trailing-slash": ("", "/"),
    "force-trailing-slash": ("/", "/"),
    "drop-trailing-slash": ("", ""),
}
_INDEX = "/index.html"
_PAGE = ".html"
# The longest first.
_SUFFIXES: Final = (_INDEX, "/index", _PAGE, "/", "")

# PATH_MAX: no file has a longer name.
_LONGEST: Final = 4096


class Redirect(NamedTuple):
    """A redirect to the path at which a file is shown (as in ``PATH_INFO``, not encoded)."""

    path: str


def check_handling(html_handling: object, not_found_handling: object) -> None:
    """Raise ``ConfigurationError`` if a mode is unknown."""
    for field, value, known in (
        ("html_handling", html_handling, HTML_HANDLING),
        ("not_found_handling", not_found_handling, NOT_FOUND_HANDLING),
    ):
        if value not in known:
            raise ConfigurationError(f"{field}={value!r} is unknown: use one of {', '.join(known)}")


def routes(assets: Mapping[str, Asset], html_handling: HtmlHandling) -> dict[str, Asset | Redirect]:
    """Return every path that a build answers, with its file or redirect."""
    found: dict[str, Asset | Redirect] = dict(assets)
    if html_handling == "none":
        return found
    pages = _Pages(assets, *_CLEAN[html_handling])
    for path in assets:
        if path.endswith(_PAGE):
            for stem in dict.fromkeys((path.removesuffix(_PAGE), path.removesuffix(_INDEX))):
                for spelling in (stem + suffix for suffix in _SUFFIXES):
                    answer = pages.answer(spelling) if spelling.startswith("/") else None
                    if answer is not None:
                        found[spelling] = answer
    for path, asset in assets.items():
        if target_of(found, path) is not asset:
            found[path] = asset
    return found


def not_found(assets: Mapping[str, Asset], path: str) -> Asset | None:
    """Return the nearest ``404.html``: that of the path's directory, else of the one above, up to the root."""
    path = path[:_LONGEST]
    # No directory has an empty name, so there is none below the first doubled slash.
    end = path.rfind("/", 0, path.find("//") + 1 or len(path))
    while end > 0:
        page = assets.get(f"{path[:end]}/404.html")
        if page is not None:
            return page
        end = path.rfind("/", 0, end)
    return assets.get("/404.html")


def location(script_name: str, prefix: str, path: str, query: str) -> str:
    r"""Return the Location of a redirect to a path below the prefix: always a path of the same host.

    >>> location("", "/", "/caf\xc3\xa9/", "page=2")
    '/caf%C3%A9/?page=2'
    >>> location("", "/", "//evil.example/", "a=\r\nSet-Cookie: b")
    '/evil.example/?a=%0D%0ASet-Cookie:%20b'
    """
    mount = "/".join(part.strip("/") for part in (script_name, prefix) if part.strip("/"))
    # Two slashes at the start would name another host (RFC 3986 section 4.2).
    target = quoted_components(f"{mount}{path}".lstrip("/"))
    return f"/{target}?{requoted_query(query)}" if query else f"/{target}"


def target_of(found: Mapping[str, Asset | Redirect], path: str) -> Asset | None:
    """Return the file at the end of a path's redirects; None without one."""
    answer = found.get(path)
    for _ in found:
        if not isinstance(answer, Redirect):
            return answer
        answer = found.get(answer.path)
    return None


class _Pages:
    """The HTML files of a build, and the endings of the clean paths of pages and indexes."""

    def __init__(self, assets: Mapping[str, Asset], page: str, index: str) -> None:
        self._assets = assets
        self._page = page
        self._index = index

    def answer(self, path: str) -> Asset | Redirect | None:
        """Return the file that a path shows, a redirect to where the file that it means is shown, or None."""
        own = self._assets.get(path)
        if own is not None and not path.endswith(_PAGE):
            return own
        for file, home in self._readings(path):
            if home == path:
                return file
            if self._shown(home) is file:
                return Redirect(home)
            if file is own:
                return own
        return None

    def _shown(self, path: str) -> Asset | None:
        """Return the file that a path shows without a redirect."""
        own = self._assets.get(path)
        if own is not None:
            return own
        return next((file for file, home in self._readings(path) if home == path), None)

    def _readings(self, path: str) -> Iterator[tuple[Asset, str]]:
        """Yield the files that a path may mean, each with its clean path, in order of preference."""
        suffix = next(suffix for suffix in _SUFFIXES if path.endswith(suffix))
        yield from self._named(path.removesuffix(suffix), page_first=suffix in (_PAGE, ""))
        if suffix:
            yield from self._named(path, page_first=True)

    def _named(self, stem: str, *, page_first: bool) -> Iterator[tuple[Asset, str]]:
        page, index = self._assets.get(stem + _PAGE), self._assets.get(stem + _INDEX)
        # A page without a name ("/docs/.html") has no clean path.
        of_page = () if page is None or stem.endswith("/") else ((page, stem + self._page),)
        of_index = () if index is None else ((index, stem + self._index or "/"),)
        yield from (*of_page, *of_index) if page_first else (*of_index, *of_page)
