"""`/openapi.json`, and the same for people at `/docs`: one page that asks no other host."""

from __future__ import annotations

import html
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from depthrt_serving.routes.route import http_route
from depthrt_serving.service.service import Service

_FILE = Path(__file__).with_name("openapi.json")
_METHODS = ("get", "post", "put", "delete")
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h2 { font-size: 1.1rem; margin: 2rem 0 0; overflow-wrap: anywhere }
code { font-size: .95em } th, td { text-align: left; vertical-align: top; padding: .1rem .8rem 0 0 }
th { font-weight: normal; white-space: nowrap }
"""
_HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


@cache
def document() -> dict[str, Any]:
    """The OpenAPI description, of this version of depthrt."""
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    found["info"]["version"] = version("depthrt")
    return found


@cache
def page() -> str:
    """The description as a web page."""
    about = document()
    parts = [
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>{_operation(operation)}"
        for path, item in about["paths"].items()
        for method, operation in item.items()
        if method in _METHODS
    ]
    title = html.escape(about["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>{title}</h1><p>{html.escape(about['info']['description'])} For programs: "
        f'<a href="/openapi.json">openapi.json</a>.</p>{"".join(parts)}</html>'
    )


def _operation(operation: dict[str, Any]) -> str:
    text = [operation["summary"] + ".", operation.get("description", "")]
    takes = operation.get("requestBody", {}).get("content", {})
    rows = [("takes", ", ".join(takes))] if takes else []
    rows += [(_name(each), _explained(each)) for each in operation.get("parameters", ())]
    rows += [(status, _answer(answer)) for status, answer in operation["responses"].items()]
    cells = "".join(
        f"<tr><th><code>{html.escape(name)}</code></th><td>{html.escape(said)}</td></tr>"
        for name, said in rows
    )
    return f"<p>{html.escape(' '.join(text))}</p><table>{cells}</table>"


def _name(parameter: dict[str, Any]) -> str:
    return f"?{parameter['name']}=" if parameter["in"] == "query" else str(parameter["name"])


def _explained(parameter: dict[str, Any]) -> str:
    choices = ", ".join(parameter["schema"].get("enum", ()))
    said = parameter.get("description", "")
    return f"{said} One of {choices}." if choices else str(said)


def _answer(answer: dict[str, Any]) -> str:
    named = answer.get("$ref", "").rpartition("/")[2]
    found = document()["components"]["responses"][named] if named else answer
    forms = ", ".join(found.get("content", ()))
    return f"{found['description']} {forms}"


async def openapi(request: Request, service: Service) -> Response:
    """The description for programs."""
    return JSONResponse(document())


async def docs(request: Request, service: Service) -> Response:
    """The description for people."""
    return HTMLResponse(page(), headers=_HEADERS)


ROUTES = [http_route("/openapi.json", openapi), http_route("/docs", docs)]
