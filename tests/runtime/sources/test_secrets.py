"""No part of a user, password, token or key of a source is shown, wherever it stands."""

from __future__ import annotations

import json
import threading
import traceback
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from depthrt import DepthModel, SourceError, open_source, stream_many
from depthrt.jobs.outputs import plan_outputs, stem_of
from depthrt.sources.display_name import shown_names, shown_source, without_secrets
from helpers.commands import Command, outcome, spawn
from helpers.web.servers import HttpVideo, free_port, served

MakeClip = Callable[..., Path]

SHOWN = {
    # user and password, whatever they are made of
    "rtsp://admin:p@ssw0rd@127.0.0.1:9/s": "rtsp://127.0.0.1:9/s",
    "rtsp://admin@cam/s": "rtsp://cam/s",
    "RTSP://Admin:P@SS@cam/s": "RTSP://cam/s",
    "http://user:p@ss/word@host/path": "http://host/path",
    "http://user:pa/ss@host/path": "http://host/path",
    "http://user:pa?ss@host/path": "http://host/path",
    "http://user:pa#ss@host/path": "http://host/path",
    "rtsp://admin:http://x@host/s": "rtsp://host/s",
    "rtsp://user:pass word@h/s": "rtsp://h/s",
    "rtsp://admin%3Apw@h/s": "rtsp://h/s",
    "rtsp://user:pw": "rtsp://user:***",
    "http://üser:päss@höst/strêam": "http://höst/strêam",
    "tcp://admin:x@1.2.3.4:554": "tcp://1.2.3.4:554",
    "udp://@239.0.0.1:1234": "udp://239.0.0.1:1234",
    "rtsp://admin:1234/56@host/s": "rtsp://host/s",
    "rtsp://admin:1234?56@host/s": "rtsp://host/s",
    "rtsp://admin:12345678/s": "rtsp://admin:***/s",  # no port is so high
    # in the path and in the query
    "rtsp://h/user=admin&password=s3cret&channel=1": "rtsp://h/user=***&password=***&channel=1",
    "rtsp://h/user=admin;password=x;channel=1": "rtsp://h/user=***;password=***;channel=1",
    "rtsp://h/USER=admin&PassWord=x&c=1": "rtsp://h/USER=***&PassWord=***&c=1",
    "rtsp://h/user=a&password=b/c?d&channel=1": "rtsp://h/user=***&password=***&channel=1",
    "rtsp://h/password=a&b&channel=1": "rtsp://h/password=***&***&channel=1",
    "rtsp://h/%75ser=admin&p%61ss=x": "rtsp://h/%75ser=***&p%61ss=***",
    "rtsp://h/user%3Dadmin%26password%3Dx": "rtsp://h/user***",
    "rtsp://h/user%253Dadmin": "rtsp://h/user***",
    "http://h/video?user=admin&pwd=s3cret": "http://h/video?user=***&pwd=***",
    "http://h/x?a=1&amp;passwd=foo&amp;b=2": "http://h/x?a=1&amp;passwd=***&amp;b=2",
    "http://h/v?loginuse=a&loginpas=b&x=1": "http://h/v?loginuse=***&loginpas=***&x=1",
    "http://h/v?access_token=a&api_key=b&sig=c": "http://h/v?access_token=***&api_key=***&sig=***",
    "http://h/v?X-Amz-Signature=a&X-Amz-Date=b": "http://h/v?X-Amz-Signature=***&X-Amz-Date=***",
    "rtsp://h/cam?user:admin&password:12345&c=1": "rtsp://h/cam?user:***&password:***&c=1",
    "rtsp://h/user=admin_password=abc_channel=1": "rtsp://h/user=***",
    "http://h/v?Key-Pair-Id=a&Signature=b&n=1": "http://h/v?Key-Pair-Id=***&Signature=***&n=1",
    "http://h/live#token=abc": "http://h/live#token=***",
    "rtsp://h/token/abc/1": "rtsp://h/token/***/1",
    "srt://h:9?passphrase=abcdefghij&mode=caller": "srt://h:9?passphrase=***&mode=caller",
    "srt://h:9?streamid=read:cam:user:pass": "srt://h:9?streamid=***",
    "http://proxy/?url=rtsp://a:b@cam/s&x=1": "http://proxy/?url=rtsp://cam/s&x=1",
    "http://proxy/?url=rtsp%3A%2F%2Fa%3Ab%40cam": "http://proxy/?url=rtsp***",
    "concat:http://a:b@h/x|http://c:d@h/y": "concat:http://h/x|http://h/y",
    # keys that services draw
    "rtmp://a.rtmp.youtube.com/live2/abcd-1234-efgh-5678": "rtmp://a.rtmp.youtube.com/live2/***",
    "rtmp://h/app/live_123456789_AbCdEf7hIjKlMnOpQr": "rtmp://h/app/***",
    "rtsps://h:7441/AbCdEfGh12345678?enableSrtp": "rtsps://h:7441/***?enableSrtp",
    "http://h/123e4567-e89b-12d3-a456-426614174000/x.m3u8": "http://h/***/x.m3u8",
    # without a scheme, or with a broken one
    "rtsp:/admin:pw@host/s": "rtsp:/host/s",
    "admin:pw@host/s": "host/s",
    "192.168.1.5/user=admin&password=x": "192.168.1.5/user=***&password=***",
}

