"""What speaks against a deployment: versions that are not there, on this host or on others, or that would break."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from version_affinity.assets.loading.fingerprint import is_fingerprinted
from version_affinity.assets.loading.inventory import InventoryError, parse_inventory
from version_affinity.assets.loading.media import is_source_map
from version_affinity.assets.static import StaticAssets
from version_affinity.errors import ConfigurationError, install
from version_affinity.releases.reports.presence import Presence
from version_affinity.wire import plain_text, printable

from .context import BuildOptions, command_line
from .states import PRUNABLE, version_states
from .terminal.progress import progress, started, waiting
from .terminal.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from version_affinity.checking import BuildReport, Unchecked
    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.reports.presence import HostReport
    from version_affinity.releases.store.directory import ReleasesDirectory

    from .context import Target


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
    target: Target,
    log: DeploymentLog,
    entries: Sequence[Entry],
    percentages: Mapping[str, float],
    build: BuildOptions,
    *,
    wait: float,
) -> tuple[list[Objection], list[str]]:
    """Return what speaks against a deployment, and what should be known about it.

    Args:
        target: The releases.
        log: The log.
        entries: What was read from it.
        percentages: Version id to percentage.
        build: How versions are served.
        wait: Seconds for which live hosts may lack a version, where nothing else speaks against it.
    """
    directory = target.directory()
    uploaded = directory.versions()
    found = [*_elsewhere(target, log, entries), *_lost(log, entries), *_unknown(percentages, uploaded)]
    warnings: list[str] = []
    stands = version_states(directory, entries)
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


def _elsewhere(target: Target, log: DeploymentLog, entries: Sequence[Entry]) -> list[Objection]:
    if not target.is_followed_elsewhere(log, entries):
        return []
    reason = (
        f"the application on this host follows another log than {log.description}, or this one has lost "
        f"deployments ({target.copy().path} is what it has read): name its log, as in --log redis://host"
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
    found = name_collisions(directory, version, known)
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
    directory: ReleasesDirectory, version: str, known: Sequence[str], live: str | None, build: BuildOptions
) -> tuple[list[Objection], list[str]]:
    """Return whether references of a version are broken; or that this was not looked at."""
    try:
        from version_affinity.checking import check_build  # noqa: PLC0415 - an extra
    except (ImportError, ConfigurationError):
        return [], [f"the references of {version} are not checked, and may be broken: {install('check')}"]
    with progress(f"Checking {version}") as tell:
        others = {other: uploaded_build(directory, other) for other in known if other != version}
        checked = uploaded_build(directory, version)
        report = check_build(checked, known=others, live=live, **build._asdict(), progress=tell)
    told = [*unchecked(report, build), *(f"{version}: {notice.text}" for notice in report.notices)]
    if not report.broken:
        return [], told
    looked = command_line(f"check {version} {build.options}".rstrip())
    hint = remedy(report, build.prefix)
    reason = f"{version} has {counted(len(report.broken), 'broken reference')}; {looked} tells all"
    reason += f". {hint}" if hint else ""
    places = [f"{found.file}:{found.line}  {found.text}: {found.reason}" for found in report.broken]
    return [Objection(BROKEN, reason, _first(places))], told


def remedy(report: BuildReport, prefix: str) -> str:
    """Return what helps with broken references: another prefix, or the application's paths; "" where neither may."""
    if report.prefix:
        return f"The build seems to be made for another prefix than {prefix}: --prefix {report.prefix}"
    may_be_apps = any(
        not found.reason.startswith("it is not served") for found in report.broken if not is_fingerprinted(found.path)
    )
    return _APP_FIRST_HINT if may_be_apps else ""


def unchecked(report: BuildReport, build: BuildOptions) -> list[str]:
    """Return what a check has left out, and the options that have it checked."""
    return [
        f"{counted(found.references, 'reference')} to {found.origin} {'was' if found.references == 1 else 'were'} not "
        f"checked{_remedy(found, build)}"
        for found in report.unchecked
    ]


