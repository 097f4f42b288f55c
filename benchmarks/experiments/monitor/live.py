"""Real Prometheus beside a real server: each corruption is told by an alert, which then clears.

A clip is replayed as requests. The server learns what is usual (in compressed time: ten samples a
second), then each corruption of the pictures goes on until an alert fires, and usual pictures until
all have cleared. Then a worse model takes the place of the file (SIGHUP), and the good one again; a
broken file; and more requests than the server can answer. Rules are those of the package with
durations divided by 30, as scrapes are a second apart.

    python -m experiments.monitor.live data/video/tokyo_walk.mp4 --float float.onnx

With ``--worse NOISE`` a file with so much noise on its weights takes the place of the good one, and
nothing else; in real time, with the rules as they are and 1% in the shadow. :mod:`.shadow` says
which noise makes AbsRel 5% worse.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.common.environment import write_result
from experiments.monitor.corruptions import CORRUPTIONS, Corruption, as_it_is, worsen
from experiments.monitor.prometheus import COMPRESSED, SCRAPE_S, Prometheus, dashboard_queries
from experiments.monitor.prometheus import prometheus as prometheus_in
from experiments.monitor.quick_server import QUICK_S
from experiments.monitor.replays import pictures
from experiments.monitor.traffic import Traffic

RESULT = Path("benchmarks/results/monitoring_live.json")
_LEARNED = 400  # samples
_MOST_S = 120.0
_SHARE = "20%"


def say(what: object) -> None:
    """Write a line for who looks on."""
    sys.stderr.write(f"{what}\n")


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def bodies(video: Path, change: Corruption, apart_s: float) -> list[bytes]:
    """Frames of a video, so many seconds apart, changed, as JPEG."""
    fps, frames = pictures(video)
    found = []
    for frame in frames[:: max(1, round(apart_s * fps))]:
        made, content = cv2.imencode(".jpg", change(frame)[..., ::-1])
        if made:
            found.append(content.tobytes())
    return found


@contextmanager
def server(
    folder: Path, port: int, float_file: Path | None, share: str = _SHARE
) -> Iterator[subprocess.Popen[str]]:
    """The server of ``model.onnx`` in a folder, once it answers."""
    command = [
        sys.executable, "-m", "experiments.monitor.quick_server", str(_LEARNED),
        str(folder / "model.onnx"), "--port", str(port),
        "--reference", str(folder / "usual.json"), "--max-queue-images", "8",
    ]  # fmt: skip
    if float_file is not None:
        command += ["--shadow", share, "--shadow-model", str(float_file)]
    with (folder / "log").open("w") as log, (folder / "said").open("w") as said:
        process = subprocess.Popen(command, stdout=log, stderr=said, text=True)
        try:
            while " is served at " not in (folder / "said").read_text():
                if process.poll() is not None:
                    raise RuntimeError((folder / "said").read_text())
                time.sleep(0.2)
            yield process
        finally:
            process.terminate()
            process.wait(60)


@dataclass
class Watcher:
    """Looks at what fires, once a second, and notes when."""

    prometheus: Prometheus
    _seen: dict[str, Any] = field(default_factory=dict)

    def until(self, wanted: Callable[[set[str]], bool], most_s: float = _MOST_S) -> dict[str, Any]:
        """What fired, and after how long what is wanted was so; None if it was not."""
        start_s, fired = time.monotonic(), dict[str, dict[str, Any]]()
        while (past_s := time.monotonic() - start_s) < most_s:
            now = self.prometheus.firing()
            for name, alerts in now.items():
                fired.setdefault(name, {"after_s": round(past_s, 1), "labels": alerts[:4]})
            if wanted(set(now)):
                return {"seconds": round(past_s, 1), "fired": fired}
            time.sleep(SCRAPE_S)
        return {"seconds": None, "fired": fired}


def _drifts(names: set[str]) -> bool:
    return bool(names & {"DepthrtPictureDrift", "DepthrtDepthDrift"})


def _silent(names: set[str]) -> bool:
    return not names - {"DepthrtModelChanged"}


def phase(watcher: Watcher, begin: Callable[[], None], end: Callable[[], None],
          wanted: Callable[[set[str]], bool]) -> dict[str, Any]:  # fmt: skip
    """What fired after something began to be wrong, and how long it took to clear after its end."""
    begin()
    found = watcher.until(wanted)
    end()
    cleared = watcher.until(_silent)
    return {
        "told_after_s": found["seconds"],
        "cleared_after_s": cleared["seconds"],
        "fired": {**found["fired"], **{k: v for k, v in cleared["fired"].items()
                                       if k not in found["fired"]}},
    }  # fmt: skip


def put(source: Path, place: Path, process: subprocess.Popen[str]) -> None:
    """Put a file in the place of the model, and tell the server."""
    copy = place.with_suffix(".new")
    shutil.copy(source, copy)
    copy.rename(place)
    process.send_signal(signal.SIGHUP)


def learned(prometheus: Prometheus, shadow: bool) -> bool:
    """Whether the server judges, by its own metrics."""
    waiting = prometheus.values("sum(depthrt_drift_learning)")
    known = prometheus.values('depthrt_drift_reference_frames{stream="shadow"}')
    judged = prometheus.values('depthrt_drift_score{stream="requests"}')
    return bool(judged) and waiting[0]["value"][1] == "0" and (bool(known) or not shadow)


def measure(video: Path, float_file: Path | None, per_s: float, folder: Path) -> dict[str, Any]:
    """All phases."""
    good, model, worse = DepthModel.load().path, folder / "model.onnx", folder / "worse.onnx"
    shutil.copy(good, model)
    worsen(good, worse)
    broken = folder / "broken.onnx"
    broken.write_bytes(good.read_bytes()[:100_000])
    apart_s = 0.5 / (per_s * QUICK_S)  # samples are half a second of the clip apart
    usual = bodies(video, as_it_is, apart_s)
    port, found = free_port(), dict[str, Any]()
    store = folder / "prometheus"
    store.mkdir()
    with (
        server(folder, port, float_file) as process,
        prometheus_in(store, free_port(), f"127.0.0.1:{port}") as prometheus,
        Traffic(f"127.0.0.1:{port}", usual, per_s) as traffic,
    ):
        watcher = Watcher(prometheus)
        say(f"Prometheus: {prometheus.address}")
        start_s = time.monotonic()
        while not learned(prometheus, float_file is not None):
            time.sleep(SCRAPE_S)
            if time.monotonic() - start_s > 900:
                raise RuntimeError("the server learned nothing in 15 minutes")
        found["learned_after_s"] = round(time.monotonic() - start_s, 1)
        found["usual"] = watcher.until(lambda names: False, 60.0)
        queries = dashboard_queries()
        empty = [query for query in queries if not prometheus.values(query)]
        found["dashboard_queries"] = {"all": len(queries), "without_data": empty}
        say(found)

        def send(pictures: list[bytes]) -> Callable[[], None]:
            return lambda: setattr(traffic, "bodies", pictures)

        phases: dict[str, Any] = {}
        for name, change in CORRUPTIONS.items():
            wrong = bodies(video, change, apart_s)
            phases[name] = phase(watcher, send(wrong), send(usual), _drifts)
            say(f"{name}: {phases[name]}")
        phases["worse model"] = phase(
            watcher,
            lambda: put(worse, model, process),
            lambda: put(good, model, process),
            lambda names: (
                _drifts(names)
                and (
                    float_file is None or bool(names & {"DepthrtShadowDrift", "DepthrtShadowError"})
                )
            ),
        )
        say(phases["worse model"])
        phases["broken file"] = phase(
            watcher,
            lambda: put(broken, model, process),
            lambda: put(good, model, process),
            lambda names: "DepthrtReloadRefused" in names,
        )
        say(phases["broken file"])
        with_flood = [Traffic(f"127.0.0.1:{port}", usual, 200.0) for _ in range(4)]

        def flood() -> None:
            for each in with_flood:
                each.__enter__()

        def ebb() -> None:
            for each in with_flood:
                each.__exit__(None, None, None)

        phases["more requests than it can answer"] = phase(
            watcher, flood, ebb, lambda names: "DepthrtRefused" in names
        )
        say(phases["more requests than it can answer"])
        found["phases"] = phases
        found["answers"] = {str(status): count for status, count in traffic.statuses.items()}
    said = (folder / "said").read_text().replace(f"{folder}/", "")
    found["said"] = [line for line in said.splitlines() if line]
    return found


def measure_worse(
    video: Path, float_file: Path, per_s: float, noise: float, folder: Path
) -> dict[str, Any]:
    """In real time, with the rules as they are: a slightly worse file, 1% in the shadow."""
    good, model, worse = DepthModel.load().path, folder / "model.onnx", folder / "worse.onnx"
    shutil.copy(good, model)
    worsen(good, worse, noise)
    usual, port = bodies(video, as_it_is, 0.2), free_port()
    store = folder / "prometheus"
    store.mkdir()
    with (
        server(folder, port, float_file, "1%") as process,
        prometheus_in(store, free_port(), f"127.0.0.1:{port}", 1) as prometheus,
        Traffic(f"127.0.0.1:{port}", usual, per_s) as traffic,
    ):
        watcher = Watcher(prometheus)
        before = watcher.until(lambda names: False, 30.0)
        start_s, sent = time.monotonic(), sum(traffic.statuses.values())
        put(worse, model, process)
        found = watcher.until(lambda names: "DepthrtShadowWorse" in names, 600.0)
        answered_per_s = (sum(traffic.statuses.values()) - sent) / (time.monotonic() - start_s)
        ratio = prometheus.values(
            "sum(depthrt_shadow_error_ratio_sum) / sum(depthrt_shadow_error_ratio_count)"
        )
    return {
        "noise": noise,
        "answered_per_s": round(answered_per_s, 1),
        "answers": {str(status): count for status, count in traffic.statuses.items()},
        "fired_before": before["fired"],
        "told_after_s": found["seconds"],
        "times_as_far": round(float(ratio[0]["value"][1]), 3) if ratio else None,
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--float", dest="float_file", type=Path)
    parser.add_argument("--per-s", type=float, default=10.0, help="requests a second")
    parser.add_argument("--worse", type=float, metavar="NOISE")
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    if said.worse is not None:
        with tempfile.TemporaryDirectory() as folder:
            found = measure_worse(said.video, said.float_file, said.per_s, said.worse, Path(folder))
        write_result(said.output, {"clip": said.video.stem, **found})
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measure(said.video, said.float_file, said.per_s, Path(folder))
    compressed = {"sample_s": QUICK_S, "scrape_s": SCRAPE_S, "rules_divided_by": COMPRESSED}
    write_result(said.output, {"clip": said.video.stem, "compressed": compressed, **found})


if __name__ == "__main__":
    main()
