"""Parse the files of a build for references, in other processes where that is worth their start.

A parser that hangs or crashes costs one file: the file gets a fault, and all others are read.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from version_affinity.assets.loading.tree import UnservableError, read

from .languages.css import css_references, decoded
from .languages.html import html_references
from .languages.javascript import script_references
from .languages.web_manifest import manifest_references
from .references import Document, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from version_affinity.assets.loading.asset import Asset

_T = TypeVar("_T")

HTML: Final = "HTML"
CSS: Final = "CSS"
JAVASCRIPT: Final = "JavaScript"
MANIFEST: Final = "web app manifest"

_LANGUAGES: Final = {
    "text/html": HTML,
    "application/xhtml+xml": HTML,
    "text/css": CSS,
    "text/javascript": JAVASCRIPT,
    "application/javascript": JAVASCRIPT,
    "application/manifest+json": MANIFEST,
}
#: Largest file that is parsed, in bytes: the tree of a script takes a hundred times its size.
SIZE_LIMIT: Final = 32 * 1024 * 1024
#: Seconds until the parsing of a file is given up. The largest bundles take some, on a busy machine ten.
PATIENCE: Final = 60.0
#: Seconds per megabyte; measured.
_COSTS: Final = {HTML: 1.0, CSS: 1.5, JAVASCRIPT: 0.3}
#: Seconds for one file and for all files up to which no process is started: each takes 0.2 s to start.
_SMALL: Final = 0.2
_FEW: Final = 0.8
_MOST_PROCESSES: Final = 8
#: Objects until the next garbage collection: a tree of a million nodes has no garbage, and collections took a quarter
#: of the time.
_GARBAGE: Final = 100_000
# Held while the caller's script is hidden: two threads may check builds.
_starting: Final = threading.Lock()


class Task(NamedTuple):
    """A file to parse: its language, absolute name, size in bytes, and the digest that the build was loaded with."""

    language: str
    file: str
    size: int
    digest: bytes

    @property
    def cost(self) -> float:
        """The seconds that parsing it may take."""
        return self.size / 1_000_000 * _COSTS.get(self.language, 0.1)


def task_of(asset: Asset) -> Task | None:
    """Return how to parse a file, by its Content-Type; None for images and the like."""
    language = _LANGUAGES.get(asset.content_type.partition(";")[0].rstrip().lower())
    return None if language is None else Task(language, asset.file, asset.size, asset.digest)


def parse_content(language: str, data: bytes) -> Document:
    """Return the references in the content of a file. Does not raise."""
    try:
        if language == HTML:
            return html_references(data)
        if language == CSS:
            return css_references(decoded(data))
        return script_references(data) if language == JAVASCRIPT else manifest_references(data)
    except Exception as error:  # noqa: BLE001 - a bug in a parser must not keep the other files from being checked
        return _faulty(f"it cannot be parsed as {language}: {type(error).__name__}: {error!s:.100}")


def parse_file(task: Task) -> Document:
    """Return the references in a file. Does not raise."""
    if task.size > SIZE_LIMIT:
        return _faulty(f"it was not checked: it has {task.size} bytes, and the limit is {SIZE_LIMIT}")
    try:
        content = read(task.file, SIZE_LIMIT)
    except (OSError, UnservableError) as error:
        return _faulty(f"it cannot be read: {error}")
    if content.digest != task.digest or content.data is None:
        return _faulty("it has changed since the build was loaded: run the check again")
    return parse_content(task.language, content.data)


def parse_files(
    tasks: Iterable[Task],
    progress: Callable[[int, int], object] | None = None,
    parse: Callable[[Task], Document] = parse_file,
) -> dict[Task, Document]:
    """Return the references in files. A file whose parser hangs or crashes has a fault.

    ``progress`` is called in this thread after each file. An exception that it raises ends the work, after the files
    that are being parsed. Other processes call ``parse``, so it is a function of a module.
    """
    waiting = sorted(dict.fromkeys(tasks), key=lambda task: task.cost)
    total = len(waiting)
    costs = [task.cost for task in waiting]
    found: dict[Task, Document] = {}

    def take(task: Task, document: Document) -> None:
        found[task] = document
        if progress is not None:
            progress(len(found), total)

    may_start = bool(sys.executable) and not multiprocessing.current_process().daemon  # a daemon has no children
    if waiting and (costs[-1] > _SMALL or sum(costs) > _FEW) and may_start:
        waiting = _parse_in_processes(waiting, parse, take)
    for task in reversed(waiting):
        take(task, parse(task))
    return found


def _parse_in_processes(
    waiting: list[Task], parse: Callable[[Task], Document], take: Callable[[Task, Document], None]
) -> list[Task]:
    """Parse files, the last one first. Return the files that are left because no process can be started."""
    while waiting:
        count = len(waiting)
        suspects = _parse_together(waiting, parse, take)
        if len(waiting) == count:
            return waiting
        while suspects:
            try:
                document = _parse_alone(suspects[-1], parse)
            except (BrokenProcessPool, OSError):
                return waiting + suspects
            take(suspects.pop(), document)
    return waiting


def _parse_together(
    waiting: list[Task], parse: Callable[[Task], Document], take: Callable[[Task, Document], None]
) -> list[Task]:
    """Parse the waiting files until a process ends; return the files that were being parsed then."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = min(cores, len(waiting), _MOST_PROCESSES)
    running: dict[Future[Document], Task] = {}
    with _pool(count) as pool:
        while waiting or running:
            try:
                while waiting and len(running) < count:
                    running[_submit(pool, _parse_in_time, parse, waiting[-1], PATIENCE)] = waiting[-1]
                    waiting.pop()
                done = [(future, future.result()) for future in wait(running, return_when=FIRST_COMPLETED).done]
            except (BrokenProcessPool, OSError):
                break
            for future, document in done:
                take(running.pop(future), document)
    return list(running.values())


def _parse_alone(task: Task, parse: Callable[[Task], Document]) -> Document:
    """Parse a file in a process of its own. Raises BrokenProcessPool or OSError where no process can be started."""
    with _pool(1) as pool:
        _submit(pool, int).result()
        start = time.monotonic()
        try:
            return pool.submit(_parse_in_time, parse, task, PATIENCE).result()
        except BrokenProcessPool:
            if time.monotonic() - start >= PATIENCE:
                return _faulty(f"it was not checked: parsing it takes more than {PATIENCE:g} s")
            return _faulty("it was not checked: its parser crashed")


def _pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool whose processes Ctrl-C ends at once and without a traceback, even while they import this module."""
    # Not "fork": the caller may have threads.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, spawn, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_DFL))


def _submit(pool: ProcessPoolExecutor, function: Callable[..., _T], *arguments: object) -> Future[_T]:
    """Submit a call. A process that starts for it does not run the caller's script again, as "spawn" would."""
    with _starting:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            return pool.submit(function, *arguments)
        finally:
            sys.modules["__main__"] = main


def _parse_in_time(parse: Callable[[Task], Document], task: Task, seconds: float) -> Document:
    """Parse a file in a process of the pool, which ends if this takes too long, even within a parser written in C."""
    gc.set_threshold(_GARBAGE)
    with Path(os.devnull).open("w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            return parse(task)
        finally:
            faulthandler.cancel_dump_traceback_later()


def _faulty(reason: str) -> Document:
    return Document(faults=(Fault(1, reason),))
