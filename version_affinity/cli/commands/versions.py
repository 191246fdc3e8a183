"""``versions``: upload, list and view; ``deploy`` has a module of its own."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.assets.loading.fingerprint import reason
from version_affinity.assets.loading.inference import why_not
from version_affinity.assets.loading.inventory import parse_inventory
from version_affinity.cli.context import author, command_line, current_target, target_options
from version_affinity.cli.errors import RefusedError
from version_affinity.cli.groups import Commands, Lazy, command
from version_affinity.cli.options import form
from version_affinity.cli.preflight import NameCollision, name_collisions
from version_affinity.cli.states import PRUNABLE, VersionState, release_dict, version_states
from version_affinity.cli.terminal.output import aligned, emit, is_terminal, json_option, say, styled, table
from version_affinity.cli.terminal.progress import progress
from version_affinity.cli.terminal.text import ago, counted, listed, percent, size, specs
from version_affinity.deployment import check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.releases.follow.reading import published
from version_affinity.releases.log.entries import LogError
from version_affinity.releases.store.contents import verify_version
from version_affinity.releases.store.upload import upload as upload_build
from version_affinity.wire import plain_text, printable, shown

from .completion import complete_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from version_affinity.releases.log.entries import Entry
    from version_affinity.releases.store.directory import ReleasesDirectory
    from version_affinity.releases.store.upload import Uploaded

_TABLE: Final = {
    "upload": Lazy("versions", "upload", "Make a build a version. It is not deployed."),
    "deploy": Lazy("deploy", "deploy", "Say who gets which version."),
    "list": Lazy("versions", "list_versions", "The uploaded versions, and how they stand."),
    "verify": Lazy("versions", "verify", "Read versions again, to find damaged files."),
    "view": Lazy("versions", "view", "What is in a version, and where it was deployed."),
}
_HELP: Final = """Upload, deploy, list and view versions.

  version-affinity versions upload dist/ --id v2
  version-affinity versions deploy v2@10% v1@90%
