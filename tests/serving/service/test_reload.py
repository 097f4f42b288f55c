"""SIGHUP: a new file takes over without losing a request, a bad one does not; canaries."""

from __future__ import annotations

import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthrt.depth import Depth
from depthrt.errors import ModelError
from depthrt.model.depth_model import DepthModel
from depthrt_serving.settings import Rollout
from helpers.models.golden_models import build_golden_model, golden_frames
from helpers.models.small_model import build_model, build_spec, expected_depth
from helpers.web.served import Running, encoded, picture, serving, until

IMAGE = picture()
BODY = encoded(IMAGE)
NPY = {"Accept": "application/x-npy"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The model that is served first."""
    return build_model(tmp_path / "model.onnx")


def put(new: Path, place: Path) -> None:
    """Rename a file into its place, as one does with a server that runs."""
    new.rename(place)


def better(folder: Path, gain: float = 2.0) -> Path:
    return build_model(folder / "new.onnx", gain=gain)


def reload(running: Running) -> None:
    """Tell the server, and wait until it has looked."""
    before = running.metric("depthrt_reloads_total")
    roles = 1 + (running.service.settings.rollout.canary is not None)
    running.server.reload()
    until(lambda: running.metric("depthrt_reloads_total") == before + roles)


def gain_of(running: Running, *, base: float) -> float:
    """How many times the first model's depth a picture gets."""
    reply = running.ask("/v1/depth", BODY, NPY)
    assert reply.status == 200
    return round(float(np.load(io.BytesIO(reply.content)).mean()) / base, 3)


@pytest.fixture
def base(file: Path) -> float:
    """The mean depth of the picture by the first model."""
    depth: Depth = DepthModel.load(file, threads=1)(IMAGE)
    return float(depth.values.mean())


def test_a_new_file_takes_over(file: Path, base: float, tmp_path: Path) -> None:
    with serving(file) as running:
        before = running.service.deployments.stable
        assert gain_of(running, base=base) == 1
        put(better(tmp_path), file)
        assert gain_of(running, base=base) == 1
        reload(running)
        assert gain_of(running, base=base) == 2
        after = running.service.deployments.stable
        assert after.label != before.label
        assert before.is_over
        assert running.ask("/v1/depth", BODY).headers["depthrt-model"] == after.label
        assert running.metric("depthrt_reloads_total", role="stable", result="loaded") == 1
        assert running.metric("depthrt_model_info") == 1
        assert running.metric("depthrt_images_total", model=before.label) == 2
        assert running.metric("depthrt_images_total", model=after.label) == 2


def test_the_same_file_is_not_loaded_again(file: Path) -> None:
    with serving(file) as running:
        before = running.service.deployments.stable
        reload(running)
        assert running.service.deployments.stable is before
        assert running.metric("depthrt_reloads_total", role="stable", result="unchanged") == 1


def test_what_has_begun_is_answered_by_the_model_it_began_with(
    file: Path, base: float, tmp_path: Path
) -> None:
    with serving(file, alone=True) as running, ThreadPoolExecutor(8) as clients:
        with running.held():
            old = [clients.submit(gain_of, running, base=base) for _ in range(6)]
            batcher, before = running.service.batcher, running.service.deployments.stable
            until(lambda: batcher.running == 1 and batcher.waiting >= 2)
            put(better(tmp_path), file)
            reload(running)
            assert gain_of(running, base=base) == 2
            assert not any(each.done() for each in old)
            assert running.metric("depthrt_queue_images") == batcher.waiting >= 2
        assert [each.result() for each in old] == [1] * 6
        assert b"depthrt_drift_learning" in running.ask("/metrics").content
        assert running.metric("depthrt_drift_learning", model=before.label) == 0
        assert running.metric("depthrt_drift_learning") == 1
        assert running.metric("depthrt_rejected_total") == 0
        until(lambda: len(running.service.deployments.all) == 1)


def test_no_request_is_lost_while_files_change(file: Path, base: float, tmp_path: Path) -> None:
    with serving(file) as running, ThreadPoolExecutor(3) as clients:
        asking = [
            clients.submit(lambda: [gain_of(running, base=base) for _ in range(60)])
            for _ in range(3)
        ]
        for gain in (2.0, 3.0):
            put(better(tmp_path, gain), file)
            reload(running)
        answers = [gain for each in asking for gain in each.result()]
        assert len(answers) == 180
        assert set(answers) <= {1, 2, 3}
        assert gain_of(running, base=base) == 3


def break_file(file: Path, tmp_path: Path) -> str:
    (tmp_path / "cut").write_bytes(file.read_bytes()[:300])
    put(tmp_path / "cut", file)
    return "corrupt"


def remove_file(file: Path, tmp_path: Path) -> str:
    file.unlink()
    return "model.onnx"


def wrong_depth(file: Path, tmp_path: Path) -> str:
    """The second of its golden frames says something else."""
    golden = golden_frames()
    other = golden_frames(lambda pixels: np.ascontiguousarray(expected_depth(pixels)[:, ::-1]))
    mixed = replace(golden, frames=(golden.frames[0], other.frames[1]))
    put(build_golden_model(tmp_path / "new.onnx", mixed), file)
    return "golden frame"


@pytest.mark.parametrize("spoil", [break_file, remove_file, wrong_depth])
def test_a_bad_file_keeps_the_old_model(
    file: Path, base: float, tmp_path: Path, spoil: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(spoil)
    with serving(file) as running:
        before = running.service.deployments.stable
        kept = shutil.copy(file, tmp_path / "kept")
        said = spoil(file, tmp_path)
        reload(running)
        assert running.service.deployments.stable is before
        assert gain_of(running, base=base) == 1
        assert running.metric("depthrt_reload_successful") == 0
        assert running.metric("depthrt_reloads_total", result="refused") == 1
        (line,) = [each for each in capsys.readouterr().out.splitlines() if '"told"' in each]
        assert f"reload refused: {before.label} goes on being served: " in line
        assert said in line
        put(Path(kept), file)
        reload(running)
        assert running.metric("depthrt_reload_successful") == 1


@pytest.fixture
def beside(file: Path, tmp_path: Path) -> Iterator[Running]:
    """A server whose canary gets half of the requests, and is not there yet."""
    with serving(file, rollout=Rollout(tmp_path / "canary.onnx", 0.5)) as running:
        yield running


def gains(running: Running, base: float) -> list[float]:
    return [gain_of(running, base=base) for _ in range(40)]


def test_a_canary_comes_gets_its_share_and_goes(
    beside: Running, base: float, tmp_path: Path
) -> None:
    assert set(gains(beside, base)) == {1}
    canary = tmp_path / "canary.onnx"
    put(better(tmp_path), canary)
    reload(beside)
    answers = gains(beside, base)
    assert set(answers) == {1, 2}
    assert 8 <= answers.count(2) <= 32  # of 40, half on average: fewer or more once in 10 000
    assert beside.metric("depthrt_model_share", role="canary") == 0.5
    roles = [each["role"] for each in beside.ask("/v1/models").document["models"]]
    assert roles == ["stable", "canary"]
    canary.unlink()
    reload(beside)
    assert set(gains(beside, base)) == {1}
    assert beside.metric("depthrt_reloads_total", role="canary", result="removed") == 1
    assert beside.metric("depthrt_model_share", role="canary") == 0


def test_a_reload_tells_only_what_has_changed(
    capsys: pytest.CaptureFixture[str], beside: Running, file: Path, tmp_path: Path
) -> None:
    canary, stable = tmp_path / "canary.onnx", beside.service.deployments.stable.label
    reload(beside)
    reload(beside)
    put(Path(shutil.copy(file, tmp_path / "copy")), canary)
    reload(beside)
    reload(beside)
    put(better(tmp_path), canary)
    reload(beside)
    assert beside.service.deployments.canary is not None
    label = beside.service.deployments.canary.label
    canary.unlink()
    reload(beside)
    reload(beside)

    missing = f"there is no canary, as {canary} is not there"
    nothing = f"reload: nothing has changed, {stable} is served already"
    expected = [
        f"{missing}: put a new model there and send SIGHUP",
        nothing,
        nothing,
        f"reload: there is no canary, as {canary} is the model that is served",
        nothing,
        f"reload: the canary {label} gets 0.5 of requests",
        f"reload: {missing}: {label} gets no requests",
        nothing,
    ]
    told: list[str] = []

    def all_is_told() -> bool:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        told.extend(line["message"] for line in lines if line["event"] == "told")
        return len(told) >= len(expected)

    until(all_is_told)
    assert told == expected


def test_a_canary_is_promoted_without_being_loaded_again(
    beside: Running, file: Path, base: float, tmp_path: Path
) -> None:
    canary = tmp_path / "canary.onnx"
    put(better(tmp_path), canary)
    reload(beside)
    loaded = beside.service.deployments.canary
    put(canary, file)
    reload(beside)
    assert beside.service.deployments.stable is loaded
    assert beside.service.deployments.canary is None
    assert set(gains(beside, base)) == {2}
    assert beside.metric("depthrt_reloads_total", role="stable", result="promoted") == 1


def test_a_canary_whose_depth_means_something_else_is_refused(
    beside: Running, base: float, tmp_path: Path
) -> None:
    spec = replace(build_spec(), kind="depth")
    build_model(tmp_path / "canary.onnx", spec=spec, gain=2)
    reload(beside)
    assert beside.service.deployments.canary is None
    assert beside.metric("depthrt_reload_successful") == 0
    assert set(gains(beside, base)) == {1}


def test_a_canary_that_cannot_be_used_ends_the_start(file: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary.onnx"
    canary.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"canary\.onnx"), serving(file, rollout=Rollout(canary)):
        pass


def test_sighup_reaches_the_process(file: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "depthrt", "serve", file, "--port", "0", "--threads", "1"]
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(" is served at http://" in line for line in lines)
        put(better(tmp_path), file)
        process.send_signal(signal.SIGHUP)
        assert "is served now, in place of tiny@" in next(lines)
        process.terminate()
        assert process.wait(30) == 0
