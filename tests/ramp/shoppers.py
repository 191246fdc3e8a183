"""Users of a site with ramps, in a process of their own, until standard input ends: most come back, some monitor it.

Prints, as JSON, how many pages, files and calls there were, and what was answered with something else than expected.
"""

from __future__ import annotations

import json
import random
import re
import sys
import threading
import time
from collections import Counter

from tests.releases.load import NAVIGATION, SCRIPT, Browser

FETCH = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
#: What a page of each version calls, and a file that it loads later.
CALL = {"v1": "/api/basket", "v2": "/api/cart"}
CHUNK = {"v1": "/assets/lazy-BX4CeNGm.js", "v2": "/assets/lazy-Qz81xKpL.js"}
_PAGE = re.compile(rb"page of (\w+)$")
_ENTRY = re.compile(rb'src="([^"]+)"')


class Shop:
    """What the users of one server see."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.ended = threading.Event()
        self.counts = Counter[str]()
        self.failed: list[str] = []

    def shop(self, first: int) -> None:
        """Be one user after the other. Each one loads a page, comes back, and goes on in the tab that is open."""
        source = random.Random(first)
        open_tabs: list[tuple[Browser, int, str]] = []
        user = first
        while not self.ended.is_set():
            browser = Browser(self._port, user)
            if (version := self._page(browser)) is not None:
                open_tabs.append((browser, user, version))
            for tab in source.sample(open_tabs, min(3, len(open_tabs))):
                self._go_on(*tab)
            del open_tabs[:-200]
            user += 100
            time.sleep(0.01)

    def monitor(self, accept: str, user: str) -> None:
        """Ask for what always fails, as a client without cookies and as one that keeps them."""
        keeping = Browser(self._port, 0)
        while not self.ended.is_set():
            self._page(keeping)
            keeping.ask("/api/health", FETCH)
            without = Browser(self._port, 0)
            cookies = {"Cookie": f"user={user}"} if user else {}
            without.ask("/api/health", {"Accept": accept, **cookies})
            without.ask("/", {"Accept": accept, **cookies})
            self.counts["monitored"] += 1
            time.sleep(0.05)

    def _page(self, browser: Browser) -> str | None:
        body = self._ask(browser, "/", NAVIGATION, "pages")
        found = _PAGE.search(body)
        for entry in _ENTRY.findall(body):
            self._ask(browser, entry.decode(), SCRIPT, "files")
        return found[1].decode() if found is not None else None

    def _go_on(self, browser: Browser, user: int, version: str) -> None:
        """Do what an open tab of a version does; its call and its file may fail by the fault of the test."""
        self._ask(browser, f"{CALL[version]}?user={user // 100}", FETCH, "calls", may_fail=True)
        self._ask(browser, CHUNK[version], SCRIPT, "files", may_fail=True)

    def _ask(self, browser: Browser, path: str, headers: dict[str, str], what: str, *, may_fail: bool = False) -> bytes:
        status, body = browser.ask(path, headers)
        self.counts[what] += 1
        if status == 0:
            self.counts["cut"] += 1  # its worker was killed
        elif status != 200:
            self.counts[f"{what} {status}"] += 1
            if not may_fail:
                self.failed.append(f"{path} {status} {body[:200]!r}")
        return body if status == 200 else b""


def main(*ports: int) -> None:
    """Shop and monitor until standard input ends."""
    shops = [Shop(port) for port in ports]
    threads = [threading.Thread(target=shop.shop, args=(1 + number,)) for shop in shops for number in range(3)]
    for shop in shops:
        threads += [
            threading.Thread(target=shop.monitor, args=arguments)
            for arguments in (("*/*", ""), ("text/html", ""), ("text/html", "monitor"))
        ]
    for thread in threads:
        thread.start()
    print("ready", flush=True)  # noqa: T201 - what the test waits for
    sys.stdin.read()
    for shop in shops:
        shop.ended.set()
    for thread in threads:
        thread.join()
    counts = sum((shop.counts for shop in shops), Counter[str]())
    failed = [line for shop in shops for line in shop.failed]
    print(json.dumps({"counts": counts, "failed": failed[:100]}))  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
