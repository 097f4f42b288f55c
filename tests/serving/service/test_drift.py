"""Answers of the server are watched for drift, two a second."""

from __future__ import annotations

import json
import time
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from depthrt.errors import ModelError
from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.monitor.features import depth_features, picture_features
from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.reference import make_reference
from depthrt.monitor.watches import WatchedModel, Watches
from depthrt_serving.monitoring import drift
from depthrt_serving.monitoring.stream_names import MOST_STREAMS, StreamNames
from depthrt_serving.settings import Monitoring
from helpers.web.served import Running, encoded, picture, serving, until

PICTURES = [picture(seed) for seed in range(6)]


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer is due."""
    monkeypatch.setattr(drift, "SAMPLE_S", 0.0)


def kept(path: Path, model: DepthModel) -> Path:
    """A file with the reference of the pictures that are sent."""
    rows = []
    for image, _ in zip(cycle(PICTURES), range(240), strict=False):
        pixels = prepare(image, model.spec.input)
        rows.append({**picture_features(pixels), **depth_features(model(image))})
    made = make_reference(rows, source="a test", sample_s=0.5, model=model.sha256())
    path.write_text(json.dumps({"requests": made.to_dict()}))
    return path


def samples(running: Running, stream: str) -> float:
    return running.metric("depthrt_drift_samples_total", stream=stream)


def send(running: Running, bodies: list[bytes], count: int) -> None:
    """Send pictures until so many more were looked at."""
    wanted = samples(running, "requests") + count
    for body in cycle(bodies):
        before = samples(running, "requests")
        if before >= wanted:
            return
        assert running.ask("/v1/depth", body).status == 200
        until(lambda before=before: samples(running, "requests") > before)  # type: ignore[misc]


def test_pictures_that_turn_dark_drift(model: DepthModel, tmp_path: Path, eager: None) -> None:
    watches = Watches(KeptReferences.open(kept(tmp_path / "usual.json", model)), print)
    watched = WatchedModel(model.sha256(), "tiny@1", None)
    watch = watches.watch("requests", watched)
    watch.settle()
    found = drift.DriftWatch(watches)
    answers = {
        divisor: [
            (prepare(image // divisor, model.spec.input), model(image // divisor))
            for image in PICTURES
        ]
        for divisor in (1, 4)
    }
    for divisor, drifts in ((1, False), (4, True), (1, False)):
        for number in range(200):
            pixels, depth = answers[divisor][number % len(PICTURES)]
            found.saw(watched, "", [pixels], [depth])
            until(lambda: all(future.done() for future in found._work.values()))
        assert watch.verdict.drifts == drifts
        assert watch.verdict.alarms["brightness"].raised == drifts
    assert watch.verdict.samples == 600
    assert "flicker" not in watch.verdict.scores
    found.close()


@pytest.mark.slow
def test_pictures_that_are_sent_and_turn_dark_drift(
    tiny: Path, model: DepthModel, tmp_path: Path, eager: None
) -> None:
    watched = Monitoring(reference=kept(tmp_path / "usual.json", model))
    usual = [encoded(image) for image in PICTURES]
    dark = [encoded(image // 4) for image in PICTURES]
    with serving(tiny, monitoring=watched) as running:
        assert running.service.drift is not None
        label = {"stream": "requests", "model": running.service.deployments.stable.label}
        assert running.ask("/v1/depth", usual[0]).status == 200
        until(lambda: samples(running, "requests") == 1)
        running.service.drift.watches.watch(
            "requests", running.service.deployments.stable.watched
        ).settle()
        assert running.metric("depthrt_drift_learning", **label) == 0
        assert running.metric("depthrt_drift_reference_frames", origin="kept", **label) == 240
        send(running, usual, 160)
        assert running.metric("depthrt_drift", **label) == 0
        assert running.metric("depthrt_drift_score", feature="brightness", **label) < 1
        send(running, dark, 140)
        assert running.metric("depthrt_drift", feature="brightness", **label) == 1
        assert running.metric("depthrt_drift", feature="flicker", **label) == 0
        send(running, usual, 200)
        assert running.metric("depthrt_drift", feature="brightness", **label) == 0


def test_a_burst_is_looked_at_twice_a_second(running: Running) -> None:
    before, start_s = samples(running, "requests"), time.monotonic()
    for _ in range(20):
        assert running.ask("/v1/depth", encoded(PICTURES[0])).status == 200
    most = (time.monotonic() - start_s) / drift.SAMPLE_S + 2
    assert samples(running, "requests") - before <= most


def test_without_drift_nothing_is_looked_at(tiny: Path) -> None:
    with serving(tiny, monitoring=Monitoring(drift=False)) as running:
        assert running.ask("/v1/depth", encoded(PICTURES[0])).status == 200
        assert running.service.drift is None
        assert b"depthrt_drift_samples_total" not in running.ask("/metrics").content


def test_a_stream_with_a_name_is_watched_by_itself_and_has_flicker(tiny: Path) -> None:
    frame = encoded(PICTURES[0])
    with serving(tiny) as running:
        host, port = running.place
        for query in ("name=door", ""):
            with connect(f"ws://{host}:{port}/v1/stream?{query}") as client:
                for _ in range(4):
                    client.send(frame)
                    assert isinstance(client.recv(), bytes)
        assert running.metric("depthrt_frames_total", stream="door") == 4
        assert running.metric("depthrt_frames_total", stream="unnamed") == 4
        assert running.metric("depthrt_latency_seconds_count", stream="door") == 4
        until(lambda: samples(running, "door") == 1)
        watches = running.service.drift
        assert watches is not None
        door = watches.watches.watch("door", running.service.deployments.stable.watched)
        assert "flicker" in door._lesson[0]


def test_a_name_that_is_none_is_refused(running: Running) -> None:
    host, port = running.place
    with pytest.raises(Exception, match="400"), connect(f"ws://{host}:{port}/v1/stream?name=a%20b"):
        pass


def test_so_many_names_are_kept_apart_and_no_more() -> None:
    names = StreamNames()
    given = [names.admit(f"camera-{number}") for number in range(MOST_STREAMS + 3)]
    assert [name for name in given if name] == [f"camera-{n}" for n in range(MOST_STREAMS)]
    assert names.admit("camera-0") == "camera-0"
    assert names.admit("") == ""


@pytest.mark.parametrize("content", ["[]", '{"requests": {"version": 1}}'])
def test_a_file_that_holds_no_references_is_refused(
    tiny: Path, tmp_path: Path, content: Any
) -> None:
    file = tmp_path / "usual.json"
    file.write_text(content)
    with (
        pytest.raises(ModelError, match=r"usual\.json"),
        serving(tiny, monitoring=Monitoring(reference=file)),
    ):
        pass
    assert file.read_text() == content
