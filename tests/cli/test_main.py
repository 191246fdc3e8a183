"""What holds for all commands: help that teaches, JSON, exit codes, and one clear message for what goes wrong."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from tests.cli.commanding import ENTRY, Site, environment, ran, run
from version_affinity.cli.main import Commands, cli
from version_affinity.ramp.plan import RampPlan
from version_affinity.releases.log.entries import Details
from version_affinity.releases.releases import open_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: What an installation without extras cannot import.
EXTRAS = ("flask", "redis", "waitress", "brotli", "zstandard", "justhtml", "tinycss2", "tree_sitter")


def commands(group: click.Command = cli, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield all commands, and the words that call them."""
    if isinstance(group, Commands):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command is not None
            yield from commands(command, *path, name)
    yield path, group


ALL = [path for path, _ in commands() if path]
LEAVES = [path for path, command in commands() if not isinstance(command, Commands)]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with two versions, in the middle of a rollout."""
    site = Site(tmp_path)
    site.upload("v1", "v2")
    site.deploy({"v1": 100.0}, {"v1": 90.0, "v2": 10.0})
    return site


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help(path: tuple[str, ...]) -> None:
    """Every command's help says what it does, with an example of it, and its options say what they are for."""
    text = run(*path, "--help").stdout
    assert text == run(*path, "-h").stdout
    examples = [line for line in text.splitlines()[2:] if line.startswith("    ")]
    assert any(f"version-affinity {' '.join(path)}" in line for line in examples)
    command = dict(commands())[path]
    without = [option.opts for option in command.params if isinstance(option, click.Option) and not option.help]
    assert without == []


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_json_everywhere(path: tuple[str, ...]) -> None:
    """Every command that prints something prints JSON too."""
    assert "--json" in run(*path, "--help").stdout


