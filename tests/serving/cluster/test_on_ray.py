"""`depthrt serve --engine ray` on a real cluster of two nodes, as its users start and break it."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from depthrt.model.depth_model import DepthModel
from helpers.models.small_model import build_model, build_slow_model
from helpers.web.ray_cluster import RayCluster, until
from helpers.web.served import encoded, picture

pytest.importorskip("ray.serve", reason="ray[serve] is not installed", exc_type=ImportError)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COMMAND = [sys.executable, "-c", "from depthrt.cli import main; main()", "serve"]
PICTURES = [picture(seed) for seed in range(6)]
FILES = [encoded(image) for image in PICTURES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four models: old, as good (twice the values), another one's depth, and a slow one."""
    folder = tmp_path_factory.mktemp("models")
    build_model(folder / "old.onnx")
    build_model(folder / "good.onnx", gain=2.0)
    build_slow_model(folder / "slow.onnx", work=8)
    model = onnx.load(build_model(folder / "bad.onnx"))
    kernel = np.array([-0.5, 0.9, -0.6], np.float32).reshape(1, 3, 1, 1)
    (place,) = (each for each in model.graph.initializer if each.name == "kernel")
    place.CopyFrom(numpy_helper.from_array(kernel, "kernel"))
    onnx.save(model, folder / "bad.onnx")
    return folder


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A head with two cores to give away, and a node with two more."""
    made = RayCluster((2, 2))
    try:
        yield made
    finally:
        made.close()


@contextmanager
def front(cluster: RayCluster, model: Path, replicas: str, log: Path) -> Iterator[str]:
    """A front that serves; its address. It ends by SIGTERM, with 0."""
    command = [*COMMAND, str(model), "--engine", "ray", "--address", cluster.address]
    command += ["--replicas", replicas, "--port", "0"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stderr=file, env=cluster.environment)
    try:
        until(lambda: "served at" in log.read_text(), 180, log.read_text)
        (address,) = re.findall(r"served at (\S+)", log.read_text())
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(30)
    assert "Traceback" not in log.read_text()


def roll(cluster: RayCluster, model: Path, share: str) -> tuple[int, str]:
    """Roll over; the exit code, and the last line."""
    command = [*COMMAND, str(model), "--engine", "ray", "--address", cluster.address]
    command += ["--roll", share, "--roll-batches", "30"]
    done = subprocess.run(
        command, env=cluster.environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr
    ours = [line for line in done.stderr.splitlines() if line.startswith("depthrt: ")]
    return done.returncode, ours[-1]


class Load:
    """Clients that ask for depth all the time, and look whose depth each answer is."""

    def __init__(self, address: str, models: dict[str, Path]) -> None:
        self._address = address
        loaded = {name: DepthModel.load(path, threads=1) for name, path in models.items()}
        self._expected: dict[str, list[NDArray[np.float32]]] = {
            name: [model(image).values for image in PICTURES] for name, model in loaded.items()
        }
        self.seen: Counter[str] = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(3)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)

    def wait_for(self, answers: int) -> None:
        """Until so many more are there."""
        enough = sum(self.seen.values()) + answers
        until(lambda: sum(self.seen.values()) >= enough, 120, lambda: str(self.seen))

    def _ask(self, number: int) -> None:
        while not self._over.is_set():
            number = (number + 1) % len(FILES)
            headers = {"Accept": "application/x-npy", "Depthrt-Deadline-Ms": "60000"}
            request = urllib.request.Request(self._address + "/v1/depth", FILES[number], headers)
            try:
                with urllib.request.urlopen(request, timeout=70) as answer:
                    values = np.load(io.BytesIO(answer.read()))
            except OSError as error:
                self.seen[f"failed: {error}"] += 1
                continue
            whose = (
                name
                for name, depth in self._expected.items()
                if np.array_equal(values, depth[number])
            )
            self.seen[next(whose, "nobody's")] += 1
            time.sleep(0.005)


def test_what_dies_under_load_costs_no_answer(
    cluster: RayCluster, folder: Path, tmp_path: Path
) -> None:
    """Replicas are killed one after the other, then a whole node; depth is equal to the bit."""
    old = folder / "old.onnx"
    with front(cluster, old, "2", tmp_path / "log") as address, Load(address, {"old": old}) as load:
        for _ in range(3):
            until(lambda: len(cluster.replicas()) >= 2, 90, lambda: str(cluster.replicas()))
            os.kill(cluster.replicas()[0], signal.SIGKILL)
            load.wait_for(50)
        cluster.kill_node(1)
        load.wait_for(100)
    assert set(load.seen) == {"old"}, load.seen
    assert load.seen["old"] > 250


def test_rolling_over_and_back(cluster: RayCluster, folder: Path, tmp_path: Path) -> None:
    """A model of other depth goes back, a slow one goes back, a good one takes over."""
    names = ("old", "good", "bad")
    models = {name: folder / f"{name}.onnx" for name in names}
    log = tmp_path / "log"
    with front(cluster, models["old"], "1", log) as address, Load(address, models) as load:
        code, said = roll(cluster, models["bad"], "30%")
        assert (code, "of the spread away from the old model's" in said) == (3, True), said
        assert load.seen["bad"] > 0, "it had its share before"
        code, said = roll(cluster, folder / "slow.onnx", "30%")
        assert (code, "its p99 of a batch" in said) == (4, True), said
        code, said = roll(cluster, models["old"], "30%")
        assert (code, "the model that the cluster serves already" in said) == (2, True), said
        assert load.seen["good"] == 0
        code, said = roll(cluster, models["good"], "30%")
        assert (code, "serves now, in the place of" in said) == (0, True), said
        load.seen.clear()
        load.wait_for(100)
    assert set(load.seen) == {"good"}, load.seen


def test_a_model_of_another_form_cannot_take_over(
    cluster: RayCluster, folder: Path, tmp_path: Path
) -> None:
    other = build_model(tmp_path / "other.onnx", size=(32, 32))
    with front(cluster, folder / "old.onnx", "1", tmp_path / "log"):
        code, said = roll(cluster, other, "30%")
    assert (code, "its input differ from those of the model that serves" in said) == (2, True), said
    code, said = roll(cluster, folder / "good.onnx", "30%")
    assert (code, said) == (
        2, "depthrt: nothing is served on this cluster: start it without --roll first",
    )  # fmt: skip
