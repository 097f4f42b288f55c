"""Programs that end while streams are open."""

from __future__ import annotations

import textwrap

from helpers.web.servers import HttpVideo
from stress.case import Case, expect, scenario
from stress.scenarios.tasks import MODELS, OPENERS
from stress.scripts import expect_clean, run_script
from stress.stalling import stalling

_NAP = "time.sleep({nap})"

# Each ends with a stream open; `said("end")` is the last that it does on purpose.
_ENDS = {
    "falls off its end": "said('end')",
    "sys.exit": "said('end'); sys.exit(0)",
    "sys.exit in a handler": """
        try:
            raise ValueError("bad frame")
        except ValueError:
            said("end")
            sys.exit(0)
    """,
    "keeps an exception": """
        def fail(results=results):
            raise ValueError("bad frame")
        try:
            fail()
        except ValueError as error:
            kept = error
        said("end")
    """,
    "next in atexit": """
        def later():
            try:
                next(results, None)
            except depthrt.DepthrtError:
                pass
            said("end")
        atexit.register(later)
        said("end")
    """,
    "close in atexit": """
        atexit.register(results.close)
        said("end")
    """,
    "close in __del__": """
        class Owner:
            def __init__(self, results):
                self.results = results
            def __del__(self):
                self.results.close()
        owner = Owner(results)
        del results
        said("end")
    """,
    "a cycle": """
        ring = [results]
        ring.append(ring)
        del results, ring
        said("end")
    """,
    "a module": """
        sys.modules["holder"] = type(sys)("holder")
        sys.modules["holder"].results = results
        del results
        said("end")
    """,
    "a daemon thread reads": """
        reader = threading.Thread(target=lambda: [None for _ in results], daemon=True)
        reader.start()
        time.sleep(0.2)
        said("end")
    """,
    "a callback runs": """
        running = depthrt.start(results, lambda result: None)
        time.sleep(0.2)
        said("end")
    """,
    "a slow callback runs": """
        running = depthrt.start(results, lambda result: time.sleep(0.3))
        time.sleep(0.2)
        said("end")
    """,
    "several are open": """
        more = [depthrt.stream("demo", model) for _ in range(3)]
        for other in more:
            next(other)
        said("end")
    """,
    "half of an iteration": """
        for number, result in enumerate(results):
            if number == 2:
                break
        said("end")
    """,
    "never begun": """
        other = depthrt.stream("demo", model)
        said("end")
    """,
    "a thread opens another": """
        def work():
            global other
            other = depthrt.stream(images(), model)
            next(other)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        said("end")
    """,
}


def _program(case: Case, opener: str, ending: str, taken: int) -> str:
    model, nap = case.rng.choice(MODELS), case.rng.choice([0, 0, 0.02, 0.3])
    return (
        f"model = {model}\nresults = {opener}\nfor _ in range({taken}):\n    next(results)\n"
        f"time.sleep({nap})\n" + textwrap.dedent(_ENDS[ending])
    )


def _play(case: Case, opener: str, url: str = "") -> None:
    live = bool(url)  # it may have no more to give, and then `next` waits for the server
    ending = case.rng.choice([end for end in _ENDS if not (live and "next" in end)])
    taken = case.rng.choice([0, 1, 1, 2] if live else [0, 1, 1, 2, 7])
    ended = run_script(case, _program(case, opener, ending, taken), url)
    try:
        expect_clean(ended)
        at_s = ended.word_s("end")
        expect(at_s is not None, "did not come to its end")
        case.ended("the interpreter's end", ended.at_s - float(at_s or 0.0))
    except Exception as error:
        raise type(error)(f"{ending}: {error}") from None
    names = [path.name for path in case.folder.iterdir() if path.name != "script.py"]
    expect(not names, f"{ending}: left {names}")


