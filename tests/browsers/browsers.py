"""Chromium, Firefox and WebKit behind one small interface: a scenario is written once and played in all three.

Chromium (chromedriver) and WebKitGTK (WebKitWebDriver and its MiniBrowser, under Xvfb) speak W3C WebDriver over HTTP.
Firefox speaks Marionette, whose commands are those of WebDriver in JSON over TCP. Debian's packages: chromium-driver,
firefox-esr, webkit2gtk-driver, xvfb.

A host under ``localhost`` is a profile of its own for what a site can store: cookies, caches and service workers. So
one browser plays all scenarios, each at a host from ``fresh_host``.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tests.harness import missing
from tests.servers.servers import HOST, end, free_port, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ENGINES = ("chromium", "firefox", "webkit")
#: How long a condition, a page or a script may take, and how long a browser may take to start, in seconds.
PATIENCE, START = 90.0, 90.0
#: How often a condition is looked at, in seconds.
INTERVAL = 0.1

#: WebDriver's commands by Marionette's names, and where they are over HTTP.
_COMMANDS = {
    "SetTimeouts": ("POST", "/timeouts"),
    "Navigate": ("POST", "/url"),
    "Refresh": ("POST", "/refresh"),
    "ExecuteAsyncScript": ("POST", "/execute/async"),
    "NewWindow": ("POST", "/window/new"),
    "SwitchToWindow": ("POST", "/window"),
    "CloseWindow": ("DELETE", "/window"),
    "GetWindowHandle": ("GET", "/window"),
    "GetCookies": ("GET", "/cookie"),
    "AddCookie": ("POST", "/cookie"),
    "DeleteAllCookies": ("DELETE", "/cookie"),
}
_CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
# Firefox looks for services of its maker otherwise.
_FIREFOX_PREFERENCES = {
    "marionette.port": 0,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.topsites.contile.enabled": False,
    "captivedetect.canonicalURL": "",
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
_hosts = itertools.count(1)


class BrowserError(Exception):
    """A command that the browser could not carry out."""


class _Driver(Protocol):
    def send(self, command: str, **parameters: Any) -> Any: ...


class _OverHTTP:
    """A session of W3C WebDriver."""

    def __init__(self, port: int, capabilities: dict[str, Any]) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=2 * START)
        self._session = ""
        with contextlib.ExitStack() as stack:
            stack.callback(self._connection.close)
            made = self._ask("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
            stack.pop_all()  # a session that does not begin leaves no socket
        self._session = f"/{made['sessionId']}"

    def send(self, command: str, **parameters: Any) -> Any:
        method, path = _COMMANDS[command]
        return self._ask(method, path, parameters)

    def quit(self) -> None:
        with contextlib.suppress(BrowserError, OSError, http.client.HTTPException):
            self._ask("DELETE", "", {})
        self._connection.close()

    def _ask(self, method: str, path: str, parameters: dict[str, Any]) -> Any:
        body = json.dumps(parameters) if method == "POST" else None
        self._connection.request(method, f"/session{self._session}{path}", body, {"Content-Type": "application/json"})
        with self._connection.getresponse() as response:
            value = json.loads(response.read())["value"]
        if isinstance(value, dict) and "error" in value:
            raise BrowserError(f"{value['error']}: {value.get('message')}")
        return value


class _Marionette:
    """A session of Firefox's Marionette: each message is its length, a colon, and JSON."""

    def __init__(self, port: int, capabilities: dict[str, Any]) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=2 * START)
        self._file = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        with contextlib.ExitStack() as stack:
            stack.callback(self._socket.close)
            stack.callback(self._file.close)
            self._read()  # the greeting
            self._ask("NewSession", capabilities)
            stack.pop_all()

    def send(self, command: str, **parameters: Any) -> Any:
        found = self._ask(command, parameters)
        return found["value"] if isinstance(found, dict) and found.keys() == {"value"} else found

    def quit(self) -> None:
        with contextlib.suppress(BrowserError, OSError, ValueError):
            self._ask("Marionette:Quit", {"flags": ["eForceQuit"]})
        self._file.close()
        self._socket.close()

    def _ask(self, command: str, parameters: dict[str, Any]) -> Any:
        name = command if ":" in command else f"WebDriver:{command}"
        message = json.dumps([0, next(self._numbers), name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, found = self._read()
        if error:
            raise BrowserError(f"{error['error']}: {error['message']}")
        return found

    def _read(self) -> Any:
        length = b""
        while (digit := self._file.read(1)) != b":":
            if not digit:
                raise BrowserError("Firefox closed the connection")
            length += digit
        return json.loads(self._file.read(int(length)))


class Tab:
    """A tab. Every call brings it to the front first."""

    def __init__(self, driver: _Driver, handle: str) -> None:
        self._driver = driver
        self._handle = handle

    def open(self, url: str) -> Tab:
        """Load a page as if its address was typed, and wait until it is loaded."""
        self._send("Navigate", url=url)
        return self

    def reload(self) -> None:
        """Load the page again, and wait until it is loaded."""
        self._send("Refresh")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited.

        Raises:
            BrowserError: the expression threw, or its page was unloaded meanwhile.
        """
        script = (
            "const done = arguments[arguments.length - 1];"
            f"(async () => ({expression}))().then(value => done([value]), error => done(String(error)));"
        )
        found = self._send("ExecuteAsyncScript", script=script, args=[])
        if isinstance(found, str):
            raise BrowserError(found)
        return found[0]

    def wait_for(self, expression: str) -> Any:
        """Return the value of a JavaScript expression once it is truthy."""
        return eventually(lambda: self.evaluate(expression), expression)

    def cookies(self) -> dict[str, str]:
        """Return the cookies of the page's site."""
        return {cookie["name"]: cookie["value"] for cookie in self._send("GetCookies")}

    def set_cookie(self, name: str, value: str) -> None:
        """Add a cookie to the page's site."""
        self._send("AddCookie", cookie={"name": name, "value": value, "path": "/"})

    def remove_cookies(self) -> None:
        """Remove the cookies of the page's site."""
        self._send("DeleteAllCookies")

    def close(self) -> None:
        """Close the tab."""
        self._send("CloseWindow")

    def _send(self, command: str, **parameters: Any) -> Any:
        # Marionette calls it a handle, too; over HTTP the name is the same.
        self._driver.send("SwitchToWindow", handle=self._handle)
        return self._driver.send(command, **parameters)


class Browser:
    """A running browser.

    Attributes:
        engine: One of ``ENGINES``.
    """

    def __init__(self, engine: str, driver: _Driver) -> None:
        self.engine = engine
        self._driver = driver
        milliseconds = int(PATIENCE * 1000)
        driver.send("SetTimeouts", script=milliseconds, pageLoad=milliseconds)
        self._first = Tab(driver, driver.send("GetWindowHandle"))
        self._tabs: list[Tab] = []

    def tab(self) -> Tab:
        """Open a tab."""
        self._driver.send("SwitchToWindow", handle=self._first._handle)
        self._tabs.append(Tab(self._driver, self._driver.send("NewWindow", type="tab")["handle"]))
        return self._tabs[-1]

    def close_tabs(self) -> None:
        """Close every tab that was opened."""
        while self._tabs:
            with contextlib.suppress(BrowserError):
                self._tabs.pop().close()


def fresh_host() -> str:
    """Return a host name of this machine that no browser has seen yet."""
    return f"host{next(_hosts)}-{os.getpid()}.localhost"


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """Return what a condition gives once that is truthy; a page that is unloaded meanwhile is asked again.

    Raises:
        AssertionError: it was not in time.
    """
    until = time.monotonic() + PATIENCE
    last: Any = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except BrowserError as error:
            last = error
        if time.monotonic() > until:
            raise AssertionError(f"not within {PATIENCE:g} s: {what}; at last: {last}")
        time.sleep(INTERVAL)


@contextlib.contextmanager
def browser(engine: str, directory: Path) -> Iterator[Browser]:
    """Run a browser until the block ends; skip the test where it is missing.

    Args:
        engine: One of ``ENGINES``.
        directory: For its profile and its log.
    """
    with {"chromium": _chromium, "firefox": _firefox, "webkit": _webkit}[engine](directory) as driver:
        yield Browser(engine, driver)


@contextlib.contextmanager
def _chromium(directory: Path) -> Iterator[_Driver]:
    chromium = program("chromium", "Chromium", "chromium")
    driver = program("chromedriver", "chromedriver", "chromium-driver")
    port = free_port()
    with running([driver, f"--port={port}"], port, directory / "chromedriver.log", _home(directory)):
        options = {"binary": chromium, "args": [*_CHROMIUM_FLAGS, f"--user-data-dir={directory / 'profile'}"]}
        session = _OverHTTP(port, {"acceptInsecureCerts": True, "goog:chromeOptions": options})
        try:
            yield session
        finally:
            session.quit()


@contextlib.contextmanager
def _webkit(directory: Path) -> Iterator[_Driver]:
    driver = program("WebKitWebDriver", "WebKitWebDriver", "webkit2gtk-driver")
    minibrowser = next(map(str, sorted(Path("/usr/lib").glob("*/webkit2gtk-4*/MiniBrowser"))), None)
    if minibrowser is None:
        missing("MiniBrowser", "it comes with webkit2gtk-driver")
    with _display(directory) as display:
        port = free_port()
        environment = {**_home(directory), "DISPLAY": display, "GDK_BACKEND": "x11", "LIBGL_ALWAYS_SOFTWARE": "1"}
        with running(
            [driver, f"--host={HOST}", f"--port={port}"], port, directory / "webkitwebdriver.log", environment
        ):
            options = {"binary": minibrowser, "args": ["--automation"]}
            session = _OverHTTP(port, {"acceptInsecureCerts": True, "webkitgtk:browserOptions": options})
            try:
                yield session
            finally:
                session.quit()


@contextlib.contextmanager
def _firefox(directory: Path) -> Iterator[_Driver]:
    firefox = shutil.which("firefox-esr") or program("firefox", "Firefox", "firefox-esr")
    profile = directory / "profile"
    profile.mkdir()
    preferences = (f"user_pref({json.dumps(name)}, {json.dumps(to)});\n" for name, to in _FIREFOX_PREFERENCES.items())
    (profile / "user.js").write_text("".join(preferences))
    command = [firefox, "--headless", "--no-remote", "--marionette", "--profile", str(profile)]
    with _process(command, directory / "firefox.log", _home(directory)) as process:
        # Firefox writes the port that it chose.
        port = int(_written(profile / "MarionetteActivePort", process))
        session = _Marionette(port, {"acceptInsecureCerts": True})
        try:
            yield session
        finally:
            session.quit()


@contextlib.contextmanager
def _display(directory: Path) -> Iterator[str]:
    xvfb = program("Xvfb", "Xvfb", "xvfb")
    number = directory / "display"
    with number.open("wb") as chosen:
        command = [xvfb, "-displayfd", str(chosen.fileno()), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
        with _process(command, directory / "xvfb.log", {}, pass_fds=(chosen.fileno(),)) as process:
            yield f":{_written(number, process)}"


def _home(directory: Path) -> dict[str, str]:
    """Return an environment in which a program finds no settings of a person, and leaves none."""
    home = directory / "home"
    home.mkdir(exist_ok=True)
    folders = {"XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache", "XDG_DATA_HOME": "data"}
    return {"HOME": str(home), **{name: str(home / folder) for name, folder in folders.items()}}


def program(name: str, title: str, package: str) -> str:
    """Return the path of a program; skip the test where it is missing."""
    found = shutil.which(name)
    if found is None:
        missing(title, f"Debian has it in {package}")
    return str(found)


def _written(path: Path, process: subprocess.Popen[bytes]) -> str:
    """Return what a program writes into a file once it has started."""
    until = time.monotonic() + START
    while process.poll() is None and time.monotonic() < until:
        if path.exists() and (text := path.read_text()).strip():
            return text.strip()
        time.sleep(INTERVAL)
    raise RuntimeError(f"{process.args!r} did not start: {process.returncode}")


@contextlib.contextmanager
def _process(
    command: list[str], log: Path, environment: dict[str, str], pass_fds: tuple[int, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
    try:
        yield process
    finally:
        end(process)
