from __future__ import annotations

from pathlib import Path

import pytest

from depthrt.files.user_cache import user_cache


def test_the_cache_lies_where_the_desktop_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache("tuning") == tmp_path / "depthrt" / "tuning"


@pytest.mark.parametrize("said", ["", "relative/folder"])
def test_without_a_usable_word_it_lies_below_the_home_folder(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", said)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache("hub") == tmp_path / ".cache" / "depthrt" / "hub"