@pytest.mark.parametrize("path", [(), ("versions",), ("deployments",)], ids=" ".join)
def test_summaries(path: tuple[str, ...]) -> None:
    """A group lists its commands in the order in which they are used, and what each one does."""
    group = dict(commands())[path]
    assert isinstance(group, Commands)
    lines = run(*path, "--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == list(group.table)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nope"], 2, "No such command 'nope'"),
        (["versions", "uplaod"], 2, "No such command 'uplaod'. Did you mean upload?"),
        (["deploy", "v1"], 2, "No such command 'deploy'. Did you mean versions deploy?"),
        (["upload", "dist"], 2, "Did you mean versions upload?"),
        (["list"], 2, "Did you mean versions list or deployments list?"),
        (["status"], 2, "Did you mean deployments status or ramp status?"),
        (["versions", "rollback"], 2, "Did you mean rollback?"),
        (["versions", "status"], 2, "Did you mean deployments status or ramp status?"),
        (["deployments", "rollback"], 2, "Did you mean rollback?"),
        (["versions", "list", "--nope"], 2, "No such option"),
        (["versions", "view"], 2, "Missing argument"),
        (["versions", "view", "v9"], 1, "version 'v9' is not in"),
        (["versions", "view", "../v9"], 2, "version id '../v9' cannot be used"),
        (["versions", "upload", "nowhere"], 2, "does not exist"),
        (["versions", "deploy", "v9", "-y"], 1, "v9 is not uploaded (uploaded: v2, v1)"),
        (["versions", "deploy"], 2, "no version is given"),
        (["rollback", "--log", "redis://127.0.0.1:1"], 1, "redis://127.0.0.1:1 cannot be reached"),
        (["rollback", "--log", "http://x"], 2, "is not a Redis URL"),
        (["init", "--name", "Store Front"], 2, "name='Store Front' cannot be used"),
        (["init", "--name", "other"], 1, "has the name 'storefront', not 'other'"),
        (["init"], 2, "Missing option '--name'"),
        (["prune", "--keep", "-1"], 2, "not in the range"),
        (["prune", "--older-than", "soon"], 2, "'soon' is not a duration"),
        (["deployments", "restore", "-y"], 1, "is a file"),
        (["explain", "/", "--app", "nope"], 2, "there is no module 'nope' here"),
        (["explain", "/", "--app-first", "foo"], 2, "must begin with '/'"),
        (["versions", "upload", ".", "--id", "../x"], 2, "version id '../x' cannot be used"),
        (["rollback", "../v1"], 2, "version id '../v1' cannot be used"),
        (["versions", "deploy", ""], 2, "'[ID@PERCENTAGE]...': the value is empty. Is the shell variable set?"),
        (["versions", "list", "--releases", ""], 2, "the value is empty"),
        (["versions", "list", "--log", ""], 2, "the value is empty. Is the shell variable set?"),
        (["--log=", "versions", "list"], 2, "the value is empty. Is the shell variable set?"),
        (["versions", "deploy", "v1", "--expect", ""], 2, "'--expect': the value is empty. Is the shell variable set?"),
        (["versions", "deploy", "v1", "--expect="], 2, "'--expect': the value is empty. Is the shell variable set?"),
        (["rollback", ""], 2, "'[ID]': the value is empty. Is the shell variable set?"),
        (["versions", "view", ""], 2, "'ID': the value is empty. Is the shell variable set?"),
        (["versions", "upload", ""], 2, "'DIRECTORY': the value is empty. Is the shell variable set?"),
        (["versions", "upload", ".", "--id", ""], 2, "'--id': the value is empty. Is the shell variable set?"),
        (["retention", "--younger-than", ""], 2, "'--younger-than': the value is empty. Is the shell variable set?"),
        (["explain", "/", "--cookie", ""], 2, "'--cookie': the value is empty. Is the shell variable set?"),
        (["versions", "deploy", "@90%", "v2@10%"], 2, "'@90%': the id is empty. Is the shell variable set?"),
        (["versions", "deploy", "v1@"], 2, "'v1@': the percentage is empty. Is the shell variable set?"),
        (["rollback", "--log", "redis://x?nope=1"], 2, "has an option that cannot be used"),
        (["explain", "about"], 2, "'about' is not a path"),
        (["explain", "http://[/"], 2, "'http://[/' is not a path"),
    ],
)
def test_errors(site: Site, arguments: list[str], code: int, words: str) -> None:
    """What is refused ends with 1, what is written wrongly with 2; stderr says why, and stdout nothing of it."""
    result = site.run(*arguments, code=code)
    assert words in result.stderr
    assert words not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["versions", "deploy", "v1@many", "--json"], "'many' is not a percentage"),
        (["versions", "list", "--json", "--nope"], "No such option '--nope'"),
        (["versions", "list", "--nope", "--json"], "No such option '--nope'"),
        (["versions", "view", "--json"], "Missing argument 'ID'"),
        (["rollback", "", "--json"], "the value is empty"),
        (["nope", "--json"], "No such command 'nope'"),
        (["--nope", "versions", "list", "--json"], "No such option '--nope'"),
        (["versions", "deploy", "--json"], "no version is given"),
        (["explain", "about", "--json"], "'about' is not a path"),
    ],
)
def test_usage_errors_as_json(site: Site, arguments: list[str], words: str) -> None:
    """With --json, a usage error is an object on stdout too; its exit status stays 2."""
    result = site.run(*arguments, code=2)
    assert words in json.loads(result.stdout)["error"]
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("settings --spa --no-spa", "--spa and --no-spa exclude each other: write one of them"),
        ("init --name storefront --404-page --spa", "--404-page and --spa exclude each other"),
        ("versions deploy v1 --spa --404-page", "--spa and --404-page exclude each other"),
        ("settings --prefix /a --prefix /b", "--prefix is given 2 times: write it once"),
        ("rollback -m one --message two", "--message is given 2 times"),
        ("settings --app-first none --app-first /api/*", "'none' excludes other values"),
        ("settings --origin https://cdn.example --origin none", "'none' excludes other values"),
        (
            "versions deploy v1@90 v2@10 --rest",
            "--rest: nothing is left for v0. Leave out --rest, or give v1 and v2 less",
        ),
        ("--log redis://here versions list --log redis://there", "--log is given twice"),
        ("serve --name shop", "--name is for builds: releases have their own name"),
        ("ramp start v2 --approve-each --approve-at 50", "exclude each other"),
    ],
)
def test_contradictions(site: Site, arguments: str, words: str) -> None:
    """Options that contradict each other are an error of usage; none of them wins silently."""
    site.upload("v0")
    site.deploy({"v0": 100.0})
    assert words in " ".join(site.run(*arguments.split(), code=2).stderr.split())
    assert site.percentages[-1] == {"v0": 100.0}
    assert "prefix" not in (site.path / "affinity.json").read_text()


