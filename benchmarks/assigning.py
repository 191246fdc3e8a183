"""How many keys a deployment assigns in a second."""

from __future__ import annotations

from statistics import median
from time import thread_time
from typing import TYPE_CHECKING

from version_affinity import Deployment

from .contestants import NAME
from .environs import Visitors

if TYPE_CHECKING:
    from collections.abc import Sequence


def assignments_per_second(numbers: Sequence[int], *, rounds: int) -> dict[int, float]:
    """Return the assignments per second, by the number of versions that share the users; medians of turns."""
    keys = [session.encode() for session in Visitors().sessions]
    deployments = {
        number: Deployment(NAME, dict.fromkeys((f"v{version}" for version in range(1, number + 1)), None))
        for number in numbers
    }
    rates: dict[int, list[float]] = {number: [] for number in numbers}
    for _ in range(rounds):
        for number, deployment in deployments.items():
            assign = deployment.assign
            began = thread_time()
            for key in keys:
                assign(key)
            rates[number].append(len(keys) / (thread_time() - began))
    return {number: median(values) for number, values in rates.items()}
