"""A Prometheus of this machine, and what it is asked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_START_S = 30.0
_FETCH = """
import sys, urllib.error, urllib.request
try:
    with urllib.request.urlopen(sys.argv[1], timeout=30) as answer:
        sys.stdout.buffer.write(answer.read())
except urllib.error.HTTPError as error:
    sys.stdout.buffer.write(error.read())
except OSError as error:
    raise SystemExit(1) from None
"""


def is_there() -> bool:
    """Whether Prometheus is installed here."""
    return shutil.which("prometheus") is not None


@dataclass(frozen=True)
class Prometheus:
    """One that runs; ``within`` as of :func:`prometheus`."""

    address: str
    within: Sequence[str] = ()

    def ask(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API.

        Raises:
            ValueError: it refused; what it said is in the message.
        """
        url = f"{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        command = [*self.within, sys.executable, "-c", _FETCH, url]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        answer = json.loads(done.stdout)
        if answer["status"] != "success":
            raise ValueError(answer["error"])
        return answer["data"]

    def until(self, query: str, values: Sequence[float], timeout_s: float) -> float:
        """Ask until a query gives these values; the seconds that it took.

        Raises:
            RuntimeError: it does not within ``timeout_s``.
        """
        start_s = time.monotonic()
        while (found := self.values(query)) != list(values):
            if time.monotonic() - start_s > timeout_s:
                raise RuntimeError(f"{query} is {found} after {timeout_s} s, not {values}")
            time.sleep(0.5)
        return round(time.monotonic() - start_s, 1)

    def values(self, query: str) -> list[float]:
        """The values that a query gives now, NaN left out."""
        found = self.ask("query", query=query)
        pairs = [found["result"]] if found["resultType"] == "scalar" else []
        pairs = pairs or [each["value"] for each in found["result"]]
        numbers = [float(value) for _, value in pairs]
        return [number for number in numbers if number == number]

    def label_values(self, series: str, label: str) -> list[str]:
        """The values of a label, as Grafana's ``label_values(series, label)`` asks for them."""
        return list(self.ask(f"label/{label}/values", **{"match[]": series}))

    def alerts(self) -> list[dict[str, Any]]:
        """The alert rules with their state and health."""
        groups = self.ask("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"]]


@contextmanager
def prometheus(
    folder: Path,
    port: int,
    targets: Sequence[str],
    rules: Path,
    *,
    every_s: int = 2,
    within: Sequence[str] = (),
) -> Iterator[Prometheus]:
    """Run one that scrapes ``targets`` as the job that the rules expect.

    ``within`` is a command that runs another: in the network of containers, say.

    Raises:
        RuntimeError: it does not start; its log is in the message.
    """
    config = {
        "global": {"scrape_interval": f"{every_s}s", "evaluation_interval": f"{every_s}s"},
        "rule_files": [str(rules)],
        "scrape_configs": [{"job_name": "depthrt", "static_configs": [{"targets": list(targets)}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    log = folder / "prometheus.log"
    command = [*within, "prometheus", f"--config.file={folder / 'prometheus.yml'}",
               f"--storage.tsdb.path={folder / 'series'}",
               f"--web.listen-address=127.0.0.1:{port}"]  # fmt: skip
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        found = Prometheus(f"http://127.0.0.1:{port}", within)
        _wait(found, process, log)
        yield found
    finally:
        process.terminate()
        process.wait(30)


def _wait(server: Prometheus, process: subprocess.Popen[bytes], log: Path) -> None:
    end_s = time.monotonic() + _START_S
    while time.monotonic() < end_s and process.poll() is None:
        with suppress(subprocess.CalledProcessError, ValueError):  # it does not answer yet
            server.ask("rules")
            return
        time.sleep(0.1)
    raise RuntimeError(f"Prometheus does not start: {log.read_text()}")
