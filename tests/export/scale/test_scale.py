"""`depthrt scale` on files: what the graph gives, what the spec says, and how it is typed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from depthrt.model.golden.replay import golden_of, replay
from depthrt.monitor.reference import REFERENCE_KEY
from depthrt.spec import METADATA_KEY, InputSpec, ModelSpec
from depthrt_export.scale.fit import Line
from depthrt_export.scale.write import append_metres, as_float32
from helpers.commands import Command
from helpers.models.small_model import SIZE, build_model, build_spec, expected_depth

SCALE, SHIFT = 0.01, 0.02
PIXELS = [(3, 2), (60, 5), (10, 30), (33, 20), (50, 44), (5, 45), (25, 9), (44, 33)]
Picture = NDArray[np.uint8]


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def picture(seed: int = 1, size: tuple[int, int] = SIZE) -> Picture:
    """A picture (RGB) of smooth colours, at the network's size unless said otherwise."""
    coarse = np.random.default_rng(seed).integers(20, 230, (4, 5, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)


def d_of(image: Picture) -> NDArray[np.float64]:
    """What the tiny model gives for it."""
    return expected_depth(image.transpose(2, 0, 1)[None])[0].astype(np.float64)


def save(folder: Path, name: str, image: Picture) -> Path:
    path = folder / name
    assert cv2.imwrite(str(path), image[..., ::-1])
    return path


def tape(image: Picture, pixels: list[tuple[int, int]] = PIXELS) -> list[str]:
    """--at options of a picture for which the tiny model's line is known."""
    metres = 1 / (SCALE * d_of(image) + SHIFT)
    return [word for x, y in pixels for word in ("--at", f"{x},{y}={metres[y, x]:.9g}")]


def run(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The file in plain onnxruntime; pixels N,3,H,W."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["depth"], {"image": pixels})[0], np.float32)


def wanted(d: NDArray[Any], line: dict[str, Any]) -> NDArray[np.float64]:
    """The formula, as the documentation has it."""
    y = line["scale"] * d.astype(np.float64) + (line["shift"] or 0)
    near, far = line["nearest_m"], line["farthest_m"]
    return np.clip(y, near, far) if line["kind"] == "depth" else 1 / np.clip(y, 1 / far, 1 / near)


def test_metres_in_plain_onnxruntime(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt("scale", model, shown, *tape(image), "-o", target, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    about = outcome.document
    assert about["fit"]["scale"] == pytest.approx(SCALE, rel=1e-4)
    assert about["fit"]["shift"] == pytest.approx(SHIFT, rel=1e-3)
    assert about["formula"] == "1/metres = 0.01 x depth + 0.02"
    assert about["error"]["abs_rel"] < 1e-4
    assert about["worst_difference"] <= 1e-6

    batch = np.stack([image, picture(2), np.zeros_like(image)]).transpose(0, 3, 1, 2)
    metres = run(target, batch)
    assert metres == pytest.approx(wanted(expected_depth(batch), about["fit"]), rel=1e-6)
    loaded = DepthModel.load(target, provider="cpu")
    assert (loaded.spec.kind, loaded.spec.unit, loaded.spec.name) == ("depth", "m", "metric")
    x, y = PIXELS[0]
    truth = 1 / (SCALE * d_of(image)[y, x] + SHIFT)
    assert loaded(image).at_image_size()[y, x] == pytest.approx(truth, rel=1e-3)


def test_what_the_file_says_of_itself(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    spec = replace(build_spec(), output_range=(10.0, 200.0), provenance={"source": "mine"})
    model, target = build_model(tmp_path / "tiny.onnx", spec=spec), tmp_path / "metric.onnx"
    depthrt("scale", model, shown, *tape(image), "-o", target, "--farthest", "40")
    made = DepthModel.load(target, provider="cpu").spec
    assert made.valid_range == pytest.approx((made.provenance["metres"]["fit"]["nearest_m"], 40))
    assert made.output_range == pytest.approx((1 / 2.02, 1 / 0.12), rel=1e-3)
    assert made.provenance["source"] == "mine"
    about = made.provenance["metres"]
    assert about["of"] == {
        "name": "tiny",
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "kind": "inverse_depth",
        "unit": None,
    }
    assert about["pictures"] == [
        {"name": "room.png", "sha256": hashlib.sha256(shown.read_bytes()).hexdigest()}
    ]
    assert [(p["x"], p["y"]) for p in about["points"]] == PIXELS
    assert (about["point_count"], about["outlier_count"]) == (8, 0)
    assert str(tmp_path) not in made.to_json()


def test_the_words_of_the_terminal(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    wrong = ["--at", "20,20=99"]
    outcome = depthrt("scale", model, shown, *tape(image), *wrong, "-o", target)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "1/metres = 0.01 x depth + 0.02"
    assert lines[1].startswith("9 points at ")
    assert lines[1].endswith(" to 99 m in 1 picture")
    assert lines[2].startswith("AbsRel of a point left out: .1")
    expected = 1 / (SCALE * d_of(image)[20, 20] + SHIFT)
    assert lines[3] == f"left out: room.png (20, 20): 99 m given, {expected:.3g} m by the others"
    assert lines[-1].startswith(f"{target}: depth in m, kept within ")
    document = DepthModel.load(target).spec.provenance["metres"]
    assert document["points"][-1] == {
        "image": "room.png", "x": 20.0, "y": 20.0, "metres": 99.0, "outlier": True
    }  # fmt: skip


def test_several_pictures_of_any_size(depthrt: Command, tmp_path: Path) -> None:
    rows = ["image,x,y,metres"]
    for number in range(3):
        image = picture(number, (96, 128))
        save(tmp_path, f"{number}.png", image)
        for x, y in ((20, 20), (100, 40), (60, 80)):
            d = d_of(image[y - 2 : y + 3, x - 2 : x + 3]).mean()
            rows.append(f"{number}.png,{x},{y},{1 / (SCALE * d + SHIFT):.6g}")
    table = tmp_path / "tape.csv"
    table.write_text("\n".join(rows))
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt("scale", model, "--points", table, "-o", target, "--json")
    assert outcome.code == 0, outcome.err
    about = outcome.document
    assert about["error"]["left_out"] == "picture"
    assert [p["name"] for p in about["pictures"]] == ["0.png", "1.png", "2.png"]
    assert about["fit"]["scale"] == pytest.approx(SCALE, rel=0.03)
    assert about["error"]["abs_rel"] < 0.03


def test_lidar(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    depth = np.zeros(SIZE, np.uint16)
    metres = 1 / (SCALE * d_of(image) + SHIFT)
    depth[::3, ::5] = (metres[::3, ::5] * 5000).round().astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "lidar.png"), depth)
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt(
        "scale", model, shown, "--lidar", tmp_path / "lidar.png", "--lidar-unit", "0.0002",
        "-o", target, "--json",
    )  # fmt: skip
    about = outcome.document
    assert about["fit"]["scale"] == pytest.approx(SCALE, rel=1e-3)
    assert about["point_count"] == len(about["points"]) == 16 * 13
    assert len(about["spec"]["provenance"]["metres"]["points"]) == 100
    assert about["error"]["left_out"] == "group of points"


def test_relative_depth_and_then_metres_again(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    d = d_of(image)
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    spec = ModelSpec("farther", "depth", InputSpec(*SIZE))
    model = build_model(tmp_path / "tiny.onnx", spec=spec)
    words = [w for x, y in PIXELS for w in ("--at", f"{x},{y}={0.05 * d[y, x] + 1:.9g}")]
    about = depthrt("scale", model, shown, *words, "-o", first, "--json").document
    assert about["formula"] == "metres = 0.05 x depth + 1"
    pixels = image.transpose(2, 0, 1)[None]
    assert run(first, pixels)[0] == pytest.approx(wanted(d, about["fit"]), rel=1e-6)

    words = [w for x, y in PIXELS for w in ("--at", f"{x},{y}={2 * (0.05 * d[y, x] + 1):.9g}")]
    again = depthrt("scale", first, shown, *words, "-o", second, "--json").document
    assert again["formula"] == "metres = 2 x depth"
    assert again["of"]["metres"]["formula"] == "metres = 0.05 x depth + 1"
    assert run(second, pixels) == pytest.approx(2 * run(first, pixels), rel=1e-6)


def test_an_open_size_and_several_outputs(tmp_path: Path) -> None:
    path = build_model(tmp_path / "tiny.onnx", dynamic_size=True)
    model = onnx.load(path)
    # Another output that is made from depth must go on reading the depth before.
    model.graph.node.append(helper.make_node("Neg", ["depth"], ["confidence"]))
    shape = ["batch", "height", "width"]
    model.graph.output.append(helper.make_tensor_value_info("confidence", TensorProto.FLOAT, shape))
    spec = replace(build_spec(), outputs=("confidence",))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    line = as_float32(Line("inverse_depth", SCALE, None, 0.1, 30))
    names = append_metres(model, line)
    assert names == ["metres/Mul", "metres/Max", "metres/Min", "metres/Reciprocal"]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for size in ((32, 40), (64, 33)):
        pixels = picture(3, size).transpose(2, 0, 1)[None].repeat(2, axis=0)
        depth, confidence = session.run(["depth", "confidence"], {"image": pixels})
        d = expected_depth(pixels)
        assert confidence == pytest.approx(-d, rel=1e-6)
        assert depth == pytest.approx(line.metres(d.astype(np.float64)), rel=1e-6)


def test_points_where_depth_means_nothing(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    path, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    model = onnx.load(path)
    d = d_of(image)
    lost = [(x, y) for x, y in PIXELS if d[y, x] <= np.median(d)][:2]
    limit = max(d[y, x] for x, y in lost) + 1e-3
    model.graph.initializer.append(numpy_helper.from_array(np.array(limit, np.float32), "limit"))
    model.graph.node.append(helper.make_node("Greater", ["depth", "limit"], ["valid"]))
    shape = ["batch", *SIZE]
    model.graph.output.append(helper.make_tensor_value_info("valid", TensorProto.BOOL, shape))
    spec = replace(build_spec(), outputs=("valid",))
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
    about = depthrt("scale", path, shown, *tape(image), "-o", target, "--json").document
    left = [(x, y) for x, y in PIXELS if d[y, x] > limit]
    assert [(p["x"], p["y"]) for p in about["points"]] == left
    count = len(PIXELS) - len(left)
    assert about["notes"][0] == (
        f"{count} points left out: the model says that its depth means nothing there"
    )
    assert DepthModel.load(target).spec.outputs == ("valid",)
    assert about["fit"]["scale"] == pytest.approx(SCALE, rel=1e-3)


def test_a_graph_that_keeps_the_aspect(depthrt: Command, tmp_path: Path) -> None:
    image = picture(5, (96, 192))
    shown = save(tmp_path, "room.png", image)
    spec = ModelSpec("wide", "inverse_depth", InputSpec(*SIZE, "keep_aspect", 16))
    model = build_model(tmp_path / "tiny.onnx", spec=spec, dynamic_size=True)
    target = tmp_path / "metric.onnx"
    before = DepthModel.load(model, provider="cpu")
    d = before(image).at_image_size()
    pixels = [(10, 10), (150, 30), (90, 60), (30, 80), (180, 85)]
    words = [w for x, y in pixels for w in ("--at", f"{x},{y}={1 / (0.01 * d[y, x] + 0.02):.9g}")]
    about = depthrt("scale", model, shown, *words, "-o", target, "--json").document
    assert about["formula"] == "1/metres = 0.01 x depth + 0.02"
    after = DepthModel.load(target, provider="cpu")
    assert after.dynamic_size
    for size in ((96, 192), (100, 60)):
        values = [loaded(picture(6, size)).values for loaded in (before, after)]
        assert values[1] == pytest.approx(wanted(values[0], about["fit"]), rel=1e-6)


def test_nan_of_the_network_stays_seen(tmp_path: Path) -> None:
    path = build_model(tmp_path / "tiny.onnx", gain=float("nan"))
    model = onnx.load(path)
    append_metres(model, as_float32(Line("inverse_depth", 1, 0, 0.1, 30)))
    onnx.save(model, path)
    assert np.isnan(run(path, picture().transpose(2, 0, 1)[None])).all()


def test_the_built_in_model_stays_int8_and_proven(depthrt: Command, tmp_path: Path) -> None:
    image = picture(4, (180, 240))
    shown, target = save(tmp_path, "room.png", image), tmp_path / "metric.onnx"
    before = DepthModel.load(provider="cpu")
    d = before(image).at_image_size()
    pixels = [(10, 10), (200, 30), (120, 90), (30, 150), (220, 170), (80, 60), (150, 20)]
    words = [w for x, y in pixels for w in ("--at", f"{x},{y}={1 / (0.1 * d[y, x] + 0.01):.9g}")]
    about = depthrt("scale", "depthrt-s", shown, *words, "-o", target, "--json").document
    assert about["spec"]["precision"] == "int8"
    assert about["spec"]["float_nodes"][-1] == "metres/Reciprocal"
    kinds = [[n.op_type for n in onnx.load(p).graph.node] for p in (find_model(None), target)]
    assert kinds[1][: len(kinds[0])] == kinds[0]
    assert kinds[1][len(kinds[0]) :] == ["Mul", "Add", "Max", "Min", "Reciprocal"]
    metadata = {p.key: p.value for p in onnx.load(target).metadata_props}
    assert metadata["depthrt_weight_bits"] == "7"
    after = DepthModel.load(target, provider="cpu")
    assert after(image).values == pytest.approx(
        wanted(before(image).values, about["fit"]), rel=1e-5
    )
    golden, earlier = golden_of(after), golden_of(before)
    assert golden is not None
    assert earlier is not None
    assert [f.picture for f in golden.frames] == [f.picture for f in earlier.frames]
    assert max(replay(after, frame).error for frame in golden.frames) < 1e-3
    assert golden.tolerance.others >= earlier.tolerance.others
    assert "then 1/metres" in golden.by


def test_a_reference_of_drift_does_not_outlive_the_unit(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    graph = onnx.load(model)
    graph.metadata_props.add(key=REFERENCE_KEY, value="{}")
    onnx.save(graph, model)
    about = depthrt("scale", model, shown, *tape(image), "-o", target, "--json").document
    assert any("reference of drift" in note for note in about["notes"])
    assert REFERENCE_KEY not in {entry.key for entry in onnx.load(target).metadata_props}


def test_nothing_is_overwritten_unasked(depthrt: Command, tmp_path: Path) -> None:
    image = picture()
    shown = save(tmp_path, "room.png", image)
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    target.write_bytes(b"dear to somebody")
    command = ("scale", model, shown, *tape(image), "-o", target)
    outcome = depthrt(*command)
    assert outcome.code == 2
    assert outcome.complaint == f"{target} exists: give another output or --overwrite"
    assert target.read_bytes() == b"dear to somebody"
    assert depthrt(*command, "--overwrite").code == 0
    assert DepthModel.load(target).spec.unit == "m"
    for read in (model, shown):
        before = read.read_bytes()
        outcome = depthrt(*command[:-1], read.with_suffix(".onnx"), "--overwrite")
        assert outcome.code in (0, 2)
        assert read.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "metric.onnx", "room.onnx", "room.png", "tiny.onnx"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "no distance is given: say --at X,Y=METRES, --points or --lidar"),
        (["--at", "64,3=2", *tape(picture())], 2, "room.png (64, 3) lies outside the picture"),
        (["--at", "3,-1=2", *tape(picture())], 2, "room.png (3, -1) lies outside the picture"),
        (tape(picture(), PIXELS[:2]), 2, "2 points cannot tell"),
        (["--lidar", "a.png", "--lidar", "b.png"], 2, "2 --lidar for 1 pictures: give one for"),
        (["--points", "none.csv"], 2, "none.csv cannot be read as CSV"),
        ([*tape(picture()), "--farthest", "nan"], 2, "--farthest nan is not a number of metres"),
        ([*tape(picture()), "--max-error", "0"], 3, "the points do not fit the model: AbsRel of a"),
        ([*tape(picture()), "--max-error", "0"], 3, "raise --max-error; worst points: room.png ("),
        ([*tape(picture()), "second.png"], 2, "--at is a pixel of one picture, and 2 are named"),
    ],
)  # fmt: skip
def test_refusals(
    depthrt: Command, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    shown = save(tmp_path, "room.png", picture())
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    outcome = depthrt("scale", model, shown, *words, "-o", target)
    assert outcome.code == code
    assert sentence in outcome.complaint
    assert not target.exists()


def test_other_files_that_are_none(depthrt: Command, tmp_path: Path) -> None:
    shown = save(tmp_path, "room.png", picture())
    model = build_model(tmp_path / "tiny.onnx")
    at = tape(picture())
    for command, sentence in (
        ((model, shown, *at, "-o", tmp_path / "metric.pt"), "does not end in .onnx"),
        ((model, tmp_path / "no.png", *at, "-o", tmp_path / "m.onnx"), "no.png cannot be read"),
        ((model, model, *at, "-o", tmp_path / "m.onnx"), "is no image that can be decoded"),
        ((shown, shown, *at, "-o", tmp_path / "m.onnx"), "room.png"),
        (("nothing", shown, *at, "-o", tmp_path / "m.onnx"), "no model file and no built-in"),
    ):
        outcome = depthrt("scale", *command)
        assert outcome.code == 2
        assert sentence in outcome.complaint
    assert sorted(p.name for p in tmp_path.iterdir()) == ["room.png", "tiny.onnx"]


def test_neither_torch_nor_a_missing_onnx(tmp_path: Path) -> None:
    shown = save(tmp_path, "room.png", picture())
    model = build_model(tmp_path / "tiny.onnx")
    words = ["scale", str(model), str(shown), *tape(picture()), "-o", str(tmp_path / "m.onnx")]
    code = (
        "import sys, importlib.util as u\n"
        "from depthrt.cli import main\n"
        "sys.argv = ['depthrt', *{words!r}]\n"
        "{before}\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print('torch' in sys.modules, end.code)\n"
    )
    gone = "find = u.find_spec; u.find_spec = lambda n, *a: None if n == 'onnx' else find(n, *a)"
    for before, said in (("", "False 0"), (gone, "False 2")):
        script = code.format(words=words, before=before)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == said, done.stderr
    assert "onnx, which scale needs, is not installed: pip install" in done.stderr
    assert "[onnx]" in done.stderr


def test_the_json_has_no_path_in_the_spec(depthrt: Command, tmp_path: Path) -> None:
    shown = save(tmp_path, "room.png", picture())
    model, target = build_model(tmp_path / "tiny.onnx"), tmp_path / "metric.onnx"
    document = depthrt("scale", model, shown, *tape(picture()), "-o", target, "--json").document
    assert document["output"] == str(target)
    assert str(tmp_path) not in json.dumps(document["spec"])
