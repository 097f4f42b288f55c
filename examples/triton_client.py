"""Depth of a picture from a server of models: Triton, KServe, or `depthrt serve`.

    python triton_client.py HOST:PORT MODEL PHOTO.jpg DEPTH.npy

The server takes pixels at the network's size; making them is the client's part. How is in the spec,
which the server hands out: `depthrt deploy` writes it into Triton's configuration, and `depthrt
serve` answers alike. Needs `pip install "tritonclient[http]"`.
"""

from __future__ import annotations

import sys

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput

import depthrt
from depthrt.model.preprocess import content_size


def main(address: str, model: str, photo: str, output: str) -> None:
    client = InferenceServerClient(address)
    config = client.get_model_config(model)
    spec = depthrt.ModelSpec.from_json(config["parameters"]["depthrt"]["string_value"])

    # 1. The very preprocessing of depthrt: uint8 RGB, 3,h,w.
    image = depthrt.read_image(photo)
    pixels = depthrt.prepare(image, spec.input)

    # 2. A batch of one; a graph of a fixed batch gets as many as it takes.
    batched = config["max_batch_size"] > 0
    count = 1 if batched else int(config["input"][0]["dims"][0])
    tensor = InferInput("image", [count, *pixels.shape], "UINT8")
    tensor.set_data_from_numpy(np.repeat(pixels[None], count, axis=0))
    depth = client.infer(model, [tensor]).as_numpy("depth")[0]  # float32, h,w

    # 3. Without the border that the rule `pad` adds.
    rows, columns = content_size(image.shape[:2], spec.input)
    depth = depth[:rows, :columns]
    np.save(output, depth)
    unit = spec.unit or "relative, no unit"
    print(
        f"{spec.name}: {depth.min():.4f} to {depth.max():.4f}, larger is {spec.larger_is}, {unit}"
    )
    client.close()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit("usage: triton_client.py HOST:PORT MODEL PHOTO.jpg DEPTH.npy")
    main(*sys.argv[1:])
