"""Patterns of paths, for the options ``app_first``, ``unpinned`` and ``service_workers``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import TypeAlias, TypeVar

from .errors import ConfigurationError
from .wire import unquoted, wsgi_text

logger = logging.getLogger("version_affinity")

T = TypeVar("T")

#: What the option ``app_first`` may be.
AppFirst: TypeAlias = "Iterable[str] | Callable[[], Iterable[str]]"

# The limits of the platform that the syntax comes from; they keep the matcher small.
MAX_RULES = 100
MAX_LENGTH = 100


def compile_patterns(rules: Iterable[str], option: str = "app_first") -> Callable[[str], bool]:
    """Return the function from a path, as in ``PATH_INFO``, to whether it matches.

    Rules are paths that begin with "/", percent-encoded or not, in which "*" stands for any characters, "/" included. A
    rule that begins with "!" is an exception, which outranks the other rules. ``option`` is named in errors.

    >>> goes_first = compile_patterns(["/api/*", "!/api/docs/*"])
    >>> goes_first("/api/users"), goes_first("/api/docs/intro"), goes_first("/api")
    (True, False, False)
    """
    listed = listed_rules(rules, option)
    check_rules(listed, option)
    if listed and all(rule.startswith("!") for rule in listed):
        raise ConfigurationError(
            f"{option} has only exceptions ({list(listed)!r}): add the paths that they are excepted from, e.g. '/*'",
        )
    return matcher_of(listed)


def check_rules(listed: Sequence[str], option: str = "app_first") -> None:
    """Raise ``ConfigurationError`` for rules that cannot be used or are redundant."""
    for rule in listed:
        if not isinstance(rule, str) or not rule.removeprefix("!").startswith("/"):
            raise ConfigurationError(f"{option} rule {rule!r} must begin with '/' or, as an exception, with '!/'")
        if len(rule) > MAX_LENGTH:
            raise ConfigurationError(
                f"{option} rule {rule!r} is longer than {MAX_LENGTH} characters: shorten it with '*'"
            )
    if len(listed) > MAX_RULES:
        raise ConfigurationError(f"{option} has {len(listed)} rules, more than {MAX_RULES}: join some with '*'")
    _check_redundant([rule for rule in listed if not rule.startswith("!")], option)
    _check_redundant([rule[1:] for rule in listed if rule.startswith("!")], option)


def matcher_of(rules: Iterable[str]) -> Callable[[str], bool]:
    """Return what ``compile_patterns`` returns, for rules that were checked or made from an application's routes."""
    listed = tuple(rules)
    matches = _any_of([rule for rule in listed if not rule.startswith("!")])
    excepted = [rule[1:] for rule in listed if rule.startswith("!")]
    is_excepted = _any_of(excepted)
    return (lambda path: matches(path) and not is_excepted(path)) if excepted else matches


class FirstPaths:
    """The paths of the option ``app_first``.

    A callable that returns the patterns is called at the first request, when the application has all its routes.

    Attributes:
        matches: Returns whether a path, as in ``PATH_INFO``, matches.
    """

    __slots__ = ("_beginning", "_given", "_report", "matches")

    def __init__(self, app_first: AppFirst) -> None:
        self._given: AppFirst = app_first if callable(app_first) else listed_rules(app_first)
        self._report: Callable[[Callable[[str], bool]], object] | None = None
        self._beginning = Lock()
        self.matches: Callable[[str], bool] = (
            self._matches_at_first if callable(self._given) else compile_patterns(self._given)
        )

    @property
    def given(self) -> tuple[str, ...] | None:
        """The patterns if they were given as such; None for a callable."""
        return None if callable(self._given) else tuple(self._given)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns as they are now."""
        return listed_rules(self._given() if callable(self._given) else self._given)

    def report_at_first_request(self, report: Callable[[Callable[[str], bool]], object]) -> None:
        """Call a function with ``matches`` once, at the first request."""
        self._report = report
        self.matches = self._matches_at_first

    def _matches_at_first(self, path: str) -> bool:
        with self._beginning:
            if self.matches == self._matches_at_first:
                given, self._given = self._given, ()
                try:  # a request waits for its answer
                    self._given = listed_rules(given() if callable(given) else given)
                    self.matches = matcher_of(self._given)
                    if self._report is not None:
                        self._report(self.matches)
                except Exception:
                    logger.exception("app_first=%r failed", given)
                    self.matches = matcher_of(self._given)
        return self.matches(path)


def listed_rules(rules: Iterable[T], option: str = "app_first") -> tuple[T, ...]:
    """Return the rules of an option, which may be any iterable, or raise ``ConfigurationError``."""
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise ConfigurationError(f"{option}={rules!r} is not a list of patterns: write {option}=['/api/*']")
    return tuple(rules)


def _check_redundant(rules: list[str], option: str) -> None:
    for index, rule in enumerate(rules):
        if rule in rules[:index]:
            raise ConfigurationError(f"{option} lists {rule!r} twice: remove one")
        for other in rules:
            if other != rule and other.endswith("*") and rule.startswith(other[:-1]):
                raise ConfigurationError(f"{option} rule {rule!r} is redundant: {other!r} covers it; remove one")


def _any_of(rules: list[str]) -> Callable[[str], bool]:
    """Return whether any of the rules matches. ``startswith`` and ``endswith`` test many rules in one call."""
    prefixes = tuple(_decoded(rule[:-1]) for rule in rules if _is_prefix(rule))
    exact = frozenset(_decoded(rule) for rule in rules if "*" not in rule)
    others = [rule for rule in rules if "*" in rule and not _is_prefix(rule)]
    endings = tuple(_decoded(rule.rpartition("*")[2]) for rule in others)
    matchers = [_matcher(rule) for rule in others]
    if not prefixes and not others:
        return exact.__contains__
    if not others:
        return lambda path: path in exact or path.startswith(prefixes)
    return lambda path: (
        path in exact
        or path.startswith(prefixes)
        or (path.endswith(endings) and any(match(path) for match in matchers))
    )


def _is_prefix(rule: str) -> bool:
    return rule.endswith("*") and "*" not in rule[:-1]


def _decoded(text: str) -> str:
    """Return a part of a pattern as ``PATH_INFO`` has it."""
    return unquoted(wsgi_text(text))


def _matcher(rule: str) -> Callable[[str], bool]:
    """Return a matcher of a rule with "*" that takes linear time; a regular expression would try each way to split."""
    start, *middle, end = map(_decoded, rule.split("*"))

    def match(path: str) -> bool:
        if not path.startswith(start):
            return False
        at = len(start)
        for part in middle:
            found = path.find(part, at)
            if found < 0:
                return False
            at = found + len(part)
        return len(path) - len(end) >= at and path.endswith(end)

    return match
