"""METER-xxs (Papa, Russo, Amerini 2023) as a teacher: `nyu` knows rooms, `kitti` knows roads.

The network is the one of `tests/networks/meter_xxs.py`, its weights are in the data folder. Each
fails where the other is good, so neither labels pictures of another kind of place.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from depthrt_training.data.label_cache import ByteImage, FloatMap
from depthrt_training.teachers.normalised import normalised

NETWORK = Path(__file__).parents[3] / "tests" / "networks" / "meter_xxs.py"
WEIGHTS = "models/meter_xxs"
MULTIPLE_OF = 64


@dataclass(frozen=True)
class Variant:
    """A weights file, what it was shown (RGB / 255, minus mean, over std), and at which sizes.

    sizes: height, width in pixels; labels are means over them.
    """

    file: str
    sizes: tuple[tuple[int, int], ...]
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)


NYU = Variant("nyu.pt", ((192, 256), (192, 320)), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KITTI = Variant("kitti.pt", ((192, 640), (192, 512)))


class Meter:
    """Labels pictures with one of the two networks."""

    def __init__(self, data: Path, variant: Variant) -> None:
        """data: the data folder.

        Raises:
            FileNotFoundError: the weights are not there.
        """
        self._network = _network(data / WEIGHTS / variant.file)
        self._variant = variant

    def depth(self, rgb: ByteImage, size: tuple[int, int]) -> FloatMap:
        """rgb: H,W,3 -> h/4,w/4 of `size`: depth, the mean over the horizontal flip."""
        height, width = size
        small = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))
        both = torch.from_numpy(np.stack([small, small[:, ::-1]])).permute(0, 3, 1, 2)  # 2,3,h,w
        mean, std = (
            torch.tensor(v).reshape(3, 1, 1) for v in (self._variant.mean, self._variant.std)
        )
        with torch.inference_mode():
            plain, mirrored = self._network((both.float() / 255 - mean) / std)[:, 0].numpy()
        return np.asarray((plain + mirrored[:, ::-1]) / 2, dtype=np.float32)

    def label(self, rgb: ByteImage) -> FloatMap:
        """rgb: H,W,3 -> H,W: normalised inverse depth, the mean over flips and sizes."""
        height, width = rgb.shape[:2]
        labels = []
        for size in self._variant.sizes:
            depth = self.depth(rgb, size)
            # Inverse depth of what is a hundredth of the median away would outweigh all else.
            inverse = 1 / np.maximum(depth, 0.05 * float(np.median(depth)))
            large = cv2.resize(inverse, (width, height), interpolation=cv2.INTER_LINEAR)
            labels.append(normalised(np.asarray(large, dtype=np.float32)))
        return np.asarray(np.mean(labels, axis=0), dtype=np.float32)


def _network(weights: Path) -> nn.Module:
    spec = importlib.util.spec_from_file_location("meter_xxs", NETWORK)
    if spec is None or spec.loader is None or not NETWORK.is_file():
        raise FileNotFoundError(f"the network of METER-xxs is missing: {NETWORK}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.meter()
    state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict(state)
    return network.eval()
