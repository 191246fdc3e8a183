"""Load on a site from a process of its own: browsers that load pages and their files until standard input ends.

Prints, as JSON, how many pages and files it has loaded, and what was answered with something
else than 200, or with a file of another version than the page's.
"""

from __future__ import annotations

import http.client
import json
import re
import sys
import threading
from collections import Counter

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "script", "Sec-Fetch-Site": "same-origin"}
_REFERENCE = re.compile(rb'(?:src|href)="([^"]+)"')
#: A file without a fingerprint, of other bytes in every version; each names its version, as the page does at its end.
_OWN = "/logo.svg"
_PAGE = re.compile(rb"page of (\w+)$")


class Browser:
    """One user's browser: it keeps its cookie, or has none, and loads what its page names."""

    def __init__(self, port: int, user: int) -> None:
        self._port = port
        # Some are known to the application, some to their browser alone.
        self._user = f"user={user}" if user % 2 else ""
        self._cookie = ""

    def is_pinned(self, version: str) -> bool:
        """Tell whether its cookie says that it has loaded a page of this version last."""
        return self._cookie.endswith(f".{version}")

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        """Return status and body of a path; status 0 where there was no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        cookies = "; ".join(filter(None, (self._user, self._cookie)))
        try:
            connection.request("GET", path, headers={**headers, **({"Cookie": cookies} if cookies else {})})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error).encode()
        finally:
            connection.close()
        given = answer.headers.get("Set-Cookie")
        if given:
            self._cookie = given.partition(";")[0]
        return answer.status, body


def browse(port: int, number: int, ended: threading.Event, counts: Counter[str], failed: list[str]) -> None:
    """Load pages, and every file that each names, again and again; and now and then a file in a tab left open."""
    user = number
    tabs: set[str] = set()

    def ask(path: str, headers: dict[str, str]) -> bytes:
        status, body = browser.ask(path, headers)
        if status != 200:
            failed.append(f"{path} {status} {body!r}")
        return body if status == 200 else b""

    while not ended.is_set():
        browser = Browser(port, user)
        for _ in range(3):
            page = ask("/", NAVIGATION)
            counts["pages"] += 1
            version = _PAGE.search(page)
            if version is not None and browser.is_pinned(version[1].decode()):
                counts["pinned"] += 1
                own = ask(_OWN, SCRIPT)
                if own and version[1] not in own:
                    failed.append(f"{_OWN} of another version than the page's: {version[1]!r} {own!r}")
            tabs |= {path.decode() for path in _REFERENCE.findall(page)}
            for path in tabs:
                counts["files"] += 1
                ask(path, SCRIPT)
        user += 100


def main(port: int, browsers: int) -> None:
    """Browse until standard input ends."""
    ended, counts, failed = threading.Event(), Counter[str](), list[str]()
    threads = [threading.Thread(target=browse, args=(port, n, ended, counts, failed)) for n in range(browsers)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)  # noqa: T201 - what the test waits for
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    print(json.dumps({**counts, "failed": failed[:1000], "failures": len(failed)}))  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
