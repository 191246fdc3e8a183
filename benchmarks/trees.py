"""Builds to measure with: versions of one front end that share most of their files, named as a bundler would."""

from __future__ import annotations

import gzip
import os
import random
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# A release of a large front end changes a few of its chunks; the others keep their names.
_CHANGED = 0.05
_KINDS = ("js", "js", "js", "js", "js", "js", "css", "css", "svg", "woff2")
_WORDS = ("Account", "Cart", "Chart", "Checkout", "Dialog", "Editor", "Filter", "Gallery", "Layout", "Menu", "Order")
# Bytes: the median of a lognormal distribution, and its limits.
_MEDIAN = 3000
_SMALLEST = 120
_LARGEST = 200_000

#: Where the files lie that few rows ask for, below a build: scripts with a compressed sibling, and large files.
TEXTS, FILMS = "assets/text", "assets/films"
_NUMBER_OF_TEXTS = 64
_LINES_OF_TEXT = range(150, 450)
_NUMBER_OF_FILMS = 4
_FILM_BYTES = 2 * 1024 * 1024


def grow(root: Path, *, versions: int, files: int, others: bool = False) -> list[Path]:
    """Write builds of ``files`` files each, and return their directories, "v1" first.

    With ``others``, each has files in ``TEXTS`` and ``FILMS`` besides, the same in all versions.

    A file that versions share is one file with several names on the disk. The documents differ in length from version
    to version, so that the length of an answer identifies its version.
    """
    draw = random.Random(files)
    own = max(4, round(files * _CHANGED))
    public = 3
    first, *rest = directories = [root / f"v{number}" for number in range(1, versions + 1)]
    for directory in directories:
        (directory / "assets").mkdir(parents=True)
    for _ in range(files - own - public):
        shared = _write_chunk(first, draw)
        for directory in rest:
            os.link(first / shared, directory / shared)
    if others:
        _write_others(first, draw)
        for directory in rest:
            for folder in (TEXTS, FILMS):
                (directory / folder).mkdir()
                for file in (first / folder).iterdir():
                    os.link(file, directory / folder / file.name)
    for number, directory in enumerate(directories, 1):
        chunks = [_write_chunk(directory, draw) for _ in range(own)]
        links = "".join(f'<link rel="modulepreload" href="/{chunk}">\n' for chunk in chunks[:8])
        page = f"<!doctype html>\n<title>Version {number}</title>\n{links}<div id=app>{'.' * number}</div>\n"
        (directory / "index.html").write_text(page)
        (directory / "logo.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'>{' ' * number}</svg>")
        (directory / "robots.txt").write_text("User-agent: *\n")
    return directories


def _write_chunk(directory: Path, draw: random.Random) -> str:
    size = min(_LARGEST, max(_SMALLEST, round(draw.lognormvariate(0, 1) * _MEDIAN)))
    word = f"{draw.choice(_WORDS)}{draw.choice(_WORDS)}"
    return write_file(directory, f"assets/{word}", draw.choice(_KINDS), draw.randbytes(size))


def _write_others(directory: Path, draw: random.Random) -> None:
    for folder in (TEXTS, FILMS):
        (directory / folder).mkdir()
    for number in range(_NUMBER_OF_TEXTS):
        lines = (f"export const {draw.choice(_WORDS)}{line} = {draw.randrange(line + 1)};" for line in range(450))
        content = "\n".join(list(lines)[: draw.choice(_LINES_OF_TEXT)]).encode()
        path = write_file(directory, f"{TEXTS}/{_WORDS[number % len(_WORDS)]}", "js", content)
        (directory / f"{path}.gz").write_bytes(gzip.compress(content, mtime=0))
    for _ in range(_NUMBER_OF_FILMS):
        write_file(directory, f"{FILMS}/{draw.choice(_WORDS)}", "mp4", draw.randbytes(_FILM_BYTES))


def write_file(directory: Path, name: str, kind: str, content: bytes) -> str:
    """Write a file under a name with its fingerprint, and return its path."""
    fingerprint = urlsafe_b64encode(sha256(content).digest())[:8].decode()
    path = f"{name}-{fingerprint}.{kind}"
    (directory / path).write_bytes(content)
    return path
