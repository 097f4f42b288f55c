"""`depthrt scale` on files: what the graph gives, and what the spec says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
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
from helpers.models.taped_picture import (
    PIXELS,
    SCALE,
    SHIFT,
    d_of,
    picture,
    run,
    save,
    tape,
    wanted,
)


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
