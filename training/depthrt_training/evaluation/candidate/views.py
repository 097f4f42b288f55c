"""The views that are looked at side by side, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from depthrt_training.data.samples import read_rgb
from depthrt_training.evaluation.labelled_pictures import Predictor
from depthrt_training.evaluation.sheets import Bgr, row, seen

VIEWS = {
    "a street camera": "images_driving/0130.jpg",
    "a desk": "rgbd/realsense_desk/rgb/000012.jpg",
    "people": "images/n10148035_groom.jpg",
    "water": "images/n09428293_seashore.jpg",
    "a night street": "images/n03785016_moped.jpg",
}
"""Files of the data folder."""


def view_rows(
    data: Path, views: Mapping[str, str], predictors: Mapping[str, Predictor]
) -> list[Bgr]:
    """A row for each view: colour, then what each network sees.

    Raises:
        FileNotFoundError: a picture is missing.
    """
    rows = []
    for name, file in views.items():
        rgb = read_rgb(data / file)
        words = f"{name}: {Path(file).name} | colour, {', '.join(predictors)}"
        maps = [seen(predict(rgb)) for predict in predictors.values()]
        rows.append(row(words, [np.ascontiguousarray(rgb[..., ::-1]), *maps], scale=2))
    return rows
