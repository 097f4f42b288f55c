"""The page of an export."""

from __future__ import annotations

from dataclasses import replace

from depthrt_export.proof.evaluator import LatencyRatio
from depthrt_export.quantise.targets import TARGETS
from depthrt_export.report.export_report import Report
from depthrt_export.report.html import render
from depthrt_export.search.candidates import Candidate
from depthrt_export.search.search import Found, Limits
from helpers.files.html_page import Page

HOSTILE = """<script>alert(1)</script>&"'{{ 7*7 }}"""


def search() -> Found:
    """A search that tried a fast, a refused and a rough candidate of hostile names."""
    timed = LatencyRatio(0.5, 0.48, 0.52, 1.0, 2.0, 20)
    picked = Candidate(HOSTILE, error=0.02, worst=0.03, latency=timed)
    refused = Candidate("slow", error=0.01, worst=0.02, latency=timed, refused=HOSTILE)
    rough = Candidate("rough", error=9.0, worst=9.0, latency=timed)
    sensitivity = {HOSTILE: {f"{HOSTILE}.{n}": 0.1 * n for n in range(3)}}
    return Found(picked, (picked, refused, rough), sensitivity, Limits(), TARGETS["host"], 4, (), 0,
                 out_of_time=False)  # fmt: skip


def test_hostile_names_are_text(unet: Report) -> None:
    spec = replace(unet.spec, name=HOSTILE, provenance={"source": HOSTILE})
    page = Page(render(replace(unet, spec=spec, reference=HOSTILE, notes=(HOSTILE,),
                               found=search())))  # fmt: skip
    assert "script" not in page.tags
    assert page.tags.count("svg") == 1
    assert page.tags.count("img") == 4 * len(unet.proof.frames[:8])
    assert page.text.strip().startswith(f"{HOSTILE}: proof of the export")
    for text in (f"ONNX against {HOSTILE}", f"source: {HOSTILE}", f"{HOSTILE} (picked)",
                 f"slow: error 0.010 (worst frame 0.020), time 0.50 [0.48-0.52]: {HOSTILE}",
                 f"Error of one block alone in {HOSTILE}", f"{HOSTILE}.2"):  # fmt: skip
        assert text in page.text


def test_the_page_needs_no_other_file(unet: Report) -> None:
    page = render(replace(unet, found=search()))
    assert "http" not in page.replace("http://www.w3.org", "")
    assert page.count("<img") == page.count('src="data:image/png;base64,')
    assert "<link" not in page
    assert "url(" not in page.replace("url(#", "")
