"""`depthrt deploy`, and `depthrt export --triton` and `--kserve`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from depthrt.model.catalogue.registry import built_in_models
from helpers.commands import Command
from helpers.models.small_model import build_model
from helpers.web.triton_message import parse_config

NETWORKS = Path(__file__).parents[2] / "networks"


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def test_a_finished_file_goes_to_both_as_it_is(tmp_path: Path, depthrt: Command) -> None:
    model = build_model(tmp_path / "m.onnx")
    outcome = depthrt(
        "deploy", model, "--triton", tmp_path / "repo", "--kserve", tmp_path / "k",
        "--batch", 2, "--device", "cpu", "--replicas", "2-4", "--canary", 25, "--json",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    first, second = outcome.document["deployed"]
    assert first["place"] == str(tmp_path / "repo" / "tiny")
    assert second["place"] == str(tmp_path / "k" / "inferenceservice.yaml")
    config = parse_config(tmp_path / "repo" / "tiny" / "config.pbtxt")
    assert (config.max_batch_size, config.instance_group[0].kind) == (2, 2)  # KIND_CPU
    predictor = yaml.safe_load(Path(second["place"]).read_text())["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 4)
    assert predictor["canaryTrafficPercent"] == 25
    for place in (tmp_path / "repo", tmp_path / "k" / "models"):
        assert (place / "tiny" / "1" / "model.onnx").read_bytes() == model.read_bytes()


def test_export_without_an_output_copies_a_finished_file(tmp_path: Path, depthrt: Command) -> None:
    model = build_model(tmp_path / "m.onnx", batch=1)
    outcome = depthrt("export", model, "--triton", tmp_path / "repo")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1] == f"{tmp_path / 'repo' / 'tiny'} is written"
    assert "does not batch" in outcome.out
    copied = tmp_path / "repo" / "tiny" / "1" / "model.onnx"
    assert copied.read_bytes() == model.read_bytes()


def test_a_quantised_built_in_is_not_exported_anew(tmp_path: Path, depthrt: Command) -> None:
    outcome = depthrt("export", "depthrt-s", "--triton", tmp_path / "repo", "--json")
    assert outcome.code == 0
    (done,) = outcome.document["deployed"]
    copied = Path(done["place"]) / "1" / "model.onnx"
    assert copied.read_bytes() == built_in_models()["depthrt-s"].read_bytes()


def test_an_export_goes_to_triton_when_it_is_proven(
    tmp_path: Path, depthrt: Command, frames: str
) -> None:
    target = tmp_path / "new.onnx"
    outcome = depthrt(
        "export", build_model(tmp_path / "m.onnx"), "-o", target, "--frames", frames,
        "--triton", tmp_path / "repo", "--json",
    )  # fmt: skip
    assert outcome.code == 0
    document = outcome.document
    assert document["model"] == str(target)
    (done,) = document["deployed"]
    assert (Path(done["place"]) / "1" / "model.onnx").read_bytes() == target.read_bytes()


@pytest.mark.parametrize(
    ("rest", "sentence"),
    [
        ((), "-o is missing"),
        (("--triton", "repo", "--precision", "fp16"), "-o is missing"),
        (("--triton", "m.onnx"), "m.onnx is no folder"),
        (("--triton", "no/where"), "there is no folder no to make where in"),
        (("--triton", "here", "--kserve", "here"), "name two folders"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    tmp_path: Path,
    depthrt: Command,
    monkeypatch: pytest.MonkeyPatch,
    rest: tuple[str, ...],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    build_model(tmp_path / "m.onnx")
    outcome = depthrt("export", "m.onnx", *rest)
    assert outcome.code == 2
    assert sentence in outcome.complaint
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_network_without_an_output_is_refused(tmp_path: Path, depthrt: Command) -> None:
    source = f"{NETWORKS / 'odd_ones.py'}:Convolved"
    outcome = depthrt("export", source, "--triton", tmp_path / "repo")
    assert outcome.code == 2
    assert "-o is missing" in outcome.complaint
    assert not (tmp_path / "repo").exists()


def test_a_folder_in_the_way_is_found_before_the_export(tmp_path: Path, depthrt: Command) -> None:
    (tmp_path / "repo").write_text("a file")
    source = f"{NETWORKS / 'odd_ones.py'}:Convolved"
    outcome = depthrt("export", source, "-o", tmp_path / "x.onnx", "--triton", tmp_path / "repo")
    assert outcome.code == 2
    assert "is no folder: a model repository is one" in outcome.complaint
    assert not (tmp_path / "x.onnx").exists()


def test_deploy_says_what_is_missing(tmp_path: Path, depthrt: Command) -> None:
    outcome = depthrt("deploy", build_model(tmp_path / "m.onnx"))
    assert outcome.code == 2
    assert outcome.complaint == "say where it goes: --triton DIR, --kserve DIR or both"
    outcome = depthrt("deploy", tmp_path / "none.onnx", "--triton", tmp_path / "repo")
    assert outcome.code == 2
    assert "no model file at" in outcome.complaint
    assert not (tmp_path / "repo").exists()
