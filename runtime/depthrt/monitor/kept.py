"""A file that keeps references of streams: a restart does not learn what is wrong by then."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from depthrt.errors import DepthrtError, ModelError
from depthrt.files.json_file import read_object, write_json
from depthrt.monitor.reference import Reference, parse_reference


@dataclass(eq=False)
class KeptReferences:
    """The references in a JSON file, by the names of their streams.

    - ``path``: the file; None: they are kept in memory alone.
    """

    path: Path | None
    references: dict[str, Reference] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, path: Path) -> KeptReferences:
        """Read a file; one that is not there yet has none.

        Raises:
            ModelError: it holds something else, which is left alone.
        """
        if not path.exists():
            return cls(path)
        content = read_object(path, ModelError).content
        where = "{}, reference of {}"
        found = {
            name: parse_reference(each, where.format(path, name)) for name, each in content.items()
        }
        return cls(path, found)

    def keep(self, stream: str, reference: Reference, tell: Callable[[str], None]) -> None:
        """Add a stream's reference and write the file, if there is one; a failure is only told."""
        with self._lock:
            self.references[stream] = reference
            if self.path is None:
                return
            content = {name: each.to_dict() for name, each in self.references.items()}
            try:
                write_json(self.path, content, overwrite=True)
            except DepthrtError as error:
                tell(f"the reference is not kept: {error}")
