"""The page of an evaluation: whatever names say is text."""

from __future__ import annotations

from pathlib import Path

from helpers.commands import Command
from helpers.files.html_page import Page
from helpers.files.labelled import write_set
from helpers.models.small_model import build_model, build_spec

HOSTILE = """<script>alert(1)<img src=x onerror=alert(2)>&"'$x$ {{ 7*7 }}"""


def test_hostile_names_are_text_everywhere(command: Command, tmp_path: Path) -> None:
    """Names of a model, a set, an image, and of a folder that is no set."""
    sets, page = tmp_path / "sets", tmp_path / "r.html"
    folder = write_set(sets / HOSTILE, 3)
    for part in ("rgb", "depth"):
        (folder / part / "000001.png").rename(folder / part / f"{HOSTILE}.png")
    (folder / "rgb/000002.png").write_bytes(b"no picture")
    (sets / f"other {HOSTILE}").mkdir()
    (sets / f"other {HOSTILE}" / "1.png").write_bytes(b"a picture")
    model = build_model(tmp_path / "m.onnx", spec=build_spec(name=HOSTILE))
    other = build_model(tmp_path / "o.onnx", spec=build_spec(name="_plain"), gain=2.0)
    done = command("eval", model, sets, "--compare", other, "--fail-worse", "--report", page)
    assert done.code == 3  # a folder that is no set, and a picture that is none
    found = Page(page.read_text())
    tags = {tag for tag, _ in found.elements}
    assert "script" not in tags
    handlers = [key for _, attributes in found.elements for key in attributes if key[:2] == "on"]
    assert handlers == []
    images = [attributes["src"] or "" for tag, attributes in found.elements if tag == "img"]
    assert images
    assert all(source.startswith("data:image/") for source in images)
    title, *_ = found.text.strip().split("\n")
    assert title == f"{HOSTILE} float32, _plain float32: accuracy"
    for words in (f"worst: {HOSTILE}", f"gate failed: {HOSTILE}", f"other {HOSTILE} holds"):
        assert words in found.text
    assert found.text.count(HOSTILE) > 20
