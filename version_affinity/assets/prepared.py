"""The frequent answers with a fingerprinted file, prepared before a request: all of it, a 304 or a part.

Any other answer is left to ``respond`` and ``send``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .http.conditions import NOT_MODIFIED
from .http.ranges import single_range
from .http.response import OK, PARTIAL, Response
from .loading.asset import CONTENT_LENGTH
from .sending import NO_CONTENT, VARY_ENCODING, changed, preflight_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from .loading.asset import Asset, HeaderField
    from .rules.changes import HeaderChanges
    from .sending import Sent


class Prepared:
    """The frequent answers with a fingerprinted file. Only ``data`` ever changes, and that changes no answer.

    Attributes:
        kept: What each answer carries besides the file's own headers: Cache-Control, and Vary where the file has
            compressed forms.
        changes: What the rules of ``_headers`` change in its answers; None for nothing.
        last_modified: When the file was modified, as an HTTP-date; "" for none.
        headers: The headers of a 200.
        etag: The entity tag; None for a file with compressed forms, of which no answer is prepared.
        data: The content; None where it is not in memory, and for a file with compressed forms.
    """

    __slots__ = ("changes", "data", "etag", "headers", "kept", "last_modified", "not_modified_headers")

    def __init__(self, asset: Asset, kept: tuple[HeaderField, ...], changes: HeaderChanges | None) -> None:
        self.kept = kept
        self.changes = changes
        self.last_modified = asset.last_modified
        headers = [*asset.headers, *kept]
        if self.last_modified:
            headers.append(("Last-Modified", self.last_modified))
        not_modified = [("ETag", asset.etag), *kept]
        # Tuples: the garbage collector does not walk them again and again.
        self.headers = tuple(headers if changes is None else changes.applied_to(headers))
        if changes is not None:
            not_modified = changed(Response(NOT_MODIFIED, not_modified, b""), changes).headers
        self.not_modified_headers = tuple(not_modified)
        self.etag: str | None = None
        self.data: bytes | None = None
        if VARY_ENCODING not in kept:
            self.etag, self.data = asset.etag, asset.data

    def answer(self, environ: WSGIEnvironment) -> Sent | None:
        """Return the answer to a GET, HEAD or preflight; None where none is prepared, and for any other request."""
        method = environ["REQUEST_METHOD"]
        if method != "GET" and method != "HEAD":  # noqa: PLR1714 - faster
            allowing = preflight_headers(environ, self.kept, self.changes)
            return None if allowing is None else (NO_CONTENT, allowing, ())
        data = self.data
        if data is not None and not (
            "HTTP_IF_NONE_MATCH" in environ
            or "HTTP_RANGE" in environ
            or "HTTP_IF_MODIFIED_SINCE" in environ
            or "HTTP_IF_MATCH" in environ
            or "HTTP_IF_UNMODIFIED_SINCE" in environ
        ):
            # A list, which some servers send at once.
            return OK, [*self.headers], [data] if method == "GET" else []
        if "HTTP_IF_MATCH" in environ or "HTTP_IF_UNMODIFIED_SINCE" in environ:
            return None
        known = environ.get("HTTP_IF_NONE_MATCH")
        if known is not None:
            return (NOT_MODIFIED, [*self.not_modified_headers], []) if known == self.etag else None
        wanted = environ.get("HTTP_RANGE")
        if data is None or wanted is None or method == "HEAD" or "HTTP_IF_MODIFIED_SINCE" in environ:
            return None
        return self._part(data, wanted, environ.get("HTTP_IF_RANGE"))

    def _part(self, data: bytes, wanted: str, condition: str | None) -> Sent | None:
        """Return the answer with a single range; None if another answer is right or a rule changes the headers."""
        size = len(data)
        span = single_range(wanted, size)
        if span is None or self.changes is not None or condition not in (None, self.etag):
            return None
        start, stop = span
        headers = [*self.headers]
        headers[CONTENT_LENGTH] = ("Content-Length", str(stop - start))
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        return PARTIAL, headers, [data[start:stop]]
