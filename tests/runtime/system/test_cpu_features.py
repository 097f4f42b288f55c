"""What the processor can do, by what Linux says of it."""

from __future__ import annotations

import platform

import pytest

from depthrt.system import cpu_features


@pytest.mark.parametrize(
    ("machine", "flags", "saturates"),
    [
        ("x86_64", "sse4_1 avx2 fma", True),
        ("x86_64", "sse4_1 avx2 avx512f avx512bw", True),
        ("x86_64", "avx2 avx512f avx512_vnni", False),
        ("AMD64", "avx2 avx_vnni", False),
        ("x86_64", "", True),
        ("aarch64", "fp asimd asimddp", False),
    ],
)
def test_sums_saturate_on_x86_without_vnni(
    machine: str, flags: str, saturates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(cpu_features, "flags", lambda: frozenset(flags.split()))
    assert cpu_features.sums_saturate() is saturates


def test_without_cpuinfo_numpy_says_what_the_processor_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    linux = cpu_features.flags()
    monkeypatch.setattr(cpu_features, "_entry", lambda key: "")
    assert ("avx2" in cpu_features.flags()) == ("avx2" in linux)
    assert ("avx512_vnni" in cpu_features.flags()) == ("avx512_vnni" in linux)
    assert ("asimdhp" in cpu_features.flags()) == ("asimdhp" in linux)
    assert cpu_features.name()


def test_this_processor_has_a_name() -> None:
    assert cpu_features.name()
    assert all(" " not in flag for flag in cpu_features.flags())


@pytest.mark.parametrize(
    ("flags", "half"),
    [
        ("avx2 avx512_vnni", ""),
        ("avx2 avx512_bf16 avx512_fp16", "bf16"),
        ("avx2 amx_bf16", "bf16"),
        ("fp asimd asimdhp", "f16"),
        ("", ""),
    ],
)
def test_the_16_bits_that_it_multiplies(
    flags: str, half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_features, "flags", lambda: frozenset(flags.split()))
    assert cpu_features.half_type() == half
