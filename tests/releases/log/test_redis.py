"""The Redis log against real servers: kept, lost, hanging, behind a password and TLS; see ``test_log_contract.py``."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if os.environ.get("CI") != "true":  # there the import below fails instead
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")

from tests.releases.followed import until
from tests.releases.redis_server import RedisServer, Wire, redis_server
from version_affinity.errors import ConfigurationError
from version_affinity.releases.log import redis as redis_log
from version_affinity.releases.log.connection import RedisConnection
from version_affinity.releases.log.entries import Details, LogConflictError, LogError, LogLostError, LogUnavailableError
from version_affinity.releases.log.redis import RedisLog
from version_affinity.releases.reports.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Other tests may have left a thread, and so may what runs them.
pytestmark = [pytest.mark.servers, pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")]

PASSWORD = "p@ss:w/o?r#d%"  # noqa: S105 - of a server that lives for one test
STREAM = "version-affinity:storefront:deployments"
SPLIT = {"v1": 90.0, "v2": 10.0}


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """One server for all tests that leave it alive."""
    with redis_server() as server:
        yield server


@pytest.fixture
def server(shared: RedisServer) -> RedisServer:
    """That server, empty."""
    with shared.client() as client:
        client.flushall()
    return shared


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """Yield a server that the test may end."""
    with redis_server() as server:
        yield server


_opened = contextlib.ExitStack()


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close all logs that a test has opened."""
    with _opened:
        yield


def log_at(url: str, name: str = "storefront") -> RedisLog:
    """Return the log at a URL."""
    return _opened.enter_context(contextlib.closing(RedisLog(url, name=name)))


def log_of(server: RedisServer) -> RedisLog:
    """Return a new log, as another process has one."""
    return log_at(server.url)


def filled(log: RedisLog, count: int = 2) -> RedisLog:
    """Append that many deployments."""
    for revision in range(count):
        log.append(
            {"v1": 100.0 - revision, "v2": float(revision)},
            expected=revision,
            details=Details(author="ada", message="ramp"),
        )
    return log


def in_child(target: Callable[[], Any]) -> Any:
    """Return what a function returns in a forked process."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)

    def run() -> None:
        try:
            theirs.send(target())
        except BaseException:  # noqa: BLE001
            theirs.send(traceback.format_exc())

    child = context.Process(target=run)
    child.start()
    assert mine.poll(30)
    answer = mine.recv()
    child.join(30)
    return answer


# --- what Redis holds -------------------------------------------------------------------------------------------------


def test_revisions_are_the_stream_ids(server: RedisServer) -> None:
    """Each deployment is one JSON document under the stream id of its revision."""
    filled(log_of(server))
    with server.client() as client:
        found = client.xrange(STREAM)
    assert [stream_id for stream_id, _ in found] == [b"1-0", b"2-0"]
    assert json.loads(found[1][1][b"entry"])["percentages"] == {"v1": 99, "v2": 1}


def test_names_share_a_database(server: RedisServer) -> None:
    """Two deployments' names in one Redis do not see each other."""
    filled(log_of(server))
    assert log_at(server.url, "admin").read() == []


def entry(revision: int) -> str:
    """Return a deployment's document."""
    return json.dumps({"revision": revision, "percentages": {"v1": 100}, "created": "2026-11-24T05:00:00Z"})


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([("1-0", "{")], "1-0"),
        ([("1-0", "[]")], "1-0"),
        ([("1-0", "{}")], "1-0"),
        ([("1-0", b"\xff")], "1-0"),
        ([("1-0", entry(2))], "says revision 2"),
        ([("1-1", entry(1))], "1-1"),
        ([("2-0", entry(2))], "deployment 1 is missing"),
        ([("1-0", entry(1)), ("3-0", entry(3))], "deployment 2 is missing"),
    ],
)
def test_a_stream_changed_by_hand_is_told(server: RedisServer, records: list[tuple[str, Any]], message: str) -> None:
    """What is no gapless history of deployments is an error that names the place."""
    with server.client() as client:
        for stream_id, document in records:
            client.xadd(STREAM, {"entry": document}, id=stream_id)
    with pytest.raises(LogError, match=message):
        log_of(server).read()


def test_a_key_of_another_kind_is_told(server: RedisServer) -> None:
    """A key that is no stream is an error in Redis's own words, and nothing is written."""
    with server.client() as client:
        client.set(STREAM, "taken")
        for use in (lambda log: log.read(), lambda log: log.append(SPLIT, expected=0)):
            with pytest.raises(LogError, match="wrong kind of value"):
                use(log_of(server))
        assert client.get(STREAM) == b"taken"


