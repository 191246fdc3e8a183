"""What a command refuses, and how errors become one clear message and an exit code.

0: done. 1: refused, with the reason. 2: the command is written wrongly. 130: interrupted.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Final

import click

from version_affinity.errors import ConfigurationError, install
from version_affinity.releases.log.entries import LogError
from version_affinity.releases.store.directory import ReleasesError
from version_affinity.wire import printable

from .terminal.output import awaits_json, emit

if TYPE_CHECKING:
    from collections.abc import Iterator

#: As a shell counts a process that SIGINT has ended.
INTERRUPTED: Final = 130


class RefusedError(click.ClickException):
    """A command is not done, and this is why. What it was to change is as it was.

    With ``--json``, stdout gets a document that says so, unless it has one already.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        context = click.get_current_context(silent=True)
        self._color = context.color if context is not None else None
        self._awaits_json = context is not None and awaits_json(context)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the reason to stderr."""
        self._tell()
        label = click.style("Error:", fg="red", bold=True)
        click.echo(f"{label} {printable(self.message, lines=True)}", file=file, err=file is None, color=self._color)

    def _tell(self) -> None:
        if self._awaits_json:
            emit({"error": self.message})


class DeclinedError(RefusedError):
    """Whoever was asked has said no."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print what that comes to: it is no error."""
        self._tell()
        click.echo(f"{self.message[0].upper()}{self.message[1:]}.", file=file, err=file is None)


def missing_extra(what: str, extra: str) -> str:
    """Return what is to be done about a command whose packages are not installed.

    >>> missing_extra("serve", "serve")[:66]
    "serve needs packages that are not installed: pip install 'version_"
    """
    return f"{what} needs packages that are not installed: {install(extra)}"


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """Turn every error that may be expected into a refusal: whoever reads it needs no traceback.

    Raises:
        RefusedError: the block has raised such an error.
        click.exceptions.Exit: it was interrupted.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # click ends silently: nobody reads any more
    except (ConfigurationError, LogError, ReleasesError) as error:
        raise RefusedError(str(error)) from None
    except OSError as error:
        where = f"{error.filename!r}: " if error.filename is not None else ""
        raise RefusedError(f"{where}{error.strerror or error}") from None
    except KeyboardInterrupt:
        click.echo(err=True)  # after the terminal's ^C
        raise click.exceptions.Exit(INTERRUPTED) from None
    except click.Abort as error:
        # At a prompt: Ctrl+C, or the end of the input.
        click.echo(err=True)
        if isinstance(error.__context__, EOFError):
            raise RefusedError("nothing is changed: the question was not answered") from None
        raise click.exceptions.Exit(INTERRUPTED) from None