@scenario(weight=6, limit_s=50)
def exit_with_a_stream(case: Case) -> None:
    """An ordinary program ends in any way with a stream of recordings or arrays open."""
    _play(case, case.rng.choice(OPENERS))


@scenario(weight=2, limit_s=50)
def exit_with_a_blocked_source(case: Case) -> None:
    """A program ends while a source of its own never speaks again."""
    count = case.rng.randint(8, 60)
    _play(case, f"depthrt.stream(images({count}, blocks=True), model)")


@scenario(weight=3, limit_s=60)
def exit_with_a_live_source(case: Case) -> None:
    """A program ends while a camera speaks, is silent, or is away."""
    case.patience_s = 5.0
    how = case.rng.choice(["speaks", "silent", "away"])
    if how == "silent":
        with stalling("pictures", pictures=50) as silent:
            _play(case, "depthrt.stream(URL, model)", silent.url)
        return
    server = HttpVideo(rate=60)
    try:
        url = server.address + case.rng.choice(["/live.mjpg", "/live.ts"])
        opener = "depthrt.stream(URL, model)"
        if how == "away":
            opener = f"depthrt.stream_many({{'a': URL, 'b': {url!r}, 'c': images()}}, model)"
            with stalling("pictures", pictures=3) as silent:
                _play(case, opener, silent.url)
            return
        _play(case, opener, url)
    finally:
        server.kill()


@scenario(limit_s=50)
def exit_by_an_error(case: Case) -> None:
    """A program ends by an error of its own: its traceback, exit code 1, and nothing else."""
    body = (
        f"model = {case.rng.choice(MODELS)}\nresults = {case.rng.choice(OPENERS)}\n"
        "next(results)\nsaid('end')\nraise LookupError('of its own')\n"
    )
    ended = run_script(case, body)
    expect(ended.code == 1, f"exit code {ended.code}: {ended.err[-500:]}")
    lines = ended.err.strip().splitlines()
    expect(lines[0].startswith("Traceback"), f"first on standard error: {lines[0]}")
    expect(lines[-1] == "LookupError: of its own", f"last on standard error: {lines[-1]}")
    case.ended("the interpreter's end", ended.at_s - float(ended.word_s("end") or 0.0))


@scenario(limit_s=50)
def exit_of_a_thread_that_reads(case: Case) -> None:
    """The main thread ends while other threads still read recordings to their ends."""
    body = textwrap.dedent(f"""
        model = {case.rng.choice(MODELS[:2])}
        counts = [0, 0]
        def read(place):
            for result in depthrt.stream(KIT + "/short.mp4", model):
                counts[place] += 1
            said(f"read{{counts[place]}}")
        threads = [threading.Thread(target=read, args=(k,)) for k in range(2)]
        for thread in threads:
            thread.start()
    """)
    ended = run_script(case, body)
    expect_clean(ended)
    expect(ended.out.count("read25 ") == 2, f"the threads read {ended.out.split()}")


@scenario(weight=2, limit_s=50)
def exit_by_ctrl_c(case: Case) -> None:
    """Ctrl-C that a program does not catch, at a source that speaks or is blocked."""
    opener = case.rng.choice([*OPENERS, "depthrt.stream(images(20, blocks=True), model)"])
    body = textwrap.dedent(f"""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        model = {case.rng.choice(MODELS)}
        results = {opener}
        def interrupt():
            said("end")
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer({case.rng.random() * 0.6:.2f}, interrupt).start()
        for result in results:
            pass
        time.sleep(10)
    """)
    ended = run_script(case, body)
    expect(ended.code == -2, f"exit code {ended.code}: {ended.err[-500:]}")
    lines = ended.err.strip().splitlines()
    expect(lines[0].startswith("Traceback"), f"first on standard error: {lines[0]}")
    expect(lines[-1] == "KeyboardInterrupt", f"last on standard error: {lines[-1]}")
    case.ended("the interpreter's end after Ctrl-C", ended.at_s - float(ended.word_s("end") or 0.0))
