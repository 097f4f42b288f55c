"""Which models serve: the stable one, a canary beside it, and how SIGHUP replaces them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from depthrt.errors import DepthrtError, ModelError
from depthrt.files.file_hash import file_sha256
from depthrt.model.catalogue.registry import find_model
from depthrt_serving.monitoring.shadow import Predecessor
from depthrt_serving.service.deployment import Deployment
from depthrt_serving.service.metrics import Metrics
from depthrt_serving.service.served_model import ServedModel, load, verify
from depthrt_serving.settings import Settings

Role = Literal["stable", "canary"]
Tell = Callable[[str], None]
REFUSED = "reload refused"
"""How a sentence begins on a file that is not taken."""
Make = Callable[[ServedModel, str], Deployment]
"""Makes a deployment of a model and the SHA-256 of its file."""


class _Note(NamedTuple):
    """What a reload came to, and what is told of it; empty: nothing that is not known already."""

    result: str
    sentence: str = ""


@dataclass(eq=False)
class Deployments:
    """The models that answer requests.

    - ``stable``: answers all that the canary does not;
    - ``canary``: answers its share; None: there is none;
    - ``retiring``: were replaced, and answer what they have;
    - ``why_no_canary``: what was told last of a canary that was asked for and is not there;
    - ``ended``: called with a deployment that was replaced;
    - ``keeps_before``: whether a new model is compared with the one before it.
    """

    settings: Settings
    make: Make
    metrics: Metrics
    tell: Tell
    stable: Deployment
    canary: Deployment | None = None
    why_no_canary: str = ""
    ended: Callable[[Deployment], None] = lambda deployment: None
    keeps_before: bool = False
    retiring: list[Deployment] = field(default_factory=list)
    _random: random.Random = field(default_factory=random.Random, repr=False)
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def active(self) -> list[Deployment]:
        """Those that take requests, the stable one first."""
        return [self.stable, *([self.canary] if self.canary is not None else [])]

    @property
    def all(self) -> list[Deployment]:
        """Those that have work, or may get some."""
        self.retiring = [each for each in self.retiring if not each.is_over]
        return [*self.active, *self.retiring]

    @property
    def shares(self) -> list[tuple[Deployment, Role, float]]:
        """Each that takes requests, and its share of them."""
        share = self.settings.rollout.canary_share if self.canary is not None else 0.0
        found: list[tuple[Deployment, Role, float]] = [(self.stable, "stable", 1 - share)]
        if self.canary is not None:
            found.append((self.canary, "canary", share))
        return found

    def draw(self) -> Role:
        """Who answers the next request, or a whole connection."""
        share = self.settings.rollout.canary_share
        return "canary" if self.canary is not None and self._random.random() < share else "stable"

    @contextmanager
    def lease(self, role: Role | None = None) -> Iterator[Deployment]:
        """The deployment that answers a request, kept alive until it is answered.

        Args:
            role: of :meth:`draw`; None: it is drawn. Without a canary the stable one answers.
        """
        drawn = role or self.draw()
        chosen = self.canary if drawn == "canary" and self.canary is not None else self.stable
        with chosen.lease():
            yield chosen

    async def reload(self) -> None:
        """Look at the files of the model and of the canary again, and load what has changed.

        A file that cannot be used leaves all as it is; it is told in a sentence. Of what has not
        changed nothing is told, but that nothing has. No request is lost: those that have begun are
        answered by the model they began with.
        """
        async with self._reloading:
            notes = [await self._reload_stable(), await self._reload_canary()]
            if not any(each.sentence for each in notes):
                self.tell(f"reload: nothing has changed, {self.stable.label} is served already")
            refused = any(each.result == "refused" for each in notes)
            self.metrics.reload_successful.set(0 if refused else 1)

    async def _reload_stable(self) -> _Note:
        try:
            path, sha256 = await asyncio.to_thread(find_file, self.settings.model)
            canary = self.canary
            if sha256 == self.stable.watched.sha256:
                return self._note("stable", "unchanged")
            if canary is not None and sha256 == canary.watched.sha256:
                self.canary = None
                self._replace_stable(canary)
                return self._note(
                    "stable", "promoted", f"the canary {canary.label} now gets all requests"
                )
            served = await asyncio.to_thread(load_verified, self.settings, path, sha256)
            before = self.stable
            self._replace_stable(self.after(before, served, sha256))
        except Exception as error:  # whatever it is, the old model goes on
            said = f"{self.stable.label} goes on being served: {_reason(error)}"
            return self._note("stable", "refused", said)
        return self._note(
            "stable", "loaded", f"{self.stable.label} is served now, in place of {before.label}"
        )

    async def _reload_canary(self) -> _Note:
        if self.settings.rollout.canary is None:
            return _Note("unchanged")
        try:
            found = await asyncio.to_thread(load_canary, self.settings, self.stable, self.canary)
        except Exception as error:
            return self._note("canary", "refused", f"the canary is not changed: {_reason(error)}")
        before = self.canary
        if found is None:
            return self._note("canary", "unchanged")
        if isinstance(found, str):
            told, self.why_no_canary = self.why_no_canary, found
            if before is not None:
                self._retire(before)
                self.canary = None
                return self._note("canary", "removed", f"{found}: {before.label} gets no requests")
            return self._note("canary", "unchanged", "" if found == told else found)
        served, sha256 = found
        self.why_no_canary = ""
        self.canary = made = self.after(self.stable, served, sha256)
        if before is not None:
            self._retire(before)
        share = self.settings.rollout.canary_share
        return self._note(
            "canary", "loaded", f"the canary {made.label} gets {share:.3g} of requests"
        )

    def after(self, before: Deployment, served: ServedModel, sha256: str) -> Deployment:
        """A deployment that takes the place of another, or stands beside it."""
        made = self.make(served, sha256)
        if self.keeps_before and served.model.spec.input == before.spec.input:
            made.before = Predecessor(before.model)
        return made

    def _replace_stable(self, by: Deployment) -> None:
        before, self.stable = self.stable, by
        self._retire(before)

    def _retire(self, deployment: Deployment) -> None:
        self.retiring.append(deployment)
        deployment.retire()
        self.ended(deployment)

    def _note(self, role: Role, result: str, sentence: str = "") -> _Note:
        self.metrics.reloads.labels(role, result).inc()
        if sentence:
            self.tell(f"{REFUSED if result == 'refused' else 'reload'}: {sentence}")
        return _Note(result, sentence)

    def close(self) -> None:
        """End the threads of all."""
        for deployment in self.all:
            deployment.batcher.close()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, DepthrtError) else f"loading failed ({error!r})"


def find_file(model: str | None) -> tuple[Path, str]:
    """A model's file and its SHA-256.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    path = find_model(model)
    return path, hash_of(path)


