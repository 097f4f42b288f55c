"""How NVIDIA's libraries are found and what is said without them; `test_gpu.py` needs a GPU."""

from __future__ import annotations

import ctypes
from pathlib import Path

import onnxruntime as ort
import pytest

from depthrt import DepthModel
from depthrt.errors import ProviderError
from depthrt.system import cuda
from helpers.commands import Command

DRIVER = "libcuda.so.1"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What pip leaves of CUDA in one environment and of cuDNN in another, both on the path."""
    for environment, file in (
        ("one", "cu13/lib/libcublas.so.13"),
        ("one", "cu13/lib/libcublasLt.so.13"),
        ("one", "cu13/include/libcublas.so.13"),
        ("two", "cudnn/lib/libcudnn.so.9"),
    ):
        path = tmp_path / environment / "nvidia" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for environment in ("one", "two"):
        monkeypatch.syspath_prepend(tmp_path / environment)
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The libraries that are loaded meanwhile; the system itself has the driver alone."""
    names: list[str] = []

    def load(name: str) -> None:
        names.append(name)
        if "/" not in name and name != DRIVER:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", load)
    return names


def test_libraries_are_loaded_in_order_from_every_environment_on_the_path(
    packages: Path, asked: list[str]
) -> None:
    cuda.preload("cuda")
    assert asked[0] == DRIVER
    found = [Path(n).relative_to(packages) for n in asked[1:] if Path(n).is_relative_to(packages)]
    assert [str(path) for path in found] == [
        "one/nvidia/cu13/lib/libcublasLt.so.13",
        "one/nvidia/cu13/lib/libcublas.so.13",
        "two/nvidia/cudnn/lib/libcudnn.so.9",
    ]


@pytest.mark.usefixtures("packages")
def test_what_the_system_has_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[str] = []
    monkeypatch.setattr(ctypes, "CDLL", names.append)
    cuda.preload("cuda")
    assert names == [DRIVER, "libcublasLt.so.13", "libcublas.so.13", "libcudnn.so.9"]


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_other_providers_load_none(asked: list[str], provider: str) -> None:
    cuda.preload(provider)
    assert asked == []
    assert cuda.obstacle(provider) == ""


@pytest.mark.usefixtures("packages")
def test_without_a_driver_nothing_is_loaded_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def load(name: str) -> None:
        asked.append(name)
        raise OSError(f"{name}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(ctypes, "CDLL", load)
    cuda.preload("cuda")
    assert asked == [DRIVER]
    assert cuda.obstacle("cuda") == f"there is no NVIDIA driver ({DRIVER})"


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = "libcublasLt.so.13: cannot open shared object file: No such file or directory"

    def load(name: str) -> None:
        if name != DRIVER:
            raise OSError(missing)

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert cuda.obstacle("cuda") == missing


def test_what_a_provider_fails_with_is_said_and_nothing_printed(
    command: Command, model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # onnxruntime by itself prints the failure on standard output and binds the CPU.
    def create(*_: object) -> None:
        raise RuntimeError("CUDA failure 35: CUDA driver version is insufficient\nmore")

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(cuda, "obstacle", lambda provider: "")
    monkeypatch.setattr(ort.InferenceSession, "_create_inference_session", create)
    with pytest.raises(ProviderError, match=r"cuda does not work here \(CUDA failure 35"):
        DepthModel.load(model_path, provider="cuda")
    ended = command("info", model_path, "--provider", "cuda", "--json")
    assert (ended.code, ended.out) == (5, "")
    assert "CUDA failure 35" in ended.complaint
