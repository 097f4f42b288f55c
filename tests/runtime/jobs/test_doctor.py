"""`depthrt doctor` says what is broken, and ends accordingly."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt.errors import ProviderError
from depthrt.jobs import machine
from depthrt.jobs.doctor import report as diagnosis
from depthrt.jobs.doctor.report import examine, onnxruntime_wheels
from depthrt.jobs.machine import cores_line
from depthrt.system.installation import install_command
from helpers.commands import Command
from helpers.files.installed_wheel import install


@pytest.fixture(autouse=True)
def _providers_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "usable_providers", lambda: {"cpu": "works"})


def test_a_sound_installation_has_no_problem(command: Command) -> None:
    ended = command("doctor")
    assert (ended.code, ended.err) == (0, "")
    for fact in (
        "python 3.",
        "onnxruntime ",
        "provider cpu: works",
        "(int8 is fast",
        "H.264 encoder: yes",
    ):
        assert fact in ended.out
    assert "PROBLEM" not in ended.out


@pytest.mark.parametrize("name", ["onnxruntime-gpu", "onnxruntime-openvino", "Onnxruntime_GPU"])
def test_wheels_that_overwrite_one_another_are_seen(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    install(tmp_path, "onnxruntime")
    install(tmp_path, name)
    monkeypatch.syspath_prepend(tmp_path)
    other = name.lower().replace("_", "-")
    assert onnxruntime_wheels() == ["onnxruntime", other]
    ended = command("doctor")
    assert ended.code == 1
    problems = [line for line in ended.out.splitlines() if line.startswith("PROBLEM: ")]
    assert len(problems) == 1
    assert f"onnxruntime and {other} overwrite one another's files" in problems[0]


def test_a_wheel_of_another_folder_is_none_of_them(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a virtual environment that sees the system's packages too: the first is imported."""
    install(tmp_path, "onnxruntime-gpu")
    monkeypatch.syspath_prepend(tmp_path)
    assert onnxruntime_wheels() == ["onnxruntime-gpu"]
    assert command("doctor").code == 0


def test_a_broken_installation_beside_it_does_not_stop_it(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert command("doctor").code == 0


def test_json_is_one_document(command: Command) -> None:
    ended = command("doctor", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert ended.document["providers"] == {"cpu": "works"}
    assert ended.document["onnxruntime_wheels"]
    assert ended.document["problems"] == []


def test_no_provider_that_works_ends_with_5(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "usable_providers", lambda: {"cpu": "it is broken"})
    for options in ([], ["--json"]):
        ended = command("doctor", *options)
        assert ended.code == 5
        assert "it is broken" in ended.out


def test_without_onnxruntime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ProviderError("onnxruntime is not installed")

    monkeypatch.undo()
    monkeypatch.setattr("depthrt.model.session.import_onnxruntime", refuse)
    monkeypatch.setattr(diagnosis, "distributions", list)
    report = examine()
    assert report.exit_code == 5
    assert report.providers == {"none": "onnxruntime is not installed"}
    (problem,) = report.problems
    assert problem.startswith(
        f"no onnxruntime wheel: {install_command('cpu')} ([gpu] or [openvino]"
    )


def test_a_missing_codec_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(diagnosis.CODECS, "H.264 encoder", ("no_such_codec", "w"))
    report = examine()
    assert report.codecs["H.264 encoder"] is False
    assert report.problems == ["H.264 encoder is missing: reinstall av"]
    assert report.exit_code == 1


def test_what_an_engineer_asks_first_is_said(command: Command) -> None:
    text = command("doctor").out
    for fact in ("system: ", "cores: ", "memory: ", "FFmpeg ", "extra export: ", "tunings: "):
        assert f"\n{fact}" in text
    found = command("doctor", "--json").document
    assert found["cores_of"]["usable"] == found["cores"]
    assert Path(found["place"], "__init__.py").is_file()
    assert set(found["extras"]) == {"export", "bench", "hub", "track"}


def test_what_limits_the_cores_is_said() -> None:
    assert cores_line({"usable": 4, "of": 4, "mask": 4, "quota": None}) == "cores: 4 usable of 4"
    limited = cores_line({"usable": 2, "of": 32, "mask": 8, "quota": 2})
    assert limited.startswith("cores: 2 usable of 32 (8 by the affinity mask, 2 by the container")
    assert cores_line({"usable": 8, "of": 8, "mask": None, "quota": None}).endswith("8 usable of 8")


def test_a_missing_extra_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = machine.find_spec
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name == "torch" else found(name))
    assert machine.extras()["export"] == f"no torch: {install_command('export')}"


def test_gpus_are_what_the_driver_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus() == []
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200, 570.1, 143771 MiB'\n")
    tool.chmod(0o755)
    assert machine.gpus() == ["NVIDIA H200, 570.1, 143771 MiB"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine.gpus() == []
