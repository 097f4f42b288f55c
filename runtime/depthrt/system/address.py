"""Where a small server listens: ``[HOST:]PORT``."""

from __future__ import annotations

from depthrt.errors import UsageError

LOOPBACK = "127.0.0.1"
LOOPBACK_NAMES = (LOOPBACK, "localhost", "::1", "[::1]")


def parse_address(address: str, option: str) -> tuple[str, int]:
    """Host and port of ``PORT`` or ``HOST:PORT``; an IPv6 host is in brackets.

    Args:
        address: without a host only this machine can look.
        option: that it was given as, for the message.

    Raises:
        UsageError: ``address`` is neither form.
    """
    host, _, port = address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    wrong = ":" in host and not bracketed
    if wrong or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
        raise UsageError(f"{option} {address} is neither PORT nor HOST:PORT")
    return (host[1:-1] if bracketed else host) or LOOPBACK, int(port)
