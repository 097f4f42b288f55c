"""Several runs with one output at once, and what appears at the output meanwhile."""

from __future__ import annotations

import time
from pathlib import Path

from stress.case import Case, WrongError, expect, scenario
from stress.kit import FRAMES
from stress.scripts import Ended, finish, start_command
from stress.written import check_names, indices_of

CLIP = "long.mp4"
_KINDS = ("same.npz", "same.mp4", "same.mkv", "same")


def _count(start: int, stride: int) -> int:
    return len(range(start, FRAMES[CLIP], stride))


@scenario(weight=4, limit_s=60)
def one_output_for_several(case: Case) -> None:
    """Runs that write to one place at once: each is refused or whole, and none is mixed."""
    output = case.rng.choice(_KINDS)
    overwrite = case.rng.random() < 0.4
    parts = [(0, 1), (50, 1), (0, 3), (20, 2)]
    case.rng.shuffle(parts)
    parts = parts[: case.rng.randint(2, 3)]
    processes = []
    for start, stride in parts:
        command = ["run", case.kit.clip(CLIP), "-m", case.kit.tiny, "-o", output]
        command += ["--start", start / 25, "--stride", stride, "--no-stabilise"]
        command += ["--overwrite"] if overwrite else []
        processes.append(start_command(command, case.folder))
        case.nap(0.3)
    ends = [finish(process) for process in processes]
    _check_ends(ends, overwrite=overwrite)
    said = "".join(ended.out + ended.err for ended in ends)
    check_names(case.folder, {output}, said)
    fine = [part for part, ended in zip(parts, ends, strict=True) if ended.code == 0]
    expect(len(fine) > 0, f"every run was refused: {said[-500:]}")
    expect(overwrite or len(fine) == 1, f"{len(fine)} runs were told that {output} is theirs")
    place = case.folder / output
    expect(place.exists(), f"{output} is not there")
    complaints = []
    for start, stride in fine:
        try:
            if len(indices_of(case, place, CLIP, start, stride)) == _count(start, stride):
                return
            complaints.append(f"not {_count(start, stride)} frames")
        except WrongError as wrong:
            complaints.append(str(wrong))
    raise WrongError(f"{output} is no run's whole output: {complaints}")


def _check_ends(ends: list[Ended], *, overwrite: bool) -> None:
    for ended in ends:
        expect(ended.code in (0, 1, 2), f"exit code {ended.code}: {ended.err[-400:]}")
        lines = ended.err.splitlines()
        expect(all(line.startswith("depthrt: ") for line in lines), f"said {ended.err[-600:]}")
        expect(ended.code == 0 or len(lines) == 1, f"said {ended.err[-600:]}")


@scenario(weight=2, limit_s=60)
def something_comes_meanwhile(case: Case) -> None:
    """A file or folder of somebody else appears at the output, or beside it, while a run works."""
    output = case.rng.choice(_KINDS)
    target = Path(output)
    beside = [f"{target.stem}.partial{target.suffix}", f".{output}.partial", f"{output}.tmp"]
    names = [output, *beside] if case.rng.random() < 0.6 else beside
    name = case.rng.choice(names)
    command = ["run", case.kit.clip("sound.mp4"), "-m", case.kit.slow, "-o", output]
    early = name != output and case.rng.random() < 0.5
    if early:
        _put(case, name)
    process = start_command([*command, "--no-stabilise", "--end", 3], case.folder)
    if not early:
        time.sleep(0.5 + case.rng.random() * 0.7)
        if (case.folder / name).exists():
            finish(process)
            return  # it is the run's own: nothing of somebody else was there
        _put(case, name)
    ended = finish(process)
    said = ended.out + ended.err
    expect("Traceback" not in said, f"a traceback: {said[-500:]}")
    kept = case.folder / name
    thesis = kept / "thesis.txt" if kept.is_dir() else kept
    whole = thesis.is_file() and thesis.read_text() == "precious"
    expect(whole, f"{name} of somebody else was lost, exit code {ended.code}: {said[-300:]}")
    if name == output:
        expect(ended.code != 0, f"{output} of somebody else stands there, and the run says 0")
    check_names(case.folder, {output, name}, said)


def _put(case: Case, name: str) -> None:
    place = case.folder / name
    if case.rng.random() < 0.5:
        place.mkdir()
        place = place / "thesis.txt"
    place.write_text("precious")
