"""The alert rules, by Prometheus' own tool: each fires when it should, and not else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import depthrt.monitor

FOLDER = Path(__file__).parent
CASES = FOLDER / "alerts_test.yml"
RULES = Path(depthrt.monitor.__file__).parent / "alerts.yml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not there: apt-get install prometheus"
)


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *map(str, arguments)], capture_output=True, text=True, cwd=FOLDER, check=False
    )


@needs_promtool
def test_the_rules_are_rules() -> None:
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "19 rules found" in done.stdout


@needs_promtool
def test_each_alert_fires_when_it_should_and_clears() -> None:
    done = promtool("test", "rules", CASES.name)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_a_rule_that_is_wrong_is_found(tmp_path: Path) -> None:
    rules = RULES.read_text().replace("depthrt_reload_successful == 0", "vector(0)")
    (tmp_path / "alerts.yml").write_text(rules)
    cases = yaml.safe_load(CASES.read_text())
    cases["rule_files"] = ["alerts.yml"]
    cases["tests"] = [each for each in cases["tests"] if each["name"] == "DepthrtReloadRefused"]
    (tmp_path / "cases.yml").write_text(yaml.safe_dump(cases))
    done = promtool("test", "rules", tmp_path / "cases.yml")
    assert done.returncode == 1
    assert "DepthrtReloadRefused" in done.stdout + done.stderr


def test_each_alert_has_a_time_at_which_it_fires_and_one_at_which_it_does_not() -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"]
    wanted = {rule["alert"] for group in rules for rule in group["rules"]}
    checks = [
        c for case in yaml.safe_load(CASES.read_text())["tests"] for c in case["alert_rule_test"]
    ]
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == wanted
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == wanted
