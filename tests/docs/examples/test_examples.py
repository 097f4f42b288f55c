"""Each script of ``examples/``, run as a user runs it; slow ones stand in files of their own."""

from __future__ import annotations
