"""Hand large files over to the server in front: the response names a file, and that server sends it.

    affinity = VersionAffinity(app, versions, hand_over=XAccelRedirect("/srv/builds"))

Only a whole file in answer to a request without a range or a condition is handed over. ``XAccelRedirect`` is for nginx,
``XSendfile`` for Apache's mod_xsendfile and lighttpd. Use them only behind such a server: a client that reaches the
application directly gets no content.

Each of these servers changes or loses some headers. A response that would not arrive as it is here is not handed over.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import quote

from version_affinity.errors import ConfigurationError

from .loading.memory import is_same
from .loading.tree import is_directory
from .rules.changes import without

if TYPE_CHECKING:
    from .loading.asset import HeaderField, Representation

    #: Returns the headers of the response that hands a file over: a 200 with an empty body. None if this response must
    #: be sent from here: the file is not the one that was indexed, or lies elsewhere, or would not arrive with these
    #: headers.
    HandOver: TypeAlias = "Callable[[Representation, Iterable[HeaderField]], list[HeaderField] | None]"

# The length of our body: the front server adds that of the file.
_EMPTY: Final = ("Content-Length", "0")

# The headers that nginx keeps of the response that names a file (ngx_http_upstream_headers_in, "redirect").
_NGINX_KEEPS = frozenset(("content-type", "content-disposition", "cache-control", "expires", "set-cookie"))
# The headers that ``configuration`` adds again.
_NGINX_ADDS: Final = (
    "ETag",
    "Last-Modified",
    "Vary",
    "Content-Encoding",
    "X-Content-Type-Options",
    "Access-Control-Allow-Origin",
    "Version-Affinity",
    "Server-Timing",
)

_CONFIGURATION: Final = """\
location {location} {{
    internal;
    alias "{root}";
    etag off;  # the ETag is ours
    if_modified_since off;  # conditions were looked at already
    gzip off;  # so was the encoding
{added}
    error_page 403 404 = @not_handed_over;
}}
location @not_handed_over {{
    add_header Cache-Control no-store always;  # no cache keeps what was to be kept for a year
    return 404;
}}"""

_LOCATION = re.compile(r"/(?:[A-Za-z0-9._~-]+/)+\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\Z")
# Names that both servers read alike: lighttpd decodes percent signs, Apache does not, and neither takes every byte.
_LITERAL = re.compile(r"[A-Za-z0-9/._~+@,=:;!&'()\[\]-]+\Z")
# Needs no escapes in quotes in nginx's configuration.
_QUOTABLE = re.compile(r"""[^"\\$\x00-\x1f\x7f]+\Z""")


