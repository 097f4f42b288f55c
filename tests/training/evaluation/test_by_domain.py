"""Errors by kind of place."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")
pytest.importorskip("tomllib", reason="training is for Python 3.11 and later")


def test_every_domain_counts_alike_whatever_its_number_of_sources() -> None:
    from depthrt_training.evaluation.by_domain import by_domain

    errors = {"rooms": 0.2, "aims_lab": 0.4, "roads": 0.1, "rendered_outdoor": 0.5}
    found = by_domain(errors)
    assert found == pytest.approx({"rooms": 0.3, "roads": 0.1, "renders": 0.5, "score": 0.3})


def test_what_judges_is_not_trained_on() -> None:
    from depthrt_training import prepare
    from depthrt_training.evaluation.by_domain import DOMAINS, REPORTED

    trained = {name for names in DOMAINS.values() for name in names}
    assert not trained & set(REPORTED)
    assert set(prepare.MORE_CAMERAS) <= trained
