"""``compress``: write compressed copies of a build's files."""

from __future__ import annotations

from dataclasses import asdict

import click

from version_affinity.assets.loading.compress import codecs, compress
from version_affinity.cli.context import command
from version_affinity.cli.errors import RefusedError, missing_extra
from version_affinity.cli.interaction import progress
from version_affinity.cli.output import counted, emit, say, size, styled, with_reasons
from version_affinity.errors import ConfigurationError
from version_affinity.wire import printable, shown


@command(has_target=False)
@click.argument("directory", type=click.Path(exists=True, file_okay=False))
@click.option(
    "--encoding",
    "encodings",
    type=click.Choice(["br", "zstd", "gzip"]),
    multiple=True,
    help="The encoding. Repeatable.  [default: all three]",
)
@click.option("--jobs", type=click.IntRange(1), metavar="N", help="How many at once.  [default: one per processor]")
def compress_command(directory: str, encodings: tuple[str, ...], jobs: int | None, as_json: bool) -> None:
    """Write compressed copies of the files of the build in DIRECTORY, such as app.js.br next to app.js.

      version-affinity compress dist/
      version-affinity compress dist/ --encoding br --encoding gzip

    Run it after the build and before the upload. It compresses at the highest levels; servers send the copies without
    compressing again. A copy that is up to date is kept. br and zstd need the extra "compress".
    """
    chosen = encodings or ("br", "zstd", "gzip")
    try:
        codecs(chosen)
    except ConfigurationError:  # click has checked the names, so a library is missing
        hint = "Or write --encoding gzip, which needs no package"
        raise RefusedError(f"{missing_extra('compress', 'compress')}. {hint}") from None
    with progress(f"Compressing {printable(directory)}") as step:
        report = (lambda state: step(state.done, state.total)) if step is not None else None
        done = compress(directory, encodings=chosen, jobs=jobs, progress=report)
    if as_json:
        emit({**asdict(done), "errors": with_reasons(done.errors)})
    else:
        counts = [f"{styled(str(done.written), 'good')} written", f"{done.skipped} up to date or not worth it"]
        if done.removed:
            counts.append(f"{done.removed} removed")
        say(f"{counted(done.files, 'file')} checked. Compressed copies: {', '.join(counts)}")
        say(f"A client that accepts all of them saves {size(done.saved)}")
    if done.errors:
        paths = "".join(f"\n  {shown(path)}: {reason}" for path, reason in done.errors)
        raise RefusedError(f"all files were compressed, except for {counted(len(done.errors), 'file')}:{paths}")