"""
#: Of a new version, as the next command suggests it.
_FIRST_SHARE: Final = 10.0
#: Those that count when a percentage is typed.
_DECIMALS: Final = 3
_BIGGEST: Final = 10
_LEFT_OUT: Final = 10

versions = Commands("versions", table=_TABLE, help=_HELP)


@command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--id",
    "version",
    metavar="ID",
    callback=form(check_version_id),
    help="Its id. By default, the same content gets the same id.",
)
@click.option("--tag", default="", help="A name for it, such as that of a branch or a release.")
@click.option("-m", "--message", default="", help="What is new in it.")
@click.option("--allow-source", is_flag=True, help="Upload it although it looks like a project's source directory.")
@target_options()
@json_option
def upload(directory: str, version: str | None, tag: str, message: str, allow_source: bool, as_json: bool) -> None:
    """Make the build in DIRECTORY a version.

      version-affinity versions upload dist/
      version-affinity versions upload dist/ --id v2 --tag checkout -m "New checkout"

    From now on it is known to all that follow the releases, and nobody gets it before it is deployed. Files that an
    earlier version has are shared. A version never changes: other content needs another id.
    """
    releases = current_target().directory()
    with progress(f"Uploading {printable(directory)}") as tell:
        uploaded = upload_build(
            releases,
            directory,
            id=version,
            tag=tag,
            message=message,
            author=author(),
            allow_source=allow_source,
            progress=(lambda done, total, _name: tell(done, total)) if tell is not None else None,
        )
    entries: list[Entry] = []
    with suppress(LogError, ConfigurationError):  # it is uploaded, whatever the log says
        entries = current_target().open_log().read()
    colliding = name_collisions(releases, uploaded.id, _shown(releases, entries))
    if as_json:
        emit(
            {
                **release_dict(uploaded),
                "new": uploaded.is_new,
                "mended": uploaded.is_mended,
                "linked": uploaded.linked,
                "skipped": [{"path": plain_text(path), "reason": reason} for path, reason in uploaded.skipped],
                "doubt": uploaded.doubt,
                "collisions": [{"path": path, "versions": list(others)} for path, others in colliding],
            }
        )
        return
    _tell_upload(uploaded, colliding)
    if entries and uploaded.id in entries[-1].percentages:
        return
    say()
    say("Next, give it to a few:" if entries else "Next, deploy it:")
    say(f"  {command_line(f'versions deploy {_next(uploaded.id, entries)}')}")


def _shown(releases: ReleasesDirectory, entries: Sequence[Entry]) -> list[str]:
    """Return the versions that have or had a share, and whose files are still served."""
    kept = [version for version, state in version_states(releases, entries).items() if state.state != PRUNABLE]
    return sorted(published(entries, kept))


def _tell_upload(uploaded: Uploaded, colliding: Sequence[NameCollision]) -> None:
    name, content = styled(uploaded.id, "version"), f"{counted(uploaded.files, 'file')}, {size(uploaded.size)}"
    if uploaded.is_new:
        shared = f"; {uploaded.linked:,} of them shared with earlier versions" if uploaded.linked else ""
        say(f"Uploaded {name}: {content}{shared}")
    elif uploaded.is_mended:
        say(f"{styled('Mended', 'good')} {name}, which had damaged files: {content}")
    else:
        say(f"{name} is there already with this very content, uploaded {ago(uploaded.created)}: {content}")
    if uploaded.doubt:
        say(f"{styled('Warning', 'warning')}: {uploaded.doubt}")
    if uploaded.skipped:
        say(f"{styled('Left out', 'warning')}, or of no use:")
        rows = [[shown(path), reason] for path, reason in uploaded.skipped]
        for line in aligned(rows[:_LEFT_OUT], indent="  "):
            say(line)
        if len(rows) > _LEFT_OUT:
            say(f"  and {len(rows) - _LEFT_OUT:,} more: --json names all")
    if colliding:
        names = counted(len(colliding), "fingerprinted name")
        say(
            f"{styled('Warning', 'warning')}: {names} of {uploaded.id} had other bytes in a version that users got. "
            "Caches may hold those for a year: build it again, under other names, before it is deployed"
        )
        for path, others in colliding[:_LEFT_OUT]:
            say(f"  {printable(path)}  also in {listed(others)}")
        if len(colliding) > _LEFT_OUT:
            say(f"  and {len(colliding) - _LEFT_OUT:,} more: --json names all")


def _next(version: str, entries: Sequence[Entry]) -> str:
    """Return the specs of a first deployment of a version: the others pay in proportion, so that nobody else moves."""
    if not entries:
        return f"{version}@100%"
    current = entries[-1].percentages
    largest = max(current, key=lambda other: current[other])
    left = {other: round(share * (100 - _FIRST_SHARE) / 100, _DECIMALS) for other, share in current.items()}
    left[largest] += 100 - _FIRST_SHARE - math.fsum(left.values())  # what rounding leaves
    return specs({version: _FIRST_SHARE, **left})


@command("list")
@target_options()
@json_option
def list_versions(as_json: bool) -> None:
    """List the uploaded versions, the newest first, and how each one stands.

      version-affinity versions list
      version-affinity versions list --json | jq -r '.[].id'

    A share: it is in the current deployment. "known": no longer, but its files are still served, for the pages that it
    has given out. "can be pruned": its files are not served any more. "unknown": the log cannot be reached.
    """
    target = current_target()
    found = list(reversed(version_states(target.directory(), target.last_known()).values()))
    if as_json:
        emit([state.as_dict() for state in found])
        return
    if not found:
        if is_terminal():
            say(f"Nothing is uploaded yet: {command_line('versions upload dist/')}")
        return
    header = ["VERSION", "STATE", "UPLOADED", "BY", "TAG", "FILES", "SIZE", "MESSAGE"]
    table(header, [_row(state) for state in found], right=(5, 6), flexible=(3, 4))
    if is_terminal():
        say()
        say(styled(f"Retention: {target.directory().retention.in_words()}", "faint"))


def _row(state: VersionState) -> list[str]:
    release = state.release
    people = is_terminal()
    return [
        styled(release.id, "version"),
        state.in_words(),
        ago(release.created) if people else printable(release.created),
        printable(release.author),
        printable(release.tag),
        f"{release.files:,}" if people else str(release.files),
        size(release.size) if people else str(release.size),
        printable(release.message),
    ]


@command()
@click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=complete_version)
@target_options()
@json_option
def verify(ids: tuple[str, ...], as_json: bool) -> None:
    """Hash all files of the versions ID, or of all versions, and name those that were damaged since their upload.

      version-affinity versions verify
      version-affinity versions verify v1 v2

    Exit status: 0 all files are as uploaded, 1 some are not. Upload the same build under the same id to mend a version.
    """
    releases = current_target().directory()
    damaged = {}
    for version in dict.fromkeys(ids or releases.all_ids()):
        check_version_id(version)
        with progress(f"Verifying {printable(version)}") as tell:
            damaged[version] = verify_version(releases, version, tell)
    if as_json:
        emit(
            [
                {"id": version, "damaged": [{"path": plain_text(path), "reason": reason} for path, reason in files]}
                for version, files in damaged.items()
            ]
        )
    else:
        for version, files in damaged.items():
            state = styled("damaged", "bad") if files else styled("as uploaded", "good")
            say(f"{styled(version, 'version')}: {state}")
            for line in aligned([[shown(path), reason] for path, reason in files], indent="  "):
                say(line)
    spoilt = [version for version, files in damaged.items() if files]
    if spoilt:
        build = command_line(f"versions upload DIRECTORY --id {spoilt[0]}")
        raise RefusedError(
            f"{listed(spoilt)} {'has' if len(spoilt) == 1 else 'have'} damaged files: upload the same build under the "
            f"same id, which replaces them ({build}), or restore the files from a backup"
        )


@command()
@click.argument("version", metavar="ID", callback=form(check_version_id), shell_complete=complete_version)
@click.option("--files", "all_files", is_flag=True, help="List each file, and why it is fingerprinted or is not.")
@target_options()
@json_option
def view(version: str, all_files: bool, as_json: bool) -> None:
    """Show what is in the version ID, and in which deployments it was.

      version-affinity versions view v2
      version-affinity versions view v2 --files

    Its content's hash is the same for the same build, on any host and on any day.
    """
    target = current_target()
    releases = target.directory()
    release = releases.release(version)
    entries = target.last_known()
    state = version_states(releases, entries)[release.id]
    files = _files(releases.manifest_path(version).read_bytes())
    if all_files:
        _show_files(files, as_json)
        return
    types = _types(files)
    biggest = sorted(files, key=lambda file: (-file["size"], file["path"]))[:_BIGGEST]
    was_in = [entry for entry in reversed(entries or ()) if version in entry.percentages]
    if as_json:
        deployments = [
            {"revision": entry.revision, "created": entry.created, "percentage": entry.percentages[version]}
            for entry in was_in
        ]
        emit({**state.as_dict(), "types": types, "biggest": biggest, "deployments": deployments})
        return
    state_reason = f" ({state.reason})" if state.reason and state.percentage is None else ""
    facts = [
        ["Version", styled(release.id, "version")],
        ["State", f"{state.in_words()}{state_reason}"],
        ["Uploaded", f"{printable(release.created)} ({ago(release.created)})"],
        ["By", printable(release.author)],
        ["Tag", printable(release.tag)],
        ["Message", printable(release.message)],
        ["Content", f"{counted(release.files, 'file')}, {size(release.size)}, SHA-256 {release.content}"],
    ]
    for line in aligned([fact for fact in facts if fact[1]]):
        say(line)
    _section("Types", [[kind["type"], counted(kind["files"], "file"), size(kind["size"])] for kind in types], (1, 2))
    _section("Biggest files", [[size(file["size"]), printable(file["path"])] for file in biggest], (0,))
    rows = [[f"revision {entry.revision}", percent(entry.percentages[version]), ago(entry.created)] for entry in was_in]
    _section("In deployments", rows or [["none yet" if entries is not None else "unknown"]], (1,))


def _section(title: str, rows: list[list[str]], right: tuple[int, ...]) -> None:
    say()
    say(styled(title, "strong"))
    for line in aligned(rows, right=right if len(rows[0]) > 1 else (), indent="  "):
        say(line)


def _show_files(files: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit(files)
        return
    if not is_terminal():
        table((), [[_standing_of(file), str(file["size"]), file["type"], printable(file["path"])] for file in files])
        return
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(files, key=lambda file: not file["fingerprinted"]):
        by_reason.setdefault(_standing_of(file), []).append(file)
    for heading, those in by_reason.items():
        say(styled(f"{heading[:1].upper()}{heading[1:]} ({counted(len(those), 'file')})", "strong"))
        for file in those:
            kind = file["type"].partition(";")[0].partition("/")[2]
            say(f"  {size(file['size']):>8}  {kind:<12.12}  {printable(file['path'])}")


def _standing_of(file: dict[str, Any]) -> str:
    return f"{'fingerprinted' if file['fingerprinted'] else 'not fingerprinted'}: {file['why']}"


def _files(manifest: bytes) -> list[dict[str, Any]]:
    """Return the files of a version. What release 0.1 uploaded has no reasons: those are computed."""
    found = []
    for path, (length, _, _, kind, fingerprinted, _, why) in parse_inventory(manifest).entries():
        slash = path.rindex("/") + 1
        said = why or ((reason(path[:slash], path[slash:]) or "recorded at upload") if fingerprinted else why_not(path))
        file = {"path": plain_text(path), "size": length, "type": kind, "fingerprinted": fingerprinted, "why": said}
        found.append(file)
    return found


def _types(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the content types by the bytes that they take."""
    count, total = Counter[str](), Counter[str]()
    for file in files:
        kind = file["type"].partition(";")[0]
        count[kind] += 1
        total[kind] += file["size"]
    return [{"type": kind, "files": count[kind], "size": bytes_} for kind, bytes_ in total.most_common()]