# --- writers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", [1, 2])
def test_an_answer_gets_lost(server: RedisServer, lost: int) -> None:
    """A deployment whose answer is lost is written once; the writer learns it, or is told that it cannot be known."""
    with contextlib.closing(Wire(server)) as wire:
        log = log_at(wire.url)
        log.append({"v1": 100}, expected=0)
        wire.lose = lost
        if lost == 1:
            assert log.append(SPLIT, expected=1).revision == 2
        else:
            with pytest.raises(LogUnavailableError, match="revision 2 may have been written or not"):
                log.append(SPLIT, expected=1)
        assert wire.lose == 0
    assert [entry.revision for entry in log_of(server).read()] == [1, 2]


def test_an_answer_gets_lost_and_others_write(server: RedisServer) -> None:
    """A writer whose answer was lost learns that it was done, also when somebody has deployed after it."""
    with contextlib.closing(Wire(server)) as wire:
        log, other = log_at(wire.url), log_of(server)
        wire.lose = 1
        wire.meanwhile = lambda: other.append(SPLIT, expected=1, details=Details(author="bob"))
        assert log.append({"v1": 100}, expected=0, details=Details(author="ada")).revision == 1
    assert [entry.author for entry in log_of(server).read()] == ["ada", "bob"]


def test_out_of_memory(own: RedisServer) -> None:
    """A Redis that takes no more data says so, and the log is as it was."""
    log = filled(log_of(own))
    with own.client() as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(LogError, match="maxmemory"):
            log.append(SPLIT, expected=2)
        client.config_set("maxmemory", "0")
    assert len(log.read()) == 2


def test_a_replica_takes_no_deployment(own: RedisServer) -> None:
    """A replica is read, and a deployment to it refused by a message that says where to write."""
    log = filled(log_of(own))
    with own.client() as client:
        client.replicaof("127.0.0.1", "1")
        assert len(log.read()) == 2
        with pytest.raises(LogError, match="primary"):
            log.append(SPLIT, expected=2)


# --- Redis goes away --------------------------------------------------------------------------------------------------


def test_a_restart_with_its_data(own: RedisServer) -> None:
    """While Redis is down every use says so; the same log goes on as soon as it is back, with all deployments."""
    log = filled(log_of(own))
    own.kill()
    for use in (log.read, lambda: log.append(SPLIT, expected=2), log.reports.read):
        with pytest.raises(LogUnavailableError, match="cannot be reached"):
            use()
    own.start()
    assert [entry.revision for entry in log.read()] == [1, 2]
    assert log.append(SPLIT, expected=2).revision == 3


def test_a_connection_of_before_a_restart(own: RedisServer) -> None:
    """A log that did not notice a restart asks the new server as if nothing had been."""
    log = filled(log_of(own))
    own.kill()
    own.start()
    assert log.append(SPLIT, expected=2).revision == 3


def test_a_restart_without_its_data(own: RedisServer) -> None:
    """A Redis that lost its data is found out by whoever knows a revision, and nothing is written over the history."""
    log = filled(log_of(own))
    history = log.read()
    own.kill()
    own.forget()
    own.start()
    for read in (lambda: log.read(2), log.read, lambda: log_of(own).read(2)):
        with pytest.raises(LogLostError, match="revision 2 was there"):
            read()
    for expected in (0, 2):
        with pytest.raises(LogLostError, match="Restore"):
            log.append(SPLIT, expected=expected)
    with pytest.raises(LogConflictError) as conflict:
        log_of(own).append(SPLIT, expected=2)
    assert conflict.value.current_revision == 0

    log.restore(history)
    assert log.read() == log_of(own).read() == history
    assert log.append(SPLIT, expected=2).revision == 3


def follows(log: RedisLog, revision: int) -> None:
    """Let a worker report that it has read a revision."""
    log.reports.write(Report("0123456789abcdef", 1, "web1", log_revision=revision), is_first=True)


def test_a_live_worker_remembers(server: RedisServer) -> None:
    """A writer that has seen nothing does not begin anew while a worker reports a later deployment.

    A log that has deployments is not held up by such a report.
    """
    follows(log_of(server), 7)
    with pytest.raises(LogLostError, match="revision 7"):
        log_of(server).append({"v1": 100}, expected=0)
    assert log_of(server).read() == []
    with server.client() as client:
        client.flushall()
    log = filled(log_of(server))
    follows(log, 7)
    assert log.append(SPLIT, expected=2).revision == 3


def test_a_first_deployment_waits_for_hosts() -> None:
    """On a Redis that has just been started, empty, a writer who has seen nothing waits for a host that knows more."""
    with redis_server(grace=20) as own, contextlib.closing(log_of(own)) as host:
        timer = threading.Timer(0.5, follows, (host, 7))
        timer.start()
        with pytest.raises(LogLostError, match=r"revision 7 was there.*`version-affinity deployments restore`"):
            log_of(own).append({"v1": 100}, expected=0)
        timer.join()
        assert host.reports.read().live  # it was waited for


