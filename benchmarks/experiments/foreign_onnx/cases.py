"""The files of the matrix: forms that are to be accepted, and files that are to be refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from experiments.foreign_onnx.variant import Inside, Variant

_KIND = ("--kind", "inverse-depth")
_IMAGENET = ("--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225")
_OF_PIXELS = ("--mean", "123.675,116.28,103.53", "--std", "58.395,57.12,57.375", "--scale", "1")
OPSETS = (11, 13, 17, 20)


def accepted() -> Iterator[Variant]:
    """Files that are to become depthrt models."""
    for opset in (9, *OPSETS, 21):
        yield Variant(f"plain, opset {opset}", opset)
    for opset in OPSETS:
        yield Variant(f"N,H,W,3 uint8, opset {opset}", opset, "N,H,W,3", "uint8", inside="/255")
        yield Variant(f"depth N,H,W at a half, opset {opset}", opset, layout="N,H,W", shrink=2)
        yield Variant(f"open batch, opset {opset}", opset, batch=None)
    yield from _inputs()
    yield from _outputs()
    yield from _normalised()
    yield from _numbers()
    yield from _peculiar()


def _inputs() -> Iterator[Variant]:
    for axes in ("N,H,W,3", "3,H,W", "H,W,3"):
        for element in ("float32", "uint8"):
            yield Variant(f"{axes} {element}", axes=axes, element=element, inside="/255")
    yield Variant("float64", element="float64")
    yield Variant("int8", element="int8", inside="", said=("--scale", "1", "--mean", "128"))
    yield Variant("uint8 N,3,H,W", element="uint8", inside="ImageNet of 0..255")
    yield Variant("fixed batch of 4", batch=4)
    yield Variant("open size", size_open=True, said=("--size", "64x96"))
    yield Variant("open size kept", size_open=True, batch=None, opset=13,
                  said=("--size", "64x96", "--multiple-of", "4", "--dynamic", "size"))  # fmt: skip
    yield Variant("open size kept, depth at a quarter", size_open=True, batch=None, shrink=4,
                  said=("--size", "64x96", "--multiple-of", "4", "--dynamic", "size"))  # fmt: skip
    yield Variant("no sides are told", batch=None, size_open=True, more=("no sides",),
                  said=("--size", "64x96"))  # fmt: skip
    yield Variant("sides of -1", batch=None, size_open=True, more=("sides of -1",),
                  said=("--size", "64x96"))  # fmt: skip
    yield Variant("batch called open, but frozen", batch=None, network="attention", opset=11,
                  more=("frozen batch",))  # fmt: skip
    yield Variant("fixed batch of 4, 1 impossible", batch=4, more=("batch of 4 in a reshape",))


def _outputs() -> Iterator[Variant]:
    for layout in ("N,1,H,W", "N,H,W", "N,H,W,1", "H,W", "H,W,1"):
        for shrink in (1, 4):
            yield Variant(f"depth {layout} at 1/{shrink}", layout=layout, shrink=shrink)
    yield Variant("depth H,W of H,W,3", axes="H,W,3", layout="H,W")
    yield Variant("depth H,W,1 of H,W,3", axes="H,W,3", layout="H,W,1", shrink=2, opset=11)
    yield Variant("open batch, depth at a quarter", batch=None, shrink=4)
    yield Variant("features beside", more=("features beside",))
    yield Variant("confidence beside", more=("confidence beside",),
                  said=("--depth-output", "out"))  # fmt: skip


def _normalised() -> Iterator[Variant]:
    insides: tuple[Inside, ...] = (
        "/255", "ImageNet of 0..255", "ImageNet", "-1..1", "less mean",
    )  # fmt: skip
    for inside in insides:
        for axes in ("N,3,H,W", "N,H,W,3"):
            yield Variant(f"{inside} inside, {axes}", axes=axes, inside=inside)
    yield Variant("ImageNet said", said=_IMAGENET)
    yield Variant("ImageNet of 0..255 said", said=_OF_PIXELS, axes="N,H,W,3")
    yield Variant("BGR", said=("--bgr", *_IMAGENET), bgr=True)
    yield Variant("BGR, N,H,W,3 uint8", axes="N,H,W,3", element="uint8", bgr=True,
                  inside="ImageNet of 0..255", said=("--bgr",))  # fmt: skip
    yield Variant("BGR, less mean inside", said=("--bgr",), bgr=True, inside="less mean")


def _numbers() -> Iterator[Variant]:
    for element in ("float16", "float32"):
        yield Variant(f"float16 inside, {element} outside", element=element, half=True)
        yield Variant(f"float16 kept, {element} outside", element=element, half=True,
                      said=("--precision", "fp16"))  # fmt: skip
    for how in ("qdq", "qoperator"):
        yield Variant(f"quantised, {how}", quantised=how)
        yield Variant(f"quantised, {how}, N,H,W,3", quantised=how, axes="N,H,W,3", said=_IMAGENET)
    yield Variant("quantised, dynamic", quantised="dynamic", network="attention")


def _peculiar() -> Iterator[Variant]:
    yield Variant("weights among inputs", 11, more=("weights among inputs",))
    yield Variant("weights as constants", more=("weights as constants",))
    yield Variant("external data", more=("external data",))
    yield Variant("names of the contract", more=("taken names",))
    yield Variant("an input that nothing reads", more=("unread input",))
    yield Variant("local functions", more=("function",))
    yield Variant("names of TorchScript", 11, more=("TorchScript's names",))
    yield Variant("mixes the batch", batch=None, more=("mixing",))
    for opset in OPSETS:
        yield Variant(f"attention, opset {opset}", opset, network="attention")


REFUSED: Mapping[Variant, str] = {
    Variant("classes", more=("classes",)): "gives no depth map of the picture",
    Variant("labels", more=("labels",)): "gives no depth map of the picture",
    Variant("boxes", more=("boxes",)): "gives no depth map of the picture",
    Variant("two inputs", more=("second input",)): "takes 2 inputs",
    Variant("custom operator", more=("custom operator",)): "mmdeploy:grid_sampler",
    Variant("NaN", more=("NaN",)): "non-finite depth",
    Variant("flat", more=("flat",)): "one depth everywhere",
    Variant("two maps", more=("confidence beside",)): "--depth-output NAME, one of confidence, out",
    Variant("open size, none said", size_open=True): "leaves its size open",
    Variant("another size said", said=("--size", "32x96")): "is fixed at 64x96",
    Variant("open batch of a fixed file", said=("--dynamic", "batch")): "leave out --dynamic batch",
    Variant("open size of a fixed file", said=("--dynamic", "size")): "leave out --dynamic size",
    Variant("open batch that is mixed", batch=None, more=("mixing",), said=("--dynamic", "batch")):
        "depends on the other pictures of its batch",
    Variant("quantised again", quantised="qdq", said=("--precision", "int8")):
        "is quantised already",
    Variant("mean of uint8", element="uint8", said=("--mean", "0.5")): "takes uint8 pixels as",
}  # fmt: skip


def options(variant: Variant) -> tuple[str, ...]:
    """The options that are said of a file: none says what its depth means, many how it is fed."""
    fed = variant.inside or variant.element == "uint8" or {"--mean", "--scale"} & {*variant.said}
    return (*_KIND, *(() if fed else ("--mean", "0", "--std", "1")), *variant.said)
