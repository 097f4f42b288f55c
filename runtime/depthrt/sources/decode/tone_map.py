"""Pictures of high dynamic range as a usual screen, and a network that learnt from such, see them.

White is what ITU-R BT.2408 calls so: 203 cd/m2. Colours are those of BT.709, out of BT.2020. Up to
a knee nothing is changed; highlights above it are compressed by Reinhard's curve x / (1 + x)
(E. Reinhard et al., "Photographic tone reproduction for digital images", SIGGRAPH 2002), joined on
with slope 1.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

PQ, HLG = 16, 18  # FFmpeg's numbers (AVCOL_TRC_...) of the transfer functions
NAMES = {PQ: "HDR10 (PQ)", HLG: "HLG"}

FULL_SIGNAL = 255 << 8  # what FFmpeg's 16-bit RGB of video goes up to

_WHITE = 203.0  # cd/m2
_KNEE = 0.97  # of the screen's signal
_GAMMA = 2.4  # of the screen (ITU-R BT.1886)
_LEVELS = 1 << 14  # of the square root of light, 0..1 is dark to the brightest there is
_BRIGHTEST = 10_000 / _WHITE
_BAND = 16  # rows at a time, which the processor's cache holds
# ITU-R BT.2087: linear RGB of BT.2020 to that of BT.709.
_TO_BT709 = np.array(
    [
        [1.6605, -0.5876, -0.0728],
        [-0.1246, 1.1329, -0.0083],
        [-0.0182, -0.1006, 1.1187],
    ],
    np.float32,
)


def tone_mapped(signal: NDArray[np.uint16], transfer: int) -> NDArray[np.uint8]:
    """RGB for a usual screen, uint8 (h,w,3), of RGB in BT.2020 as coded, uint16 (h,w,3)."""
    out = np.empty(signal.shape, np.uint8)
    for row in range(0, len(signal), _BAND):
        band = slice(row, row + _BAND)
        light = cv2.transform(np.take(_light(transfer), signal[band]), _TO_BT709)
        # Below 0 are colours that BT.709 does not have.
        cv2.threshold(light, 0, 0, cv2.THRESH_TOZERO, dst=light)
        level = cv2.sqrt(light, dst=light).astype(np.uint16)
        np.take(_screen(), level, out=out[band], mode="clip")
    return out


@cache
def _light(transfer: int) -> NDArray[np.float32]:
    """Displayed light, so that its square root is a level, by 16-bit signal (ITU-R BT.2100)."""
    signal = np.minimum(np.arange(1 << 16) / FULL_SIGNAL, 1)
    if transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        root = signal ** (1 / m2)
        light = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        light = 1000 * scene**1.2  # the system gamma, of each colour by itself
    return np.asarray(light / _WHITE / _BRIGHTEST * (_LEVELS - 1) ** 2, np.float32)


@cache
def _screen() -> NDArray[np.uint8]:
    """The screen's 8-bit signal by level of the square root of light."""
    light = np.linspace(0, 1, _LEVELS) ** 2 * _BRIGHTEST
    signal = light ** (1 / _GAMMA)
    over = np.maximum(signal - _KNEE, 0) / (1 - _KNEE)
    shown = np.minimum(signal, _KNEE) + (1 - _KNEE) * over / (1 + over)
    return np.asarray(np.rint(255 * shown), np.uint8)
