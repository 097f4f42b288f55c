"""How Sphinx builds this documentation: ``sphinx-build -W -n docs build/docs``."""

from __future__ import annotations

project = "depthrt"
author = "the depthrt contributors"
project_copyright = "the depthrt contributors, Apache-2.0"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3  # links such as guide/run.md#live-sources
html_theme = "furo"
html_title = "depthrt"
html_theme_options = {
    "source_repository": "https://github.com/depthrt/depthrt/",
    "source_branch": "main",
    "source_directory": "docs/",
}
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
    ("py:.*", r".* .*"),  # docstrings of properties that read "Words: more words"
    ("py:.*", r"(depthrt\.[a-z_]+\..*|[A-Za-z_]*|ort\..*|av\..*)"),
]
