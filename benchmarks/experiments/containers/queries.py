"""Every query of the dashboard and every alert, asked of a real Prometheus on live data.

`depthrt serve` answers requests and a stream beside a canary and a shadow model, `depthrt run`
reads a camera, and Prometheus scrapes both for two minutes, under the alert rules of the package.
Queries that give nothing are named: some need what did not happen here (a canary, errors). Needs
Prometheus (`apt-get install prometheus`).

    python -m experiments.containers.queries
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from depthrt.model.catalogue.registry import DEMO_CLIP, find_model
from depthrt.model.depth_model import DepthModel
from depthrt.monitor.kept import KeptReferences
from depthrt.sources.display_name import shown_source
from depthrt_benchmarks.common.environment import write_result
from experiments.containers.live_video import camera, encoded
from experiments.containers.prometheus import Prometheus, is_there, prometheus
from experiments.monitor.corruptions import as_it_is
from experiments.monitor.drift import learned
from experiments.monitor.replays import clip_features, loop, pictures
from experiments.serving.processes import depthrt_server

RESULT = Path("benchmarks/results/dashboard_queries.json")
_VARIABLES = {
    "$__rate_interval": "30s",
    "$instance": ".*",
    "$stream": ".*",
    "$model": ".*",
    "$feature": "brightness",
}
_UP_S = 60.0
_COMMENT = b"\x32\x06canary"  # doc_string of ONNX' ModelProto: the same model in another file
_SERIES = re.compile(r"\b(?:up|depthrt_\w+)(?:\{[^}]*\})?")


def filled(query: str) -> str:
    """A query with Grafana's variables replaced."""
    for name, value in _VARIABLES.items():
        query = query.replace(name, value)
    return query


def dashboard_queries(dashboard: Any) -> Iterator[tuple[str, str]]:
    """The title of each panel, and each of its queries; panels within rows, too."""
    for panel in dashboard["panels"]:
        yield from dashboard_queries({"panels": panel.get("panels", [])})
        for target in panel.get("targets", []):
            yield panel["title"], filled(target["expr"])


def variable_queries(dashboard: Any) -> Iterator[tuple[str, str, str]]:
    """The name of each variable that is asked for, the series and the label."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.+), *(\w+)\)", variable["query"]["query"])
            if found is None:
                raise ValueError(f"the variable {variable['name']} asks for no label's values")
            yield variable["name"], filled(found[1]), found[2]


def ask_all(server: Prometheus, dashboard: Any) -> dict[str, Any]:
    """How many values each query of the dashboard gives, and the state of each alert."""
    panels = [
        {"panel": title, "query": query, "values": len(server.values(query))}
        for title, query in dashboard_queries(dashboard)
    ]
    variables = {
        name: server.label_values(series, label)
        for name, series, label in variable_queries(dashboard)
    }
    alerts = []
    for rule in server.alerts():
        series = sorted(set(_SERIES.findall(rule["query"])))
        absent = [each for each in series if not server.ask("series", **{"match[]": each})]
        alerts.append({"alert": rule["name"], "health": rule["health"], "state": rule["state"],
                       "said": rule.get("lastError", ""), "series_absent": absent})  # fmt: skip
    return {
        "panels": panels,
        "variables": variables,
        "alerts": alerts,
        "queries_without_values": [
            f"{each['panel']}: {each['query']}" for each in panels if not each["values"]
        ],
        "series_of_alerts_that_are_absent": sorted(
            {each for alert in alerts for each in alert["series_absent"]}
        ),
        "broken": [alert["alert"] for alert in alerts if alert["health"] != "ok"],
    }


def reference_file(folder: Path, streams: list[str]) -> Path:
    """A file of references as ten minutes of the camera would give, in compressed time."""
    fps, frames = pictures(Path(DEMO_CLIP))
    clip = clip_features("camera", fps, frames[:48], DepthModel.load(), as_it_is)
    watch, _ = learned(loop(clip))
    reference = watch.verdict.reference
    if reference is None:
        raise RuntimeError("nothing was learned")
    kept = KeptReferences.open(folder / "usual.json")
    for stream in streams:
        kept.keep(stream, reference, say)
    return kept.path


@contextmanager
def asking(address: str) -> Iterator[None]:
    """A client that asks for depth until the block ends, five times a second, at times amiss."""
    told, bodies = threading.Event(), [*encoded(24), b"no picture"]

    def ask() -> None:
        number = 0
        while not told.wait(0.2):
            # Every fifth wants an answer within a millisecond, and is refused.
            headers = {} if number % 5 else {"Depthrt-Deadline-Ms": "1"}
            body = bodies[number % len(bodies)]
            request = urllib.request.Request(f"{address}/v1/depth", body, headers)
            with suppress(urllib.error.URLError):
                urllib.request.urlopen(request, timeout=30).read()
            number += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        told.set()
        thread.join()


@contextmanager
def running(folder: Path, source: str, port: int, reference: Path) -> Iterator[None]:
    """`depthrt run` of a camera, with metrics."""
    command = [sys.executable, "-m", "depthrt", "run", source, "-o", str(folder / "depth.mkv"),
               "--metrics", str(port), "--reference", str(reference)]  # fmt: skip
    with (folder / "run.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def say(line: str) -> None:
    """Say something on standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def wait_for(server: Prometheus, targets: list[str]) -> None:
    """Wait until each target was scraped.

    Raises:
        RuntimeError: one does not answer.
    """
    end_s = time.monotonic() + _UP_S
    while server.values("up") != [1.0] * len(targets):
        if time.monotonic() > end_s:
            raise RuntimeError(f"of {targets} not all answer")
        time.sleep(0.5)


def measure(seconds: float) -> dict[str, Any]:
    """Let all of it run for some time, then ask."""
    monitor = files("depthrt.monitor")
    dashboard = json.loads((monitor / "dashboard.json").read_text("utf-8"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="queries-")))
        rules = folder / "alerts.yml"
        rules.write_text((monitor / "alerts.yml").read_text("utf-8"))
        source = stack.enter_context(camera())
        reference = reference_file(folder, [shown_source(source), "requests"])
        metrics_port, port = free_port(), free_port()
        canary = folder / "canary.onnx"
        canary.write_bytes(find_model("depthrt-s").read_bytes() + _COMMENT)
        options = ["--reference", str(reference), "--shadow", "50%", "--shadow-model", "depthrt-s",
                   "--canary", str(canary), "--canary-share", "50%"]  # fmt: skip
        served = stack.enter_context(depthrt_server(folder, "depthrt-s", *options))
        stack.enter_context(running(folder, source, metrics_port, reference))
        address = f"{served.host}:{served.port}"
        stack.enter_context(asking(f"http://{address}"))
        targets = [address, f"127.0.0.1:{metrics_port}"]
        server = stack.enter_context(prometheus(folder, port, targets, rules))
        wait_for(server, targets)
        time.sleep(seconds)
        found = ask_all(server, dashboard)
        found["up"] = server.values("up")
    return found


def main() -> None:
    """Run it, name what gives nothing, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    if not is_there():
        say("Prometheus is not installed: apt-get install prometheus")
        return
    found = measure(options.seconds)
    for query in found["queries_without_values"]:
        say(f"no values: {query}")
    for series in found["series_of_alerts_that_are_absent"]:
        say(f"no series: {series}")
    for name in found["broken"]:
        say(f"broken: {name}")
    queries, alerts = len(found["panels"]), len(found["alerts"])
    say(f"{queries} queries, {alerts} alerts, scraped: {found['up']}")
    write_result(options.result, {"seconds": options.seconds, **found})


if __name__ == "__main__":
    main()
