"""Copies of remote files: of a service that is a folder of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt_archives.plan.remote import fetched, remote_stamp

pytest.importorskip("fsspec")


def test_a_copy_in_use_stays_and_the_last_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "fetched"))
    (tmp_path / "fetched").mkdir()
    urls = []
    for number in range(7):
        source = tmp_path / f"clip{number}.mp4"
        source.write_bytes(bytes([number]) * 9)
        urls.append(source.as_uri())
    with fetched(urls[0], remote_stamp(urls[0])) as first:
        for url in urls[1:]:
            with fetched(url, remote_stamp(url)) as path:
                copied = path.read_bytes()
            assert copied == bytes([urls.index(url)]) * 9
        assert first.read_bytes() == bytes(9)
        assert len([*first.parent.iterdir()]) == 5  # four, and the one that is in use
        inode = first.stat().st_ino
        with fetched(urls[0], remote_stamp(urls[0])) as again:
            assert again.stat().st_ino == inode  # it is not fetched twice
    assert len([*first.parent.iterdir()]) == 4
