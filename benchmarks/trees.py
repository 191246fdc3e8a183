"""Builds to measure with: versions of one front end that share most of their files, named as a bundler would."""

from __future__ import annotations

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


def grow(root: Path, *, versions: int, files: int) -> list[Path]:
    """Write builds of ``files`` files each, and return their directories, "v1" first.

    A file that versions share is one file with several names on the disk. The documents differ in length from version
    to version, so that an answer's length tells which version it is from.
    """
    draw = random.Random(files)
    own = max(4, round(files * _CHANGED))
    public = 3
    first, *others = directories = [root / f"v{number}" for number in range(1, versions + 1)]
    for directory in directories:
        (directory / "assets").mkdir(parents=True)
    for _ in range(files - own - public):
        shared = _write_chunk(first, draw)
        for directory in others:
            os.link(first / shared, directory / shared)
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
    content = draw.randbytes(size)
    fingerprint = urlsafe_b64encode(sha256(content).digest())[:8].decode()
    word = draw.choice(_WORDS)
    path = f"assets/{word}{draw.choice(_WORDS)}-{fingerprint}.{draw.choice(_KINDS)}"
    (directory / path).write_bytes(content)
    return path
