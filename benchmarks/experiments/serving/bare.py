"""The ceiling of a server: decoding and the bare session in one process, without HTTP.

    python -m experiments.serving.bare PICTURES SECONDS BATCH [MODEL]

As many threads as the model runs inferences at a time; each decodes as many pictures as a batch
holds, prepares them, and runs the session. Writes JSON to standard output.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from depthrt.model.depth_model import DepthModel
from depthrt.model.preprocess import prepare
from depthrt.sources.images import decode_image

_WARM_S = 1.0


def bare_rate(
    model: DepthModel, contents: list[bytes], seconds: float, batch: int
) -> tuple[float, float]:
    """Images a second, and milliseconds of processor time an image."""
    files = [np.frombuffer(content, np.uint8) for content in contents]
    start_s = time.monotonic() + _WARM_S
    stop_s, counts = start_s + seconds, [0] * model.parallel
    all_images, spent_s = [0] * model.parallel, time.process_time()

    def work(number: int) -> None:
        at = number
        while True:
            images = []
            for _ in range(batch):
                image = decode_image(files[at % len(files)], "a picture")
                images.append(prepare(image, model.spec.input))
                at += model.parallel
            model.session.run(["depth"], {"image": np.stack(images)})
            all_images[number] += batch
            now_s = time.monotonic()
            if now_s >= stop_s:
                return
            counts[number] += batch if now_s >= start_s else 0

    threads = [threading.Thread(target=work, args=(number,)) for number in range(model.parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent_ms = 1e3 * (time.process_time() - spent_s)
    return sum(counts) / seconds, spent_ms / sum(all_images)


def main() -> None:
    """Measure and write JSON."""
    folder, seconds, batch, *name = sys.argv[1:]
    model = DepthModel.load(name[0] if name else None, objective="throughput", verify=False)
    contents = [path.read_bytes() for path in sorted(Path(folder).iterdir())]
    rate, spent_ms = bare_rate(model, contents, float(seconds), int(batch))
    json.dump({"images_per_s": rate, "processor_ms": spent_ms}, sys.stdout)


if __name__ == "__main__":
    main()
