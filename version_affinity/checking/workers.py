"""Many files read at once, by processes of their own: a parser that hangs or dies takes no more than one file with it.

A few small files are read in this process: to start others would take longer.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import SimpleQueue
from threading import Timer
from typing import TYPE_CHECKING, Final

from .reading import CSS, HTML, JAVASCRIPT, faulty, read_one

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import IO

    from .reading import Task
    from .references import Document

#: Seconds after which a file is given up. The largest bundles take some, on a busy machine ten.
PATIENCE: Final = 60.0
#: Seconds that a megabyte takes; measured.
_COSTS: Final = {HTML: 1.0, CSS: 1.5, JAVASCRIPT: 0.3}
#: Seconds that files may take here, each and all together: starting a process takes 0.2 s. Hostile ones of this size
#: take some seconds.
_SMALL: Final = 0.2
_FEW: Final = 0.8
_MOST_WORKERS: Final = 8
#: Objects made until garbage is looked for: a tree of a million nodes holds none, and looking for it took a quarter of
#: the time.
_GARBAGE: Final = 100_000
_READY: Final = b"\n"
#: What a process runs. Its path is ours, whatever has made that.
_PROGRAM: Final = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from version_affinity.checking.workers import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
)


def read_all(tasks: Iterable[Task], progress: Callable[[int, int], object] | None = None) -> dict[Task, Document]:
    """Return what is found in files. Does not raise; a file that takes too long has a fault.

    Args:
        tasks: The files, some perhaps more than once.
        progress: Called in this thread after each file with the number of those read, and that of all. What it raises
            ends the work.
    """
    waiting = sorted(dict.fromkeys(tasks), key=_cost, reverse=True)
    costs = [_cost(task) for task in waiting]
    found: dict[Task, Document] = {}

    def take(task: Task, document: Document) -> None:
        found[task] = document
        if progress is not None:
            progress(len(found), len(waiting))

    if not waiting or (costs[0] <= _SMALL and sum(costs) <= _FEW) or not sys.executable:
        for task in waiting:
            take(task, read_one(task))
    else:
        _read_by_processes(waiting, take)
    return found


def _read_by_processes(tasks: Sequence[Task], take: Callable[[Task, Document], None]) -> None:
    """Read files by processes, for each of which a thread waits; give on what is found in each, in this thread."""
    count = min(_cores(), _MOST_WORKERS, len(tasks))
    workers = [_Worker() for _ in range(count)]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def read(task: Task) -> tuple[Task, Document]:
        worker = idle.get()  # there is one for each thread
        try:
            return task, worker.read(task)
        finally:
            idle.put(worker)

    try:
        with ThreadPoolExecutor(count) as threads:
            try:
                for future in as_completed([threads.submit(read, task) for task in tasks]):
                    take(*future.result())
            except BaseException:  # as Ctrl-C: the threads wait for their processes
                threads.shutdown(wait=False, cancel_futures=True)
                for worker in workers:
                    worker.kill()
                raise
    finally:
        for worker in workers:
            worker.end()


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Read files as they are asked for, until nobody asks any more: what a process does."""
    gc.set_threshold(_GARBAGE)
    answers.write(_READY)
    answers.flush()
    while True:
        try:
            task = pickle.load(requests)  # noqa: S301 - from the process that has started this one
        except EOFError:
            return
        pickle.dump(read_one(task), answers)
        answers.flush()


class _Worker:
    """A process that reads files, started when it is first asked; another one takes its place when it ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, task: Task) -> Document:
        """Return what is found in a file."""
        process = self._process or self._start()
        if process is None or process.stdin is None or process.stdout is None:
            return read_one(task)
        limit = Timer(PATIENCE, process.kill)
        limit.start()
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            document: Document = pickle.load(process.stdout)  # noqa: S301 - from the process that was started here
        except (EOFError, OSError, pickle.UnpicklingError):
            gave_up = not limit.is_alive()
            self.end()
            return faulty(f"it takes more than {PATIENCE:g} s to parse" if gave_up else "its parser dies of it")
        finally:
            limit.cancel()
        return document

    def kill(self) -> None:
        """Have the process end; who waits for its answer gets none."""
        process = self._process
        if process is not None:
            process.kill()

    def end(self) -> None:
        """End the process, if there is one, and wait for that."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _start(self) -> subprocess.Popen[bytes] | None:
        """Return a new process; None where none can be had."""
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter, with a constant program
                [sys.executable, "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError:
            return None
        self._process = process
        try:
            if process.stdin is not None and process.stdout is not None:
                pickle.dump(sys.path, process.stdin)
                process.stdin.flush()
                if process.stdout.read(1) == _READY:
                    return process
        except OSError:
            pass
        self.end()
        return None


def _cost(task: Task) -> float:
    return task.size / 1_000_000 * _COSTS.get(task.language, 0.1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
