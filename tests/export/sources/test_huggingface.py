"""Folders of ``save_pretrained``: what is read from them, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from depthrt.errors import DepthrtError, ModelError, UsageError
from depthrt.spec import Resize
from depthrt_export.options import SourceOptions
from depthrt_export.sources.huggingface import load_huggingface
from depthrt_export.sources.huggingface_config import from_processor
from depthrt_export.sources.outputs import OptionalForm
from depthrt_export.sources.torch_network import probe
from experiments.quantisation.depth_families import FAMILIES, save


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(FAMILIES["depth-anything"], tmp_path_factory.mktemp("hub") / "Depth_Anything-tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder that a test may damage."""
    return Path(shutil.copytree(folder, tmp_path / "model"))


def edit(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def test_spec_comes_from_the_files(folder: Path) -> None:
    network = load_huggingface(str(folder))
    assert (network.name, network.kind, network.unit) == (
        "Depth-Anything-tiny",
        "inverse_depth",
        None,
    )
    assert (network.input.height, network.input.width, network.input.multiple_of) == (70, 70, 14)
    assert network.input.resize == "stretch"
    assert network.input.interpolation == "cubic"
    assert network.normalisation.mean == (0.485, 0.456, 0.406)
    assert network.normalisation.std == (0.229, 0.224, 0.225)
    assert network.normalisation.scale == pytest.approx(1 / 255)
    assert network.provenance["source"] == folder.name
    assert network.provenance["model_type"] == "depth_anything"
    assert len(network.provenance["checkpoint_sha256"]) == 64
    assert not network.module.training


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_the_weights_does_not_run(zipped: bool, copy: Path, tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    (copy / "model.safetensors").unlink()
    weights = copy / "pytorch_model.bin"
    torch.save({"extra": Touch()}, weights, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelError) as caught:
        load_huggingface(str(copy))
    assert str(caught.value) == (
        f"the weights of {copy} hold code (posix.mkdir), and no code of a model's folder is run: "
        "save its state dict alone"
    )
    assert not (tmp_path / "ran").exists()


def test_attention_of_the_hub_is_not_fetched(copy: Path) -> None:
    edit(copy / "config.json", _attn_implementation="somebody/attention")
    with pytest.raises(ModelError, match=r"code of the Hugging Face hub \(somebody/attention\)"):
        load_huggingface(str(copy))


def test_code_in_a_folder_is_not_imported(copy: Path, tmp_path: Path) -> None:
    (copy / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'ran')!r})\n")
    for name in ("config.json", "preprocessor_config.json"):
        kinds = ("AutoConfig", "AutoModelForDepthEstimation", "AutoImageProcessor")
        edit(copy / name, auto_map=dict.fromkeys(kinds, "evil.Anything"))
    assert load_huggingface(str(copy)).kind == "inverse_depth"
    assert not (tmp_path / "ran").exists()


def test_options_win(folder: Path) -> None:
    options = SourceOptions(size=(56, 84), name="mine", kind="depth", licence="MIT")
    network = load_huggingface(str(folder), options)
    assert (network.input.height, network.input.width) == (56, 84)
    assert (network.name, network.kind, network.unit) == ("mine", "depth", None)
    assert network.licence == "MIT"
    depth = network.module(torch.zeros(1, 3, 56, 84))
    assert depth.shape == (1, 56, 84)


@pytest.mark.parametrize(
    ("keeps", "resize", "said"), [(True, None, True), (True, "pad", False), (False, None, False)]
)
def test_a_stretch_that_the_processor_would_not_make_is_said(
    keeps: bool, resize: Resize | None, said: bool, copy: Path
) -> None:
    edit(copy / "preprocessor_config.json", keep_aspect_ratio=keeps)
    network = load_huggingface(str(copy), SourceOptions(resize=resize))
    assert ("keeps the aspect" in network.assumed.get("resize", "")) == said


