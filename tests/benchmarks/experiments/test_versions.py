"""Versions are known whatever wheel brought onnxruntime."""

from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path

import onnxruntime
import pytest

from depthrt_benchmarks.common.environment import _commit, environment
from depthrt_benchmarks.evaluation.scoring.resume_file import measuring_versions

real = importlib.metadata.version


def installed_as(monkeypatch: pytest.MonkeyPatch, wheel: str) -> None:
    """As where onnxruntime's wheel has this name alone, in version 1.99."""

    def version(name: str) -> str:
        if name.startswith("onnxruntime"):
            if name != wheel:
                raise importlib.metadata.PackageNotFoundError(name)
            return "1.99"
        return real(name)

    for module in ("common.environment", "evaluation.scoring.resume_file"):
        monkeypatch.setattr(f"depthrt_benchmarks.{module}.version", version)


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("onnxruntime", {"onnxruntime": "1.99"}),
        ("onnxruntime-gpu", {"onnxruntime-gpu": "1.99"}),
        ("onnxruntime-openvino", {"onnxruntime-openvino": "1.99"}),
        ("onnxruntime-directml", {"onnxruntime": onnxruntime.__version__}),
    ],
)
def test_results_name_a_version(
    monkeypatch: pytest.MonkeyPatch, wheel: str, expected: dict[str, str]
) -> None:
    installed_as(monkeypatch, wheel)
    versions = environment()["versions"]
    assert {k: v for k, v in versions.items() if k.startswith("onnxruntime")} == expected


def test_another_onnxruntime_is_another_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    installed_as(monkeypatch, "onnxruntime-gpu")
    now = measuring_versions()
    assert f"onnxruntime {onnxruntime.__version__}" in now
    monkeypatch.setattr(onnxruntime, "__version__", "99.0")
    assert measuring_versions() != now
    monkeypatch.undo()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["OtherProvider"])
    assert measuring_versions()[-1] == "OtherProvider"


def test_the_commit_is_that_of_the_checkout_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Installed in an environment inside a user's repository, it is none of that one's commits."""

    def git(*arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / ".venv/lib/environment.py"
    file.parent.mkdir(parents=True)
    file.write_text("")
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "theirs")
    monkeypatch.setattr("depthrt_benchmarks.common.environment.__file__", str(file))
    assert environment()["commit"] == "unknown"
    git("add", "-A")
    git("commit", "-q", "-m", "ours")
    _commit.cache_clear()
    assert environment()["commit"] == git("rev-parse", "--short", "HEAD")
