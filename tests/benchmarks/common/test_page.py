"""Pages are one file, and every value in them is escaped."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from depthrt.errors import UsageError
from depthrt.system.installation import install_command
from depthrt_benchmarks.bench.report.html import render as render_bench
from depthrt_benchmarks.common.report.page import require_libraries
from depthrt_benchmarks.common.report.picture import jpeg, png
from depthrt_benchmarks.common.report.plot import label, plot, plot_file
from helpers.files.html_page import Page

HOSTILE = """<script>alert(1)</script>&"'$x$ {{ 7*7 }}"""


def document(name: str) -> dict[str, Any]:
    """What `depthrt bench` gives of two models at two batches and threads, and a clip."""
    cells = [
        {
            "model": model, "provider": "cpu", "bound_provider": "cpu", "threads": threads,
            "batch": batch, "size": [48, 64], "precision": "int8", "throughput_fps": 100.0 * batch,
            "latency_ms": {"p50": 2.0, "p90": 3.0, "p95": 4.0, "p99": 5.0, "worst": 6.0},
            "warm_up": {"first_ms": 9.0}, "latencies_ms": [1.0, 2.0, 6.0],
        }
        for model in (name, "_plain") for threads in (1, 2) for batch in (1, 4)
    ]  # fmt: skip
    clip = {"model": name, "provider": "cpu", "threads": 1, "clip": name, "frames": 9,
            **dict.fromkeys(("end_to_end_fps", "end_to_end_ms", "cpu_ms", "decode_ms",
                             "prepare_ms", "infer_ms", "write_ms"), 2.0)}  # fmt: skip
    return {
        "machine": {"processor": name, "cores": 2, "system": "Linux"},
        "versions": {"python": "3.11", "depthrt": name},
        "commit": name,
        "models": [
            {"model": model, "file": name, "file_mb": 1.0, "precision": "int8", "sha256": model}
            for model in (name, "_plain")
        ],
        "cells": cells,
        "starts": [],
        "clips": [clip],
        "profiles": [],
        "accuracy": [
            {"model": name, "sha256": name, "abs_rel": 0.1, "datasets": [name], "protocol": name}
        ],
    }


def test_a_hostile_name_is_text_everywhere_in_the_page_of_bench() -> None:
    page = Page(render_bench(document(HOSTILE)))
    assert "script" not in page.tags
    assert len([tag for tag, _ in page.elements if tag == "svg"]) == 5
    title, *_ = page.text.strip().split("\n")
    assert title == f"{HOSTILE}, _plain: speed"
    # h1, file, machine, versions, table cells, and the legends of the plots.
    assert page.text.count(HOSTILE) > 12
    assert "49" not in page.text.replace("0.49", "")
    assert not [value for _, given in page.elements for value in given if value.startswith("on")]


def test_a_name_that_begins_with_an_underscore_stays_in_the_legends() -> None:
    names = re.findall(r"<text[^>]*>\s*_plain", render_bench(document("other")))
    assert len(names) >= 3


def test_names_that_matplotlib_or_utf8_cannot_take() -> None:
    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], label=label(f"caf\udce9 深 {HOSTILE}"))
        axes.legend()

    made = plot(HOSTILE, draw)
    assert "caf? 深" in made.svg
    assert "script" not in Page(made.svg).tags
    assert "http" not in made.svg.replace("http://www.w3.org", "")
    assert plot(HOSTILE, draw) == made  # the same figures give the same page


def test_files_of_a_plot() -> None:
    import cv2

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1])

    assert plot_file("a line", draw, "svg").startswith(b"<svg")
    pixels = cv2.imdecode(np.frombuffer(plot_file("a line", draw, "png"), np.uint8), 1)
    assert pixels is not None
    assert pixels.shape[0] > 400
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels.std() > 5


def test_pictures_lie_inside_the_page() -> None:
    import base64

    import cv2

    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 255
    for make, form in ((png, "png"), (jpeg, "jpeg")):
        made = make(red, "red")
        head, _, content = made.uri.partition(",")
        assert head == f"data:image/{form};base64"
        pixels = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), 1)
        assert pixels is not None
        assert pixels.shape == (4, 6, 3)
        assert pixels[0, 0, 2] > 250 > 5 > pixels[0, 0, 0]


def test_libraries_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from depthrt_benchmarks.common.report import page

    monkeypatch.setattr(page, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as failed:
        require_libraries("--html", "bench")
    wanted = f"--html needs jinja2 and matplotlib: {install_command('bench')}"
    assert str(failed.value) == wanted
