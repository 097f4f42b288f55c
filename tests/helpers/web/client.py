"""One request over a connection of its own, and what came back."""

from __future__ import annotations

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Response:
    """Status, headers in small letters, content."""

    status: int
    headers: Mapping[str, str]
    content: bytes


Answer = TypeVar("Answer", bound=Response)


def ask(
    kind: type[Answer],
    url: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """One request; POST where there is a body, unless another ``method`` is named.

    Args:
        kind: the class of the answer.
        url: of the server, ``http`` or ``https``, with a path before all others or without.
    """
    place = urlsplit(url)
    connect = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    client = connect(place.netloc, timeout=30)
    try:
        verb = method or ("GET" if body is None else "POST")
        client.request(verb, place.path + path, body, dict(headers or {}))
        answer = client.getresponse()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return kind(answer.status, named, answer.read())
    finally:
        client.close()
