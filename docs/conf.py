"""How Sphinx builds this documentation: ``sphinx-build -W -n docs build/docs``."""

from __future__ import annotations

import re
from typing import Any

project = "depthrt"
author = "the depthrt contributors"
project_copyright = "the depthrt contributors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3  # links such as guide/run.md#live-sources
html_theme = "furo"
html_title = "depthrt"
html_static_path = ["_static"]
html_css_files = ["depthrt.css"]
html_theme_options = {
    "source_repository": "https://github.com/depthrt/depthrt/",
    "source_branch": "main",
    "source_directory": "docs/",
}
smartquotes = False  # options such as --size keep their hyphens
pygments_style = "friendly"
pygments_dark_style = "github-dark"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
napoleon_google_docstring = True

nitpicky = True
# Types of other projects, and of our own that are no part of the public face.
nitpick_ignore_regex = [
    ("py:.*", r"(numpy|np|npt|NDArray|collections|fractions|pathlib|typing|types|supervision)\b.*"),
    ("py:.*", r"(depthrt\.[a-z_]+\..*|[A-Za-z_]*(\[.*)?|u?int\d+|float\d+|ort\..*|av\..*)"),
]


def setup(app: Any) -> None:
    """Let signatures say NDArray[uint8], as the code does."""
    app.connect("autodoc-process-signature", _shorten)


def _shorten(
    app: Any, what: str, name: str, obj: Any, options: Any, signature: str | None, gives: str | None
) -> tuple[str, str | None] | None:
    return None if signature is None else (_short(signature), gives and _short(gives))


def _short(text: str) -> str:
    text = re.sub(r"~(?:\w+\.)+|\b(?:numpy|typing)\.", "", text)
    return re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[([^\]]*)\]\]", r"NDArray[\1]", text)
