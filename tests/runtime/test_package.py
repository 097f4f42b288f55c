"""The package as a whole: lean, typed, one public face."""

from __future__ import annotations

import inspect
import json
import os
import pydoc
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

import pytest

import depthrt
from depthrt import errors

HEAVY = ("torch", "onnx", "onnxscript", "transformers", "matplotlib", "depthrt_export")


def modules_after(code: str) -> set[str]:
    """The modules that a fresh process has loaded after running some code."""
    code += "\nimport sys; print(chr(10).join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_importing_the_runtime_is_lean() -> None:
    loaded = modules_after("import depthrt")
    assert loaded.isdisjoint({*HEAVY, "numpy", "cv2", "av", "onnxruntime", "typer", "rich"})
    loaded = modules_after("from depthrt import *")
    assert "cv2" in loaded
    assert loaded.isdisjoint({*HEAVY, "av", "onnxruntime", "typer", "rich"})


TELEMETRY = ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")


def variables_after_a_load(home: Path, asked: dict[str, str]) -> dict[str, str | None]:
    """The variables that onnxruntime sees at its import, by what the user has set."""
    code = """
import builtins, json, os, sys
real = builtins.__import__
def importing(name, *args, **kwargs):
    if name == "onnxruntime" and "onnxruntime" not in sys.modules:
        print(json.dumps({key: os.environ.get(key) for key in sys.argv[1:]}))
    return real(name, *args, **kwargs)
builtins.__import__ = importing
import depthrt
depthrt.DepthModel.load()
"""
    variables = {k: v for k, v in os.environ.items() if k not in TELEMETRY}
    done = subprocess.run(
        [sys.executable, "-c", code, *TELEMETRY],
        env={**variables, "XDG_CACHE_HOME": str(home), "HOME": str(home), **asked},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[0])
    assert isinstance(found, dict)
    return found


def test_nothing_is_told_to_anybody_unless_asked_for(tmp_path: Path) -> None:
    assert variables_after_a_load(tmp_path, {}) == dict.fromkeys(TELEMETRY, "1")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    (note,) = files  # no identity, no queue of events
    assert note.parent == tmp_path / "depthrt" / "verified"


@pytest.mark.parametrize("name", TELEMETRY)
def test_who_wants_telemetry_or_forbids_it_by_one_name_is_heeded(tmp_path: Path, name: str) -> None:
    (other,) = {*TELEMETRY} - {name}
    assert variables_after_a_load(tmp_path, {name: "0"}) == {name: "0", other: None}
    assert variables_after_a_load(tmp_path, {name: "1"}) == {name: "1", other: "1"}


def test_a_first_depth_loads_no_pipeline() -> None:
    loaded = modules_after(
        "import depthrt, numpy; depthrt.DepthModel.load()(numpy.zeros((9, 9, 3), 'uint8'))"
    )
    assert "depthrt.model.depth_model" in loaded
    assert loaded.isdisjoint({"depthrt.pipeline", "depthrt.sources", "depthrt.sinks", "av"})


def test_running_needs_nothing_of_the_exporter(tmp_path: Path) -> None:
    code = (
        "from depthrt.cli import app\n"
        f"app(['run', 'demo', '--max-frames', '3', '-o', {str(tmp_path / 'd.mp4')!r}],"
        " standalone_mode=False)"
    )
    loaded = modules_after(code)
    assert {"av", "onnxruntime"} <= loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_needs_neither_torch_nor_onnx() -> None:
    loaded = modules_after("from depthrt.cli import app\napp(['--help'], standalone_mode=False)")
    assert loaded.isdisjoint({"torch", "onnx", "transformers", "onnxruntime", "av"})


def test_the_public_face_is_what_is_visible() -> None:
    for name in depthrt.__all__:
        assert not isinstance(getattr(depthrt, name), ModuleType)
    visible = {
        name
        for name, value in vars(depthrt).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert visible - {"TYPE_CHECKING", "annotations"} == set(depthrt.__all__)
    assert set(depthrt.__all__) <= set(dir(depthrt))
    assert list(depthrt.__all__) == sorted(depthrt.__all__)


def test_help_fits_a_few_screens_and_names_all_that_is_public() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import depthrt; help(depthrt)"],
        capture_output=True, text=True, check=True, env={**os.environ, "PAGER": "cat"},
    )  # fmt: skip
    assert len(done.stdout.splitlines()) < 120
    words = set(re.findall(r"\w+", done.stdout))
    assert set(depthrt.__all__) <= words
    assert max(map(len, done.stdout.splitlines())) < 120
    assert dict(inspect.getmembers(depthrt))["Depth"] is depthrt.Depth
    assert "class Depth" in pydoc.plain(pydoc.render_doc(depthrt.Depth))


def test_an_unknown_name_is_said_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        depthrt.missing  # type: ignore[attr-defined]  # noqa: B018


def test_public_names_are_documented() -> None:
    for name in depthrt.__all__:
        assert inspect.getdoc(getattr(depthrt, name)), name


def test_every_error_is_public_and_has_its_exit_code() -> None:
    classes = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)]
    assert {c.__name__ for c in classes} <= set(depthrt.__all__)
    codes = {c.__name__: c.exit_code for c in classes}
    assert codes["UsageError"] == codes["SourceError"] == codes["ModelError"] == 2
    assert codes["TargetError"] == 2
    assert codes["InferenceError"] == codes["WriteError"] == 1
    assert codes["AccuracyGateError"] == 3
    assert codes["LatencyGateError"] == 4
    assert codes["ProviderError"] == 5


def test_the_type_marker_is_shipped() -> None:
    assert (Path(depthrt.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("point", entry_points(group="depthrt.commands"), ids=lambda p: p.name)
def test_commands_of_other_packages_import_without_their_extras(point: object) -> None:
    value = point.value.split(":")[0]  # type: ignore[attr-defined]
    assert modules_after(f"import {value}").isdisjoint({"torch", "onnx", "transformers"})


def test_it_runs_as_a_module_and_with_standard_error_closed(tmp_path: Path) -> None:
    module = [sys.executable, "-m", "depthrt"]
    said = subprocess.run([*module, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.startswith("depthrt ")
    target = tmp_path / "q.mp4"
    run = f"{sys.executable} -m depthrt run demo --end 0.2 -o {target}"
    subprocess.run(["bash", "-c", f"{run} 2>&-"], check=True, stdout=subprocess.DEVNULL)
    assert target.stat().st_size > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output_is_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "depthrt", "models"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.stderr == "depthrt: No space left on device\n"
    assert done.returncode == 1


def test_a_folder_that_onnxruntime_left_behind_is_no_onnxruntime(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    for command, code in (("doctor", 5), ("run demo", 5)):
        done = subprocess.run(
            [sys.executable, "-m", "depthrt", *command.split()],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=False, cwd=tmp_path,
        )  # fmt: skip
        assert "onnxruntime's files are gone" in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert done.returncode == code
    assert "PROBLEM: onnxruntime is installed but does not load" in doctor_of(tmp_path)


def doctor_of(shadow: Path) -> str:
    """What `depthrt doctor` says where a folder stands before the installed packages."""
    return subprocess.run(
        [sys.executable, "-m", "depthrt", "doctor"],
        env={**os.environ, "PYTHONPATH": str(shadow)},
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
