"""Run slow work so that requests go on meanwhile, also under gevent.

A gevent server answers all requests in one thread, so a function that computes or waits for the disk runs in gevent's
pool of real threads.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def is_green() -> bool:
    """Return whether gevent has replaced the threads of this process by greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def pool() -> Any:
    """Return gevent's pool of real threads if the caller is a greenlet, else None."""
    if not is_green():
        return None
    gevent: Any = sys.modules["gevent"]
    return gevent.get_hub().threadpool if isinstance(gevent.getcurrent(), gevent.Greenlet) else None


def run(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that takes long, and return its result."""
    threads = pool()
    if threads is None:
        return function(*arguments)
    result: T = threads.apply(function, arguments)
    return result
