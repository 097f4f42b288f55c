"""Sources in S3: a real server on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from depthrt.jobs.run import Job, execute
from depthrt_archives.plan.items import batch_items
from helpers.files.archived import encode, facts, run_batch
from helpers.models.small_model import build_model

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

# Of the client library, not of ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """A file system of an S3 server with a bucket."""
    import s3fs

    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("AWS_ENDPOINT_URL", f"http://{host}:{port}"),
            ("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}"),
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", "nothing"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ):
            patch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        files = s3fs.S3FileSystem(endpoint_url=f"http://{host}:{port}", use_listings_cache=False)
        files.mkdir("archive")
        yield files
        s3fs.S3FileSystem.clear_instance_cache()
    running.stop()


def test_sources_in_a_bucket(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "fetched"))
    (tmp_path / "fetched").mkdir()
    clip, model = encode(tmp_path / "clip.mp4", 60, sound=True), build_model(tmp_path / "tiny.onnx")
    s3.put(str(clip), "archive/day/one/clip.mp4")
    s3.pipe("archive/day/torn.mp4", clip.read_bytes()[:900])
    s3.pipe("archive/day/notes.txt", b"no video")
    out = tmp_path / "out"
    found = [item.output for item in batch_items(["s3://archive/day/"], "mp4", out)]
    assert found == ["one/clip_depth.mp4", "torn_depth.mp4"]
    fields: dict[str, Any] = {"out": out, "model": model, "segment_s": 1}
    totals, engine = run_batch(["s3://archive/day/"], **fields)
    assert [*totals.failures] == ["s3://archive/day/torn.mp4"]
    assert {task.kind for task in engine.tasks} >= {"start", "run"}
    plain = tmp_path / "plain.mp4"
    execute(Job(str(clip), plain, str(model), provider="cpu"))
    assert facts(out / "one" / "clip_depth.mp4") == facts(plain)

    totals, _ = run_batch(["s3://archive/day/one/*.mp4"], **fields)
    assert (totals.done, totals.skipped) == (0, 1)
    s3.put(str(encode(tmp_path / "other.mp4", 30)), "archive/day/one/clip.mp4")
    s3.invalidate_cache()
    totals, _ = run_batch(["s3://archive/day/one/clip.mp4"], **fields)
    assert (totals.done, totals.frames) == (1, 30)


def test_a_bucket_that_is_not_there_is_said(s3: Any, tmp_path: Path) -> None:
    fields: dict[str, Any] = {"out": tmp_path / "out", "model": build_model(tmp_path / "m.onnx")}
    totals, _ = run_batch(["s3://gone/clip.mp4"], **fields)
    (sentence,) = totals.failures.values()
    assert sentence.startswith("s3://gone/clip.mp4 cannot be read (")
