"""What speaks against a deployment: versions that are not there, on this host or on others, or that would break."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.fingerprint import is_fingerprinted
from version_affinity.errors import ConfigurationError, install
from version_affinity.releases.reports.presence import Presence

from .arrival import await_hosts, lacking
from .collisions import collisions
from .context import Build, command_line
from .states import PRUNABLE, standings
from .terminal.progress import progress
from .terminal.text import counted, listed
from .uploaded import uploaded_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from version_affinity.checking import Report, Unchecked
    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.reports.presence import HostReport
    from version_affinity.releases.store.directory import ReleasesDirectory

    from .context import Place

UNKNOWN: Final = "unknown-version"
LACKING: Final = "host-lacks-version"
BROKEN: Final = "broken-reference"
COLLISION: Final = "collision"
OTHER_LOG: Final = "other-log"
LOST: Final = "log-lost"

_APP_FIRST_HINT: Final = "Is a path answered by the application itself? Then name it: --app-first '/api/*'"

_NAMED: Final = 3


class Objection(NamedTuple):
    """A reason not to deploy.

    Attributes:
        kind: One of those above.
        reason: What is wrong, and what helps.
        details: Where, of very many places the first.
    """

    kind: str
    reason: str
    details: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether no ``--force`` overrules it: a log that has lost deployments takes no others while a host knows."""
        return self.kind == LOST


def objections(
    place: Place,
    log: DeploymentLog,
    entries: Sequence[Entry],
    percentages: Mapping[str, float],
    build: Build,
    *,
    wait: float,
) -> tuple[list[Objection], list[str]]:
    """Return what speaks against a deployment, and what should be known about it.

    Args:
        place: The releases.
        log: The log.
        entries: What was read from it.
        percentages: Version id to percentage.
        build: How versions are served.
        wait: Seconds for which live hosts may lack a version, where nothing else speaks against it.
    """
    directory = place.directory()
    uploaded = directory.versions()
    found = [*_elsewhere(place, log, entries), *_lost(log, entries), *_unknown(percentages, uploaded)]
    warnings: list[str] = []
    stands = standings(directory, entries)
    known = [version for version, standing in stands.items() if standing.state != PRUNABLE or version in percentages]
    for version in _new(entries, percentages):
        if version in uploaded:
            found += _colliding(directory, version, known)
            broken, told = _checked(directory, version, known, live_of(entries, known, version), build)
            found += broken
            warnings += told
    missing = await_hosts(log, percentages, 0 if found else wait)
    return [*found, *_lacking(missing)], [*_silent(log), *warnings]


def absent(directory: ReleasesDirectory, log: DeploymentLog, percentages: Iterable[str]) -> list[Objection]:
    """Return what speaks against a deployment because versions are not there: not uploaded, or not on a live host.

    Args:
        directory: The uploaded versions.
        log: The log.
        percentages: The ids of the versions.
    """
    return [*_unknown(percentages, directory.versions()), *_lacking(lacking(log, percentages))]


def hosts_ahead(hosts: Mapping[str, HostReport], log: DeploymentLog, entries: Sequence[Entry]) -> str:
    """Return what is wrong where a host follows a later deployment than the log has; "" where none does.

    Args:
        hosts: The hosts that are alive.
        log: The log.
        entries: What was read from it, be it a while ago.

    Raises:
        LogError: it cannot be read again.
    """
    latest = max((report.revision for report in hosts.values()), default=0)
    if latest > _newest(entries):
        entries = log.read()  # it may have been deployed since
    ahead = [host for host, report in hosts.items() if report.revision > _newest(entries)]
    if not ahead:
        return ""
    has = f"its newest is revision {_newest(entries)}" if entries else "it is empty"
    who = f"the host {ahead[0]} follows" if len(ahead) == 1 else f"the hosts {listed(ahead)} follow up to"
    how = "deployments restore --replace" if entries else "deployments restore"
    return (
        f"{log.description} has lost deployments: {has}, and {who} revision {latest}. Restore its data, or run there: "
        f"{command_line(how)}"
    )


def _newest(entries: Sequence[Entry]) -> int:
    return entries[-1].revision if entries else 0


def _lost(log: DeploymentLog, entries: Sequence[Entry]) -> list[Objection]:
    reason = hosts_ahead(log.hosts(), log, entries) if isinstance(log, Presence) else ""
    return [Objection(LOST, reason)] if reason else []


def _silent(log: DeploymentLog) -> list[str]:
    """Return a warning of the hosts that were alive a short time ago: what they have is not known."""
    silent = log.silent_hosts() if isinstance(log, Presence) else {}
    if not silent:
        return []
    who = f"the host {listed(silent)} has" if len(silent) == 1 else f"the hosts {listed(silent)} have"
    return [f"{who} said nothing for some seconds, and what is there is not waited for"]


