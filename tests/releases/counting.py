"""An application that answers as it is asked to, for a server process; and load that counts what was answered.

``counting.py PORT BROWSERS`` loads the application until it reads "end". After "pause" no request is under way; "go"
continues. After both "pause" and "end" it prints what it has counted until then, as JSON.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
#: Seconds between two requests of a browser, so that the commands get a part of a small machine too.
_PAUSE = 0.002
_STATUSES = {200: "200 OK", 404: "404 Not Found", 500: "500 Internal Server Error"}
_PAGE = re.compile(rb'src="([^"]+)".*<p>(\w+)$')


def site() -> WSGIApplication:
    """Return a single-page application whose "/api/500" fails, and other numbers likewise."""
    from version_affinity import Releases, VersionAffinity  # noqa: PLC0415 - the load needs none of it

    def api(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status = _STATUSES[int(environ["PATH_INFO"].removeprefix("/api/"))]
        start_response(status, [("X-Version", environ["version_affinity.version"]), ("Content-Length", "0")])
        return []

    return VersionAffinity(api, Releases(), not_found_handling="single-page-application", app_first=["/api/*"])


class Browsers(threading.Thread):
    """One new browser after the other: each loads two pages, the script of its page, what is missing, and data.

    ``counts`` has a key of the worker reports for each answer, and "unanswered".
    """

    def __init__(self, port: int, going: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._going = going
        self.under_way = threading.Lock()
        self.counts = Counter[str]()
        #: How many requests were sent in each tenth of a second since 1970.
        self.times = Counter[int]()
        self._cookie = ""

    def run(self) -> None:
        """Browse for ever."""
        steps = self._steps()
        while True:
            self._going.wait()
            with self.under_way:
                if self._going.is_set():
                    next(steps)
            time.sleep(_PAUSE)

    def _steps(self) -> Iterator[None]:
        """Send one request per step."""
        for number in itertools.count():
            self._cookie = ""
            for path in ("/", "/cart"):
                page = self._ask(path, NAVIGATION)
                yield
            found = _PAGE.search(page)
            if found is None:
                continue
            self._ask(found[1].decode(), FETCH, found[2].decode())
            yield
            self._ask("/assets/gone-AAAAAAAA.js", FETCH)
            yield
            self._ask(f"/api/{(200, 200, 404, 500)[number % 4]}", FETCH)
            yield

    def _ask(self, path: str, headers: dict[str, str], version: str = "") -> bytes:
        """Send a request, and count its answer for a version, by default the one that it names."""
        self.times[int(time.time() * 10)] += 1
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        had_cookie = bool(self._cookie)
        try:
            connection.request("GET", path, headers={**headers, **({"Cookie": self._cookie} if had_cookie else {})})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            self.counts["unanswered"] += 1
            return b""
        finally:
            connection.close()
        given = answer.headers.get("Set-Cookie")
        self._cookie = given.partition(";")[0] if given else self._cookie
        trace = answer.headers.get("X-Version") or answer.headers["Version-Affinity"]
        version = version or trace.partition(";")[0]
        status = f"{answer.status // 100}xx"
        is_page, is_script = headers is NAVIGATION, path.endswith(".js") and answer.status == 200
        kind = "page" if is_page else "asset" if is_script else "subresource"
        self.counts[f"requests|{version}|{kind}|{status}"] += 1
        if path.startswith("/api/"):
            self.counts[f"app|{version}|{status}"] += 1
        elif answer.status == 404:
            self.counts[f"missing|{version}"] += 1
        if is_page and given and not had_cookie:
            self.counts[f"new_keys|{version}"] += 1
        return body


def main(port: int, number: int) -> None:
    """Do what standard input says."""
    going = threading.Event()
    browsers = [Browsers(port, going) for _ in range(number)]
    for browser in browsers:
        browser.start()
    for line in sys.stdin:
        if line == "go\n":
            going.set()
            continue
        going.clear()
        counts, times = Counter[str](), Counter[int]()
        for browser in browsers:
            with browser.under_way:
                counts += browser.counts
                times += browser.times
        sys.stdout.write(f"{json.dumps({'counts': counts, 'times': times})}\n")
        sys.stdout.flush()
        if line == "end\n":
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
