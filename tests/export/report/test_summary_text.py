"""What is said at the end of an export."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from depthrt_export.report.export_report import Report, print_summary

LINE = (
    "depthrt-s agrees far better with depth (0.93) than with inverse-depth (-0.93 on 16 frames; "
    "difference 1.86 [1.71, 2.01]): say --kind depth if that is how your network was trained"
)


def last_line(report: Report, provenance: dict[str, Any], capfd: pytest.CaptureFixture[str]) -> str:
    capfd.readouterr()
    print_summary(replace(report, spec=replace(report.spec, provenance=provenance)))
    return capfd.readouterr().err.splitlines()[-1]


def test_a_witness_that_contradicts_has_the_last_word(
    unet: Report, capfd: pytest.CaptureFixture[str]
) -> None:
    said = {"witness": {"verdict": "contradicts"}, "assumed": {"witness": LINE}}
    assert last_line(unet, said, capfd) == f"WARNING: {LINE}"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"witness": {"verdict": "agrees"}, "assumed": {"witness": LINE}},
        {"witness": "contradicts", "assumed": [LINE]},
        {"witness": {"verdict": "contradicts"}},
    ],
)
def test_others_have_not(
    said: dict[str, Any], unet: Report, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "of memory at most" in last_line(unet, said, capfd)
