"""What is said of a search that came to nothing, and of its pick."""

from __future__ import annotations

from dataclasses import replace

from depthrt_export.proof.evaluator import LatencyRatio
from depthrt_export.quantise.targets import target
from depthrt_export.report.export_report import explain, refusal
from depthrt_export.search.candidates import Candidate
from depthrt_export.search.search import Found, Limits

ROUGH = Candidate("int8", error=0.2, worst=0.3, latency=LatencyRatio(0.5, 0.4, 0.6, 5.0, 10.0, 20))
FOUND = Found(None, (ROUGH,), {}, Limits(0.05), target("host"), 8, ("cpu",), 0, False)


def test_the_bound_is_named_for_what_was_judged() -> None:
    assert "exact enough (within 0.05 of float32, of the depth's spread)" in refusal(FOUND)
    judged = replace(ROUGH, drop=0.12)
    found = replace(FOUND, candidates=(judged,))
    assert "exact enough (AbsRel at most 5% above float32's)" in refusal(found)
    assert "within 0.05" not in refusal(found)
    assert "AbsRel +12.0%" in refusal(found)


def test_the_bound_of_a_pick_is_named_likewise() -> None:
    good = replace(ROUGH, error=0.02, worst=0.03)
    assert "(allowed: within 0.05 of float32" in explain(replace(FOUND, picked=good))[0]
    judged = replace(good, drop=0.01)
    found = replace(FOUND, picked=judged, candidates=(judged,))
    assert "(allowed: AbsRel at most 5% above float32's)" in explain(found)[0]
