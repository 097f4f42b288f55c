"""Sources as they may be shown: without users, passwords, tokens and keys.

Hidden are everything up to the last ``@`` of a URL's authority, the values of keys such as
``user=``, ``token=`` or ``X-Amz-Signature=`` in path and query, and whatever in these looks drawn
at random: the path of a shared camera, the stream key of an RTMP service. A short name of a stream
(``rtmp://host/live/cam1``) is a name, and is shown. Where it cannot be told what belongs to a
password, more is hidden, not less.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

HIDDEN = "***"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:/+")  # one letter is a drive
_NEXT_URL = re.compile(rf"(?<=[/?#=&;|,]){_SCHEME.pattern}")  # inside another one
_URL_IN_TEXT = re.compile(rf"{_SCHEME.pattern}[^\s'\"<>]+")
_AUTHORITY = re.compile(r"[^/\\?#]*")
_AT = re.compile("@|%40")
_KEY = re.compile(r"([^/\\?#,|:!&;=\s]+)[=:]")
_SURE_HOST = re.compile(r"(localhost|\d{1,3}(\.\d{1,3}){3}|\[[0-9A-Fa-f:.%]+\])(:\d{0,5})?")
_HIGHEST_PORT = 65535
_BEFORE_SECRET = re.compile(
    r"(/(?:access_?token|api_?key|auth|key|pass|passwd|password|pwd|secret|session|sig|signature"
    r"|stream_?key|token)/)[^/?#&;]+",
    re.IGNORECASE,
)

_SECRET_PARTS = re.compile(
    "user|usr|login|pass|pwd|psw|auth|token|secret|signature|credential|session|cookie|bearer|jwt"
    "|apikey|key$|keyid|keypair|xamz|xgoog|hdn|streamid|accessid"
)
_SECRET_KEYS = {
    "account", "code", "digest", "hash", "hmac", "md5", "nonce", "otp", "p", "pin", "policy", "pw",
    "sid", "sig", "sign", "st", "ticket", "u",
}  # fmt: skip

_WORD = re.compile(r"[A-Za-z0-9_\-]{16,}")
_DRAWN = re.compile(
    r"eyJ[\w-]*"  # a JSON web token
    r"|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"  # a UUID
    r"|[0-9A-Za-z]{4}(-[0-9A-Za-z]{4}){3,}"  # four and four, as services print stream keys
)
_LONG_RUN, _FEWEST_CHANGES, _SHARE_OF_CHANGES = 16, 3, 0.45


def shown_source(text: str) -> str:
    """A source as it may be shown; the name of a file that exists is whole."""
    return text if "://" not in text and is_there(text) else _shown(text)


def shown_names(sources: Sequence[str]) -> list[str]:
    """Sources as they may be shown; those that differ in what is hidden alone are numbered."""
    names: dict[str, str] = {}
    for source in sources:
        if source not in names:
            names[source] = unused(shown_source(source), names.values())
    return [names[source] for source in sources]


def unused(name: str, taken: Collection[str]) -> str:
    """A name, with a number where it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name} ({number})", number + 1
    return free


def is_there(path: str) -> bool:
    """Whether a file or folder exists; no name that is too long or has a 0 byte does."""
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        return False


def _shown(text: str) -> str:
    first = _SCHEME.search(text)
    if first is None:
        at = text.rfind("@")
        if ":" in text[:at] and text[1:2] != ":":  # most likely a URL without its scheme
            text = text[at + 1 :]
        return _without_pairs(text, r"[&;/\\\s]")
    begins = [first.start(), *(found.start() for found in _NEXT_URL.finditer(text, first.end()))]
    urls = (text[begin:end] for begin, end in pairwise([*begins, len(text)]))
    return text[: first.start()] + "".join(map(_shown_url, urls))


def without_secrets(message: str, source: str = "") -> str:
    """A message, of a library say, with every URL in it as it may be shown.

    ``source``: a URL that may be in it, whatever characters it is made of.
    """
    if source:
        message = message.replace(source, shown_source(source))
    return _URL_IN_TEXT.sub(lambda found: shown_source(found[0]), message)


