"""`/`: a page to try the model with pictures, clips and the webcam, and the files that it loads."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import Response

from depthrt.render.colormap import COLORMAPS, colour_table
from depthrt_serving.http.problems import ProblemError
from depthrt_serving.routes.route import http_route
from depthrt_serving.service.service import Service

_MEDIA = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX, _COLOURS = "index.html", "colours.js"
_PLACEHOLDER = b"@STATIC@"  # in the page: the folder of its files
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ]
)
_GUARDS = {
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
}
_FOR_EVER = {"cache-control": "public, max-age=31536000, immutable"}  # the address has their hash
_ASK_FIRST = {"cache-control": "no-cache"}


@dataclass(frozen=True)
class Page:
    """The page and its files.

    - ``version``: hash of all of it, part of the files' addresses;
    - ``index``: the HTML;
    - ``files``: the others by name.
    """

    version: str
    index: bytes
    files: dict[str, bytes]


@cache
def page() -> Page:
    """The page as it is installed."""
    folder = resources.files("depthrt_serving") / "page"
    found = {
        each.name: each.read_bytes()
        for each in folder.iterdir()
        if each.name.endswith(tuple(_MEDIA))
    }
    index = found.pop(_INDEX)
    files = {**found, _COLOURS: _colours()}
    hashed = hashlib.sha256(index)
    for name in sorted(files):
        hashed.update(name.encode() + files[name])
    version = hashed.hexdigest()[:16]
    # Relative, so that the page works below a path of a proxy, too.
    return Page(version, index.replace(_PLACEHOLDER, f"static/{version}".encode()), files)


def _colours() -> bytes:
    """The runtime's colour maps as a module, so that the page's colours are those of the server."""
    tables = {name: base64.b64encode(colour_table(name).tobytes()).decode() for name in COLORMAPS}
    return f"export const COLOURS = {json.dumps(tables, indent=1)};\n".encode()


async def index(request: Request, service: Service) -> Response:
    """The page; nothing of it where the client has it."""
    found = page()
    headers = {**_GUARDS, **_ASK_FIRST, "etag": f'"{found.version}"'}
    if found.version in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.index, headers={**headers, "content-type": _MEDIA[".html"]})


async def file(request: Request, service: Service) -> Response:
    """A file of the page, which a browser may keep for ever.

    Raises:
        ProblemError: there is none of this name, or the page is another by now.
    """
    found, name = page(), request.path_params["name"]
    if request.path_params["version"] != found.version or name not in found.files:
        raise ProblemError(404, "the page has no such file: load / again")
    kind = _MEDIA[f".{name.rpartition('.')[2]}"]
    return Response(found.files[name], headers={**_GUARDS, **_FOR_EVER, "content-type": kind})


ROUTES = [http_route("/", index), http_route("/static/{version}/{name}", file)]
