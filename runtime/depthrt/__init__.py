"""depthrt: monocular depth on the edge."""

from __future__ import annotations
