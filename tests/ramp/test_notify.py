"""Notices of a ramp: what is sent, signed and run, in which order, and again after failures and crashes."""

from __future__ import annotations

import contextlib
import hmac
import json
import re
import shlex
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import redis

from tests.ramp.ramping import BASE, PLAN, Story
from tests.ramp.running import STILL, RampSite, failing_api
from tests.releases.followed import until
from tests.releases.redis_server import redis_server
from version_affinity import ConfigurationError
from version_affinity.ramp import notify
from version_affinity.ramp.notify import (
    EXEC,
    SIGNATURE,
    WEBHOOK_SECRET,
    Sender,
    check_command,
    check_webhook,
    notices_of,
)
from version_affinity.ramp.plan import TRANSITIONS
from version_affinity.releases.follow import guard
from version_affinity.releases.releases import open_sender
from version_affinity.releases.times import format_time, utc_now

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
        self.before()
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def before(self) -> None:
        """Do nothing before the answer."""

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def webhook() -> Iterator[str]:
    """The URL of a receiver."""
    Receiver.got.clear()
    Receiver.status = 204
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
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
    return list({event["id"]: event["type"].split(".")[3] for event in events}.values())


def test_a_webhook_gets_signed_events(site: RampSite, webhook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry is a CloudEvent with the log's position as its id, signed with the secret of the environment."""
    monkeypatch.setenv(WEBHOOK_SECRET, "a secret of the receiver")
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
        data, document = event["data"], entry.as_document()
        assert data["context"] == {
            "version": "0.4.1",
            "id": event["id"],
            "source": event["source"],
            "type": event["type"],
            "timestamp": entry.created,
        }
        assert (data["subject"]["id"], data["subject"]["type"]) == ("ramp-2", "versionaffinity-ramp")
        assert data["subject"]["content"].items() <= {"version": "v2", **document["ramp"]}.items()
        assert document["ramp"]["plan"].pop("webhook") == webhook  # it may contain a secret
        assert data["customData"] == document


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


def test_a_new_ramp_keeps_the_notices_of_the_last_one(
    site: RampSite, webhook: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What a person decides while the receiver is away is sent also if the next ramp, to nowhere, starts meanwhile."""
    Receiver.status = 500
    with site.followed(failing_api):
        site.ramp(**STILL, other={"webhook": webhook})
        until(lambda: "the webhook answers 500" in caplog.text)
        site.command("pause")
        site.command("abort")
        site.ramp(**STILL)
        site.deploy({"v1": 100.0})
        site.ramp(**STILL, other={"webhook": webhook})
    assert set(types()) == {"started"}
    Receiver.status = 200
    Receiver.got.clear()
    with site.followed(failing_api):
        until(lambda: len(Receiver.got) == 4)
    assert types() == ["started", "paused", "aborted", "started"]


def test_notices_of_ramps_that_ended_long_ago(webhook: str) -> None:
    """A position that is lost does not send the notices of all ramps again: only the newest one and those of a day."""
    plan, now = replace(PLAN, other={"webhook": webhook}), format_time(utc_now())
    old, recent, newest = Story(plan), Story(plan), Story(plan)
    for story in (old, recent):
        story.deploy(BASE)
    entries = [*old.entries, *(replace(entry, created=now) for entry in recent.entries), *newest.entries]
    entries = [replace(entry, revision=number) for number, entry in enumerate(entries, 1)]
    for number, name in ((1, "ramp-2"), (4, "ramp-5"), (7, "ramp-8")):
        entries[number] = replace(entries[number], ramp={**(entries[number].ramp or {}), "id": name})
    found = [(it.event["subject"], it.event["data"]["subject"]["content"]["state"]) for it in notices_of(entries)]
    assert found == [("ramp-5", "running"), ("ramp-5", "superseded"), ("ramp-8", "running")]
    assert found[1:] == [
        (it.event["subject"], it.event["data"]["customData"]["ramp"]["state"]) for it in notices_of(entries)[1:]
    ]


def test_new_entries_do_not_delay_earlier_notices(
    tmp_path: Path, webhook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who changes the ramp again and again does not keep the notices back."""
    monkeypatch.setattr(guard, "OTHERS", 1.0)
    site = RampSite(tmp_path)
    with site.followed(failing_api):
        site.ramp(**STILL, other={"webhook": webhook})
        until(lambda: site.command("resume" if site.state == "paused" else "pause") and len(Receiver.got) > 1)


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
    assert json.loads(line)["type"] == "dev.cdeventsx.versionaffinity-ramp.started.0.1.0"


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
    # The schema of CDEvents' custom events has this pattern.
    assert re.fullmatch(r"dev\.cdeventsx\.[a-zA-Z0-9]+-[a-zA-Z]+\.[a-zA-Z]+\.[0-9]\.[0-9]\.[0-9]", notice.event["type"])
    assert not notice.event["type"].startswith("dev.cdeventsx.versionaffinity-ramp.changed.")


def test_two_senders_take_turns(site: RampSite, webhook: str) -> None:
    """While one process sends, another one does not."""
    with site.followed(failing_api):
        site.ramp(**STILL)
    notices = [it._replace(webhook=webhook) for it in notices_of(_with(site, webhook))]
    one, other = (open_sender(site.directory, site.log) for _ in range(2))
    position = one.position
    with position.claim(notices[-1].entry.log_id) as claim:
        assert claim is not None
        assert claim.sent == 0
        other.send(notices)
    assert not Receiver.got
    other.send(notices)
    one.send(notices)
    assert len(Receiver.got) == 1
    assert isinstance(one, Sender)
    assert one.sent == other.sent == 2


@pytest.mark.servers
def test_a_claim_that_has_expired(tmp_path: Path, webhook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was stopped while it had the claim sends nothing more, and the position does not go back."""
    with redis_server() as server:
        site = RampSite(tmp_path, server.url)
        with contextlib.closing(site.log), contextlib.closing(redis.Redis.from_url(server.url)) as client:
            with site.followed(failing_api):
                site.ramp(**STILL)
                site.command("pause")
            notices = [it._replace(webhook=webhook) for it in notices_of(_with(site, webhook))]
            log_id = notices[-1].entry.log_id
            slow, other = (open_sender(site.directory, site.log) for _ in range(2))
            (lock,) = _claimed(slow, log_id, lambda: client.keys("*:sending"))
            left: list[Any] = []

            def hurry(_: object) -> None:
                """Let the claim expire soon."""
                left.append(client.ttl(lock))
                client.expire(lock, 5)

            with monkeypatch.context() as patched:
                patched.setattr(Receiver, "before", hurry)
                open_sender(site.directory, site.log).send(notices)
            assert min(left) > 60  # each notice has the whole time
            client.delete(*client.keys("*:notices"))
            Receiver.got.clear()

            def answer(_: object) -> None:
                """Let the claim of the slow process expire while the receiver takes its time, and another one send."""
                monkeypatch.undo()
                client.delete(lock)
                other.send(notices)

            monkeypatch.setattr(Receiver, "before", answer)
            slow.send(notices)
            assert [json.loads(body)["id"][-2:] for _, body in Receiver.got] == ["-2", "-2", "-3"]
            assert (slow.sent, other.sent) == (0, 3)
            with slow.position.claim(log_id) as claim:
                assert claim is not None
                assert claim.sent == 3
                client.expire(lock, 5)
                assert claim.extend()
                assert client.ttl(lock) > 60
                client.delete(lock)
                assert not claim.extend()
                assert not claim.advance(2)
            assert _claimed(slow, log_id, lambda: client.get(lock))
            assert _sent(slow, log_id) == 3


def _claimed(sender: Sender, log_id: str, ask: Any) -> Any:
    """Return what a question is answered while a sender has the claim."""
    with sender.position.claim(log_id):
        return ask()


def _sent(sender: Sender, log_id: str) -> int:
    with sender.position.claim(log_id) as claim:
        assert claim is not None
        return claim.sent


def _with(site: RampSite, webhook: str) -> Any:
    """Return the log's entries, with a webhook in the plan of the ramp."""
    first, *ramp = site.log.read()
    for entry in ramp:
        entry.as_document()["ramp"]["plan"]["webhook"] = webhook
    return [first, *ramp]
