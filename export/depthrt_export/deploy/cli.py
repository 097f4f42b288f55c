"""`depthrt deploy`: a finished file for Triton and KServe."""

from __future__ import annotations

import importlib.util
import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.errors import UsageError
from depthrt.system.installation import install_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depthrt_export.deploy.triton import Deployed

app = typer.Typer(add_completion=False)
_KSERVE = "KServe"


class Device(str, Enum):
    """Where the server runs a model."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


def _of_kserve(text: str, metavar: str | None = None) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        help=text, metavar=metavar, rich_help_panel=_KSERVE
    )
    return option


@app.command()
def deploy(
    model: Annotated[str, typer.Argument(help="A depthrt .onnx file or built-in name.")],
    triton: Annotated[
        Path | None,
        typer.Option(help="Model repository of Triton to add it to.", metavar="DIR"),
    ] = None,
    kserve: Annotated[
        Path | None,
        typer.Option(help="Folder for KServe's manifest and its models.", metavar="DIR"),
    ] = None,
    batch: Annotated[
        int,
        typer.Option(
            help="Images per inference at most, if the file leaves it open.", min=1, max=1024
        ),
    ] = 8,
    delay_us: Annotated[
        int, typer.Option(help="Microseconds that a batch waits.", min=0, max=10_000_000)
    ] = 2000,
    instances: Annotated[
        int, typer.Option(help="Sessions of it; with --device gpu, on each GPU.", min=1, max=256)
    ] = 1,
    device: Annotated[Device, typer.Option(help="Where it runs.")] = Device.auto,
    threads: Annotated[
        int | None, typer.Option(help="Of one inference on a CPU.", min=1, max=1024)
    ] = None,
    storage_uri: Annotated[
        str,
        _of_kserve("Where its nodes fetch the models: s3://, gs://, pvc://, https://, ...", "URI"),
    ] = "",
    namespace: Annotated[str | None, _of_kserve("Of the InferenceService.")] = None,
    cpus: Annotated[str, _of_kserve("Cores of a replica.")] = "2",
    memory: Annotated[str, _of_kserve("Memory of a replica.")] = "2Gi",
    gpus: Annotated[
        int, typer.Option(help="GPUs of a replica.", min=0, max=64, rich_help_panel=_KSERVE)
    ] = 0,
    replicas: Annotated[str, _of_kserve("Least and most.", "N-M")] = "1-3",
    canary: Annotated[
        int | None,
        typer.Option(
            help="Per cent of the requests that a changed model gets first.",
            min=0,
            max=100,
            rich_help_panel=_KSERVE,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what depthrt wrote there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Put a finished depthrt file where Triton or KServe serves it from.

    The file's bytes are copied as they are: nothing is exported or quantised anew.
    """
    require_onnx()
    from depthrt_export.deploy.deploy import Places, Settings
    from depthrt_export.deploy.deploy import deploy as write
    from depthrt_export.deploy.settings import KserveSettings, TritonSettings, parse_replicas

    places = Places(triton, kserve)
    if not places:
        raise UsageError("say where it goes: --triton DIR, --kserve DIR or both")
    settings = Settings(
        TritonSettings(batch, delay_us, instances, device.value, threads),
        KserveSettings(
            storage_uri, namespace, cpus, memory, gpus, parse_replicas(replicas), canary
        ),
    )
    _tell(write(model, places, settings, overwrite=overwrite), as_json=as_json)


def deploy_without_export(
    source: str,
    triton: Path | None,
    kserve: Path | None,
    given: set[str],
    overwrite: bool,
    as_json: bool,
) -> None:
    """`depthrt export FILE --triton DIR` without ``-o``: the finished file goes there as it is.

    Args:
        source: the file, or the name of a built-in model.
        triton, kserve: where it goes.
        given: names of the parameters that the user gave; others would need an export.
        overwrite: what depthrt wrote there may be replaced.
        as_json: print one JSON document.

    Raises:
        UsageError: there is something to export, so that ``-o`` is missing.
    """
    from depthrt.model.catalogue.registry import built_in_models
    from depthrt_export.deploy.deploy import Places, Settings
    from depthrt_export.deploy.deploy import deploy as write

    places = Places(triton, kserve)
    others = given - {"source", "triton", "kserve", "overwrite", "as_json"}
    if not places or others or not (_is_onnx(source) or source in built_in_models()):
        raise UsageError("-o is missing: say which .onnx file to make")
    require_onnx()
    _tell(write(source, places, Settings(), overwrite=overwrite), as_json=as_json)


def _is_onnx(source: str) -> bool:
    from depthrt_export.sources.onnx_file.find import onnx_source

    return onnx_source(source) is not None


def _tell(done: Sequence[Deployed], *, as_json: bool) -> None:
    from depthrt_export.deploy.deploy import documents, lines

    if as_json:
        typer.echo(json.dumps({"deployed": documents(done)}))
        return
    for line in lines(done):
        typer.echo(line)


def require_onnx() -> None:
    """Refuse to go on without the package that reads the file.

    Raises:
        UsageError: it is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError(f"onnx, which deploy needs, is not installed: {install_command('onnx')}")
