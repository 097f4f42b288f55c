"""What an export writes beside its source, and what of others it leaves alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest

from depthrt.errors import TargetError
from depthrt.model.depth_model import DepthModel
from depthrt_export import model_file as placing
from depthrt_export.model_file import journal_place, put_in_place
from depthrt_export.report.export_report import Report
from depthrt_export.report.html import write_page
from depthrt_export.search.candidates import Journal
from helpers.commands import Command

MEANWHILE = "made or changed by somebody else meanwhile"


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_model_that_came_meanwhile_survives_and_so_does_the_export(
    unet: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.onnx"
    real = placing._spec_of

    def checked(path: Path, runs_here: bool) -> str:
        target.write_text("somebody else's model")
        return real(path, runs_here)

    monkeypatch.setattr(placing, "_spec_of", checked)
    model = onnx.load(unet.target)
    with pytest.raises(TargetError, match=MEANWHILE) as caught:
        put_in_place(model, unet.spec, target)
    assert target.read_text() == "somebody else's model"
    kept = Path(str(caught.value).split("the finished output is in ")[1])
    assert DepthModel.load(kept, provider="cpu").spec.to_json() == unet.spec.to_json()
    assert names(tmp_path) == sorted(["m.onnx", kept.name])
    put_in_place(model, unet.spec, target, overwrite=True)
    assert DepthModel.load(target, provider="cpu").spec.to_json() == unet.spec.to_json()
    assert len(names(tmp_path)) == 2


def test_a_page_that_came_meanwhile_survives(unet: Report, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (tmp_path / "page.partial.html").write_text("theirs")
    write_page(unet, page)
    before = page.read_text()
    page.write_text("theirs")
    with pytest.raises(TargetError, match=MEANWHILE) as caught:
        write_page(unet, page)
    assert page.read_text() == (tmp_path / "page.partial.html").read_text() == "theirs"
    assert Path(str(caught.value).split("the finished output is in ")[1]).read_text() == before
    write_page(unet, page, overwrite=True)
    assert page.read_text() == before


@pytest.mark.parametrize("content", ["my notes", "[1, 2]", '{"key": 1}', '{"entries": {}, "a": 1}'])
def test_what_is_no_journal_is_left_alone(tmp_path: Path, content: str) -> None:
    place = journal_place(tmp_path / "model.onnx")
    place.write_text(content)
    journal = Journal.open(place, "key")
    journal.put("recipe", 1)
    assert journal.entries == {"recipe": 1}
    journal.remove()
    assert place.read_text() == content
    assert names(tmp_path) == [place.name]


def test_a_journal_replaces_nothing_that_came_meanwhile(tmp_path: Path) -> None:
    place = journal_place(tmp_path / "model.onnx")
    (tmp_path / f"{place.name}.partial").write_text("theirs")
    journal = Journal.open(place, "key")
    journal.put("one", 1)
    assert json.loads(place.read_text()) == {"key": "key", "entries": {"one": 1}}
    assert Journal.open(place, "key").entries == {"one": 1}
    assert Journal.open(place, "another").entries == {}
    place.write_text("theirs")
    journal.put("two", 2)
    journal.remove()
    assert place.read_text() == "theirs"
    assert names(tmp_path) == [place.name, f"{place.name}.partial"]


def test_nothing_that_is_read_is_replaced(
    depthrt: Command, unet: Report, frames: str, tmp_path: Path
) -> None:
    pictures = Path(shutil.copytree(frames, tmp_path / "frames"))
    (tmp_path / "set/rgb").mkdir(parents=True)
    shutil.copy(pictures / "00.png", tmp_path / "set/rgb/a.png")
    (tmp_path / "link.png").symlink_to("frames/03.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    run = ["export", unet.target, "-o", tmp_path / "m.onnx", "--precision", "auto", "--overwrite"]
    for given, page, says in (
        (["--frames", pictures], pictures / "03.png", "is the source itself"),
        (["--frames", f"{pictures}/*.png"], pictures / "03.png", "is the source itself"),
        (["--validate", f"{pictures}/0?.png"], tmp_path / "link.png", "is the source itself"),
        (["--dataset", tmp_path / "set"], tmp_path / "set/rgb/a.png", "which is read"),
    ):
        done = depthrt(*run, *given, "--front", page)
        assert says in done.complaint
        assert done.code == 2
    assert {path: path.read_bytes() for path in before} == before
