"""Refusals, expected errors as one message and an exit status, and the warnings of the library.

Exit status: 0 success, 1 refused (the reason is printed), 2 usage error, 130 interrupted.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from version_affinity.errors import ConfigurationError, install
from version_affinity.releases.log.entries import LogError
from version_affinity.releases.store.directory import ReleasesError
from version_affinity.wire import printable

from .output import as_typed, awaits_json, emit, sentence, short_ids, warn

if TYPE_CHECKING:
    from collections.abc import Iterator


class RefusedError(click.ClickException):
    """A command has not done its work, or not all of it; the message says why, and whether anything was changed.

    With ``--json``, stdout gets the document ``{"error": ...}``, unless the command has printed one already.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(as_typed(message))
        context = click.get_current_context(silent=True)
        self._color = context.color if context is not None else None
        # Now, while the ids are known: the command has ended when click shows an error.
        self._text = printable(short_ids(self.message), lines=True)
        self._awaits_json = context is not None and awaits_json(context)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the reason to stderr."""
        if self._awaits_json:
            emit({"error": self.message})
        click.echo(self.text(), file=file, err=file is None, color=self._color)

    def text(self) -> str:
        """Return the reason for a terminal."""
        return f"{click.style('Error:', fg='red', bold=True)} {self._text}"


class DeclinedError(RefusedError):
    """The answer to a confirmation was no, which is not an error."""

    def text(self) -> str:
        """Return the outcome as a sentence."""
        return f"{sentence(self._text)}."


def missing_extra(what: str, extra: str) -> str:
    """Return an error message for a command whose packages are not installed."""
    return f"{what} needs packages that are not installed: {install(extra)}"


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """Turn expected errors into ``RefusedError``, and interruptions into an exit status: no traceback is shown.

    With ``--json``, a usage error prints the document ``{"error": ...}``, too.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # click exits silently: the reader of the pipe has gone
    except click.UsageError as error:
        if awaits_json(click.get_current_context()):
            emit({"error": error.format_message()})
        raise
    except (ConfigurationError, LogError, ReleasesError) as error:
        raise RefusedError(str(error)) from None
    except OSError as error:
        where = f"{error.filename!r}: " if error.filename is not None else ""
        raise RefusedError(f"{where}{error.strerror or error}") from None
    except KeyboardInterrupt:
        click.echo(err=True)  # after the terminal's ^C
        raise click.exceptions.Exit(130) from None
    except click.Abort as error:  # Ctrl+C or the end of the input at a prompt
        click.echo(err=True)
        if isinstance(error.__context__, EOFError):
            raise RefusedError("nothing is changed: the question was not answered") from None
        raise click.exceptions.Exit(130) from None


class _WarningHandler(logging.Handler):
    """Prints the library's log records as warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


@contextmanager
def warnings_shown() -> Iterator[None]:
    """Print the library's log records as warnings on stderr while the block runs."""
    logger = logging.getLogger("version_affinity")
    handler = _WarningHandler(logging.WARNING)
    propagated = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated
