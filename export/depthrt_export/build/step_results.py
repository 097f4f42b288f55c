"""What the steps of an export hand to one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from depthrt.spec import ModelSpec, Precision
from depthrt_export.options import Vary
from depthrt_export.proof.frame_split import FrameSplit
from depthrt_export.proof.verify import Proof
from depthrt_export.search.search import Found
from depthrt_export.sources.network import DepthNetwork, Reference


@dataclass(frozen=True, eq=False)
class Float32:
    """The float32 graph and its proof: every other precision is made from it.

    - ``network``, ``reference``: what was exported, and how it is run for comparison; of an ONNX
      file as the source, the file;
    - ``reference_name``: ``PyTorch``, ``float32``, or the ONNX file's own name;
    - ``spec``: of the float32 file; ``output_range`` None where the proof is to say it;
    - ``path``: a file of the graph in a temporary folder, where other files may be written;
    - ``pixel_zero``: what the graph subtracts from pixels before its first convolution, one number
      or one per channel; None where the normalisation is not folded;
    - ``vary``: whether the graph leaves batch and size open;
    - ``changes``: a line for each change that was made to the exported graph;
    - ``as_it_is``: the precision of an ONNX file that is not to be changed any more, else None.
    """

    network: DepthNetwork
    reference: Reference
    reference_name: str
    spec: ModelSpec
    model: onnx.ModelProto
    path: Path
    proof: Proof
    pixel_zero: tuple[float, ...] | None
    frames: FrameSplit
    vary: frozenset[Vary]
    changes: tuple[str, ...] = ()
    as_it_is: Precision | None = None


@dataclass(frozen=True, eq=False)
class Made:
    """The graph that goes into the file, and its proof against ``reference``.

    - ``float_nodes``: nodes that stayed float32 although the precision could hold them;
    - ``measured``: facts for the file's metadata;
    - ``notes``: lines for the user;
    - ``runs_here``: whether onnxruntime has kernels for the graph on this machine's CPU;
    - ``found``: what a search found, None without one;
    - ``proven``: the file that was proven in place of ``model``, which does not run here;
    - ``provider``: what runs ``model`` here.
    """

    model: onnx.ModelProto
    proof: Proof
    reference: str
    measured: Mapping[str, Any]
    precision: Precision = "float32"
    float_nodes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    runs_here: bool = True
    found: Found | None = None
    proven: Path | None = None
    provider: str = "cpu"
