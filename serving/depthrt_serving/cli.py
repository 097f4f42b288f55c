"""`depthrt serve`: depth over HTTP."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from depthrt.cli.share import parse_share
from depthrt.errors import UsageError
from depthrt.system.installation import install_command
from depthrt_serving.cluster import command as cluster

if TYPE_CHECKING:
    from depthrt_serving.settings import Monitoring, Rollout

app = typer.Typer(add_completion=False)

_QUEUE, _LIMITS, _GUARD, _MACHINE = "Queue", "Limits", "Who may ask", "Machine"
_WATCH, _ROLLOUT = "Watch", "Roll over"
_PACKAGES = ("starlette", "uvicorn", "httptools", "websockets", "prometheus_client")


@app.command()
def serve(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Argument(help="A depthrt .onnx file or built-in name; depthrt-s.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0: everybody who can reach it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: a free one.", min=0, max=65535)] = 8000,
    grpc_port: Annotated[
        int | None,
        typer.Option(
            help="Answer the Open Inference Protocol over gRPC, too, at this port.",
            min=1,
            max=65535,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="A file with tokens, one a line: requests need `Authorization: Bearer TOKEN`.",
            rich_help_panel=_GUARD,
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Certificate, PEM.", rich_help_panel=_GUARD)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="Its key, PEM.", rich_help_panel=_GUARD)
    ] = None,
    max_queue_images: Annotated[
        int, typer.Option(help="Images that wait at most.", min=1, rich_help_panel=_QUEUE)
    ] = 64,
    max_wait_ms: Annotated[
        float,
        typer.Option(
            help="How long a batch waits for images that are being decoded.",
            min=0,
            max=10_000,
            rich_help_panel=_QUEUE,
        ),
    ] = 5.0,
    deadline_ms: Annotated[
        float,
        typer.Option(
            help="What cannot be answered within this time is refused before it is computed; a "
            "request's header Depthrt-Deadline-Ms says otherwise.",
            min=1,
            max=600_000,
            rich_help_panel=_QUEUE,
        ),
    ] = 2000.0,
    max_bytes: Annotated[
        int, typer.Option(help="Of one request with pictures.", min=1, rich_help_panel=_LIMITS)
    ] = 32 << 20,
    max_pixels: Annotated[
        int,
        typer.Option(
            help="Of one picture, checked before it is decoded.", min=1, rich_help_panel=_LIMITS
        ),
    ] = 50_000_000,
    max_connections: Annotated[
        int, typer.Option(help="Open at a time.", min=1, rich_help_panel=_LIMITS)
    ] = 256,
    provider: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda, tensorrt, openvino, ...", rich_help_panel=_MACHINE),
    ] = "auto",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads of one inference.", min=1, rich_help_panel=_MACHINE),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            help="Images per inference at most. Default: what `depthrt tune` chose, else 4 on a "
            "CPU and 8 elsewhere; on a CPU 1 where batches would change depth.",
            min=1,
            rich_help_panel=_MACHINE,
        ),
    ] = None,
    drift: Annotated[
        bool,
        typer.Option(help="Look at two answers a second for drift.", rich_help_panel=_WATCH),
    ] = True,
    reference: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file that keeps what drift is judged against. Default: the model file's, "
            "else the first 10 minutes, learned anew at each start.",
            rich_help_panel=_WATCH,
        ),
    ] = None,
    shadow: Annotated[
        str | None,
        typer.Option(
            help="Share of the images, as 0.5%, that --shadow-model computes, too, when nothing "
            "waits; how far the answers are from it is measured.",
            rich_help_panel=_WATCH,
        ),
    ] = None,
    shadow_model: Annotated[
        str | None,
        typer.Option(
            help="The float file of the same network. It runs on one CPU thread at the lowest "
            "priority.",
            rich_help_panel=_WATCH,
        ),
    ] = None,
    canary: Annotated[
        Path | None,
        typer.Option(
            help="A model file that gets a share of the requests while it is there.",
            rich_help_panel=_ROLLOUT,
        ),
    ] = None,
    canary_share: Annotated[
        str | None, typer.Option(help="That share. Default: 5%.", rich_help_panel=_ROLLOUT)
    ] = None,
    engine: cluster.Engine = cluster.EngineName.local,
    address: cluster.Address = None,
    replicas: cluster.Replicas = "1",
    gpus: cluster.Gpus = 0.0,
    roll: cluster.Roll = None,
    roll_batches: cluster.RollBatches = 100,
    roll_difference: cluster.RollDifference = "10%",
    roll_slower: cluster.RollSlower = 1.5,
    print_rules: Annotated[
        bool,
        typer.Option(
            "--print-rules",
            help="Write the alert rules for Prometheus, of `depthrt serve` and "
            "`depthrt run --metrics`, and end.",
            rich_help_panel=_WATCH,
        ),
    ] = False,
    print_dashboard: Annotated[
        bool,
        typer.Option(
            "--print-dashboard",
            help="Write the dashboard for Grafana, and end.",
            rich_help_panel=_WATCH,
        ),
    ] = False,
) -> None:
    """Depth of pictures, clips and streams over HTTP.

    Ctrl-C or SIGTERM: no new connections; what has come is answered. A second one ends at once.
    SIGHUP: looks at the files of the model and of the canary again; no request is lost.
    """
    if print_rules or print_dashboard:
        _print_file("alerts.yml" if print_rules else "dashboard.json")
        return
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"depthrt serve needs {', '.join(missing)}: {install_command('serve')}")
    if grpc_port is not None and importlib.util.find_spec("grpc") is None:
        raise UsageError(f"--grpc-port needs grpcio: {install_command('grpc')}")
    from depthrt_serving.server.serve import serve as serve_until_told
    from depthrt_serving.settings import Limits, Queueing, Settings

    settings = Settings(
        model=model,
        host=host,
        port=port,
        grpc_port=grpc_port,
        token_file=token_file,
        tls_cert=tls_cert,
        tls_key=tls_key,
        provider=provider,
        threads=threads,
        queueing=Queueing(max_queue_images, max_wait_ms / 1e3, deadline_ms / 1e3, batch),
        limits=Limits(body_bytes=max_bytes, pixels=max_pixels, connections=max_connections),
        monitoring=_monitoring(drift, reference, shadow, shadow_model),
        rollout=_rollout(canary, canary_share),
    )
    cluster.check_engine(engine, _given(context), settings)

    def tell(sentence: str) -> None:
        typer.echo(f"depthrt: {sentence}", err=True)

    if engine is cluster.EngineName.ray:
        gates = roll_batches, roll_difference, roll_slower
        cluster.serve_or_roll(settings, address, replicas, gpus, roll, gates, tell)
        return
    serve_until_told(settings, tell)


def _given(context: typer.Context) -> set[str]:
    """The names of the parameters that were typed, not taken from their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, where in sources.items() if where and where.name == "COMMANDLINE"}


