"""Large files handed over to the server in front: it is told a file's name and sends the file itself.

    affinity = VersionAffinity(app, versions, hand_over=XAccelRedirect("/srv/builds"))

What is handed over is a whole file in answer to a plain request, without a range or a condition: those are answered
here. ``XAccelRedirect`` is for nginx, and says how to configure it; ``XSendfile`` is for Apache's mod_xsendfile and
lighttpd. Only turn it on behind such a server: a client that reaches the application directly gets no content.

The front server must send what would have been sent from here. Each changes or loses something, so a response that
would not arrive whole is not handed over, and is sent from here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import quote

from version_affinity.errors import ConfigurationError

from .loading.memory import is_same

if TYPE_CHECKING:
    from .loading.asset import HeaderField, Representation

# Of our body; the front server tells the file's.
_EMPTY: Final = ("Content-Length", "0")

# What nginx keeps of the response that names a file (ngx_http_upstream_headers_in, "redirect").
_NGINX_KEEPS = frozenset(("content-type", "content-disposition", "cache-control", "expires", "set-cookie"))
#: What its configuration adds again.
_NGINX_ADDS: Final = (
    "ETag",
    "Last-Modified",
    "Vary",
    "Content-Encoding",
    "X-Content-Type-Options",
    "Access-Control-Allow-Origin",
    "Version-Affinity",  # how a request was decided
    "Server-Timing",
)

_LOCATION = re.compile(r"/(?:[A-Za-z0-9._~-]+/)+\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\Z")
# Names that every server reads alike: lighttpd decodes percent signs, Apache does not, and neither takes every byte.
_LITERAL = re.compile(r"[A-Za-z0-9/._~+@,=:;!&'()\[\]-]+\Z")
# What nginx's configuration file takes as it is, in quotes.
_QUOTABLE = re.compile(r"""[^"\\$\x00-\x1f\x7f]+\Z""")


class HandOver(Protocol):
    """A way to hand a file over."""

    def __call__(self, file: Representation, headers: Iterable[HeaderField]) -> list[HeaderField] | None:
        """Return the headers of the response that hands a file over, whose status is 200 and whose body is empty.

        Args:
            file: What is to be sent.
            headers: Those of the complete response with status 200.

        Returns:
            The headers; None when this response must be sent from here: the file is no longer the one that was indexed,
            or lies elsewhere, or would not arrive with these headers.
        """


