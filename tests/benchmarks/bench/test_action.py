"""The step of the CI action, run as CI runs it: in a repository with a base branch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from depthrt.model.catalogue.registry import find_model
from helpers.files.labelled import write_set
from helpers.models import gate_models
from helpers.models.slow_model import slower
from helpers.models.small_model import build_model

ROOT = Path(__file__).parents[3]
ACTION = ROOT / ".github" / "actions" / "depthrt-bench"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A clone whose origin has the built-in model on its main branch."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    (origin / "models").mkdir()
    (origin / "models" / "depth.onnx").write_bytes(find_model(None).read_bytes())
    git(origin, "add", ".")
    git(origin, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "model")
    git(tmp_path, "clone", "-q", str(origin), str(clone))
    git(clone, "checkout", "-q", "-b", "change")
    return clone


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), *arguments], check=True)


def step(folder: Path, script: str = "compare.sh", **settings: str) -> tuple[int, str, str]:
    """Exit code, summary and outputs of the step."""
    commands = folder / "bin"
    commands.mkdir(exist_ok=True)
    (commands / "depthrt").write_text(
        f'#!/bin/sh\nexec {sys.executable} -c "from depthrt.cli import main; main()" "$@"\n'
    )
    (commands / "depthrt").chmod(0o755)
    summary, output = folder / "summary.md", folder / "output.txt"
    for path in (summary, output):
        path.unlink(missing_ok=True)
    given = {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "MODEL": "models/depth.onnx",
        "BASE_REF": "main",
        "BENCH_SECONDS": "20",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(output),
        "GITHUB_SHA": "abc",
        **settings,
    }
    done = subprocess.run(
        ["bash", str(ACTION / script)],
        cwd=folder,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    texts = [path.read_text() if path.is_file() else "" for path in (summary, output)]
    return done.returncode, texts[0], texts[1]


@pytest.mark.slow
def test_a_slower_model_fails_the_gate(repository: Path) -> None:
    model = repository / "models" / "depth.onnx"
    slower(find_model(None), model)
    code, summary, output = step(repository, FAIL_ABOVE="1.05")
    assert code == 4
    assert "Gate at 1.05: **failed**" in summary
    assert "verdict=slower" in output
    (entry,) = json.loads((repository / "depthrt-bench" / "history.json").read_text())
    assert entry["revision"] == "abc"
    assert entry["regressed"]
    published = json.loads((repository / "depthrt-bench" / "benchmark.json").read_text())
    assert published[0]["value"] == entry["ratio"] > 1.05
    assert {"name", "unit", "value"} <= set(published[1])


@pytest.mark.slow
def test_an_equal_model_passes(repository: Path) -> None:
    slower(find_model(None), repository / "models" / "depth.onnx", poolings=0)
    code, summary, output = step(repository, FAIL_ABOVE="1.5")
    assert code == 0
    assert "Gate at 1.5: **passed**" in summary
    ratio = float(output.partition("ratio=")[2].split()[0])
    assert 1 / 1.5 < ratio < 1.5


def commit(folder: Path, name: str, write: bool = True) -> None:
    if write:
        (folder / name).write_text("words")
    git(folder, "add", name)
    git(folder, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", name)


def test_a_change_that_leaves_the_model_alone_is_not_compared(repository: Path) -> None:
    commit(repository, "README.md")
    code, summary, output = step(repository, FAIL_ABOVE="1.05")
    assert code == 0
    assert "Not compared: models/depth.onnx is as it was at main." in summary
    assert "passed" not in summary
    assert output == "verdict=unchanged\n"
    assert not (repository / "depthrt-bench").exists()


@pytest.mark.parametrize("ref", ["HEAD", "main", "change"])
def test_the_commit_that_is_checked_out_is_no_base(repository: Path, ref: str) -> None:
    code, summary, output = step(repository, BASE_REF=ref, FAIL_ABOVE="1.05")
    assert code == 4
    assert "is the commit that is checked out: name another as the base" in summary
    assert output == "verdict=\n"
    assert step(repository, BASE_REF=ref)[0] == 0  # no gate that could pass


def test_the_same_file_is_no_base(repository: Path) -> None:
    code, summary, _ = step(repository, BASE_MODEL="models/depth.onnx", FAIL_ABOVE="1.05")
    assert code == 4
    assert "Not compared: depthrt bench compare ended with 4" in summary


def test_a_base_that_is_nowhere_is_said(repository: Path) -> None:
    code, summary, _ = step(repository, BASE_REF="no-such-branch", FAIL_ABOVE="1.05")
    assert (code, summary) == (2, "")


def test_a_first_push_has_nothing_before_it(repository: Path) -> None:
    code, summary, output = step(repository, BASE_REF="0" * 40, FAIL_ABOVE="1.05")
    assert (code, output) == (0, "verdict=\n")
    assert "nothing was there before this branch" in summary


def test_a_model_that_the_base_has_not_is_no_regression(repository: Path) -> None:
    (repository / "models" / "new.onnx").write_bytes(find_model(None).read_bytes())
    code, summary, _ = step(repository, MODEL="models/new.onnx")
    assert code == 0
    assert "nothing to compare with" in summary


def test_a_missing_model_is_said(repository: Path) -> None:
    assert step(repository, MODEL="models/gone.onnx")[0] == 2


@pytest.mark.parametrize(
    ("asked", "installed"), [("", f"{ROOT}[cpu,bench]"), ("dr[gpu]", "dr[gpu]")]
)
def test_the_action_installs_its_own_checkout_unless_told(
    tmp_path: Path, asked: str, installed: str
) -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    (install,) = (s for s in action["runs"]["steps"] if "INSTALL" in s.get("env", {}))
    (tmp_path / "python").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "python").chmod(0o755)
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", install["run"]],
        env={
            "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
            "GITHUB_ACTION_PATH": str(ACTION),
            "INSTALL": asked or action["inputs"]["install"]["default"],
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["-m", "pip", "install", "-q", installed]


def test_the_action_hands_every_input_to_its_steps() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    used = json.dumps(action["runs"])
    assert all(f"inputs.{name}" in used for name in action["inputs"])
    shared = (ACTION / "base.sh").read_text()
    for step_id in ("compare", "accuracy"):
        script = shared + (ACTION / f"{step_id}.sh").read_text()
        (one,) = (s for s in action["runs"]["steps"] if s.get("id") == step_id)
        assert all(f"${{{name}" in script or f"${name}" in script for name in one["env"])
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "bench.yml").read_text())
    steps = workflow["jobs"]["built-in-model"]["steps"]
    (own,) = (s for s in steps if str(s.get("uses", "")).startswith("./"))
    assert set(own["with"]) <= set(action["inputs"])
    assert (ROOT / own["with"]["model"]).is_file()


@pytest.fixture
def judged(repository: Path, tmp_path: Path) -> Path:
    """The clone with the tiny model at its base, and a set that it sees exactly."""
    build_model(repository / "models" / "depth.onnx")
    commit(repository, "models/depth.onnx", write=False)
    git(repository, "branch", "-f", "main")
    write_set(repository / "sets" / "desk", 12)
    return repository


def accuracy(folder: Path, **settings: str) -> tuple[int, str, str]:
    given = {"SETS": "sets", "FAIL_WORSE": "1%", "MAX_ABS_REL": "", "MIN_IMAGES": "100%"}
    return step(folder, "accuracy.sh", **{**given, **settings})


def test_a_model_that_sees_worse_fails(judged: Path) -> None:
    gate_models.bent(judged / "models" / "depth.onnx")
    code, summary, output = accuracy(judged)
    assert code == 3
    assert "Beside the base: **failed**" in summary
    assert "| desk | depth float32 | 12 | 0.0" in summary
    assert "accuracy=failed\n" in output
    kept = json.loads((judged / "depthrt-bench" / "accuracy.json").read_text())
    assert kept["fail_worse"]["passed"] is False
    assert "table=depthrt-bench/accuracy.md" in output
    assert accuracy(judged, FAIL_WORSE="", MAX_ABS_REL="0.01")[0] == 3


def test_a_model_that_sees_as_well_passes(judged: Path) -> None:
    gate_models.equal(judged / "models" / "depth.onnx")
    code, summary, output = accuracy(judged, MAX_ABS_REL="0.01")
    assert code == 0
    assert "AbsRel: **passed**" in summary
    assert "Beside the base: **passed**" in summary
    assert "accuracy=passed\n" in output


def test_an_unchanged_model_is_judged_by_itself_alone(judged: Path) -> None:
    commit(judged, "README.md")
    code, summary, output = accuracy(judged, MAX_ABS_REL="0.01")
    assert code == 0
    assert "Not compared: models/depth.onnx is as it was at main." in summary
    assert "AbsRel: **passed**" in summary
    assert "accuracy=passed\n" in output
    code, summary, output = accuracy(judged)
    assert (code, "**passed**" in summary) == (0, False)
    assert "accuracy=\n" in output


def test_accuracy_is_not_passed_by_what_shows_nothing(judged: Path) -> None:
    code, summary, output = accuracy(judged, BASE_REF="HEAD")
    assert (code, output) == (3, "accuracy=failed\n")
    assert "is the commit that is checked out" in summary
    code, summary, output = accuracy(judged, BASE_MODEL="models/depth.onnx")
    assert (code, output) == (3, "accuracy=failed\n")
    assert accuracy(judged, SETS="gone", FAIL_WORSE="")[0] == 2
    assert accuracy(judged, MODEL="models/gone.onnx")[0] == 2


def test_the_workflow_to_copy_fits_the_action_and_stands_in_the_documentation() -> None:
    text = (ROOT / ".github" / "examples" / "depth.yml").read_text()
    (job,) = yaml.safe_load(text)["jobs"].values()
    (own,) = (s for s in job["steps"] if "depthrt-bench@" in str(s.get("uses", "")))
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    assert set(own["with"]) <= set(action["inputs"])
    assert {"fail-above", "sets", "fail-worse"} <= set(own["with"])
    assert f"```yaml\n{text}```" in (ROOT / "docs" / "guide" / "measure.md").read_text()
