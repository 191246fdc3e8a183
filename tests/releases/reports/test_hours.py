"""Traffic by the hour: what a process counts in each hour, sums over processes, and the last day of it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from version_affinity.counters import Counts, sum_counts
from version_affinity.releases.reports.hours import DAY, Hours, Traffic, earliest, last_day, recent
from version_affinity.releases.reports.report import Report
from version_affinity.releases.reports.totals import Total
from version_affinity.releases.times import format_time

NOON = datetime(2026, 11, 24, 12, 20, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
FIRST = (NOON - datetime(1970, 1, 1, tzinfo=timezone.utc)) // HOUR


def counts(pages: int) -> Counts:
    """Return the counts of a process that has served pages, every other one while v1 had all users."""
    return Counts.from_flat(
        {
            "requests|v1|page|2xx|only": pages // 2,
            "requests|v2|page|5xx|minted": pages - pages // 2,
            "requests|v1|asset|2xx|name": 1000,
            "new_keys|v2": pages // 4,
            "app|v1|2xx": pages,
            "app|v2|5xx": pages // 8,
        }
    )


def test_hours() -> None:
    """What was counted since the last call belongs to the hour; earlier hours stay as they were."""
    hours = Hours()
    assert hours.count(counts(0), NOON) == {}
    first = {f"hour|{FIRST}|pages": 8, f"hour|{FIRST}|alone": 4, f"hour|{FIRST}|new_keys": 2}
    first |= {f"hour|{FIRST}|app": 9, f"hour|{FIRST}|app_errors": 1}
    assert hours.count(counts(8), NOON) == first
    assert hours.count(counts(8), NOON + HOUR) == first
    later = hours.count(counts(18), NOON + HOUR)
    assert {key: later[key] for key in first} == first
    assert later[f"hour|{FIRST + 1}|pages"] == 10
    assert hours.count(counts(18), NOON + 2 * DAY) == {}


def test_counts_that_move() -> None:
    """A version that goes hands its counts over; a reading in between may miss some, and none is counted twice."""
    hours = Hours()
    hours.count(counts(8), NOON)
    hours.count(counts(6), NOON)
    assert hours.count(counts(9), NOON)[f"hour|{FIRST}|pages"] == 9


@given(
    st.lists(st.dictionaries(st.tuples(st.integers(-40, 3), st.sampled_from(Traffic._fields)), st.integers(1, 9))),
    st.randoms(use_true_random=False),
)
def test_folding(processes: list[dict[tuple[int, str], int]], random: object) -> None:
    """The sums do not depend on the order in which processes end, and on when they are added to the total."""
    reports = [
        Report(
            f"{number:016x}",
            1,
            started=format_time(NOON - number * HOUR),
            counts={f"hour|{FIRST + hour}|{name}": count for (hour, name), count in counted.items()},
        )
        for number, counted in enumerate(processes)
    ]
    expected = recent(sum_counts(*(report.counts for report in reports)), NOON)
    total, left = Total(), list(reports)
    while left:
        several = [left.pop(random.randrange(len(left))) for _ in range(random.randint(1, len(left)))]  # type: ignore[attr-defined]
        total = total.with_reports(several, ["v1"], now=NOON)
    assert total.counts == expected
    assert total.since == (format_time(NOON - (len(reports) - 1) * HOUR) if reports else "")


def test_last_day() -> None:
    """The last 24 hours count, the present one included, also those of a clock that is ahead; damaged ones do not."""
    found = {f"hour|{FIRST + hour}|pages": 1 for hour in (-30, -24, -23, 0, 1, 2, 9999)}
    found |= {"hour|x|pages": 1, "hour||": 1, f"hour|{FIRST}|rain": 1, "missing|v1": 5, f"hour|{FIRST}|app": 7}
    assert last_day(found, "", NOON)[0] == Traffic(pages=3, app=7)


@pytest.mark.parametrize(
    ("since", "counted"),
    [
        ("2026-11-24T12:05:00Z", timedelta(minutes=15)),
        ("2026-11-23T13:30:00Z", timedelta(hours=22, minutes=50)),
        ("2026-11-23T12:30:00Z", timedelta(hours=23, minutes=20)),  # of the first of these hours, only a part counts
        ("2026-11-01T00:00:00Z", timedelta(hours=23, minutes=20)),
        ("", timedelta(hours=23, minutes=20)),
    ],
)
def test_how_long_it_was_counted(since: str, counted: timedelta) -> None:
    """The time of counting is that since the first process started, and no longer than a day."""
    assert last_day({}, since, NOON)[1] == counted


def test_earliest() -> None:
    """The first time counts, whatever its form; a damaged one does not."""
    assert earliest(["2026-11-24T05:00:00Z", "2026-11-24T05:00:00+01:00", "", "soon"]) == "2026-11-24T05:00:00+01:00"
    assert earliest([]) == ""