class XAccelRedirect:
    """Hands files over to nginx.

    nginx needs an internal location for the files, which ``configuration`` prints. Without it, nginx would send an ETag
    of its own and neither Vary nor ``nosniff``, and caches could keep its 404 for a file that it cannot read for a
    year. A location with an ``add_header`` of its own inherits none: headers that the server adds to everything, such
    as Strict-Transport-Security, must be added here again.

    Args:
        root: The directory that the location stands for. Other files are not handed over. nginx must be able to read
            it.
        location: The path of the location, with "/" at both ends. Clients cannot request it.
        headers: Names of further response headers, such as those of ``_headers``. A response with a header that nginx
            would lose is not handed over.

    Raises:
        ConfigurationError: The root is not a directory, or the location or a name cannot be used.

    >>> print(XAccelRedirect("/", headers=["Referrer-Policy"]).configuration())  # doctest: +ELLIPSIS
    location /protected/ {
        internal;
        alias "/";
        ...
        add_header Referrer-Policy $upstream_http_referrer_policy;
        error_page 403 404 = @not_handed_over;
    }
    ...
    """

    __slots__ = ("_adds", "_kept", "_root", "location")

    def __init__(
        self, root: str | os.PathLike[str], *, location: str = "/protected/", headers: Iterable[str] = ()
    ) -> None:
        self._root: Final = _directory(root)
        if not _QUOTABLE.match(self._root):
            raise ConfigurationError(f"root={self._root!r} cannot be written into nginx's configuration: name another")
        if not isinstance(location, str) or not _LOCATION.match(location):
            raise ConfigurationError(f"location={location!r} is not a path: write one such as '/protected/'")
        names = [None] if isinstance(headers, str) or not isinstance(headers, Iterable) else list(headers)
        if not all(isinstance(name, str) and _TOKEN.match(name) for name in names):
            raise ConfigurationError(f"headers={headers!r} is not a list of names: write headers=['Referrer-Policy']")
        self.location: Final = location
        added = {name.lower(): name for name in (*_NGINX_ADDS, *map(str, names)) if name.lower() not in _NGINX_KEEPS}
        self._adds: Final = added
        self._kept: Final = frozenset(added) | _NGINX_KEEPS

    def __call__(self, file: Representation, headers: Iterable[HeaderField]) -> list[HeaderField] | None:
        """Return the headers of a response that hands a file over, as ``HandOver``."""
        if not file.file.startswith(self._root) or not is_same(file):
            return None
        left = without(headers, ("content-length", "accept-ranges"))  # nginx adds an Accept-Ranges of its own
        names = [name.lower() for name, _ in left]
        # $upstream_http_… has the first of several lines only.
        if not self._kept.issuperset(names) or any(name in self._adds and names.count(name) > 1 for name in names):
            return None
        # nginx decodes it: a name may have "?", "%" and bytes of any encoding.
        path = quote(os.fsencode(file.file[len(self._root) :]))
        return [*left, _EMPTY, ("X-Accel-Redirect", self.location + path)]

    def configuration(self) -> str:
        """Return the locations for nginx's ``server`` block, beside ``proxy_pass``."""
        added = (f"    add_header {name} $upstream_http_{low.replace('-', '_')};" for low, name in self._adds.items())
        return _CONFIGURATION.format(location=self.location, root=self._root, added="\n".join(added))


class XSendfile:
    """Hands files over to Apache with mod_xsendfile, or to lighttpd.

    Not handed over are: files whose names need escapes, which the two write differently; compressed files, because
    Apache drops Content-Encoding; and documents, because both servers add a Last-Modified, which does not tell one
    build's document from another's.

    Apache: ``XSendFile On`` and ``XSendFilePath /srv/builds``. lighttpd: ``"x-sendfile" => "enable"`` and
    ``"x-sendfile-docroot" => ("/srv/builds")`` at the host in ``proxy.server``.

    Args:
        root: The directory that the server may send files from. Other files are not handed over. The server must be
            able to read it.

    Raises:
        ConfigurationError: The root is not a directory.

    >>> XSendfile("/srv/no/builds")
    Traceback (most recent call last):
    version_affinity.errors.ConfigurationError: root='/srv/no/builds' is not a directory: name one that holds the builds
    """

    __slots__ = ("_root",)

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root: Final = _directory(root)

    def __call__(self, file: Representation, headers: Iterable[HeaderField]) -> list[HeaderField] | None:
        """Return the headers of a response that hands a file over, as ``HandOver``."""
        if file.encoding or not file.file.startswith(self._root) or not _LITERAL.match(file.file):
            return None
        left = without(headers, ("content-length",))
        if not any(name.lower() == "last-modified" for name, _ in left) or not is_same(file):
            return None
        return [*left, _EMPTY, ("X-Sendfile", file.file)]


def _directory(root: str | os.PathLike[str]) -> str:
    """Return a directory's real path with a separator at its end, or raise ``ConfigurationError``."""
    name = os.fspath(root) if isinstance(root, (str, os.PathLike)) else None
    if isinstance(name, str) and is_directory(name):
        return str(Path(os.path.realpath(name), "_"))[:-1]
    raise ConfigurationError(f"root={root!r} is not a directory: name one that holds the builds")