def test_a_first_deployment_waits_no_longer_than_the_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer waits until Redis has been up for the grace period, and does not wait at all after that."""
    pauses: list[float] = []
    real = time.sleep

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        real(seconds)

    with redis_server(grace=2) as own:
        monkeypatch.setattr(redis_log.time, "sleep", sleep)
        assert log_of(own).append({"v1": 100}, expected=0).revision == 1
        with own.client() as client:
            client.flushall()
            while client.info("server")["uptime_in_seconds"] < 2:
                real(0.1)
        pauses.clear()
        assert log_of(own).append({"v1": 100}, expected=0).revision == 1
        assert pauses == []


def test_a_history_that_was_begun_anew_is_replaced(server: RedisServer) -> None:
    """What somebody deployed to an emptied Redis gives way to the true history, where that is asked for."""
    log = filled(log_of(server))
    history = log.read()
    with server.client() as client:
        client.delete(STREAM)
    begun = log_of(server)
    begun.append({"v9": 100}, expected=0)
    with pytest.raises(LogError, match="`version-affinity deployments restore --replace`"):
        begun.restore(history)
    begun.restore(history, replace=True)
    assert begun.read() == log.read() == history
    assert begun.append(SPLIT, expected=2).revision == 3


@pytest.mark.parametrize(("entries", "existing"), [(slice(1, None), False), (slice(0, 0), False), (slice(0, 2), True)])
def test_what_cannot_be_restored(server: RedisServer, entries: slice, existing: bool) -> None:
    """A history without its beginning, or over another one, is not restored."""
    history = filled(log_of(server)).read()
    with server.client() as client:
        if not existing:
            client.flushall()
        before = client.xlen(STREAM)
        with pytest.raises(LogError, match=r"restored"):
            log_of(server).restore(history[entries])
        assert client.xlen(STREAM) == before


def test_a_server_that_hangs(server: RedisServer) -> None:
    """A Redis that keeps its connections and answers nobody ends every use in a few seconds; after it, all is well."""
    log = log_at(f"{server.url}?socket_timeout=0.2&socket_connect_timeout=0.2")
    filled(log)
    with server.hanging():
        for use in (log.read, log.reports.read, lambda: follows(log, 2)):
            with pytest.raises(LogUnavailableError, match=r"does not answer within 0\.2 s"):
                use()
    assert [entry.revision for entry in log.read()] == [1, 2]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", LogUnavailableError),
        (b"-ERR unknown command 'AUTH', with args beginning with: 'p@ss:w/o?r#d%'\r\n", LogError),
        (b"-ERR unknown\r\n" * 4, LogError),
        (b"$-7\r\n", LogError),
        (b"*999999999\r\n", LogUnavailableError),
        (b":12\r\n" * 4, LogError),
        (b"\xff\xfe\r\n", LogUnavailableError),
        (b"", LogUnavailableError),
    ],
)
def test_something_else_at_the_port(answer: bytes, error: type[LogError]) -> None:
    """A server that speaks something else is an error of the log, and one that repeats the password is not repeated."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                peer.recv(1000)
                peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{listener.getsockname()[1]}?socket_timeout=1"
        with pytest.raises(error) as raised:
            log_at(url).read()
    assert_hidden("".join(traceback.format_exception(raised.value)))


# --- who may ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", [False, True])
def test_password(tls: bool) -> None:
    """The URL's password and TLS open a server; without the password, or with another, the message has none of it."""
    with redis_server(password=PASSWORD, tls=tls) as server:
        assert len(filled(log_of(server)).read()) == 2
        for url in (
            server.url.replace(":p%40", ":q%40"),
            server.url.replace(server.url.partition("//")[2].partition("@")[0] + "@", ""),
        ):
            with pytest.raises(LogUnavailableError, match="user or the password") as error:
                log_at(url).read()
            assert_hidden("".join(traceback.format_exception(error.value)))


def test_tls_is_checked() -> None:
    """A certificate of an unknown authority, or for another name, is refused; so is plain text to a TLS port."""
    with redis_server(tls=True) as server:
        plain = server.url.partition("?")[0]
        for url in (plain, server.url.replace("127.0.0.1", "localhost"), plain.replace("rediss:", "redis:")):
            with pytest.raises(LogUnavailableError):
                log_at(url).read()
        assert log_of(server).read() == []


def test_unix_socket() -> None:
    """A Unix socket is as good as a port."""
    with redis_server(password=PASSWORD) as server:
        log = log_at(server.socket_url)
        assert len(filled(log).read()) == 2
        assert log.description == f"unix://{server.directory / 'redis.sock'}"