def test_no_contradictions(site: Site) -> None:
    """A flag may stand twice, --releases may be named twice alike, and a dry run is one with -y, too."""
    where = ("--releases", str(site.path))
    assert "dry run" in site.run("versions", "deploy", "v1@50", "v2", "--dry-run", "-y", "-y", *where).stdout
    assert site.percentages[-1] != {"v1": 50.0, "v2": 50.0}


@pytest.mark.parametrize("arguments", [["-m", ""], ["--message="], ["-m", "--json"]])
def test_values_that_may_be_empty(site: Site, arguments: list[str]) -> None:
    """An option whose default is empty takes an empty value; a value is not an option."""
    assert site.run("versions", "deploy", "v1@80", "v2", "--dry-run", *arguments).stdout.startswith("storefront")


@pytest.mark.parametrize("command", ["versions deploy v1@80 v2@20 --dry-run", "rollback v1 --dry-run", "check v1"])
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--origin", "cdn.example", "is not an origin"),
        ("--prefix", "no slash", "is not a path"),
        ("--prefix", "", "the value is empty"),
        ("--app-first", "foo", "must begin with '/'"),
        ("--app-first", "", "the value is empty"),
    ],
)
def test_form_of_options(site: Site, command: str, option: str, value: str, words: str) -> None:
    """What says how versions are served is looked at even where no version is checked, since none is new."""
    if option == "--origin":
        pytest.importorskip("tinycss2", reason="it comes with the extra 'check'")
    told = site.run(*command.split(), option, value, code=2).stderr
    assert f"Invalid value for '{option}'" in told
    assert words in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("versions view v9", "version 'v9' is not in"),
        ("versions deploy v2", "the command needs a confirmation, and there is no terminal"),
        ("rollback v2 -y --expect 1", "has deployed revision 2 in the meantime"),
        ("deployments status --log redis://127.0.0.1:1", "redis://127.0.0.1:1 cannot be reached"),
    ],
)
def test_refusals_as_json(site: Site, arguments: str, words: str) -> None:
    """With --json, a refusal without a document of its own is one on stdout, and stands on stderr all the same."""
    result = site.run(*arguments.split(), "--json", code=1)
    told = json.loads(result.stdout)
    assert list(told) == ["error"]
    assert words in told["error"]
    assert words in result.stderr


def test_one_document(site: Site) -> None:
    """A refusal that has a document prints that, and no other; without --json, stdout gets none."""
    assert site.run("versions", "view", "v9", code=1).stdout == ""
    told = site.json("versions", "deploy", "v9", "-y", code=1)
    assert "error" not in told
    assert told["refusals"]


@pytest.mark.parametrize("path", ["nowhere", "builds"])
@pytest.mark.parametrize("command", ["versions list", "deployments status", "prune", "rollback", "explain /", "serve"])
def test_no_releases(site: Site, path: str, command: str) -> None:
    """Where there are no releases, every command says how they are made."""
    result = run("--releases", str(site.root / path), *command.split(), code=1)
    assert "is not a releases directory" in result.stderr
    assert "init --name storefront" in result.stderr


def test_damaged_log(site: Site) -> None:
    """A damaged log is named with the line that is damaged, and nothing is written to it."""
    log = site.path / "deployments.jsonl"
    log.write_text(damaged := log.read_text().replace('"v1":90.0', '"v1":95.0'))
    result = site.run("versions", "deploy", "v1", "-y", code=1)
    assert f"{log}, line 2" in result.stderr
    assert log.read_text() == damaged


_RAMP = RampPlan("v2").to_json()
_SIGNALS = {"users": {"new": 1, "base": 2}, "signals": {"app-errors": {"ratio": math.nan, "new": 1, "base": 2}}}


