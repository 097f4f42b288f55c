"""`depthrt batch --engine ray` on a cluster of two nodes on loopback, one of which is killed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from depthrt.jobs.run import Job, execute
from helpers.commands import spawn
from helpers.files.archived import encode, facts
from helpers.models.small_model import build_slow_model

cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # of Ray, which leaves sockets and files open
def test_a_node_that_is_killed_costs_a_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    clip, model = encode(tmp_path / "clip.mp4", 200), build_slow_model(tmp_path / "slow.onnx")
    plain, out = tmp_path / "plain.npz", tmp_path / "out"
    execute(Job(str(clip), plain, str(model), provider="cpu"))
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        driver = spawn(
            "batch", clip, "-o", out, "-m", model, "--format", "npz", "--segment", 1, "--json",
            "--engine", "ray", "--address", cluster.address,
        )  # fmt: skip
        assert driver.stdout is not None
        tasks = []
        killed = False
        for line in driver.stdout:
            event = json.loads(line)
            if event["event"] == "task":
                tasks.append((event["kind"], event["segment"]))
            if event["event"] == "segment" and not killed:
                nodes[0].kill_raylet()
                killed = True
        assert driver.wait() == 0
        driver.stdout.close()
        if driver.stderr is not None:
            driver.stderr.close()
    finally:
        cluster.shutdown()
    assert killed
    assert facts(out / "clip_depth.npz") == facts(plain)
    assert len(tasks) - len(set(tasks)) <= 1
