r"""`depthrt serve` beside other Python servers: the same model, clients and preprocessing.

Each peer runs the simplest good server that its user would write (``peer_servers``), with depthrt's
own decoding, preprocessing and session inside, and batching on. Every server gives npy. They take
turns, round by round, each started anew, as some take of the processor while they have nothing to
do. ``failed`` counts answers that are no depth; they do not count as images.

Each peer needs an environment with itself and `depthrt[cpu]` (LitServe: `python-multipart`, too);
give its Python:

    python -m experiments.serving.peers --peer litserve=ENV/bin/python \
        --peer mosec=ENV/bin/python --peer bentoml=ENV/bin/python \
        -o benchmarks/results/serving_peers.json
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depthrt.model.catalogue.registry import find_model
from depthrt_benchmarks.common.environment import write_result
from experiments.serving.processes import NPY, Served, depthrt_server, make_pictures
from experiments.serving.throughput import CLIENTS, medians, served_rate

_SERVERS = "experiments.serving.peer_servers"
_START_S = 120.0
OURS = "depthrt"


@dataclass(frozen=True)
class Peer:
    """How a peer is started and asked.

    - ``arguments``: of its Python; ``PORT`` stands for the port;
    - ``path``, ``form``, ``headers``: of requests, see ``load.py``.
    """

    arguments: tuple[str, ...]
    path: str
    form: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NPY)


PEERS = {
    "litserve": Peer(("-m", f"{_SERVERS}.litserve_server", "PORT"), "/predict", "picture"),
    "mosec": Peer(
        ("-m", f"{_SERVERS}.mosec_server", "--address", "127.0.0.1", "--port", "PORT"), "/inference"
    ),
    "bentoml": Peer(
        ("-m", "bentoml", "serve", f"{_SERVERS}.bentoml_server:Front",
         "--host", "127.0.0.1", "--port", "PORT"),
        "/depth", headers={**NPY, "Content-Type": "image/jpeg"},
    ),
}  # fmt: skip


@contextmanager
def peer_server(name: str, python: str, model: Path, folder: Path) -> Iterator[Served]:
    """A peer's server until the end of the block.

    Raises:
        RuntimeError: it ended, or did not answer in time.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    log = folder / f"{name}.log"
    arguments = [text.replace("PORT", str(port)) for text in PEERS[name].arguments]
    roots = [Path(__file__).parents[2], Path(__file__).parents[3] / "runtime"]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, roots)),
        "PEER_MODEL": str(model),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "bentoml"),
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [python, *arguments], stdout=out, stderr=out, env=variables, start_new_session=True
        )
    try:
        _wait(process, port, log)
        yield Served("127.0.0.1", port, process, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait(process: subprocess.Popen[Any], port: int, log: Path) -> None:
    """Until it answers anything."""
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
            continue
        return
    raise RuntimeError(f"it did not start: {log.read_text()[-2000:]}")


def measure(
    pythons: Mapping[str, str], model: str | None, seconds: float, rounds: int
) -> dict[str, Any]:
    """All servers in turn, ``rounds`` times."""
    rows: dict[str, list[dict[str, float]]] = {OURS: [], **{name: [] for name in pythons}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "pictures"
        make_pictures(pictures, 24)
        for _ in range(rounds):
            with depthrt_server(folder, model) as served:
                rows[OURS].append(served_rate(served, pictures, seconds))
            for peer, python in pythons.items():
                with peer_server(peer, python, find_model(model), folder) as served:
                    rows[peer].append(_asked(peer, served, pictures, seconds))
    rates = {peer: ratios(rows, peer, "images_per_s") for peer in pythons}
    spent = {peer: ratios(rows, peer, "server_processor_ms") for peer in pythons}
    return {
        "clients": CLIENTS,
        "seconds": seconds,
        "rounds": rounds,
        "versions_of_peers": {peer: _version(peer, python) for peer, python in pythons.items()},
        "medians": {name: medians(each) for name, each in rows.items()},
        "ours_over": {peer: round(statistics.median(each), 4) for peer, each in rates.items()},
        "ours_over_least": {peer: round(min(each), 4) for peer, each in rates.items()},
        "our_processor_time_over": {
            peer: round(statistics.median(each), 4) for peer, each in spent.items()
        },
    }


def ratios(rows: Mapping[str, list[dict[str, float]]], peer: str, figure: str) -> list[float]:
    """Ours over a peer's, of each round."""
    pairs = zip(rows[OURS], rows[peer], strict=True)
    return [ours[figure] / theirs[figure] for ours, theirs in pairs]


def _asked(name: str, served: Served, pictures: Path, seconds: float) -> dict[str, float]:
    peer = PEERS[name]
    return served_rate(served, pictures, seconds, peer.path, form=peer.form, headers=peer.headers)


def _version(name: str, python: str) -> dict[str, str]:
    """The versions of a peer, and of what decides how fast it is, in its environment."""
    code = (
        "import importlib.metadata as m, json;"
        f"print(json.dumps({{n: m.version(n) for n in ('{name}', 'onnxruntime', 'numpy')}}))"
    )
    done = subprocess.run([python, "-c", code], stdout=subprocess.PIPE, check=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--peer", action="append", required=True, help="NAME=PYTHON")
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    pythons = dict(text.partition("=")[::2] for text in options.peer)
    if unknown := set(pythons) - set(PEERS):
        parser.error(f"--peer is none of {', '.join(PEERS)}: {', '.join(unknown)}")
    figures = measure(pythons, options.model, options.seconds, options.rounds)
    print(json.dumps(figures, indent=1))  # noqa: T201
    if options.output:
        write_result(options.output, {"benchmark": "serving_peers", **figures})


if __name__ == "__main__":
    main()
