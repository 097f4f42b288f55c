"""Products in bfloat16 are tried on Arm processors that have them, and nowhere else."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from depthrt.files.json_file import write_json
from depthrt.jobs.tune.candidates import configurations
from depthrt.model.providers import SessionOptions
from depthrt.model.session import open_session, session_options
from depthrt.model.tuning_cache import CACHE_VERSION, Choice, Tuning, cache_file, find_tuning, save
from depthrt.system import cpu_features
from helpers.models.small_model import build_model

_ENTRY = "mlas.enable_gemm_fastmath_arm64_bfloat16"
_FAST = SessionOptions("cpu", 1, fast_math=True)


@pytest.fixture
def be(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine of another name, with the instruction sets given."""

    def become(machine: str, flags: str) -> None:
        monkeypatch.setattr(platform, "machine", lambda: machine)
        monkeypatch.setattr(cpu_features, "flags", lambda: frozenset(flags.split()))

    return become


@pytest.mark.parametrize(
    ("machine", "flags", "offered"),
    [
        ("aarch64", "asimd asimddp i8mm bf16", True),
        ("arm64", "asimd bf16", True),
        ("aarch64", "asimd asimddp", False),
        ("x86_64", "avx2 avx512_bf16 amx_bf16", False),
        ("x86_64", "bf16", False),
    ],
)
def test_it_is_offered_on_arm_alone(machine: str, flags: str, offered: bool, be: Any) -> None:
    be(machine, flags)
    fast = [options for options in configurations() if options.fast_math]
    assert bool(fast) is offered
    assert all(options.provider == "cpu" for options in fast)
    assert len(set(configurations())) == len(configurations())


def test_the_session_is_told() -> None:
    assert session_options(_FAST).get_session_config_entry(_ENTRY) == "1"
    with pytest.raises(RuntimeError):
        session_options(SessionOptions("cpu", 1)).get_session_config_entry(_ENTRY)
    assert not _FAST.bound_to("openvino", 4).fast_math
    assert _FAST.line() == "cpu, 1 thread, products in bfloat16"


def test_a_session_with_it_runs_everywhere(tmp_path: Path) -> None:
    session = open_session(build_model(tmp_path / "a.onnx"), _FAST)
    (depth,) = session.run(None, {"image": np.ones((1, 3, 48, 64), np.uint8)})
    assert np.allclose(depth, 0.875)


def test_a_tuning_with_it_is_taken_where_it_is_offered_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, be: Any
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = build_model(tmp_path / "a.onnx")
    kept = Tuning(Choice(_FAST, 1, 2.0, 3.0), Choice(_FAST, 1, 2.0, 3.0))
    save(model, kept)
    assert find_tuning(model) is None  # not offered on the machine that runs the tests
    be("aarch64", "asimd bf16")
    save(model, kept)
    assert find_tuning(model) == kept
    for wrong in ("yes", 1, None):
        choice = asdict(kept.latency)
        choice["options"]["fast_math"] = wrong
        content = {"version": CACHE_VERSION, "latency": choice, "throughput": choice}
        write_json(cache_file(model), content, overwrite=True)
        assert find_tuning(model) is None
    choice["options"].pop("fast_math")  # written before it existed
    content = {"version": CACHE_VERSION, "latency": choice, "throughput": choice}
    write_json(cache_file(model), content, overwrite=True)
    found = find_tuning(model)
    assert found is not None
    assert found.latency.options == SessionOptions("cpu", 1)
