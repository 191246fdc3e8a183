"""``versions view``: show the files of a version and its deployments."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from version_affinity.assets.loading.fingerprint import reason
from version_affinity.assets.loading.inference import why_not
from version_affinity.cli.context import command, current_target, version_states
from version_affinity.cli.options import checked_by
from version_affinity.cli.output import (
    counted,
    emit,
    is_terminal,
    percent,
    say,
    say_facts,
    say_heading,
    say_rows,
    size,
    styled,
)
from version_affinity.cli.times import when
from version_affinity.deployment import check_version_id
from version_affinity.wire import plain_text, printable

from .completion import complete_version

if TYPE_CHECKING:
    from version_affinity.assets.loading.inventory import Inventory

_BIGGEST: Final = 10


@command()
@click.argument("version", metavar="ID", callback=checked_by(check_version_id), shell_complete=complete_version)
@click.option("--files", "all_files", is_flag=True, help="List all files, and why each one is fingerprinted or not.")
def view(version: str, all_files: bool, as_json: bool) -> None:
    """Show the files of the version ID, and the deployments that contain it.

      version-affinity versions view v2
      version-affinity versions view v2 --files

    The SHA-256 of the content is the same for the same build, on any host.
    """
    target = current_target()
    releases = target.directory
    version = target.version_id(version)
    release = releases.release(version)
    entries = target.last_known_entries()
    state = version_states(releases, entries)[release.id]
    files = _files(releases.inventory(version))
    if all_files:
        _show_files(files, as_json)
        return
    types = _types(files)
    biggest = sorted(files, key=lambda file: (-file["size"], file["path"]))[:_BIGGEST]
    deployments: list[dict[str, Any]] = [
        {"revision": entry.revision, "created": entry.created, "percentage": entry.percentages[version]}
        for entry in reversed(entries or ())
        if version in entry.percentages
    ]
    if as_json:
        emit({**state.as_dict(), "types": types, "biggest": biggest, "deployments": deployments})
        return
    why_known = f" ({state.reason})" if state.reason and state.percentage is None else ""
    facts = [
        ("Version", styled(release.id, "strong")),
        ("State", f"{state.in_words()}{why_known}"),
        ("Uploaded", when(release.created)),
        ("By", printable(release.author)),
        ("Tag", printable(release.tag)),
        ("Message", printable(release.message)),
        ("Content", f"{counted(release.files, 'file')}, {size(release.size)}, SHA-256 {printable(release.content)}"),
    ]
    say_facts(facts)
    _section(
        "Types",
        [[printable(kind["type"]), counted(kind["files"], "file"), size(kind["size"])] for kind in types],
        (1, 2),
    )
    _section("Biggest files", [[size(file["size"]), printable(file["path"])] for file in biggest], (0,))
    rows = [[f"revision {it['revision']}", percent(it["percentage"]), when(it["created"])] for it in deployments]
    _section("Deployments", rows or [["none yet" if entries is not None else "unknown"]], (1,))


def _section(title: str, rows: list[list[str]], right: tuple[int, ...]) -> None:
    say_heading(title)
    say_rows(rows, right=right)


def _show_files(files: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        emit(files)
        return
    if not is_terminal():
        for file in files:
            say("\t".join([_why(file), str(file["size"]), printable(file["type"]), printable(file["path"])]))
        return
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(files, key=lambda file: not file["fingerprinted"]):
        by_reason.setdefault(_why(file), []).append(file)
    for heading, those in by_reason.items():
        say(styled(f"{heading[:1].upper()}{heading[1:]} ({counted(len(those), 'file')})", "strong"))
        for file in those:
            kind = printable(file["type"]).partition(";")[0].partition("/")[2]
            say(f"  {size(file['size']):>8}  {kind:<12.12}  {printable(file['path'])}")


def _why(file: dict[str, Any]) -> str:
    return f"{'fingerprinted' if file['fingerprinted'] else 'not fingerprinted'}: {printable(file['why'])}"


def _files(inventory: Inventory) -> list[dict[str, Any]]:
    """Return the files of a version. A manifest of release 0.1 has no reasons: they are computed."""
    found = []
    for path, entry in inventory.entries():
        is_hashed = entry.fingerprinted
        text = entry.why or ((reason(path) or "recorded at upload") if is_hashed else why_not(path))
        file = {"path": plain_text(path), "size": entry.size, "type": entry.content_type}
        found.append({**file, "fingerprinted": is_hashed, "why": text})
    return found


def _types(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the media types, those with most bytes first."""
    count, total = Counter[str](), Counter[str]()
    for file in files:
        kind = file["type"].partition(";")[0]
        count[kind] += 1
        total[kind] += file["size"]
    return [{"type": kind, "files": count[kind], "size": bytes_} for kind, bytes_ in total.most_common()]