@pytest.mark.parametrize(
    "change",
    [
        {"id": math.nan},
        {"id": []},
        {"plan": []},
        {"plan": {**_RAMP, "guard": [[]]}},
        {"evidence": {"event": "\ud800"}},
        {"evidence": {"signals": []}},
        {"evidence": {"signals": [], "users": {"new": "a", "base": "b"}}},
        {"evidence": _SIGNALS},
        {"evidence": {"verdict": "\ud800", **_SIGNALS, "signals": {}}},
    ],
)
@pytest.mark.parametrize("command", ["deployments list", "deployments status", "ramp status", "ramp pause", "rollback"])
def test_ramp_of_another_program(site: Site, change: dict[str, object], command: str) -> None:
    """The log may hold any JSON as a ramp: each command shows what it can, or refuses to act; no error of Python."""
    log = open_log(site.directory)
    revision = len(log.read())
    ramp = {"id": f"ramp-{revision + 1}", "plan": _RAMP, "base": {"v1": 100.0}, "step": 1, "state": "held"}
    details = Details(ramp={**ramp, "since": "2026-11-24T05:00:00Z", **change})
    log.append({"v1": 99.0, "v2": 1.0}, expected=revision, details=details)
    log.close()
    result = CliRunner().invoke(cli, ["--releases", str(site.path), *command.split()], prog_name="version-affinity")
    assert result.exception is None or isinstance(result.exception, SystemExit)


def test_warnings_of_the_library(site: Site) -> None:
    """What the library logs is told on stderr, once, by commands of every group; and with --json too."""
    manifest = site.directory.manifest_path("v2")
    manifest.chmod(0o644)
    manifest.write_text("{}")
    for command in ("versions list", "versions list --json", "prune --dry-run"):
        lines = site.run(*command.split()).stderr.splitlines()
        assert len(lines) == len(set(lines)) == 1
        assert lines[0].startswith("Warning: version 'v2' is left out")


def test_errors_of_the_system(site: Site) -> None:
    """What the system refuses is told with the file's name, and no traceback."""
    log, versions = site.path / "deployments.jsonl", site.path / "versions"
    log.rename(site.root / "log")
    log.mkdir()
    result = site.run("versions", "deploy", "v1", "-y", code=1)
    assert f"{log} cannot be read: Is a directory" in result.stderr
    log.rmdir()
    versions.rename(site.root / "versions")
    versions.write_text("")
    assert f"'{versions}': Not a directory" in site.run("versions", "list", code=1).stderr
    assert "nothing was uploaded" in site.run("versions", "upload", str(site.build("v3")), code=1).stderr


def test_where_the_releases_are(site: Site) -> None:
    """The option wins over the environment, wherever it stands; and both over the directory ``releases``."""
    other = Site(site.root / "other")
    named = {"VERSION_AFFINITY_RELEASES": str(other.path)}
    before = ("--releases", str(site.path), "versions", "list", "--json")
    after = ("versions", "list", "--json", "--releases", str(site.path))
    both = ("--releases", str(site.path), *after)
    for arguments in (before, after, both):
        assert len(json.loads(run(*arguments, **named).stdout)) == 2
    assert "--releases is given twice" in run("--releases", str(other.path), *after, code=2).stderr
    assert json.loads(run("versions", "list", "--json", **named).stdout) == []
    done = ran(site.root, "versions", "list", "--json")
    assert [version["id"] for version in json.loads(done.stdout)] == ["v2", "v1"]


def test_where_the_log_is(site: Site) -> None:
    """The log of the environment is taken, and the option wins over it."""
    away = {"VERSION_AFFINITY_LOG": "redis://127.0.0.1:1"}
    result = run("--releases", str(site.path), "deployments", "status", code=1, **away)
    assert "redis://127.0.0.1:1 cannot be reached" in result.stderr
    assert ".." not in run("--releases", str(site.path), "versions", "list", **away).stderr
    result = site.run("deployments", "status", "--log", "redis://:secret@127.0.0.1:2", code=1, **away)
    assert "redis://127.0.0.1:2 cannot be reached" in result.stderr
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:1", "redis://127.0.0.1:1"),
        ("redis://127.0.0.1:1/2?socket_timeout=1&db=3", "'redis://127.0.0.1:1/2?socket_timeout=1&db=3'"),
        ("redis://me:s3cret@127.0.0.1:1", "..."),
        ("redis://:s3cret@127.0.0.1:1", "..."),
        ("redis://127.0.0.1:1?password=s3cret", "..."),
    ],
)
def test_the_log_in_other_commands(site: Site, url: str, shown: str) -> None:
    """A command that is proposed names the log as it was named, unless there is a password in its URL."""
    pytest.importorskip("redis", reason="it comes with the extra 'redis'")
    told = site.run("--log", url, "versions", "upload", str(site.build("v3")))
    assert f"version-affinity --releases {site.path} --log {shown} versions deploy" in told.stdout
    assert "s3cret" not in told.output


