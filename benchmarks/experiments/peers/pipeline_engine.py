"""The Hugging Face pipeline, from picture to depth."""

from __future__ import annotations

from typing import Any

import numpy as np


def open_engine(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """``source``: the folder of a model; fed a picture, 1,3,H,W, that it resizes to ``size``."""
    import torch
    import transformers
    from PIL import Image

    torch.set_num_threads(order["threads"])
    pipe: Any = transformers.pipeline("depth-estimation", model=order["source"], device="cpu")
    height, width = order["size"]
    pipe.image_processor.size = {"height": height, "width": width}
    pipe.image_processor.keep_aspect_ratio = False

    def run(images: Any) -> Any:
        picture = Image.fromarray(np.ascontiguousarray(images[0].transpose(1, 2, 0)))
        with torch.inference_mode():
            return np.asarray(pipe(picture)["predicted_depth"])[None]

    return run, {"versions": {"transformers": transformers.__version__}}
