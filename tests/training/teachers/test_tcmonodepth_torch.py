"""The teacher in torch gives what onnxruntime gives from the same file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
PHOTOGRAPHS = ("n01440764_tench.jpg", "n01514668_cock.jpg")


@pytest.mark.data
@pytest.mark.parametrize("size", [(192, 320), (224, 288)])
def test_a_batch_equals_the_teacher(data: Path, size: tuple[int, int]) -> None:
    from depthrt_training.teachers.tcmonodepth import Teacher
    from depthrt_training.teachers.tcmonodepth_torch import TorchTeacher

    height, width = size
    images = [cv2.imread(str(data / "images" / name))[..., ::-1] for name in PHOTOGRAPHS]
    images = [cv2.resize(np.ascontiguousarray(image), (width, height)) for image in images]
    expected = np.stack([Teacher(data).predict(image, size) for image in images])
    assert np.ptp(expected, (1, 2)).min() > 0.1
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float()
    network = TorchTeacher(data)
    np.testing.assert_allclose(network(pixels).numpy(), expected, atol=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(pixels.contiguous(memory_format=torch.channels_last))
    assert rounded.dtype == torch.float32
    assert np.abs(rounded.numpy() - expected).mean() < 0.1  # coarse: see the module


@pytest.mark.data
def test_a_size_it_cannot_halve_is_refused(data: Path) -> None:
    from depthrt_training.teachers.tcmonodepth_torch import TorchTeacher

    with pytest.raises(ValueError, match="multiples of 32"):
        TorchTeacher(data)(torch.zeros(1, 3, 200, 320))
