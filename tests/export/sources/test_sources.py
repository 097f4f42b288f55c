"""Every form of a source, and what is said of a network beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from depthrt.errors import DepthrtError, UsageError
from depthrt_export.build.build import build
from depthrt_export.console import Phases
from depthrt_export.options import (
    ExportOptions,
    SourceOptions,
    from_settings,
    parse_kind,
    parse_size,
    parse_three,
)
from depthrt_export.sources.load import load_network
from networks.small_unet import SmallUNet, small_unet

UNET = f"{Path(__file__).parents[2] / 'networks' / 'small_unet.py'}:small_unet"
SAID = SourceOptions(kind="inverse_depth", size=(64, 96), multiple_of=4)


def test_settings_of_a_users_file() -> None:
    network = load_network(UNET, SourceOptions())
    assert (network.name, network.kind, network.licence) == (
        "small-unet", "inverse_depth", "Apache-2.0",
    )  # fmt: skip
    assert (network.input.height, network.input.width, network.input.multiple_of) == (64, 96, 4)
    assert network.normalisation.mean == (0.485, 0.456, 0.406)
    assert network.normalisation.scale == 1 / 255
    assert not network.module.training


def test_command_line_wins_over_settings() -> None:
    said = SourceOptions(name="other", size=(32, 64), kind="depth", unit="m", mean=(0.5,) * 3)
    network = load_network(UNET, said)
    assert (network.name, network.kind, network.unit) == ("other", "depth", "m")
    assert (network.input.height, network.input.width) == (32, 64)
    assert network.normalisation.mean == (0.5, 0.5, 0.5)
    assert network.normalisation.std == (0.229, 0.224, 0.225)


def test_factory_of_an_installed_module() -> None:
    network = load_network("networks.small_unet:small_unet", SourceOptions())
    assert isinstance(network.module, SmallUNet)


def test_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("from torch import nn\nmake = nn.Identity\n")
    (tmp_path / "mine.py").write_text("import neighbour_of_mine as n\ndef net(): return n.make()\n")
    network = load_network(f"{tmp_path / 'mine.py'}:net", SAID)
    assert isinstance(network.module, nn.Identity)
    assert network.name == "net"


@pytest.mark.slow
@pytest.mark.parametrize("form", ["pt2", "torchscript"])
def test_saved_programs_export(form: str, tmp_path: Path, frames: str) -> None:
    path = tmp_path / ("unet.pt2" if form == "pt2" else "unet.pt")
    image = torch.zeros(1, 3, 64, 96)
    if form == "pt2":
        torch.export.save(torch.export.export(small_unet().eval(), (image,)), path)
    else:
        with pytest.warns(DeprecationWarning, match="torch.jit"):
            torch.jit.trace(small_unet().eval(), image).save(str(path))
    report = build(
        str(path), tmp_path / "out.onnx", SAID, ExportOptions(frames=frames), Phases(quiet=True)
    )
    assert report.spec.name == "unet"
    assert report.spec.provenance["source"] == path.name
    assert report.proof.figures["worst_max_error"] < 1e-4


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nothing", "'nothing' is no source of a network"),
        ("absent.py:net", "no file absent.py"),
        ("no_such_package_here:net", "cannot be imported: ModuleNotFoundError"),
        (UNET.rpartition(":")[0], "say which function of"),
        (f"{UNET}x", "has no callable 'small_unetx'"),
    ],
)
def test_source_that_is_none(source: str, sentence: str) -> None:
    with pytest.raises(DepthrtError) as caught:
        load_network(source, SAID)
    assert sentence in str(caught.value)
    assert caught.value.exit_code == 2


def test_weights_alone_are_no_source(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(small_unet().state_dict(), path)
    with pytest.raises(DepthrtError, match="holds weights but no network: give the code as file"):
        load_network(str(path), SAID)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ("", "say what the output means: --kind"),
        ("DEPTHRT = {'kind': 'metric'}", "say the input size: --size"),
        ("DEPTHRT = {'kind': 'far'}", "'far' is none of inverse-depth, depth, metric"),
        ("DEPTHRT = {'colour': 1}", "unknown settings: colour"),
        ("DEPTHRT = {'std': (1, 2)}", "std needs one number or three, not 2"),
        ("DEPTHRT = 3", "is not a dict"),
        ("import nowhere_at_all", "ModuleNotFoundError"),
        ("1 +", "SyntaxError"),
    ],
)
def test_what_nobody_says_is_asked_for(settings: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"from torch import nn\nnet = nn.Identity\n{settings}\n")
    with pytest.raises(DepthrtError) as caught:
        load_network(f"{path}:net", SourceOptions())
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("size", 320, "size is (height, width) in whole pixels, such as (192, 320), not 320"),
        ("size", "192x320", "not '192x320'"),
        ("size", (0, 320), "not (0, 320)"),
        ("size", (-192, 320), "not (-192, 320)"),
        ("size", (192.0, 320.0), "not (192.0, 320.0)"),
        ("size", {192: 320}, "not {192: 320}"),
        ("multiple_of", "32", "multiple_of is a whole number of pixels from 1 on, not '32'"),
        ("multiple_of", 0, "not 0"),
        ("scale", "1/255", "scale is a number, such as 1 / 255, not '1/255'"),
        ("scale", math.nan, "not nan"),
        ("valid_range", 5, "two numbers, the smaller first, such as (0.1, 80), not 5"),
        ("valid_range", (80, 1), "not (80, 1)"),
        ("mean", "0.5,0.5,0.5", "mean is one number or three, not '0.5,0.5,0.5'"),
        ("std", (1, "a", 1), "std is one number or three"),
        ("interpolation", "nearest", "interpolation is one of linear, cubic, area, not 'nearest'"),
        ("resize", "crop", "resize is one of stretch, keep_aspect, pad, not 'crop'"),
        ("unit", "cm", "unit is one of m, not 'cm'"),
        ("name", 5, "name is a text, not 5"),
        (5, 5, "unknown settings: 5"),
    ],
)
def test_settings_of_another_kind_are_one_sentence(
    key: Any, value: object, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        from_settings({"kind": "depth", "size": (64, 64), key: value}, "DEPTHRT in x.py")
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("DEPTHRT in x.py")


def test_settings_may_be_arrays_or_none() -> None:
    found = from_settings(
        {"mean": np.full(3, 0.5, np.float32), "std": None, "size": np.array([64, 96]),
         "scale": None, "resize": "keep-aspect", "valid_range": [0, 80], "kind": "metric",
         "unit": None},
        "x",
    )  # fmt: skip
    assert found == SourceOptions(
        mean=(0.5, 0.5, 0.5), size=(64, 96), resize="keep_aspect", valid_range=(0, 80),
        kind="depth", unit="m",
    )  # fmt: skip
    assert [type(side) for side in found.size or ()] == [int, int]


def test_words_of_the_command_line() -> None:
    assert parse_kind("metric") == ("depth", "m")
    assert parse_kind("inverse-depth") == ("inverse_depth", None)
    assert parse_size("192x320") == (192, 320)
    assert parse_three("0.5", "--mean") == (0.5, 0.5, 0.5)
    assert parse_three("1,2,3", "--mean") == (1.0, 2.0, 3.0)
    assert from_settings({"mean": 116, "size": [4, 6]}, "x").size == (4, 6)
    for text in ("192", "0x3", "ax3", "1x2x3"):
        with pytest.raises(DepthrtError, match="is not HEIGHTxWIDTH"):
            parse_size(text)
    for text in ("a", "1,2", ""):
        with pytest.raises(DepthrtError, match="--std"):
            parse_three(text, "--std")
