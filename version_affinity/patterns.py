"""``app_first``: the paths that go to the wrapped application before any file is looked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .errors import ConfigurationError

# The limits of the platform that this syntax comes from; they keep the matcher small.
MAX_RULES = 100
MAX_LENGTH = 100


class AppFirst:
    """Tells whether a path goes to the wrapped application first.

    Args:
        rules: Paths that begin with "/", in which "*" stands for any characters, "/" included. A rule that begins with
            "!" excepts paths, and outranks the others.

    Raises:
        ConfigurationError: a rule that cannot be used, one that another makes redundant, or only exceptions.

    >>> app_first = AppFirst(["/api/*", "!/api/docs/*"])
    >>> app_first("/api/users"), app_first("/api/docs/intro"), app_first("/api")
    (True, False, False)
    """

    __slots__ = ("_excepted", "_included", "_prefixes")

    def __init__(self, rules: Iterable[str] = ()) -> None:
        if isinstance(rules, str) or not isinstance(rules, Iterable):
            raise ConfigurationError(f"app_first={rules!r} is not a list of patterns: write app_first=['/api/*']")
        listed = list(rules)
        for rule in listed:
            _check(rule)
        if len(listed) > MAX_RULES:
            raise ConfigurationError(f"app_first has {len(listed)} rules, more than {MAX_RULES}: join some with '*'")
        excepted = [rule[1:] for rule in listed if rule.startswith("!")]
        included = [rule for rule in listed if not rule.startswith("!")]
        if excepted and not included:
            raise ConfigurationError(
                f"app_first has only exceptions ({listed!r}): add the paths that they are excepted from, e.g. '/*'",
            )
        for group in (included, excepted):
            _check_redundant(group)
        # Nearly every rule is a prefix, "/api/*"; str.startswith takes all of those at once.
        self._prefixes = tuple(_wire(rule[:-1]) for rule in included if _is_prefix(rule))
        self._included = _matcher(rule for rule in included if not _is_prefix(rule))
        self._excepted = _matcher(excepted)

    def __call__(self, path: str) -> bool:
        """Tell whether a request's PATH_INFO goes to the wrapped application first."""
        return (
            path.startswith(self._prefixes) or (self._included is not None and bool(self._included(path)))
        ) and not (self._excepted is not None and self._excepted(path))


def _check(rule: object) -> None:
    if not isinstance(rule, str) or not rule.removeprefix("!").startswith("/"):
        raise ConfigurationError(f"app_first rule {rule!r} must begin with '/' or, as an exception, with '!/'")
    if len(rule) > MAX_LENGTH:
        raise ConfigurationError(f"app_first rule {rule!r} is longer than {MAX_LENGTH} characters: shorten it with '*'")


def _check_redundant(rules: list[str]) -> None:
    for index, rule in enumerate(rules):
        if rule in rules[:index]:
            raise ConfigurationError(f"app_first lists {rule!r} twice: remove one")
        for other in rules:
            if other != rule and _is_prefix(other) and rule.startswith(other[:-1]):
                raise ConfigurationError(f"app_first rule {rule!r} is redundant: {other!r} covers it; remove one")


def _is_prefix(rule: str) -> bool:
    return rule.endswith("*") and "*" not in rule[:-1]


def _wire(rule: str) -> str:
    """Return a pattern as a WSGI path: the bytes on the wire, decoded as latin-1 (PEP 3333)."""
    return rule.encode("utf-8", "surrogatepass").decode("latin-1")


def _matcher(rules: Iterable[str]) -> Callable[[str], object] | None:
    parts = [".*".join(re.escape(part) for part in _wire(rule).split("*")) for rule in rules]
    return re.compile("|".join(parts), re.DOTALL).fullmatch if parts else None