def test_a_user_without_the_right(server: RedisServer) -> None:
    """A user who may only read is told so in Redis's words when it deploys."""
    with server.client() as client:
        client.acl_setuser(
            "viewer", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@read", "+@connection"]
        )
        log = log_at(server.url.replace("redis://", "redis://viewer:secret@"))
        assert log.read() == []
        with pytest.raises(LogError, match="no permissions"):
            log.append(SPLIT, expected=0)
        client.acl_deluser("viewer")


def assert_hidden(text: str) -> None:
    """Fail when a part of the password is in a text."""
    assert [part for part in (PASSWORD, "p%40ss", "p@ss", "w/o", "r#d") if part in text] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost",
        "localhost:6379",
        "",
        "redis://",
        "redis://:6379",
        "unix://",
        "unix://localhost",
        f"redis://:{PASSWORD}@localhost:6379",  # not quoted: read as a host ":p", a path or a fragment
        "redis://:12?p@ss@localhost",
        "redis://:12#r#d@localhost",
        "redis://user:w/o@localhost",
        "redis://user:12/r#d@localhost",
        "redis://user:12/p@ss@localhost",
        "redis://user:12?p@ss@localhost",
        "redis://user:12#w/o",
        "redis://localhost:port-of-w/o",
        "redis://localhost:99999",
        "redis://localhost?no_such_option=1",
        "redis://localhost?socket_timeout=soon",
        "rediss://:p%40ss@localhost?ssl_cert_reqs=perhaps",
        "redis://p%40ss@localhost",  # a forgotten colon: the password would be shown as a user
        "rediss://p%40ss@localhost:6379/1",
        "unix://p%40ss@/run/redis.sock",
    ],
)
def test_urls_that_cannot_be_used(url: str) -> None:
    """A URL that cannot be used is a configuration error, and neither it nor its traceback has a part of a password."""
    with pytest.raises(ConfigurationError, match="log") as error:
        log_at(url)
    text = "".join(traceback.format_exception_only(error.value)) + "".join(map(str, (error.value.__cause__, "")))
    assert_hidden(text)
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "description"),
    [
        ("redis://localhost", "redis://localhost"),
        ("redis://localhost:6380/2?socket_timeout=1", "redis://localhost:6380/2"),
        ("redis://ada:secret@[::1]:6379/", "redis://ada@[::1]:6379"),
        ("rediss://:secret@redis.example", "rediss://redis.example"),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis://ada:@localhost", "redis://ada@localhost"),
        ("redis://ada@localhost?password=secret", "redis://ada@localhost"),
        ("unix://ada:secret@/run/redis.sock", "unix://ada@/run/redis.sock"),
    ],
)
def test_description(url: str, description: str) -> None:
    """Messages name the server, the database and the user, and no password."""
    assert log_at(url).description == description


def test_options_of_the_url(server: RedisServer) -> None:
    """Options of redis-py that would change what is read are without effect."""
    log = log_at(f"{server.url}?decode_responses=true&protocol=3")
    follows(filled(log), 2)
    assert len(log.read()) == len(log.reports.read().live) + 1 == 2


def test_nothing_is_opened_before_it_is_asked() -> None:
    """A log of a server that is not there can be made, forked and closed."""
    log = log_at("redis://127.0.0.1:1")
    log.close()


# --- processes --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_fork(server: RedisServer) -> None:
    """A child of a process that used the log has connections of its own, and leaves its parent's alone."""
    log = filled(log_at(f"{server.url}?client_name=forked"))
    with server.client() as client:

        def connections() -> set[str]:
            return {one["id"] for one in client.client_list() if one["name"] == "forked"}

        mine = connections()

        def child() -> tuple[int, int, int]:
            return len(log.read()), log.append(SPLIT, expected=2).revision, len(connections() - mine)

        assert in_child(child) == (2, 3, 1)
        assert [entry.revision for entry in log.read()] == [1, 2, 3]
        assert len(mine) == 1
        assert mine <= connections()


def test_a_closed_log_opens_again(server: RedisServer) -> None:
    """Closing ends the connections of a log; one that is asked all the same connects anew."""
    log = filled(log_at(f"{server.url}?client_name=closed"))
    with server.client() as client:
        assert "closed" in [one["name"] for one in client.client_list()]
        log.close()
        assert "closed" not in [one["name"] for one in client.client_list()]
    assert len(log.read()) == 2


def test_closed_during_a_command(server: RedisServer) -> None:
    """A command that another thread runs ends as usual, and its connection ends with it."""
    connection = RedisConnection(f"{server.url}?client_name=waiting")
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(connection.ask(lambda it: it.blpop(["queue"], 2))))
    with server.client() as client:

        def commands() -> list[str]:
            return [one["cmd"] for one in client.client_list() if one["name"] == "waiting"]

        thread.start()
        until(lambda: commands() == ["blpop"])
        connection.close()
        client.rpush("queue", "answer")
        thread.join()
        assert answers == [(b"queue", b"answer")]
        until(lambda: commands() == [])
