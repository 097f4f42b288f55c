"""Figures that the card, its figures and the diary quote, held against their results."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean
from typing import Any

ROOT = Path(__file__).parents[2]
PAGES = ("MODEL_CARD.md", "FIGURES.md", "RUNS.md")
CARD = "\n".join((ROOT / "training" / name).read_text(encoding="utf-8") for name in PAGES)
OURS, TEACHER, FLOAT = "depthrt-s int8", "tcmonodepth-small float32", "depthrt-s float32"
# A word that the card has before a clip's figures; one that is in two names comes last.
CLIPS = {
    "bedroom": "bedroom.mp4",
    "bikes": "bikes.mp4",
    "highway": "dashcam_highway.mp4",
    "coaster": "rollercoaster.mp4",
    "tokyo": "tokyo_walk.mp4",
    "dashcam": "dashcam_short.mp4",
}
NUMBER = r"\d+\.\d+"


def result(name: str) -> dict[str, Any]:
    content = json.loads((ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


def quoted(value: float, like: str) -> str:
    """A value with as many digits as the card gives."""
    return f"{value:.{len(like.partition('.')[2])}f}"


def row(*words: str) -> list[str]:
    """The cells of the one line of a table that holds all words."""
    (line,) = (s for s in CARD.splitlines() if s.startswith("|") and all(w in s for w in words))
    return [cell.strip() for cell in line.strip("|").split("|")]


def flicker() -> dict[str, dict[str, float]]:
    """The median of each clip, by model."""
    found: dict[str, dict[str, float]] = {}
    for clip in result("flicker.json")["clips"]:
        found.setdefault(clip["clip"], {})[clip["model"]] = clip["flicker"]["median"]
    return found


def test_flicker_of_every_clip() -> None:
    (paragraph,) = (p for p in CARD.split("\n\n") if "flicker.json" in p and "|" not in p)
    known, seen = flicker(), set()
    for words, ours, theirs in re.findall(rf"([^/]*?)({NUMBER})\s*/\s*({NUMBER})", paragraph):
        clip = next(clip for word, clip in CLIPS.items() if word in words.lower())
        medians = known[clip]
        expected = (quoted(medians[OURS], ours), quoted(medians[TEACHER], theirs))
        assert (ours, theirs) == expected, clip
        seen.add(clip)
    assert seen == set(known)


def test_flicker_over_the_teachers() -> None:
    ratios = [medians[OURS] / medians[TEACHER] for medians in flicker().values()]
    mean, low, high = re.findall(NUMBER, row("flicker", "clips", "in the mean")[-1])
    assert mean == quoted(fmean(ratios), mean)
    assert (low, high) == (quoted(min(ratios), low), quoted(max(ratios), high))


def test_int8_time() -> None:
    networks = result("readme_table_amx.json")["networks"]
    int8 = networks["depthrt-s"]["engines"]["depthrt int8"]
    teacher_ms = networks["tcmonodepth-small"]["engines"]["depthrt float32"]["latency_ms"]
    reached = row("int8 time over TCMonoDepth-small", "readme_table_amx.json")[-1]
    (first, *_) = re.findall(NUMBER, reached)
    assert first == quoted(int8["latency_ms"] / teacher_ms, first)
    for ours, theirs in re.findall(rf"({NUMBER}) over ({NUMBER}) ms", reached):
        assert (ours, theirs) == (quoted(int8["latency_ms"], ours), quoted(teacher_ms, theirs))
    (first, *_) = re.findall(NUMBER, row("int8 time over its own float32")[-1])
    assert first == quoted(int8["ratio"], first)


def test_accuracy_of_every_set() -> None:
    found = {(e["model"], e["dataset"]): e for e in result("accuracy.json")["evaluations"]}
    for dataset in {dataset for _, dataset in found}:
        ours, theirs, exact = (found[model, dataset] for model in (OURS, TEACHER, FLOAT))
        name, images, first, second, *_ = row(f"| {dataset} | {ours['images']} |")
        assert (name, int(images)) == (dataset, ours["images"])
        own, *interval, delta1 = re.findall(NUMBER, first)
        assert [own, delta1] == figures(ours), dataset
        if interval:
            mean = ours["metrics"]["abs_rel"]
            assert interval == [f"{mean['low']:.3f}", f"{mean['high']:.3f}"], dataset
        assert re.findall(NUMBER, second) == figures(theirs), dataset
        _, float32, int8, *_ = row(f"| {dataset} | {figures(exact)[0]} /")
        assert re.findall(NUMBER, float32) == figures(exact), dataset
        assert re.findall(NUMBER, int8) == figures(ours), dataset


def figures(found: dict[str, Any]) -> list[str]:
    """AbsRel and delta1, three digits each."""
    return [f"{found['metrics'][key]['value']:.3f}" for key in ("abs_rel", "delta1")]
