"""The file log's lines: one JSON object each, ended by a newline. What reads and writes them is ``file_log.py``."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from .entries import Entry, LogError

_MEND: Final = "restore the file from its backup, or mend that line"


class History(NamedTuple):
    """The whole lines of a file: immutable, so that threads which read at once need no lock among them.

    Attributes:
        entries: What they say.
        end: How many bytes they are.
        last: The last of them, with its newline. Where it is found again at its place, this is still the same file.
    """

    entries: tuple[Entry, ...] = ()
    end: int = 0
    last: bytes = b""

    def extended(self, data: bytes, name: str) -> History:
        r"""Return the history with the whole lines that follow it. The last one is passed over where it is no JSON.

        A writer that crashes leaves a line without newline. The system's crash can also keep the end of a line and
        lose its beginning.

        Args:
            data: The lines. What follows the last newline is no line yet.
            name: The file's name, for errors.

        Raises:
            LogError: a line is damaged.

        >>> History().extended(b'{"revision":1,"percentages":{"v1":100},"created":""}\n{"revision":2,"perc', "a").end
        53
        """
        entries, end, last = list(self.entries), self.end, self.last
        *lines, _ = data.split(b"\n")
        for number, line in enumerate(lines, 1):
            place = f"{name}, line {len(entries) + 1}"
            try:
                document = json.loads(line.decode())
            except (ValueError, RecursionError) as error:
                if number == len(lines):
                    break
                raise LogError(f"{place} is no JSON: {error}; {_MEND}") from None
            try:
                entry = Entry.from_document(document)
            except LogError as error:
                raise LogError(f"{place} is no deployment: {error}; {_MEND}") from None
            if entry.revision != len(entries) + 1:
                raise LogError(f"{place} has revision {entry.revision}; {_MEND}")
            entries.append(entry)
            last = line + b"\n"
            end += len(last)
        return History(tuple(entries), end, last)


def line_of(entry: Entry) -> bytes:
    """Return an entry as a line, with its newline.

    >>> line_of(Entry(1, {"v1": 100.0}, "2026-11-24T05:00:00Z"))[:44]
    b'{"revision":1,"percentages":{"v1":100.0},"cr'
    """
    text = json.dumps(entry.as_document(), ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate, as in an argument that is no UTF-8, becomes an escape that JSON knows.
    return text.encode("utf-8", "backslashreplace") + b"\n"
