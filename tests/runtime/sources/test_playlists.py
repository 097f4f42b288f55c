"""A playlist that looks like a video opens nothing that was not named to depthrt."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from depthrt import DepthModel, SourceError, open_source, read_depth, stream_many, to_rgb
from depthrt.jobs.run import Job, execute
from depthrt.sinks.video.audio import Sound
from helpers.commands import Command
from helpers.files.clips import Clip, write_clip
from helpers.web.servers import served

MakeClip = Callable[..., Path]

_HLS = (
    "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:9\n{head}#EXTINF:1,\n{part}\n#EXT-X-ENDLIST\n"
)
_FFCONCAT = "ffconcat version 1.0\nfile {part}\n"
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=video {port} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A clip that nobody names to depthrt."""
    return write_clip(tmp_path / "other.ts", Clip(frames=10))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ffconcat", "clip"])
@pytest.mark.parametrize("part", ["other.ts", "file:other.ts"])
def test_an_ffconcat_list_is_refused(other: Path, name: str, part: str) -> None:
    path = other.with_name(name)
    path.write_text(_FFCONCAT.format(part=part))
    with pytest.raises(SourceError, match=f"{name} is an ffconcat list: it names other files"):
        open_source(path)


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "live.m3u8"])
def test_an_hls_playlist_in_a_file_is_refused(other: Path, name: str) -> None:
    for part in ("other.ts", str(other), other.as_uri(), f"crypto:{other}", f"concat:{other}"):
        other.with_name(name).write_text(_HLS.format(head="", part=part))
        with pytest.raises(SourceError, match=r"is an M3U playlist \(HLS\): it names other files"):
            open_source(other.with_name(name))


def test_a_session_description_listens_to_nobody(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        path = tmp_path / "clip.mp4"
        path.write_text(_SDP.format(port=taken.getsockname()[1]))
        with pytest.raises(SourceError, match=r"is a session description \(SDP\)"):
            open_source(path)


def test_a_dash_manifest_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text('<?xml version="1.0"?>\n<MPD type="static"></MPD>')
    with pytest.raises(SourceError, match="is a DASH manifest"):
        open_source(tmp_path / "clip.mp4")


def test_a_number_pattern_in_a_name_is_a_name(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    for name, level in (("a001.tga", 40), ("a002.tga", 80), ("a%03d.tga", 200)):
        pillow.fromarray(np.full((32, 48, 3), level, np.uint8)).save(tmp_path / name)
    (frame,) = open_source(tmp_path / "a%03d.tga").frames()
    assert (to_rgb(frame.pixels) == 200).all()


def test_a_playlist_ends_its_own_stream_alone(
    other: Path, make_clip: MakeClip, model: DepthModel
) -> None:
    path = other.with_name("list.mp4")
    path.write_text(_FFCONCAT.format(part="other.ts"))
    failed: list[str] = []
    results = stream_many(
        [path, make_clip()], model, on_failure=lambda name, error: failed.append(str(error))
    )
    assert len(list(results)) == 25
    assert [text for text in failed if "ffconcat list" in text] == failed != []


def test_the_command_says_what_a_playlist_is(
    command: Command, other: Path, model_path: Path
) -> None:
    path, target = other.with_name("clip.mp4"), other.with_name("out.mp4")
    path.write_text(_FFCONCAT.format(part="other.ts"))
    ended = command("run", path, "-m", model_path, "-o", target)
    assert ended.code == 2
    assert "is an ffconcat list: it names other files" in ended.complaint
    assert not target.exists()


def test_sound_comes_from_no_list(make_clip: MakeClip, tmp_path: Path) -> None:
    clip = shutil.copy(make_clip(sound="aac"), tmp_path / "other.mp4")
    path = tmp_path / "list.mp4"
    path.write_text(_FFCONCAT.format(part="other.mp4"))
    packets = {}
    for source in (clip, path):
        with av.open(str(tmp_path / "out.mp4"), "w") as output:
            sound = Sound(str(source), output, Fraction(0))
            packets[source] = len(list(sound.until(None)))
            sound.close()
    assert packets[clip] > 10
    assert packets[path] == 0


def test_a_depth_recording_is_no_list(
    tmp_path: Path, model: DepthModel, make_clip: MakeClip
) -> None:
    real, path = tmp_path / "real.mkv", tmp_path / "list.mkv"
    execute(Job(str(make_clip()), real, str(model.path)))
    assert len(list(read_depth(real))) == 25
    path.write_text(_FFCONCAT.format(part="real.mkv"))
    with pytest.raises(SourceError, match="is an ffconcat list"):
        read_depth(path)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address of a web server of it."""
    folder = tmp_path / "web"
    folder.mkdir()

    with served(folder) as address:
        yield folder, address


def test_hls_over_http_is_read(other: Path, web: tuple[Path, str]) -> None:
    folder, address = web
    shutil.copy(other, folder / "own.ts")
    (folder / "live.m3u8").write_text(_HLS.format(head="", part="own.ts"))
    assert len(list(open_source(f"{address}/live.m3u8").frames())) == 10


def test_a_list_over_http_reaches_no_file(other: Path, web: tuple[Path, str]) -> None:
    folder, address = web
    shutil.copy(other, folder / "own.ts")
    uri = other.as_uri()
    lists = {
        "part.m3u8": _HLS.format(head="", part=uri),
        "path.m3u8": _HLS.format(head="", part=str(other)),
        "crypto.m3u8": _HLS.format(head="", part=f"crypto:{uri}"),
        "head.m3u8": _HLS.format(head=f'#EXT-X-MAP:URI="{uri}"\n', part="own.ts"),
        "key.m3u8": _HLS.format(head=f'#EXT-X-KEY:METHOD=AES-128,URI="{uri}"\n', part="own.ts"),
        "master.m3u8": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=100\n{uri}\n",
        "clip.mp4": _FFCONCAT.format(part=uri),
        "beside.mp4": _FFCONCAT.format(part="own.ts"),
        "clip.sdp": _SDP.format(port=9),
    }
    for name, content in lists.items():
        (folder / name).write_text(content)
        with pytest.raises(SourceError, match="playlist"):
            open_source(f"{address}/{name}", reconnect_s=0)


@pytest.mark.parametrize("kind", ["hls", "ffconcat"])
def test_a_list_over_tcp_is_refused(other: Path, kind: str) -> None:
    uri = other.as_uri()
    form = _HLS if kind == "hls" else _FFCONCAT
    content = form.format(head="", part=uri)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(content.encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SourceError, match="cannot be opened as a video"):
            open_source(f"tcp://127.0.0.1:{listening.getsockname()[1]}", reconnect_s=0)
        thread.join()
