"""A browser that the tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helpers.web.browser import Tab, browsing
from helpers.web.served import encoded, picture


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab) -> Iterator[Tab]:
    """The browser; at the end it has no complaint, and asked one host alone."""
    chromium.complaints.clear()
    chromium.urls.clear()
    yield chromium
    chromium.run("document.body.dataset.end = ''")  # hears what is still on its way
    assert not chromium.complaints
    places = {urlsplit(url).netloc for url in chromium.urls if not url.startswith("blob:")}
    assert len(places) == 1
    chromium.call("Page.navigate", url="about:blank")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(picture(1)))
    return file
