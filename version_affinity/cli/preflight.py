"""The checks before a deployment: are its versions on all hosts, and are they fit to be deployed?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.loading.fingerprint import is_fingerprinted
from version_affinity.assets.loading.inventory import InventoryError, parse_inventory
from version_affinity.assets.static import StaticAssets
from version_affinity.errors import ConfigurationError, install
from version_affinity.releases.log.entries import LogUnavailableError
from version_affinity.releases.reports.report import LOADING, NOT_THERE, Workers
from version_affinity.releases.store.settings import Serving
from version_affinity.wire import plain_text, printable

from .context import BuildOptions, command_line, current_target, known_versions
from .interaction import progress, started, waiting
from .output import counted, listed, sentence, short_id
from .workers import Patience, read_workers, unreported

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from version_affinity.assets.routing import NotFoundHandling
    from version_affinity.checking import BuildReport
    from version_affinity.releases.log.entries import DeploymentLog, Entry
    from version_affinity.releases.store.directory import Release, ReleasesDirectory

    from .context import Target

#: The kind of objection that ``--force`` does not overrule.
LOG_LOST: Final = "log-lost"
_UNUSABLE: Final = "unusable-version"
# How many versions, hosts or files a message names.
_NAMED: Final = 3
# Seconds between two looks at the hosts' reports.
_INTERVAL: Final = 0.2


class Objection(NamedTuple):
    """A reason not to deploy: the cause and the remedy, and in ``details`` the first few places.

    ``kind`` is "unknown-version", "unusable-version", "host-lacks-version", "broken-reference", "collision",
    "other-log" or ``LOG_LOST``.
    """

    kind: str
    reason: str
    details: tuple[str, ...] = ()


def objections(
    log: DeploymentLog, entries: Sequence[Entry], percentages: Mapping[str, float], given: Serving, wait: Patience
) -> tuple[list[Objection], list[str]]:
    """Return the reasons not to deploy, and warnings. Without another reason, wait for lagging hosts.

    ``given`` are the options that say how builds are served.
    """
    target = current_target()
    directory = target.directory
    uploaded = directory.versions()
    ahead = workers_ahead(read_workers(directory, log), log, entries)
    is_lost = bool(ahead) and not entries
    other_log = "" if is_lost else target.other_log(log, entries)
    found = [Objection(LOG_LOST, ahead)] if is_lost else [Objection("other-log", other_log)] if other_log else []
    found += _unknown(percentages, uploaded)
    warnings = [ahead] if ahead and not found else []
    needed = known_versions(directory, entries)
    known = [version for version in uploaded if version in needed or version in percentages]
    present = {version for version in percentages if version in uploaded}
    out = {version for entry in entries for version, share in entry.percentages.items() if share > 0}
    for version, share in percentages.items():
        if share > 0 and version in uploaded and version not in out:  # pages of the others are out already
            same = same_content(uploaded, version, entries)
            if same:
                warnings.append(f"{version} has the same content as {listed(same)}, which has users already")
            found += _colliding(directory, version, known)
            broken, more = _check(directory, version, known, live_of(entries, known, version), given)
            found += broken
            warnings += more
            if any(it.kind == _UNUSABLE for it in broken):
                present.remove(version)  # what the workers say of it is the same
    workers = _await_versions(directory, log, percentages, Patience(0) if found else wait)
    warnings += unreported(workers)
    return [*found, *_lacking(workers, [it for it in percentages if it in present])], warnings


def absent(directory: ReleasesDirectory, log: DeploymentLog, versions: Iterable[str]) -> list[Objection]:
    """Return the objections to versions that are not uploaded, or that a live host does not have."""
    return [*_unknown(versions, directory.versions()), *_lacking(read_workers(directory, log), versions)]


def workers_ahead(workers: Workers, log: DeploymentLog, entries: Sequence[Entry]) -> str:
    """Return a message if workers follow a later deployment than the log has; else "".

    ``entries`` may have been read some time ago: the log is read again before it is called lost.
    """
    if workers.ahead(newest_revision(entries)):
        entries = log.read()  # a deployment may have been added since
    ahead = workers.ahead(newest_revision(entries))
    if not ahead:
        return ""
    hosts = list(dict.fromkeys(printable(report.host) for report in ahead))
    who = f"the host {hosts[0]} follows" if len(hosts) == 1 else f"the hosts {listed(hosts)} follow up to"
    latest = max(report.log_revision for report in ahead)
    if entries:
        newest, restore = newest_revision(entries), command_line("deployments restore --replace")
        return (
            f"{who} revision {latest}, and the newest in {log.description} is revision {newest}: it follows another "
            f"log, or this log has lost deployments (to restore them, run there: {restore})"
        )
    return (
        f"{log.description} has lost deployments: it is empty, but {who} revision {latest}. Restore the data of the "
        f"log, or run on such a host: {command_line('deployments restore')}"
    )


class LastKnown(NamedTuple):
    """The worker reports and the deployments, as far as both can be read.

    Attributes:
        log_error: Why the log cannot be read, so that the deployments are those of this host's copy; "" if it can.
    """

    workers: Workers
    entries: Sequence[Entry]
    warnings: list[str]
    log_error: str


def last_known(target: Target, log: DeploymentLog) -> LastKnown:
    """Return the worker reports and the deployments. Raises ``LogError`` if this host has no copy of the log either."""
    # Read the reports before the log, so that the log has every revision that the workers follow.
    workers = read_workers(target.directory, log)
    try:
        entries = log.read()
        warnings = [target.other_log(log, entries), workers_ahead(workers, log, entries)]
    except LogUnavailableError as error:
        copied, warning = target.copied_entries(error)
        if copied is None:
            raise
        return LastKnown(workers, copied, [warning], str(error))
    return LastKnown(workers, entries, list(filter(None, warnings)), "")


def newest_revision(entries: Sequence[Entry]) -> int:
    """Return the revision of the current deployment; 0 if there is none."""
    return entries[-1].revision if entries else 0


def live_of(entries: Sequence[Entry], known: Iterable[str], version: str) -> str | None:
    """Return the known version that most users have, besides ``version``; None if there is none."""
    current = entries[-1].percentages if entries else {}
    others = (other for other in known if other != version and current.get(other, 0) > 0)
    return max(others, key=current.__getitem__, default=None)


def same_content(uploaded: Mapping[str, Release], version: str, entries: Sequence[Entry]) -> list[str]:
    """Return the other versions that users have, and that have the same content."""
    content = uploaded[version].content
    live = entries[-1].live if entries else ()
    return [it for it in live if it != version and it in uploaded and content and uploaded[it].content == content]


def uploaded_build(
    directory: ReleasesDirectory, version: str, not_found_handling: NotFoundHandling = "none"
) -> StaticAssets:
    """Return an uploaded version as a build, loaded from its manifest, without file contents."""
    manifest = directory.inventory(version)
    path = directory.build_path(version)
    return StaticAssets(path, manifest=manifest, memory=0, not_found_handling=not_found_handling)


def name_collisions(directory: ReleasesDirectory, version: str, others: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return the fingerprinted names of an uploaded version that have other bytes in others, and in which of them."""
    own = _digests(directory, version)
    found: dict[str, list[str]] = {}
    for other in others:
        if other == version:
            continue
        for path, (digest, fingerprinted) in _digests(directory, other).items():
            if path.endswith(".map"):
                continue  # pages do not load it, and where it differs it is served with no-cache
            mine = own.get(path)
            if mine is not None and mine[0] != digest and (fingerprinted or mine[1]):
                found.setdefault(path, []).append(other)
    return [(plain_text(path), versions) for path, versions in sorted(found.items())]


