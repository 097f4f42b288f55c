"""Live sources from real servers: killed, started again, damaged, changing, too fast."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from depthrt import (
    DepthModel,
    LiveLimits,
    Result,
    Selection,
    SourceError,
    Stats,
    open_source,
    stream,
    to_rgb,
)
from depthrt.depth import Depth
from depthrt.model.preprocess import prepare
from depthrt.sinks.open import open_sink
from depthrt.sources.base import Losses
from depthrt.sources.display_name import shown_source
from depthrt.sources.live.reconnecting_source import LiveSource, Taken
from helpers.commands import Command, outcome, spawn
from helpers.files.clips import picture, pictures, probe, sound_packets
from helpers.models.small_model import build_slow_model, expected_depth
from helpers.web.servers import SIZE, HttpVideo, RtspVideo, free_port, served

MakeClip = Callable[..., Path]


@pytest.fixture
def http() -> Iterator[HttpVideo]:
    server = HttpVideo()
    yield server
    server.kill()


@pytest.fixture
def rtsp() -> Iterator[RtspVideo]:
    pytest.importorskip("rtsp", reason="no RTSP server (pip install rtsp-rs)")
    server = RtspVideo()
    yield server
    server.kill()


@pytest.mark.parametrize("path", ["live.ts", "live.mjpg"])
def test_http_streams_are_live_and_real(http: HttpVideo, model: DepthModel, path: str) -> None:
    source = open_source(f"{http.address}/{path}")
    assert (source.info.live, source.info.size, source.info.frame_count) == (True, SIZE, None)
    stats = Stats()
    results = stream(source, model, stats=stats)
    times = []
    for _ in range(8):
        result = next(results)
        pixels = prepare(result.frame.pixels, model.spec.input)
        np.testing.assert_allclose(result.depth.values, expected_depth(pixels[None])[0], rtol=1e-5)
        assert to_rgb(result.frame.pixels).std() > 20  # a picture, no grey
        times.append(result.frame.exact_time_s)
    results.close()
    assert times == sorted(set(times))
    assert 0.1 < times[-1] - times[0] < 3
    assert stats.latency.count == 8


def test_a_file_over_http_is_a_recording(make_clip: MakeClip) -> None:
    clip = make_clip()
    with served(clip.parent, "user:s3cret@") as address:
        source = open_source(f"{address}/{clip.name}")
        assert not source.info.live
        assert len(list(source.frames())) == 25


def test_a_file_over_http_keeps_its_sound_and_its_password(
    command: Command, make_clip: MakeClip, model_path: Path, tmp_path: Path
) -> None:
    clip = make_clip(sound="aac")
    (tmp_path / "served").mkdir()
    shutil.copy(clip, tmp_path / "served" / "clip.mp4")
    (tmp_path / "served" / "not.mp4").write_text("no video")
    lines, target = tmp_path / "lines.jsonl", tmp_path / "out.mp4"
    with served(tmp_path / "served", "user:s3cret@") as address:
        url = f"{address}/clip.mp4"
        ended = command("run", url, "-m", model_path, "-o", target, "--jsonl", lines, "--json")
        assert (ended.code, ended.err) == (0, "")
        wrong = command("run", f"{address}/not.mp4", "-m", model_path, "-o", target, "--overwrite")
        assert wrong.code == 2
    assert sound_packets(target) == sound_packets(clip)
    shown = shown_source(url)
    assert shown == url.replace("user:s3cret@", "")
    assert ended.document["source"] == shown
    said = (ended.out, lines.read_text(), wrong.complaint)
    assert [text for text in said if "s3cret" in text or "user" in text] == []


def test_a_day_without_a_camera_is_a_gap_of_an_mp4(tmp_path: Path, model: DepthModel) -> None:
    away_s = 86400.0

    class Connection:
        rate = Fraction(25)
        notes: ClassVar[list[str]] = []

        def __init__(self, begin_s: float) -> None:
            self.begin_s = begin_s

        def pictures(self, losses: Losses) -> Iterator[Taken]:
            for number in range(5):
                yield Taken(picture(number, (48, 64)), self.begin_s + number / 25)

        def close(self) -> None:
            pass

    start_s = time.monotonic()
    begins = iter([start_s, start_s + away_s])

    def connect() -> Connection:
        begin_s = next(begins, None)
        if begin_s is None:
            raise SourceError("gone")
        return Connection(begin_s)

    source = LiveSource("camera", connect, Selection(), reconnect_s=0.6)
    sink = open_sink(tmp_path / "out.mp4", source.info, model.spec, "depth", "inferno")
    for frame in source.frames():
        values = np.full((48, 64), 1 + frame.index, np.float32)
        sink.write(Result(frame, Depth(values, "depth", "m", (48, 64)), (0.0, 20.0), False))
    place = sink.close(complete=True)
    assert place is not None
    times = [float(time_s) for time_s in probe(place).times_s]
    assert times[5:] == pytest.approx([away_s + number / 25 for number in range(5)], abs=1e-3)


def test_rtsp_keeps_the_senders_steps(rtsp: RtspVideo, model: DepthModel) -> None:
    source = open_source(rtsp.url)
    assert (source.info.live, source.info.size, source.info.rate) == (True, SIZE, 25)
    frames = source.frames()
    times = [next(frames).exact_time_s for _ in range(10)]
    frames.close()  # type: ignore[attr-defined]
    steps = {b - a for a, b in pairwise(times)}
    assert steps == {Fraction(1, 25)}  # exact, whenever the packets arrived


def _survive(server: HttpVideo | RtspVideo, url: str, model: DepthModel) -> None:
    source = open_source(url, reconnect_s=20)
    stats = Stats()
    results = stream(source, model, stats=stats)
    before = [next(results) for _ in range(5)]
    server.kill()
    killed_s = time.monotonic()
    threading.Timer(0.6, server.start).start()
    after = []
    for result in results:
        assert result.frame.captured_s is not None
        # What was on its way still comes; what comes from the new server is later than the gap.
        (after if result.frame.captured_s > killed_s + 0.5 else before).append(result)
        if len(after) == 5:
            break
    results.close()
    (gap_s,) = source.losses.gaps_s
    assert 0.5 < gap_s < 15
    assert source.losses.sentence() == ""
    times = [r.frame.exact_time_s for r in [*before, *after]]
    assert times == sorted(set(times))
    jump_s = after[0].frame.exact_time_s - before[-1].frame.exact_time_s
    assert float(jump_s) == pytest.approx(gap_s, abs=0.3)
    indices = [r.frame.index for r in [*before, *after]]
    assert indices == sorted(set(indices))
    for result in [*before, *after]:
        assert to_rgb(result.frame.pixels).std() > 20


def test_an_http_server_that_dies_and_comes_back(http: HttpVideo, model: DepthModel) -> None:
    _survive(http, f"{http.address}/live.ts", model)


@pytest.mark.slow
def test_an_rtsp_server_that_dies_and_comes_back(rtsp: RtspVideo, model: DepthModel) -> None:
    _survive(rtsp, rtsp.url, model)


def test_a_server_that_stays_away_is_given_up_and_said(
    command: Command, http: HttpVideo, model_path: Path, tmp_path: Path
) -> None:
    threading.Timer(1.0, http.kill).start()
    target = tmp_path / "out.mp4"
    url = f"{http.address}/live.ts"
    ended = command("run", url, "-m", model_path, "-o", target, "--reconnect", 0.3, "--json")
    assert ended.code == 1
    assert ended.complaint.startswith(f"{url}: reading broke off (it stopped giving pictures")
    assert "did not come back in 0.3 s" in ended.complaint
    assert len(probe(target).times_s) == ended.document["frames"] > 3


def test_a_gap_is_in_the_summary_and_is_no_failure(
    command: Command, http: HttpVideo, model_path: Path, tmp_path: Path
) -> None:
    threading.Timer(0.7, http.kill).start()
    threading.Timer(1.0, http.start).start()
    target = tmp_path / "out.npz"
    ended = command(
        "run", f"{http.address}/live.ts", "-m", model_path, "-o", target, "--end", 2, "--json"
    )
    assert ended.code == 0
    assert "was away once, for " in ended.complaint
    (gap_s,) = ended.document["gaps_s"]
    assert 0.25 < gap_s < 5
    latency = ended.document["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["worst"]


def test_nobody_listening_is_one_sentence(command: Command, model_path: Path) -> None:
    for scheme in ("rtsp", "http"):
        place = f"127.0.0.1:{free_port()}/stream"
        url = f"{scheme}://user:secret@{place}"
        ended = command("run", url, "-m", model_path, "-o", "never.mp4")
        said = f"{scheme}://{place} cannot be opened as a video (Connection refused)"
        assert ended.complaint == said  # and no word of the password
        assert ended.code == 2


def test_corrupted_packets_cost_frames_and_nothing_else(model: DepthModel) -> None:
    server = HttpVideo(rate=100, damage=9)
    source = open_source(f"{server.address}/live.ts")
    results = stream(source, model)
    seen = [next(results) for _ in range(60)]
    results.close()
    server.kill()
    assert source.losses.corrupt_frames + source.losses.corrupt_packets > 0
    assert source.losses.gaps_s == []
    times = [r.frame.exact_time_s for r in seen]
    assert times == sorted(set(times))


def test_a_picture_that_changes_its_size_goes_on(
    command: Command, model_path: Path, tmp_path: Path
) -> None:
    server = HttpVideo(rate=100, sizes=((48, 64), (96, 80)), turn=25)
    sizes: set[tuple[int, int]] = set()
    model = DepthModel.load(model_path)
    for result in stream(open_source(f"{server.address}/live.ts"), model):
        sizes.add(result.depth.image_size)
        if len(sizes) == 2:
            break
    assert sizes == {(48, 64), (96, 80)}
    target = tmp_path / "out.mp4"
    ended = command(
        "run", f"{server.address}/live.ts", "-m", model_path, "-o", target, "--max-frames", 70
    )
    server.kill()
    assert (ended.code, ended.err) == (0, "")
    shown = pictures(target)
    assert 20 < len(shown) <= 70
    assert {each.shape for each in shown} == {shown[0].shape}


def test_latency_is_bounded_under_overload(tmp_path: Path, model: DepthModel) -> None:
    slow = DepthModel.load(build_slow_model(tmp_path / "slow.onnx", work=8), threads=1)
    server = HttpVideo(rate=60)
    stats = Stats()
    results = stream(f"{server.address}/live.ts", slow, stats=stats)
    for _ in range(25):
        next(results)
    results.close()
    server.kill()
    model_s = stats.busy_s["infer"] / stats.frames
    if model_s < 1.5 / 60:
        pytest.skip("this machine is too fast to be overloaded by the slow model")
    assert stats.dropped > 5
    # Not in the worst case, which noise decides, but for most frames: a queue would fail this.
    assert stats.latency.quantile_s(0.5) < 2 * model_s


@pytest.mark.parametrize("number", [2, 15], ids=["ctrl-c", "sigterm"])
def test_ctrl_c_ends_a_live_run_with_playable_files(
    http: HttpVideo, make_clip: MakeClip, model_path: Path, tmp_path: Path, number: int
) -> None:
    url = f"{http.address}/live.ts"
    process = spawn(
        "run", url, f"{http.address}/live.mjpg", make_clip(), "-m", model_path,
        "-o", tmp_path / "out", "--json",
    )  # fmt: skip
    finished = tmp_path / "out" / f"{make_clip().stem}_depth.mp4"
    deadline_s = time.monotonic() + 30
    while not finished.exists():  # the recording is whole while the others still run
        assert time.monotonic() < deadline_s
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    process.send_signal(number)
    ended = outcome(process)
    assert ended.code == 130
    assert ended.complaint == "interrupted; what was done is kept"
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(files) == 3
    assert not any("partial" in name for name in files)
    for each in ended.document["streams"]:
        count = len(probe(Path(each["output"])).times_s)
        assert 0 < count <= each["frames"] <= count + 2  # the last may be on their way


def test_limits_reach_a_real_stream(http: HttpVideo, model: DepthModel) -> None:
    stats = Stats()
    url = f"{http.address}/live.ts"
    results = stream(url, model, stats=stats, limits=LiveLimits(max_rate=5))
    times = [next(results).frame.exact_time_s for _ in range(4)]
    results.close()
    assert all(b - a >= 0.1 for a, b in pairwise(times))
    with pytest.raises(SourceError, match="cannot be opened"):
        open_source(f"http://127.0.0.1:{free_port()}/x")
