"""Start the example on this machine: ``python -m example_app [--port 5000] [--host 127.0.0.1]``."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys

from werkzeug.serving import make_server

from .app import app


def main() -> None:
    """Serve the example until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m example_app", description="Second Post, rolled out gradually.")
    parser.add_argument("--port", type=int, default=5000, help="the port to listen on (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    arguments = parser.parse_args()
    # The open pages ask for news every few seconds; a line for each request would bury the warnings.
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = make_server(arguments.host, arguments.port, app, threaded=True)
    host = f"[{server.host}]" if ":" in server.host else server.host
    url = f"http://{host}:{server.server_port}"
    sys.stdout.write(
        f"""Second Post is open.

  {url}/           the shop: about half of all visitors get v1, the others v2
  {url}/rollout    which version this browser has and why, and the controls
  {url}/welcome    a first visit whose answer sets session_id

Try, in another terminal:

  curl -sI {url}/ -H 'Cookie: session_id=test123' | grep -i version-affinity
  curl -sI {url}/ -H 'Version-Override: v2' | grep -i version-affinity
  curl -sI {url}/ -H 'Cloudflare-Workers-Version-Overrides: example="v2"' | grep -i version-affinity

Ctrl+C closes the shop.
""",
    )
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
