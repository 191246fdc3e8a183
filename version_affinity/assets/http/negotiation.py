"""Content negotiation: which form of a file a request gets, and whether a browser shows the answer as a page.

By Accept-Encoding (RFC 9110 section 12.5.3), a client gets a file as it is, or a form compressed beforehand: the one
with the highest q-value; among equal q-values, which browsers always send, the smallest one. Fetch Metadata (W3C) say
where a browser shows the answer.
"""

from __future__ import annotations

import re
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from version_affinity.assets.loading.media import is_media
from version_affinity.wire import TOKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed.wsgi import WSGIEnvironment

    from version_affinity.assets.loading.asset import Asset, Representation

#: Characters of an Accept-Encoding field above which it is not read. Browsers send about 25. The bound limits the cost
#: of a hostile field, and the memory of the cache.
LONGEST: Final = 256

# RFC 9110 section 12.4.2.
_MEMBER: Final = re.compile(rf"({TOKEN})(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{{0,3}})?|1(?:\.0{{0,3}})?))?", re.ASCII)
_ALIASES: Final = {"x-gzip": "gzip"}  # RFC 9110 section 8.4.1.3
_IDENTITY: Final = "identity"
_ANY: Final = "*"
# Below every q-value that can be written: a client that names a coding prefers it to the uncompressed form, which stays
# acceptable.
_UNSAID: Final = 0.0005
# The destinations of pages that another page embeds.
_FRAMES: Final = frozenset(("iframe", "frame", "object", "embed"))


def select_representation(asset: Asset, field: str | None) -> Representation:
    """Return the form of a file to send.

    Without an Accept-Encoding field it is the file itself, and also if no form is acceptable: section 12.5.3 permits
    that, and the client may understand the file all the same.
    """
    if not field or len(field) > LONGEST:
        return asset
    weights = parse_accept_encoding(field)
    chosen: Representation = asset
    highest = weights[_IDENTITY]
    other = weights[_ANY]
    for variant in asset.variants:
        weight = weights.get(variant.encoding, other)
        if weight > highest or (weight == highest and weight and variant.size < chosen.size):
            chosen, highest = variant, weight
    return chosen


@lru_cache(maxsize=64)  # browsers send few different fields
def parse_accept_encoding(field: str) -> Mapping[str, float]:
    """Return the q-values of an Accept-Encoding field by coding, always with "identity" and "*" (any other coding).

    A member that breaks the grammar is left out; of several members for one coding the first counts. Callers share the
    value.

    >>> dict(parse_accept_encoding("gzip;q=0.5, BR")), dict(parse_accept_encoding("x-gzip, *;q=0"))
    ({'gzip': 0.5, 'br': 1.0, 'identity': 0.0005, '*': 0.0}, {'gzip': 1.0, '*': 0.0, 'identity': 0.0})
    """
    weights: dict[str, float] = {}
    for member in field.split(","):
        match = _MEMBER.fullmatch(member.strip(" \t"))
        if match is not None:
            coding, weight = match.groups()
            coding = coding.lower()
            weights.setdefault(_ALIASES.get(coding, coding), 1.0 if weight is None else float(weight))
    # An asterisk stands for every coding that is not named, also "identity".
    weights.setdefault(_IDENTITY, weights.get(_ANY, _UNSAID))
    weights.setdefault(_ANY, 0.0)
    return MappingProxyType(weights)


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
