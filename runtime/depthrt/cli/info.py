"""`depthrt info` and `depthrt models`: what a model is, and which come with depthrt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnxruntime as ort

    from depthrt.model.depth_model import DepthModel


def info(
    model: Annotated[str, typer.Argument(help="A depthrt .onnx file or built-in name.")],
    provider: Annotated[str, typer.Option(help="Bind it to this provider.")] = "auto",
    everything: Annotated[
        bool, typer.Option("--all", help="Every field of the file, not the summary.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What a model file says of itself, and what it is bound to here."""
    from depthrt.cli.model_summary import summary
    from depthrt.model.depth_model import DepthModel

    loaded = DepthModel.load(model, provider=provider)
    facts = _facts(loaded)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    rows = _flat(facts) if everything else summary(facts, loaded.spec)
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        typer.echo(f"{key:<{width}} {_shown(value)}")
    if not everything:
        typer.echo("every field: --all, or --json")


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """The models that come with depthrt, those that were pulled and those that can be."""
    from depthrt.cli.model_list import lines, rows

    found = rows()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for line in lines(found):
        typer.echo(line)


_SLOW_SUMS = (
    "exact, but slow: this CPU has no VNNI and the weights have 8 bits; export again for 7, "
    "here or with --target x86-avx2"
)


def _facts(model: DepthModel) -> dict[str, Any]:
    from depthrt.model.session import needs_exact_sums, weight_bits
    from depthrt.model.tuning_cache import find_tuning

    slow = model.provider == "cpu" and needs_exact_sums(model.session)
    tuned = find_tuning(model.path)
    return {
        "file": str(model.path),
        "file_mb": round(model.path.stat().st_size / 1e6, 2),
        "sha256": model.sha256(),
        "bound_provider": model.provider,
        "inputs": _tensors(model.session.get_inputs()),
        "outputs": _tensors(model.session.get_outputs()),
        "assumed": model.spec.provenance.get("assumed"),
        "dynamic_batch": model.fixed_batch is None,
        "dynamic_size": model.dynamic_size,
        "weight_bits": weight_bits(model.session) or None,
        "int8_sums": _SLOW_SUMS if slow else None,
        "golden": _golden(model),
        "tuned": None if tuned is None else tuned.as_dict(),
        "spec": json.loads(model.spec.to_json()),
    }


def _golden(model: DepthModel) -> dict[str, Any] | None:
    """How many golden frames the file has, and how far depth may be from theirs."""
    from depthrt.model.golden.replay import golden_of

    golden = golden_of(model)
    if golden is None:
        return None
    allowed = golden.tolerance
    return {
        "frames": len(golden.frames),
        "allowed_error": {"cpu": allowed.cpu, "others": allowed.others},
        "proven_by": golden.by,
    }


def _tensors(tensors: Sequence[ort.NodeArg]) -> dict[str, str]:
    """Type and shape of each input or output, by its name."""
    found = {}
    for each in tensors:
        kind = each.type.removeprefix("tensor(").removesuffix(")")
        shape = ", ".join(str(side) for side in each.shape)
        found[each.name] = f"{'float32' if kind == 'float' else kind} ({shape})"
    return found


def _shown(value: Any) -> str:
    """A value for people; what is not there is a dash."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, list):
        return ", ".join(_shown(each) for each in value)
    if isinstance(value, dict):
        return "; ".join(f"{key} {_shown(each)}" for key, each in value.items())
    return str(value)


def _flat(content: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in content.items():
        name = f"{prefix}{key}"
        if name == "provenance.assumed":  # stands at the top
            continue
        if isinstance(value, dict) and value:
            rows.extend(_flat(value, "" if key == "spec" else f"{name}."))
        elif name == "tuned" and value is None:
            rows.append((name, "no"))
        else:
            rows.append((name, value))
    return rows
