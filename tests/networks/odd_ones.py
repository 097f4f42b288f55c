"""Networks that ``depthrt export`` must handle with care, or refuse."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHRT = {"kind": "inverse-depth", "size": (64, 96), "multiple_of": 8}


def _conv(outputs: int = 1) -> nn.Conv2d:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Conv2d(3, outputs, 3, padding=1)


class Convolved(nn.Module):
    """One convolution; the others change what becomes of it."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.conv = _conv(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)  # type: ignore[no-any-return]


class Pair(Convolved):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self.conv(x), x


class Ambiguous(Convolved):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return self.conv(x), self.conv(x).sigmoid()


class Classifier(Convolved):
    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mean((2, 3))  # type: ignore[no-any-return]


class Square(Convolved):
    """Gives a square map whatever the picture's aspect."""

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.conv(x), 32)


class Unsupported(nn.Module):
    """Uses a function that ONNX does not have, inside a module with a name."""

    class Bessel(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    def __init__(self) -> None:
        super().__init__()
        self.conv = _conv()
        self.wave = self.Bessel()

    def forward(self, x: Tensor) -> Tensor:
        return self.wave(self.conv(x))  # type: ignore[no-any-return]


class LearnedMap(Convolved):
    """Adds a learned map of one size: torch.export itself sees that the size is fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Parameter(torch.zeros(1, 1, 64, 96))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + self.map  # type: ignore[no-any-return]


class SilentlyFrozen(Convolved):
    """Traces without complaint with any size open, and has the traced size in its graph."""

    def forward(self, x: Tensor) -> Tensor:
        size = (64, 96) if torch.compiler.is_exporting() else x.shape[-2:]
        return F.interpolate(self.conv(x), size=size, mode="nearest")


class Branching(Convolved):
    """Decides by the picture what to compute."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y if y.sum() > 0 else -y


class NotANumber(Convolved):
    def forward(self, x: Tensor) -> Tensor:
        return torch.log(self.conv(x) - 1e6)


class SkipsOfStride4(nn.Module):
    """Adds a map to its own half, doubled: sides must be multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.down = _conv(4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.down(x)[..., ::2, ::2]
        y = y + F.interpolate(y[..., ::2, ::2], scale_factor=2.0)
        return F.interpolate(self.head(y), scale_factor=2.0)


class Patches(nn.Module):
    """A patch embedding without padding, as transformers begin, and a map at an eighth."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(5)
            self.embed = nn.Conv2d(3, 16, 8, 8)
            self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.embed(x))).squeeze(1)  # type: ignore[no-any-return]


class Flat(Convolved):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(x) - 1e6)


def three_channels() -> nn.Module:
    return Convolved(3)


def not_a_module() -> object:
    return {"weights": 1}


def fails() -> nn.Module:
    raise RuntimeError("no such variant")
