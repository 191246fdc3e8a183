"""One command for each check, the same for people and for ``.ci/run``.

    nox                          lint, types and tests
    nox -s docs package coverage
    nox -s tests-3.13 -- tests/cli
    nox --no-venv -s lint        in the environment that nox runs in, without installing anything

``nox -l`` lists the sessions.
"""

import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = False

#: The supported versions of Python. One that is not installed is skipped.
PYTHONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
#: Two or more tests at a time; those of one module in one process, which share their servers and browsers.
PARALLEL = ("-n", "auto", "--dist", "loadfile")


def install(session: nox.Session, extras: str) -> None:
    """Install the package with extras, unless the session has no environment of its own."""
    if session.virtualenv.venv_backend != "none":
        session.install("-e", f".[{extras}]")


@nox.session
def lint(session: nox.Session) -> None:
    """Run the linter and check the format."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of the package, the example, the benchmarks and the tools."""
    install(session, "test,bench,dev,docs")
    session.run("mypy")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests: the default selection, or the given arguments of pytest (``-- --all``)."""
    install(session, "test")
    session.run("python", "-m", "pytest", *PARALLEL, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site, a warning being an error, and check that it loads nothing from other hosts."""
    install(session, "test,docs")
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/docs/test_docs_site.py")


@nox.session(python="3.13")
def coverage(session: nox.Session) -> None:
    """Run the default selection and report the lines that it does not reach. Fails below the floor."""
    install(session, "test,docs,dev")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *PARALLEL, *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")


@nox.session
def bars(session: nox.Session) -> None:
    """Print the size and the structure of the package. Fails if one of them exceeds its limit."""
    session.run("python", "tools/bars.py")


@nox.session
def package(session: nox.Session) -> None:
    """Build the distributions, and check the types of the installed wheel as its users' type checkers see them."""
    session.install("build>=1.2,<2", "mypy>=2.0,<3", "pyright[nodejs]>=1.1.400,<2")
    with tempfile.TemporaryDirectory() as outside:  # the checkers find neither the source nor its configuration there
        session.run("python", "-m", "build", "-q", "--outdir", outside)
        (wheel,) = Path(outside).glob("*.whl")
        session.install("--force-reinstall", f"{wheel}[flask,django,prometheus]")
        shutil.copytree("tests/typing", Path(outside, "typing_tests"))
        with session.chdir(outside):
            session.run("mypy", "--strict", "typing_tests")
            session.run("pyright", "typing_tests")
