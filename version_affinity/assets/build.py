"""One build as it is served: its files, the paths that lead to them, and its rules. No WSGI, no I/O after loading.

A path is looked up in two steps, between which somebody may know better: ``find`` tells what the build has at the very
path, ``stand_in`` what answers where it has nothing.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from version_affinity.errors import ConfigurationError
from version_affinity.wire import merge_slashes

from .http.fetch_metadata import is_framed_by_other_site, is_shown_in_tab
from .http.response import IMMUTABLE
from .loading.asset import Asset
from .loading.fingerprint import looks_like_asset
from .loading.media import is_media
from .prepared import Prepared
from .routing import Redirect, check_handling, not_found, routes
from .rules.changes import shown_elsewhere
from .rules.files import (
    HEADERS_FILE,
    REDIRECTS_FILE,
    InvalidLine,
    about_files,
    about_hashes,
    about_lines,
    read_rules,
    stamps,
)
from .rules.headers import HeaderRules, parse_headers
from .rules.protection import Protection
from .rules.redirects import Redirected, RedirectRules, Rewritten, parse_redirects
from .sending import ALLOW_ALL_ORIGINS, preflight_headers

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .loading.asset import HeaderField
    from .loading.index import Index
    from .rules.changes import HeaderChanges

logger = logging.getLogger("version_affinity")

#: What a path stands for.
FILE: Final = "file"
REDIRECT: Final = "redirect"
#: What answers requests for pages at paths that are not its own, by the mode of a single-page application or by a rule.
DOCUMENT: Final = "single-page document"
MISSING: Final = "missing asset"
APP: Final = "wrapped application"
NO_FILE: Final = "not found"

SINGLE_PAGE: Final = "single-page-application"
NOT_FOUND_PAGE: Final = "404-page"

#: A redirect to another path of the build, or wherever a rule says.
Leading: TypeAlias = "Redirect | Redirected"

#: The methods that a file understands, as in Allow.
ALL_METHODS: Final = "GET, HEAD, OPTIONS"

_DOCUMENT: Final = "/index.html"
_PROTECTED: Final = "Basic-Auth in _headers protects it, which is not implemented"
_LONGEST: Final = 2_000  # characters of a path whose empty segments are looked at
_LEAD_ON: Final = "redirect despite status 200"
# What shows another page in a page; "object" and "embed" show media, too.
_FRAMES: Final = frozenset(("iframe", "frame"))


class Found(NamedTuple):
    """What a path stands for, and the file or redirect where it is one."""

    what: str
    target: Asset | Leading | None = None


#: What a build has at a path: a file, a redirect, or, by a rule, what it shows there; None for nothing.
At: TypeAlias = "Asset | Leading | Found | None"


class Build:
    """One build. Not changed once made, but for what is prepared.

    Args:
        index: Its files.
        html_handling: The paths at which HTML files are shown.
        not_found_handling: What answers where no file does.
        allow_all_origins: Whether pages of other origins may use its fingerprinted files.
        reported: Reports that are known: those of the build as it was before.

    Raises:
        ConfigurationError: a mode is unknown, or a single-page application has no document.

    Attributes:
        index: Its files.
        kept: What a fingerprinted file carries besides what describes it.
        routes: Request path to a file or a redirect.
        not_found_handling: What answers where no file does.
        document: What a single-page application shows at every path; None where the build is none.
        redirects: The rules of ``_redirects``, None without any.
        header_rules: The rules of ``_headers``, None without any.
        protection: The paths that ``Basic-Auth`` protects, which are answered with 404; None without any.
        prepared: Path to the frequent answers with a fingerprinted file, of those that have been asked for.
        reports: What was logged: files that are not served, and lines of rule files that are not used.
    """

    __slots__ = (
        "_changes",
        "_ruled_paths",
        "_stamps",
        "_withheld",
        "document",
        "header_rules",
        "index",
        "kept",
        "not_found_handling",
        "prepared",
        "protection",
        "redirects",
        "reports",
        "routes",
    )

    def __init__(
        self,
        index: Index,
        html_handling: str,
        not_found_handling: str,
        *,
        allow_all_origins: bool = False,
        reported: Container[str] = (),
    ) -> None:
        check_handling(html_handling, not_found_handling)
        headers_text = read_rules(index.directory, HEADERS_FILE)
        protection = Protection(headers_text)
        self.protection: Final[Protection | None] = protection or None
        withheld: set[str] = set()
        if protection:
            withheld.update(routes(index.assets, html_handling))
            index = index.without(protection.files(index.assets))
        self.index: Final = index
        self.kept: Final[tuple[HeaderField, ...]] = (
            (IMMUTABLE, ALLOW_ALL_ORIGINS) if allow_all_origins else (IMMUTABLE,)
        )
        self.not_found_handling: Final = not_found_handling
        self.document: Final = index.assets.get(_DOCUMENT) if not_found_handling == SINGLE_PAGE else None
        if not_found_handling == SINGLE_PAGE and self.document is None and not protection:
            raise ConfigurationError(
                f"not_found_handling={not_found_handling!r} answers with /index.html, and {index.directory!r} has "
                "none: build the front end first, or use not_found_handling='none'",
            )
        found = routes(index.assets, html_handling)
        self.routes: Final = (
            {path: answer for path, answer in found.items() if not protection.covers(path)} if protection else found
        )
        self._withheld: Final = withheld.difference(self.routes)
        self._stamps: Final = stamps(index.directory)
        redirects = parse_redirects(read_rules(index.directory, REDIRECTS_FILE), html_handling=html_handling)
        header_rules = parse_headers(headers_text)
        self.redirects: Final[RedirectRules | None] = redirects or None
        self.header_rules: Final[HeaderRules | None] = header_rules or None
        # The paths of files for which there is a rule. A fingerprinted file is not among them: no page misses it.
        self._ruled_paths: Final = frozenset(
            path
            for path, answer in (self.routes.items() if redirects else ())
            if redirects.match(path) is not None and not (isinstance(answer, Asset) and answer.fingerprinted)
        )
        # The same on each request for a path of the build, unless a rule names hosts.
        self._changes: Final = (
            {path: header_rules.for_path(path) for path in self.routes}
            if header_rules and not header_rules.host_bound
            else {}
        )
        self.prepared: Final[dict[str, Prepared]] = {}
        reports = (
            about_files(index),
            about_hashes(index),
            about_lines(index.directory, REDIRECTS_FILE, "not used", (*redirects.invalid, *redirects.idle)),
            about_lines(index.directory, REDIRECTS_FILE, _LEAD_ON, self._leading_on()),
            about_lines(index.directory, HEADERS_FILE, "not used", (*header_rules.invalid, *header_rules.idle)),
            about_lines(index.directory, HEADERS_FILE, "not implemented", protection.lines),
        )
        self.reports: Final = tuple(filter(None, reports))
        for report in self.reports:
            if report not in reported:
                logger.warning("%s", report)

    def _leading_on(self) -> Iterator[InvalidLine]:
        """Yield the rules that are to show a file and lead to the path at which it is shown."""
        for line, path in self.redirects.shown() if self.redirects else ():
            home = self.routes.get(path)
            if isinstance(home, Redirect):
                yield InvalidLine(line, "leads_on", f"{path!r} is shown at {home.path!r}: write {home.path!r} instead")

    def is_protected(self, path: str) -> bool:
        """Tell whether a path is answered with 404 because ``Basic-Auth`` names it, or another path of its file."""
        return self.protection is not None and (path in self._withheld or self.protection.covers(path))

    def why_not_served(self, path: str) -> str:
        """Return why a path has no file although the build holds one there, or would not serve one; "" for no reason.

        Args:
            path: As in ``PATH_INFO``, below the mount.
        """
        return _PROTECTED if self.is_protected(path) else self.index.why_not_served(path)

    def has_changed_rules(self) -> bool:
        """Tell whether a rule file has changed since this build was loaded."""
        return stamps(self.index.directory) != self._stamps

    def find(self, path: str, environ: WSGIEnvironment) -> At:
        """Return what this build has at a path.

        Args:
            path: The path in the build, as in ``PATH_INFO``; "" for its mount without the slash.
            environ: The request.
        """
        if self.protection is not None and self.is_protected(path):
            return _NO_FILE
        if path not in self._ruled_paths:
            answer = self.routes.get(path)
            if answer is not None or (self.redirects is None and path):
                return answer
        return self._find(path, environ)

    def _find(self, path: str, environ: WSGIEnvironment) -> At:
        """Return what this build has at a path that a rule may be for."""
        if not path:
            # The mount without its slash: relative references in a page at "/app" would miss "/app/".
            return Redirect("/") if "/" in self.routes or self.document is not None else None
        ruled = self._ruled(path, environ)
        if isinstance(ruled, Redirected):
            return ruled
        if isinstance(ruled, Rewritten):
            shown = self._rewritten(ruled.path, environ)
            if not _is_page(shown) or (_wants_document(path, environ, has_app=False) and not looks_like_asset(path)):
                return shown
        return self.routes.get(path)

    def _ruled(self, path: str, environ: WSGIEnvironment) -> Redirected | Rewritten | None:
        """Return what the rules of ``_redirects`` make of a path."""
        if self.redirects is None:
            return None
        host, query = environ.get("HTTP_HOST", ""), environ.get("QUERY_STRING", "")
        return self.redirects.match(path, query, host=host, mount=_mount(environ, path))

    def _rewritten(self, path: str, environ: WSGIEnvironment) -> Asset | Leading | Found:
        """Return what answers when a rule says that a request is for this path: always something of the build."""
        answer = self.routes.get(path)
        if answer is not None:
            return Found(DOCUMENT if answer.is_html else FILE, answer) if isinstance(answer, Asset) else answer
        if self.document is not None and _wants_document(path, environ, has_app=False):
            return Found(DOCUMENT, self.document)
        return Found(NO_FILE, self._not_found_page(path))

    def stand_in(self, path: str, environ: WSGIEnvironment, directories: Container[str] | None) -> Found | Leading:
        """Return what answers a GET or HEAD where ``find`` has found nothing.

        A path with empty segments ("//about") leads to the path without them, if the build has something there.

        Args:
            path: The path in the build.
            environ: The request.
            directories: In front of an application, which gets what no build claims: the directories that builds have
                (``looks_like_asset``). None where there is no application.
        """
        if "//" in path and path[0] == "/" and len(path) <= _LONGEST:
            merged = merge_slashes(path)
            at = self.find(merged, environ) or self.stand_in(merged, environ, directories)
            if isinstance(at, Redirect | Redirected) or (isinstance(at, Found) and at.target is None):
                return at
            return Redirect(merged)
        document = self.document
        has_app = directories is not None
        if document is None or not _wants_document(path, environ, has_app=has_app):
            if "." in path and looks_like_asset(path, directories):
                return _MISSING
            if has_app:
                return _APP
            document = None
        page = self._not_found_page(path) if document is None else document
        if page is None:
            return _NO_FILE
        return Found(NO_FILE if document is None else DOCUMENT, page)

    def shows_page(self, path: str, environ: WSGIEnvironment) -> bool:
        """Tell whether a navigation is shown a page at a path at which another request found nothing."""
        if self.document is not None or self.redirects is None or not self.redirects.rewrites:
            return self.document is not None
        return isinstance(self._ruled(path, environ), Rewritten)

    def allowed(self, path: str, environ: WSGIEnvironment) -> str:
        """Return the methods that are allowed at a path (RFC 9110 section 10.2.1); "" where nothing answers.

        Args:
            path: The path in the build.
            environ: A request of another method than GET and HEAD.
        """
        at = self.find(merge_slashes(path), environ)
        if at is _NO_FILE:
            return ""
        if self.document is not None or at is not None:
            return ALL_METHODS
        return "GET, HEAD" if self._not_found_page(path) is not None else ""

    def _not_found_page(self, path: str) -> Asset | None:
        return not_found(self.index.assets, path) if self.not_found_handling == NOT_FOUND_PAGE else None

    def changes_at(self, path: str, environ: WSGIEnvironment) -> HeaderChanges | None:
        """Return what the rules of ``_headers`` change in the answer at a path; None for nothing."""
        rules = self.header_rules
        if rules is None:
            return None
        if path in self._changes:
            return self._changes[path]
        return rules.for_path(path, environ.get("HTTP_HOST", ""))

    def changes_elsewhere(
        self, path: str, page: Asset, environ: WSGIEnvironment, *, private: bool = False
    ) -> HeaderChanges | None:
        """Return what the rules of ``_headers`` change in the answer with a page at a path that is not its own.

        Args:
            path: The path in the build.
            page: The page.
            environ: The request.
            private: Whether the answer is for one user only.
        """
        if self.header_rules is None:
            return None
        home = page.path
        while isinstance(at := self.routes.get(home), Redirect):
            home = at.path
        changes = (self.changes_at(path, environ), self.changes_at(home, environ))
        return shown_elsewhere(*(each and each.private if private else each for each in changes))

    def preflight(self, path: str, environ: WSGIEnvironment) -> list[HeaderField] | None:
        """Return the headers that answer a preflight of a fingerprinted file at a path; None where there is none."""
        asset = self.index.assets.get(path)
        if "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ or asset is None or not asset.fingerprinted:
            return None
        return preflight_headers(environ, self.kept, self.changes_at(path, environ))

    def prepare(self, asset: Asset) -> None:
        """Prepare the frequent answers with a fingerprinted file if it is in memory and they are the same for all.

        When it is first asked for, and not before: most builds are served by ``VersionAffinity``, which has its own.
        """
        path = asset.path
        if asset.data is not None and not asset.variants and (self.header_rules is None or path in self._changes):
            self.prepared[path] = Prepared(asset, self.kept, self._changes.get(path))


_MISSING: Final = Found(MISSING)
_APP: Final = Found(APP)
_NO_FILE: Final = Found(NO_FILE)


def _wants_document(path: str, environ: WSGIEnvironment, *, has_app: bool) -> bool:
    """Tell whether the document of a single-page application is the answer: to pages, never to what they load."""
    mode, destination = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
    if mode is not None or destination is not None:
        if is_shown_in_tab(environ, mode, destination, path):
            return True
        if mode == "navigate":
            # What a frame of the same origin shows may well be something of the application's own.
            return (
                destination is None
                or (destination in _FRAMES and not has_app)
                or (is_framed_by_other_site(environ, mode, destination) and not is_media(path))
            )
        return mode is None and destination == "document"
    # The client does not tell; "text/html" among what it accepts may ask for any file.
    return not is_media(path) and (not has_app or "text/html" in environ.get("HTTP_ACCEPT", ""))


def _is_page(shown: Asset | Leading | Found) -> bool:
    """Tell whether what a rule shows is HTML, or leads there: HTML files alone are shown elsewhere."""
    return isinstance(shown, Redirect) or (isinstance(shown, Found) and shown.what == DOCUMENT)


def _mount(environ: WSGIEnvironment, path: str) -> str:
    """Return what stands before a path of the build in its URL."""
    whole: str = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return whole.removesuffix(path)
