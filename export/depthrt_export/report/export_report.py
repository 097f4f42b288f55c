"""What an export made: the file, its spec, its proof and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from depthrt.spec import ModelSpec
from depthrt_export.proof.verify import (
    Proof,
)
from depthrt_export.search.explain import document, refusal
from depthrt_export.search.search import Found


@dataclass(frozen=True, eq=False)
class Report:
    """What came out: the file and its spec, the proof, what it cost."""

    target: Path
    spec: ModelSpec
    proof: Proof
    reference: str
    notes: tuple[str, ...]
    times_s: Mapping[str, float]
    peak_memory_bytes: int
    file_bytes: int
    found: Found | None = None

    @property
    def refusal(self) -> str:
        """Why a search left the model in float32, empty if it did not."""
        return refusal(self.found) if self.found and self.found.picked is None else ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON document of ``--json``."""
        return {
            "model": str(self.target),
            "file_bytes": self.file_bytes,
            "peak_memory_bytes": self.peak_memory_bytes,
            "times_s": dict(self.times_s),
            "notes": list(self.notes),
            "spec": asdict(self.spec),
            **({} if self.found is None else {"search": document(self.found)}),
        }
