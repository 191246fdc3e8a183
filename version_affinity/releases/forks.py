"""Threads that follow something, across forks: a child process has none of its parent's threads, and needs its own.

The thread is ended before a fork and begins anew afterwards, in both processes: so it holds no lock in the child that
nobody would ever release, and the fork is one of a process with a thread less.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


# What uWSGI calls in a new process.
_HOOK: Final = "post_fork_hook"


class Restartable(Protocol):
    """What has a thread."""

    def pause(self) -> None:
        """End the thread, before a fork."""

    def resume(self) -> None:
        """Begin it anew, in a child or its parent."""


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
    # A thread begins with the mask of the one that starts it. Where threads are none of the system's, as under gevent,
    # there is nothing to be inherited, and the process's own thread has its mask back.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Aside:
    """A function that runs in a thread of its own, and whose caller goes on with something else until it has ended.

    The caller is to wait for the end: so no such thread runs while that of a ``Restartable`` does not.

    Args:
        function: What runs.
        argument: What it is given.
    """

    __slots__ = ("_argument", "_error", "_function", "_thread")

    def __init__(self, function: Callable[[Any], object], argument: object) -> None:
        self._function = function
        self._argument = argument
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="version-affinity-load", daemon=True)
        start(self._thread)

    def has_ended(self, seconds: float) -> bool:
        """Wait for the end, and tell whether it has come; what the function raised is raised here."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def _run(self) -> None:
        try:
            self._function(self._argument)
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


def _is_left_to(uwsgi: Any) -> bool:
    """Tell whether uWSGI is going to begin the threads, which it is asked to.

    It forks without a word to Python, so before that no thread should run that could hold a lock; and threads run there
    only if it is told to let them.
    """
    if not {"enable-threads", "threads"} & {_text(option) for option in uwsgi.opt}:
        warnings.warn(
            "uWSGI runs no threads of an application unless it is told to: start it with --enable-threads; without, "
            "deployments are noticed at the next start only",
            UserWarning,
            stacklevel=2,
        )
    before = getattr(uwsgi, _HOOK, None)
    if not getattr(before, "follows", False):
        setattr(uwsgi, _HOOK, _UwsgiHook(before))
    return not uwsgi.worker_id()  # it calls the hook wherever it has none yet, also where it does not fork at all


class _UwsgiHook:
    """What uWSGI calls in a new process: what it called until now, and then the threads begin anew."""

    follows = True

    def __init__(self, before: Callable[[], object] | None) -> None:
        self._before = before

    def __call__(self) -> None:
        if self._before is not None:
            self._before()
        _resume()


def _text(option: str | bytes) -> str:
    return option.decode("latin-1") if isinstance(option, bytes) else option
