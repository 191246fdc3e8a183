"""Paths as text: how ``PATH_INFO`` is written in a URL.

A request's path arrives decoded, a character for each byte (PEP 3333). It is looked up as it is. These functions are
for what is sent: the target of a redirect, the URL of a file.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote_from_bytes

# What encodeURIComponent leaves alone (ECMA-262), and the slash. Letters, digits and "_.-~" always stay.
_COMPONENT: Final = "/!~*'()"
#: What browsers leave alone in a path (WHATWG URL section 1.3: the path percent-encode set leaves it out).
BROWSER_SAFE: Final = "/!$&'()*+,:;=@[]|"
_SLASHES: Final = re.compile("/{2,}")


def canonical(path: str) -> str:
    r"""Return a path, as in ``PATH_INFO``, as ``encodeURIComponent`` writes each segment: safe anywhere in a URL.

    >>> canonical("/a b/[slug]"), canonical("/b\xc3\xb2")
    ('/a%20b/%5Bslug%5D', '/b%C3%B2')
    """
    return quote_from_bytes(wire_bytes(path), _COMPONENT)


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
