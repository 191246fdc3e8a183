"""Metrics in Prometheus' text format, and a collector for ``prometheus_client``. Both read when they are scraped.

With ``Releases`` the numbers are those of all workers together: their reports, and the totals of processes that have
ended. So it does not matter which worker answers a scrape, and no counter goes down when a process ends. With a list of
versions the numbers are those of this process alone.

The label ``version`` has the ids of live and retained versions. When a version leaves, its numbers are added to those
of "other". So leave "other" out of rates: it takes over the whole number of a version at once.

If the reports cannot be read, the families that come from them are left out, since a smaller number would look like a
restarted counter. The gauges ``log_up`` and ``reports_up`` say so.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import version_affinity

from .assets.http.conditions import READING
from .assets.http.response import NO_STORE, OK
from .assets.sending import method_answer
from .counters import Counts, LimitedLog, with_others
from .errors import ConfigurationError, install
from .middleware import VersionAffinity
from .ramp.judgement import judge
from .ramp.next_entry import newest_ramp
from .ramp.plan import ACTIVE, STATES, TRANSITIONS, Ramp
from .releases import Releases
from .releases.follow.guard import observed, ramp_key
from .releases.log.entries import LogError
from .releases.reports.report import LOG_ERRORS, Observation
from .releases.times import NEVER, parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from prometheus_client import Metric
    from prometheus_client.registry import Collector

    from .releases.log.entries import Entry
    from .releases.reports.report import Workers
else:
    try:
        from prometheus_client.registry import Collector
    except ImportError:  # an extra
        Collector = object

#: By the name of a family: a label value, or several in a tuple, to a number.
_Values: TypeAlias = dict[str, Mapping[Any, float]]

__all__ = ["MetricsCollector", "metrics_app"]

#: The media type of the text format; its version is that of the format.
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX: Final = "version_affinity_"
_CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")
_ACTIONS: Final = ("deploy", "rollback", "ramp_step", "halt")
# The events by which the workers stop a ramp, or warn.
_HALTS: Final = frozenset(
    event for event, it in TRANSITIONS.items() if it.by == "worker" and ("held" in it.after or event.startswith("halt"))
)
# In a label value (Prometheus, "Exposition formats").
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})

# By name: the type, the labels and the help text.
_FAMILIES: Final[dict[str, tuple[str, tuple[str, ...], str]]] = {
    "requests_total": ("counter", ("version", "kind", "code"), "Requests by the version that was decided."),
    "app_responses_total": ("counter", ("version", "code"), "Answers of the wrapped application alone."),
    "decisions_total": ("counter", ("version", "reason"), "Decisions by reason."),
    "asset_misses_total": ("counter", ("version",), "Assets that no known version has, answered with 404."),
    "rescues_total": ("counter", ("decided", "served"), "Files served from another version than the decided one."),
    "new_keys_total": ("counter", ("version",), "First pages of a key or a bucket, during a split."),
    "refused_overrides_total": ("counter", ("why",), "Overrides and keys that could not be used."),
    "deployment_ratio": ("gauge", ("version",), "The share of the version in the newest deployment, 0 to 1."),
    "deployment_revision": ("gauge", (), "The revision of the newest deployment."),
    "deployment_timestamp_seconds": ("gauge", (), "When the newest deployment was made, in Unix time."),
    "version_loaded": ("gauge", ("version",), "Whether all workers have loaded the version."),
    "workers": ("gauge", ("state",), "Processes that serve the newest deployment (current), or do not (behind)."),
    "reports_up": ("gauge", (), "Whether the reports of the workers can be read, and this process can write its own."),
    "log_up": ("gauge", (), "Whether the workers can read the deployment log and the releases directory."),
    "log_errors_total": ("counter", (), "Readings of the deployment log that failed."),
    "deployments_total": ("counter", ("action",), "Deployments in the log by what they did."),
    "ramp_state": (
        "gauge",
        ("state",),
        "1 for the state of the newest ramp. An end counts until the next deployment.",
    ),
    "ramp_step": ("gauge", (), "The number of the step of the newest ramp, from 1 on."),
    "ramp_evidence_ratio": (
        "gauge",
        ("signal",),
        "Evidence against the new version: 1 halts the ramp.",
    ),
    "build_info": ("gauge", ("package_version",), "The version of the package; the value is 1."),
}


class Family(NamedTuple):
    """One metric with all its series: label values to a number."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    values: Mapping[tuple[str, ...], float]