def test_init(tmp_path: Path) -> None:
    """Releases are made once; the same again does nothing, and each time the next command is told."""
    path = str(tmp_path / "releases")
    first, second = (run("--releases", path, "init", "--name", "storefront").stdout for _ in range(2))
    assert first.startswith(f"Created releases storefront in {path}\n")
    assert second.startswith(f"There already: releases storefront in {path}\n")
    assert f"  version-affinity --releases {path} versions upload dist/" in first
    made = json.loads(run("init", "--releases", path, "--name", "storefront", "--json").stdout)
    default = {"keep": 10, "younger_than": None}
    assert made == {"releases": path, "name": "storefront", "retention": default, "new": False}


def test_program(tmp_path: Path) -> None:
    """``python -m version_affinity`` is the same, and names itself that way in what it proposes."""
    assert ran(tmp_path, "--version").stdout == run("--version").stdout
    assert "  python -m version_affinity versions upload dist/" in ran(tmp_path, "init", "--name", "shop").stdout


def test_script() -> None:
    """The console script of the distribution is this command."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - of this test alone

    (script,) = entry_points(group="console_scripts", name="version-affinity")
    assert script.load().__module__ == "version_affinity.cli.main"


BLOCKED = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {EXTRAS!r}:
            raise ModuleNotFoundError("No module named " + repr(name), name=name)
sys.meta_path.insert(0, Missing())
from version_affinity.cli.main import main
main()
"""


def bare(cwd: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command in a process in which no extra can be imported."""
    command = [sys.executable, "-c", BLOCKED, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.slow
def test_without_extras(site: Site) -> None:
    """Without any extra, help and the life of a release work, and what was not checked is told."""
    assert "Commands:" in bare(site.root, "--help").stdout
    site.build("v3")
    bare(site.root, "versions", "upload", "builds/v3", "--id", "v3")
    done = bare(site.root, "versions", "deploy", "v3@5", "v1", "-y")
    assert "not checked" in done.stderr
    assert "pip install 'version_affinity[check]'" in done.stderr
    assert ENTRY["v3"] in bare(site.root, "explain", ENTRY["v3"]).stdout
    bare(site.root, "rollback", "-y")
    bare(site.root, "prune", "--dry-run")
    bare(site.root, "compress", "builds/v3", "--encoding", "gzip")


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        ("serve", "serve"),
        ("check v1", "check"),
        ("compress builds/v1", "compress"),
        ("deployments status --log redis://127.0.0.1:1", "redis"),
    ],
)
def test_missing_extra(site: Site, command: str, extra: str) -> None:
    """A command whose extra is not installed says which one to install."""
    assert f"pip install 'version_affinity[{extra}]'" in bare(site.root, *command.split(), code=1).stderr


def test_nobody_reads_any_more(site: Site) -> None:
    """A command whose reader goes away, as ``head`` does, ends without a word."""
    script = '"$1" -m version_affinity explain / --json 2>err | true; test ! -s err'
    subprocess.run(["bash", "-c", script, "bash", sys.executable], cwd=site.root, env=environment(), check=True)


def test_texts_of_others_are_no_commands(site: Site) -> None:
    """What others have written cannot move the cursor: it is shown escaped, and in JSON as it is."""
    evil = "\x1b[2J\x07 red\u202e \ud800"
    site.upload("v3", tag=evil)
    site.deploy({"v1": 100.0}, message=evil)
    for command in ("versions list", "versions view v3", "deployments list", "deployments status"):
        shown = site.run(*command.split()).stdout
        assert r"\x1b[2J\x07 red\u202e \ud800" in shown
        assert evil[0] not in shown
    assert site.json("versions", "list")[0]["tag"] == evil
    assert site.json("deployments", "list")[0]["message"] == evil
