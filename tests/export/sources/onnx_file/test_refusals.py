"""Files that cannot become depthrt models: one true sentence each, in export and runtime."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from depthrt.spec import METADATA_KEY
from experiments.foreign_onnx.cases import REFUSED, options
from experiments.foreign_onnx.make import save
from experiments.foreign_onnx.variant import Variant
from helpers.commands import Command


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [
        pytest.param(variant, sentence, id=variant.name)
        for variant, sentence in REFUSED.items()
        if variant.name != "open batch that is mixed"  # asks the built-in model first
    ],
)
def test_what_is_no_depth_network_or_contradicts_what_is_said(
    variant: Variant, sentence: str, depthrt: Command, tmp_path: Path, frames: str
) -> None:
    save(variant, tmp_path / "file.onnx")
    outcome = depthrt(
        "export", tmp_path / "file.onnx", "-o", tmp_path / "made.onnx", "--frames", frames,
        *options(variant),
    )  # fmt: skip
    assert outcome.code == 2
    assert sentence in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "made.onnx").exists()


def _truncated(path: Path) -> None:
    save(Variant("whole"), path)
    path.write_bytes(path.read_bytes()[:3000])


def _from_the_future(path: Path) -> None:
    save(Variant("whole"), path)
    model = onnx.load(path)
    helper.set_model_props(model, {METADATA_KEY: '{"schema_version": 99}'})
    onnx.save(model, path)


def _larger_than_2_gb(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**31 + 10)  # a sparse file


def _weights_missing(path: Path) -> None:
    save(Variant("whole", more=("external data",)), path)
    path.with_name("file.data").unlink()


def _bytes(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "git LFS": (_bytes(POINTER), "is a pointer of git LFS, not the file that it stands for"),
    "zip": (_bytes(b"PK\x03\x04" + bytes(99)), "is a zip archive"),
    "web page": (_bytes(b"\n<!DOCTYPE html><html></html>"), "is a web page, not a model"),
    "empty": (_bytes(b""), "it is empty: fetch it again"),
    "cut off": (_truncated, "its 3000 bytes are cut off or damaged: fetch it again"),
    "onnxruntime's format": (_bytes(b"\x20\0\0\0ORTM" + bytes(99)), "onnxruntime's own format"),
    "TensorRT": (_bytes(b"ftrt" + bytes(99)), "is an engine of TensorRT"),
    "TensorFlow Lite": (_bytes(b"\x1c\0\0\0TFL3" + bytes(99)), "is a TensorFlow Lite model"),
    "gzip": (_bytes(b"\x1f\x8b" + bytes(99)), "is compressed by gzip"),
    "future": (_from_the_future, "schema version 99"),
    "2 GB": (_larger_than_2_gb, "has 2.1 GB, and an ONNX file can have at most 2 GB"),
    "weights missing": (_weights_missing, "keeps weights in"),
}


@pytest.mark.parametrize(("spoil", "sentence"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("verb", ["export", "info"])
def test_what_is_no_usable_file(
    spoil: Callable[[Path], object], sentence: str, verb: str, depthrt: Command, tmp_path: Path
) -> None:
    path = tmp_path / "file.onnx"
    spoil(path)
    more = ("-o", tmp_path / "made.onnx") if verb == "export" else ()
    outcome = depthrt(verb, path, *more)
    assert outcome.code == 2
    assert sentence in outcome.complaint


@pytest.mark.slow
def test_the_runtime_says_the_command_and_it_works_as_it_is_written(
    depthrt: Command, tmp_path: Path, frames: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(Variant("", size_open=True, inside="/255"), Path("my net.onnx"))
    said = depthrt("run", frames, "-m", "my net.onnx", "-o", "out.mp4").complaint
    assert "it takes input float32 1,3,height,unk__7 and gives out float32" in said
    command = said.rpartition("`depthrt ")[2].rstrip("`")
    assert command == "export 'my net.onnx' -o 'my net.depthrt.onnx' --size 224x448"
    outcome = depthrt(*shlex.split(command), "--kind", "depth", "--frames", frames, "--no-golden")
    assert outcome.code == 0, outcome.err
    assert depthrt("info", "my net.depthrt.onnx").code == 0
