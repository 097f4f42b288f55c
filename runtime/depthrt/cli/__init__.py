"""The `depthrt` command line.

Commands of the other packages are entry points of the group ``depthrt.commands``, imported only
when they are called or listed; heavy imports happen inside the command that needs them.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from depthrt.cli import doctor, info, run, tune, verify
from depthrt.errors import EXIT_INTERRUPTED, DepthrtError, UsageError
from depthrt.system.interrupts import leave, terminable
from depthrt.system.process_settings import own_process

ENTRY_POINTS = "depthrt.commands"
_ORDER = (
    "run",
    "batch",
    "serve",
    "pull",
    "export",
    "deploy",
    "calibrate",
    "scale",
    "tune",
    "verify",
    "bench",
    "eval",
    "info",
    "models",
    "doctor",
)
"""Of the commands in the help: that of the work."""


class Commands(TyperGroup):
    """The runtime's commands and those of other packages; errors become one sentence."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, in the order of the work; those we do not know come last."""
        offered = {point.name for point in entry_points(group=ENTRY_POINTS)}
        names = {*super().list_commands(ctx), *offered}
        return [*(name for name in _ORDER if name in names), *sorted(names.difference(_ORDER))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by name; one of another package is imported."""
        return super().get_command(ctx, cmd_name) or _offered(cmd_name)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an expected error becomes a sentence and an exit code, no traceback."""
        try:
            with terminable():
                return super().invoke(ctx)
        except DepthrtError as error:
            typer.echo(f"depthrt: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except ImportError as error:
            if error.name != "cv2" and "libGL" not in str(error) and "libgthread" not in str(error):
                raise
            from depthrt.jobs.doctor.opencv import opencv_problems
            from depthrt.jobs.doctor.report import opencv_wheels

            for problem in opencv_problems(opencv_wheels(), str(error)):
                typer.echo(f"depthrt: {problem}", err=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            typer.echo(f"depthrt: {str(error) or 'interrupted'}", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error


@cache
def _built() -> Any:
    """All commands of the runtime; reading their signatures takes 20 ms, once in a process."""
    return get_command(app)


@cache
def _offered(name: str) -> Any:
    """A command of another package; None: there is none of this name."""
    for point in entry_points(group=ENTRY_POINTS, name=name):
        command = get_command(_load(point))
        command.name = name
        return command
    return None


def _load(point: EntryPoint) -> typer.Typer:
    """The command of an entry point. If its import fails, calling it says why."""
    try:
        return cast(typer.Typer, point.load())
    except (ImportError, AttributeError) as error:
        reason = f"the command {point.name} ({point.value}) cannot be loaded: {error}"
    broken = typer.Typer()

    @broken.command(help="Cannot be loaded.", context_settings={"ignore_unknown_options": True})
    def refuse(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise UsageError(reason)

    return broken


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    epilog="Exit codes: 0 done, 1 failed while running, 2 wrong usage or input, 3 accuracy gate, "
    "4 latency regression, 5 provider unavailable, 130 interrupted.",
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        # inverse_depth is inverse-depth, and --max_frames is --max-frames, in every command
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
app.command("run")(run.run)
app.command("tune")(tune.tune)
app.command("verify")(verify.verify)
app.command("info")(info.info)
app.command("models")(info.models)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"depthrt {version('depthrt')}")
        raise typer.Exit


@app.callback()
def depthrt(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Monocular depth on the edge: run it on video, export and prove your own model."""


def main() -> None:
    """Entry point of the console script."""
    if sys.stderr is None:  # it was closed: messages have nowhere to go
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115
    interrupted = threading.Event()
    atexit.register(_end_at_once, interrupted)  # the first to be registered is the last to run
    with terminable(), own_process():
        code = _code_of_command()
        if code == EXIT_INTERRUPTED:
            interrupted.set()
            leave()
    sys.exit(code)


def _end_at_once(interrupted: threading.Event) -> None:
    """End an interrupted process without taking libraries down, if a thread is still inside one.

    A silent server can hold FFmpeg up for long. The process would crash when that call goes on
    while the libraries' own exit functions run.
    """
    held_up = any(thread.name.startswith("depthrt-") for thread in threading.enumerate())
    if interrupted.is_set() and held_up:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(EXIT_INTERRUPTED)


def _code_of_command() -> int:
    """Run the command and return its exit code."""
    try:
        code = _built()(standalone_mode=False)
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        typer.echo("depthrt: interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader has left: drop what is still buffered
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        where = f"{error.filename}: " if error.filename else ""
        typer.echo(f"depthrt: {where}{error.strerror or error}", err=True)
        return 1
    except Exception as error:
        # Typer's usage errors have no public class; this method tells them apart.
        if not hasattr(error, "format_message"):
            raise
        return _refuse(error)
    return code if isinstance(code, int) else 0


def _refuse(error: Any) -> int:
    """Print what is wrong with the options in one line, and return the exit code."""
    context = getattr(error, "ctx", None)
    message = error.format_message().replace("Value error, ", "")  # pydantic's own words
    if message.strip():  # `depthrt` alone has printed its help
        hint = f" (see `{context.command_path} --help`)" if context is not None else ""
        typer.echo(f"depthrt: {message.rstrip('.')}{hint}".replace("\n", " "), err=True)
    return int(error.exit_code)
