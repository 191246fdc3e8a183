"""``versions upload``: store a build as a version."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import click

from version_affinity.assets.rules.files import HEADERS_FILE, read_rules
from version_affinity.assets.rules.headers import Protection
from version_affinity.cli.context import author, command, command_line, current_target, known_versions, release_dict
from version_affinity.cli.interaction import progress
from version_affinity.cli.options import checked_by
from version_affinity.cli.output import (
    counted,
    emit,
    listed,
    say,
    say_rows,
    short_id,
    size,
    styled,
    warn,
    with_reasons,
)
from version_affinity.cli.preflight import name_collisions, same_content
from version_affinity.cli.times import when
from version_affinity.deployment import check_version_id
from version_affinity.errors import ConfigurationError
from version_affinity.releases.follow.reading import published
from version_affinity.releases.log.entries import Entry, LogError
from version_affinity.releases.store.upload import Uploaded, unreadable_by_others, upload
from version_affinity.wire import plain_text, printable, shown

_SETTINGS: Final = "version-affinity settings --help"
#: How many files of a kind the output lists.
_SHOWN: Final = 10


@command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--id",
    "version",
    metavar="ID",
    callback=checked_by(check_version_id),
    help="The id of the version.  [default: computed from the content]",
)
@click.option("--tag", default="", help="A label, such as the name of a branch or a release.")
@click.option("-m", "--message", default="", help="What is new in this version.")
@click.option("--allow-source", is_flag=True, help="Upload a directory that looks like a project's source directory.")
def upload_command(
    directory: str, version: str | None, tag: str, message: str, allow_source: bool, as_json: bool
) -> None:
    """Store the build in DIRECTORY as a version. It gets no users before you deploy it.

      version-affinity versions upload dist/
      version-affinity versions upload dist/ --id v2 --tag checkout -m "New checkout"

    A version never changes: other content needs another id. Files that an earlier version has take no extra space.
    """
    target = current_target()
    releases = target.directory
    if releases.serving_error:
        warn(f"{releases.serving_error}. Until this is fixed, check and deploy refuse: see {_SETTINGS}")
    with progress(f"Uploading {printable(directory)}") as step:
        uploaded = upload(
            releases,
            directory,
            id=version,
            tag=tag,
            message=message,
            author=author(),
            allow_source=allow_source,
            progress=(lambda done, total, _name: step(done, total)) if step is not None else None,
        )
    entries: list[Entry] = []
    with suppress(LogError, ConfigurationError):  # the upload has succeeded, with or without the log
        entries = target.open_log().read()
    others = published(entries, known_versions(releases, entries))
    colliding = name_collisions(releases, uploaded.id, sorted(others))
    same = same_content(releases.versions(), uploaded.id, entries)
    unreadable = unreadable_by_others(releases, uploaded.id)
    protected = Protection(read_rules(str(releases.build_path(uploaded.id)), HEADERS_FILE)).sources
    if as_json:
        emit(
            {
                **release_dict(uploaded),
                "new": uploaded.is_new,
                "mended": uploaded.is_mended,
                "linked": uploaded.linked,
                "skipped": with_reasons(uploaded.skipped),
                "doubt": uploaded.doubt,
                "same_content": same,
                "unreadable": unreadable,
                "protected": [plain_text(path) for path in protected],
                "collisions": [{"path": path, "versions": versions} for path, versions in colliding],
            }
        )
        return
    _show(uploaded, protected, colliding)
    warning = styled("Warning", "warning")
    if same:
        say(f"{warning}: users have this content already, as {listed(map(short_id, same))}")
    if unreadable:
        say(f"{warning}: {unreadable}")
    if entries and uploaded.id in entries[-1].percentages:
        return
    users = " to a few users" if entries else ""
    shares = f"{short_id(uploaded.id)}@10% --rest" if entries else f"{short_id(uploaded.id)}@100%"
    say(f"\nNext, deploy it{users}:\n  {command_line(f'versions deploy {shares}')}")


def _show(uploaded: Uploaded, protected: tuple[str, ...], colliding: list[tuple[str, list[str]]]) -> None:
    name, content = styled(uploaded.id, "strong"), f"{counted(uploaded.files, 'file')}, {size(uploaded.size)}"
    warning = styled("Warning", "warning")
    if uploaded.is_new:
        shared = f"; {uploaded.linked:,} shared with earlier versions" if uploaded.linked else ""
        say(f"Uploaded {name}: {content}{shared}")
    elif uploaded.is_mended:
        say(f"{styled('Repaired', 'good')} {name}, which had damaged files: {content}")
    else:
        say(f"{name} exists already with the same content, uploaded {when(uploaded.created)}: {content}")
    if uploaded.doubt:
        say(f"{warning}: {uploaded.doubt}")
    if uploaded.skipped:
        say(f"{styled('Left out or without effect', 'warning')}:")
        say_rows([[shown(path), reason] for path, reason in uploaded.skipped[:_SHOWN]])
        _say_more(len(uploaded.skipped))
    if protected:
        paths = printable(", ".join(protected))
        say(f"{warning}: Basic-Auth in _headers is not implemented, so these paths are answered with 404: {paths}")
    if colliding:
        names = counted(len(colliding), "fingerprinted name")
        say(
            f"{warning}: {names} of {uploaded.id} had other bytes in a version that users got. Caches may keep those "
            "for a year: build it again, under other names, before you deploy it"
        )
        for path, others in colliding[:_SHOWN]:
            say(f"  {printable(path)}  also in {listed(others)}")
        _say_more(len(colliding))


def _say_more(count: int) -> None:
    if count > _SHOWN:
        say(f"  and {count - _SHOWN:,} more: --json lists all")
