"""An image, used as its guide says: the server, and commands."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depthrt.model.depth_model import DepthModel
from depthrt.sources.images import read_image
from experiments.containers.build import Image
from experiments.containers.namespaces import Container, Plan, bind

_HEALTHY_S, _STOP_S, _COMMAND_S = 120.0, 30.0, 300.0
_CLOSE = 1e-3  # of the depth's spread: what another version of a library may change
_IN_FLIGHT = 8
_ANYBODY = (4242, 4242)
_ASK = """
import sys, urllib.request
request = urllib.request.Request("http://127.0.0.1:8000" + sys.argv[1], sys.stdin.buffer.read(),
                                 {"Accept": sys.argv[2]})
sys.stdout.buffer.write(urllib.request.urlopen(request, timeout=30).read())
"""
_ASK_MANY = """
import sys, urllib.request
from concurrent.futures import ThreadPoolExecutor
picture = sys.stdin.buffer.read()
def ask(number):
    request = urllib.request.Request("http://127.0.0.1:8000/v1/depth", picture)
    return urllib.request.urlopen(request, timeout=30).status
with ThreadPoolExecutor(int(sys.argv[1])) as pool:
    print(list(pool.map(ask, range(int(sys.argv[1])))))
"""
_WRITE = "open('/opt/depthrt/new', 'w')"
"""What must fail: the root is read-only."""


class ReplayError(RuntimeError):
    """The image does not do what it should."""


def require(holds: bool, otherwise: str) -> None:
    """Make sure of something.

    Raises:
        ReplayError: it does not hold.
    """
    if not holds:
        raise ReplayError(otherwise)


def started(
    image: Image,
    work: Path,
    argv: list[str],
    name: str,
    *,
    network: str = "",
    user: tuple[int, int] | None = None,
) -> tuple[Container, Path]:
    """A container as of `docker run --read-only --tmpfs /tmp --cap-drop ALL`, and its log."""
    uid, gid = user or image.uid_gid
    mounts = [["-t", "tmpfs", "-o", "mode=1777", "tmp", f"{image.root}/tmp"]]
    for number, volume in enumerate(image.volumes):
        inside = image.root / volume.lstrip("/")
        kept = work / f"{name}-volume-{number}"
        kept.mkdir()
        kept.chmod(inside.stat().st_mode & 0o7777)  # a new volume takes those of the image's folder
        mounts.append(bind(kept, inside))
    plan = Plan(
        str(image.root), argv, image.workdir, uid, gid, read_only=True, loopback=True, mounts=mounts
    )
    log = work / f"{name}.log"
    return Container(plan, image.environment, log, network), log


def try_server(image: Image, work: Path) -> dict[str, Any]:
    """Start what the image starts by itself, wait until it is healthy, ask it, and end it.

    Raises:
        ReplayError: something is not as it should be.
    """
    picture, here = a_picture(work)
    start_s = time.monotonic()
    container, log = started(image, work, [*image.entrypoint, *image.command], "server")
    with container:
        wait_until_healthy(image, container, log)
        healthy_s = time.monotonic() - start_s
        answer = container.execute(
            ["python", "-c", _ASK, "/v1/depth", "application/x-npy"], stdin=picture
        )
        require(answer.returncode == 0, answer.stderr.decode())
        there = np.load(io.BytesIO(answer.stdout))
        difference = float(np.abs(there - here).max() / np.ptp(here))
        require(difference < _CLOSE, f"depth differs by {difference} of its spread")
        refused = container.execute(["python", "-c", _WRITE])
        require(b"Read-only file system" in refused.stderr, refused.stderr.decode())
        memory_mib = container.memory_mib()
        answered, code, stop_s = stop_while_it_works(container, picture, log)
    require(code == 0, log.read_text())
    return {
        "healthy_after_s": round(healthy_s, 1),
        "depth_differs_by_of_spread": difference,
        "depth_equal_to_the_bit": bool(np.array_equal(there, here)),
        "memory_mib": memory_mib,
        "asked_before_sigterm": _IN_FLIGHT,
        "answered": answered,
        "exit_code": code,
        "stopped_after_s": round(stop_s, 1),
    }


def a_picture(work: Path) -> tuple[bytes, Any]:
    """A picture as PNG, and the depth that this machine's depthrt gives of it."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(0, 255, (12, 16, 3), dtype=np.uint8)
    file = work / "picture.png"
    cv2.imwrite(str(file), cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC))
    return file.read_bytes(), DepthModel.load()(read_image(file)).values


def wait_until_healthy(image: Image, container: Container, log: Path) -> None:
    """Ask the image's health check until it says yes."""
    if image.health is None:
        raise ReplayError("the image has no health check")
    end_s = time.monotonic() + _HEALTHY_S
    while time.monotonic() < end_s:
        require(container.running, log.read_text())
        if container.execute(image.health.command).returncode == 0:
            return
        time.sleep(0.1)
    raise ReplayError(f"not healthy within {_HEALTHY_S} s: {log.read_text()}")


def stop_while_it_works(container: Container, picture: bytes, log: Path) -> tuple[int, int, float]:
    """SIGTERM while pictures are asked for: how many were answered, exit code, seconds."""
    answers: list[str] = []

    def ask() -> None:
        ended = container.execute(["python", "-c", _ASK_MANY, str(_IN_FLIGHT)], stdin=picture)
        answers.append(ended.stdout.decode() or ended.stderr.decode())

    before = log.read_text().count("/v1/depth")
    asking = threading.Thread(target=ask)
    asking.start()
    end_s = time.monotonic() + _COMMAND_S
    while log.read_text().count("/v1/depth") == before and time.monotonic() < end_s:
        time.sleep(0.005)
    start_s = time.monotonic()
    code = container.stop(_STOP_S)
    stop_s = time.monotonic() - start_s
    asking.join()
    require(answers[0].startswith("["), answers[0])
    return json.loads(answers[0]).count(200), code, stop_s


def try_commands(image: Image, work: Path) -> dict[str, Any]:
    """Other commands of the same image, each in a new container and as a user it does not know."""
    clip = "/opt/depthrt/lib/python3.13/site-packages/depthrt/data/demo.mp4"
    commands = {
        "doctor": ["doctor", "--json"],
        "verify": ["verify", "depthrt-s", "--provider", "all"],
        "run": ["run", clip, "-o", "/tmp/depth.mp4"],
    }
    found = {}
    for name, words in commands.items():
        argv = [*image.entrypoint, *words]
        container, log = started(image, work, argv, name, user=_ANYBODY)
        with container:
            code = container.wait(_COMMAND_S)
        said = log.read_text()
        require(code == 0, said)
        found[name] = {"exit_code": code, "last_line": said.strip().splitlines()[-1][:200]}
        if name == "doctor":
            found[name] = {"exit_code": code, "versions": json.loads(said)["versions"]}
    return found
