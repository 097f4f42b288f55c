"""Bearer tokens: read from a file, compared in constant time, never shown."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from depthrt.errors import UsageError

_SHORTEST = 8


@dataclass(frozen=True)
class Tokens:
    """The tokens of which a request needs one; none: every request is taken."""

    _secrets: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, path: Path | None) -> Tokens:
        """The tokens of a file, one a line.

        Raises:
            UsageError: it cannot be read, or holds no token of 8 or more characters.
        """
        if path is None:
            return cls()
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise UsageError(f"the token file {path} cannot be read ({error.strerror})") from error
        secrets = tuple(line.strip() for line in lines if line.strip())
        if not secrets:
            raise UsageError(f"the token file {path} holds no token: write one a line into it")
        if any(len(secret) < _SHORTEST for secret in secrets):
            raise UsageError(
                f"the token file {path} holds a token of fewer than {_SHORTEST} characters: "
                "make a longer one, as by `openssl rand -hex 32`"
            )
        return cls(secrets)

    def __bool__(self) -> bool:
        return bool(self._secrets)

    def find(self, given: Iterable[bytes]) -> int | None:
        """Which token is among those that were given, by its number; None if none is.

        All are compared, so that the time says nothing.
        """
        found = None
        for candidate in given:
            for number, secret in enumerate(self._secrets):
                if hmac.compare_digest(candidate, secret):
                    found = number
        return found
