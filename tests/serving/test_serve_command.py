"""`depthrt serve` at the command line."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from depthrt_serving.service.served_model import is_exact, load
from depthrt_serving.settings import Queueing, Settings
from helpers.commands import Command
from helpers.models.small_model import build_model, build_spec


@pytest.fixture
def depthrt(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capfd, monkeypatch)


def test_without_the_extra_it_says_what_to_install(
    depthrt: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    absent = ("uvicorn", "prometheus_client")
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name in absent else real(name, *rest),
    )
    done = depthrt("serve")
    assert done.code == 2
    assert done.complaint.startswith("depthrt serve needs uvicorn, prometheus_client: pip install ")
    assert "[serve]" in done.complaint


def test_the_command_imports_no_web_server_before_it_is_called() -> None:
    code = (
        "from depthrt.cli import app; app(['serve', '--help'], standalone_mode=False);"
        "import sys; print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split())
    assert "depthrt_serving.cli" in loaded
    web = {"starlette", "uvicorn", "httptools", "websockets", "prometheus_client"}
    assert loaded.isdisjoint({*web, "numpy", "onnxruntime"})


def test_an_address_that_is_taken(depthrt: Command, tiny: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = depthrt("serve", tiny, "--port", port)
    assert done.code == 2
    assert done.complaint == f"cannot listen at 127.0.0.1 port {port} (Address already in use)"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "no.such.host.invalid"], "cannot listen at no.such.host.invalid"),
        (["--token-file", "absent"], "the token file absent cannot be read"),
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key belong together"),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], "are no TLS certificate and key"),
        (["--port", "70000"], "'--port'"),
        (["--batch", "0"], "'--batch'"),
        (["--provider", "cuda", "--port", "0"], "cuda"),
    ],
)
def test_wrong_options(depthrt: Command, tiny: Path, options: list[str], said: str) -> None:
    done = depthrt("serve", tiny, *options)
    assert done.code in (2, 5)
    assert said in done.complaint


def test_no_model(depthrt: Command) -> None:
    done = depthrt("serve", "absent.onnx", "--port", 0)
    assert done.code == 2
    assert "absent.onnx" in done.complaint


def test_open_to_everybody_is_said(tiny: Path, tmp_path: Path) -> None:
    from depthrt_serving.server.serve import prepare_service

    said: list[str] = []
    prepare_service(Settings(str(tiny), host="0.0.0.0"), said.append).close()
    assert said == [
        "--host 0.0.0.0 without --token-file: everybody who can reach this machine may use the "
        "server"
    ]
    said.clear()
    token = tmp_path / "token"
    token.write_text("long-enough-token")
    prepare_service(Settings(str(tiny), host="0.0.0.0", token_file=token), said.append).close()
    prepare_service(Settings(str(tiny)), said.append).close()
    assert said == []


def test_a_model_whose_batches_change_depth_runs_images_one_by_one(tmp_path: Path) -> None:
    from dataclasses import replace

    spec = replace(build_spec(), precision="int8_dynamic")
    file = str(build_model(tmp_path / "dynamic.onnx", spec=spec))
    served = load(Settings(file, threads=1))
    assert (served.batch, served.exact) == (1, True)
    assert "one image per inference" in served.note
    asked = load(Settings(file, threads=1, queueing=Queueing(batch=4)))
    assert (asked.batch, asked.exact) == (4, False)
    assert "differs from that of single images" in asked.note


def test_the_batch_that_is_taken(tiny: Path, tmp_path: Path) -> None:
    served = load(Settings(str(tiny), threads=1))
    assert (served.batch, served.exact, served.note) == (4, True, "")
    assert is_exact(served.model, 8)
    fixed = build_model(tmp_path / "fixed.onnx", batch=3)
    assert load(Settings(str(fixed), threads=1)).batch == 3