def _shown_url(url: str) -> str:
    scheme = _SCHEME.match(url)
    begin = scheme[0] if scheme else ""
    rest = url[len(begin) :]
    rest = rest[_end_of_user(rest) :]
    host = _authority(rest)
    path = _without_pairs(rest[len(host) :], "&amp;|[&;]", goes_on=True)
    path = _BEFORE_SECRET.sub(rf"\1{HIDDEN}", path)
    path = _WORD.sub(lambda word: HIDDEN if _is_drawn(word[0]) else word[0], path)
    if not host.startswith("["):
        host = _without_password(host)
    return begin + host + path


def _without_password(host: str) -> str:
    """Host and port; what follows the colon and is no port is hidden, as it may be a password."""
    name, colon, port = host.partition(":")
    is_port = not port or (port.isdecimal() and int(port) <= _HIGHEST_PORT)
    return host if is_port else f"{name}{colon}{HIDDEN}"


def _authority(rest: str) -> str:
    """The part of a URL behind ``scheme://`` that ends with the host and its port."""
    found = _AUTHORITY.match(rest)
    return found[0] if found else ""


def _end_of_user(rest: str) -> int:
    """Where user and password end: at the last ``@`` that may be theirs.

    By the letter of RFC 3986 they hold no slash; people type them as they are.
    """
    authority = _authority(rest)
    inside = [found.end() for found in _AT.finditer(authority)]
    last = rest.rfind("@")
    if not inside and _SURE_HOST.fullmatch(authority):
        return 0  # no user is called so: an @ behind it is of the path
    if last >= len(authority) and (inside or ":" in rest[:last]):
        return last + 1
    return inside[-1] if inside else 0


def _without_pairs(text: str, separators: str, *, goes_on: bool = False) -> str:
    """Path and query with the values of secret keys hidden, each up to the next separator.

    ``goes_on``: a part without a key belongs to the value before it, which holds a separator.
    """
    parts = re.split(f"({separators})", text)
    hiding = False
    for number in range(0, len(parts), 2):
        part = parts[number]
        key = next((found for found in _KEY.finditer(part) if _is_secret(found[1])), None)
        if key is not None:
            parts[number], hiding = part[: key.end()] + HIDDEN, goes_on
        elif hiding and part and "=" not in part:
            parts[number] = HIDDEN
        else:
            parts[number], hiding = _without_encoded(part), False
    return "".join(parts)


def _without_encoded(part: str) -> str:
    """A part of a path or query, cut off where percent signs stand for something to hide."""
    plain = _decoded(part)
    if plain == part or (_shown(plain) == plain and _without_pairs(plain, "[&;]") == plain):
        return part
    return part.partition("%")[0] + HIDDEN


def _decoded(text: str) -> str:
    while (plain := unquote(text)) != text:
        text = plain
    return text


def _is_secret(key: str) -> bool:
    plain = re.sub(r"[\W_]", "", _decoded(key).lower())
    return plain in _SECRET_KEYS or _SECRET_PARTS.search(plain) is not None


def _is_drawn(word: str) -> bool:
    """Whether a word looks random: it alternates between lower case, upper case and digits."""
    if _DRAWN.fullmatch(word) and re.search(r"\d", word):
        return True
    runs = re.findall(r"[A-Za-z0-9]+", word)
    if any(
        len(run) >= _LONG_RUN and re.search(r"\d", run) and _changes(run) >= _FEWEST_CHANGES
        for run in runs
    ):
        return True
    letters = "".join(runs)
    return _changes(letters) >= _SHARE_OF_CHANGES * max(1, len(letters) - 1)


def _changes(letters: str) -> int:
    kinds = ["digit" if c.isdigit() else "large" if c.isupper() else "small" for c in letters]
    return sum(before != after for before, after in pairwise(kinds))
