"""What providers compile is kept, and nothing depends on it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from depthrt.errors import ProviderError
from depthrt.jobs import machine
from depthrt.model import session
from depthrt.model.depth_model import DepthModel
from depthrt.model.engines import engine_cache
from depthrt.model.engines.engine_cache import engines_folder, find_engines, obstacle
from depthrt.model.engines.engine_options import CONTEXT_FILE, KEEPING, engine_options
from depthrt.model.providers import SessionOptions, provider_options
from depthrt.model.session import open_session
from depthrt.system import cpu_features
from depthrt.system.machine_key import machine_key
from helpers.models.small_model import build_model, build_slow_model

HAS_OPENVINO = "OpenVINOExecutionProvider" in ort.get_available_providers()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DEPTHRT_ENGINES", raising=False)
    return tmp_path / "cache"


def test_each_provider_is_told_in_its_own_words() -> None:
    folder, timings = Path("/c/one"), Path("/c/timings")
    told = {name: engine_options(name, folder, timings) for name in KEEPING}
    assert told["openvino"].provider == {"cache_dir": "/c/one"}
    assert told["tensorrt"].provider == {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": "/c/one",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/c/timings",
    }
    assert told["coreml"].provider == {"ModelCacheDirectory": "/c/one"}
    assert told["migraphx"].provider == {"migraphx_model_cache_dir": "/c/one"}
    assert told["qnn"].provider == {}
    assert told["qnn"].session == {
        "ep.context_enable": "1",
        "ep.context_file_path": f"/c/one/{CONTEXT_FILE}",
        "ep.context_embed_mode": "0",
    }
    assert all(options.model is None for options in told.values())
    for name in ("cpu", "cuda", "directml"):
        assert engine_options(name, folder, timings) == type(told["qnn"])()


def test_a_compiled_model_that_was_written_is_loaded(tmp_path: Path) -> None:
    written = tmp_path / CONTEXT_FILE
    written.write_bytes(b"compiled")
    options = engine_options("qnn", tmp_path, tmp_path)
    assert (options.model, options.session) == (written, {})


def test_coreml_gets_the_format_that_knows_more_operators() -> None:
    assert provider_options("coreml", SessionOptions("coreml")) == {"ModelFormat": "MLProgram"}


def test_the_folder_is_one_files_on_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = build_model(tmp_path / "a.onnx"), build_model(tmp_path / "b.onnx", gain=2)
    found = {
        name: find_engines(path, provider, ort)
        for name, path, provider in (
            ("one", one, "coreml"),
            ("again", one, "coreml"),
            ("other file", other, "coreml"),
            ("other provider", one, "qnn"),
        )
    }
    monkeypatch.setattr(cpu_features, "name", lambda: "another processor")
    found["other machine"] = find_engines(one, "coreml", ort)
    folders = {name: engines.folder for name, engines in found.items() if engines is not None}
    assert folders.keys() == found.keys()
    assert folders["one"] == folders.pop("again")
    assert len(set(folders.values())) == 4
    assert all(folder.is_dir() and folder.parent == engines_folder() for folder in folders.values())


def test_the_gpu_and_its_driver_decide_on_tensorrts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidia"
    (driver / "gpus" / "0000").mkdir(parents=True)
    (driver / "version").write_text("NVRM version: 570.1\nGCC version: 12\n")
    (driver / "gpus" / "0000" / "information").write_text("Model: A GPU\nIRQ: 7\n")
    monkeypatch.setattr(engine_cache, "_DRIVER", driver)
    model = build_model(tmp_path / "a.onnx")
    before = find_engines(model, "tensorrt", ort)
    assert before is not None
    assert Path(before.options.provider["trt_timing_cache_path"]).is_dir()
    assert before.folder.name.endswith(machine_key(ort, "NVRM version: 570.1", "Model: A GPU"))
    (driver / "version").write_text("NVRM version: 580.2\nGCC version: 12\n")
    after = find_engines(model, "tensorrt", ort)
    assert after is not None
    assert after.folder != before.folder


@pytest.mark.parametrize("provider", ["cpu", "cuda", "directml"])
def test_a_provider_that_compiles_nothing_keeps_nothing(provider: str, tmp_path: Path) -> None:
    assert find_engines(build_model(tmp_path / "a.onnx"), provider, ort) is None
    assert not engines_folder().exists()


def test_the_switch_keeps_nothing_and_doctor_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPTHRT_ENGINES", "0")
    assert find_engines(build_model(tmp_path / "a.onnx"), "coreml", ort) is None
    assert not engines_folder().exists()
    assert machine.engines() == "switched off by DEPTHRT_ENGINES=0"


def test_a_folder_that_cannot_be_made_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert find_engines(build_model(tmp_path / "a.onnx"), "coreml", ort) is None
    assert "0.0 MB, which cannot be written: nothing more is kept" in machine.engines()


def test_doctor_says_where_they_are_and_how_large(tmp_path: Path) -> None:
    found = find_engines(build_model(tmp_path / "a.onnx"), "coreml", ort)
    assert found is not None
    (found.folder / "sub").mkdir()
    (found.folder / "sub" / "blob").write_bytes(b"0" * 1_500_000)
    assert machine.engines().startswith(f"{engines_folder()}, 1.5 MB")


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ((), True),
        (("libopenvino.so.2541",), False),
        (("libopenvino.so", "libopenvino_onnx_frontend.so"), False),
        (("libopenvino.so.2641", "libopenvino_ir_frontend.so.2641"), True),
    ],
)
def test_openvinos_are_kept_where_they_can_be_read_back(
    files: tuple[str, ...], kept: bool, tmp_path: Path
) -> None:
    package = ModuleType("onnxruntime")
    package.__file__ = str(tmp_path / "__init__.py")
    (tmp_path / "capi").mkdir()
    for name in files:
        (tmp_path / "capi" / name).touch()
    assert (obstacle("openvino", package) == "") is kept
    assert obstacle("tensorrt", package) == ""


class Provider:
    """A provider's stand-in: the CPU's sessions, called OpenVINO; it refuses what is broken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[dict[str, str]] = []
        self._real = session._session
        offered = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(ort, "get_available_providers", lambda: offered)
        monkeypatch.setattr(session, "_session", self.open)
        monkeypatch.setattr(session, "_unfit", lambda *of: "")

    def open(
        self, module: ModuleType, path: Path, settings: Any, provider: Any
    ) -> ort.InferenceSession:
        """Compile: keep an engine in the folder that is given, or take the one that is there."""
        ((_, options),) = provider
        self.told.append(options)
        if "cache_dir" in options:
            kept = Path(options["cache_dir"]) / "blob"
            if kept.exists() and kept.read_text() != "engine":
                raise RuntimeError("the engine is broken")
            kept.write_text("engine")
        return self._real(module, path, settings, [("CPUExecutionProvider", {})])


