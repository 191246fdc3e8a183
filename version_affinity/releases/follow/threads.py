"""Threads that survive forks: a forked process has none of its parent's threads, so each one starts its own.

Before a fork, an idle thread ends, and both processes start it again afterwards. So no lock is held in the child that
would never be released. A busy thread, which may wait for the network, goes on in the parent; the fork does not wait.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

from version_affinity.counters import LimitedLog
from version_affinity.rollout.background import is_green, pool

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a stop waits for the thread, which may be loading a large version.
STOP_TIMEOUT: Final = 10.0
# What uWSGI calls in a new process, and at its end. (Not all of its workers run Python's own functions at the end.)
_FORKED: Final = "post_fork_hook"
_ENDING: Final = "atexit"


class Looks:
    """When a thread looks: once per interval, until the looks end."""

    def __init__(self, interval: float, first: float) -> None:
        self._interval = interval
        self._condition = threading.Condition()
        self._due = time.monotonic() + first
        self._ending = False
        self._is_idle = True

    def next(self) -> bool:
        """Wait until it is time to look. Return False if the thread should end."""
        with self._condition:
            if not self._is_idle:
                self._due = time.monotonic() + self._interval
            self._is_idle = True
            self._condition.wait_for(lambda: self._ending, max(0.0, self._due - time.monotonic()))
            self._is_idle = False
            return not self._ending

    def end(self) -> None:
        """Have no more looks."""
        with self._condition:
            self._ending = True
            self._condition.notify_all()

    def end_if_idle(self) -> bool:
        """Have no more looks, unless one is going on or overdue. Return whether the looks have ended."""
        with self._condition:
            if self._is_idle and time.monotonic() < self._due:
                self._ending = True
                self._condition.notify_all()
            return self._ending


class LookingThread(ABC):
    """Base class: a thread that calls ``look`` once per interval, in this process and in those forked from it."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        # When the last look ended (``time.monotonic``).
        self.looked = 0.0
        self._error_log = LimitedLog(logging.ERROR)
        # Whether a fork has interrupted a look.
        self.is_unfinished = False
        self._looks = Looks(interval, interval)
        self._thread: threading.Thread | None = None
        self._process = 0

    @abstractmethod
    def look(self) -> None:
        """Look once."""

    @abstractmethod
    def is_needed(self) -> bool:
        """Return whether the thread should run."""

    @abstractmethod
    def catch_up(self) -> None:
        """Look in the caller's thread, in a process that starts with the state of an older one."""

    @abstractmethod
    def begin(self) -> None:
        """Begin in a new process, before its first request."""

    @abstractmethod
    def finish(self) -> None:
        """Do the last work of this process, at its end."""

    @abstractmethod
    def disconnect(self) -> None:
        """Wait for other threads, and close all connections."""

    def start(self) -> None:
        """Start the thread, in this process and in all that are forked from now on."""
        _threads.add(self)
        uwsgi = sys.modules.get("uwsgi")
        if uwsgi is None or not _is_left_to(uwsgi):
            self.resume()

    def resume(self) -> None:
        """Start the thread unless it runs."""
        if not self.is_needed() or self.is_running():
            return
        _expect_greenlets()
        if self._process != os.getpid():
            self.begin()
        if self._thread is not None:  # it was busy at the fork, and does not exist in this process
            self.is_unfinished = True
        # New locks: those of another process may be held.
        first = 0.0 if self.is_unfinished else max(0.0, self.looked + self.interval - time.monotonic())
        self._looks = Looks(self.interval, first)
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._run, args=(self._looks,), name="version-affinity", daemon=True)
        _start_without_signals(self._thread)

    def pause(self) -> None:
        """End the thread if it is idle. A look that is going on continues, and is not waited for."""
        if self.is_running() and self._looks.end_if_idle():
            self._join()

    def stop(self) -> None:
        """End the thread, and wait for its end, at most ``STOP_TIMEOUT`` seconds."""
        if self.is_running():
            self._looks.end()
            self._join()

    def is_running(self) -> bool:
        """Return whether the thread runs in this process."""
        thread = self._thread
        # After a fork that Python does not know of, the parent's thread seems to be alive.
        return thread is not None and self._process == os.getpid() and thread.is_alive()

    def _join(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(STOP_TIMEOUT)
            self._thread = None

    def _run(self, looks: Looks) -> None:
        while looks.next() and self.is_needed():
            self.safely(self.look)

    def safely(self, look: Callable[[], object]) -> None:
        """Look. An unexpected error is logged, and the last good state keeps serving."""
        try:
            look()
        except Exception:  # noqa: BLE001
            self._error_log("following the releases failed, and is tried again: %s", traceback.format_exc())
        self.looked = time.monotonic()


class BackgroundCall:
    """A function that runs in a thread of its own, so that its caller can go on if it hangs or takes long.

    Under gevent, a function that ``uses_network`` runs in a greenlet, any other in a real thread.
    """

    def __init__(self, function: Callable[[], object], *, uses_network: bool = False) -> None:
        self._function = function
        self._error: BaseException | None = None
        self._process = os.getpid()
        threads = None if uses_network else pool()
        self._result: Any = None if threads is None else threads.spawn(self._run)
        self._thread: threading.Thread | None = None
        if threads is None:
            self._thread = threading.Thread(target=self._run, name="version-affinity-call", daemon=True)
            _start_without_signals(self._thread)

    def has_ended(self, seconds: float) -> bool:
        """Wait for the end, and return whether the function has ended. An error of the function is raised here.

        In a forked process, the calls of its parent count as ended.
        """
        if self._process != os.getpid():
            return True
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


_threads: WeakSet[LookingThread] = WeakSet()


def pause_all() -> None:
    """End all idle threads, before a fork."""
    for thread in list(_threads):
        thread.pause()


def resume_all() -> None:
    """Start all threads again, in the parent and in the child of a fork."""
    for thread in list(_threads):
        thread.resume()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=pause_all, after_in_parent=resume_all, after_in_child=resume_all)


