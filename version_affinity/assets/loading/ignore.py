"""Files that are left out of a build, and directories that are not builds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from version_affinity.errors import ConfigurationError
from version_affinity.wire import file_name, wsgi_path

from .fingerprint import DirectoryKind, directory_kind, has_hash, is_hash_like, reason
from .media import ENDINGS, content_type, uncompressed
from .tree import UnservableError, read, through_projection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

#: Patterns of files that are not served. None: a bundler may write a ``node_modules`` directory or source maps that its
#: pages refer to, and a secret file does not belong into a build in the first place.
DEFAULT_IGNORE: Final[tuple[str, ...]] = ()

#: The build's own patterns of files to leave out, in the syntax of ``.gitignore``, as Cloudflare's wrangler reads it.
ASSETSIGNORE: Final = ".assetsignore"
#: Why a file of another platform's configuration is not served.
CONTROL_FILE: Final = "it configures a hosting platform or is its server's code, and is not for browsers"
#: Why a file is not served if its name, or its directory's name, begins with a dot.
HIDDEN: Final = "it is hidden: a name begins with a dot"
#: Reasons that follow from a path alone and do not indicate a problem of the build or the disk.
DELIBERATE: Final = frozenset((CONTROL_FILE, HIDDEN))

# At the top of a build. Each is either the platform's configuration or the source of its server.
_CONTROL_FILES: Final = frozenset(
    (
        *("_worker.js", "_worker.js.map", "_worker.bundle", "_routes.json"),
        *("wrangler.toml", "wrangler.json", "wrangler.jsonc", "netlify.toml", "vercel.json", "now.json"),
        *("firebase.json", "staticwebapp.config.json", "web.config"),
    )
)
_RULES_LIMIT: Final = 1024 * 1024
_PAGE_LIMIT: Final = 4 * 1024 * 1024
# Types that a bundler writes, without configuration files, which may hold secrets.
_BUILT: Final = ("text/javascript", "text/css", "image/", "font/", "audio/", "video/", "application/wasm")
# ".pnpm-cCnnJdwi.js": a hash after a dash or a dot, and something before that.
_HASHED: Final = re.compile(r"\.[^.].*?[-.]([A-Za-z0-9_-]{8,64})\.[a-z0-9]+(?:\.map)?\Z")
_HASH_LENGTH: Final = 8  # of base64url, the default of Vite, Rollup and Rolldown
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]+\Z")


def listed_patterns(ignore: object) -> tuple[str, ...]:
    """Return the patterns of the option ``ignore``, which may be any iterable, or raise ``ConfigurationError``."""
    patterns = [None] if isinstance(ignore, str) or not isinstance(ignore, Iterable) else list(ignore)
    listed = tuple(pattern for pattern in patterns if isinstance(pattern, str))
    if len(listed) < len(patterns):
        raise ConfigurationError(f"ignore={ignore!r} is not a list of patterns: write ignore=['*.map']")
    return listed


def matcher(ignore: Iterable[str]) -> Callable[[str, str], bool] | None:
    """Return a function of a request path and its last segment: whether they match a pattern. None without patterns.

    Patterns (``*.map``, ``drafts/*``) are matched with the path relative to the directory and with each name.
    """
    try:
        translated = [translate(wsgi_path(pattern).strip("/")) for pattern in listed_patterns(ignore)]
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"ignore={ignore!r} has a pattern that cannot be a file's name: {error}") from None
    if not translated:
        return None
    match = re.compile("|".join(translated)).match
    return lambda path, name: match(name) is not None or match(path.strip("/")) is not None


class Exclusions:
    """The files of one directory that are left out: by its ``.assetsignore``, and by a function of ``matcher``.

    ``ConfigurationError`` if ``.assetsignore`` cannot be used: the files that it hides would be served.
    """

    __slots__ = ("_matchers", "are_none")

    def __init__(self, root: str, ignored: Callable[[str, str], bool] | None = None) -> None:
        self._matchers: Final = [matches for matches in (ignored, _assetsignore(root)) if matches is not None]
        self.are_none: Final = not self._matchers

    def leaves_out(self, path: str, name: str) -> bool:
        """Return whether patterns leave out a file, its uncompressed form, or a directory ("/a/")."""
        for matches in self._matchers:
            if matches(path, name):
                return True
        if self.are_none or not path.endswith(ENDINGS):
            return False
        original = uncompressed(name)
        return self.leaves_out(path[: len(path) - len(name)] + original, original)

    @staticmethod
    def control(path: str) -> str:
        """Return why a platform's control file, or its compressed form, is not served; "" for any other file."""
        return CONTROL_FILE if path.rfind("/") == 0 and uncompressed(path[1:]) in _CONTROL_FILES else ""

    @staticmethod
    def shows(directory: str, name: str, siblings: Collection[str]) -> bool:
        """Return whether a build tool wrote a file whose name begins with a dot; then it is served.

        Its name carries a hash, like the names of the files beside it, ``siblings``. Rollup names a chunk after what
        ``manualChunks`` returns, and with pnpm the widespread recipe returns ".pnpm" (``.pnpm-cCnnJdwi.js``).
        """
        plain = uncompressed(name)
        hashed = _HASHED.match(plain)
        if hashed is None or not content_type(plain.removesuffix(".map")).startswith(_BUILT):
            return False
        if reason(directory + plain):
            return True
        tail = hashed[1] if _HEXADECIMAL.match(hashed[1]) else hashed[1][-_HASH_LENGTH:]
        if not is_hash_like(tail):
            return False
        # A hash may read as a word; then only the other names show that hashes stand here.
        return directory_kind(directory) is not DirectoryKind.OTHER or any(map(has_hash, siblings))


def check_is_build(root: str, given: str, exclusions: Exclusions, *, page_is_known: bool = False) -> None:
    """Raise ``ConfigurationError`` if a directory, ``given`` in the message, is the project that a build is made from.

    ``page_is_known``: an earlier load has accepted its index.html.
    """
    if Path(root, "node_modules").is_dir() and not exclusions.leaves_out("/node_modules/", "node_modules"):
        sign = "it holds node_modules/"
    elif not page_is_known and (script := _source_script(root)):
        sign = f"its index.html loads the source file {script!r}"
    else:
        return
    raise ConfigurationError(
        f"{given} is a project's source directory and not its build, because {sign}: name the directory that the build "
        "tool writes to, such as 'dist', or overrule this with allow_source=True (--allow-source)",
    )


def doubt_of(root: str) -> str:
    """Return why a directory may not be a build, "" for no reason."""
    if Path(root, "package.json").is_file():
        return "/package.json is served like any other file: builds seldom hold one, so check that this is the build"
    return ""


def _assetsignore(root: str) -> Callable[[str, str], bool] | None:
    """Return a function like that of ``matcher``: whether ``.assetsignore`` leaves a file out. None without it."""
    file = f"{root}/{ASSETSIGNORE}"
    if not Path(file).exists():
        return None
    try:
        data = read(through_projection(file), _RULES_LIMIT).data
    except (OSError, UnservableError) as error:
        raise ConfigurationError(f"{file!r} cannot be read: {error}: make it readable") from None
    if data is None:
        raise ConfigurationError(f"{file!r} has more than {_RULES_LIMIT} bytes: shorten it")
    import pathspec  # noqa: PLC0415 - few builds have such a file

    lines = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff").splitlines()
    try:
        match = pathspec.GitIgnoreSpec.from_lines(lines).match_file
    except (ValueError, re.error) as error:
        raise ConfigurationError(f"{file!r} has a line that is not a pattern: {error}") from None
    return lambda path, _: match(file_name(path[1:]))


class _Scripts(HTMLParser):
    """Finds the first script of a page that is in ``/src/``."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        source = (dict(attrs).get("src") or "").strip() if tag == "script" else ""
        if not self.found and source.removeprefix(".").removeprefix("/").startswith("src/"):
            self.found = source


def _source_script(root: str) -> str:
    """Return the source file that a directory's index.html loads as a script, "" for none."""
    if not Path(root, "index.html").is_file():
        return ""
    try:
        data = read(through_projection(f"{root}/index.html"), _PAGE_LIMIT).data
    except (OSError, UnservableError):
        return ""
    if not data or b"src/" not in data:
        return ""
    scripts = _Scripts()
    scripts.feed(data.decode("utf-8", "replace"))
    return scripts.found
