"""One build as it is served: its files, the paths that lead to them, and its rules. No I/O after loading.

A path is looked up in two steps: ``find`` returns what the build has at the path, and ``stand_in`` returns what answers
if the build has nothing there. Between the two, the caller may find the file elsewhere.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from version_affinity.errors import ConfigurationError
from version_affinity.wire import merge_slashes

from .http.negotiation import is_framed_by_other_site, is_shown_in_tab
from .http.response import IMMUTABLE
from .loading.asset import Asset
from .loading.fingerprint import looks_like_asset
from .loading.media import is_media
from .routing import Redirect, not_found, routes
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
from .rules.headers import HeaderRules, Protection, parse_headers
from .rules.redirects import REWRITE, Redirected, RedirectRules, Rewritten, parse_redirects
from .sending import ALL_METHODS, ALLOW_ALL_ORIGINS, NOT_FOUND, Prepared, preflight_headers

if TYPE_CHECKING:
    from collections.abc import Container, Hashable, Iterator

    from _typeshed.wsgi import WSGIEnvironment

    from .loading.asset import HeaderField
    from .loading.index import Index
    from .routing import HtmlHandling, NotFoundHandling
    from .rules.changes import HeaderChanges

logger = logging.getLogger("version_affinity")

#: What answers at a path.
FILE: Final = "file"
REDIRECT: Final = "redirect"
#: An HTML file at a path that is not its own: of a single-page application, or by a rule.
DOCUMENT: Final = "single-page document"
MISSING: Final = "missing asset"
APP: Final = "wrapped application"
NO_FILE: Final = "not found"
#: A page in place of a build that does not exist yet.
NOT_BUILT: Final = "placeholder"
#: The status of a page that is not what was requested.
STAND_IN_STATUS: Final = {NO_FILE: NOT_FOUND, NOT_BUILT: "503 Service Unavailable"}

SINGLE_PAGE: Final = "single-page-application"
NOT_FOUND_PAGE: Final = "404-page"

#: A redirect to another path of the build, or to the target of a rule.
Leading: TypeAlias = "Redirect | Redirected"

_LONGEST: Final = 2_000  # characters of a path whose empty segments are removed
# "object" and "embed" are left out: they show media too.
_FRAMES: Final = frozenset(("iframe", "frame"))


class Found(NamedTuple):
    """What answers at a path, with the file or redirect if it is one."""

    what: str
    target: Asset | Leading | None = None


#: What a build has at a path: a file, a redirect, or what a rule shows there; None for nothing.
At: TypeAlias = "Asset | Leading | Found | None"


class Build:
    """One build. Immutable, except for ``prepared``: by path, the prepared answers with fingerprinted files.

    ``reported`` are warnings that were logged before, for an earlier state of the directory; ``reports`` are all of
    this state. ``ConfigurationError``: a single-page application has no /index.html.
    """

    def __init__(
        self,
        index: Index,
        html_handling: HtmlHandling,
        not_found_handling: NotFoundHandling,
        *,
        allow_all_origins: bool = False,
        reported: Container[str] = (),
    ) -> None:
        headers_text = read_rules(index.directory, HEADERS_FILE)
        protection = Protection(headers_text)
        self.protection: Final[Protection | None] = protection or None
        withheld: set[str] = set()
        if protection:
            withheld.update(routes(index.assets, html_handling))
            index = index.without(protection.files(index.assets))
        self.index: Final = index
        # Of each fingerprinted file, besides the file's own headers.
        self.kept: Final[tuple[HeaderField, ...]] = (
            (IMMUTABLE, ALLOW_ALL_ORIGINS) if allow_all_origins else (IMMUTABLE,)
        )
        self.not_found_handling: Final = not_found_handling
        page = index.placeholder or index.assets.get("/index.html")
        self.document: Final = page if not_found_handling == SINGLE_PAGE else None
        self._shown: Final = DOCUMENT if index.placeholder is None else NOT_BUILT
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
        #: Whether a navigation may get a page at a path where another request finds nothing.
        self.may_show_pages: Final = self.document is not None or bool(redirects and redirects.rewrites)
        # The routes that no rule changes. A fingerprinted file is served regardless of rules: no page may miss it.
        self.direct: Final = (
            {
                path: answer
                for path, answer in self.routes.items()
                if (isinstance(answer, Asset) and answer.fingerprinted) or redirects.match(path) is None
            }
            if redirects
            else self.routes
        )
        # The same for each request, unless a rule names hosts.
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
            about_lines(index.directory, REDIRECTS_FILE, "redirect despite status 200", self._leading_on()),
            about_lines(index.directory, HEADERS_FILE, "not used", (*header_rules.invalid, *header_rules.idle)),
            about_lines(index.directory, HEADERS_FILE, "not implemented", protection.lines),
        )
        self.reports: Final = tuple(filter(None, reports))
        for report in self.reports:
            if report not in reported:
                logger.warning("%s", report)

    def _leading_on(self) -> Iterator[InvalidLine]:
        """Yield the rules that should show a file and redirect instead, to the path at which the file is shown."""
        for line, path in self.redirects.shown() if self.redirects else ():
            home = self.routes.get(path)
            if isinstance(home, Redirect):
                yield InvalidLine(line, "leads_on", f"{path!r} is shown at {home.path!r}: write {home.path!r} instead")

    def is_protected(self, path: str) -> bool:
        """Return whether a path is answered with 404 because ``Basic-Auth`` protects it or another path of its file."""
        return self.protection is not None and (path in self._withheld or self.protection.covers(path))

    def why_not_served(self, path: str) -> str:
        """Return why a path below the mount has no file although the directory holds one there; "" for no reason."""
        if self.is_protected(path):
            return "Basic-Auth in _headers protects it, which is not implemented"
        return self.index.why_not_served(path)

    def has_changed_rules(self) -> bool:
        """Return whether a rule file has changed since this build was loaded."""
        return stamps(self.index.directory) != self._stamps

    def find(self, path: str, environ: WSGIEnvironment) -> At:
        """Return what this build has at a path, as in ``PATH_INFO``; "" for the mount without its slash."""
        answer = self.direct.get(path)
        if answer is not None or (path and self.redirects is None and self.protection is None):
            return answer
        if self.is_protected(path):
            return _NO_FILE
        if not path:
            # The mount without its slash: relative references in a page at "/app" would miss "/app/".
            return Redirect("/") if "/" in self.routes or self.document is not None else None
        ruled = self._ruled(path, environ)
        if isinstance(ruled, Redirected):
            return ruled
        if isinstance(ruled, Rewritten):
            shown = self._rewritten(ruled.path, environ)
            # HTML is not shown in place of a file that a page loads.
            shows_html = isinstance(shown, Redirect) or (isinstance(shown, Found) and shown.what == DOCUMENT)
            if not shows_html or (wants_document(path, environ, has_app=False) and not looks_like_asset(path)):
                return shown
        return self.routes.get(path)

    def redirect_key(self) -> Hashable:
        """Return a value that is equal for builds whose ``_redirects`` claim the same requests.

        The rules are the same then, and so is which rewrites show a page: a page is not shown to all requests.
        """
        rules = self.redirects
        if rules is None:
            return None
        shown = [self.routes.get(path) for _, path in rules.shown()]
        if sum(rule.status == REWRITE for rule in rules.rules) > len(shown):
            return self.index.directory  # the request says which file is shown
        return rules.rules, tuple(at is not None and (not isinstance(at, Asset) or at.is_html) for at in shown)

    def _ruled(self, path: str, environ: WSGIEnvironment) -> Redirected | Rewritten | None:
        """Return what the rules of ``_redirects`` say of a path."""
        if self.redirects is None:
            return None
        host, query = environ.get("HTTP_HOST", ""), environ.get("QUERY_STRING", "")
        mount = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).removesuffix(path)
        return self.redirects.match(path, query, host=host, mount=mount)

    def _rewritten(self, path: str, environ: WSGIEnvironment) -> Asset | Leading | Found:
        """Return what answers at the path that a rule rewrites a request to: always something of the build."""
        answer = self.routes.get(path)
        if answer is not None:
            return Found(DOCUMENT if answer.is_html else FILE, answer) if isinstance(answer, Asset) else answer
        if self.document is not None and wants_document(path, environ, has_app=False):
            return Found(DOCUMENT, self.document)
        return Found(NO_FILE, self._not_found_page(path))

    def stand_in(self, path: str, environ: WSGIEnvironment, directories: Container[str] | None) -> Found | Leading:
        """Return what answers a GET or HEAD where ``find`` returns None.

        A path with empty segments ("//about") redirects to the path without them, if the build has something there.
        ``directories`` are those of all builds, for ``looks_like_asset``; None without a wrapped application.
        """
        if "//" in path and (merged := _merged(path)) != path:
            at = self.find(merged, environ) or self.stand_in(merged, environ, directories)
            if isinstance(at, Redirect | Redirected) or (isinstance(at, Found) and at.target is None):
                return at
            return Redirect(merged)
        has_app = directories is not None
        document = self.document if has_app else self.document or self.index.placeholder
        if document is None or not wants_document(path, environ, has_app=has_app):
            if "." in path and looks_like_asset(path, directories):
                return _MISSING
            if has_app:
                return _APP
            document = None
        page = self._not_found_page(path) if document is None else document
        if page is None:
            return _NO_FILE
        return Found(NO_FILE if document is None else self._shown, page)

    def shows_page(self, path: str, environ: WSGIEnvironment) -> bool:
        """Return whether a navigation gets a page at a path where another request found nothing."""
        return self.document is not None or isinstance(self._ruled(path, environ), Rewritten)

    def allowed(self, path: str, environ: WSGIEnvironment) -> str:
        """Return the methods that are allowed at a path (RFC 9110 section 10.2.1); "" where nothing answers a GET."""
        at = self.find(_merged(path), environ)
        if at is _NO_FILE:
            return ""
        if self.document is not None or at is not None:
            return ALL_METHODS
        return "GET, HEAD" if self._not_found_page(path) is not None else ""

    def _not_found_page(self, path: str) -> Asset | None:
        return not_found(self.index.assets, path) if self.not_found_handling == NOT_FOUND_PAGE else None

    def changes_at(self, path: str, environ: WSGIEnvironment) -> HeaderChanges | None:
        """Return the changes that the rules of ``_headers`` make to the answer at a path; None for none."""
        rules = self.header_rules
        if rules is None:
            return None
        if path in self._changes:
            return self._changes[path]
        return rules.for_path(path, environ.get("HTTP_HOST", ""))

    def changes_elsewhere(
        self, path: str, page: Asset, environ: WSGIEnvironment, *, private: bool = False
    ) -> HeaderChanges | None:
        """Return the changes for a page at a path that is not its own; ``private``: the answer is for one user."""
        if self.header_rules is None:
            return None
        home = page.path
        while isinstance(at := self.routes.get(home), Redirect):
            home = at.path
        changes = (self.changes_at(path, environ), self.changes_at(home, environ))
        return shown_elsewhere(*(each and each.private if private else each for each in changes))

    def preflight(self, path: str, environ: WSGIEnvironment) -> list[HeaderField] | None:
        """Return the headers that answer a preflight of a fingerprinted file; None where the path has none."""
        asset = self.index.assets.get(path)
        if "HTTP_ACCESS_CONTROL_REQUEST_METHOD" not in environ or asset is None or not asset.fingerprinted:
            return None
        return preflight_headers(environ, self.kept, self.changes_at(path, environ))

    def prepare(self, asset: Asset) -> None:
        """Prepare the answers with a fingerprinted file, if it is in memory and they are the same for all requests.

        Called on the first request for the file: ``VersionAffinity`` has its own (``NamedFile``).
        """
        path = asset.path
        if asset.data is not None and not asset.variants and (self.header_rules is None or path in self._changes):
            self.prepared[path] = Prepared(asset, self.kept, self._changes.get(path))


# Made once.
_NO_FILE: Final = Found(NO_FILE)
_MISSING: Final = Found(MISSING)
_APP: Final = Found(APP)


def wants_document(path: str, environ: WSGIEnvironment, *, has_app: bool) -> bool:
    """Return whether the document of a single-page application is the answer: for pages, never for what they load."""
    mode, destination = environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST")
    if mode is not None or destination is not None:
        if is_shown_in_tab(environ, mode, destination, path):
            return True
        if mode == "navigate":
            # A frame of the same origin may show a page of the application.
            return (
                destination is None
                or (destination in _FRAMES and not has_app)
                or (is_framed_by_other_site(environ, mode, destination) and not is_media(path))
            )
        return mode is None and destination == "document"
    # A client without Fetch Metadata. One that accepts "text/html" may ask for any file.
    return not is_media(path) and (not has_app or "text/html" in environ.get("HTTP_ACCEPT", ""))


def _merged(path: str) -> str:
    """Return a path without empty segments; a very long one, and one without a leading slash, as it is."""
    return merge_slashes(path) if path[:1] == "/" and len(path) <= _LONGEST else path