def _finish_all() -> None:
    """Let all threads' owners do their last work, at the end of the process."""
    for thread in list(_threads):
        with suppress(Exception):
            thread.finish()


atexit.register(_finish_all)


def _start_without_signals(thread: threading.Thread) -> None:
    """Start a thread that gets none of the process's signals: uWSGI's handlers would wait for the thread itself."""
    if not hasattr(signal, "pthread_sigmask"):
        thread.start()
        return
    # A thread inherits the mask of the thread that starts it. The starting thread gets its own mask back.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# gevent


def _expect_greenlets() -> None:
    """Restart the threads as greenlets if gevent replaces threads later, as gunicorn does in a new worker.

    A real thread that outlives that would use gevent's sockets, and the end of the process would crash (SIGSEGV).
    """
    if "gevent.monkey" in sys.modules and not is_green():
        events: Any = import_module("gevent.events")
        if _on_gevent not in events.subscribers:
            events.subscribers.append(_on_gevent)


def _on_gevent(event: object) -> None:
    name = type(event).__name__
    if name == "GeventWillPatchAllEvent":
        for thread in list(_threads):
            thread.stop()
            thread.disconnect()
    elif name == "GeventDidPatchAllEvent":
        resume_all()


# uWSGI


def _is_left_to(uwsgi: Any) -> bool:
    """Return whether uWSGI starts the threads later, by the hook that is set here.

    uWSGI forks without telling Python, so before that no thread should run that could hold a lock.
    """
    options = {option.decode("latin-1") if isinstance(option, bytes) else option for option in uwsgi.opt}
    if not {"enable-threads", "threads"} & options:
        warnings.warn(
            "uWSGI runs no threads of an application unless it is started with --enable-threads; without, deployments "
            "are noticed at the next start only: start it with --enable-threads",
            UserWarning,
            stacklevel=2,
        )
    for name, function in ((_FORKED, _resume_in_worker), (_ENDING, _finish_all)):
        before = getattr(uwsgi, name, None)
        if not isinstance(before, _UwsgiHook):
            setattr(uwsgi, name, _UwsgiHook(before, function))
    return not uwsgi.worker_id()  # it calls the hook in each process that has none yet, also without a fork


def _resume_in_worker() -> None:
    """Start all threads. uWSGI forks workers from a process without them, whose state may be hours old: catch up."""
    for thread in list(_threads):
        thread.catch_up()
    resume_all()


class _UwsgiHook:
    """What uWSGI calls in a process: the hook that was set before, and then a function."""

    def __init__(self, before: Callable[[], object] | None, function: Callable[[], object]) -> None:
        self._before = before
        self._function = function

    def __call__(self) -> None:
        if self._before is not None:
            self._before()
        self._function()
