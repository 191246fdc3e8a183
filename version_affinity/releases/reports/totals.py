"""Counters of many processes: sums that never go down, and never count anything twice.

The keys are those of ``Counts.flat``, such as ``requests|v1|page|2xx|key``.

A process reports what it has counted since it started. When it is gone, its last report is added to the total, which
notes the process's id and the number of that report. So readers do not add the report again; and a process that was
only suspended learns which of its reports was added.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.counters import gained, sum_counts, with_others
from version_affinity.ramp.failing import merged
from version_affinity.releases.times import utc_now

from .hours import earliest, recent
from .report import Workers, in_order, is_counter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from .report import Report

#: How many ids of processes a total notes: those that were added last.
NOTED: Final = 1000


class Total(NamedTuple):
    """The counters of processes that are gone.

    Attributes:
        counts: The sums by key.
        folded: The id of each process whose counters they have, and the number of its report; the newest last.
        failing: The failing units of these processes in the newest of their ramps.
        since: When the first of these processes started; "" if that is unknown.
    """

    counts: Mapping[str, int] = {}
    folded: Mapping[str, int] = {}
    failing: str = ""
    since: str = ""

    @classmethod
    def of(cls, counts: object, folded: object, *texts: object) -> Total:
        """Return a total that was read. What is damaged counts as empty."""
        return cls(_numbers(counts), _numbers(folded), *(text if isinstance(text, str) else "" for text in texts))

    def workers(self, reports: Sequence[Report]) -> Workers:
        """Return what all processes say together. ``reports`` are those that are not in the total."""
        live, masters = in_order(reports)
        return Workers(
            live,
            sum_counts(self.counts, *(report.counts for report in reports)),
            masters=masters,
            failing=(self.failing, *(report.failing for report in reports)),
            since=earliest((self.since, *(report.started for report in reports))),
        )

    def with_reports(self, reports: Iterable[Report], known: Collection[str], *, now: datetime | None = None) -> Total:
        """Return the total with the last reports of processes that are gone.

        Series of versions that are not ``known`` become those of "other". Hours that are long gone are left out.
        """
        new = [report for report in reports if report.process not in self.folded]
        counts = sum_counts(self.counts, *(report.counts for report in new))
        folded = {**self.folded, **{report.process: report.number for report in new}}
        return Total(
            recent(with_others(counts, frozenset(known)), now or utc_now()),
            dict(islice(folded.items(), max(0, len(folded) - NOTED), None)),
            merged((self.failing, *(report.failing for report in new))) if new else self.failing,
            earliest((self.since, *(report.started for report in new))),
        )


def _numbers(value: object) -> dict[str, int]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {key: number for key, number in pairs if is_counter(key, number)}


def difference(counts: Mapping[str, int], base: Mapping[str, int]) -> dict[str, int]:
    """Return what was counted since ``base``."""
    found = {key: gained(number, base.get(key, 0)) for key, number in counts.items()}
    return {key: number for key, number in found.items() if number}


def still_counted(base: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """Return an earlier state of counters under the keys of the present one: versions may have gone meanwhile."""
    if base.keys() <= counts.keys():
        return dict(base)
    labels = {label for key in counts for label in key.split("|")}
    return {key: number for key, number in with_others(base, labels).items() if key in counts}
