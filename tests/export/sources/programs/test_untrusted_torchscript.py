"""TorchScript does nothing but compute with tensors, unless --trust-code lets it."""

from __future__ import annotations

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from depthrt.errors import ModelError
from depthrt_export.options import SourceOptions
from depthrt_export.sources.load import load_network

SAID = SourceOptions(kind="depth", size=(16, 24))
PICTURE = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hostile code writes ``ran`` where the process stands; torch calls torch.jit deprecated."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


class Mix(nn.Module):
    """A convolution without nn.Conv2d's lists, which torch.jit.script now and then trips over."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, 3).reshape(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(x, self.weight)


class Good(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.ModuleDict({"conv-1": Mix()})

    def forward(self, x: Tensor) -> Tensor:
        depth: Tensor = self.steps["conv-1"](x)
        if depth.shape[0] > 8:
            depth = depth * 2
        return nn.functional.interpolate(depth, size=(16, 24), mode="bilinear", align_corners=False)


class Saves(Good):
    def forward(self, x: Tensor) -> Tensor:
        torch.save("anything", "ran")
        depth: Tensor = self.steps["conv-1"](x)
        return depth


class SavesInABranch(Good):
    def forward(self, x: Tensor) -> Tensor:
        depth: Tensor = self.steps["conv-1"](x)
        if depth.shape[0] == 1:
            torch.save([1, 2], "ran")
        return depth


class Maps(Good):
    """A mapped file is made where there is none."""

    def forward(self, x: Tensor) -> Tensor:
        depth: Tensor = self.steps["conv-1"](x)
        return depth + torch.from_file("ran", True, 1, dtype=torch.uint8)


class Restores(nn.Module):
    """Its own code runs when it is loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = torch.ones(1)

    @torch.jit.export
    def __getstate__(self) -> tuple[Tensor, bool]:
        return (self.gain, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[Tensor, bool]) -> None:
        self.gain = state[0]
        self.training = state[1]
        torch.save(self.gain, "ran")

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1) * self.gain


class Counts(Good):
    """Python's own methods may be asked for before anybody looks at the graph."""

    @torch.jit.export
    def __len__(self) -> int:
        torch.save("anything", "ran")
        return 1


class NoForward(nn.Module):
    @torch.jit.export
    def depth(self, x: Tensor) -> Tensor:
        return x


def script(module: nn.Module, path: Path) -> Path:
    torch.jit.script(module.eval()).save(str(path))  # type: ignore[no-untyped-call]
    return path


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    with zipfile.ZipFile(path) as archive:
        content = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content:
            new = change(name.partition("/")[2], data)
            if new is not None:
                archive.writestr(name, new)
    return path


@pytest.mark.parametrize(
    ("module", "found"),
    [
        (Saves, "calls aten::save, which is no operation on tensors"),
        (SavesInABranch, "calls aten::save, which is no operation on tensors"),
        (Maps, "calls aten::from_file, which is no operation on tensors"),
        (Counts, "calls aten::save, which is no operation on tensors"),
        (Restores, "runs code of its own when it is loaded (__setstate__)"),
    ],
)
def test_code_that_does_more_is_refused(
    module: type[nn.Module], found: str, tmp_path: Path
) -> None:
    path = script(module(), tmp_path / "evil.pt")
    with pytest.raises(ModelError) as caught:
        load_network(str(path), SAID).module(PICTURE)
    assert not (tmp_path / "ran").exists()
    assert str(caught.value) == (
        f"{path} {found}: give --trust-code if you trust where it comes from"
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
def test_pickled_attribute(name: str, tmp_path: Path) -> None:
    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    evil = pickle.dumps(Touch(), protocol=2)
    path = script(Good(), tmp_path / "evil.pt")
    rewritten(path, lambda member, data: evil if member == name else data)
    for trust in (False, True):
        said = SourceOptions(kind="depth", size=(16, 24), trust_code=trust)
        with pytest.raises(ModelError, match="is no readable TorchScript file") as caught:
            load_network(str(path), said)
        assert trust or f"(posix.mkdir in {name})" in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_text_for_an_attribute(tmp_path: Path) -> None:
    """Names of attributes get into the program that the converter generates."""

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.steps = nn.Sequential()
            self.steps.add_module("conv') or print('", Mix())

        def forward(self, x: Tensor) -> Tensor:
            depth: Tensor = self.steps(x)
            return depth

    path = script(Odd(), tmp_path / "odd.pt")
    with pytest.raises(ModelError, match="holds text where torch writes a name"):
        load_network(str(path), SAID)


def test_compiled_library(tmp_path: Path) -> None:
    path = script(Good(), tmp_path / "evil.pt")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("evil/lib/kernel.so", b"\x7fELF")
    with pytest.raises(ModelError, match=r"holds compiled code \(lib/kernel.so\)"):
        load_network(str(path), SAID)


@pytest.mark.parametrize("trust", [False, True])
def test_good_script_is_taken(
    trust: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = script(Good(), tmp_path / "good.pt")
    said = SourceOptions(kind="depth", size=(16, 24), trust_code=trust)
    depth = load_network(str(path), said).module(PICTURE)
    assert torch.allclose(depth, Good().eval()(PICTURE))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("split", ["__torch__.torch.classes quantized", "__torch__ torch.classes"])
def test_native_object(split: str, tmp_path: Path) -> None:
    """Its name is joined from two texts, wherever they are parted."""
    module, name = split.split(" ")
    evil = b"\x80\x02c" + f"{module}\n{name}.Anything\n)R.".encode()
    path = script(Good(), tmp_path / "evil.pt")
    rewritten(path, lambda member, data: evil if member == "data.pkl" else data)
    with pytest.raises(ModelError, match=r"holds an object that is no tensor \(__torch__.torch"):
        load_network(str(path), SAID)


def test_script_without_a_forward(tmp_path: Path) -> None:
    path = script(NoForward(), tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=r"no readable TorchScript file \(it has no forward\)"):
        load_network(str(path), SAID)


def test_broken_pickle_is_one_sentence(tmp_path: Path) -> None:
    path = script(Good(), tmp_path / "broken.pt")
    rewritten(path, lambda member, data: data[:40] if member == "data.pkl" else data)
    with pytest.raises(ModelError, match=r"\(data.pkl is broken\)"):
        load_network(str(path), SAID)