def hints(report: BuildReport, prefix: str) -> str:
    """Return the likely remedy for broken references: another prefix, or ``--app-first``; "" if neither is likely."""
    if report.prefix:
        return f"The build seems to be made for another prefix than {prefix}: --prefix {report.prefix}"
    doubtful = (found for found in report.broken if not is_fingerprinted(found.path))
    may_be_application = any(not found.reason.startswith("it is not served") for found in doubtful)
    return "Does the application answer such a path? Then add --app-first '/api/*'" if may_be_application else ""


def unchecked_references(report: BuildReport, build: BuildOptions) -> list[str]:
    """Return which references were not checked, and the options that check them."""
    texts = []
    for found in report.unchecked:
        were = "was" if found.references == 1 else "were"
        text = f"{counted(found.references, 'reference')} to {found.origin} {were} not checked"
        if found.path and build.prefix != "/":
            text += f": the build's files seem to be below {found.path} there, not below the prefix {build.prefix}"
        else:
            needed = Serving(prefix=found.path or None, origins=(found.origin,))
            text += f". To check them: {needed.as_options()}"
        texts.append(text)
    return texts


def _unknown(versions: Iterable[str], uploaded: Mapping[str, object]) -> list[Objection]:
    missing = [version for version in versions if version not in uploaded]
    if not missing:
        return []
    newest = list(uploaded)[::-1]
    there = f"{', '.join(newest[:_NAMED])}{', ...' if len(newest) > _NAMED else ''}" if newest else "nothing yet"
    verb = "is" if len(missing) == 1 else "are"
    upload = command_line(f"versions upload dist/ --id {missing[0]}")
    meant = next(filter(None, map(current_target().directory.meant, missing)), "")
    number = next((version for version in missing if version.isdecimal()), "")
    meant = meant or (f". To give a version {number} %, write ID@{number}" if number else "")
    mark = "" if meant.endswith("?") else "."
    reason = f"{listed(missing)} {verb} not uploaded (uploaded: {there}){meant}{mark} To upload {missing[0]}: {upload}"
    return [Objection("unknown-version", reason)]


