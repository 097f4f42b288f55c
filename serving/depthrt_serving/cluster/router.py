"""Sends batches to replicas: the stable model's, and a canary's for its share.

A replica that dies while it computes loses nothing: its batch goes to another one. A canary that
fails costs time alone: its batch goes to the stable model.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from depthrt.errors import InferenceError
from depthrt.model.inference import Abort, Prediction
from depthrt_serving.cluster.apps import handle_of
from depthrt_serving.cluster.fetch import make_rollout
from depthrt_serving.cluster.judge import Seen, depth_difference
from depthrt_serving.cluster.rollout import Routing

_EXCHANGE_S = 0.25
_SHADOW_S = 0.1  # between two batches that the canary computes, too
_PATIENCE_S = 60.0  # for which a batch is tried, while replicas come and go
_AGAIN_S = 0.1
_COLD = 3  # first batches of a front to a model, whose time says nothing
_POLL_S = 0.02  # between looks at whether nobody waits for a batch any more

Pixels = NDArray[np.uint8]


class Router:
    """The way from a front to the replicas.

    Args:
        sha256: of the model that serves.
        content: its file, which the cluster is given again should it lose it.
        metric: whether its depth is in metres.
    """

    def __init__(self, sha256: str, content: bytes, *, metric: bool) -> None:
        self._routing, self._metric = Routing(sha256), metric
        self._content = {sha256: content}
        self._name = secrets.token_hex(8)
        self._handles: dict[str, Any] = {}
        self._asked: Counter[str] = Counter()
        self._seen: list[Seen] = []
        self._owed = 0.0
        self._lock = threading.Lock()
        self._shadow = ThreadPoolExecutor(1, "shadow")
        self._shadowed: Future[None] | None = None
        self._shadowed_s = 0.0
        self._rollout = make_rollout(sha256)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._exchange_often, name="rollout", daemon=True)
        self._thread.start()

    def run(self, batch: Pixels, abort: Abort | None, *, gaps: bool) -> Prediction:
        """Depth of uint8 N,3,h,w, from a replica of the model whose turn it is.

        Raises:
            InferenceError: the network failed, nobody waits any more, or no replica answers.
        """
        routing = self._routing
        if routing.canary is not None and self._takes(routing.share):
            found = self._timed(routing.canary, batch, abort, gaps=gaps)
            if isinstance(found, Prediction):
                return found
        found = self._timed(routing.stable, batch, abort, gaps=gaps)
        if isinstance(found, str):
            raise InferenceError(found)
        if routing.canary is not None:
            self._compare(routing.canary, batch, found)
        return found

    def close(self) -> int:
        """Tell the cluster that this front ends; how many others there are."""
        import ray

        self._over.set()
        self._thread.join(5)
        self._shadow.shutdown(wait=False, cancel_futures=True)
        try:
            return int(ray.get(self._rollout.leave.remote(self._name), timeout=5))
        except (ray.exceptions.RayError, TimeoutError):
            return 0

    def _takes(self, share: float) -> bool:
        """Whether it is the canary's turn: of any so many batches it gets just its share."""
        with self._lock:
            self._owed += share
            if self._owed < 1 - 1e-9:
                return False
            self._owed -= 1
            return True

    def _timed(
        self, sha256: str, batch: Pixels, abort: Abort | None, *, gaps: bool
    ) -> Prediction | str:
        start_s = time.perf_counter()
        found = self._ask(sha256, batch, abort, gaps=gaps)
        if abort is None or not abort.asked:
            seconds, failed = time.perf_counter() - start_s, isinstance(found, str)
            self._asked[sha256] += 1
            if failed or self._asked[sha256] > _COLD:
                self._note(Seen(sha256, None if failed else seconds, failed=failed))
        return found

    def _ask(
        self, sha256: str, batch: Pixels, abort: Abort | None, *, gaps: bool
    ) -> Prediction | str:
        """One batch, by as many replicas as it takes; a sentence where there is no depth."""
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return self._once(sha256, batch, abort, until_s, gaps=gaps)
            except Exception as error:  # Ray's and Serve's have no base of their own
                if abort is not None and abort.asked:
                    return "nobody waits for it any more"
                if time.monotonic() >= until_s:
                    return f"no replica of model {sha256[:8]} answers ({type(error).__name__})"
            time.sleep(_AGAIN_S)

    def _once(
        self, sha256: str, batch: Pixels, abort: Abort | None, until_s: float, *, gaps: bool
    ) -> Prediction | str:
        response = self._handle(sha256).run.remote(batch, gaps)
        while True:
            try:
                found: Prediction | str = response.result(timeout_s=_POLL_S)
            except TimeoutError:
                if (abort is not None and abort.asked) or time.monotonic() >= until_s:
                    response.cancel()
                    raise
            else:
                return found.copy() if isinstance(found, Prediction) else found

    def _handle(self, sha256: str) -> Any:
        with self._lock:
            if sha256 not in self._handles:
                self._handles[sha256] = handle_of(sha256)
            return self._handles[sha256]

    def _note(self, seen: Seen) -> None:
        with self._lock:
            self._seen.append(seen)

    def _compare(self, canary: str, batch: Pixels, found: Prediction) -> None:
        """Let the canary compute a batch, too, now and then; nobody waits for it."""
        now_s = time.monotonic()
        busy = self._shadowed is not None and not self._shadowed.done()
        if busy or now_s - self._shadowed_s < _SHADOW_S:
            return
        self._shadowed_s = now_s
        self._shadowed = self._shadow.submit(self._compare_now, canary, batch[:1], found.depth[0])

    def _compare_now(self, canary: str, pixels: Pixels, depth: NDArray[np.float32]) -> None:
        other = self._ask(canary, pixels, None, gaps=True)
        if isinstance(other, Prediction):
            difference = depth_difference(depth, other.depth[0], metric=self._metric)
            self._note(Seen(canary, difference=difference))
        else:
            self._note(Seen(canary, failed=True))

    def _exchange_often(self) -> None:
        while not self._over.wait(_EXCHANGE_S):
            self._exchange()

    def _exchange(self) -> None:
        """Tell what was seen, and learn where batches go."""
        import ray

        with self._lock:
            seen, self._seen = self._seen, []
        try:
            routing = ray.get(self._rollout.exchange.remote(self._name, seen), timeout=10)
            self._keep_file(routing.stable)
        except (ray.exceptions.RayError, TimeoutError):
            self._restore()
            return
        self._routing = routing

    def _keep_file(self, stable: str) -> None:
        """Hold the bytes of the stable model's file, in the place of the one before."""
        import ray

        if stable not in self._content:
            content = ray.get(self._rollout.file.remote(stable), timeout=120)
            if content is not None:
                self._content = {stable: content}

    def _restore(self) -> None:
        """The rollout is gone: the stable model serves, and the rollout begins anew with it."""
        import ray

        stable = self._routing.stable
        self._routing = Routing(stable)
        try:
            self._rollout = make_rollout(stable)
            if stable in self._content:
                put = self._rollout.put_file.remote(stable, self._content[stable])
                ray.get(put, timeout=120)
        except (ray.exceptions.RayError, TimeoutError, ValueError):
            return  # it is tried again at the next exchange
