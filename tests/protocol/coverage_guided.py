"""Coverage-guided fuzzing of requests: ``python -m tests.protocol.coverage_guided [options of libFuzzer] [corpus]``.

It needs Atheris (``pip install atheris``), which is no part of the extras, and runs until it finds something or is told
to stop, for example by ``-max_total_time=3600``. An input is bytes that end in a NUL each: the layout, the method, the
path, the query, and then names and values of fields in turn. What must hold is what ``test_fuzz.py`` checks.
"""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
FIELDS = (
    "Range",
    "If-Range",
    "If-Match",
    "If-None-Match",
    "If-Modified-Since",
    "If-Unmodified-Since",
    "Accept-Encoding",
    "Cookie",
    "Version-Override",
    "Cloudflare-Workers-Version-Overrides",
    "Version-Key",
    "Referer",
    "Accept",
    "Sec-Fetch-Mode",
    "Sec-Fetch-Dest",
    "Sec-Purpose",
    "Service-Worker",
    "X-Forwarded-Proto",
)
#: Inputs to begin with: one for each group of fields.
SEEDS = (
    b"alone\0GET\0/robots.txt\0\0Range\0bytes=0-3, 7-, -2\0If-Range\0Sun, 06 Nov 1994 08:49:37 GMT\0",
    b"from disk\0GET\0/assets/licences-DRxGYfBy.txt\0\0Range\0bytes=0-0,90000-90001\0",
    b'alone\0HEAD\0/\0a=1\0If-None-Match\0W/"a", "b", *\0If-Match\0"c"\0',
    b"split\0GET\0/\0\0If-Modified-Since\0Sunday, 06-Nov-94 08:49:37 GMT\0",
    b"alone\0GET\0/robots.txt\0\0If-Unmodified-Since\0Sun Nov  6 08:49:37 1994\0",
    b"before an application\0GET\0/assets/theme-DGNnl0sh.css\0\0Accept-Encoding\0gzip;q=0.5, br, *;q=0\0",
    b"split\0GET\0/about\0\0Cookie\0session_id=1; version-affinity-app=7.v2\0Sec-Fetch-Mode\0navigate\0",
    b'split\0GET\0/logo.svg\0\0Version-Override\0app="v2", other="v1"\0Referer\0http://a/assets/index-BX4CeNGm.js\0',
    b"split, from disk\0GET\0/shop//docs/../about.html\0next=%2F\0",
)


def main() -> None:
    """Load the site and fuzz it."""
    import atheris  # noqa: PLC0415 - the tests' collector reads this module where it is not installed

    with atheris.instrument_imports(include=["version_affinity"]):
        import version_affinity  # noqa: F401, PLC0415 - before anything else imports it
    logging.disable()
    with tempfile.TemporaryDirectory(prefix="version-affinity-fuzz-") as temporary:
        corpus = Path(temporary, "seeds")
        corpus.mkdir()
        for number, seed in enumerate(SEEDS):
            (corpus / str(number)).write_bytes(seed)
        atheris.Setup([*sys.argv, str(corpus)], target(Path(temporary, "site")))
        atheris.Fuzz()


def target(directory: Path) -> Callable[[bytes], None]:
    """Return what an input is tried on."""
    from tests.protocol.fuzzing import LAYOUTS, Site, ask, environ_of  # noqa: PLC0415 - found only after main has told the path

    directory.mkdir()
    site, layouts = Site(directory), list(LAYOUTS)

    def try_one(data: bytes) -> None:
        layout, method, path, query, *rest = [*(part.decode("latin-1") for part in data.split(b"\0")), *[""] * 4]
        if layout not in LAYOUTS:
            layout = layouts[len(layout) % len(layouts)]
        if method not in ("GET", "HEAD", "POST", "OPTIONS"):
            method = "GET"
        named = zip(rest[::2], rest[1::2], strict=False)
        fields = {name if name in FIELDS else FIELDS[len(name) % len(FIELDS)]: value for name, value in named}
        site.check(method, ask(site.applications[layout], environ_of(method, path, query, fields), legal=False))

    return try_one


if __name__ == "__main__":
    main()
