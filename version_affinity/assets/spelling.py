"""How a client spelt the path of its request: ``PATH_INFO`` arrives decoded, and "/%61" and "/a" look alike in it.

Servers give the undecoded target too, though PEP 3333 does not ask for it: waitress, uWSGI and mod_wsgi as
``REQUEST_URI``, gunicorn as ``RAW_URI``, Werkzeug's as both; granian and wsgiref give neither. It is read as browsers
read a URL (WHATWG URL), and left alone where it is not the request's path: a middleware may have rewritten the path,
and a proxy may have respelt it. Pure but for the environ; nothing here raises, whatever bytes arrive.

Every path has one canonical spelling: each segment as ``encodeURIComponent`` writes it (ECMA-262).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# What encodeURIComponent leaves alone (ECMA-262), and the slash: one spelling for each path, on every server.
_PATH_SAFE: Final = "/-_.!~*'()"
# All but a URL's path percent-encode set (WHATWG URL section 1.3), and the percent sign of what is encoded already.
_URL_SAFE: Final = "/%!$&'()*+,-.:;=@[\\]^_|~"
_SAFE: Final = re.compile(r"[\w/.!~*'()-]*", re.ASCII)
_SLASHES: Final = re.compile("/{2,}")
# RFC 9112 section 3.2.2: what stands before the path in absolute form.
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")
_MALFORMED: Final = re.compile("%(?![0-9A-Fa-f]{2})")
# What canonical() encodes though a path may hold it (RFC 3986 section 3.3) or browsers leave it alone (WHATWG URL).
_RAW: Final = re.compile(r"[$&+,:;=@\[\]^|]")
# RFC 9110 section 7.6.3, RFC 7239, and what proxies used before it.
_FORWARDED: Final = (
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REAL_IP",
    "HTTP_FORWARDED",
    "HTTP_VIA",
)
# What nginx before 1.30 speaks to the server behind it unless told otherwise, and no browser to anybody.
_BEHIND: Final = "HTTP/1.0"


def is_escaped(environ: WSGIEnvironment) -> bool:
    """Tell at little cost whether the request's path is known to hold a percent sign: without one, nothing was encoded.

    >>> is_escaped({"RAW_URI": "/%61bout"}), is_escaped({"RAW_URI": "/about?page=%32"}), is_escaped({})
    (True, False, False)
    """
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI") or ""
    return "%" in target and "%" in target.partition("?")[0]


def spelling(environ: WSGIEnvironment, path: str) -> str | None:
    """Return how the client spelt a path; None where that is not known.

    It is not known where the server does not tell, where a middleware has rewritten the path, and behind a proxy: many
    decode a path and encode it in their own way (Apache's mod_proxy without ``nocanon``, nginx's ``proxy_pass`` with a
    path, and be it "/"), so that a redirect to another spelling would never end. A proxy shows in the fields that it
    adds, or in its HTTP/1.0; one that adds nothing and speaks HTTP/1.1 does not show.

    Args:
        environ: The request; only what it tells of its path is looked at.
        path: The end of ``SCRIPT_NAME`` and ``PATH_INFO`` that is meant: what follows the mount of the files.

    >>> spelling({"RAW_URI": "/app/%61bout?page=%32", "SCRIPT_NAME": "/app", "PATH_INFO": "/about"}, "/about")
    '/%61bout'
    >>> spelling({"RAW_URI": "/elsewhere", "SCRIPT_NAME": "", "PATH_INFO": "/about"}, "/about") is None
    True
    """
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI")
    if not target:
        return None
    target = target.partition("#")[0].partition("?")[0]
    if not target.startswith("/"):
        target = _ORIGIN.sub("", target, count=1)
    whole = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    if not path or not whole.endswith(path) or _is_proxied(environ):
        return None
    mount = whole[: -len(path)]
    spelt = target
    if mount:
        # The mount may be spelt in any way too; its slashes tell where it ends.
        parts = target.split("/", mount.count("/") + 1)
        spelt = f"/{parts.pop()}"
        if _decoded("/".join(parts)) != wire_bytes(mount):
            return None
    # Some servers merge slashes in PATH_INFO (waitress the first ones, Apache all).
    if _merged(_decoded(spelt)) != _merged(wire_bytes(path)):
        return None
    if _SAFE.fullmatch(spelt):
        return spelt
    # A browser encodes what a URL may not hold, and takes a backslash for a slash.
    return quote_from_bytes(wire_bytes(spelt), _URL_SAFE).replace("\\", "/")


def canonical(path: str) -> str:
    r"""Return the one spelling of a path, as in ``PATH_INFO``, that no redirect leads away from.

    >>> canonical("/a b/[slug]"), canonical("/b\xc3\xb2")
    ('/a%20b/%5Bslug%5D', '/b%C3%B2')
    """
    return path if _SAFE.fullmatch(path) else quote_from_bytes(wire_bytes(path), _PATH_SAFE)


def is_plain(path: str) -> bool:
    """Tell whether a path is its own canonical spelling.

    >>> is_plain("/about"), is_plain("/a b")
    (True, False)
    """
    return _SAFE.fullmatch(path) is not None


def is_as_sent(path: str, spelt: str) -> bool:
    """Tell whether a spelling is the canonical one but for characters that browsers leave alone, "@" and "+" say.

    A proxy writes those as it likes, on each request anew: where nothing depends on them, they are left as they came.

    Args:
        path: As in ``PATH_INFO``.
        spelt: Its ``spelling``.

    >>> is_as_sent("/@alice", "/@alice"), is_as_sent("/@alice", "/%40alice"), is_as_sent("/@alice", "/@%61lice")
    (True, True, False)
    """
    return _RAW.sub(lambda raw: f"%{ord(raw[0]):02X}", spelt) == canonical(path)


def readings(path: str, spelt: str | None) -> tuple[str, ...]:
    r"""Return the paths that a request may mean, as in ``PATH_INFO``, the likeliest first.

    First the path byte by byte, where a file's name may be no UTF-8 at all. Then as a browser's URL is read: a segment
    that is no percent-encoded UTF-8 stands for itself, and several slashes in a row for one.

    Args:
        path: As in ``PATH_INFO``.
        spelt: Its ``spelling``.

    >>> readings("/docs//a b", "/docs//a%20b"), readings("/A%.txt", "/%41%.txt"), readings("/about", None)
    (('/docs//a b', '/docs/a b'), ('/A%.txt', '/%41%.txt'), ('/about',))
    """
    if spelt is None:
        first = second = path
    else:
        first = _decoded(spelt).decode("latin-1")
        second = first if _is_utf8(spelt) else "/".join(map(_segment, spelt.split("/")))
    second = merge_slashes(second)
    return (first,) if first == second else (first, second)


def merge_slashes(path: str) -> str:
    """Return a path without empty segments.

    >>> merge_slashes("//docs///page")
    '/docs/page'
    """
    return _SLASHES.sub("/", path)


def wire_bytes(text: str) -> bytes:
    """Return the bytes that WSGI text stands for; text that no server makes does not raise."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _is_proxied(environ: WSGIEnvironment) -> bool:
    return not environ.keys().isdisjoint(_FORWARDED) or environ.get("SERVER_PROTOCOL") == _BEHIND


def _decoded(spelt: str) -> bytes:
    return unquote_to_bytes(wire_bytes(spelt))


def _merged(path: bytes) -> str:
    return merge_slashes(path.decode("latin-1"))


def _is_utf8(spelt: str) -> bool:
    """Tell whether decodeURIComponent takes a spelling (ECMA-262)."""
    if _MALFORMED.search(spelt):
        return False
    try:
        _decoded(spelt).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _segment(spelt: str) -> str:
    return _decoded(spelt).decode("latin-1") if _is_utf8(spelt) else spelt
