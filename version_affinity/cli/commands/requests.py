"""A request by hand: a path, cookies and headers, and the kind of client that sends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes, urlsplit

import click

from version_affinity.assets.loading.media import content_type, is_media
from version_affinity.decision.keys import environ_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from _typeshed.wsgi import WSGIEnvironment

PAGE: Final = "page"
SUBRESOURCE: Final = "subresource"
PREFETCH: Final = "prefetch"
SERVICE_WORKER: Final = "service-worker"
FRAME: Final = "frame"
COOKIELESS_FRAME: Final = "cookieless-frame"
CROSS_ORIGIN: Final = "cross-origin"
CURL: Final = "curl"

_NAVIGATION: Final = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}
_FRAMED: Final = {**_NAVIGATION, "Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
# What a browser says of the requests that each kind of client sends (W3C Fetch Metadata).
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {
    PAGE: _NAVIGATION,
    SUBRESOURCE: {"Accept": "*/*", "Sec-Fetch-Site": "same-origin"},
    PREFETCH: {**_NAVIGATION, "Sec-Purpose": "prefetch", "Sec-Fetch-Site": "same-origin"},
    FRAME: {**_FRAMED, "Sec-Fetch-Storage-Access": "none"},
    COOKIELESS_FRAME: _FRAMED,
    CROSS_ORIGIN: {"Accept": "*/*", "Sec-Fetch-Site": "cross-site"},
    SERVICE_WORKER: {
        "Accept": "*/*",
        "Sec-Fetch-Dest": "serviceworker",
        "Sec-Fetch-Mode": "same-origin",
        "Sec-Fetch-Site": "same-origin",
        "Service-Worker": "script",
    },
    CURL: {"Accept": "*/*"},
}
# The destination and mode of what a page loads, by the beginning of its type; anything else is fetched.
_DESTINATIONS: Final = (
    ("text/javascript", "script", "cors"),
    ("text/css", "style", "no-cors"),
    ("image/", "image", "no-cors"),
    ("font/", "font", "cors"),
    ("video/", "video", "no-cors"),
    ("audio/", "audio", "no-cors"),
)
_FETCHED: Final = ("empty", "cors")


def kind_of_path(path: str) -> str:
    """Return what a browser most likely asks for at a path: a page, or something that a page loads.

    >>> kind_of_path("/checkout"), kind_of_path("/assets/index-BX4CeNGm.js")
    ('page', 'subresource')
    """
    return SUBRESOURCE if is_media(path) else PAGE


def environ_of(
    target: str, *, method: str, kind: str | None, cookies: Iterable[str], headers: Iterable[str]
) -> tuple[WSGIEnvironment, str]:
    """Return a request as a WSGI server passes it on, and the kind of client that sends it.

    Args:
        target: The path, with its query if it has one; or a URL.
        method: The method.
        kind: One of ``HEADERS``; None as the path suggests.
        cookies: Cookies, "name=value" each.
        headers: Header lines, "Name: value" each. They replace those that the kind of client sends.

    Raises:
        click.UsageError: one of these is none.

    >>> environ, kind = environ_of("/caf%C3%A9?x=1", method="GET", kind=None, cookies=["a=1", "b=2"], headers=[])
    >>> environ["QUERY_STRING"], environ["HTTP_COOKIE"], environ["HTTP_SEC_FETCH_DEST"], kind
    ('x=1', 'a=1; b=2', 'document', 'page')
    """
    # "//a/b" is a path here, as it is in a request, and no host.
    url = urlsplit(f"//localhost{target}" if target.startswith("/") else target)
    if not url.path.startswith("/"):
        raise click.UsageError(f"{target!r} is no path: write it from the host on, such as /checkout, or a whole URL")
    chosen = kind or kind_of_path(url.path)
    sent = dict(HEADERS[chosen])
    if chosen in (SUBRESOURCE, CROSS_ORIGIN):
        sent["Sec-Fetch-Dest"], sent["Sec-Fetch-Mode"] = _destination(url.path)
    given = [_header(line) for line in headers]
    replaced = {environ_key(name) for name, _ in given}
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": method.upper(),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "REQUEST_URI": f"{url.path}?{url.query}" if url.query else url.path,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": url.netloc or "localhost",
        "wsgi.url_scheme": url.scheme or "http",
    }
    environ.update({environ_key(name): value for name, value in sent.items() if environ_key(name) not in replaced})
    for name, value in given:
        key = environ_key(name)
        environ[key] = f"{environ[key]}, {value}" if key in environ and key in replaced else value
    pairs = [_cookie(cookie) for cookie in cookies]
    if pairs:
        environ["HTTP_COOKIE"] = "; ".join(filter(None, [environ.get("HTTP_COOKIE", ""), *pairs]))
    return environ, chosen


def _destination(path: str) -> tuple[str, str]:
    kind = content_type(path)
    return next(((dest, mode) for start, dest, mode in _DESTINATIONS if kind.startswith(start)), _FETCHED)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or set(name.strip()) & set(" \t\r\n"):
        raise click.UsageError(f"{line!r} is no header: write 'Name: value'")
    return name.strip(), _on_the_wire(value.strip())


def _cookie(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    if not equals or not name.strip():
        raise click.UsageError(f"{pair!r} is no cookie: write name=value")
    return _on_the_wire(pair.strip())


def _on_the_wire(text: str) -> str:
    """Return header text as a WSGI server decodes it: its bytes as latin-1."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