def _remedy(found: Unchecked, build: BuildOptions) -> str:
    if found.path and build.prefix != "/":
        return f": the build's files seem to be below {found.path} there, and not below the prefix {build.prefix}"
    return f": {BuildOptions(found.path or '/', (), (found.origin,)).options}"


# Seconds between two looks.
_INTERVAL: Final = 0.2


def lacking(log: DeploymentLog, versions: Iterable[str]) -> dict[str, list[str]]:
    """Return the live hosts that lack versions, and which; none where the log is not one in which hosts report.

    Args:
        log: The log.
        versions: The ids of the versions.
    """
    if not isinstance(log, Presence):
        return {}
    wanted = list(versions)
    missing = {host: [it for it in wanted if it not in report.versions] for host, report in log.hosts().items()}
    return {host: lacked for host, lacked in missing.items() if lacked}


def await_hosts(log: DeploymentLog, versions: Iterable[str], seconds: float) -> dict[str, list[str]]:
    """Wait until every live host holds versions, for some seconds at most; return who still lacks which.

    Args:
        log: The log.
        versions: The ids of the versions.
        seconds: How long.
    """
    wanted, until = list(versions), time.monotonic() + seconds
    missing = lacking(log, wanted)
    if missing and seconds:
        started(_told(missing, seconds))
    while missing and (left := until - time.monotonic()) > 0:
        with waiting(_told(missing, left)):
            before = missing
            while missing == before and (left := until - time.monotonic()) > 0:
                time.sleep(min(_INTERVAL, left))
                missing = lacking(log, wanted)
    return missing


def _told(missing: Mapping[str, Sequence[str]], seconds: float) -> str:
    return f"Waiting for {_expected(missing)}, up to {counted(round(seconds), 'second')}"


def _expected(missing: Mapping[str, Sequence[str]]) -> str:
    """Return what is missing, and where: "v2 on web-1 and web-2"."""
    hosts = [printable(host) for host in missing]
    if len(hosts) > _NAMED:
        hosts[_NAMED:] = [f"{len(hosts) - _NAMED} more"]
    return f"{listed(dict.fromkeys(it for lacked in missing.values() for it in lacked))} on {listed(hosts)}"


def uploaded_build(directory: ReleasesDirectory, version: str) -> StaticAssets:
    """Return the build of an uploaded version.

    Raises:
        ConfigurationError: there is none, or it cannot be loaded.
    """
    directory.release(version)
    manifest: dict[str, Any] = json.loads(directory.manifest_path(version).read_bytes())
    return StaticAssets(directory.build_path(version), manifest=manifest, memory=0)


class NameCollision(NamedTuple):
    """A fingerprinted name, and the versions in which it stands for other bytes."""

    path: str
    versions: tuple[str, ...]


def name_collisions(directory: ReleasesDirectory, version: str, others: Iterable[str]) -> list[NameCollision]:
    """Return the collisions of an uploaded version with others, in the order of their names.

    A version that is not here, or was removed a moment ago, has none.

    Args:
        directory: The uploaded versions.
        version: The version.
        others: The ids of those that it is compared with.
    """
    own = _files(directory, version)
    found: dict[str, list[str]] = {}
    for other in others:
        if other == version:
            continue
        for path, (digest, fingerprinted) in _files(directory, other).items():
            if is_source_map(path):
                continue  # pages do not load it, and it is served with no-cache where it differs
            mine = own.get(path)
            if mine is not None and mine[0] != digest and (fingerprinted or mine[1]):
                found.setdefault(path, []).append(other)
    return [NameCollision(plain_text(path), tuple(versions)) for path, versions in sorted(found.items())]


def _files(directory: ReleasesDirectory, version: str) -> dict[str, tuple[bytes, bool]]:
    """Return the content hash of each file, and whether its name carries it."""
    try:
        inventory = parse_inventory(directory.manifest_path(version).read_bytes())
    except (FileNotFoundError, InventoryError):
        return {}
    return {path: (entry[2], entry[4]) for path, entry in inventory.files.items() if isinstance(entry, tuple)}
