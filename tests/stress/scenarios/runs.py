"""Ctrl-C and SIGTERM at random moments of ``depthrt run``."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.web.servers import HttpVideo, free_port
from stress.case import Case, WrongError, expect, scenario
from stress.kit import FRAMES
from stress.scripts import Ended, finish, start_command, when_begun
from stress.stalling import stalling
from stress.written import check_names, indices_of, looks_whole

CLIP = "sound.mp4"
OUTPUTS = ("out.mp4", "out.npz", "out.mkv", "out", "out.v2/")
_DECODER, _NETWORK = "libavformat", "onnxruntime_pybind"  # loaded by commands that have begun


def _send(case: Case, process: subprocess.Popen[str], *, twice: bool) -> tuple[int, float]:
    """Send SIGINT or SIGTERM, perhaps twice; which, and when."""
    number = case.rng.choice([signal.SIGINT, signal.SIGTERM])
    at_s = time.monotonic()
    process.send_signal(number)
    if twice:
        time.sleep(case.rng.random() * 0.4)
        process.send_signal(number)
    return number, at_s


def _interrupt(
    case: Case, process: subprocess.Popen[str], delay_s: float, begun: str = _NETWORK
) -> Ended | None:
    """Interrupt a command some time after it has begun; None where it had ended before."""
    when_begun(process, begun if case.rng.random() < 0.8 else _DECODER)
    end_s = time.monotonic() + delay_s
    while time.monotonic() < end_s and process.poll() is None:
        time.sleep(0.005)
    return _end(case, process, twice=case.rng.random() < 0.2)


def _end(case: Case, process: subprocess.Popen[str], *, twice: bool) -> Ended | None:
    if process.poll() is not None:
        _completed(finish(process))
        return None
    number, at_s = _send(case, process, twice=twice)
    ended = finish(process)
    if ended.code == 0:  # it had ended by itself, but for the last words
        return None
    said = ended.out + ended.err
    expect("Traceback" not in said, f"a traceback: {said[-600:]}")
    codes = {130} if number == signal.SIGINT else {130, 143, -signal.SIGTERM}
    if " frames in " in ended.out or "interrupted" in ended.err:
        codes.add(-number)  # all was done and said when it came (again)
    expect(ended.code in codes, f"exit code {ended.code} on {number}: {said[-400:]}")
    _one_of_ours(ended)
    case.ended(f"signal {number}", ended.at_s - at_s)
    return ended


def _one_of_ours(ended: Ended) -> None:
    for line in ended.err.splitlines():
        expect(line.startswith("depthrt: "), f"not a sentence of ours: {line!r}")


def _completed(ended: Ended) -> None:
    expect(ended.code in (0, 1, 2), f"exit code {ended.code}: {ended.err[-400:]}")
    expect("Traceback" not in ended.err, f"a traceback: {ended.err[-600:]}")
    _one_of_ours(ended)


def _command(case: Case, *arguments: Any, output: str | None) -> list[Any]:
    model = case.rng.choice([case.kit.slow, case.kit.slow, case.kit.tiny])
    command = ["run", *arguments, "-m", model]
    if case.rng.random() < 0.5:
        command += ["--threads", 1]
    if output is not None:
        command += ["-o", output]
    return command


def _outputs(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / name for name in names if (folder / name).exists()]


@scenario(weight=5, limit_s=60)
def run_of_a_file(case: Case) -> None:
    """A file to any output is interrupted: what was made is whole and holds its first frames."""
    output = case.rng.choice(OUTPUTS)
    start = case.rng.choice([0, 0, 100])
    command = _command(case, case.kit.clip(CLIP), output=output)
    process = start_command([*command, "--start", start / 25, "--no-stabilise"], case.folder)
    ended = _interrupt(case, process, case.rng.random() * 2.0)
    said = "" if ended is None else ended.out + ended.err
    target = Path(output).name
    check_names(case.folder, {target}, said)
    for place in _outputs(case.folder, [target]):
        indices = indices_of(case, place, CLIP, start)
        if ended is None:
            expect(len(indices) == FRAMES[CLIP] - start, f"{len(indices)} frames in {target}")


@scenario(weight=3, limit_s=60)
def run_that_packs(case: Case) -> None:
    """Ctrl-C comes when the output gets its name, or a little before."""
    output = case.rng.choice(["out.npz", "out.npz", "out.mp4", "out", "out.mkv"])
    command = ["run", case.kit.clip(CLIP), "-m", case.kit.tiny, "-o", output]
    before = set(case.folder.iterdir())
    process = start_command([*command, "--no-stabilise"], case.folder)
    seen = 0
    wanted = case.rng.choice([1, 1, 2])
    while process.poll() is None and seen < wanted:
        names = set(case.folder.iterdir())
        if names != before:
            seen, before = seen + 1, names
        time.sleep(0.0005)
    time.sleep(case.rng.random() * 0.01)
    ended = _end(case, process, twice=False)
    said = "" if ended is None else ended.out + ended.err
    check_names(case.folder, {output}, said)
    for place in _outputs(case.folder, [output]):
        indices = indices_of(case, place, CLIP)
        expect(ended is not None or len(indices) == FRAMES[CLIP], f"{len(indices)} frames")


@scenario(weight=3, limit_s=60)
def run_of_several(case: Case) -> None:
    """Several files, one of them perhaps none, are interrupted."""
    form = case.rng.choice(["mp4", "npz", "mkv", "png"])
    sources = [case.kit.clip(CLIP), case.kit.clip("long.mp4"), case.kit.clip("wide.mkv")]
    if case.rng.random() < 0.3:
        sources.insert(case.rng.randrange(4), str(case.folder / "missing.mp4"))
    command = _command(case, *sources, output="many")
    process = start_command([*command, "--format", form, "--no-stabilise"], case.folder)
    ended = _interrupt(case, process, case.rng.random() * 2.0)
    said = "" if ended is None else ended.out + ended.err
    check_names(case.folder, {"many"}, said)
    folder = case.folder / "many"
    if not folder.is_dir():
        return
    known = {}
    for name in (CLIP, "long.mp4", "wide.mkv"):
        stem = f"{Path(name).stem}_depth"
        known[stem if form == "png" else f"{stem}.{form}"] = name
    check_names(folder, set(known), said)
    for name, origin in known.items():
        if (folder / name).exists():
            indices_of(case, folder / name, origin)


@scenario(weight=3, limit_s=60)
def run_of_a_silent_server(case: Case) -> None:
    """A camera that falls silent, a server that stalls or never answers, is interrupted."""
    how: Any = case.rng.choice(["pictures", "pictures", "mute", "head", "file"])
    output = case.rng.choice(["out.mp4", "out.npz", "out", "out.jsonl"])
    with stalling(how, pictures=20, rate=25, file=case.kit.folder / "wide.mkv") as server:
        goes_to: list[Any] = ["--jsonl", output] if output == "out.jsonl" else ["-o", output]
        command = _command(case, server.url, *goes_to, output=None)
        process = start_command(command, case.folder)
        ended = _interrupt(case, process, case.rng.random() * 2.5, _DECODER)
    _look(case, ended, output)


def _look(case: Case, ended: Ended | None, output: str) -> None:
    said = "" if ended is None else ended.out + ended.err
    check_names(case.folder, {output}, said)
    for place in _outputs(case.folder, [output]):
        looks_whole(place)


@scenario(weight=3, limit_s=60)
def run_of_a_camera(case: Case) -> None:
    """A camera that speaks, goes away or comes back is interrupted."""
    case.patience_s = 5.0
    output = case.rng.choice(["out.mp4", "out.npz", "out", "out.mkv"])
    server = HttpVideo(rate=25)
    try:
        url = server.address + case.rng.choice(["/live.mjpg", "/live.ts"])
        process = start_command(_command(case, url, output=output), case.folder)
        when_begun(process, _NETWORK)
        time.sleep(case.rng.random() * 1.5)
        if case.rng.random() < 0.7:
            server.kill()
            time.sleep(case.rng.random() * 1.5)
            if case.rng.random() < 0.4:
                server.start()
                time.sleep(case.rng.random())
        ended = _end(case, process, twice=case.rng.random() < 0.2)
    finally:
        server.kill()
    _look(case, ended, output)


@scenario(weight=2, limit_s=60)
def run_of_many_live(case: Case) -> None:
    """Cameras, a silent one, one that is not there and a file, all at once, are interrupted."""
    case.patience_s = 5.0
    server = HttpVideo(rate=25)
    try:
        with stalling(case.rng.choice(["pictures", "mute"]), pictures=5) as silent:
            dead = f"{case.rng.choice(['rtsp', 'http'])}://127.0.0.1:{free_port()}/x"
            sources = [server.address + "/live.ts", silent.url, dead, case.kit.clip("long.mp4")]
            case.rng.shuffle(sources)
            command = _command(case, *sources, output="many")
            form = case.rng.choice(["mp4", "npz"])
            process = start_command([*command, "--format", form], case.folder)
            ended = _interrupt(case, process, case.rng.random() * 3, _DECODER)
    finally:
        server.kill()
    said = "" if ended is None else ended.out + ended.err
    check_names(case.folder, {"many"}, said)
    folder = case.folder / "many"
    for place in folder.iterdir() if folder.is_dir() else ():
        expect(not place.name.startswith("."), f"{place.name} is left")
        expect(ended is None or "partial" not in place.name or place.name in said,
               f"{place.name} was left and not named")  # fmt: skip
        looks_whole(place)


@scenario(weight=2, limit_s=60)
def run_into_a_pipe(case: Case) -> None:
    """The reader of a pipe goes away, or reads nothing while Ctrl-C comes."""
    command = ["run", case.kit.clip(CLIP), "-m", case.kit.tiny, "-o", "-", "--format", "gray16le"]
    process = start_command(command, case.folder)
    assert process.stdout is not None
    number = None
    if case.rng.random() < 0.5:
        process.stdout.close()  # the reader is gone
    else:
        when_begun(process, _NETWORK)
        time.sleep(case.rng.random())
        number = case.rng.choice([signal.SIGINT, signal.SIGTERM])
    at_s = time.monotonic()
    if number is not None and process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(20 if number is None else 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise WrongError("a run into a pipe hangs") from None
    if number is not None:
        case.ended("Ctrl-C at a full pipe", time.monotonic() - at_s)
    err = process.stderr.read() if process.stderr is not None else ""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            pipe.close()
    expect("Traceback" not in err, f"a traceback: {err[-500:]}")
    expect(process.returncode in (0, 1, 130, 143, -15), f"exit code {process.returncode}: {err}")
    expect(not list(case.folder.iterdir()), "files were left")
