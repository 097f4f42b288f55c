"""Files that ``depthrt export --precision auto`` made, beside the plain float32: time and AbsRel.

    taskset -c 0 depthrt export meter.py:meter --checkpoint nyu.pt --kind depth --size 192x256 \\
        --mean .485,.456,.406 --std .229,.224,.225 --frames rooms/ --dataset aims_lab/ \\
        --precision auto -o nyu.onnx
    python -m experiments.quantisation.searched nyu=PLAIN.onnx=nyu.onnx --labelled replica_office0/

PLAIN.onnx is made by ``--no-rewrite`` in place of ``--precision auto``. Time is processor time on
one thread, both in turn. The labelled set is not that of the search.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from depthrt.model.depth_model import DepthModel
from depthrt_benchmarks.common.environment import write_result
from depthrt_export.proof.labelled_frames import (
    absolute_relative_error,
    labelled_frames,
    open_labelled,
)
from experiments.quantisation.hybrid import one_thread

RESULT = Path("benchmarks/results/quantisation_searched.json")
_LABELLED = 81


def row(plain: Path, searched: Path, labelled: Path) -> dict[str, Any]:
    """One network."""
    models = [DepthModel.load(path, provider="cpu", threads=1) for path in (plain, searched)]
    spec = models[1].spec
    frames = labelled_frames(open_labelled(labelled), _LABELLED, spec.input)
    errors = [
        float(
            np.mean(
                [
                    absolute_relative_error(
                        model.infer(frame.sample.pixels[None])[0], frame, spec.kind, spec.unit
                    )
                    for frame in frames
                ]
            )
        )
        for model in models
    ]
    search = spec.measured["search"]
    return {
        "recipe": search["recipe"],
        "float_blocks": len(search["float_blocks"]),
        "max_drop": search["max_drop"],
        "abs_rel_float32": errors[0],
        "abs_rel": errors[1],
        "abs_rel_over_float32": errors[1] / errors[0],
        "one_thread": one_thread(searched, plain, frames[0].sample.pixels),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("networks", nargs="+", metavar="NAME=PLAIN.onnx=SEARCHED.onnx")
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, default=RESULT)
    said = parser.parse_args()
    found = {}
    for network in said.networks:
        name, plain, searched = network.split("=")
        found[name] = row(Path(plain), Path(searched), said.labelled)
        print(name, found[name], flush=True)  # noqa: T201
    write_result(said.output, {"labelled": said.labelled.name, "networks": found})


if __name__ == "__main__":
    main()
