"""What compose starts is there, and each part is told of the others."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "containers"


def document(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def services() -> Any:
    return document("compose.yaml")["services"]


def mounts(service: Any) -> dict[str, str]:
    """Where each file or volume of a service is, by its place inside."""
    return {inside: outside for outside, inside, *_ in (v.split(":") for v in service["volumes"])}


def test_images_and_files_are_there(services: Any) -> None:
    build = services["depthrt"]["build"]
    assert ((FOLDER / build["context"]) / build["dockerfile"]).is_file()
    volumes = document("compose.yaml")["volumes"]
    for service in services.values():
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"]
        for outside in mounts(service).values():
            assert outside in volumes or (FOLDER / outside).is_file(), outside
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_compose_takes_the_file() -> None:
    """The client alone does this; no engine is asked."""
    commands = [["docker", "compose"], ["docker-compose"]]
    known = [c for c in commands if shutil.which(c[0]) and runs([*c, "version"]).returncode == 0]
    if not known:
        pytest.skip("docker compose is not installed")
    ended = runs([*known[0], "-f", str(FOLDER / "compose.yaml"), "config", "--format", "json"])
    assert ended.returncode == 0, ended.stderr
    assert set(json.loads(ended.stdout)["services"]) == {"depthrt", "prometheus", "grafana"}


def runs(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True)


def test_the_server_has_no_privilege(services: Any) -> None:
    server = services["depthrt"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["security_opt"] == ["no-new-privileges:true"]
    assert mounts(server) == {"/cache": "cache"}
    assert server["tmpfs"][0].startswith("/tmp:")


def test_prometheus_scrapes_the_server_and_reads_the_rules(services: Any) -> None:
    config = document("monitoring/prometheus.yml")
    (scrape,) = config["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["depthrt:8000"]}]
    (rules,) = config["rule_files"]
    inside = mounts(services["prometheus"])
    alerts = yaml.safe_load((FOLDER / inside[f"/etc/prometheus/{rules}"]).read_text())
    expressions = [r["expr"] for group in alerts["groups"] for r in group["rules"] if "alert" in r]
    assert any(f'up{{job="{scrape["job_name"]}"}}' in expression for expression in expressions)


def test_prometheus_takes_its_configuration(tmp_path: Path, services: Any) -> None:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed (apt-get install prometheus)")
    for inside, outside in mounts(services["prometheus"]).items():
        if inside.startswith("/etc/prometheus/"):
            shutil.copy(FOLDER / outside, tmp_path / Path(inside).name)
    command = [tool, "check", "config", str(tmp_path / "prometheus.yml")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_grafana_has_the_dashboard_and_its_source(services: Any) -> None:
    inside = mounts(services["grafana"])
    (source,) = document("monitoring/datasource.yaml")["datasources"]
    host, port = source["url"].removeprefix("http://").split(":")
    assert services[host]["ports"][0].endswith(f":{port}")
    (provider,) = document("monitoring/dashboards.yaml")["providers"]
    (dashboard,) = [p for p in inside if Path(p).parent == Path(provider["options"]["path"])]
    content = json.loads((FOLDER / inside[dashboard]).read_text(encoding="utf-8"))
    (chosen,) = [v for v in content["templating"]["list"] if v["type"] == "datasource"]
    assert chosen["query"] == source["type"]
