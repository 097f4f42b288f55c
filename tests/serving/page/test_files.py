"""The files of the page at `/`: whole, guarded, and of this server alone."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from depthrt.render.colormap import COLORMAPS, colour_table
from depthrt_serving.routes.page import page
from helpers.models.full_model import FOV_DEG, build_full_model
from helpers.web.served import Running, encoded, picture, serving

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
VOID = {"meta", "link", "input", "br", "hr", "img"}
NAMED = {"input", "select", "button", "progress", "canvas"}  # a screen reader has to name these
BY_ID = (
    r'byId\("([^"]+)"\)',
    r'offer\("([^"]+)"',
    r"for \(const id of \[([^\]]+)\]\)",
    r"\[([^\]]+)\]\.map\(byId\)",
)


def modules() -> dict[str, str]:
    return {name: text.decode() for name, text in page().files.items() if name.endswith(".js")}


class Html(HTMLParser):
    """Elements in their order, and what is wrong with how they are nested."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.wrong: list[str] = []
        self.words: dict[int, str] = {}  # what is to be read in an element, by its number
        self._open: list[tuple[str, int]] = []
        self.feed(text)
        self.close()
        self.wrong += [f"{tag} is not closed" for tag, _ in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len({*names}) < len(names):
            self.wrong.append(f"{tag} has an attribute twice")
        if tag not in VOID:
            self._open.append((tag, len(self.elements)))
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop()[0] != tag:
            self.wrong.append(f"</{tag}> closes another element")

    def handle_data(self, data: str) -> None:
        for _, number in self._open:
            self.words[number] = self.words.get(number, "") + data.strip()


@pytest.fixture(scope="module")
def html() -> Html:
    return Html(page().index.decode())


def test_the_page_and_its_files_are_served_with_guards(running: Running) -> None:
    reply = running.ask("/")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    assert reply.headers["x-content-type-options"] == "nosniff"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    known = {"if-none-match": reply.headers["etag"]}
    again = running.ask("/", headers=known)
    assert (again.status, again.content) == (304, b"")
    named = re.findall(r'"(static/[^"]+)"', reply.content.decode())
    assert {name.rpartition("/")[2] for name in named} == {"icon.svg", "style.css", "app.js"}
    folder = named[0].rpartition("/")[0]
    for name, content in page().files.items():
        file = running.ask(f"/{folder}/{name}")
        assert (file.status, file.content) == (200, content)
        assert file.headers["content-type"].startswith(TYPES[name.rpartition(".")[2]])
        assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert file.headers["content-security-policy"] == policy


@pytest.mark.parametrize(
    "path", ["/static/{v}/none.js", "/static/0123/app.js", "/static/{v}/../../settings.py"]
)
def test_other_files_are_not_served(running: Running, path: str) -> None:
    reply = running.ask(path.format(v=page().version))
    assert reply.status == 404
    assert reply.error["code"] == "not_found"


def test_the_page_needs_no_token_but_the_model_does(tiny: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-token-of-this-test\n")
    with serving(tiny, token_file=token) as running:
        assert running.ask("/").status == 200
        assert running.ask(f"/static/{page().version}/app.js").status == 200
        assert running.ask("/v1/models").status == 401


def test_nothing_refers_to_another_host() -> None:
    allowed = "http://www.w3.org/2000/svg"  # a name, not an address
    for name, content in {**page().files, "index.html": page().index}.items():
        text = content.decode().replace(allowed, "")
        assert not re.search(r"""(https?|wss?):|["'(]//\w""", text), name


def test_modules_import_one_another() -> None:
    found = modules()
    imported = {each for text in found.values() for each in re.findall(r'from "\./([\w.]+)"', text)}
    assert imported | {"app.js"} == {*found}
    for name, text in found.items():
        assert not re.search(r"\b(eval|innerHTML|outerHTML|document\.write)\b", text), name
        assert not re.search(r"\b(localStorage|sessionStorage|cookie)\b", text), name


def test_what_modules_look_for_is_in_the_page(html: Html) -> None:
    text = "\n".join(modules().values())
    wanted = {
        name
        for pattern in BY_ID
        for found in re.findall(pattern, text)
        for name in re.findall(r"[\w-]+", found)
    }
    assert len(wanted) > 30
    assert wanted <= {attributes.get("id") for _, attributes in html.elements}


def test_colours_are_those_of_the_runtime() -> None:
    text = page().files["colours.js"].decode()
    tables = json.loads(text.partition("= ")[2].rstrip(";\n"))
    assert list(tables) == list(COLORMAPS)
    for name, table in tables.items():
        decoded = np.frombuffer(base64.b64decode(table), np.uint8).reshape(256, 3)
        assert np.array_equal(decoded, colour_table(name))


def test_the_html_is_well_formed_and_has_nothing_inline(html: Html) -> None:
    assert not html.wrong
    ids = [attributes["id"] for _, attributes in html.elements if "id" in attributes]
    assert len({*ids}) == len(ids)
    for tag, attributes in html.elements:
        assert tag != "style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "script":
            assert attributes["type"] == "module"
            assert attributes["src"].startswith("static/")
    for names in ("for", "aria-labelledby", "aria-describedby"):
        for _, attributes in html.elements:
            assert {*attributes.get(names, "").split()} <= {*ids}


def test_a_screen_reader_has_a_name_for_everything(html: Html) -> None:
    labelled = {attributes.get("for") for tag, attributes in html.elements if tag == "label"}
    within_labels = {"mode"}  # radio buttons, whose label is around them
    for number, (tag, attributes) in enumerate(html.elements):
        if tag not in NAMED or attributes.get("id") == "view":  # named by what it shows
            continue
        assert (
            attributes.get("id") in labelled
            or attributes.get("name") in within_labels
            or "aria-label" in attributes
            or "aria-labelledby" in attributes
            or html.words.get(number)
        ), (tag, attributes)
    assert dict(html.elements)["html"]["lang"] == "en"
    statuses = [attributes for _, attributes in html.elements if attributes.get("role") == "status"]
    assert [each["id"] for each in statuses] == ["notice-text", "said"]


def test_a_network_s_own_angle_of_view_reaches_the_page(running: Running, tmp_path: Path) -> None:
    photo, wanted = encoded(picture()), {"Accept": "application/x-npy"}
    with serving(build_full_model(tmp_path / "full.onnx")) as full:
        assert full.ask("/v1/depth", photo, wanted).headers["depthrt-fov-deg"] == f"{FOV_DEG:.3f}"
    assert "depthrt-fov-deg" not in running.ask("/v1/depth", photo, wanted).headers
