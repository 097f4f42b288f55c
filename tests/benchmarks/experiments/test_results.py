"""Results that documents quote, held against the documents and against what they must show."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.readme.markdown import END, START, put_into, short_table, table, with_tables

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "benchmarks" / "results"
DOCUMENT = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux"},
    "versions": {"python": "3.11", "onnxruntime": "1.0"},
    "commit": "abc",
    "rounds": 9,
    "accuracy": "mean AbsRel of sets",
    "networks": {
        "depthrt-s": {
            "size": [192, 320],
            "engines": {
                "depthrt float32": {"ratio": 1.0, "latency_ms": 10.0, "abs_rel": 0.1714},
                "torch eager": {"ratio": 0.9, "abs_rel": 0.1714, "versions": {"torch": "2.13"}},
                "OpenCV DNN float32": {"failed": "it does not load"},
            },
        },
        "midas-like": {
            "size": [256, 256],
            "engines": {
                "depthrt float32": {"ratio": 1.0, "latency_ms": 30.0, "error": 0.0},
                "torch eager": {"ratio": 1.7, "error": 0.00049},
            },
        },
    },
}


def test_the_table_shows_what_is_lost_too() -> None:
    lines = table(DOCUMENT).splitlines()
    assert lines[0] == "| | built-in depthrt-s 192x320 | MiDaS-small-like* 256x256 |"
    assert lines[3] == "| torch eager | 0.90 (AbsRel 0.171) | 1.70 (0.000) |"
    assert "OpenCV" not in "".join(lines[:5])  # a row of dashes alone says nothing
    assert "built-in depthrt-s 10.0 ms, MiDaS-small-like* 30.0 ms" in table(DOCUMENT)
    assert "torch 2.13" in table(DOCUMENT)


def test_the_table_says_how_far_rounds_lie_apart() -> None:
    rows = {
        "depthrt float32": {"ratio": 1.0, "quartiles": [1.0, 1.0], "latency_ms": 10.0},
        "depthrt int8": {"ratio": 0.5, "quartiles": [0.45, 0.55]},
        "torch eager": {"ratio": 2.0, "quartiles": [1.8, 3.0]},
        "torch.compile": {"ratio": 1.0, "quartiles": [0.98, 1.02]},
    }
    noisy = {**DOCUMENT, "networks": {"depthrt-s": {"size": [192, 320], "engines": rows}}}
    assert "lie within 10% of what is shown, in the widest row within 30%:" in table(noisy)
    assert "How far rounds lie apart is not known." in table(DOCUMENT)


def test_networks_that_know_one_kind_of_place_say_what_they_were_judged_on() -> None:
    engines = {"depthrt float32": {"ratio": 1.0, "latency_ms": 8.0, "abs_rel": 0.1288}}
    network = {"size": [192, 256], "trained": True, "sets": "replica_office0 (40)"}
    rooms = {**DOCUMENT, "networks": {"meter-nyu": {**network, "engines": engines}}}
    assert "mean AbsRel of sets (METER nyu replica_office0 (40))." in table(rooms)
    lines = short_table(rooms).splitlines()
    assert lines[0] == "| ms, AbsRel | METER nyu 192x256, rooms |"
    assert "| depthrt, float32 | 8.0, 0.129 |" in lines
    assert "| PyTorch | – |" in lines


def test_the_table_goes_between_its_marks() -> None:
    readme = f"before\n{START}\nold\n{END}\nafter"
    assert put_into(readme, "new") == f"before\n{START}\nnew\n{END}\nafter"
    with pytest.raises(ValueError, match="lacks"):
        put_into("no marks", "new")


def test_readme_performance_and_json_agree() -> None:
    document = json.loads((RESULTS / "readme_table.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert put_into(readme, short_table(document)) == readme
    performance = (ROOT / "docs" / "performance.md").read_text()
    assert with_tables(performance, document) == performance


def test_the_readmes_table_is_short() -> None:
    document = json.loads((RESULTS / "readme_table.json").read_text())
    lines = short_table(document).splitlines()
    assert len(lines) - 2 <= 6
    eager = [
        net["engines"]["torch eager"] for net in document["networks"].values() if net["trained"]
    ]
    assert len(eager) == 4  # depthrt-s, TCMonoDepth-small, METER of rooms and of roads
    shown = " | ".join(f"{row['latency_ms']:.1f}, {row['abs_rel']:.3f}" for row in eager)
    assert f"| PyTorch | {shown} |" in lines
    assert not any("*" in line for line in lines)  # no figure that needs a footnote


def test_the_comparison_was_shown_honest() -> None:
    found = json.loads((RESULTS / "compare_honesty.json").read_text())
    same, slower = found["same"], found["slower"]
    assert len(same) >= 200
    assert len(slower) >= 50
    assert sum(row["verdict"] != "cannot tell" for row in same) == found["false_alarms"]
    assert found["false_alarms"] <= 0.02 * len(same)
    assert sum(row["verdict"] == "slower" for row in slower) >= 0.95 * len(slower)
    assert found["calibration"]["ratio"] == pytest.approx(1.1, abs=0.02)
