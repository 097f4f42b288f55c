"""Where a small server listens."""

from __future__ import annotations

import pytest

from depthrt import UsageError
from depthrt.system.address import parse_address


def test_addresses() -> None:
    assert parse_address("8000", "--preview") == ("127.0.0.1", 8000)
    assert parse_address("0.0.0.0:80", "--preview") == ("0.0.0.0", 80)
    assert parse_address("[::1]:8000", "--preview") == ("::1", 8000)
    for wrong in ("::1:80", "9" * 5000, "", "x", "70000", "host", "1.5", "-1", "host:"):
        with pytest.raises(UsageError, match="neither PORT nor HOST:PORT"):
            parse_address(wrong, "--preview")
