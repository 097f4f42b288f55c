r"""Is one commit as fast as another? Short processes of both, in turn, each with its own packages.

Every case runs pairs of processes, one of either commit, in an order drawn anew for each pair. The
ratio after / before of each pair is free of what slows both; its geometric mean has a 95% interval
by Student's t of the logarithms. A case ends when the interval is narrow enough, or when its share
of the time is used up; then ``narrow`` is false. Looking after every pair makes intervals a little
too narrow, as they end when the pairs happen to agree.

- recordings: ``depthrt run`` from file to H.264, as a user calls it. ``rate_fps`` is what the
  command says; ``whole_fps`` counts the process from its start to its end;
- ``eight_streams``: eight recordings through ``depthrt.stream_many``, four frames an inference;
- ``live``: a source at three times the rate that the model can do, through ``depthrt.stream``.
  Latency is measured here, from the time of capture to the result in hand.

Every case is written when it is done. A second call with the same ``-o`` measures those that are
missing; those named with ``--cases`` are measured anew.

    python -m venv BEFORE
    BEFORE/bin/pip install "depthrt[cpu] @ git+file://localhost/CHECKOUT@COMMIT"
    ... the same for AFTER, and with [openvino] for BEFORE_OPENVINO and AFTER_OPENVINO
    python -m experiments.pipeline.before_after \
        --before BEFORE/bin/python --after AFTER/bin/python \
        --openvino-before BEFORE_OPENVINO/bin/python --openvino-after AFTER_OPENVINO/bin/python \
        -o benchmarks/results/before_after.json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from depthrt.errors import EXIT_INTERRUPTED, DepthrtError
from depthrt.sinks.base import check_target
from depthrt_benchmarks.common.environment import environment, write_result
from experiments.pipeline.before_after_runs import CASES, Bench, Case, Failed, Settings, measure

Sides = dict[str, dict[str, Any]]  # what is installed, by the name of the environment
_SEED = 0  # of the order within pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the figures; 1 where a case failed."""
    parser = _parser()
    options = parser.parse_args(arguments)
    pythons = _pythons(options)
    settings = Settings(options.frames, options.run_seconds, options.pairs, model=options.model)
    try:
        wanted = chosen(options.cases, pythons)
        if min(options.pairs, options.frames) < 2 or not options.run_seconds > 0:
            raise ValueError("--pairs and --frames are 2 or more, --run-seconds is above 0")
        check_target(options.output, overwrite=True)
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(Path(folder), settings)
            sides = {name: bench.describe(python) for name, python in pythons.items()}
            content = earlier(options.output, sides)
            print("\n".join(remarks(sides)), flush=True)  # noqa: T201
            if options.cases is None:
                wanted = [case for case in wanted if case.name not in content["cases"]]
            content["command"] = _command(options)
            return _measure_all(bench, wanted, pythons, settings, options, content)
    except (DepthrtError, Failed, ValueError) as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("interrupted: the cases that were done are kept")  # noqa: T201
        return EXIT_INTERRUPTED


def chosen(names: str | None, pythons: Mapping[str, Path]) -> list[Case]:
    """The cases of these names, by commas; without names, those that have their environments.

    Raises:
        ValueError: there is no such case, or it lacks its environments.
    """
    ready = [case for case in CASES if all(name in pythons for name in case.environments)]
    if names is None:
        for case in CASES:
            if case not in ready:
                print(f"{case.name}: left out, its environments are not given")  # noqa: T201
        return ready
    asked = names.split(",")
    for name in asked:
        if name not in {case.name for case in CASES}:
            known = ", ".join(case.name for case in CASES)
            raise ValueError(f"there is no case {name!r}: there are {known}")
        if name not in {case.name for case in ready}:
            raise ValueError(f"{name} needs --openvino-before and --openvino-after")
    return [case for case in ready if case.name in asked]


def earlier(path: Path, sides: Sides) -> dict[str, Any]:
    """What the file holds of an earlier call, of the same commits on the same machine, or nothing.

    Raises:
        ValueError: the file holds something else.
    """
    if not path.exists():
        return {"benchmark": "before_after", "sides": sides, "cases": {}}
    try:
        content = json.loads(path.read_text())
        cases, known = dict(content["cases"]), dict(content["sides"])
        same = content["machine"] == environment()["machine"] and all(
            known.get(name, side) == side for name, side in sides.items()
        )
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no result of this experiment: give another -o") from error
    if not same:
        raise ValueError(f"{path} is of other commits, packages or machine: give another -o")
    print(f"{path} has {', '.join(cases) or 'no case'} already")  # noqa: T201
    return {"benchmark": "before_after", "sides": {**known, **sides}, "cases": cases}


