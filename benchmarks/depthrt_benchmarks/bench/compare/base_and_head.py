"""What BASE and HEAD of `depthrt bench compare` mean, and options that make no sense."""

from __future__ import annotations

import math
import os
from pathlib import Path

from depthrt.errors import UsageError
from depthrt.model.catalogue.registry import find_model
from depthrt_benchmarks.bench.compare.comparison import Setting, Side
from depthrt_benchmarks.bench.compare.pairs import Rules
from depthrt_benchmarks.common.names import labels_of


def parse_sides(base: str, head: str, model: str | None) -> tuple[Side, Side]:
    """What BASE and HEAD mean: model files or names, or environments that run ``model``.

    Raises:
        UsageError: an environment beside a model, or ``--model`` without any environment.
    """
    pythons = (environment_python(base), environment_python(head))
    if not any(pythons):
        if model is not None:
            raise UsageError("--model goes with two environments; BASE and HEAD are models here")
        labels = labels_of(base, head)
        return Side(labels[0], find_model(base)), Side(labels[1], find_model(head))
    if not all(pythons):
        raise UsageError(
            f"{base} and {head}: one is an environment, the other is not; give two environments "
            "(folders made by python -m venv) and --model, or two models"
        )
    path = find_model(model)
    sides = [Side(text, path, python) for text, python in zip((base, head), pythons, strict=True)]
    return sides[0], sides[1]


def environment_python(text: str) -> Path | None:
    """The Python of an environment's folder, or the path itself where it is a Python."""
    path = Path(text)
    for place in (path / "bin" / "python", path / "Scripts" / "python.exe"):
        if path.is_dir() and place.is_file():
            return place
    is_python = path.name.startswith("python") and path.is_file() and os.access(path, os.X_OK)
    return path if is_python else None


def check_rules(rules: Rules) -> None:
    """Refuse numbers that mean nothing.

    Raises:
        UsageError: what is out of range.
    """
    if not 0 < rules.alpha < 0.5:
        raise UsageError(f"--confidence {1 - rules.alpha:g} must lie between 0.5 and 1")
    if not 0 <= rules.margin < math.inf:
        raise UsageError(f"--margin {rules.margin:g} must be a number, not below 0")
    if rules.fail_above is not None and not 1 <= rules.fail_above < math.inf:
        raise UsageError(f"--fail-above {rules.fail_above:g} must be at least 1: 1.05 allows 5%")
    if not 0 < rules.limit_s < math.inf:
        raise UsageError(f"--seconds {rules.limit_s:g} must be a number above 0")


def check_setting(setting: Setting) -> None:
    """Refuse a batch or a size beside ``frame``, which runs one picture at its own size.

    Raises:
        UsageError: a batch or a size beside ``frame``.
    """
    given = {
        f"--batch {setting.batch}": setting.batch != 1,
        f"--size {'x'.join(map(str, setting.size or ()))}": setting.size is not None,
    }
    wrong = [option for option, said in given.items() if said]
    if setting.what == "frame" and wrong:
        raise UsageError(
            f"--frame runs one picture as it was filmed: leave out {' and '.join(wrong)}"
        )
