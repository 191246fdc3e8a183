"""What a browser's Fetch Metadata headers (W3C) say about where it shows an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.media import is_media

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

#: The destinations of what a page embeds as another page.
FRAMES: Final = frozenset(("iframe", "frame", "object", "embed"))


def is_shown_in_tab(environ: WSGIEnvironment, mode: str | None, destination: str | None, path: str) -> bool:
    """Tell whether a browser shows the answer as the page of a tab.

    The destination "empty" is that of a service worker's ``fetch(event.request)``, and of a download. Firefox sends the
    mode "same-origin" for the former, Chromium and WebKit send "navigate" (measured).

    Args:
        environ: The request.
        mode: Its Sec-Fetch-Mode.
        destination: Its Sec-Fetch-Dest.
        path: Its path: a media type's extension other than HTML's tells a download.
    """
    if mode == "navigate":
        return destination == "document" or (destination == "empty" and not is_media(path))
    return (
        mode == "same-origin"
        and destination == "empty"
        and "text/html" in environ.get("HTTP_ACCEPT", "")
        and not is_media(path)
    )


def is_framed_by_other_site(environ: WSGIEnvironment, mode: str | None, destination: str | None) -> bool:
    """Tell whether a page of another site shows the answer in a frame."""
    return mode == "navigate" and destination in FRAMES and environ.get("HTTP_SEC_FETCH_SITE") == "cross-site"
