"""``httplint`` on answers: what it says of them, and which of its notes are accepted, and why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, NamedTuple

from httplint import HttpRequestLinter, HttpResponseLinter
from httplint.note import levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer.

    Attributes:
        method: The request's.
        target: The request's, as on the wire.
        fields: The request's header fields.
        status: The status line behind the version, "200 OK".
        headers: The answer's.
        body: The answer's; None where it was not read, so that nothing is said of it.
    """

    method: str
    target: str
    fields: Sequence[tuple[str, str]]
    status: str
    headers: Sequence[tuple[str, str]]
    body: bytes | None

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for known, value in self.headers if known.lower() == name)

    @property
    def is_ours(self) -> bool:
        """Whether the package made the answer itself, from a file or as a refusal: it says nosniff on all content."""
        if self.status.startswith("204"):
            return bool(self["allow"])
        return self["x-content-type-options"] == "nosniff" or self.status.startswith("304")


class Note(NamedTuple):
    """What a linter says of an answer: the name of the note in httplint or REDbot, how bad it is, of what, in words."""

    name: str
    level: str
    subject: str
    summary: str


class Accepted(NamedTuple):
    """A note that is no fault of ours.

    Attributes:
        reason: Why.
        when: On which answers.
    """

    reason: str
    when: Callable[[Exchange], bool] = lambda _: True


def _of_application(exchange: Exchange) -> bool:
    return not exchange.is_ours


_LONG_LOCATION = Accepted(
    "a redirect keeps the query, however long the client made it", lambda exchange: "?" in exchange["location"]
)

#: By name, the warnings that are accepted.
ACCEPTED: dict[str, tuple[Accepted, ...]] = {
    "STORE_PUBLIC_UNNECESSARY": (
        Accepted(
            "without it no shared cache may keep the answer to a request with Authorization (RFC 9111 section 3.5)"
        ),
    ),
    "VARY_COMPLEX": (
        Accepted(
            "Vary names all that a decision may consult; what keeps such an answer out of shared caches is private",
            lambda exchange: "Sec-Fetch-Mode" in exchange["vary"],
        ),
        Accepted("the application varies so", _of_application),
    ),
    "CC_CONFLICTING": (
        Accepted(
            "under an override, private stands beside no-store for caches that read no-store as a matter of the disk",
            lambda exchange: "private, no-store" in exchange["cache-control"],
        ),
    ),
    "FRESHNESS_NO_CACHE_NO_VALIDATOR": (
        Accepted("a redirect has no content to validate", lambda exchange: exchange.status.startswith("3")),
        Accepted(
            "an application's tags know nothing of versions, so they are taken out, or it gave none", _of_application
        ),
    ),
    "FRESHNESS_HEURISTIC": (
        Accepted("an application said nothing of caching, and its answer passes as it is", _of_application),
    ),
    "CC_DUP": (
        Accepted(
            "an application limits private to some fields, which keeps nothing out of a cache, so a plain one follows",
            lambda exchange: 'private="' in exchange["cache-control"],
        ),
    ),
    "PARTIAL_WITHOUT_RANGE": (
        Accepted(
            "each part of several has its own Content-Range, the answer must have none (RFC 9110 section 15.3.7.2)",
            lambda exchange: exchange["content-type"].startswith("multipart/byteranges"),
        ),
    ),
    "RANGE_CL_FULL": (
        Accepted(
            "REDbot asks for the first 97 bytes, which are all of a shorter file",
            lambda exchange: int(exchange["content-length"]) <= 97,
        ),
    ),
    "FIELD_TOO_LARGE": (_LONG_LOCATION,),
    "FIELD_SECTION_TOO_LARGE": (_LONG_LOCATION,),
    # Answers of applications that tests make on purpose, and that pass as they are.
    "CC_MISCAP": (Accepted("the application writes so", _of_application),),
    "CONTENT_NOT_ALLOWED": (Accepted("the application answers HEAD with a body", _of_application),),
    "DISPOSITION_OMITS_FILENAME": (Accepted("the application writes so", _of_application),),
    "STATUS_BAD_REQUEST": (Accepted("the application answers so", _of_application),),
    "STATUS_NONSTANDARD": (Accepted("the application answers so", _of_application),),
    "STRUCTURED_FIELD_PARSE_ERROR": (Accepted("the application writes so", _of_application),),
    "VARY_ASTERISK": (Accepted("the application says so", _of_application),),
}


def lint(exchange: Exchange) -> list[Note]:
    """Return the warnings and errors about an answer that are not accepted."""
    return [note for note in warnings_of(notes_of(exchange)) if not is_accepted(note, exchange)]


def is_accepted(note: Note, exchange: Exchange) -> bool:
    """Tell whether a note is no fault of ours."""
    return any(accepted.when(exchange) for accepted in ACCEPTED.get(note.name, ()))


def warnings_of(notes: Iterable[Note]) -> Iterator[Note]:
    """Yield the notes that say that something is bad, or may be."""
    return (note for note in notes if note.level in (levels.BAD.value, levels.WARN.value))


def notes_of(exchange: Exchange) -> list[Note]:
    """Return all that httplint says of an answer, with the Date that a server would add."""
    now = time.time()
    request, response = HttpRequestLinter(), HttpResponseLinter(start_time=now, no_content=exchange.body is None)
    request.response, response.request = response, request
    request.process_request_topline(exchange.method.encode(), exchange.target.encode(), b"HTTP/1.1")
    request.process_headers(_raw(exchange.fields))
    request.finish_content(complete=True)
    code, _, phrase = exchange.status.partition(" ")
    response.is_head_response = exchange.method == "HEAD"
    response.base_uri = f"http://example.com{exchange.target}"
    response.process_response_topline(b"HTTP/1.1", code.encode(), phrase.encode())
    response.process_headers(_raw([*exchange.headers, ("Date", formatdate(now, usegmt=True))]))
    response.feed_content(exchange.body or b"")
    response.finish_content(complete=True)
    return [read(note) for note in response.notes]


def read(note: Any) -> Note:
    """Return a note of httplint or REDbot."""
    return Note(type(note).__name__, note.level.value, note.subject, str(note.summary))


def _raw(fields: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in fields]
