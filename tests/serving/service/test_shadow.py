"""A share of the images also goes through a float model, in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from depthrt.errors import ModelError, UsageError
from depthrt.model.depth_model import DepthModel
from depthrt.monitor.kept import KeptReferences
from depthrt.monitor.watches import WatchedModel, Watches
from depthrt_serving.monitoring.shadow import LEARNED, STREAM, Predecessor, Shadow, compare
from depthrt_serving.monitoring.shadow_model import ShadowModel
from depthrt_serving.settings import Monitoring
from helpers.commands import Command
from helpers.models.small_model import SIZE, build_model, build_spec
from helpers.web.served import encoded, picture, serving, until

RANDOM = np.random.default_rng(0)


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def test_error_is_over_the_spread_and_agreement_a_share_of_the_pixels() -> None:
    shadow = np.linspace(0, 100, 10_000, dtype=np.float32).reshape(100, 100)
    spread = 96.0  # between the 2nd and the 98th percentile
    depth = shadow.copy()
    depth[:25] += 0.2 * spread
    found = compare(depth, shadow)
    assert found is not None
    assert found == pytest.approx((0.05, 0.75), abs=1e-3)
    depth[0, 0] = np.nan
    assert compare(depth, shadow) == pytest.approx(found, abs=1e-3)
    assert compare(depth, shadow[1:]) is None
    assert compare(np.full_like(depth, np.nan), shadow) is None


def test_every_image_is_compared_where_the_share_is_one(tiny: Path, tmp_path: Path) -> None:
    shadow = build_model(tmp_path / "float.onnx", gain=1.02)
    asked = Monitoring(shadow_model=str(shadow), shadow_share=1.0)
    with serving(tiny, monitoring=asked) as running:
        label = running.service.deployments.stable.label
        for seed in range(5):
            assert running.ask("/v1/depth", encoded(picture(seed))).status == 200
            count = seed + 1
            until(lambda count=count: running.metric("depthrt_shadow_error_count") == count)  # type: ignore[misc]
        error = running.metric("depthrt_shadow_error_sum", model=label) / 5
        assert 0.01 < error < 0.05  # 2% of the depth, over its spread
        assert running.metric("depthrt_shadow_agreement_sum", model=label) / 5 > 0.9
        assert running.metric("depthrt_model_share", role="shadow") == 1
        assert running.metric("depthrt_images_total") == 5


def test_images_are_not_compared_while_others_wait(tiny: Path, tmp_path: Path) -> None:
    shadow = build_model(tmp_path / "float.onnx")
    waits = [True]
    counted = Counts()
    watches = Watches(None, print)
    found = Shadow(ShadowModel(str(shadow)), 1.0, watches, lambda: not waits[0])
    spec = build_spec()
    pixels = np.zeros((3, spec.input.height, spec.input.width), np.uint8)
    depth = np.zeros(pixels.shape[1:], np.float32)
    model = WatchedModel("1", "tiny@1", None)
    for _ in range(20):
        found.saw(model, counted, [pixels], [depth])
    assert counted.skips.count("busy") >= 14
    assert not counted.errors
    waits[0] = False
    until(lambda: len(counted.errors) + len(counted.skips) == 20)
    assert counted.errors
    found.close()


class Counts:
    """What came of the images."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.skips: list[str] = []

    def compared(self, error: float, agreement: float) -> None:
        self.errors.append(error)

    def compared_before(self, times: float) -> None:
        raise AssertionError("there was no file before")

    def skipped(self, reason: str) -> None:
        self.skips.append(reason)


def test_a_worse_file_that_took_the_place_of_the_first_drifts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadow = build_model(tmp_path / "float.onnx")
    kept = KeptReferences(tmp_path / "usual.json")
    watches = Watches(kept, print)
    found = Shadow(ShadowModel(str(shadow)), 1.0, watches, lambda: True)
    spec, counted = build_spec(), Counts()
    first, worse = WatchedModel("1", "tiny@1", None), WatchedModel("2", "tiny@2", None)

    def send(model: WatchedModel, count: int, noise: float) -> None:
        for _ in range(count):
            pixels = RANDOM.integers(0, 256, (3, spec.input.height, spec.input.width), np.uint8)
            exact = (pixels * np.array([0.5, 0.25, 0.125])[:, None, None]).sum(axis=0)
            wrong = RANDOM.standard_normal(exact.shape) * noise * RANDOM.uniform(0.8, 1.2)
            done = len(counted.errors)
            found.saw(model, counted, [pixels], [(exact + wrong).astype(np.float32)])
            until(lambda done=done: len(counted.errors) > done)  # type: ignore[misc]

    send(first, LEARNED, 2.0)
    until(lambda: STREAM in kept.references)
    watch = watches.watch(STREAM, first)
    watch.settle()
    send(first, 100, 2.0)
    assert not watch.verdict.drifts
    send(worse, 100, 2.6)
    judged = watches.watch(STREAM, worse)
    assert judged.verdict.drifts
    assert list(judged.verdict.alarms) == ["shadow_error"]
    assert (tmp_path / "usual.json").exists()
    found.close()


