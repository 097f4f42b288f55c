"""HTML pages: one Jinja2 environment, one base template.

A page is one file: its styles, plots and pictures lie inside it. ``base.html`` is the layout,
``macros.html`` the parts; the template of a command, ``page.html`` in the package that makes its
report, extends the base. Every value is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from depthrt.errors import UsageError
from depthrt.system.installation import install_command

_LIBRARIES = ("jinja2", "matplotlib")


def require_libraries(option: str, extra: str) -> None:
    """Make sure, before any work, that a report can be made.

    Args:
        option: what asks for the report, for instance ``--html``.
        extra: the extra of depthrt that brings the libraries.

    Raises:
        UsageError: a library is not installed.
    """
    missing = [name for name in _LIBRARIES if find_spec(name) is None]
    if missing:
        raise UsageError(f"{option} needs {' and '.join(missing)}: {install_command(extra)}")


def render_page(package: str, values: Mapping[str, Any]) -> str:
    """Fill in a template.

    Args:
        package: the package that holds ``page.html``.
        values: what the template names; a name that is missing is an error.
    """
    import jinja2

    places = [jinja2.PackageLoader(name, ".") for name in (package, __package__)]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(places),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(values)
