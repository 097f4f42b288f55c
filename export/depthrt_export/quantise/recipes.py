"""Recipes that make a float32 graph smaller and faster; :func:`apply` runs any of them.

Built on onnxruntime's quantiser. NNCF writes the same operators, and its int8 graphs were less
exact (error .129 beside .048 on a MiDaS-like network); ModelOpt calls onnxruntime's quantiser
itself and is made for TensorRT.

Ranges are collected by depthrt: onnxruntime's calibrator holds every map of every frame in memory,
and its entropy method, with 128 bins of 128, is min-max by another name, so it is not offered.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import onnx

from depthrt.errors import UsageError
from depthrt.model.session import import_onnxruntime
from depthrt.spec import Precision
from depthrt_calibration.frames import Sample
from depthrt_calibration.ranges import Late, Ranges, collect_ranges, never
from depthrt_export.console import quiet_quantiser
from depthrt_export.graph.nodes import ATTENTION, constant_products, head_nodes, leading_to
from depthrt_export.quantise.convolution_chains import OPERATORS as CHAINED
from depthrt_export.quantise.convolution_chains import convolution_chains
from depthrt_export.quantise.half import HalfPrecision, to_half
from depthrt_export.quantise.smooth_quant import smooth
from depthrt_export.quantise.static_int8 import Int8Recipe, note_weight_bits, quantise

_HALF_FRAMES = 8
_PERCENTILE = Int8Recipe().percentile
_CONVOLUTIONS = ("Conv", "Relu", "Clip", "Add", "Resize", "MaxPool", "Concat")


@dataclass(frozen=True)
class StaticRecipe:
    """int8 weights per output channel and activations of fixed ranges, as QDQ.

    - ``products_only``: in a graph with attention only products with constant weights are
      quantised, and after the last attention the ``convolutions`` if asked for; the sums and
      normalisations of a transformer need more than 256 levels. A graph without attention is
      quantised in whole chains;
    - ``chains``: what :func:`convolution_chains` finds, before attention as well; products only
      if asked for by ``products_only``;
    - ``smoothed``: outlier channels are moved into weights first;
    - ``percentile``, ``reduce_range``, ``activations``, ``fused``: as of
      :class:`depthrt_export.quantise.static_int8.Int8Recipe`.
    """

    name: str
    products_only: bool = False
    convolutions: bool = True
    chains: bool = False
    smoothed: bool = False
    percentile: float | None = 99.99
    reduce_range: bool = False
    activations: Literal["uint8", "int8", "uint16"] = "uint8"
    fused: bool = False


@dataclass(frozen=True)
class DynamicRecipe:
    """Products with int8 weights per column; the activations' ranges are taken as they run.

    - ``smoothed``: outlier channels are moved into weights first;
    - ``convolutions``: those after the last attention are quantised with fixed ranges as well;
    - ``chains``: all that :func:`convolution_chains` finds is, before attention as well;
    - ``reduce_range``: as of :class:`depthrt_export.quantise.static_int8.Int8Recipe`.
    """

    name: str
    smoothed: bool = False
    convolutions: bool = False
    chains: bool = False
    reduce_range: bool = False


@dataclass(frozen=True)
class HalfRecipe:
    """float16 or bfloat16, where the provider has kernels for it."""

    name: str
    precision: HalfPrecision


@dataclass(frozen=True)
class FloatRecipe:
    """The graph as it is, for providers that run it faster than the CPU's."""

    name: str = "float32"


Recipe: TypeAlias = StaticRecipe | DynamicRecipe | HalfRecipe | FloatRecipe


@dataclass(frozen=True, eq=False)
class Material:
    """What every recipe starts from; results that several recipes share are computed once.

    - ``model``: the float32 graph, rewritten, with its normalisation folded;
    - ``zero``: what it subtracts from pixels before the first convolution, None if not folded;
    - ``calibration``: real frames that ranges come from;
    - ``late``: whether the time for collecting them is up.
    """

    model: onnx.ModelProto
    zero: tuple[float, ...] | None
    calibration: Sequence[Sample]
    late: Late = never
    _made: dict[str, onnx.ModelProto] = field(default_factory=dict, repr=False)
    _ranges: dict[tuple[bool, float | None], Ranges] = field(default_factory=dict, repr=False)

    def graph(self, smoothed: bool) -> onnx.ModelProto:
        """The float32 graph, with or without its outlier channels."""
        if not smoothed:
            return self.model
        if "smoothed" not in self._made:
            self._made["smoothed"], _ = smooth(self.model, self.calibration, late=self.late)
        return self._made["smoothed"]

    def ranges(self, smoothed: bool, percentile: float | None) -> Ranges:
        """Ranges of all tensors of :meth:`graph` on the calibration frames."""
        key = (smoothed, percentile)
        if key not in self._ranges:
            graph = self.graph(smoothed)
            self._ranges[key] = collect_ranges(graph, self.calibration, percentile, self.late)
        return self._ranges[key]


