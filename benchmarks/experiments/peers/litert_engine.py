"""LiteRT (XNNPACK) on a network that litert-torch converted.

python litert_engine.py ORDER.json MODEL.tflite      converts, where litert-torch is installed
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def open_engine(order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A .tflite file of float pixels N,3,H,W."""
    interpreter = import_module("ai_edge_litert.interpreter").Interpreter(
        model_path=order["model"], num_threads=order["threads"]
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    made = interpreter.get_output_details()[0]["index"]

    def run(images: Any) -> Any:
        interpreter.set_tensor(given, images.astype(np.float32))
        interpreter.invoke()
        return interpreter.get_tensor(made)

    return run, {"versions": {"ai-edge-litert": version("ai-edge-litert")}}


def main() -> None:
    """Convert a network."""
    import torch
    from torch_engine import load_whole  # type: ignore[import-not-found]  # beside this file

    order = json.loads(Path(sys.argv[1]).read_text())
    module, size = load_whole(order)
    pixels = torch.zeros(1, 3, size.height, size.width)
    import_module("litert_torch").convert(module, (pixels,)).export(sys.argv[2])


if __name__ == "__main__":
    main()
