"""A broken ``calibration.json``: the folder is not ours, and nothing in it is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from depthrt.errors import TargetError
from depthrt_calibration.frame_folder import check_folder
from helpers.files.hostile_json import NO_OBJECT, UNREADABLE, write_unreadable


@pytest.mark.parametrize("kind", [*UNREADABLE, *NO_OBJECT, "a pipe"])
def test_a_folder_with_a_broken_index_is_not_ours(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "frames"
    index = write_unreadable(folder / "calibration.json", kind)
    with pytest.raises(TargetError, match=r"holds other files \(calibration\.json\)"):
        check_folder(folder, [], overwrite=True)
    assert index.exists()