PLAIN = (
    "rtmp://host/live/cam1",
    "rtsp://192.168.1.5:554/Streaming/Channels/101",
    "rtsp://h/h264Preview_01_main",
    "rtsp://h:554/cam/realmonitor?channel=1&subtype=0",
    "http://h/BigBuckBunny_320x180.mp4",
    "http://[fe80::1]:8080/live.mjpg",
    "https://host/@user/video.mp4",
    "http://192.168.1.5:8080/a?to=me@home",
    "http://[fe80::1]:8080/@user",
    "http://localhost:8080/@user",
    "clips/a@b.mp4",
    "C:\\Users\\me@home\\clip.mp4",
    "clips/*.mp4",
    "demo",
    "0",
)


@pytest.mark.parametrize(("text", "shown"), SHOWN.items())
def test_a_source_is_shown_without_secrets(text: str, shown: str) -> None:
    assert shown_source(text) == shown
    assert shown_source(shown) == shown
    said = without_secrets(f"cannot read '{text}': it is gone", text)
    assert said == f"cannot read '{shown}': it is gone"


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert shown_source(text) == text


def test_the_name_of_a_file_is_shown(make_clip: MakeClip, tmp_path: Path) -> None:
    path = tmp_path / "user=me&token=1 a:b@c.mp4"
    path.write_bytes(make_clip().read_bytes())
    assert shown_source(str(path)) == str(path)
    assert open_source(path).info.name == path.name
    assert stem_of(str(path)) == path.stem


def test_sources_that_differ_in_secrets_alone_have_names_of_their_own() -> None:
    cameras = [f"rtsp://h/user=admin&password={word}" for word in ("one", "two", "three", "one")]
    names = shown_names(cameras)
    assert len(set(names)) == 3
    assert names[3] == names[0]
    outputs = plan_outputs([*cameras[:3], "rtsp://a:b@h/s", "rtsp://c:d@h/s"], Path("out"), None)
    assert len(set(outputs)) == 5
    assert [word for word in ("one", "two", "three", "a_b") if word in str(outputs)] == []


SECRETS = ("admin", "s3cret", "p@ss", "ssw0", "w0rd", "t0ken")
UNREACHABLE = (
    "rtsp://admin:p@ssw0rd@127.0.0.1:{port}/s",
    "rtsp://127.0.0.1:{port}/user=admin&password=s3cret&channel=1",
    "http://127.0.0.1:{port}/video?user=admin&pwd=s3cret",
    "http://admin:s3cret@127.0.0.1:{port}/token=t0ken",
    "tcp://admin:p@ssw0rd@127.0.0.1:{port}",
    "rtmp://admin:p@ssw0rd@127.0.0.1:{port}/live/cam?key=s3cret",
    "http://admin:p@ss/w0rd@127.0.0.1:{port}/x",
    "ftp://admin:p@ssw0rd@127.0.0.1/x.mp4",
    "rtsp:/admin:p@ssw0rd@127.0.0.1/x.mp4",
    "admin:p@ssw0rd@127.0.0.1/x.mp4",
    "http://admin:p@ssw0rd@127.0.0.1:{port}/\0",
    "http://admin:p@ssw0rd@[::1/x",
    "rtsp://admin:p@ssw0rd@:0/x",
)


