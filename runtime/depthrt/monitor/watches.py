"""All that is watched in one process: a watch for each stream and model, and their references."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from depthrt.errors import ModelError
from depthrt.model.depth_model import DepthModel
from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.reference import Reference, reference_in
from depthrt.monitor.watch import Verdict, Watch, WatchOptions

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class WatchedModel:
    """A model whose depth is watched; one that is loaded again is another one.

    - ``sha256``: of its file;
    - ``label``: its name among the metrics' labels;
    - ``reference``: the one in its file; None: it has none.
    """

    sha256: str
    label: str
    reference: Reference | None


@dataclass(eq=False)
class Watches:
    """The watches of a process, by stream and model.

    - ``kept``: the references of earlier runs; None: they are not kept;
    - ``tell``: called with a sentence when drift begins or ends, for instance.
    """

    kept: KeptReferences | None
    tell: Tell
    _found: dict[tuple[str, str], tuple[WatchedModel, Watch]] = field(default_factory=dict)
    _over: set[WatchedModel] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def watch(
        self, stream: str, model: WatchedModel, new: Callable[[], Watch] | None = None
    ) -> Watch:
        """What watches a stream while a model runs.

        ``new`` makes it where there is none yet; None: as of a stream of pictures.
        """
        with self._lock:
            found = self._found.get((stream, model.sha256))
            if found is None:
                made = self._new(stream, model) if new is None else new()
                found = self._found[stream, model.sha256] = model, made
        return found[1]

    def keep(self, stream: str, reference: Reference) -> None:
        """Keep a reference for later runs, if they are kept."""
        if self.kept is not None:
            self.kept.keep(stream, reference, self.telling(stream))

    def telling(self, stream: str) -> Tell:
        """Tells a sentence about a stream."""
        return partial(self._tell_of, stream)

    def forget(self, model: WatchedModel) -> None:
        """Leave out the watches of a model that runs no more."""
        with self._lock:
            self._over.add(model)
            gone = [key for key in self._found if key[1] == model.sha256]
            for key in gone:
                del self._found[key]

    def is_over(self, model: WatchedModel) -> bool:
        """Whether a model runs no more."""
        return model in self._over

    def verdicts(self) -> list[tuple[dict[str, str], Verdict]]:
        """What is known of each, with its labels."""
        with self._lock:
            found = dict(self._found)
        return [
            ({"stream": stream, "model": model.label}, watch.verdict)
            for (stream, _), (model, watch) in found.items()
        ]

    def judged_against(self, model: WatchedModel) -> str:
        """What drift is judged against, in a few words."""
        kept = sorted(self.kept.references) if self.kept else []
        if kept:
            return f"the references of {', '.join(kept)} in {self.kept and self.kept.path}"
        if model.reference is not None:
            known = model.reference
            return f"{known.frames} frames of {known.source}, kept in the model file"
        return "the first 10 minutes of each stream: all should be well then"

    def _new(self, stream: str, model: WatchedModel) -> Watch:
        kept = self.kept.references.get(stream) if self.kept else None
        tell = self.telling(stream)
        if kept is not None:
            if kept.model != model.sha256:
                tell("its reference was made with another model file: depth may differ for that")
            return Watch(WatchOptions(kept, "kept", model_sha256=model.sha256), tell)
        if model.reference is not None:
            return Watch(WatchOptions(model.reference, "file", model_sha256=model.sha256), tell)
        options = WatchOptions(model_sha256=model.sha256)
        return Watch(options, tell, partial(self.keep, stream))

    def _tell_of(self, stream: str, sentence: str) -> None:
        self.tell(f"{stream}: {sentence}")


def reference_of(model: DepthModel) -> Reference | None:
    """The reference in a model's file; None if it has none.

    Raises:
        ModelError: it is broken; the message names the file.
    """
    try:
        return reference_in(model.session.get_modelmeta().custom_metadata_map)
    except ModelError as error:
        raise ModelError(f"{model.path}: {error}: export the file again") from error
