"""A short form of the stress run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_no_scenario_fails(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [sys.executable, str(Path(__file__).parent), "--minutes", "0.67", "--seed", "7"]
    done = subprocess.run(
        [*command, "--json", str(report)], capture_output=True, text=True, timeout=200, check=False
    )
    content = json.loads(report.read_text())
    assert content["failures"] == [], done.stderr[-4000:]
    assert done.returncode == 0
    assert content["runs"] >= 10
