"""The frequent answers with a file that is served by its name, made before anybody asks: the whole of it, 304, a part.

What makes an answer a rare one is left to ``respond`` and ``send``, which give the same answers to all the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .http.ranges import single_range
from .http.response import CONDITIONAL, NOT_MODIFIED, OK, PARTIAL, Response
from .loading.asset import CONTENT_LENGTH
from .sending import VARY_ENCODING, changed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import WSGIEnvironment

    from .loading.asset import Asset, HeaderField
    from .rules.changes import HeaderChanges

    #: What a WSGI application starts and returns: status, headers to keep, body.
    Sent: TypeAlias = "tuple[str, list[HeaderField], Iterable[bytes]]"


class Prepared:
    """A fingerprinted file's frequent answers. Only ``data`` ever changes, and it changes no answer.

    Args:
        asset: The file.
        kept: What any answer with it carries besides what describes it: Cache-Control, and Vary where its form depends
            on the request.
        changes: What the rules of ``_headers`` change in its answers; None for nothing.

    Attributes:
        kept: As given.
        changes: As given.
        last_modified: When it was modified, as an HTTP-date; "" for none.
        headers: Those of a 200 with all of the file.
        not_modified_headers: Those of a 304.
        etag: The entity tag; None where it depends on the encoding, so that nothing is prepared.
        data: The content; None where it is not in memory, or depends on the encoding.
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
        """Return the answer to a GET or HEAD; None where it is a rare one."""
        if not environ.keys().isdisjoint(CONDITIONAL):
            return self.conditional(environ)
        data = self.data
        if data is None:
            return None
        # A list, which some servers send at once.
        return OK, [*self.headers], [] if environ["REQUEST_METHOD"] == "HEAD" else [data]

    def conditional(self, environ: WSGIEnvironment) -> Sent | None:
        """Return the answer where a field of ``CONDITIONAL`` is there: 304, or a part; None where it is a rare one."""
        if "HTTP_IF_MATCH" in environ or "HTTP_IF_UNMODIFIED_SINCE" in environ:
            return None
        etag = self.etag
        known = environ.get("HTTP_IF_NONE_MATCH")
        if known is not None:
            return (NOT_MODIFIED, [*self.not_modified_headers], []) if known == etag else None
        data = self.data
        wanted = environ.get("HTTP_RANGE")
        if (
            data is None
            or wanted is None
            or self.changes is not None
            or environ["REQUEST_METHOD"] != "GET"
            or environ.get("HTTP_IF_RANGE", etag) != etag
            or "HTTP_IF_MODIFIED_SINCE" in environ
        ):
            return None
        size = len(data)
        span = single_range(wanted, size)
        if span is None:
            return None
        start, stop = span
        headers = [*self.headers]
        headers[CONTENT_LENGTH] = ("Content-Length", str(stop - start))
        headers.append(("Content-Range", f"bytes {start}-{stop - 1}/{size}"))
        return PARTIAL, headers, [data[start:stop]]