def _print_file(name: str) -> None:
    """Write a file of ``depthrt.monitor`` to standard output."""
    from importlib.resources import files

    typer.echo((files("depthrt.monitor") / name).read_text("utf-8"), nl=False)


def _monitoring(
    drift: bool, reference: Path | None, shadow: str | None, shadow_model: str | None
) -> Monitoring:
    """What is watched.

    Raises:
        UsageError: options that do not go together, or no share.
        TargetError: the file of references cannot be written.
    """
    from depthrt.sinks.base import check_target
    from depthrt_serving.settings import Monitoring

    if (shadow is None) != (shadow_model is None):
        raise UsageError("--shadow and --shadow-model belong together: a share, and a float file")
    if reference is not None:
        if not drift and shadow is None:
            raise UsageError("--reference keeps what drift is judged against: leave out --no-drift")
        check_target(reference, overwrite=True)
    share = 0.0 if shadow is None else parse_share(shadow, "--shadow")
    return Monitoring(drift, reference, shadow_model, share)


def _rollout(canary: Path | None, share: str | None) -> Rollout:
    """How a new model takes over.

    Raises:
        UsageError: a share of nothing, or no share.
    """
    from depthrt_serving.settings import Rollout

    rollout = Rollout(canary, parse_share(share or "5%", "--canary-share"))
    if canary is None and share is not None:
        raise UsageError("--canary-share is that of a canary: give --canary, too")
    return rollout
