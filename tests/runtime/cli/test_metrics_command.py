"""`depthrt run --metrics`: what Prometheus gets while a run goes on, and drift that is told."""

from __future__ import annotations

import hashlib
import json
import os
from fractions import Fraction
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import onnx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from depthrt.monitor.exposition.metric_table import METRICS
from depthrt.monitor.reference import REFERENCE_KEY, make_reference
from depthrt.result import Stats
from helpers.commands import Command, spawn
from helpers.files.clips import picture
from runtime.conftest import MakeClip

SIZE = (64, 96)


def scrape(url: str) -> dict[tuple[str, str], float]:
    """Values by name and the label that tells them apart best; each sample is there once."""
    with urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    found: dict[tuple[str, str], float] = {}
    names = {metric.name for metric in METRICS}
    for family in text_string_to_metric_families(text):
        assert family.name in names or f"{family.name}_total" in names
        for sample in family.samples:
            labels = sample.labels
            told = labels.get("stage") or labels.get("sha256") or labels.get("stream", "")
            found[sample.name, told + labels.get("le", "")] = sample.value
    return found


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_metrics_of_a_run_that_goes_on(
    make_clip: MakeClip, model_path: Path, tmp_path: Path
) -> None:
    clips = [make_clip(size=SIZE, frames=300), make_clip(frames=300)]
    pipe = tmp_path / "lines"
    os.mkfifo(pipe)
    process = spawn("run", *clips, "-m", model_path, "--jsonl", pipe, "--metrics", 0)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("depthrt: metrics at http://127.0.0.1:")
    assert "drift is judged against the first 10 minutes of each stream" in said
    url = said.split()[3].rstrip(";")
    with pipe.open() as lines:  # the run waits for who reads its lines
        first = json.loads(lines.readline())["stream"]
        found = scrape(url)
        assert found["depthrt_frames_total", first] >= 1
        assert found["depthrt_stage_seconds_count", "infer"] >= 1
        assert found["depthrt_stage_seconds_bucket", "infer+Inf"] >= 1
        digest = hashlib.sha256(model_path.read_bytes()).hexdigest()
        assert found["depthrt_model_info", digest] == 1
        assert found["depthrt_drift_learning", first] == 1
        assert found["depthrt_stream_failed", first] == 0
        rest = lines.readlines()  # more than a pipe holds
    assert len(rest) == 599
    assert process.wait(60) == 0
    process.communicate()
    with pytest.raises(URLError):
        urlopen(url, timeout=10)


def with_reference(model: Path, target: Path, brightness: float) -> Path:
    """A copy of a model file whose reference says how bright pictures are."""
    random = np.random.default_rng(0)
    rows = [{"brightness": float(b)} for b in brightness + 0.01 * random.standard_normal(80)]
    graph = onnx.load_model(model)
    reference = make_reference(rows, source="yard")
    graph.metadata_props.add(key=REFERENCE_KEY, value=reference.to_json())
    onnx.save_model(graph, target)
    return target


@pytest.mark.parametrize(("darker", "drifts"), [(0.4, True), (0.0, False)])
def test_drift_from_the_model_file_is_told(
    make_clip: MakeClip,
    model_path: Path,
    tmp_path: Path,
    command: Command,
    darker: float,
    drifts: bool,
) -> None:
    clip = make_clip(size=SIZE, frames=160, rate=Fraction(2))
    usual = float(picture(0, SIZE).mean()) / 255 + darker
    model = with_reference(model_path, tmp_path / "known.onnx", usual)
    done = command("run", clip, "-m", model, "-o", tmp_path / "o.npz", "--metrics", 0)
    assert done.code == 0
    first, *others = done.err.splitlines()
    assert first.endswith("drift is judged against 80 frames of yard, kept in the model file")
    assert (f"depthrt: {clip.name}: drift: brightness" in others) is drifts


def test_a_broken_reference_in_the_file_is_a_sentence(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, command: Command
) -> None:
    graph = onnx.load_model(model_path)
    graph.metadata_props.add(key=REFERENCE_KEY, value="{}")
    broken = tmp_path / "broken.onnx"
    onnx.save_model(graph, broken)
    clip = make_clip(size=SIZE)
    failed = command("run", clip, "-m", broken, "-o", tmp_path / "o.npz", "--metrics", 0)
    assert failed.code == 2
    assert failed.complaint.startswith(f"{broken}: its reference of drift ")
    assert command("run", clip, "-m", broken, "-o", tmp_path / "o.npz").code == 0


def test_wrong_options_are_sentences(
    make_clip: MakeClip, model_path: Path, tmp_path: Path, command: Command
) -> None:
    run = ("run", make_clip(size=SIZE), "-m", model_path, "-o", tmp_path / "o.npz")
    alone = command(*run, "--reference", tmp_path / "cameras.json")
    assert (alone.code, alone.complaint) == (
        2, "--reference keeps what drift is judged against: give --metrics, too",
    )  # fmt: skip
    (tmp_path / "other.json").write_text('{"a": []}')
    other = command(*run, "--metrics", 0, "--reference", tmp_path / "other.json")
    assert (other.code, other.complaint) == (
        2, f"{tmp_path / 'other.json'}, reference of a is broken (no JSON object)",
    )  # fmt: skip
    wrong = command(*run, "--metrics", "x")
    assert (wrong.code, wrong.complaint) == (2, "--metrics x is neither PORT nor HOST:PORT")
    assert not (tmp_path / "o.npz").exists()


def test_stages_are_distributions_whose_sums_are_the_busy_seconds() -> None:
    one, other = Stats(), Stats()
    one.spend("infer", 1.0)
    assert one.stage_s is None  # nobody asked for it
    one, other = Stats(), Stats()
    for each in (one, other):
        each.count_stages()
    one.spend("infer", 0.25)
    other.spend("infer", 0.5)
    other.spend("write", 0.125)
    one.merge(other)
    assert dict(one.busy_s) == {"infer": 0.75, "write": 0.125}
    assert one.stage_s is not None
    assert {stage: (t.count, t.total_s) for stage, t in one.stage_s.items()} == {
        "infer": (2, 0.75),
        "write": (1, 0.125),
    }
