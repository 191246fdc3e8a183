"""What ``_headers`` changes in one response, and what remains of it if the response is not for everyone."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from version_affinity.assets.http.response import NO_STORE
from version_affinity.wire import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from version_affinity.assets.loading.asset import HeaderField

_PRIVATE: Final = ("private", "no-store")
# Directives that invite shared caches or outrank others: "must-understand" outranks "no-store" (RFC 9111 section
# 5.2.2.3), and "private" with names in it is not about the whole response (section 5.2.2.7).
_INVITING: Final = ("public", "s-maxage", "must-understand", "proxy-revalidate")
# A token, perhaps with another one (RFC 9111 section 5.2). Caches may misread quoted values, so they do not count.
_DIRECTIVE: Final = re.compile(f"({TOKEN})(={TOKEN})?")
#: Fields that say how long caches may keep a response, in lower case; ``is_targeted`` is true of further names.
CACHING: Final = frozenset(
    ("cache-control", "expires", "pragma", "age", "surrogate-control", "edge-control", "x-accel-expires"),
)
#: The fields by which a client confirms its copy. A rule's tag or date is the same in each version: with it, a cache
#: would take one version's page for another's.
VALIDATORS: Final = ("etag", "last-modified")
#: For both responses of a URL where a navigation gets a page and other requests reach the application. Another site's
#: frame gets the page, too, a frame of the same origin does not. A client that does not send Sec-Fetch-* is recognised
#: by the types that it accepts.
NEGOTIATED: Final = ("Vary", "Sec-Fetch-Mode, Sec-Fetch-Dest, Sec-Fetch-Site, Accept")


class HeaderChanges(NamedTuple):
    """What rules change in a response."""

    removed: frozenset[str]  # the names, in lower case, of the fields that are removed first
    added: tuple[HeaderField, ...]
    vary: str = ""  # what is added to Vary

    def applied_to(self, headers: Iterable[HeaderField]) -> list[HeaderField]:
        """Return a response's headers, changed; the given ones stay as they are."""
        changed = without(headers, self.removed)
        if self.vary:
            changed = _varying(changed, self.vary)
        return [*changed, *self.added]

    @property
    def private(self) -> HeaderChanges:
        """The changes for a response that depends on who asks: no shared cache may keep it.

        A Cache-Control stays if it says ``private`` or ``no-store``, without directives that contradict it. Other
        caching and validators are left out. A cookie stays: it is the same for everyone at this path.
        """
        return self._limited(_unshared)

    @property
    def uncached(self) -> HeaderChanges:
        """The changes without caching: for a missing file, and for a response under an override."""
        return self._limited(lambda _value: "")

    @property
    def cookieless(self) -> HeaderChanges:
        """The changes without cookies: many shared caches do not keep a response that sets cookies."""
        added = tuple(without(self.added, ("set-cookie",)))
        # The same object where nothing changes: there is one for each file that is served by name.
        return self if added == self.added else self._replace(added=added)

    @property
    def lifetimes(self) -> tuple[float, float]:
        """For how many seconds shared caches and a browser may use the response unchecked, by its Cache-Control.

        -1 means that they may not keep it, infinity that the field sets no limit (RFC 9111 section 4.2.2).

        >>> HeaderChanges(frozenset(), (("Cache-Control", "must-understand, no-store, max-age=9"),)).lifetimes
        (9, 9)
        """
        value = next((value for name, value in self.added if name.lower() == "cache-control"), None)
        if value is None:
            return (math.inf, math.inf) if "cache-control" in self.removed else (0, 0)
        words = [word.strip().lower().partition("=")[::2] for word in value.split(",")]
        if ("no-store", "") in words and ("must-understand", "") not in words:
            return -1, -1
        if ("no-cache", "") in words:
            return 0, 0
        # If a directive stands twice, some caches use the first and some the last.
        seconds: dict[str, float] = {}
        for word, text in words:
            seconds[word] = max(seconds.get(word, 0), int(text) if text.isascii() and text.isdigit() else math.inf)
        stale = max(seconds.get("stale-while-revalidate", 0), seconds.get("stale-if-error", 0))
        private = seconds.get("max-age", math.inf) + stale
        return -1 if "private" in seconds else seconds.get("s-maxage", private - stale) + stale, private

    def _limited(self, caching: Callable[[str], str]) -> HeaderChanges:
        """Return the changes with a Cache-Control passed through a function, and without other caching."""
        added: list[HeaderField] = []
        spared = {"cache-control", "vary"}
        for name, value in self.added:
            lowered = name.lower()
            if lowered == "cache-control":
                directives = caching(value)
                if directives:
                    added.append((name, directives))
                    spared.remove(lowered)
            elif lowered in VALIDATORS:
                spared.add(lowered)
            elif not _is_caching(lowered):
                added.append((name, value))
        return HeaderChanges(self.removed - spared, tuple(added), self.vary)


