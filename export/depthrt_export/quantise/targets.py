"""Where a file is to run, and which recipes are worth trying there.

Recipes stand in the order of their expected speed. Only ``host`` is measured: for another machine
the first recipe that is exact enough is taken, untimed, and that is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from depthrt.errors import UsageError
from depthrt.model.providers import AUTO_ORDER, PROVIDERS, SessionOptions
from depthrt.model.session import offered_providers
from depthrt.system import cpu_features
from depthrt_export.graph.nodes import constant_products, has_attention
from depthrt_export.model_file import works
from depthrt_export.options import ExportOptions
from depthrt_export.quantise.convolution_chains import is_hybrid
from depthrt_export.quantise.recipes import DynamicRecipe, HalfRecipe, Recipe, StaticRecipe
from depthrt_export.quantise.static_int8 import Int8Recipe
from depthrt_export.rewrites.attention_written_out import write_out_attention

CPU = "cpu"

INT8 = StaticRecipe("int8")
INT8_ALL = StaticRecipe("int8, min-max", percentile=None)
INT8_SIGNED = StaticRecipe("int8, signed", activations="int8")
INT16 = StaticRecipe("int8, 16-bit activations", activations="uint16")
FP16, BF16 = HalfRecipe("float16", "float16"), HalfRecipe("bfloat16", "bfloat16")
DYNAMIC = DynamicRecipe("dynamic products")
DYNAMIC_SMOOTH = DynamicRecipe("dynamic products, smoothed", smoothed=True)
DYNAMIC_CONV = DynamicRecipe(
    "dynamic products, smoothed, static convolutions", smoothed=True, convolutions=True
)
PRODUCTS = StaticRecipe(
    "static products, smoothed", True, convolutions=False, smoothed=True, percentile=None
)
PRODUCTS_CONV = StaticRecipe(
    "static products and convolutions, smoothed", True, smoothed=True, percentile=None
)
PRODUCTS_CONV_SIGNED = StaticRecipe(
    "static products and convolutions, smoothed, signed",
    True,
    smoothed=True,
    percentile=None,
    activations="int8",
)
CHAINS = StaticRecipe("static convolutions", chains=True)
CHAINS_DYNAMIC = DynamicRecipe("dynamic products, static convolutions", chains=True)
CHAINS_PRODUCTS = StaticRecipe(
    "static products and convolutions", True, convolutions=False, chains=True, smoothed=True
)


def _fused(recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
    """The first of whole chains in uint8 as OpenVINO runs it fastest.

    Through it an int8 U-Net with HardSwish took 0.57 of float32's time, not 0.65.
    """
    static = [r for r in recipes if isinstance(r, StaticRecipe) and r.activations == "uint8"]
    return tuple(replace(r, name=f"{r.name}, activations fused", fused=True) for r in static[:1])


@dataclass(frozen=True)
class Target:
    """A preset: what to try for networks of convolutions and for transformers, and why.

    ``hybrid``: where attention stands among convolutions, in place of recipes for the convolutions
    behind the last attention alone (min-max: on METER they lost four times as much).
    """

    name: str
    convolutional: tuple[Recipe, ...]
    transformer: tuple[Recipe, ...]
    why: str
    hybrid: tuple[Recipe, ...] = ()

    @property
    def timed(self) -> bool:
        """Whether latency is measured here and judged."""
        return self.name == "host"

    @property
    def provider(self) -> str:
        """The provider that runs its files."""
        return self.name if self.name in PROVIDERS else "cpu"

    def recipes(self, graph: onnx.GraphProto, provider: str = "cpu") -> tuple[Recipe, ...]:
        """The recipes that suit this graph, run through a provider."""
        if _is_openvino(provider) and self.name != "openvino":
            return target("openvino").recipes(graph)
        if has_attention(graph) and constant_products(graph):
            if not self.hybrid or not is_hybrid(graph):
                return self.transformer
            return (*self.hybrid, *(r for r in self.transformer if not _behind_attention(r)))
        return self.convolutional


def _behind_attention(recipe: Recipe) -> bool:
    """Whether it quantises the convolutions behind the last attention, and no others."""
    return isinstance(recipe, (StaticRecipe, DynamicRecipe)) and recipe.convolutions


_MADE_WHERE_THEY_RUN = ("host", "openvino")
_HYBRID = (CHAINS_DYNAMIC, CHAINS_PRODUCTS, CHAINS)
_TRANSFORMER = (PRODUCTS_CONV, DYNAMIC_CONV, PRODUCTS, DYNAMIC_SMOOTH, DYNAMIC)


def _in_7_bits(recipe: Recipe) -> Recipe:
    """The same with 7-bit weights where it multiplies uint8 by int8."""
    if isinstance(recipe, DynamicRecipe) or (
        isinstance(recipe, StaticRecipe) and recipe.activations == "uint8"
    ):
        return replace(recipe, name=f"{recipe.name}, 7-bit weights", reduce_range=True)
    return recipe


INT8_7BIT, INT8_ALL_7BIT = _in_7_bits(INT8), _in_7_bits(INT8_ALL)
_HYBRID_7BIT = tuple(_in_7_bits(recipe) for recipe in _HYBRID)
_TRANSFORMER_7BIT = tuple(_in_7_bits(recipe) for recipe in _TRANSFORMER)

TARGETS: dict[str, Target] = {
    t.name: t
    for t in (
        Target(
            "host",
            (INT8, INT8_ALL, INT16, FP16, BF16),
            (*_TRANSFORMER, BF16),
            "everything that onnxruntime's CPU provider may run fast, as measured on this machine",
            _HYBRID,
        ),
        Target(
            "x86-vnni",
            (INT8, INT8_ALL),
            _TRANSFORMER,
            "VNNI multiplies uint8 by int8 and adds in 32 bits; int8 by int8 takes twice the time",
            _HYBRID,
        ),
        Target(
            "x86-avx2",
            (INT8_7BIT, INT8_ALL_7BIT),
            _TRANSFORMER_7BIT,
            "without VNNI pairs of products are added in 16 bits, which saturate: 7-bit weights",
            _HYBRID_7BIT,
        ),
        Target(
            "arm64",
            (INT8_SIGNED,),
            (PRODUCTS_CONV_SIGNED, DYNAMIC_SMOOTH),
            "SDOT and SMMLA multiply int8 by int8; onnxruntime has symmetric kernels for just that",
        ),
        Target(
            "cuda",
            (FP16,),
            (FP16,),
            "tensor cores run float16; the CUDA provider has no int8 convolutions",
        ),
        Target(
            "tensorrt",
            (INT8_SIGNED, FP16),
            (PRODUCTS_CONV_SIGNED, FP16),
            "TensorRT reads QDQ with zero points of 0 alone: int8 activations, symmetric",
        ),
        Target(
            "openvino",
            (*_fused((INT8,)), INT8, INT8_ALL),
            (PRODUCTS_CONV_SIGNED, PRODUCTS_CONV, PRODUCTS),
            "it runs QDQ files in layouts of its own, and what stays float in bfloat16 by itself",
        ),
    )
}


def target(name: str) -> Target:
    """The preset of this name; of those made where they run, as this CPU multiplies.

    Raises:
        UsageError: there is none.
    """
    name = name.replace("_", "-")
    if name not in TARGETS:
        raise UsageError(f"--target {name!r} is none of {', '.join(TARGETS)}")
    found = TARGETS[name]
    if name not in _MADE_WHERE_THEY_RUN or not cpu_features.sums_saturate():
        return found
    return replace(
        found,
        convolutional=tuple(_in_7_bits(recipe) for recipe in found.convolutional),
        transformer=tuple(_in_7_bits(recipe) for recipe in found.transformer),
        hybrid=tuple(_in_7_bits(recipe) for recipe in found.hybrid),
        why=f"{found.why}; in 7 bits, as the CPU here, without VNNI, sums 8 wrongly or slowly",
    )


def int8_recipe(name: str) -> Int8Recipe:
    """How a target wants int8.

    Raises:
        UsageError: no such target, or none that runs int8.
    """
    machine = target(name)
    static = next((r for r in machine.convolutional if isinstance(r, StaticRecipe)), None)
    if static is None:
        raise UsageError(f"--target {name} runs no int8 ({machine.why}): take --precision fp16")
    return Int8Recipe(
        percentile=static.percentile,
        reduce_range=static.reduce_range,
        activations=static.activations,
        fused=static.fused,
    )


def other_providers(float_path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Providers that run float32 here beside the CPU's, and a note on each that does not work.

    OpenVINO once more in the processor's 16-bit type, where it has one.
    """
    offered = [name for name in AUTO_ORDER if name in offered_providers() and name != CPU]
    working = [name for name in offered if works(float_path, name)]
    broken = [name for name in offered if name not in working]
    if "openvino" in working and cpu_features.half_type():
        working.append(f"openvino, {cpu_features.half_type()}")
    return tuple(working), tuple(
        f"provider {name} is installed, but does not work here" for name in broken
    )


def suited(model: onnx.ModelProto, provider: str) -> onnx.ModelProto:
    """The same graph in the operators that a provider runs fastest; ``openvino, bf16`` is one.

    Depth-Anything-V2-S through OpenVINO takes 0.66 of plain float32's time on the CPU provider with
    its attention written out, 0.82 with it fused; in bfloat16 0.23 and 0.42.
    """
    return write_out_attention(model) if _is_openvino(provider) else model


def rewritten(
    model: onnx.ModelProto, options: ExportOptions
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """The graph with faster operators of the same value, and a line for each change."""
    changes: list[str] = []
    if options.rewrite:
        from depthrt_export.rewrites.rewrite import rewrite  # onnxscript, which takes a while

        model, changes = rewrite(model)
    if options.precision not in ("int8", "auto"):  # those quantise the fused graph
        model = suited(model, target(options.target).provider)
    return model, tuple(changes)


def _is_openvino(provider: str) -> bool:
    return SessionOptions.named(provider).provider == "openvino"
