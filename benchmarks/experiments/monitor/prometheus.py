"""A real Prometheus in a folder of its own, with the alert rules in compressed time."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import depthrt.monitor

RULES = Path(depthrt.monitor.__file__).parent / "alerts.yml"
DASHBOARD = RULES.with_name("dashboard.json")
SCRAPE_S = 1.0
COMPRESSED = 30
"""Durations in the rules are divided by this, as the scrapes are (30 s are usual)."""


@dataclass(frozen=True)
class Prometheus:
    """One that answers."""

    address: str

    def ask(self, path: str, **query: str) -> Any:
        """The data of an answer of its API."""
        with urlopen(f"{self.address}/api/v1/{path}?{urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """The labels of what fires, by the name of the alert."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in self.ask("alerts")["alerts"]:
            if alert["state"] == "firing":
                labels = dict(alert["labels"])
                found.setdefault(labels.pop("alertname"), []).append(labels)
        return found

    def values(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        found: list[dict[str, Any]] = self.ask("query", query=expression)["result"]
        return found


def compressed_rules(divisor: float = COMPRESSED) -> str:
    """The alert rules with every duration divided."""
    if divisor == 1:
        return RULES.read_text()

    def shorter(found: re.Match[str]) -> str:
        seconds = float(found.group(2)) * {"m": 60, "h": 3600}[found.group(3)] / divisor
        return f"{found.group(1)}{max(2, round(seconds))}s"

    return re.sub(r"(\[|for: |offset )(\d+)([mh])", shorter, RULES.read_text())


def dashboard_queries(interval: str = "10s") -> list[str]:
    """Every query of the dashboard, for all instances and streams."""
    found = re.findall(r'"expr": "((?:[^"\\]|\\.)*)"', DASHBOARD.read_text())
    texts = [json.loads(f'"{each}"') for each in found]
    for variable, value in (("$__rate_interval", interval), ("$instance", ".*"), ("$stream", ".*")):
        texts = [text.replace(variable, value) for text in texts]
    return [text.replace("$feature", "brightness") for text in texts]


@contextmanager
def prometheus(
    folder: Path, port: int, target: str, divisor: float = COMPRESSED
) -> Iterator[Prometheus]:
    """Scrape a target until the end of the block.

    Args:
        folder: for its files, empty.
        port: that it listens at.
        target: HOST:PORT of what it scrapes, as the job ``depthrt``.
        divisor: of the durations in the rules.
    """
    (folder / "alerts.yml").write_text(compressed_rules(divisor))
    (folder / "prometheus.yml").write_text(
        f"""global: {{scrape_interval: {SCRAPE_S:g}s, evaluation_interval: {SCRAPE_S:g}s}}
rule_files: [alerts.yml]
scrape_configs:
  - job_name: depthrt
    static_configs: [{{targets: ["{target}"]}}]
"""
    )
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            found = Prometheus(f"http://127.0.0.1:{port}")
            wait_for(found)
            yield found
        finally:
            process.terminate()
            process.wait(30)


def wait_for(found: Prometheus) -> None:
    """Wait until it answers.

    Raises:
        OSError: it does not.
    """
    for attempt in range(100):
        try:
            found.ask("alerts")
            return
        except OSError:
            if attempt == 99:
                raise
            time.sleep(0.2)