def metrics_app(source: Releases | VersionAffinity) -> WSGIApplication:
    """Return a WSGI application that answers every path with the metrics, in Prometheus' text format.

    Mount it beside ``VersionAffinity``, not behind it, so that scrapes are not counted and no version hides it. Let
    the server in front refuse its path to all clients except the monitoring.

    Args:
        source: A ``Releases`` or the ``VersionAffinity`` that follows it, for all workers together. A
            ``VersionAffinity`` with a list of versions, for this process alone. A ``Releases`` that no
            ``VersionAffinity`` has opened is read at each scrape, for example by a process that serves nothing else.

    Raises:
        ConfigurationError: The source is neither of them.

    .. versionadded:: 0.2.0

    >>> from werkzeug.middleware.dispatcher import DispatcherMiddleware
    >>> from version_affinity import Releases, VersionAffinity
    >>> from version_affinity.metrics import metrics_app
    >>> affinity = VersionAffinity(app, Releases("releases/"))  # doctest: +SKIP
    >>> application = DispatcherMiddleware(affinity, {"/metrics": metrics_app(affinity)})  # doctest: +SKIP
    """
    checked = _checked(source)
    log = LimitedLog(logging.ERROR)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        if method not in READING:
            status, headers, body = method_answer("GET, HEAD", method, (NO_STORE,))
        else:
            text = as_text(families(checked, log)).encode("utf-8", "replace")
            status, headers = OK, [("Content-Type", CONTENT_TYPE), ("Content-Length", str(len(text))), NO_STORE]
            body = [] if method == "HEAD" else [text]
        start_response(status, headers)
        return body

    return application


class MetricsCollector(Collector):
    """The same metrics for a registry of ``prometheus_client`` (extra ``prometheus``).

    Args:
        source: As for ``metrics_app``.

    Raises:
        ConfigurationError: The source cannot be used, or ``prometheus_client`` is not installed.

    .. versionadded:: 0.2.0

    >>> from prometheus_client import REGISTRY
    >>> from version_affinity.metrics import MetricsCollector
    >>> REGISTRY.register(MetricsCollector(affinity))  # doctest: +SKIP
    """

    def __init__(self, source: Releases | VersionAffinity) -> None:
        if Collector is object:
            raise ConfigurationError(f"MetricsCollector needs the package prometheus_client: {install('prometheus')}")
        self._source = _checked(source)
        self._log = LimitedLog(logging.ERROR)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        return map(_as_metric, families(self._source, self._log))

    def describe(self) -> Iterator[Metric]:
        """Yield the metrics without their values, for the registry's check of names."""
        return map(_as_metric, _families({name: {} for name in _FAMILIES}))


def _checked(source: Releases | VersionAffinity) -> Releases | VersionAffinity:
    """Return what is read at a scrape: the ``Releases`` if there are any."""
    found = source.source if isinstance(source, VersionAffinity) else source
    if isinstance(found, Releases):
        return found
    if not isinstance(source, VersionAffinity):
        raise ConfigurationError(f"{source!r} has no metrics: give a VersionAffinity, or the Releases that it follows")
    return source


# --- what is exported -------------------------------------------------------------------------------------------------


def families(source: Releases | VersionAffinity, log: LimitedLog) -> list[Family]:
    """Return the metrics as they are now. An error is logged, and the gauges show it."""
    if isinstance(source, VersionAffinity):
        return _of_process(source)
    try:
        return families_of(source.observe())
    except (ConfigurationError, LogError, OSError) as error:  # a directory that no VersionAffinity has opened yet
        log("the metrics of the releases cannot be read: %s", error)
        return families_of(Observation((), None, str(error)))


def families_of(observation: Observation) -> list[Family]:
    """Return the metrics of all workers that follow releases."""
    entries, workers, error, report_error = observation
    live = workers.live if workers is not None else ()
    percentages = entries[-1].percentages if entries else {}
    values: _Values = {
        "log_up": _number(int(not error and not any(report.error for report in live))),
        "reports_up": _number(int(workers is not None and not report_error)),
        "deployments_total": {**dict.fromkeys(_ACTIONS, 0), **Counter(_actions(entries))},
        **_of_ramp(entries, workers),
    }
    if entries:
        values |= _deployed(percentages, entries[-1].revision)
        created = parse_time(entries[-1].created)
        if created != NEVER:
            values["deployment_timestamp_seconds"] = _number(int(created.timestamp()))
    if workers is not None:
        known = _shown(percentages, workers)
        loaded = workers.loaded_by_all() or frozenset()
        behind = len(workers.lagging(entries[-1])) if entries else 0
        counts = with_others(workers.counts, known) if live else workers.counts
        values |= _counted(Counts.from_flat(counts), percentages)
        values["log_errors_total"] = _number(counts.get(LOG_ERRORS, 0))
        values["workers"] = {"current": len(live) - behind, "behind": behind}
        values["version_loaded"] = {version: int(version in loaded) for version in known}
    return _families(values)


def _of_process(affinity: VersionAffinity) -> list[Family]:
    """Return the metrics of this process, whose versions were listed."""
    deployment, known = affinity.deployment, affinity.known
    counts = Counts.from_flat(with_others(affinity.counters().flat(), known))
    return _families(
        {
            **_counted(counts, deployment.percentages),
            **_deployed(deployment.percentages, deployment.revision),
            "version_loaded": dict.fromkeys(known, 1),
        }
    )