def remarks(sides: Sides) -> list[str]:
    """What is compared, a line for each environment, and what makes it another comparison."""
    lines = []
    for name, side in sides.items():
        packages = ", ".join(f"{key} {value}" for key, value in side["versions"].items())
        lines.append(f"{name}: commit {side['commit']}, {side['provider']}, {packages}")
        if side["commit"] == "unknown":
            lines.append(
                f"{name}: the result says its commit where pip installed it as "
                '"depthrt[...] @ git+file://localhost/CHECKOUT@COMMIT"'
            )
    for prefix in ("", "openvino_"):
        before, after = sides.get(f"{prefix}before"), sides.get(f"{prefix}after")
        if before and after:
            lines += [
                f"{prefix}before and {prefix}after differ in {what}: ratios are of that, too"
                for what in ("versions", "model")
                if before[what] != after[what]
            ]
    return lines


def _measure_all(
    bench: Bench,
    cases: Sequence[Case],
    pythons: Mapping[str, Path],
    settings: Settings,
    options: argparse.Namespace,
    content: dict[str, Any],
) -> int:
    """One case after the other, each written at once; time that one leaves goes to the others."""
    end_s = time.monotonic() + 60 * options.minutes
    order = random.Random(_SEED)
    failed = 0
    for index, case in enumerate(cases):
        now_s = time.monotonic()
        share = case.weight / sum(other.weight for other in cases[index:])
        deadline_s = now_s + max(0.0, end_s - now_s) * share
        print(f"{case.name}: {deadline_s - now_s:.0f} s at most ...", flush=True)  # noqa: T201
        both = [pythons[name] for name in case.environments]
        try:
            found = measure(bench, case, both, settings, deadline_s, order)
        except Failed as error:
            print(f"{case.name} failed: {error}", flush=True)  # noqa: T201
            failed += 1
            continue
        done = {**content["cases"], case.name: found}
        content["cases"] = {c.name: done[c.name] for c in CASES if c.name in done}
        write_result(options.output, content)
        print(_line(case, found), flush=True)  # noqa: T201
    return 1 if failed else 0


def _line(case: Case, found: Mapping[str, Any]) -> str:
    """The ratios of a case in one line."""
    ratios = ", ".join(
        f"{name} {value['ratio']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
        for name, value in found["after_over_before"].items()
    )
    wide = "" if found["narrow"] else ", wider than asked for"
    return f"{case.name}: {ratios}; {len(found['pairs'])} pairs in {found['took_s']:.0f} s{wide}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for option in ("--before", "--after", "--openvino-before", "--openvino-after"):
        parser.add_argument(
            option,
            type=Path,
            metavar="PYTHON",
            required="openvino" not in option,
            help="the interpreter of the environment with this commit",
        )
    parser.add_argument("--cases", help="some of the cases, by commas, measured anew")
    parser.add_argument("-m", "--model", help="a depthrt model (default: the built-in one)")
    parser.add_argument("--minutes", type=float, default=16, help="of all cases together")
    parser.add_argument("--pairs", type=int, default=Settings.pairs, help="of a case at most")
    parser.add_argument("--run-seconds", type=float, default=Settings.run_s, help="of a process")
    parser.add_argument("--frames", type=int, default=Settings.frames, help="of a clip")
    parser.add_argument("-o", "--output", type=Path, required=True)
    return parser


def _pythons(options: argparse.Namespace) -> dict[str, Path]:
    """The interpreters that were given, by the names of their environments."""
    names = dict.fromkeys(name for case in CASES for name in case.environments)
    return {name: getattr(options, name) for name in names if getattr(options, name)}


def _command(options: argparse.Namespace) -> str:
    """The command that makes the whole file, with names in the place of folders."""
    words = ["python -m experiments.pipeline.before_after"]
    words += [f"--{n.replace('_', '-')} {n.upper()}/bin/python" for n in _pythons(options)]
    words += [f"-m {Path(options.model).name}"] if options.model else []
    words += [f"--minutes {options.minutes:g} --pairs {options.pairs}"]
    words += [f"--run-seconds {options.run_seconds:g} --frames {options.frames}"]
    return " ".join([*words, f"-o {options.output.name}"])


if __name__ == "__main__":
    sys.exit(main())
