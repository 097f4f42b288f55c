"""KServe's manifest: what it says, and against KServe's own classes where they are installed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from depthrt.errors import TargetError, UsageError
from depthrt_export.deploy.depth_file import open_depth_file
from depthrt_export.deploy.kserve import service_name, write_kserve
from depthrt_export.deploy.settings import KserveSettings, TritonSettings, parse_replicas
from helpers.models.small_model import SIZE, build_model, build_spec
from helpers.web.triton_message import parse_config


def manifest(folder: Path, settings: KserveSettings, name: str = "tiny") -> Any:
    model = build_model(folder / "m.onnx", spec=build_spec(name=name))
    done = write_kserve(
        open_depth_file(model), folder / "k", TritonSettings(), settings, overwrite=False
    )
    return yaml.safe_load(done.place.read_text(encoding="utf-8"))


def test_the_manifest_serves_the_repository_beside_it(tmp_path: Path) -> None:
    settings = KserveSettings(
        "s3://bucket/depth", "vision", "500m", "3Gi", gpus=1, replicas=(0, 5), canary=10
    )
    found = manifest(tmp_path, settings)
    model = open_depth_file(tmp_path / "m.onnx")
    amounts = {"cpu": "500m", "memory": "3Gi", "nvidia.com/gpu": "1"}
    assert found == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "tiny",
            "namespace": "vision",
            "annotations": {"depthrt.io/model": "tiny", "depthrt.io/sha256": model.sha256},
        },
        "spec": {
            "predictor": {
                "minReplicas": 0,
                "maxReplicas": 5,
                "canaryTrafficPercent": 10,
                "model": {
                    "modelFormat": {"name": "onnx"},
                    "runtime": "kserve-tritonserver",
                    "protocolVersion": "v2",
                    "storageUri": "s3://bucket/depth",
                    "resources": {"requests": amounts, "limits": amounts},
                },
            }
        },
    }
    config = parse_config(tmp_path / "k" / "models" / "tiny" / "config.pbtxt")
    assert [*config.input[0].dims] == [3, *SIZE]


def test_without_a_place_a_volume_claim_is_named_and_said(tmp_path: Path) -> None:
    model = open_depth_file(build_model(tmp_path / "m.onnx"))
    done = write_kserve(model, tmp_path / "k", TritonSettings(), KserveSettings(), overwrite=False)
    found = yaml.safe_load(done.place.read_text(encoding="utf-8"))["spec"]["predictor"]
    assert found["model"]["storageUri"] == "pvc://depthrt-models/tiny"
    assert "canaryTrafficPercent" not in found
    assert "# canaryTrafficPercent: 10" in done.place.read_text(encoding="utf-8")
    assert "pvc://depthrt-models/tiny (--storage-uri says another place)" in done.notes[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("depthrt-s", "depthrt-s"),
        ("LiheYoung/Depth_Anything", "liheyoung-depth-anything"),
        ("3d net", "depth-3d-net"),
        ("深度", "depth"),
        ("x" * 80, "x" * 40),
    ],
)
def test_names_are_what_kubernetes_takes(tmp_path: Path, name: str, expected: str) -> None:
    found = manifest(tmp_path, KserveSettings(), name)["metadata"]
    assert found["name"] == expected
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", found["name"])
    assert found["annotations"]["depthrt.io/model"] == name
    assert service_name(open_depth_file(tmp_path / "m.onnx")) == expected


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"storage_uri": "/srv/models"}, "begins with none of s3://"),
        ({"storage_uri": "ftp://a/b"}, "begins with none of s3://"),
        ({"cpus": "two"}, "no number of cores"),
        ({"memory": "2 GB"}, "no amount of memory"),
        ({"namespace": "My Space"}, "small letters"),
        ({"replicas": (3, 1)}, "the least first"),
    ],
)
def test_what_kubernetes_would_refuse_is_refused_at_once(
    tmp_path: Path, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        manifest(tmp_path, KserveSettings(**wrong))
    assert not (tmp_path / "k").exists()


def test_a_manifest_that_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "inferenceservice.yaml").write_text("mine")
    with pytest.raises(TargetError):
        manifest(tmp_path, KserveSettings())
    assert [path.name for path in (tmp_path / "k").iterdir()] == ["inferenceservice.yaml"]
    assert (tmp_path / "k" / "inferenceservice.yaml").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "a", "1-2-3", "3-1", "0", "-1", "1-", "9999999"])
def test_replicas_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="--replicas"):
        parse_replicas(text)


def test_replicas_are_a_number_or_a_range() -> None:
    assert parse_replicas("2") == (2, 2)
    assert parse_replicas("0-4") == (0, 4)


def test_every_field_is_one_of_kserves(tmp_path: Path) -> None:
    """Against the classes that KServe generates from its published schema."""
    models: Any = pytest.importorskip(
        "kserve.models", reason="the package kserve is not installed", exc_type=ImportError
    )
    found = manifest(
        tmp_path, KserveSettings("s3://b/d", "vision", gpus=1, replicas=(0, 2), canary=20)
    )
    _check_fields(models, "V1beta1InferenceService", found)


def _check_fields(models: Any, kind: str, content: dict[str, Any]) -> None:
    known = getattr(models, kind)
    by_key = {key: name for name, key in known.attribute_map.items()}
    assert set(content) <= set(by_key), f"{kind} has no {set(content) - set(by_key)}"
    values = {by_key[key]: value for key, value in content.items()}
    known(**values)  # its setters refuse values of required fields that are missing
    for name, value in values.items():
        inner = known.openapi_types[name]
        if isinstance(value, dict) and hasattr(models, inner):
            _check_fields(models, inner, value)