def _shown(percentages: Mapping[str, float], workers: Workers) -> set[str]:
    """Return the versions that have series of their own.

    Workers forget a version one after the other. Its series ends with the first of them, so that it never goes down.
    """
    known = {version for report in workers.live for version in report.known}
    left = {version for report in workers.live for version in report.left}
    return (known - left) | percentages.keys()


def _counted(counts: Counts, percentages: Mapping[str, float]) -> _Values:
    """Return the counters of requests. Those that alerts watch begin with 0, so that the first event is an increase."""
    requests: Counter[tuple[str, ...]] = Counter()
    for (version, kind, code, _), number in counts.requests.items():
        requests[version, kind, code] += number
    zeros = dict.fromkeys(percentages, 0)
    app = {(version, code): 0 for version in percentages for code in _CLASSES}
    return {
        "requests_total": requests,
        "app_responses_total": {**app, **counts.app},
        "decisions_total": counts.decisions,
        "asset_misses_total": {**zeros, **counts.missing},
        "rescues_total": counts.rescues,
        "new_keys_total": {**zeros, **counts.new_keys},
        "refused_overrides_total": counts.refused,
    }


def _deployed(percentages: Mapping[str, float], revision: int) -> _Values:
    return {
        "deployment_ratio": {version: share / 100 for version, share in percentages.items()},
        "deployment_revision": _number(revision),
    }


def _actions(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield what each deployment did, and each entry of a ramp that moves users or halts the ramp.

    A rollback gives all users a version that had all of them before, or aborts a ramp.
    """
    complete: set[str] = set()
    before: dict[str, float] = {}
    for entry in entries:
        shares = {version: share for version, share in entry.percentages.items() if share > 0}
        is_whole = len(shares) == 1
        if entry.ramp is None:
            goes_back = shares.keys() != before.keys() and is_whole and not shares.keys().isdisjoint(complete)
            yield "rollback" if goes_back else "deploy"
        elif entry.ramp_event in _HALTS:
            yield "halt"
        elif shares != before:
            yield "rollback" if entry.ramp_event == "abort" else "ramp_step"
        if is_whole:
            complete.update(shares)
        before = shares


def _of_ramp(entries: Sequence[Entry], workers: Workers | None) -> _Values:
    """Return the state of the newest ramp, and what its guard finds while it goes on."""
    values: _Values = {"ramp_state": {}, "ramp_step": {}, "ramp_evidence_ratio": {}}
    try:
        found, state = newest_ramp(entries)
        history = [Ramp.from_json(entry.ramp) for entry in found]
    except ConfigurationError:  # of a later release
        return values
    if not history:
        return values
    # An end is news until the next deployment: an alert would go on for ever.
    is_current = state == "superseded" or found[-1] is entries[-1]
    values["ramp_state"] = {it: int(it == state and is_current) for it in STATES}
    values["ramp_step"] = _number(history[-1].step)
    if state in ACTIVE and workers is not None:
        seen = observed(workers, ramp_key(found), fresh_for=timedelta(0), silent_for=timedelta(0))
        signals = judge(history, seen).evidence["signals"]
        values["ramp_evidence_ratio"] = {signal: it["ratio"] for signal, it in signals.items()}
    return values


def _families(values: _Values) -> list[Family]:
    every: _Values = {**values, "build_info": {version_affinity.__version__: 1}}
    return [
        Family(name, *row, {(key,) if isinstance(key, str) else key: value for key, value in every[name].items()})
        for name, row in _FAMILIES.items()
        if name in every
    ]


def _number(value: float) -> dict[tuple[()], float]:
    return {(): value}


# --- how it is written ------------------------------------------------------------------------------------------------


def as_text(found: Iterable[Family]) -> str:
    """Return metrics in Prometheus' text format, version 0.0.4."""
    lines = []
    for family in found:
        name = _PREFIX + family.name
        lines += [f"# HELP {name} {family.help}", f"# TYPE {name} {family.type}"]
        for labels, value in sorted(family.values.items()):
            pairs = zip(family.labels, (label.translate(_ESCAPES) for label in labels), strict=True)
            listed = ",".join(f'{label}="{text}"' for label, text in pairs)
            lines.append(f"{name}{{{listed}}} {value}" if listed else f"{name} {value}")
    return "\n".join([*lines, ""])


def as_documents(found: Iterable[Family]) -> list[dict[str, Any]]:
    """Return metrics for JSON."""
    return [
        {
            "name": _PREFIX + family.name,
            "type": family.type,
            "help": family.help,
            "samples": [
                {"labels": dict(zip(family.labels, labels, strict=True)), "value": value}
                for labels, value in sorted(family.values.items())
            ],
        }
        for family in found
    ]


def _as_metric(family: Family) -> Metric:
    from prometheus_client import Metric  # noqa: PLC0415 - an extra

    metric = Metric(_PREFIX + family.name.removesuffix("_total"), family.help, family.type)
    for labels, value in family.values.items():
        metric.add_sample(_PREFIX + family.name, dict(zip(family.labels, labels, strict=True)), value)
    return metric