def test_licence_comes_from_the_model_card(copy: Path) -> None:
    (copy / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    assert load_huggingface(str(copy)).licence == "apache-2.0"


@pytest.mark.parametrize("name", FAMILIES)
def test_meaning_of_every_family(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    network = load_huggingface(str(save(family, tmp_path / name)), SourceOptions(size=family.size))
    expected = {
        "depth-anything-metric": ("depth", "m", (0.0, 20.0)),
        "prompt-depth-anything": ("depth", None, None),
        "dpt-dinov2": ("depth", "m", None),
        "zoedepth": ("depth", "m", (0.001, 10.0)),
        "glpn": ("depth", "m", (0.0, 10.0)),
        "depth-pro": ("depth", "m", (1e-4, 1e4)),
    }.get(name, ("inverse_depth", None, None))
    assert (network.kind, network.unit, network.valid_range) == expected


def test_depth_pro_is_metric_as_its_processor_computes_it(tmp_path: Path) -> None:
    network = load_huggingface(str(save(FAMILIES["depth-pro"], tmp_path / "pro")))
    pixels = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        output = network.module.model(pixel_values=pixels)  # type: ignore[operator]
        width = 640  # any: it cancels
        focal_length = 0.5 * width / torch.tan(0.5 * torch.deg2rad(output.field_of_view))
        expected = 1 / (output.predicted_depth * width / focal_length).clamp(1e-4, 1e4)
        found = network.module(pixels)
        torch.testing.assert_close(found["depth"], expected)
        torch.testing.assert_close(found["fov_deg"], output.field_of_view.reshape(-1))


def test_depth_pro_gives_its_field_of_view(tmp_path: Path) -> None:
    form = probe(load_huggingface(str(save(FAMILIES["depth-pro"], tmp_path / "pro"))))
    assert (form.key, form.optional) == ("depth", (OptionalForm("fov_deg", "fov_deg"),))
    assert form.said == ("fov_deg (taken for the horizontal angle in degrees)",)
    folder = str(tmp_path / "pro")
    form = probe(load_huggingface(folder, SourceOptions(also={})))
    assert (form.key, form.optional, form.said) == ("depth", (), ())


@pytest.mark.parametrize(
    ("settings", "stride", "found"),
    [
        ({"size": 384}, 1, {"size": (384, 384), "multiple_of": 1, "interpolation": "linear"}),
        ({"ensure_multiple_of": 1 / 32}, 16, {"multiple_of": 16}),
        ({"size_divisor": 32, "resample": 2}, 1, {"multiple_of": 32, "interpolation": "linear"}),
        ({"ensure_multiple_of": 14}, 4, {"multiple_of": 28}),
        ({"do_rescale": False}, 1, {"scale": 1.0}),
        ({"rescale_factor": 0.5, "image_mean": 0.5, "image_std": 0.25}, 1, {"scale": 0.5}),
    ],
)
def test_processor_settings(settings: dict[str, Any], stride: int, found: dict[str, Any]) -> None:
    assert found.items() <= from_processor(settings, stride).items()


def test_no_normalisation_without_do_normalize() -> None:
    settings = {"do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    assert "mean" not in from_processor(settings, 1)


def refusal(source: Path | str, options: SourceOptions | None = None) -> DepthrtError:
    with pytest.raises(DepthrtError) as caught:
        load_huggingface(str(source), options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_size_that_does_not_fit_names_the_nearest(folder: Path) -> None:
    assert "70x70" in str(refusal(folder, SourceOptions(size=(71, 72))))


def test_processor_without_a_size_asks_for_one(tmp_path: Path) -> None:
    assert "--size" in str(refusal(save(FAMILIES["glpn"], tmp_path / "glpn")))


def test_folder_without_config(tmp_path: Path) -> None:
    assert "config.json" in str(refusal(tmp_path))


def test_unreadable_config(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    assert isinstance(refusal(copy), ModelError)


def test_unknown_model_type(copy: Path) -> None:
    edit(copy / "config.json", model_type="never-heard-of")
    assert isinstance(refusal(copy), ModelError)


def test_model_without_depth_head(copy: Path) -> None:
    (copy / "config.json").write_text(json.dumps({"model_type": "vit"}))
    error = refusal(copy)
    assert "vit" in str(error)
    assert "depth_anything" in str(error)


def test_missing_processor(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    assert "preprocessor_config.json" in str(refusal(copy))


def test_missing_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    assert isinstance(refusal(copy), ModelError)


def test_weights_of_another_shape(copy: Path) -> None:
    edit(copy / "config.json", fusion_hidden_size=24)
    assert isinstance(refusal(copy), ModelError)


def test_weights_that_the_checkpoint_lacks(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    unused = [n for n in state if n.startswith("neck.fusion_stage.layers.0.residual_layer1.")]
    assert unused, "DPT's first fusion block has a residual unit that nothing reads"
    kept = {name: value for name, value in state.items() if name not in unused}
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    assert load_huggingface(str(copy)).kind == "inverse_depth"
    del kept["head.conv3.weight"]
    save_file(kept, copy / "model.safetensors", metadata={"format": "pt"})
    assert "head.conv3.weight" in str(refusal(copy))


def test_zoedepth_with_two_heads(tmp_path: Path) -> None:
    folder = save(FAMILIES["zoedepth"], tmp_path / "zoe")
    bins = [{"name": n, "n_bins": 8, "min_depth": 0.1, "max_depth": 9.0} for n in ("nyu", "kitti")]
    edit(folder / "config.json", bin_configurations=bins)
    assert "one head" in str(refusal(folder))


def test_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("We couldn't connect to 'https://huggingface.co'.\nCheck your connection.")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", offline)
    error = refusal("someone/some-model")
    assert isinstance(error, UsageError)
    assert "hub" in str(error)


def test_a_checkpoint_beside_a_folder_is_refused(folder: Path) -> None:
    assert "--checkpoint" in str(refusal(folder, SourceOptions(checkpoint=Path("x.pt"))))


@pytest.mark.parametrize(
    "content", ["[" * 100_000, "{" * 10, "[1, 2]", '"text"', '{"image_mean": ' + "[" * 100_000]
)
def test_a_hostile_processor_is_one_sentence(copy: Path, content: str) -> None:
    (copy / "preprocessor_config.json").write_text(content)
    assert "preprocessor_config.json" in str(refusal(copy))