def test_a_broken_engine_is_removed_and_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider, options = Provider(monkeypatch), SessionOptions("openvino", 1)
    monkeypatch.setattr(engine_cache, "_reads_back", lambda folder: True)
    model = build_model(tmp_path / "a.onnx")
    open_session(model, options)
    (folder,) = engines_folder().iterdir()
    assert (folder / "blob").read_text() == "engine"
    (folder / "blob").write_text("eng")
    open_session(model, options)  # it is refused: compiled without
    assert not folder.exists()
    open_session(model, options)
    assert (folder / "blob").read_text() == "engine"
    assert ["cache_dir" in each for each in provider.told] == [True, True, False, True]


def test_an_older_onnxruntime_that_refuses_the_options_opens_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = Provider(monkeypatch)
    monkeypatch.setattr(engine_cache, "_reads_back", lambda folder: True)
    known = provider.open

    def refuse(
        module: ModuleType, path: Path, settings: Any, of: list[tuple[str, dict[str, str]]]
    ) -> ort.InferenceSession:
        if "cache_dir" in of[0][1]:
            raise RuntimeError("unknown option cache_dir")
        return known(module, path, settings, of)

    monkeypatch.setattr(session, "_session", refuse)
    model = DepthModel.load(build_model(tmp_path / "a.onnx"), provider="openvino")
    assert model(np.zeros((48, 64, 3), np.uint8)).values.shape == (48, 64)
    assert list(engines_folder().iterdir()) == []


def test_what_fails_without_engines_too_is_told_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Provider(monkeypatch)

    def fail(*of: object) -> ort.InferenceSession:
        raise RuntimeError("no such device")

    monkeypatch.setattr(session, "_session", fail)
    with pytest.raises(ProviderError, match=r"provider openvino does not work here \(no such dev"):
        open_session(build_model(tmp_path / "a.onnx"), SessionOptions("openvino"))


@pytest.mark.skipif(not HAS_OPENVINO, reason="needs onnxruntime-openvino")
def test_openvino_itself_compiles_again_where_a_blob_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_cache, "_reads_back", lambda folder: True)
    path, image = build_slow_model(tmp_path / "a.onnx", side=8), np.full((48, 64, 3), 9, np.uint8)
    expected = DepthModel.load(path, provider="openvino")(image).values
    (blob,) = engines_folder().rglob("*.blob")
    blob.chmod(0o600)
    blob.write_bytes(blob.read_bytes()[:100])
    again = DepthModel.load(path, provider="openvino")(image).values
    assert np.array_equal(again, expected)
