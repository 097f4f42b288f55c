"""`depthrt doctor` says what is broken, and ends accordingly."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import Command
from depthrt.errors import ProviderError
from depthrt.installation import install_command
from depthrt.jobs import doctor as diagnosis
from depthrt.jobs.doctor import examine, onnxruntime_wheels


@pytest.fixture(autouse=True)
def _providers_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "usable_providers", lambda: {"cpu": "works"})


def install(folder: Path, name: str) -> None:
    """What pip leaves of a wheel, as importlib.metadata sees it."""
    place = folder / f"{name.replace('-', '_')}-9.9.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")


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