def hash_of(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror or error})") from error


def load_verified(settings: Settings, path: Path, sha256: str) -> ServedModel:
    """Load a file, and replay all of its golden frames.

    Raises:
        DepthrtError: it cannot be used, gives wrong depth, or was changed meanwhile.
    """
    served = load(replace(settings, model=str(path)))
    verify(served.model)
    if hash_of(path) != sha256:
        raise ModelError(
            f"{path} changed while it was loaded: write a new file beside it, rename it, and send "
            "SIGHUP again"
        )
    return served


def load_canary(
    settings: Settings, stable: Deployment, before: Deployment | None
) -> tuple[ServedModel, str] | str | None:
    """The canary's model and hash; a sentence if there is to be none; None if it is there already.

    Raises:
        DepthrtError: the file cannot be used, or its depth does not mean what the model's does.
    """
    file = settings.rollout.canary
    if file is None or not file.exists():
        return f"there is no canary, as {file} is not there"
    sha256 = hash_of(file)
    if sha256 == stable.watched.sha256:
        return f"there is no canary, as {file} is the model that is served"
    if before is not None and before.watched.sha256 == sha256:
        return None
    served = load_verified(settings, file, sha256)
    check_alike(served, stable)
    return served, sha256


def check_alike(canary: ServedModel, stable: Deployment) -> None:
    """Make sure that a client cannot tell by the form of an answer which model gave it.

    Raises:
        ModelError: the canary takes another input, or its depth means something else.
    """
    mine, others = canary.model.spec, stable.spec
    pairs = {
        "input": (mine.input, others.input),
        "kind": (mine.kind, others.kind),
        "unit": (mine.unit, others.unit),
        "outputs": (mine.outputs, others.outputs),
    }
    unlike = [name for name, (a, b) in pairs.items() if a != b]
    if unlike:
        raise ModelError(
            f"{canary.model.path} cannot be a canary, as its {' and '.join(unlike)} differ from "
            "the model's, and clients would see it: serve it at an address of its own"
        )
