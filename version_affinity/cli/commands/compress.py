"""``compress``: write compressed siblings of a build's files."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from version_affinity.assets.loading.compress import codecs
from version_affinity.assets.loading.compress import compress as compress_build
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.groups import command
from version_affinity.cli.terminal.output import emit, json_option, say, styled
from version_affinity.cli.terminal.progress import progress
from version_affinity.cli.terminal.text import counted, size
from version_affinity.errors import ConfigurationError
from version_affinity.wire import plain_text, printable, shown

if TYPE_CHECKING:
    from version_affinity.assets.loading.compress import Compressed


@command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--encoding",
    "encodings",
    type=click.Choice(["br", "zstd", "gzip"]),
    multiple=True,
    help="An encoding, of which there may be several.  [default: all three]",
)
@click.option("--jobs", type=click.IntRange(1), help="Files at a time.  [default: as many as there are processors]")
@json_option
def compress(directory: str, encodings: tuple[str, ...], jobs: int | None, as_json: bool) -> None:
    """Write compressed siblings of the files of the build in DIRECTORY: app.js.br beside app.js.

      version-affinity compress dist/
      version-affinity compress dist/ --encoding br --encoding gzip

    Run it where the front end is built, before the upload: it takes the best levels, and servers then send what is
    there. What is there already and holds the same content stays. br and zstd need the extra "compress".
    """
    chosen = encodings or ("br", "zstd", "gzip")
    try:
        codecs(chosen)
    except ConfigurationError:  # the names are right, so a library is missing
        raise RefusedError(
            f"{missing_extra('compress', 'compress')}; or write --encoding gzip, which needs none"
        ) from None
    with progress(f"Compressing {printable(directory)}") as tell:
        done = compress_build(
            directory,
            encodings=chosen,
            jobs=jobs,
            progress=(lambda step: tell(step.done, step.total)) if tell is not None else None,
        )
    if as_json:
        errors = [{"path": plain_text(path), "reason": reason} for path, reason in done.errors]
        emit({**asdict(done), "errors": errors})
    else:
        _show(done)
    if done.errors:
        told = "".join(f"\n  {shown(path)}: {reason}" for path, reason in done.errors)
        raise RefusedError(f"{counted(len(done.errors), 'file')} could not be compressed; the others were:{told}")


def _show(done: Compressed) -> None:
    counts = [f"{styled(str(done.written), 'good')} written", f"{done.skipped} there already or not worth it"]
    if done.removed:
        counts.append(f"{done.removed} removed")
    say(f"{counted(done.files, 'file')} looked at; siblings: {', '.join(counts)}")
    say(f"A client that takes all of them saves {size(done.saved)}")
