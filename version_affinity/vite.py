"""Vite's development server in place of builds: the URLs and tags that load its files."""

from __future__ import annotations

import json
import re
from html import escape
from posixpath import basename, splitext
from typing import TYPE_CHECKING, Final

from .assets.static import check_switch
from .errors import ConfigurationError
from .wire import quoted_as_browsers, wsgi_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, str | bool | None]

#: Attributes that a <link> does not have, or that belong to one file.
OF_SCRIPTS: Final = frozenset(("async", "defer", "nomodule", "type", "integrity"))
_ADDRESS: Final = re.compile(r"https?://(?:[\w.-]+|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?(?:/[\w.~-]+)*/?", re.ASCII)
# Vite serves these as style sheets, as its ``isCSSRequest`` says.
_SHEETS: Final = (".css", ".less", ".sass", ".scss", ".styl", ".stylus", ".pcss", ".postcss", ".sss")
# What @vitejs/plugin-react adds to Vite's own pages. The default export exists in all versions of the plugin; those
# before 4.6 look for the last line.
_PREAMBLE: Final = """\
import runtime from {url};
runtime.injectIntoGlobalHook(window);
window.$RefreshReg$ = () => {{}};
window.$RefreshSig$ = () => (type) => type;
window.__vite_plugin_react_preamble_installed__ = true;
"""


class ViteServer:
    """Vite's development server.

    Attributes:
        url: Its address with the base, as Vite prints it; ends with "/".
    """

    __slots__ = ("_react", "url")

    def __init__(self, url: str, *, react: bool) -> None:
        self.url: Final = url
        self._react: Final = react

    def file(self, path: str) -> str:
        """Return the URL of a source file or of a file in Vite's ``public/``."""
        return self.url + quoted_as_browsers(wsgi_text(path.lstrip("/")))

    def tags(self, entry: str, attributes: Attributes) -> str:
        """Return the tags that load an entry: Vite's client, React's preamble, and the entry.

        Two entries on one page may both have the client and the preamble: a module runs once, and so does the preamble.
        """
        stem, extension = splitext(basename(entry))
        if stem.endswith("-legacy") or stem.startswith("legacy-polyfills"):
            return ""  # of @vitejs/plugin-legacy, which is for builds
        given = {name: value for name, value in attributes.items() if name not in OF_SCRIPTS}
        module = {"type": "module"}
        tags = [tag("script", {**module, "src": self.file("@vite/client"), **given})]
        if self._react:
            url = json.dumps(self.file("@react-refresh")).replace("<", "\\u003c")
            tags.append(tag("script", {**module, **given}, _PREAMBLE.format(url=url)))
        if extension in _SHEETS:
            tags.append(tag("link", {"rel": "stylesheet", "href": self.file(entry), **given}))
        else:
            tags.append(tag("script", {**module, "src": self.file(entry), **given}))
        return "\n".join(tags)


def check_vite(vite: object, *, react: object) -> ViteServer | None:
    """Return the development server of the option ``vite``, None without one, or raise ``ConfigurationError``."""
    uses_react = check_switch("react_refresh", react)
    if vite is None or vite == "":  # of an environment variable that is empty
        return None
    if isinstance(vite, str) and _ADDRESS.fullmatch(vite):
        return ViteServer(f"{vite.rstrip('/')}/", react=uses_react)
    raise ConfigurationError(
        f"vite={vite!r} is not the address of Vite's development server: write it as Vite prints it, such as "
        "vite='http://localhost:5173', or None",
    )


def tag(element: str, attributes: Attributes, content: str = "") -> str:
    """Return an HTML tag. True writes an attribute's name alone; None, False and an empty nonce leave it out."""
    written = "".join(
        f" {name}" if value is True else f' {name}="{escape(str(value))}"'
        for name, value in attributes.items()
        # Without a policy, middleware gives templates an empty nonce, or none at all.
        if value is not None and value is not False and not (name == "nonce" and not str(value))
    )
    return f"<{element}{written}>{f'{content}</script>' if element == 'script' else ''}"
