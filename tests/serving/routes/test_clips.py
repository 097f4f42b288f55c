"""`/v1/clips`: videos as jobs, from the request to the file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import depthrt
from depthrt.model.depth_model import DepthModel
from depthrt_serving.settings import Limits
from helpers.files.clips import Clip, write_clip
from helpers.web.served import Reply, Running, head, serving, until

FRAMES = 6


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", Clip(frames=FRAMES))


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip whose job takes a while."""
    made = Clip(frames=2000)
    return write_clip(tmp_path_factory.mktemp("long") / "long.mp4", made)


@pytest.fixture(scope="module")
def running(tiny: Path) -> Iterator[Running]:
    with serving(tiny) as found:
        yield found


def sent(running: Running, clip: Path, query: str = "") -> str:
    """The address of a new job."""
    reply = running.ask(f"/v1/clips{query}", clip.read_bytes())
    assert reply.status == 202, reply.content
    assert reply.headers["location"] == f"/v1/clips/{reply.document['id']}"
    return reply.headers["location"]


def ended(running: Running, place: str) -> dict[str, Any]:
    """The job once it is over."""
    until(lambda: running.ask(place).document["state"] in ("done", "failed"))
    return running.ask(place).document


def files(running: Running) -> list[Path]:
    """What clips take of the disk."""
    folder = running.service.clips._folder
    found = [] if folder is None else list(folder.path.rglob("[!.]*"))
    return [path for path in found if path.is_file()]


def test_depth_of_a_clip_is_that_of_its_frames(
    running: Running, clip: Path, model: DepthModel
) -> None:
    place = sent(running, clip, "?format=npz")
    job = ended(running, place)
    assert (job["state"], job["frames"], job["total_frames"]) == ("done", FRAMES, FRAMES)
    reply = running.ask(f"{place}/result")
    assert len(reply.content) == job["result_bytes"]
    found = np.load(io.BytesIO(reply.content))["depth"]
    with depthrt.stream(clip, model) as results:
        expected = [result.depth.values.copy() for result in results]
    assert np.array_equal(found, np.stack(expected))
    assert running.ask(place, method="DELETE").status == 204
    assert running.ask(place).status == running.ask(f"{place}/result").status == 404
    assert files(running) == []


def test_a_video_to_look_at(running: Running, clip: Path) -> None:
    place = sent(running, clip, "?view=side&colormap=turbo")
    assert ended(running, place)["state"] == "done"
    reply = running.ask(f"{place}/result")
    assert reply.headers["content-type"] == "video/mp4"
    with av.open(io.BytesIO(reply.content)) as made:
        (stream,) = made.streams.video
        assert (stream.width, stream.height) == (128, 48)
        assert sum(1 for _ in made.decode(stream)) == FRAMES
    part = running.ask(f"{place}/result", headers={"Range": "bytes=0-9"})
    assert (part.status, part.content) == (206, reply.content[:10])
    running.ask(place, method="DELETE")


def test_jobs_wait_for_one_another_and_can_be_ended(
    running: Running, clip: Path, long_clip: Path
) -> None:
    first, second = sent(running, long_clip, "?format=npz"), sent(running, clip)
    until(lambda: running.ask(first).document["frames"] > 0)
    assert running.ask(second).document["state"] == "waiting"
    early = running.ask(f"{first}/result")
    assert (early.status, early.error["code"]) == (409, "not_ready")
    listed = running.ask("/v1/clips").document["clips"]
    assert [f"/v1/clips/{job['id']}" for job in listed] == [first, second]
    assert running.ask(first, method="DELETE").status == 204
    assert ended(running, second)["state"] == "done"
    running.ask(second, method="DELETE")
    until(lambda: files(running) == [])


def test_a_clip_that_cannot_be_decoded_says_why(running: Running) -> None:
    place = running.ask("/v1/clips", b"\0\0\0\x18ftypisom" + bytes(500)).headers["location"]
    job = ended(running, place)
    assert job["state"] == "failed"
    assert "clip.mp4" in job["error"]
    assert "/" not in job["error"]  # no folder of the server
    assert running.ask(f"{place}/result").error["message"] == job["error"]
    assert files(running) == []
    running.ask(place, method="DELETE")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 415),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
        (b"", 415),
        (b"short", 415),
    ],
)
def test_what_is_no_video_is_not_taken(running: Running, content: bytes, status: int) -> None:
    reply: Reply = running.ask("/v1/clips", content)
    assert (reply.status, "none of MP4" in reply.error["message"]) == (status, True)
    assert running.ask("/v1/clips").document["clips"] == []
    assert files(running) == []


def test_wrong_wishes(running: Running, clip: Path) -> None:
    for query in ("format=exe", "view=rainbow", "colormap=mud", "stabilise=maybe"):
        assert running.ask(f"/v1/clips?{query}", clip.read_bytes()).status == 400
    assert running.ask("/v1/clips/../../etc").status == 404


def test_number_and_space_are_bounded(tiny: Path, clip: Path) -> None:
    size = clip.stat().st_size
    with serving(tiny, limits=Limits(clips=1, clip_bytes=2 * size)) as running:
        large = running.ask("/v1/clips", clip.read_bytes() + bytes(size + 1))
        assert large.status == 413
        place = sent(running, clip)
        full = running.ask("/v1/clips", clip.read_bytes())
        assert (full.status, "1 clips are kept" in full.error["message"]) == (503, True)
        assert int(full.headers["retry-after"]) >= 1
        ended(running, place)
        running.ask(place, method="DELETE")
        sent(running, clip)
    with serving(tiny, limits=Limits(clips_bytes=size - 1)) as running:
        assert running.ask("/v1/clips", clip.read_bytes()).status == 503


def test_a_result_that_grows_too_large_ends_its_job(tiny: Path, long_clip: Path) -> None:
    size = long_clip.stat().st_size
    with serving(tiny, limits=Limits(clips_bytes=size + 100_000)) as running:
        job = ended(running, sent(running, long_clip, "?format=npz"))
        assert job["state"] == "failed"
        assert "which is the most" in job["error"]
        assert files(running) == []


def test_old_results_are_removed(tiny: Path, clip: Path) -> None:
    with serving(tiny, limits=Limits(clip_kept_s=0.2)) as running:
        place = sent(running, clip)
        until(lambda: running.ask(place).status == 404)
        assert files(running) == []


def test_a_client_that_leaves_while_sending_leaves_nothing(running: Running) -> None:
    with running.send(head("/v1/clips", 5000) + b"\0\0\0\x18ftypisom"):
        until(lambda: len(running.service.clips) == 1)
    until(lambda: len(running.service.clips) == 0)
    assert files(running) == []


def test_nothing_stays_when_the_server_ends(tiny: Path, long_clip: Path) -> None:
    with serving(tiny) as running:
        place = sent(running, long_clip)
        until(lambda: running.ask(place).document["state"] == "running")
        folder = running.service.clips._folder
        (job,) = running.service.clips.jobs()
        until(lambda: job.process is not None)
        process = job.process
    assert folder is not None
    assert not folder.path.exists()
    assert process is not None
    assert process.poll() is not None