def _lacking(workers: Workers, versions: Iterable[str]) -> list[Objection]:
    unloadable = workers.unloadable(versions)
    found = [Objection(_UNUSABLE, f"no worker can load {it}: {reason}") for it, reason in unloadable.items()]
    for host, missing in workers.lacking(version for version in versions if version not in unloadable).items():
        loading = [version for version, reason in missing.items() if reason == LOADING]
        if loading:
            what = f"the host {printable(host)} is still loading {listed(loading)}: its users would get another version"
            found.append(Objection("host-lacks-version", f"{what}. Wait longer (--wait 60), or deploy later"))
        absent = {version: reason for version, reason in missing.items() if version not in loading}
        if not absent:
            continue
        reasons = list(dict.fromkeys(reason for reason in absent.values() if reason != NOT_THERE))
        it = "it" if len(absent) == 1 else "them"
        remedy = f"{it} cannot be loaded there: {reasons[0]}" if reasons else f"upload or copy {it} to that host first"
        what = f"the host {printable(host)} lacks {listed(absent)}: its users would get another version"
        found.append(Objection("host-lacks-version", f"{what}. {sentence(remedy)}"))
    return found


def _await_versions(
    directory: ReleasesDirectory, log: DeploymentLog, versions: Iterable[str], patience: Patience
) -> Workers:
    """Wait until the workers of every host have the versions; return their last reports.

    A worker reports a version a moment after its upload or copy. A version that no worker can load is not waited for.
    """
    wanted = list(versions)

    def look() -> tuple[Workers, dict[str, dict[str, str]]]:
        workers = read_workers(directory, log)
        return workers, {} if workers.unloadable(wanted) else workers.lacking(wanted)

    with patience.spent() as until:
        workers, missing = look()
        if missing and patience.left:
            started(_label(missing, patience.left))
        while missing and (left := until - time.monotonic()) > 0:
            with waiting(_label(missing, left)):
                before = missing
                while missing == before and (left := until - time.monotonic()) > 0:
                    time.sleep(min(_INTERVAL, left))
                    workers, missing = look()
    return workers


def _label(missing: Mapping[str, Iterable[str]], seconds: float) -> str:
    """Return "Waiting for v2 on web-1 and web-2, up to 10 seconds"."""
    hosts = [printable(host) for host in missing]
    if len(hosts) > _NAMED:
        hosts[_NAMED:] = [f"{len(hosts) - _NAMED} more"]
    versions = dict.fromkeys(version for versions in missing.values() for version in versions)
    return (
        f"Waiting for {listed(map(short_id, versions))} on {listed(hosts)}, up to {counted(round(seconds), 'second')}"
    )


def _colliding(directory: ReleasesDirectory, version: str, known: Sequence[str]) -> list[Objection]:
    found = name_collisions(directory, version, known)
    if not found:
        return []
    reason = (
        f"{version} has {counted(len(found), 'fingerprinted name')} with other bytes in a known version: pages could "
        "load the wrong file. Build it again, under other names"
    )
    return [Objection("collision", reason, _first([f"{path}  also in {listed(others)}" for path, others in found]))]


def _digests(directory: ReleasesDirectory, version: str) -> dict[str, tuple[bytes, bool]]:
    """Return the content hash of each file, and whether it is fingerprinted; nothing for a version that is gone."""
    try:
        inventory = parse_inventory(directory.manifest_path(version).read_bytes())
    except (FileNotFoundError, InventoryError):
        return {}
    return {path: (entry.digest, entry.fingerprinted) for path, entry in inventory.files.items()}


def _check(
    directory: ReleasesDirectory, version: str, known: Sequence[str], live: str | None, given: Serving
) -> tuple[list[Objection], list[str]]:
    """Check that a version can be loaded, and its references; return objections and warnings."""
    build = current_target().build_options(given)
    try:
        checked = uploaded_build(directory, version, build.not_found_handling)
    except ConfigurationError as error:
        return [Objection(_UNUSABLE, f"no worker can load {version}: {error}")], []
    try:
        from version_affinity.checking import check_build  # noqa: PLC0415 - an extra
    except ImportError:
        return [], [f"the references of {version} are not checked and may be broken. To check them: {install('check')}"]
    with progress(f"Checking {short_id(version)}") as step:
        others = {other: uploaded_build(directory, other) for other in known if other != version}
        report = check_build(checked, known=others, live=live, **build.of_check(), progress=step)
    warnings = [*unchecked_references(report, build), *(f"{version}: {notice.text}" for notice in report.notices)]
    if not report.broken:
        return [], warnings
    command = command_line(f"check {version} {given.as_options()}".rstrip())
    hint = hints(report, build.prefix)
    reason = f"{version} has {counted(len(report.broken), 'broken reference')}. To list all: {command}"
    reason += f". {hint}" if hint else ""
    places = [f"{found.file}:{found.line}  {found.text}: {found.reason}" for found in report.broken]
    return [Objection("broken-reference", reason, _first(places))], warnings


def _first(places: list[str]) -> tuple[str, ...]:
    more = [f"and {len(places) - _NAMED:,} more"] if len(places) > _NAMED else []
    return (*places[:_NAMED], *more)
