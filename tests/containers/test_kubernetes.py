"""The manifests fit Kubernetes' schemas, one another, and the image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from depthrt.cli import app
from depthrt.monitor.exposition.server_table import OLDEST
from experiments.containers.containerfile import read

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "containers" / "kubernetes"
VERSION = "1.31.0"
# The kinds of Kubernetes itself; schemas of others (PodMonitor) do not come with the validator.
OWN = (
    "namespace",
    "deployment",
    "service",
    "autoscaler",
    "disruption-budget",
    "network-policy",
)


def document(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def deployment() -> Any:
    return document("deployment")["spec"]["template"]["spec"]


@pytest.fixture(scope="module")
def container(deployment: Any) -> Any:
    (only,) = deployment["containers"]
    return only


@pytest.mark.parametrize("name", OWN)
def test_manifests_fit_the_schemas(name: str) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    validator.validate(document(name), VERSION, strict=True)


def test_a_wrong_word_is_found() -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")
    wrong = document("deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProb"] = {}
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, VERSION, strict=True)


def test_every_file_is_applied_or_says_what_it_is_for() -> None:
    applied = set(document("kustomization")["resources"])
    there = {path.name for path in FOLDER.glob("*.yaml")}
    assert there - applied == {"kustomization.yaml", "prometheus-adapter.yaml"}
    assert applied <= there


def test_selectors_find_the_pods() -> None:
    labels = document("deployment")["spec"]["template"]["metadata"]["labels"]
    assert document("deployment")["spec"]["selector"]["matchLabels"] == labels
    assert document("service")["spec"]["selector"] == labels
    assert document("disruption-budget")["spec"]["selector"]["matchLabels"] == labels
    assert document("network-policy")["spec"]["podSelector"]["matchLabels"] == labels
    assert document("pod-monitor")["spec"]["selector"]["matchLabels"] == labels
    target = document("autoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == (
        "Deployment",
        document("deployment")["metadata"]["name"],
    )


def test_ports_are_the_servers(container: Any) -> None:
    (exposed,) = [s for s in read(ROOT / "containers/Containerfile.cpu") if s.keyword == "EXPOSE"]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == exposed.text
    assert document("service")["spec"]["ports"][0]["targetPort"] == port["name"]
    assert document("network-policy")["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]
    assert document("pod-monitor")["spec"]["podMetricsEndpoints"][0]["port"] == port["name"]


def test_the_command_line_is_understood(container: Any) -> None:
    command: Any = typer.main.get_command(app)
    context = typer.Context(command)
    name, serve, words = command.resolve_command(context, list(container["args"]))
    assert name == "serve"
    with serve.make_context("serve", words) as parsed:
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert str(parsed.params["token_file"].parent) in mounted
        assert parsed.params["host"] == "0.0.0.0"


def test_nothing_runs_with_a_privilege(deployment: Any, container: Any) -> None:
    (user,) = [s for s in read(ROOT / "containers/Containerfile.cpu") if s.keyword == "USER"]
    pod, own = deployment["securityContext"], container["securityContext"]
    assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == user.text
    assert pod["runAsNonRoot"] is True
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert deployment["automountServiceAccountToken"] is False


def test_what_is_written_has_a_place_of_limited_size(deployment: Any, container: Any) -> None:
    (volume,) = [s for s in read(ROOT / "containers/Containerfile.cpu") if s.keyword == "VOLUME"]
    writable = {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")}
    assert writable == {*(volume.exec_form or []), "/tmp"}
    for each in deployment["volumes"]:
        assert "secret" in each or each["emptyDir"]["sizeLimit"]


def test_a_pod_ends_after_its_requests(deployment: Any, container: Any) -> None:
    pause_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert deployment["terminationGracePeriodSeconds"] > pause_s + 30  # of http.Limits.answer_s
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert (
        document("autoscaler")["spec"]["minReplicas"]
        > document("disruption-budget")["spec"]["maxUnavailable"]
    )


def test_the_metric_of_the_autoscaler_is_one_that_the_server_has() -> None:
    (metric,) = document("autoscaler")["spec"]["metrics"]
    (rule,) = document("prometheus-adapter")["rules"]["custom"]
    assert rule["name"]["as"] == metric["pods"]["metric"]["name"]
    series = re.match(r"\w+", rule["seriesQuery"])
    assert series is not None
    assert series[0] == OLDEST.name