@pytest.mark.parametrize("url", UNREACHABLE)
def test_an_error_and_its_traceback_hold_no_secret(url: str) -> None:
    with pytest.raises(SourceError) as failed:
        open_source(url.format(port=free_port()), reconnect_s=0)
    told = "".join(traceback.format_exception(failed.value))
    assert [secret for secret in SECRETS if secret in told] == []


@pytest.mark.parametrize("url", UNREACHABLE[:3])
def test_the_command_shows_none(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    url = url.format(port=free_port())
    one = command("run", url, "-o", "r.mp4", "--reconnect", 0)
    two = command("run", url, url.replace("s3cret", "s3cret2"), "-o", "out", "--reconnect", 0)
    assert (one.code, two.code) == (2, 2)
    told = one.out + one.err + two.out + two.err
    assert "127.0.0.1" in told
    assert [secret for secret in SECRETS if secret in told] == []


def test_streams_that_fail_are_told_apart(make_clip: MakeClip, model: DepthModel) -> None:
    port = free_port()
    cameras = [f"rtsp://127.0.0.1:{port}/user=admin&password=s3cret{n}" for n in range(2)]
    failed: dict[str, str] = {}
    results = stream_many(
        [*cameras, make_clip()],
        model,
        on_failure=lambda name, error: failed.update({name: str(error)}),
    )
    assert len(list(results)) == 25
    assert len(failed) == 2
    told = json.dumps(failed)
    assert [secret for secret in SECRETS if secret in told] == []


def test_nothing_that_a_run_writes_holds_a_secret(tmp_path: Path, model_path: Path) -> None:
    """Summary, lines, the page, file names, and what is in the files."""
    server, port = HttpVideo(), free_port()
    try:
        address = f"http://admin:p@ssw0rd@127.0.0.1:{server.port}"
        url = f"{address}/live.ts?user=admin&token=t0ken&channel=1"
        process = spawn(
            *("run", url, "-m", model_path, "--format", "mkv", "--json", "--reconnect", 0),
            *("-o", tmp_path / "out", "--jsonl", tmp_path / "lines.jsonl"),
            *("--max-frames", 12, "--preview", port),
        )
        page = _page(port)
        ended = outcome(process)
    finally:
        server.kill()
    assert ended.code == 0, ended.err
    assert "user=***" in ended.document["streams"][0]["source"]
    (video,) = (tmp_path / "out").iterdir()
    with av.open(str(video)) as container:
        tags = str(container.metadata) + str(container.streams.video[0].metadata)
    lines = (tmp_path / "lines.jsonl").read_text()
    assert "user=***" in lines
    told = ended.out + ended.err + lines + page + tags + video.name
    assert [secret for secret in SECRETS if secret in told] == []
    content = video.read_bytes()
    assert [secret for secret in SECRETS if secret.encode() in content] == []


def _page(port: int) -> str:
    """The preview's page and what it shows of the streams, once it is there."""
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            threading.Event().wait(0.05)
    raise AssertionError("no page")


@pytest.fixture
def address(make_clip: MakeClip, tmp_path: Path) -> Iterator[str]:
    """A clip on a web server that lets anybody in, whatever the query says."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "clip.mp4").write_bytes(make_clip().read_bytes())
    with served(folder, "admin:p@ssw0rd@") as server:
        yield f"{server}/clip.mp4?token=t0ken"


def test_default_names_hold_no_secret(
    command: Command,
    address: str,
    model_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = command("run", address, "-m", model_path, "--json")
    assert (ended.code, ended.err) == (0, "")
    (video,) = tmp_path.glob("*.mp4")
    told = ended.out + video.name
    assert "clip_mp4_token" in video.name
    assert [secret for secret in SECRETS if secret in told] == []
    assert [secret for secret in SECRETS if secret.encode() in video.read_bytes()] == []
