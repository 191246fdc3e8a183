"""How Sphinx builds the documentation: ``sphinx-build -W -b html docs docs/_build/html`` (extra ``docs``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes

import version_affinity

if TYPE_CHECKING:
    from click import Context
    from sphinx.application import Sphinx

project = "version_affinity"
author = "The authors of version_affinity"
project_copyright = author
release = version_affinity.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]  # blocks that leave a part out with "..."

smartquotes = False  # "--help" is not a dash

# Anchors as GitHub makes them, so that links work in both places.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]

napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"version_affinity {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

# Characters that mean something in reStructuredText and nothing in a help text.
_MARKUP: Final = re.compile(r"[*|\\]|(?<=\w)_(?!\w)")


def _as_text(line: str) -> str:
    return re.sub(r"`([^`]+)`", r"``\1``", _MARKUP.sub(r"\\\g<0>", line))


def help_as_markup(_app: Sphinx, _context: Context, lines: list[str]) -> None:
    """Turn a command's help, which is plain text, into reStructuredText: indented lines are lists or examples."""
    written: list[str] = []
    for line in lines:
        text = line.removeprefix("| ")
        item = text.lstrip()
        if item.startswith("- "):
            if not (written and written[-1].startswith(("* ", "  "))):
                written.append("")
            written.append(f"* {_as_text(item[2:])}")
        elif item != text and written and written[-1].startswith(("* ", "  ")) and not written[-1].startswith("   "):
            written.append(f"  {_as_text(item)}")
        elif text.startswith("  "):
            if not (written and written[-1].startswith("   ")):
                written += ["", ".. code-block:: text", ""]
            written.append(f"   {text}")
        else:
            if written and written[-1].startswith("   "):
                written.append("")
            written.append(_as_text(text))
    lines[:] = written


def option_as_markup(_app: Sphinx, _context: Context, lines: list[str]) -> None:
    """Turn the help of options into reStructuredText."""
    lines[:] = [line if line.lstrip().startswith((".. ", ":default:")) else _as_text(line) for line in lines]


def colon_after_name(_app: Sphinx, doctree: nodes.document) -> None:
    """Put a colon between a parameter's name and its description, where Sphinx puts two hyphens."""
    for text in list(doctree.findall(nodes.Text)):
        if text.startswith(" -- ") and not isinstance(text.parent, nodes.literal):
            text.parent.replace(text, nodes.Text(f": {text.removeprefix(' -- ')}"))


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the functions above."""
    app.connect("sphinx-click-process-description", help_as_markup)
    app.connect("sphinx-click-process-epilog", help_as_markup)
    app.connect("sphinx-click-process-options", option_as_markup)
    app.connect("doctree-read", colon_after_name)
    return {"parallel_read_safe": True}
