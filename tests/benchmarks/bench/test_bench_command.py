"""`depthrt bench` and `depthrt bench compare` as a user calls them, on small models."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from depthrt.files.file_hash import file_sha256
from depthrt.system.cpu_cores import usable_cores
from depthrt_benchmarks.common.names import labels_of
from helpers.commands import Command
from helpers.models.small_model import build_model, build_spec


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return build_model(tmp_path / "tiny.onnx")


@pytest.fixture
def larger(tmp_path: Path) -> Path:
    """The same at 16 times the pixels: surely slower."""
    size = (384, 512)
    return build_model(tmp_path / "larger.onnx", size=size, spec=build_spec(size, "larger"))


def test_a_document_has_every_setting_and_what_was_measured(command: Command, model: Path) -> None:
    done = command("bench", model, "--threads", "1", "--batches", "1,3", "--duration", 0.05,
                   "--profile", "--json")  # fmt: skip
    assert done.code == 0
    document = done.document
    assert {"machine", "versions", "commit"} <= set(document)
    (facts,) = document["models"]
    assert facts["sha256"] == file_sha256(model)
    assert [(c["threads"], c["batch"], c["size"]) for c in document["cells"]] == [
        (1, 1, [48, 64]),
        (1, 3, [48, 64]),
    ]
    for cell in document["cells"]:
        times = cell["latency_ms"]
        order = [times[key] for key in ("p50", "p90", "p95", "p99", "worst")]
        assert order == sorted(order)
        assert cell["bound_provider"] == "cpu"
        assert cell["runs"] >= 10
        assert cell["warm_up"]["runs"] >= 3
        mean_ms = 1e3 * cell["batch"] / cell["throughput_fps"]
        assert mean_ms <= times["worst"]
    (start,) = document["starts"]
    assert start["first_depth_ms"] > start["load_ms"] > 0
    assert start["peak_memory_mb"] > start["model_memory_mb"] >= 0
    (clip,) = document["clips"]
    assert clip["frames"] > 0
    stages = [clip[f"{stage}_ms"] for stage in ("decode", "prepare", "infer", "write")]
    assert all(ms > 0 for ms in stages)
    (profile,) = document["profiles"]
    assert {part["operator"] for part in profile["operators"]} >= {"Cast", "Conv", "Squeeze"}
    assert sum(part["share"] for part in profile["operators"]) == pytest.approx(1, abs=0.01)
    assert len(document["yardstick"]["blocks_ms"]) >= 1


@pytest.mark.slow
def test_reports_say_the_same_and_the_page_needs_nothing_else(
    command: Command, model: Path, larger: Path, tmp_path: Path
) -> None:
    page, text = tmp_path / "bench.html", tmp_path / "bench.md"
    known = tmp_path / "eval.json"
    quick = ("--threads", "1", "--duration", 0.05, "--no-fresh", "--clip", "none")
    hashes = [
        facts["sha256"]
        for facts in command("bench", model, larger, *quick, "--json").document["models"]
    ]
    known.write_text(json.dumps({
        "models": [{"model": f"m{i}", "sha256": sha} for i, sha in enumerate(hashes)],
        "evaluations": [
            {"model": f"m{i}", "dataset": "d", "protocol": "p",
             "metrics": {"abs_rel": {"value": 0.2 - 0.1 * i}}} for i in range(2)
        ],
    }))  # fmt: skip
    done = command("bench", model, larger, *quick, "--html", page, "--markdown", text,
                   "--accuracy", known)  # fmt: skip
    assert done.code == 0
    assert done.out.count("larger (float32)") == 2  # batches 1 and 4
    assert "| tiny (float32) | cpu | 1 | 48x64 | 4 |" in text.read_text()
    html = page.read_text()
    assert html.count("<svg") == 3
    assert "Latency against accuracy" in html
    assert "{{" not in html
    assert "src=" not in html.replace('src="data:', "")
    again = command("bench", model, *quick, "--markdown", text)
    assert again.code == 2
    assert "--overwrite" in again.complaint


def test_compare_says_slower_and_the_gate_exits_4(
    command: Command, model: Path, larger: Path, tmp_path: Path
) -> None:
    report, history = tmp_path / "c.md", tmp_path / "history"
    done = command("bench", "compare", model, larger, "--seconds", 20, "--fail-above", 1.05,
                   "--threads", 1, "--markdown", report, "--history", history)  # fmt: skip
    assert done.code == 4
    assert "larger is slower than tiny" in done.complaint
    assert "gate failed" in done.complaint
    assert "**Slower**" in report.read_text()
    passed = command("bench", "compare", larger, model, "--seconds", 20, "--fail-above", 1.05,
                     "--threads", 1, "--history", history, "--json")  # fmt: skip
    assert passed.code == 0
    assert passed.document["verdict"] == "faster"
    assert passed.document["high"] < 1 / 1.02
    assert passed.document["comparison"] == "interleaved"
    entries = json.loads((history / "history.json").read_text())
    assert [entry["verdict"] for entry in entries] == ["slower", "faster"]


@pytest.mark.slow
def test_environments_run_the_model_in_processes_of_their_own(
    command: Command, model: Path
) -> None:
    done = command("bench", "compare", sys.executable, sys.executable, "--model", model,
                   "--seconds", 0.5, "--frame", "--json")  # fmt: skip
    assert done.code == 0
    versions = done.document["head"]["versions"]
    assert versions["python"] == sys.version.split()[0]
    assert "onnxruntime" in versions
    assert done.document["pairs"] >= 20


@pytest.mark.slow
def test_an_earlier_json_stands_for_its_model(
    command: Command, model: Path, larger: Path, tmp_path: Path
) -> None:
    threads = ("--threads", usable_cores())
    earlier = tmp_path / "earlier.json"
    run = command("bench", model, *threads, "--batches", 1, "--duration", 0.5, "--no-fresh",
                  "--clip", "none", "--json")  # fmt: skip
    earlier.write_text(run.out)
    beside = command("bench", "compare", earlier, larger, "--seconds", 1, "--json").document
    assert beside["comparison"] == "interleaved"
    assert beside["ratio"] > 2
    shutil.move(model, tmp_path / "moved.onnx")
    gone = command("bench", "compare", earlier, larger, "--seconds", 5, "--json").document
    assert gone["comparison"] == "by yardstick"
    assert gone["ratio"] > 1.5
    assert "not measured together" in gone["notes"][0]
    document = json.loads(earlier.read_text())
    document["machine"]["processor"] = "another"
    earlier.write_text(json.dumps(document))
    refused = command("bench", "compare", earlier, larger)
    assert refused.code == 2
    assert "another machine" in refused.complaint


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("bench", "{model}", "--batches", "0"), "--batches"),
        (("bench", "{model}", "--sizes", "64"), "no size"),
        (("bench", "{model}", "--sizes", "64x64"), "--dynamic size"),
        (("bench", "{model}", "--duration", "0"), "--duration"),
        (("bench", "{model}", "--threads", "x"), "--threads"),
        (("bench", "missing.onnx"), "missing.onnx"),
        (("bench", "{model}", "--accuracy", "missing.json"), "missing.json"),
        (("bench", "compare", "{model}", "missing.onnx"), "missing.onnx"),
        (("bench", "compare", "{model}", "{model}", "--fail-above", "0.5"), "--fail-above"),
        (("bench", "compare", "{model}", "{model}", "--fail-above", "nan"), "--fail-above"),
        (("bench", "compare", "{model}", "{model}", "--fail-above", "inf"), "--fail-above"),
        (("bench", "compare", "{model}", "{model}", "--seconds", "inf"), "--seconds"),
        (("bench", "compare", "{model}", "{model}", "--margin", "inf"), "--margin"),
        (("bench", "compare", "{model}", "{model}", "--confidence", "1"), "--confidence"),
        (("bench", "compare", "{model}", "{model}", "--confidence", "nan"), "--confidence"),
        (("bench", "compare", "{model}", "{model}", "--frame", "--batch", "4"), "--batch 4"),
        (("bench", "compare", "{model}", "{model}", "--frame", "--size", "64x64"), "--size 64x64"),
        (("bench", "compare", "{model}", "{model}", "--model", "x"), "--model"),
        (("bench", "compare", "{model}", "{python}"), "environment"),
        (("bench", "compare", "missing.json", "{model}"), "missing.json"),
    ],
)
def test_mistakes_are_one_sentence(
    command: Command, model: Path, arguments: tuple[str, ...], word: str
) -> None:
    given = [a.format(model=model, python=sys.executable) for a in arguments]
    done = command(*given)
    assert done.code == 2
    assert word in done.complaint


def test_two_outputs_of_one_place(
    command: Command, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("bench", model, "--html", "same", "--markdown", "./same")
    assert done.code == 2
    assert "are one file" in done.complaint
    record = ("--history", ".", "--markdown", tmp_path / "history.json")
    taken = command("bench", "compare", model, model, *record)
    assert taken.code == 2
    assert "is a file of --history" in taken.complaint
    assert list(tmp_path.iterdir()) == [model]


@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "{model}", "--html"),
        ("bench", "{model}", "--markdown"),
        ("bench", "compare", "{model}", "{model}", "--markdown"),
    ],
)
def test_no_report_destroys_a_folder_or_the_model(
    command: Command, model: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    kept = tmp_path / "results/kept.txt"
    kept.parent.mkdir()
    kept.write_text("work of months")
    before = (kept.read_text(), model.read_bytes())
    for place in (kept.parent, model):
        given = [word.format(model=model) for word in arguments]
        done = command(*given, place, "--overwrite")
        assert done.code == 2, place
        assert str(place) in done.complaint
    assert (kept.read_text(), model.read_bytes()) == before


def test_a_provider_that_is_not_there_is_5(command: Command, model: Path) -> None:
    assert command("bench", model, "--providers", "tensorrt").code == 5


def test_sizes_of_a_graph_that_leaves_them_open(command: Command, tmp_path: Path) -> None:
    model = build_model(tmp_path / "open.onnx", dynamic_size=True)
    done = command("bench", model, "--sizes", "48x64,480x640", "--batches", 1, "--threads", 1,
                   "--duration", 0.1, "--no-fresh", "--clip", "none", "--json")  # fmt: skip
    small, large = done.document["cells"]
    assert (small["size"], large["size"]) == ([48, 64], [480, 640])
    assert large["latency_ms"]["p50"] > small["latency_ms"]["p50"]  # a hundred times the pixels


def test_help_of_bench_names_compare(command: Command) -> None:
    done = command("bench", "--help")
    assert done.code == 0
    assert "depthrt bench compare BASE HEAD" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("texts", "labels"),
    [
        (("runs/a/best.onnx", "b.onnx"), ["best", "b"]),
        (("runs/a/best.onnx", "runs/b/best.onnx", "b.onnx"), ["a/best", "b/best", "b"]),
        (("best.onnx", "best.onnx"), ["best.onnx", "best.onnx"]),
        ((".venv-old", ".venv-new"), [".venv-old", ".venv-new"]),
    ],
)
def test_labels_are_as_short_as_tells_them_apart(texts: tuple[str, ...], labels: list[str]) -> None:
    assert labels_of(*texts) == labels
