"""Requests as a WSGI server hands them over: the environ of a current browser's request, and its cookies."""

from __future__ import annotations

import io
import random
import sys
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: How many visitors take part: the bars hold over at least 10,000 distinct cookies.
VISITORS = 10_000

_COMMON: dict[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "shop.example",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "server/1.0",
    "REMOTE_ADDR": "203.0.113.7",
    "REMOTE_PORT": "51034",
    "RAW_URI": "/",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.input": io.BytesIO(),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.file_wrapper": FileWrapper,
    "HTTP_HOST": "shop.example",
    "HTTP_X_FORWARDED_FOR": "198.51.100.23",
    "HTTP_X_FORWARDED_PROTO": "https",
}
_BROWSER = {
    "HTTP_CONNECTION": "keep-alive",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate, br, zstd",
    "HTTP_ACCEPT_LANGUAGE": "en-GB,en;q=0.9,de;q=0.8",
    "HTTP_SEC_CH_UA": '"Chromium";v="131", "Not_A Brand";v="24"',
    "HTTP_SEC_CH_UA_MOBILE": "?0",
    "HTTP_SEC_CH_UA_PLATFORM": '"Linux"',
}

#: A top-level navigation.
NAVIGATION: dict[str, Any] = {
    **_COMMON,
    **_BROWSER,
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "HTTP_UPGRADE_INSECURE_REQUESTS": "1",
    "HTTP_SEC_FETCH_SITE": "none",
    "HTTP_SEC_FETCH_MODE": "navigate",
    "HTTP_SEC_FETCH_DEST": "document",
    "HTTP_SEC_FETCH_USER": "?1",
}
#: A module script or an image that a page loads.
SUBRESOURCE: dict[str, Any] = {
    **_COMMON,
    **_BROWSER,
    "HTTP_ACCEPT": "*/*",
    "HTTP_ORIGIN": "http://shop.example",
    "HTTP_REFERER": "http://shop.example/",
    "HTTP_SEC_FETCH_SITE": "same-origin",
    "HTTP_SEC_FETCH_MODE": "cors",
    "HTTP_SEC_FETCH_DEST": "script",
}
#: A script's ``fetch`` of the application's API.
FETCH: dict[str, Any] = {**SUBRESOURCE, "HTTP_ACCEPT": "application/json", "HTTP_SEC_FETCH_DEST": "empty"}
#: A client of the API that is not a browser.
CLIENT: dict[str, Any] = {
    **_COMMON,
    "HTTP_USER_AGENT": "client/2.31",
    "HTTP_ACCEPT_ENCODING": "gzip, deflate",
    "HTTP_ACCEPT": "application/json",
}


class Visitors:
    """The cookies of distinct visitors, always the same ones.

    Attributes:
        sessions: Each one's session id.
        buckets: The number in each one's affinity cookie.
    """

    def __init__(self, number: int = VISITORS) -> None:
        draw = random.Random(1)
        self.sessions = [f"{draw.getrandbits(128):032x}" for _ in range(number)]
        self.buckets = [str(draw.getrandbits(20)) for _ in range(number)]
        self._trackers = [f"_ga=GA1.1.{draw.getrandbits(30)}.{draw.getrandbits(30)}" for _ in range(number)]

    def without_key(self) -> Iterator[str]:
        """Yield Cookie fields that carry nothing of ours."""
        for tracker in self._trackers:
            yield f"{tracker}; theme=dark; locale=en-GB"

    def with_key(self) -> Iterator[str]:
        """Yield Cookie fields with a session id, which is the version key."""
        for others, session in zip(self.without_key(), self.sessions, strict=True):
            yield f"{others}; session_id={session}; csrftoken={session[8:24]}"

    def with_pin(self, name: str, versions: Iterable[str]) -> Iterator[str]:
        """Yield Cookie fields with the affinity cookie, pinned to each visitor's version, and no key."""
        for others, bucket, version in zip(self.without_key(), self.buckets, versions, strict=True):
            yield f"{others}; {name}={bucket}.{version}"

    def with_key_and_pin(self, name: str, versions: Iterable[str]) -> Iterator[str]:
        """Yield Cookie fields with both."""
        for others, bucket, version in zip(self.with_key(), self.buckets, versions, strict=True):
            yield f"{others}; {name}={bucket}.{version}"