@dataclass(frozen=True, eq=False)
class Applied:
    """The graph that a recipe made, its precision, and what of it stayed float."""

    model: onnx.ModelProto
    precision: Precision
    float_nodes: tuple[str, ...]
    notes: tuple[str, ...]


def apply(recipe: Recipe, material: Material, float_nodes: Sequence[str] = ()) -> Applied:
    """Make a graph by a recipe; some nodes stay float.

    Raises:
        UsageError: the recipe finds nothing to work on.
    """
    if isinstance(recipe, FloatRecipe):
        return Applied(material.model, "float32", (), ())
    with quiet_quantiser():
        if isinstance(recipe, StaticRecipe):
            return _static(recipe, material, tuple(float_nodes))
        if isinstance(recipe, DynamicRecipe):
            return _dynamic(recipe, material, tuple(float_nodes))
    half = to_half(material.model, recipe.precision, material.calibration[:_HALF_FRAMES])
    return Applied(half.model, recipe.precision, half.float_nodes, half.notes)


def _static(recipe: StaticRecipe, material: Material, float_nodes: tuple[str, ...]) -> Applied:
    model = material.graph(recipe.smoothed)
    operators = Int8Recipe().operators
    fit = {node.name for node in model.graph.node}
    if recipe.chains or recipe.products_only:
        fit, operators = set(), ()
    if recipe.products_only:
        operators = ("MatMul", *(_CONVOLUTIONS if recipe.convolutions else ()))
        trunk = leading_to(model.graph, ATTENTION)
        fit = {n.name for n in model.graph.node if n.op_type != "MatMul" and n.name not in trunk}
        fit |= set(constant_products(model.graph))
    if recipe.chains:
        operators = (*operators, *CHAINED)
        fit |= convolution_chains(model.graph)
    kept = {n.name for n in model.graph.node if n.name not in fit} | set(float_nodes)
    return _quantised(recipe, material, model, operators, kept, set(float_nodes))


def _quantised(
    recipe: StaticRecipe,
    material: Material,
    model: onnx.ModelProto,
    operators: tuple[str, ...],
    kept: set[str],
    said: set[str],
) -> Applied:
    settings = Int8Recipe(
        operators=operators,
        float_nodes=tuple(sorted(kept)),
        percentile=recipe.percentile,
        reduce_range=recipe.reduce_range,
        activations=recipe.activations,
        fused=recipe.fused,
    )
    ranges = material.ranges(recipe.smoothed, recipe.percentile)
    pixels = material.zero if recipe.chains or not recipe.products_only else None
    result = quantise(model, ranges, settings, pixels)
    precision: Precision = "int16" if recipe.activations == "uint16" else "int8"
    reported = tuple(n for n in result.float_nodes if n in said or n in head_nodes(model.graph))
    return Applied(result.model, precision, reported, (result.note,))


def _dynamic(recipe: DynamicRecipe, material: Material, float_nodes: tuple[str, ...]) -> Applied:
    model = material.graph(recipe.smoothed)
    products = [n for n in constant_products(model.graph) if n not in set(float_nodes)]
    if not products:
        raise UsageError("the graph has no product with constant weights that int8 could speed up")
    notes: tuple[str, ...] = ("activations of products are scaled as they run",)
    if recipe.convolutions or recipe.chains:
        model, more = _convolutions(recipe, material, model, float_nodes)
        notes += more
    with tempfile.TemporaryDirectory() as folder:
        made = _quantise_dynamically(model, products, Path(folder), recipe.reduce_range)
    note_weight_bits(made, 7 if recipe.reduce_range else 8)
    return Applied(made, "int8_dynamic", float_nodes, notes)


def _convolutions(
    recipe: DynamicRecipe, material: Material, model: onnx.ModelProto, float_nodes: tuple[str, ...]
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """All of them in whole chains, or those after the last attention."""
    operators: tuple[str, ...] = CHAINED if recipe.chains else _CONVOLUTIONS
    left = leading_to(model.graph, ATTENTION)
    if recipe.chains:
        left = {node.name for node in model.graph.node} - convolution_chains(model.graph)
    percentile = _PERCENTILE if recipe.chains else None
    settings = Int8Recipe(
        operators, (*sorted(left), *float_nodes), percentile, reduce_range=recipe.reduce_range
    )
    ranges = material.ranges(recipe.smoothed, percentile)
    result = quantise(model, ranges, settings, material.zero if recipe.chains else None)
    where = "" if recipe.chains else " after the attention"
    return result.model, (f"convolutions{where} have fixed ranges",)


def _quantise_dynamically(
    model: onnx.ModelProto, products: Sequence[str], folder: Path, reduce_range: bool
) -> onnx.ModelProto:
    import_onnxruntime()  # before any other door of it
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save_model(model, source)
    quantize_dynamic(
        source,
        target,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=reduce_range,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=list(products),
        extra_options={"MatMulConstBOnly": True},
    )
    return onnx.load(target)
