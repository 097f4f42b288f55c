"""A process that plays scenarios one after the other and says what became of each."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from stress.case import SCENARIOS, Case, WrongError


def say(**content: Any) -> None:
    """One line to the driver."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def work(plan: dict[str, Any]) -> None:
    """Play the plan's scenarios, up to the first that fails."""
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import stress.scenarios  # noqa: F401
    from stress.kit import Kit
    from stress.state import Unraised, rss_mb, set_host

    kit_folder, root = Path(plan["kit"]), Path(plan["folder"])
    tempfile.tempdir = None
    os.chdir(root)
    rng = random.Random(plan["steps"][0]["seed"])
    kit = Kit(kit_folder)
    _warm_up(kit)
    set_host(rng)
    unraised = Unraised()
    say(ready=True, rss_mb=rss_mb())
    for number, step in enumerate(plan["steps"]):
        folder = root / f"{number}"
        folder.mkdir()
        case = Case(random.Random(f"{step['name']}/{step['seed']}"), folder, kit)
        say(begin=step)
        start_s = time.monotonic()
        failure = _play(step["name"], case, unraised)
        seconds = round(time.monotonic() - start_s, 3)
        said = failure[:2000] if failure else None
        say(end=step, failure=said, seconds=seconds, closes_s=case.closes_s, rss_mb=rss_mb())
        shutil.rmtree(folder, ignore_errors=True)
        if failure:
            return


def _play(name: str, case: Case, unraised: Any) -> str | None:
    from stress.state import State, check

    before = State.now()
    temporary = _temporary()
    failures = []
    try:
        SCENARIOS[name].play(case)
    except WrongError as wrong:
        failures.append(str(wrong))
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)
        here = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(where[-4:]))
        failures.append(f"{type(error).__name__}: {error} ({here})")
    try:
        check(before, case, unraised)
    except WrongError as wrong:
        failures.append(f"afterwards: {wrong}")
    left = sorted(_temporary() - temporary)
    if left:
        failures.append(f"temporary files: {left}")
    return " | ".join(failures) or None


def _temporary() -> set[str]:
    return set(os.listdir(tempfile.gettempdir()))  # noqa: PTH208


def _warm_up(kit: Any) -> None:
    """Load what is loaded but once, so that it does not look like something left."""
    import asyncio
    import concurrent.futures
    import multiprocessing  # noqa: F401

    import depthrt
    from stress.kit import Given, take

    concurrent.futures.ThreadPoolExecutor(1).shutdown()
    asyncio.run(asyncio.sleep(0))
    for name in ("short.mp4", "images"):
        given = Given(kit.clip(name), name, tuple(range(25 if name == "short.mp4" else 12)))
        take(kit, depthrt.stream(given.source, kit.model(random.Random(1))), given)
    list(depthrt.stream_many([kit.clip("short.mp4")] * 2, kit.model(random.Random(2))))
