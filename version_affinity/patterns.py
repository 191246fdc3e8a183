"""``app_first``: the paths that go to the wrapped application before any file is looked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from .errors import ConfigurationError

# The limits of the platform that this syntax comes from; they keep the matcher small.
MAX_RULES = 100
MAX_LENGTH = 100


def app_first(rules: Iterable[str] = ()) -> Callable[[str], bool]:
    """Return the function that tells whether a PATH_INFO goes to the wrapped application first.

    Args:
        rules: Paths that begin with "/", percent-encoded or not, in which "*" stands for any characters, "/" included.
            A rule that begins with "!" excepts paths, and outranks the others.

    Raises:
        ConfigurationError: a rule that cannot be used, one that another makes redundant, or only exceptions.

    >>> goes_first = app_first(["/api/*", "!/api/docs/*"])
    >>> goes_first("/api/users"), goes_first("/api/docs/intro"), goes_first("/api")
    (True, False, False)
    """
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
    if not excepted and all(_is_prefix(rule) for rule in included):
        # Nearly every configuration is this one, and str.startswith takes all prefixes at once.
        prefixes = tuple(_decoded(rule[:-1]) for rule in included)
        return lambda path: path.startswith(prefixes)
    first = [_matcher(rule) for rule in included]
    except_for = [_matcher(rule) for rule in excepted]
    return lambda path: any(match(path) for match in first) and not any(match(path) for match in except_for)


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
            if other != rule and other.endswith("*") and rule.startswith(other[:-1]):
                raise ConfigurationError(f"app_first rule {rule!r} is redundant: {other!r} covers it; remove one")


def _is_prefix(rule: str) -> bool:
    return rule.endswith("*") and "*" not in rule[:-1]


def _decoded(text: str) -> str:
    """Return a part of a pattern as PATH_INFO holds it: percent-decoded, its bytes decoded as latin-1 (PEP 3333)."""
    return unquote_to_bytes(text.encode("utf-8", "surrogatepass")).decode("latin-1")


def _matcher(rule: str) -> Callable[[str], bool]:
    """Return a function that matches a path in linear time; a regular expression would try each way to split it."""
    start, *middle = map(_decoded, rule.split("*"))
    if not middle:
        return start.__eq__
    end = middle.pop()

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