def _new(entries: Sequence[Entry], percentages: Mapping[str, float]) -> list[str]:
    """Return the versions that get their first share: those that had one are out there, whatever is wrong with them."""
    before = {version for entry in entries for version, share in entry.percentages.items() if share > 0}
    return [version for version, share in percentages.items() if share > 0 and version not in before]


def _elsewhere(place: Place, log: DeploymentLog, entries: Sequence[Entry]) -> list[Objection]:
    if not place.is_followed_elsewhere(log, entries):
        return []
    reason = (
        f"the application on this host follows another log than {log.description}, or this one has lost "
        f"deployments ({place.copy().path} is what it has read): name its log, as in --log redis://host"
    )
    return [Objection(OTHER_LOG, reason)]


def _unknown(percentages: Iterable[str], uploaded: Mapping[str, object]) -> list[Objection]:
    missing = [version for version in percentages if version not in uploaded]
    if not missing:
        return []
    newest = list(uploaded)[::-1]
    there = f"{', '.join(newest[:_NAMED])}{', ...' if len(newest) > _NAMED else ''}" if newest else "nothing yet"
    verb = "is" if len(missing) == 1 else "are"
    reason = (
        f"{listed(missing)} {verb} not uploaded (uploaded: {there}): "
        f"{command_line(f'versions upload dist/ --id {missing[0]}')}"
    )
    return [Objection(UNKNOWN, reason)]


def _lacking(missing: Mapping[str, Sequence[str]]) -> list[Objection]:
    return [
        Objection(
            LACKING,
            f"the host {host} lacks {listed(versions)}, whose users would get another version there: upload or copy it "
            "there first",
        )
        for host, versions in missing.items()
    ]


def _colliding(directory: ReleasesDirectory, version: str, known: Sequence[str]) -> list[Objection]:
    found = collisions(directory, version, known)
    if not found:
        return []
    reason = (
        f"{version} has {counted(len(found), 'fingerprinted name')} that a known version has with other bytes, so that "
        "pages could get the wrong ones: build it anew, under other names"
    )
    return [Objection(COLLISION, reason, _first([f"{path}  also in {listed(others)}" for path, others in found]))]


def _first(places: list[str]) -> tuple[str, ...]:
    more = [f"and {len(places) - _NAMED:,} more"] if len(places) > _NAMED else []
    return (*places[:_NAMED], *more)


def live_of(entries: Sequence[Entry], known: Iterable[str], version: str) -> str | None:
    """Return the known version that most users have, besides a version; None where there is none."""
    current = entries[-1].percentages if entries else {}
    others = (other for other in known if other != version and current.get(other, 0) > 0)
    return max(others, key=current.__getitem__, default=None)


def _checked(
    directory: ReleasesDirectory, version: str, known: Sequence[str], live: str | None, build: Build
) -> tuple[list[Objection], list[str]]:
    """Return whether references of a version are broken; or that this was not looked at."""
    try:
        from version_affinity.checking import check  # noqa: PLC0415 - an extra
    except (ImportError, ConfigurationError):
        return [], [f"the references of {version} are not checked, and may be broken: {install('check')}"]
    with progress(f"Checking {version}") as tell:
        others = {other: uploaded_build(directory, other) for other in known if other != version}
        checked = uploaded_build(directory, version)
        report = check(checked, known=others, live=live, **build._asdict(), progress=tell)
    told = [*unchecked(report, build), *(f"{version}: {notice.text}" for notice in report.notices)]
    if not report.broken:
        return [], told
    looked = command_line(f"check {version} {build.options}".rstrip())
    hint = remedy(report, build.prefix)
    reason = f"{version} has {counted(len(report.broken), 'broken reference')}; {looked} tells all"
    reason += f". {hint}" if hint else ""
    places = [f"{found.file}:{found.line}  {found.text}: {found.reason}" for found in report.broken]
    return [Objection(BROKEN, reason, _first(places))], told


def remedy(report: Report, prefix: str) -> str:
    """Return what helps with broken references: another prefix, or the application's paths; "" where neither may."""
    if report.prefix:
        return f"The build seems to be made for another prefix than {prefix}: --prefix {report.prefix}"
    may_be_apps = any(
        not found.reason.startswith("it is not served") for found in report.broken if not is_fingerprinted(found.path)
    )
    return _APP_FIRST_HINT if may_be_apps else ""


def unchecked(report: Report, build: Build) -> list[str]:
    """Return what a check has left out, and the options that have it checked."""
    return [
        f"{counted(found.references, 'reference')} to {found.origin} {'was' if found.references == 1 else 'were'} not "
        f"checked{_remedy(found, build)}"
        for found in report.unchecked
    ]


def _remedy(found: Unchecked, build: Build) -> str:
    if found.path and build.prefix != "/":
        return f": the build's files seem to be below {found.path} there, and not below the prefix {build.prefix}"
    return f": {Build(found.path or '/', (), (found.origin,)).options}"