def shown_elsewhere(here: HeaderChanges | None, home: HeaderChanges | None) -> HeaderChanges | None:
    """Return what rules change in a response with a page at a path that is not its own; None for nothing.

    Rules for the path (``here``) apply, but no cache may keep the page for longer than at its own path (``home``): a
    rule for ``/static/*`` that allows a year is not meant for the page that answers for a missing script.
    """
    nothing = HeaderChanges(frozenset(), ())
    here, home = here or nothing, home or nothing
    kept, away = _divided(here)
    of_home = _divided(home)[1]
    names = {name.lower() for name, _ in (*away.added, *of_home.added)}
    shorter = all(mine <= its for mine, its in zip(here.lifetimes, home.lifetimes, strict=True))
    if shorter and not away.added:
        away = nothing
    elif here.lifetimes == (-1, -1) or (shorter and names == {"cache-control"}):
        field = next(header for header in away.added if header[0].lower() == "cache-control")
        away = HeaderChanges(CACHING, (field,))
    else:
        away = of_home
    if not (kept.removed or kept.added or kept.vary or away.removed or away.added):
        return None
    return HeaderChanges(kept.removed | away.removed, kept.added + away.added, kept.vary)


def _divided(changes: HeaderChanges) -> tuple[HeaderChanges, HeaderChanges]:
    """Divide changes into those of other fields and those of caching; Vary is not removed."""
    caching = frozenset(filter(_is_caching, changes.removed))
    others = without(changes.added, caching)
    return (
        HeaderChanges(changes.removed - caching - {"vary"}, tuple(others), changes.vary),
        HeaderChanges(caching, tuple(header for header in changes.added if header not in others)),
    )


def without(headers: Iterable[HeaderField], names: Container[str]) -> list[HeaderField]:
    """Return headers without some names, which are in lower case."""
    return [header for header in headers if header[0].lower() not in names]


def is_targeted(lowered: str) -> bool:
    """Return whether a field, its name in lower case, is for caches of one kind (RFC 9213), which obey it alone."""
    return lowered.endswith("-cache-control") or lowered in ("surrogate-control", "edge-control", "x-accel-expires")


def _is_caching(lowered: str) -> bool:
    return lowered in CACHING or is_targeted(lowered)


def _unshared(cache_control: str) -> str:
    """Return the directives with which no shared cache keeps a response; "" if they do not forbid it."""
    kept = []
    for directive in filter(None, map(_DIRECTIVE.fullmatch, map(str.strip, cache_control.split(",")))):
        name = directive[1].lower()
        if name not in _INVITING and not (directive[2] and name in _PRIVATE):
            kept.append(directive[0])
    return ", ".join(kept) if any(directive.lower() in _PRIVATE for directive in kept) else ""


def negotiated(status: str, headers: Sequence[HeaderField]) -> list[HeaderField]:
    """Return the headers of an application's response at a URL where a navigation gets a page of a build.

    ``Vary`` keeps a cache from answering the navigation with it. An error is not kept unless the application says so:
    caches may keep a 404 without any header (RFC 9111 section 4.2.2), and some caches ignore ``Vary``.

    >>> negotiated("404 Not Found", [("Vary", "Cookie")])
    [('Vary', 'Cookie, Sec-Fetch-Mode, Sec-Fetch-Dest, Sec-Fetch-Site, Accept'), ('Cache-Control', 'no-store')]
    """
    names = {name.lower() for name, _ in headers}
    marked = _varying(headers, NEGOTIATED[1]) if "vary" in names else [*headers, NEGOTIATED]
    if status[0] in "45" and "cache-control" not in names:
        marked.append(NO_STORE)
    return marked


def _varying(headers: Sequence[HeaderField], vary: str) -> list[HeaderField]:
    """Return headers with one Vary that has their names and further ones."""
    own = ",".join(value for name, value in headers if name.lower() == "vary")
    return [*without(headers, ("vary",)), ("Vary", joined_vary(own, vary))]


def joined_vary(first: str, second: str) -> str:
    """Return two values of Vary as one, each name once; "*" outranks names (RFC 9110 section 12.5.5).

    >>> joined_vary("Cookie, Version-Override", "Accept, cookie"), joined_vary("Cookie", "*")
    ('Cookie, Version-Override, Accept', '*')
    """
    names: dict[str, str] = {}
    for name in map(str.strip, f"{first},{second}".split(",")):
        if name:
            names.setdefault(name.lower(), name)
    return "*" if "*" in names else ", ".join(names.values())
