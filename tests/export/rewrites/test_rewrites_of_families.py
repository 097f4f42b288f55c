"""Every depth family of transformers: folder to graph to rewritten graph, all equal to PyTorch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from depthrt_export.graph.export import export_graph
from depthrt_export.options import SourceOptions
from depthrt_export.rewrites.rewrite import rewrite
from depthrt_export.sources.huggingface import load_huggingface
from depthrt_export.sources.torch_network import TorchNetwork, probe
from experiments.quantisation.depth_families import FAMILIES, save

# How many attentions of each network become MultiHeadAttention; Swin v2's cosine attention cannot.
FUSED = {"dpt-swinv2": 0, "depth-pro": 6, "glpn": 4}
LAYER_SCALED = {"depth-pro": 12, "dpt-vit": 0, "dpt-hybrid": 0, "dpt-swinv2": 0, "glpn": 0}


def pictures(network: TorchNetwork, count: int) -> NDArray[np.uint8]:
    """Smooth pictures, as photographs are, uint8 N,3,H,W."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 3, 6, 6)).astype(np.float32)
    size = (network.input.height, network.input.width)
    smooth = F.interpolate(torch.from_numpy(coarse), size, mode="bilinear")
    return smooth.numpy().astype(np.uint8)


@torch.inference_mode()
def in_torch(network: TorchNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    how = network.normalisation
    pixels = torch.from_numpy(images).double() * how.scale
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (how.mean, how.std))
    output = network.module(((pixels - mean) / std).float())
    depth = output["depth"] if isinstance(output, dict) else output
    if depth.shape[-2:] != images.shape[-2:]:
        size = images.shape[-2:]
        depth = F.interpolate(depth.unsqueeze(1), size, mode="bilinear").squeeze(1)
    return np.asarray(depth.numpy())


def in_onnx(model: onnx.ModelProto, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(None, {"image": images})[0], np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_family(name: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    network = load_huggingface(str(save(family, tmp_path / name)), SourceOptions(size=family.size))
    varies = name == "depth-anything"  # one with an open batch
    form, vary = probe(network), frozenset({"batch"} if varies else ())
    plain = export_graph(network, form, vary, 20)
    rewritten, lines = rewrite(plain)

    images = pictures(network, 3 if varies else 1)
    reference = in_torch(network, images)
    spread = np.ptp(reference)
    assert spread > 1e-2
    before, after = in_onnx(plain, images), in_onnx(rewritten, images)
    assert np.abs(before - reference).max() <= 1e-4 * spread
    assert np.abs(after - before).max() <= 1e-4 * spread

    nodes = Counter(node.op_type for node in rewritten.graph.node)
    assert nodes["MultiHeadAttention"] == FUSED.get(name, 4), lines
    assert nodes["IsNaN"] == 0
    assert sum(
        int(line.split(": ")[1]) for line in lines if line.startswith("LayerScale")
    ) == LAYER_SCALED.get(name, 8)
    assert rewrite(rewritten)[1] == [], "a second time there is nothing left to do"
