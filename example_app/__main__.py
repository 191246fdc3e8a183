"""Start the example on this machine: ``python -m example_app [--port 5000] [--host 127.0.0.1]``."""

from __future__ import annotations

import argparse
import contextlib
import errno
import logging
import socket
import sys

from werkzeug.serving import make_server

from .app import app
from .words import who_gets_what


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        SystemExit: The address cannot be used. The message has the cause and the remedy.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            sys.exit(f"Port {port} is in use by another program: choose another, for example --port {port + 1}")
        sys.exit(f"Cannot listen at --host {host} --port {port}: {error}")


def main() -> None:
    """Serve the example until it is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m example_app", description="Second Post, rolled out gradually.")
    parser.add_argument("--port", type=int, default=5000, help="the port to listen on (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    arguments = parser.parse_args()
    # Open pages send a request every few seconds; a line for each would hide the warnings.
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    listener = listen(arguments.host, arguments.port)
    port = listener.getsockname()[1]
    server = make_server(arguments.host, port, app, threaded=True, fd=listener.fileno())
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    url = f"http://{host}:{port}"
    shares = who_gets_what(app.extensions["version_affinity"].deployment.percentages)
    sys.stdout.write(
        f"""Second Post is open.

  {url}/           the shop: {shares}
  {url}/rollout    the version of this browser, the reason, and the controls; the switch
                                    "without version_affinity" shows the tab that breaks
  {url}/welcome    a first visit: the response sets session_id

Try, in another terminal:

  curl -sI {url}/ -H 'Cookie: session_id=test123' | grep -i version-affinity
  curl -sI {url}/ -H 'Version-Override: v2' | grep -i version-affinity
  curl -sI {url}/ -H 'Cloudflare-Workers-Version-Overrides: example="v2"' | grep -i version-affinity

Ctrl+C closes the shop.
""",
    )
    sys.stdout.flush()
    with listener, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
