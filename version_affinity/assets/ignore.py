"""Which files of a build are left out: patterns that whoever serves it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError

from .tree import wsgi_path

if TYPE_CHECKING:
    from collections.abc import Callable

#: Patterns of files that are not served. None: a bundler may well write a ``node_modules`` directory or source maps
#: that its pages refer to, and what a build must not publish is better not put into it.
DEFAULT_IGNORE: Final[tuple[str, ...]] = ()


def matcher(ignore: Iterable[str]) -> Callable[[str, str], bool]:
    """Return what tells whether a request path and its last segment match one of some shell patterns.

    Args:
        ignore: Patterns (``*.map``, ``drafts/*``), matched with the path relative to the directory and with each name.

    Raises:
        ConfigurationError: it is no list of patterns, or one can be no file's name.

    >>> ignored = matcher(["*.map", "drafts/*"])
    >>> ignored("/app.js.map", "app.js.map"), ignored("/drafts/a.txt", "a.txt"), ignored("/app.js", "app.js")
    (True, True, False)
    """
    patterns = list(ignore) if isinstance(ignore, Iterable) and not isinstance(ignore, str) else [None]
    try:
        translated = [translate(wsgi_path(pattern).strip("/")) for pattern in patterns if isinstance(pattern, str)]
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"ignore={ignore!r} has a pattern that can be no file's name: {error}") from None
    if len(translated) < len(patterns):
        raise ConfigurationError(f"ignore={ignore!r} is no list of patterns: write ignore=['*.map']")
    if not patterns:
        return lambda _path, _name: False
    match = re.compile("|".join(translated)).match
    return lambda path, name: match(name) is not None or match(path[1:]) is not None
