"""Where a browser shows a response, by its Fetch Metadata headers (W3C)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.media import is_media

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# The destinations of pages that another page embeds.
_FRAMES: Final = frozenset(("iframe", "frame", "object", "embed"))


def is_shown_in_tab(environ: WSGIEnvironment, mode: str | None, destination: str | None, path: str) -> bool:
    """Return whether a browser shows the response as the page of a tab.

    The destination "empty" is sent by a service worker's ``fetch(event.request)``, and for a download, whose path has
    the extension of a media type other than HTML. Behind a service worker, Firefox sends the mode "same-origin",
    Chromium and WebKit send "navigate" (measured).
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
    """Return whether a page of another site shows the response in a frame."""
    return mode == "navigate" and destination in _FRAMES and environ.get("HTTP_SEC_FETCH_SITE") == "cross-site"
