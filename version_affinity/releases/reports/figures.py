"""What all workers have counted for each version: the figures to compare versions by."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.counters import Counts, gained
from version_affinity.decision.request import PAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from version_affinity.releases.log.entries import Counted

    from .report import Workers

#: The status class of a failure of the application.
SERVER_ERROR: Final = "5xx"


class Figures(NamedTuple):
    """What was counted for one version; see ``Counts``."""

    # First pages of a key or a bucket.
    new_keys: int = 0
    pages: int = 0
    # Answers of the wrapped application, and those of 5xx.
    app: int = 0
    app_errors: int = 0
    # Assets that no known version has, and files of other versions that pages of this one got.
    missing: int = 0
    rescues: int = 0

    @property
    def app_error_rate(self) -> float | None:
        """The part of the application's answers that were errors; None without an answer."""
        return self.app_errors / self.app if self.app else None

    @property
    def missing_rate(self) -> float | None:
        """Missing assets per page; None without a page."""
        return self.missing / self.pages if self.pages else None

    def since(self, before: Mapping[str, int]) -> Figures:
        """Return what was counted since then."""
        return Figures(*(gained(number, before.get(name, 0)) for name, number in self._asdict().items()))


def counted_until(workers: Workers, versions: Iterable[str]) -> Counted:
    """Return what was counted for versions until now, for the log; nothing if that is unknown."""
    if workers.are_unknown:
        return {}
    figures = figures_of(workers.counts)
    return {version: figures.get(version, Figures())._asdict() for version in versions}


def figures_of(flat: Mapping[str, int]) -> dict[str, Figures]:
    """Return the figures of each version, from ``Workers.counts``.

    >>> figures_of({"requests|v1|page|2xx|key": 9, "requests|v1|page|5xx|key": 1, "app|v1|5xx": 1, "missing|v1": 2})
    {'v1': Figures(new_keys=0, pages=10, app=1, app_errors=1, missing=2, rescues=0)}
    """
    counts = Counts.from_flat(flat)
    found: dict[str, Counter[str]] = {}

    def add(version: str, name: str, number: int) -> None:
        found.setdefault(version, Counter())[name] += number

    for (version, kind, *_), number in counts.requests.items():
        add(version, "pages", number if kind == PAGE else 0)
    for (version, status), number in counts.app.items():
        add(version, "app", number)
        add(version, "app_errors", number if status == SERVER_ERROR else 0)
    by_version: dict[str, Mapping[Any, int]] = {"new_keys": counts.new_keys, "missing": counts.missing}
    for name, numbers in by_version.items():
        for version, number in numbers.items():
            add(version, name, number)
    for (decided, _), number in counts.rescues.items():
        add(decided, "rescues", number)
    return {version: Figures(**numbers) for version, numbers in found.items()}
