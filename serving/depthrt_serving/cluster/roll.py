"""Roll a running cluster over to a new model, step by step, and back if it is worse."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from depthrt.errors import AccuracyGateError, LatencyGateError, ModelError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.model.inference import Prediction
from depthrt.spec import ModelSpec
from depthrt_serving.cluster.apps import check_room, connect, delete_others, deploy, handle_of
from depthrt_serving.cluster.fetch import find_rollout
from depthrt_serving.cluster.judge import depth_difference
from depthrt_serving.cluster.options import ClusterOptions
from depthrt_serving.cluster.rollout import Progress
from depthrt_serving.settings import Settings

Tell = Callable[[str], None]
_LOOK_S, _GOLDEN_S = 0.5, 5.0
_CALL_S = 60.0
_STALE_S = 2.0  # after which every front knows where batches go


def roll(settings: Settings, options: ClusterOptions, share: float, tell: Tell) -> None:
    """Give a new model a share of the batches, then half, then all; or take it back.

    Raises:
        AccuracyGateError: its depth is worse: the old model serves on.
        LatencyGateError: it is slower: the old model serves on.
        DepthrtError: it cannot be used, or nothing is served on the cluster.
    """
    import ray

    connect(options)
    try:
        _roll(settings, options, share, tell)
    finally:
        ray.shutdown()


def _roll(settings: Settings, options: ClusterOptions, share: float, tell: Tell) -> None:
    import ray

    rollout = find_rollout()
    if rollout is None:
        raise UsageError("nothing is served on this cluster: start it without --roll first")
    new = DepthModel.load(settings.model, provider=settings.provider, threads=1)
    old_sha = ray.get(rollout.routing.remote(), timeout=_CALL_S).stable
    new_sha = new.sha256()
    if new_sha == old_sha:
        raise UsageError(f"{new.path} is the model that the cluster serves already")
    old = handle_of(old_sha)
    check_alike(new, ModelSpec.from_json(old.spec_json.remote().result(timeout_s=_CALL_S)))
    ray.get(rollout.put_file.remote(new_sha, new.path.read_bytes()))
    check_room(options, tell)
    tell(f"starting {options.replicas[0]} replicas of {new.path}")
    kept = old_sha
    try:
        deploy(new_sha, settings.provider, settings.threads or int(options.cpus) or 1, options)
        check_golden(old, handle_of(new_sha), new, options.gates.difference)
        refused = ray.get(rollout.begin.remote(new_sha, share, options.gates), timeout=_CALL_S)
        if refused:
            raise UsageError(f"{new.path} does not take over: {refused}")
        tell(f"{new.path} gets {share:.3g} of the batches")
        _watch(rollout, handle_of(new_sha), tell)
        kept = new_sha
        tell(f"{new.path} serves now, in the place of {old_sha[:8]}")
    finally:
        ray.get(rollout.give_back.remote("the roll-over was interrupted"), timeout=_CALL_S)
        time.sleep(_STALE_S)
        delete_others([kept])


def check_alike(new: DepthModel, old: ModelSpec) -> None:
    """Make sure that clients see no difference in the form of an answer.

    Raises:
        ModelError: the new model takes another input, or its depth means something else.
    """
    mine = new.spec
    unlike = [
        name
        for name in ("input", "kind", "unit", "outputs")
        if getattr(mine, name) != getattr(old, name)
    ]
    if unlike:
        raise ModelError(
            f"{new.path} cannot take over, as its {' and '.join(unlike)} differ from those of the "
            "model that serves, and clients would see it: serve it at an address of its own"
        )


def check_golden(old: Any, new: Any, model: DepthModel, allowed: float) -> None:
    """Before any request: the new model's golden frames, and both models on the old one's.

    Raises:
        AccuracyGateError: its depth is wrong on the cluster, or too far from the old model's.
    """
    excess = new.golden_excess.remote().result(timeout_s=_CALL_S)
    if not excess <= 1:
        raise AccuracyGateError(
            f"{model.path} is not taken: its golden frames are {excess:.3g} times as far off on "
            "the cluster as the file allows"
        )
    pixels = old.golden_pixels.remote().result(timeout_s=_CALL_S)
    found = [
        _difference(old, new, each[None], metric=model.spec.unit is not None) for each in pixels
    ]
    worst = max(found, default=0.0)
    if not worst <= allowed:
        raise AccuracyGateError(
            f"{model.path} is not taken: its depth of the old model's golden frames is {worst:.3f} "
            f"of the spread away from that one's, allowed {allowed:g}"
        )


def _difference(old: Any, new: Any, batch: Any, *, metric: bool) -> float:
    first, second = (
        handle.run.remote(batch, True).result(timeout_s=_CALL_S) for handle in (old, new)
    )
    if not (isinstance(first, Prediction) and isinstance(second, Prediction)):
        return float(np.inf)
    return depth_difference(first.depth[0], second.depth[0], metric=metric)


def _watch(rollout: Any, canary: Any, tell: Tell) -> None:
    """Wait until the new model has all, or none.

    Raises:
        AccuracyGateError, LatencyGateError: it was taken back.
    """
    import ray

    share, golden_s = 0.0, time.monotonic() + _GOLDEN_S
    while True:
        progress: Progress = ray.get(rollout.progress.remote(), timeout=_CALL_S)
        if progress.state == "promoted":
            return
        if progress.state == "returned":
            gate = LatencyGateError if "p99" in progress.reason else AccuracyGateError
            raise gate(f"the new model was taken back: {progress.reason}")
        if share and progress.routing.share != share:
            tell(f"no reason to take it back: it gets {progress.routing.share:.3g} of the batches")
        share = progress.routing.share
        if time.monotonic() > golden_s:
            golden_s = time.monotonic() + _GOLDEN_S
            _look_at_golden(rollout, canary)
        time.sleep(_LOOK_S)


def _look_at_golden(rollout: Any, canary: Any) -> None:
    """Take the new model back where its golden frames come out wrong."""
    try:
        excess = canary.golden_excess.remote().result(timeout_s=_CALL_S)
    except Exception:  # a replica that died: the fronts see what that means
        return
    if not excess <= 1:
        rollout.give_back.remote(
            f"its golden frames are {excess:.3g} times as far off as its file allows"
        )
