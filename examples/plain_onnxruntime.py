"""Run a depthrt model file without depthrt: onnxruntime, numpy and OpenCV are all it needs.

    python plain_onnxruntime.py MODEL.onnx PHOTO.jpg DEPTH.png

The file takes uint8 RGB pixels and gives float32 depth: normalisation is inside the graph. How a
picture becomes the input, and what larger values mean, stands as JSON in the file's metadata, so
the same few lines work in C++, C#, Java or JavaScript.
"""

from __future__ import annotations

import json
import sys

import cv2
import numpy as np
import onnxruntime as ort

INTERPOLATION = {"linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC, "area": cv2.INTER_AREA}


def main(model: str, photo: str, output: str) -> None:
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["depthrt"])
    wanted = about["input"]
    if wanted["resize"] != "stretch":
        sys.exit(f"this example stretches pictures; the model wants {wanted['resize']!r}")
    picture = cv2.imread(photo)  # H,W,3, uint8, BGR
    if picture is None:
        sys.exit(f"{photo} is no picture that OpenCV reads")

    # 1. RGB, at the network's size, planes first, with a batch axis: 1,3,h,w, uint8.
    rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    code = INTERPOLATION[wanted["interpolation"]]
    small = cv2.resize(rgb, (wanted["width"], wanted["height"]), interpolation=code)
    image = np.ascontiguousarray(small.transpose(2, 0, 1)[None])

    # 2. The network: 1,h,w, float32.
    depth = session.run(["depth"], {"image": image})[0][0]
    unit = about["unit"] or "relative, no unit"
    print(f"{about['name']}: {depth.min():.4f} to {depth.max():.4f}, {about['kind']}, {unit}")

    # 3. A picture of it at the photo's size, near is bright, 16 bits a pixel.
    near = depth if about["larger_is"] == "nearer" else -depth
    shown = (near - near.min()) / max(float(np.ptp(near)), 1e-12)
    full = cv2.resize(shown, (picture.shape[1], picture.shape[0]))
    if not cv2.imwrite(output, np.rint(full * 65535).astype(np.uint16)):
        sys.exit(f"{output} cannot be written")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: plain_onnxruntime.py MODEL.onnx PHOTO.jpg DEPTH.png")
    main(*sys.argv[1:])
