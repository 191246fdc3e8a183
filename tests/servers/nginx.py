"""A real nginx in front of, or beside, what is tested: one process, a port and a directory of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.harness import missing
from tests.servers.servers import HOST, Server, free_port, running

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Where Debian has what is not on everybody's path.
PLACES = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
#: Where packages put the table of content types; a configuration without it knows HTML, GIF and JPEG alone.
TYPES = ("/etc/nginx/mime.types", "/usr/local/etc/nginx/mime.types", "/opt/homebrew/etc/nginx/mime.types")


def find(command: str) -> str:
    """Return the path of a server's command, or skip the test without it."""
    path = shutil.which(command, path=PLACES)
    if path is None:
        missing(command, f"install the package {command}")
    return str(path)


@contextlib.contextmanager
def nginx(directory: Path, server: str, http: str = "") -> Iterator[Server]:
    """Run nginx for as long as the block lasts.

    Args:
        directory: Where its configuration, its temporary files and its log go; relative names mean files there.
        server: What stands in its ``server`` block beside ``listen``.
        http: What stands in its ``http`` block before that.
    """
    command = find("nginx")
    port = free_port()
    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    types = next((f"include {file};" for file in TYPES if Path(file).exists()), "")
    configuration.write_text(f"""
        daemon off;
        worker_processes 1;
        pid nginx.pid;
        {"user root;" if hasattr(os, "geteuid") and os.geteuid() == 0 else ""}
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            {types}
            {" ".join(f"{kind}_temp_path temporary/{kind};" for kind in kinds)}
            {http}
            server {{
                listen {HOST}:{port};
                {server}
            }}
        }}
    """)
    (directory / "temporary").mkdir(exist_ok=True)
    with running(
        [command, "-p", str(directory), "-c", str(configuration), "-e", "stderr"], port, directory / "nginx.log"
    ) as it:
        yield it
