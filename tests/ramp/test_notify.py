"""Notices of a ramp: what is sent, signed and run, in which order, and again after failures and crashes."""

from __future__ import annotations

import contextlib
import hmac
import json
import shlex
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from tests.ramp.ramping import PLAN, Story
from tests.ramp.running import STILL, RampSite, failing_api
from tests.releases.followed import until
from tests.releases.redis_server import redis_server
from version_affinity import ConfigurationError
from version_affinity.ramp import notify
from version_affinity.ramp.notify import EXEC, SECRET, SIGNATURE, Sender, check_command, check_webhook, notices_of
from version_affinity.ramp.plan import TRANSITIONS
from version_affinity.releases.follow import guard
from version_affinity.releases.releases import open_sender

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Receiver(BaseHTTPRequestHandler):
    """A webhook that keeps what it gets, and answers with the status that the test wants."""

    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []
    status: ClassVar[int] = 204

    def do_POST(self) -> None:
        """Take a notice."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers), body))
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[str]:
    """The URL of a receiver."""
    Receiver.got.clear()
    Receiver.status = 204
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process wait for another one."""
    monkeypatch.setattr(guard, "OTHERS", 0.0)


@pytest.fixture(params=["file", pytest.param("redis", marks=pytest.mark.servers)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RampSite]:
    """A site with each kind of log."""
    if request.param == "file":
        yield RampSite(tmp_path)
        return
    with redis_server() as redis:
        made = RampSite(tmp_path, redis.url)
        yield made
        made.log.close()


def types() -> list[str]:
    """Return the types of the events that came, without repetitions."""
    events = [json.loads(body) for _, body in Receiver.got]
    return list({event["id"]: event["type"].split(".")[2] for event in events}.values())


def test_a_webhook_gets_signed_events(site: RampSite, webhook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry is a CloudEvent with the log's position as its id, signed with the secret of the environment."""
    monkeypatch.setenv(SECRET, "a secret of the receiver")
    with site.followed(failing_api), site.followed(failing_api):
        site.ramp(**STILL, other={"webhook": webhook})
        site.command("advance")
        site.command("promote")
        until(lambda: types()[-1:] == ["completed"])
    assert types() == ["started", "stepped", "completed"]
    for entry, (headers, body) in zip(site.log.read()[1:], Receiver.got, strict=True):
        event = json.loads(body)
        assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
        assert headers[SIGNATURE] == f"sha256={hmac.new(b'a secret of the receiver', body, 'sha256').hexdigest()}"
        assert event["id"] == f"{entry.log_id}-{entry.revision}"
        assert (event["specversion"], event["source"]) == ("1.0", "/version-affinity/storefront")
        assert (event["subject"], event["time"]) == ("ramp-2", entry.created)
        assert event["data"]["percentages"] == dict(entry.percentages)
        assert event["data"]["ramp"]["evidence"]["event"] == entry.as_document()["ramp"]["evidence"]["event"]


def test_a_receiver_that_is_away_loses_nothing(
    site: RampSite, webhook: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Notices are sent again, in order, also by another process; a redirect is not followed."""
    Receiver.status = 307
    with site.followed(failing_api):
        site.ramp(**STILL, other={"webhook": webhook})
        until(lambda: "the webhook answers 307" in caplog.text)
        site.command("pause")
        until(lambda: len(Receiver.got) > 2)
    assert set(types()) == {"started"}
    assert caplog.text.count("the webhook answers 307") == 1
    Receiver.status = 200
    with site.followed(failing_api):
        until(lambda: types() == ["started", "paused"])
        site.deploy({"v1": 100.0})
        until(lambda: types() == ["started", "paused", "superseded"])
        number = len(Receiver.got)
    with site.followed(failing_api) as (_, releases):  # nothing is sent again
        until(lambda: releases.follower is not None and releases.follower.looked > 0)
        sender = open_sender(site.directory, site.log)
        with contextlib.closing(site.log):
            sender.send(notices_of(site.log.read()))
    assert sender.sent == 4
    assert len(Receiver.got) == number


def test_a_command_gets_the_event(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The command has the event on its standard input. One that fails is run again."""
    site, out, allowed = RampSite(tmp_path), tmp_path / "got", tmp_path / "allowed"
    script = f"import sys, pathlib; assert pathlib.Path({str(allowed)!r}).exists(), 'not yet'; "
    script += f"open({str(out)!r}, 'a').write(sys.stdin.read() + chr(10))"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(script)}"
    with site.followed(failing_api):
        site.ramp(**STILL, other={"exec": command})
        until(lambda: "the command ends with 1" in caplog.text)
        assert not out.exists()
        allowed.touch()
        until(lambda: out.exists() and out.read_text().endswith("\n"))
    (line,) = out.read_text().splitlines()
    assert json.loads(line)["type"] == "version-affinity.ramp.started.0.1.0"


@pytest.mark.servers
def test_a_command_in_redis_needs_a_permission(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who may write to Redis may not run commands on the hosts, unless their environment says so."""
    out = tmp_path / "got"
    command = f"{shlex.quote(sys.executable)} -c {shlex.quote(f'open({str(out)!r}, chr(97)).write(chr(120))')}"
    with redis_server() as redis:
        site = RampSite(tmp_path, redis.url)
        with contextlib.closing(site.log):
            with site.followed(failing_api):
                site.ramp(**STILL, other={"exec": command})
                until(lambda: f"{EXEC} is not 1" in caplog.text)
            assert not out.exists()
            monkeypatch.setenv(EXEC, "1")
            with site.followed(failing_api):
                site.command("pause")
                until(out.exists)


def test_what_cannot_be_sent_is_given_up(
    tmp_path: Path, webhook: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that never answers well does not keep later notices back for ever."""
    site = RampSite(tmp_path)
    monkeypatch.setattr(notify, "GIVEN_UP", notify.GIVEN_UP * 0)
    Receiver.status = 500
    with site.followed(failing_api):
        site.ramp(**STILL, other={"webhook": webhook})
        until(lambda: "the notice of revision 2 is given up: the webhook answers 500" in caplog.text)


@pytest.mark.parametrize("url", ["", "hook", "ftp://host/", "http://", "https://host:0/", "http://ho st/", "file:///x"])
def test_urls_that_cannot_be_used(url: str) -> None:
    """A webhook is an http or https URL."""
    with pytest.raises(ConfigurationError, match="is not an http or https URL"):
        check_webhook(url)
    check_webhook("https://example.test/hook?key=1")


@pytest.mark.parametrize("command", ["", "  ", "run 'it"])
def test_commands_that_cannot_be_used(command: str) -> None:
    """A command has words."""
    with pytest.raises(ConfigurationError, match="exec"):
        check_command(command)
    check_command("notify --channel 'front end'")


@pytest.mark.parametrize("event", sorted(TRANSITIONS.keys() - {"deployment"}))
def test_each_event_has_a_type(event: str) -> None:
    """The type of a notice says what has happened, for each row of the table of transitions."""
    it = Story(replace(PLAN, other={"webhook": "https://hooks.example/ramp"}))
    entry = it.entries[-1]
    assert entry.ramp is not None
    state = TRANSITIONS[event].after[-1] if TRANSITIONS[event].after else "running"
    changed = replace(entry, ramp={**entry.ramp, "state": state, "evidence": {"event": event}})
    (notice,) = notices_of([changed])
    assert not notice.event["type"].startswith("version-affinity.ramp.changed.")


def test_two_senders_take_turns(site: RampSite, webhook: str) -> None:
    """While one process sends, another one does not."""
    with site.followed(failing_api):
        site.ramp(**STILL)
    notices = [it._replace(webhook=webhook) for it in notices_of(_with(site, webhook))]
    one, other = (open_sender(site.directory, site.log) for _ in range(2))
    position = one.position
    with position.claim(notices[-1].entry.log_id) as sent:
        assert sent == 0
        other.send(notices)
    assert not Receiver.got
    other.send(notices)
    one.send(notices)
    assert len(Receiver.got) == 1
    assert isinstance(one, Sender)
    assert one.sent == other.sent == 2


def _with(site: RampSite, webhook: str) -> Any:
    """Return the log's entries, with a webhook in the plan of the ramp."""
    first, *ramp = site.log.read()
    for entry in ramp:
        entry.as_document()["ramp"]["plan"]["webhook"] = webhook
    return [first, *ramp]
