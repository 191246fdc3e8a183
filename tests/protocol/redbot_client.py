"""REDbot's checks of some resources: ``python redbot_client.py``, in a process of its own: its event loop is global.

It reads JSON from its standard input, ``[[url, {field: value}], ...]``, and writes what REDbot says of each resource.
All are checked in one run of the loop, one after the other: after a restart, a kept connection is never heard again.
"""

from __future__ import annotations

import json
import sys
from configparser import ConfigParser
from typing import Any

import thor
from redbot.resource import HttpResource


def check(todo: list[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
    """Return, for each resource, the checks that were made: the answer, what is said of it, why there is none."""
    configuration = ConfigParser()
    configuration.read_dict({"redbot": {"enable_local_access": "True"}})
    results: list[dict[str, Any]] = []

    def start() -> None:
        url, fields = todo[len(results)]
        resource = HttpResource(configuration["redbot"])
        resource.set_request(url, headers=list(fields.items()))
        resource.on("check_done", lambda: finish(resource))
        resource.check()

    def finish(resource: HttpResource) -> None:
        results.append({name: _said(fetched) for name, fetched in [("resource", resource), *resource.subreqs.items()]})
        thor.schedule(0, start if len(results) < len(todo) else thor.stop)

    start()
    thor.run()
    return results


def _said(fetched: Any) -> dict[str, Any]:
    response = fetched.response
    return {
        "asked": fetched.fetch_started,
        "error": str(fetched.fetch_error.desc) if fetched.fetch_error else "",
        "status": response.status_code_str or "",
        "headers": response.headers.text,
        "notes": [(type(note).__name__, note.level.value, note.subject, str(note.summary)) for note in response.notes],
    }


if __name__ == "__main__":
    json.dump(check(json.load(sys.stdin)), sys.stdout)