def test_a_new_file_is_compared_with_the_one_before_it(tiny: Path, tmp_path: Path) -> None:
    file = build_model(tmp_path / "model.onnx", gain=1.02)
    asked = Monitoring(shadow_model=str(tiny), shadow_share=1.0)
    with serving(file, monitoring=asked) as running:
        assert running.ask("/v1/depth", encoded(picture(0))).status == 200
        until(lambda: running.metric("depthrt_shadow_error_count") == 1)
        assert running.metric("depthrt_shadow_error_ratio_count") == 0
        build_model(tmp_path / "new.onnx", gain=1.03).rename(file)
        running.server.reload()
        until(lambda: running.metric("depthrt_reloads_total", result="loaded") == 1)
        label = running.service.deployments.stable.label
        for seed in range(3):
            assert running.ask("/v1/depth", encoded(picture(seed))).status == 200
        until(lambda: running.metric("depthrt_shadow_error_ratio_count", model=label) == 3)
        ratio = running.metric("depthrt_shadow_error_ratio_sum", model=label) / 3
        assert ratio == pytest.approx(1.5, abs=0.02)  # 3% off, and 2% before


def test_the_file_before_is_let_go_of_after_its_last_image(tiny: Path) -> None:
    before = Predecessor(DepthModel.load(tiny, threads=1), left=2)
    pixels = np.zeros((3, *SIZE), np.uint8)
    assert before.depth(pixels) is not None
    assert before.model is not None
    assert before.depth(pixels) is not None
    assert before.model is None
    assert before.depth(pixels) is None


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    model = ShadowModel(str(build_model(tmp_path / "float.onnx")))
    pixels = np.zeros((3, *SIZE), np.uint8)
    assert model.depth(pixels) is not None
    assert model._process is not None
    model._process.kill()
    model._process.wait()
    assert model.depth(pixels) is None
    assert model.depth(pixels) is not None
    model.close()


def test_a_file_of_another_network_is_refused(tiny: Path, tmp_path: Path) -> None:
    other = build_model(tmp_path / "other.onnx", spec=replace(build_spec(), kind="depth"))
    asked = Monitoring(shadow_model=str(other), shadow_share=0.5)
    with (
        pytest.raises(UsageError, match="differs from tiny in its kind: take the float file"),
        serving(tiny, monitoring=asked),
    ):
        pass
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"nothing")
    with pytest.raises(ModelError, match=r"broken\.onnx"):
        ShadowModel(str(broken))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shadow", "1%"], "--shadow and --shadow-model belong together"),
        (["--shadow-model", "float.onnx"], "--shadow and --shadow-model belong together"),
        (["--shadow", "0", "--shadow-model", "x"], "--shadow '0' is not a share such as 5%"),
        (["--canary-share", "many"], "--canary-share 'many' is not a share such as 5%"),
        (["--no-drift", "--reference", "usual.json"], "--reference keeps what drift is judged"),
    ],
)
def test_wrong_options(depthrt: Command, tiny: Path, options: list[str], said: str) -> None:
    done = depthrt("serve", tiny, *options)
    assert done.code == 2
    assert done.complaint.startswith(said)


@pytest.mark.parametrize(
    ("option", "begins"), [("--print-rules", "# Alert rules"), ("--print-dashboard", '{\n "title"')]
)
def test_rules_and_dashboard_are_printed(depthrt: Command, option: str, begins: str) -> None:
    import depthrt.monitor as monitor

    done = depthrt("serve", option)
    assert done.code == 0
    assert done.out.startswith(begins)
    name = "alerts.yml" if option == "--print-rules" else "dashboard.json"
    assert done.out == (Path(monitor.__path__[0]) / name).read_text()