class XAccelRedirect:
    r"""Hands files over to nginx.

    nginx needs a location for them, which ``configuration`` writes. Without it, nginx would send its own ETag, made of
    the size and the time, and neither Vary nor ``nosniff``; and it would let caches keep its 404 of a file that it
    cannot read for a year. A location with an ``add_header`` of its own takes none from around it: what the server adds
    to everything, such as Strict-Transport-Security, must be added here again.

    Args:
        root: The directory that the location stands for; files elsewhere are not handed over. nginx must be able to
            read it.
        location: The path of the location, with "/" at both ends. Nobody can ask for it from outside.
        headers: Names of further response headers, such as those of the build's ``_headers``. A response with a header
            that nginx would lose is not handed over.

    Raises:
        ConfigurationError: the root is no directory, or the location or a name cannot be used.

    >>> print(XAccelRedirect("/", headers=["Referrer-Policy"]).configuration())
    location /protected/ {
        internal;
        alias "/";
        etag off;  # the ETag is ours
        if_modified_since off;  # conditions were looked at already
        gzip off;  # so was the encoding
        add_header ETag $upstream_http_etag;
        add_header Last-Modified $upstream_http_last_modified;
        add_header Vary $upstream_http_vary;
        add_header Content-Encoding $upstream_http_content_encoding;
        add_header X-Content-Type-Options $upstream_http_x_content_type_options;
        add_header Access-Control-Allow-Origin $upstream_http_access_control_allow_origin;
        add_header Version-Affinity $upstream_http_version_affinity;
        add_header Server-Timing $upstream_http_server_timing;
        add_header Referrer-Policy $upstream_http_referrer_policy;
        error_page 403 404 = @not_handed_over;
    }
    location @not_handed_over {
        add_header Cache-Control no-store always;  # no cache keeps what was to be kept for a year
        return 404;
    }
    """

    __slots__ = ("_adds", "_kept", "_root", "location")

    def __init__(
        self, root: str | os.PathLike[str], *, location: str = "/protected/", headers: Iterable[str] = ()
    ) -> None:
        self._root: Final = _directory(root)
        if not _QUOTABLE.match(self._root):
            raise ConfigurationError(f"root={self._root!r} cannot be written into nginx's configuration: name another")
        if not isinstance(location, str) or not _LOCATION.match(location):
            raise ConfigurationError(f"location={location!r} is no path: write one such as '/protected/'")
        names = [None] if isinstance(headers, str) or not isinstance(headers, Iterable) else list(headers)
        if not all(isinstance(name, str) and _TOKEN.match(name) for name in names):
            raise ConfigurationError(f"headers={headers!r} is no list of names: write headers=['Referrer-Policy']")
        #: Where nginx finds the root.
        self.location: Final = location
        added = {name.lower(): name for name in (*_NGINX_ADDS, *map(str, names)) if name.lower() not in _NGINX_KEEPS}
        self._adds: Final = added
        self._kept: Final = frozenset(added) | _NGINX_KEEPS

    def __call__(self, file: Representation, headers: Iterable[HeaderField]) -> list[HeaderField] | None:
        """Return the headers of the response that hands a file over; see ``HandOver``."""
        if not file.file.startswith(self._root) or not is_same(file):
            return None
        left = _without(headers, ("content-length", "accept-ranges"))  # it would add another Accept-Ranges to ours
        names = [name.lower() for name, _ in left]
        # $upstream_http_… has the first of several lines only.
        if not self._kept.issuperset(names) or any(name in self._adds and names.count(name) > 1 for name in names):
            return None
        # nginx decodes it: a name may hold "?", "%" and bytes of any encoding.
        path = quote(os.fsencode(file.file[len(self._root) :]))
        return [*left, _EMPTY, ("X-Accel-Redirect", self.location + path)]

    def configuration(self) -> str:
        """Return the part of nginx's configuration that belongs into the ``server`` block, beside ``proxy_pass``."""
        added = (f"add_header {name} $upstream_http_{low.replace('-', '_')};" for low, name in self._adds.items())
        lines = (
            "internal;",
            f'alias "{self._root}";',
            "etag off;  # the ETag is ours",
            "if_modified_since off;  # conditions were looked at already",
            "gzip off;  # so was the encoding",
            *added,
            "error_page 403 404 = @not_handed_over;",
        )
        return "\n".join(
            (
                f"location {self.location} {{",
                *(f"    {line}" for line in lines),
                "}",
                "location @not_handed_over {",
                "    add_header Cache-Control no-store always;  # no cache keeps what was to be kept for a year",
                "    return 404;",
                "}",
            )
        )


class XSendfile:
    """Hands files over to Apache with mod_xsendfile, or to lighttpd.

    What is not handed over: files whose names need escapes, which the two write differently; compressed ones, because
    Apache drops Content-Encoding; and documents, because both would add a Last-Modified, by which a browser could not
    tell an older build from a newer one.

    Apache: ``XSendFile On`` and ``XSendFilePath /srv/builds``. lighttpd: ``"x-sendfile" => "enable"`` and
    ``"x-sendfile-docroot" => ("/srv/builds")`` at the host in ``proxy.server``.

    Args:
        root: The directory that the server may send files from; files elsewhere are not handed over. The server must be
            able to read it.

    Raises:
        ConfigurationError: the root is no directory.

    >>> XSendfile("/srv/no/builds")
    Traceback (most recent call last):
    version_affinity.errors.ConfigurationError: root='/srv/no/builds' is no directory: name one that holds the builds
    """

    __slots__ = ("_root",)

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root: Final = _directory(root)

    def __call__(self, file: Representation, headers: Iterable[HeaderField]) -> list[HeaderField] | None:
        """Return the headers of the response that hands a file over; see ``HandOver``."""
        if file.encoding or not file.file.startswith(self._root) or not _LITERAL.match(file.file):
            return None
        left = _without(headers, ("content-length",))
        if not any(name.lower() == "last-modified" for name, _ in left) or not is_same(file):
            return None
        return [*left, _EMPTY, ("X-Sendfile", file.file)]


def _without(headers: Iterable[HeaderField], names: tuple[str, ...]) -> list[HeaderField]:
    return [header for header in headers if header[0].lower() not in names]


def _directory(root: str | os.PathLike[str]) -> str:
    """Return a directory's real name with the separator at its end."""
    name = os.fspath(root) if isinstance(root, (str, os.PathLike)) else None
    try:
        if isinstance(name, str) and name and Path(name).is_dir():
            return str(Path(os.path.realpath(name), "_"))[:-1]
    except ValueError:  # a NUL
        pass
    raise ConfigurationError(f"root={root!r} is no directory: name one that holds the builds")
