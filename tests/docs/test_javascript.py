"""The JavaScript of the page on serving: in Node, and in a page of the server."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import depthrt
from helpers.fenced_blocks import DOCS, blocks
from helpers.web.browser import browser_path, browsing
from helpers.web.served import Running, serving

NODE = shutil.which("node")
FILES = {b.file_name: b.text for b in blocks(DOCS / "guide" / "serve.md") if b.file_name}
ADDRESS = "http://127.0.0.1:8000"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with serving("depthrt-xs") as found:
        yield found


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = np.random.default_rng(5).integers(0, 256, (9, 12, 3), np.uint8)
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    assert cv2.imwrite(str(path), cv2.resize(small, (320, 240), interpolation=cv2.INTER_CUBIC))
    return path


@pytest.fixture(scope="module")
def expected(photo: Path) -> tuple[float, int, int, float]:
    """Depth at 100,80, height and width of the map, and its sum."""
    found = depthrt.DepthModel.load("depthrt-xs")(depthrt.read_image(photo))
    height, width = found.values.shape
    at = float(found.at_image_size()[80, 100])
    return at, height, width, float(found.values.sum(dtype=np.float64))


@pytest.mark.skipif(NODE is None, reason="no Node is installed")
def test_node(running: Running, photo: Path, expected: tuple[float, int, int, float]) -> None:
    assert NODE is not None
    for name in ("depth.mjs", "ask.mjs"):
        text = FILES[name].replace(ADDRESS, running.address)
        (photo.parent / name).write_text(text)
    assert running.address in (photo.parent / "ask.mjs").read_text()
    said = subprocess.run(
        [NODE, "ask.mjs"], cwd=photo.parent, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    at, height, width, count = (float(number) for number in said.split())
    assert (height, width, count) == (*expected[1:3], expected[1] * expected[2])
    assert at == pytest.approx(expected[0], rel=1e-4)


@pytest.mark.skipif(browser_path() is None, reason="no Chromium is installed")
def test_a_page_of_the_server(
    running: Running, photo: Path, expected: tuple[float, int, int, float], tmp_path: Path
) -> None:
    code = re.sub(r"^export ", "", FILES["depth.mjs"], flags=re.MULTILINE)
    content = json.dumps(base64.b64encode(photo.read_bytes()).decode())
    script = f"""(async () => {{
        {code}
        const bytes = Uint8Array.from(atob({content}), (letter) => letter.charCodeAt(0));
        const found = await depthOf("", new Blob([bytes]), 100, 80);
        const sum = found.values.reduce((total, value) => total + value, 0);
        return [found.depth, found.height, found.width, sum];
    }})()"""
    with browsing(tmp_path) as tab:
        tab.open(running.address + "/")
        assert tab.run(script) == pytest.approx(expected, rel=1e-4)
        assert not tab.complaints


def test_python_and_javascript_name_the_address_of_the_commands() -> None:
    assert ADDRESS in FILES["ask.mjs"]
    assert ADDRESS in FILES["ask.py"]
