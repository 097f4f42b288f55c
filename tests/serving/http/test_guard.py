"""Who may ask, what is logged, and what the descriptions say."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import subprocess
from pathlib import Path

import pytest
from starlette.routing import Route, WebSocketRoute

from depthrt.errors import UsageError
from depthrt_serving.http.gate import OPEN_PATHS
from depthrt_serving.service.tokens import Tokens
from depthrt_serving.settings import Settings
from helpers.web.served import Running, encoded, picture, serving

SECRET = "correct-horse-battery"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\nanother-token\n")
    return file


def test_a_token_is_needed(tiny: Path, token: Path) -> None:
    with serving(tiny, token_file=token) as running:
        body = encoded(picture())
        for given in (None, SECRET, f"Basic {SECRET}", f"Bearer {SECRET}x", "Bearer ", "Bearer é"):
            headers = {} if given is None else {"Authorization": given}
            reply = running.ask("/v1/depth", body, headers)
            assert (reply.status, reply.error["code"]) == (401, "no_token"), given
            assert reply.headers["www-authenticate"].startswith("Bearer")
            assert SECRET not in reply.content.decode()
        for path in ("/v1/models", "/metrics", "/v1/clips", "/nothing"):
            assert running.ask(path).status == 401
        for path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
            assert path in OPEN_PATHS
            assert running.ask(path).status == 200
        for given in (f"Bearer {SECRET}", "bearer another-token"):
            assert running.ask("/v1/depth", body, {"Authorization": given}).status == 200


def test_token_files_that_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(UsageError, match="cannot be read"):
        Tokens.read(file)
    for content, said in ((b"\n \n", "holds no token"), (b"long-enough\nshort\n", "fewer than 8")):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=said) as error:
            Tokens.read(file)
        assert "short" not in str(error.value)
    file.write_text(SECRET)
    assert SECRET not in repr(Tokens.read(file))


def test_the_log_is_json_and_holds_no_secret(
    tiny: Path, token: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tiny, token_file=token) as running:
        headers = {"Authorization": f"Bearer {SECRET}", "X-Request-Id": "mine-1"}
        good = running.ask("/v1/depth?at=1,1", encoded(picture()), headers)
        assert good.headers["x-request-id"] == "mine-1"
        bad = running.ask("/v1/depth", b"x", {**headers, "X-Request-Id": 'x" , "level": "y'})
        odd = running.ask(f"/v1/depth?token={SECRET}", encoded(picture()), headers)
        assert (odd.status, SECRET in odd.error["message"]) == (400, False)
    said = capfd.readouterr().out
    assert SECRET not in said
    lines = [json.loads(line) for line in said.splitlines()]
    first, second, third = (line for line in lines if line["event"] == "request")
    assert (first["request_id"], first["status"], first["images"]) == ("mine-1", 200, 1)
    assert (first["path"], first["batch"]) == ("/v1/depth", 1)
    assert re.fullmatch("[0-9a-f]{16}", second["request_id"])
    assert (second["request_id"], second["status"]) == (bad.headers["x-request-id"], 415)
    assert (third["path"], third["status"]) == ("/v1/depth", 400)
    assert second["reason"] == "the picture is no JPEG, PNG, WebP or HEIC"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_a_site_that_resolves_to_this_machine_is_refused(running: Running, host: str) -> None:
    reply = running.ask("/v1/models", headers={"Host": host})
    assert (reply.status, reply.error["code"]) == (403, "forbidden")


def test_names_of_this_machine_are_fine(running: Running) -> None:
    for host in ("localhost", "localhost:1234", "127.0.0.1", "[::1]:8000"):
        assert running.ask("/v1/models", headers={"Host": host}).status == 200


def test_who_is_beyond_loopback() -> None:
    local = {host: Settings(host=host).is_local for host in ("127.0.0.2", "::1", "0.0.0.0", "::")}
    assert local == {"127.0.0.2": True, "::1": True, "0.0.0.0": False, "::": False}


def test_tls(tiny: Path, tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    with serving(tiny, tls_cert=cert, tls_key=key) as running:
        assert running.address.startswith("https://")
        context = ssl.create_default_context(cafile=str(cert))
        client = http.client.HTTPSConnection(*running.place, context=context, timeout=10)
        client.request("POST", "/v1/depth", encoded(picture()))
        answer = client.getresponse()
        assert (answer.status, json.loads(answer.read())["model"]) == (200, "tiny")
        client.close()


def test_every_route_is_described(running: Running) -> None:
    about = running.ask("/openapi.json").document
    described = {
        (path, method)
        for path, item in about["paths"].items()
        for method in item
        if method in ("get", "post", "put", "delete")
    }
    served = set()
    for route in running.service_routes():
        if isinstance(route, WebSocketRoute):
            served.add((route.path, "get"))
        elif isinstance(route, Route):
            served |= {(route.path, m.lower()) for m in route.methods or () if m != "HEAD"}
    pages = ("/", "/docs", "/openapi.json")
    apart = {pair for pair in served if pair[0] in pages or pair[0].startswith(("/static", "/v2"))}
    assert described - served == set()
    assert served - apart - described == set()


def test_the_description_for_people_asks_no_other_host(running: Running) -> None:
    reply = running.ask("/docs")
    text = reply.content.decode()
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    assert "http://" not in text
    assert "https://" not in text
    for path in running.ask("/openapi.json").document["paths"]:
        assert f" {path}</code>" in text
