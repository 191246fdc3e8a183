"""Patterns of paths: ``app_first``, ``unpinned`` and ``service_workers``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from .errors import ConfigurationError
from .wire import unquoted, wsgi_text

# The limits of the platform that this syntax comes from; they keep the matcher small.
MAX_RULES = 100
MAX_LENGTH = 100


class Patterns(NamedTuple):
    """Compiled patterns of paths.

    Attributes:
        match: Tells whether a path matches.
        prefixes: A path that matches begins with one of these, or ends with one of ``endings``.
        endings: See ``prefixes``.
    """

    match: Callable[[str], bool]
    prefixes: tuple[str, ...]
    endings: tuple[str, ...]

    def below(self, prefix: str) -> Patterns:
        """Return the same patterns for paths below a prefix, which ends with "/"."""
        mount, match = prefix[:-1], self.match
        return Patterns(
            lambda path: path.startswith(prefix) and match(path[len(mount) :]),
            tuple(mount + beginning for beginning in self.prefixes),
            self.endings,
        )


def app_first(rules: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return the function that tells whether a PATH_INFO goes to the wrapped application first; see ``compiled``.

    >>> goes_first = app_first(["/api/*", "!/api/docs/*"])
    >>> goes_first("/api/users"), goes_first("/api/docs/intro"), goes_first("/api")
    (True, False, False)
    """
    return compiled(rules, "app_first").match


def compiled(rules: Iterable[str], option: str) -> Patterns:
    """Return patterns of paths, as in PATH_INFO, compiled.

    Args:
        rules: Paths that begin with "/", percent-encoded or not, in which "*" stands for any characters, "/" included.
            A rule that begins with "!" excepts paths, and outranks the others.
        option: The name of the option, for messages.

    Raises:
        ConfigurationError: a rule that cannot be used, one that another makes redundant, or only exceptions.
    """
    listed = listed_rules(rules, option)
    for rule in listed:
        _check(rule, option)
    if len(listed) > MAX_RULES:
        raise ConfigurationError(f"{option} has {len(listed)} rules, more than {MAX_RULES}: join some with '*'")
    excepted = [rule[1:] for rule in listed if rule.startswith("!")]
    included = [rule for rule in listed if not rule.startswith("!")]
    if excepted and not included:
        raise ConfigurationError(
            f"{option} has only exceptions ({list(listed)!r}): add the paths that they are excepted from, e.g. '/*'",
        )
    for group in (included, excepted):
        _check_redundant(group, option)
    patterns = _any_of(included)
    if not excepted:
        return patterns
    matches, is_excepted = patterns.match, _any_of(excepted).match
    return patterns._replace(match=lambda path: matches(path) and not is_excepted(path))


def listed_rules(rules: Iterable[str], option: str = "app_first") -> tuple[str, ...]:
    """Return the rules of an option, which may be given by any iterable, or raise ``ConfigurationError``."""
    if isinstance(rules, str) or not isinstance(rules, Iterable):
        raise ConfigurationError(f"{option}={rules!r} is not a list of patterns: write {option}=['/api/*']")
    return tuple(rules)


def _check(rule: object, option: str) -> None:
    if not isinstance(rule, str) or not rule.removeprefix("!").startswith("/"):
        raise ConfigurationError(f"{option} rule {rule!r} must begin with '/' or, as an exception, with '!/'")
    if len(rule) > MAX_LENGTH:
        raise ConfigurationError(f"{option} rule {rule!r} is longer than {MAX_LENGTH} characters: shorten it with '*'")


def _check_redundant(rules: list[str], option: str) -> None:
    for index, rule in enumerate(rules):
        if rule in rules[:index]:
            raise ConfigurationError(f"{option} lists {rule!r} twice: remove one")
        for other in rules:
            if other != rule and other.endswith("*") and rule.startswith(other[:-1]):
                raise ConfigurationError(f"{option} rule {rule!r} is redundant: {other!r} covers it; remove one")


def _any_of(rules: list[str]) -> Patterns:
    """Return patterns that match where any of the rules does. Of many rules, few are tried one by one."""
    # str.startswith and str.endswith take all prefixes and suffixes at once.
    prefixes = tuple(_decoded(rule[:-1]) for rule in rules if _is_prefix(rule))
    others = [rule for rule in rules if not _is_prefix(rule)]
    if not others:
        return Patterns(lambda path: path.startswith(prefixes), prefixes, ())
    exact = frozenset(_decoded(rule) for rule in others if "*" not in rule)
    patterns = [rule for rule in others if "*" in rule]
    if not patterns:
        return Patterns(lambda path: path in exact or path.startswith(prefixes), prefixes, tuple(exact))
    endings = tuple(_decoded(rule.rpartition("*")[2]) for rule in patterns)
    matchers = [_matcher(rule) for rule in patterns]
    return Patterns(
        lambda path: (
            path in exact
            or path.startswith(prefixes)
            or (path.endswith(endings) and any(match(path) for match in matchers))
        ),
        prefixes,
        (*exact, *endings),
    )


def _is_prefix(rule: str) -> bool:
    return rule.endswith("*") and "*" not in rule[:-1]


def _decoded(text: str) -> str:
    """Return a part of a pattern as PATH_INFO holds it."""
    return unquoted(wsgi_text(text))


def _matcher(rule: str) -> Callable[[str], bool]:
    """Return a function that matches a path in linear time; a regular expression would try each way to split it.

    Args:
        rule: A rule with a "*" in it.
    """
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
