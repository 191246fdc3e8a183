"""Threads that follow something, across forks: a child process has none of its parent's threads, and needs its own.

An idle thread ends before a fork and begins anew afterwards, in both processes: then it holds no lock in the child that
would never be released. A thread that is busy, perhaps with the network, goes on in the parent; the fork does not wait.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
import time
import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

from version_affinity.rollout.background import is_green, pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# What uWSGI calls in a new process.
_HOOK: Final = "post_fork_hook"


class Restartable(Protocol):
    """An object that has a thread."""

    def make_way(self) -> None:
        """End the thread and close all connections, and wait for that."""

    def pause(self) -> None:
        """End the thread if it is idle, before a fork."""

    def resume(self) -> None:
        """Begin the thread anew, in a child or its parent."""

    def catch_up(self) -> None:
        """Look once, without a thread, in a process that begins with the state of an older one."""


_running: WeakSet[Restartable] = WeakSet()


def run_in_every_process(thread: Restartable) -> None:
    """Begin a thread, and have it begin anew in every process that is forked from now on."""
    _running.add(thread)
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is None or not _is_left_to(uwsgi):
        thread.resume()


def start(thread: threading.Thread) -> None:
    """Start a thread that gets none of the process's signals: a server's own threads know what to do with them.

    (uWSGI's handlers end the interpreter in whichever thread they run, and wait for that very thread.)
    """
    if not hasattr(signal, "pthread_sigmask"):
        thread.start()
        return
    # A thread begins with the mask of the one that starts it. A greenlet has no mask of its own, and the process's
    # thread gets its mask back.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Aside:
    """A function that runs in a thread of its own, so that its caller can go on if it takes long or hangs.

    Args:
        function: The function.
        uses_network: Whether it waits for the network, for which a greenlet makes way under gevent. Any other function
            gets a real thread there.
    """

    __slots__ = ("_error", "_function", "_result", "_thread")

    def __init__(self, function: Callable[[], object], *, uses_network: bool = False) -> None:
        self._function = function
        self._error: BaseException | None = None
        threads = None if uses_network else pool()
        self._result: Any = None if threads is None else threads.spawn(self._run)
        self._thread: threading.Thread | None = None
        if threads is None:
            self._thread = threading.Thread(target=self._run, name="version-affinity-aside", daemon=True)
            start(self._thread)

    def has_ended(self, seconds: float) -> bool:
        """Wait for the end, and return whether it has come. An error of the function is raised here."""
        if self._thread is None:
            self._result.wait(seconds)
            if not self._result.ready():
                return False
        else:
            self._thread.join(seconds)
            if self._thread.is_alive():
                return False
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            self._function()
        except BaseException as error:  # noqa: BLE001 - which has_ended() raises
            self._error = error


def _pause() -> None:
    for thread in list(_running):
        thread.pause()


def _resume() -> None:
    for thread in list(_running):
        thread.resume()


if hasattr(os, "register_at_fork"):  # not on Windows, which knows no fork
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_resume)


def expect_greenlets() -> None:
    """Have the threads begin anew, as greenlets, should gevent replace threads, as gunicorn lets it in a new worker.

    A real thread must not outlive that: it would use gevent's sockets, for which gevent makes an event loop in that
    thread, and the end of the process would crash on it (SIGSEGV).
    """
    if "gevent.monkey" in sys.modules and not is_green():
        events: Any = import_module("gevent.events")
        if _on_gevent not in events.subscribers:
            events.subscribers.append(_on_gevent)


def _on_gevent(event: object) -> None:
    """Make way before gevent replaces threads and sockets, and begin anew afterwards."""
    name = type(event).__name__
    if name == "GeventWillPatchAllEvent":
        for thread in list(_running):
            thread.make_way()
    elif name == "GeventDidPatchAllEvent":
        _resume()


def _is_left_to(uwsgi: Any) -> bool:
    """Return whether uWSGI is going to begin the threads, which it is asked to.

    It forks without a word to Python, so before that no thread should run that could hold a lock; and threads run there
    only with its option ``--enable-threads``.
    """
    if not {"enable-threads", "threads"} & {_text(option) for option in uwsgi.opt}:
        warnings.warn(
            "uWSGI runs no threads of an application unless it is started with --enable-threads; without, deployments "
            "are noticed at the next start only: start it with --enable-threads",
            UserWarning,
            stacklevel=2,
        )
    before = getattr(uwsgi, _HOOK, None)
    if not getattr(before, "follows", False):
        setattr(uwsgi, _HOOK, _UwsgiHook(before))
    return not uwsgi.worker_id()  # it calls the hook wherever it has none yet, also where it does not fork at all


class _UwsgiHook:
    """What uWSGI calls in a new process: what it called until now, and then the threads begin anew.

    The process from which it forks a worker has no thread that follows, so its state may be hours old.
    """

    follows = True

    def __init__(self, before: Callable[[], object] | None) -> None:
        self._before = before

    def __call__(self) -> None:
        if self._before is not None:
            self._before()
        for thread in list(_running):
            thread.catch_up()
        _resume()


def _text(option: str | bytes) -> str:
    return option.decode("latin-1") if isinstance(option, bytes) else option


#: Seconds that a request waits at most.
PATIENCE: Final = 0.25


class Looks:
    """The looks of one thread: one per interval, and one more when a request asks for it.

    Args:
        interval: Seconds between two looks.
        first: Seconds until the first look; None is the interval.
    """

    __slots__ = ("_asked", "_due", "_ended", "_ending", "_interval", "_is_idle", "_is_looking", "_meeting", "_wanted")

    def __init__(self, interval: float, first: float | None = None) -> None:
        self._interval = interval
        self._meeting = threading.Condition()
        self._due = time.monotonic() + (interval if first is None else first)
        self._ending = False
        self._is_idle = True
        self._is_looking = False
        self._ended = 0  # looks
        self._wanted = 0  # the look whose end requests wait for
        self._asked = -math.inf

    def next(self) -> bool:
        """Wait until it is time to look; return False when the thread should end."""
        with self._meeting:
            self._is_idle = True
            now = time.monotonic()
            if self._due == math.inf:
                self._due = now + self._interval
            self._meeting.wait_for(lambda: self._ending or self._ended < self._wanted, max(0.0, self._due - now))
            self._due = math.inf
            self._is_idle = False
            self._is_looking = not self._ending
            return self._is_looking

    def done(self) -> None:
        """Report the end of a look to the requests that wait for it. A second call does nothing."""
        with self._meeting:
            if self._is_looking:
                self._is_looking = False
                self._ended += 1
                self._meeting.notify_all()

    def end(self) -> None:
        """Have no more looks."""
        with self._meeting:
            self._ending = True
            self._meeting.notify_all()

    def end_if_idle(self) -> bool:
        """Have no more looks, unless one is under way or overdue; return whether the looks have ended."""
        with self._meeting:
            if self._is_idle and time.monotonic() < self._due:
                self._ending = True
                self._meeting.notify_all()
            return self._ending

    def ask(self) -> None:
        """Ask for a look and wait for its end, at most ``PATIENCE`` seconds.

        All requests of one interval share one look. A request that comes when others have waited in vain does not wait.
        """
        now = time.monotonic()
        with self._meeting:
            since = now - self._asked
            if self._ended >= self._wanted:  # no request waits
                if since < self._interval:
                    return
                self._asked = now
                # A look that has begun already may have seen an older state.
                self._wanted = self._ended + (2 if self._is_looking else 1)
                self._meeting.notify_all()
            elif since > PATIENCE:
                return
            wanted = self._wanted
            self._meeting.wait_for(lambda: self._ended >= wanted, PATIENCE)
