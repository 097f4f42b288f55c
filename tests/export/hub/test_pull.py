"""`depthrt pull`, with the real client against a small hub on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from depthrt.model.catalogue import hub_models
from depthrt.model.catalogue.registry import find_model
from depthrt.model.depth_model import DepthModel
from helpers.commands import Command, outcome, spawn
from helpers.models.small_model import build_model
from helpers.web.hub_server import COMMIT, Hub, running

REPO = "some-one/a-depth-network"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_a_private_token")
    with running() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`depthrt` in this process."""
    return Command(capfd, monkeypatch)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A depthrt file."""
    return build_model(tmp_path_factory.mktemp("ours") / "a.onnx").read_bytes()


def in_cache(tmp_path: Path) -> list[str]:
    """Names of all files in the folder of pulled models."""
    folder = tmp_path / "cache" / "depthrt" / "models"
    return sorted(path.name for path in folder.glob("*")) if folder.exists() else []


def test_a_file_is_fetched_proven_and_found_by_its_name(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path
) -> None:
    hub.files[REPO] = {"onnx/model.onnx": ours, "README.md": b"# A network"}
    done = command("pull", f"hf:{REPO}")
    assert done.code == 0, done.err
    assert done.err.splitlines()[0] == (
        f"{REPO}, onnx/model.onnx at {COMMIT[:12]}; 0.0 MB; licence mit"
    )
    name = "hf--some-one--a-depth-network"
    path = find_model(f"hf:{REPO}")
    assert in_cache(tmp_path) == [f"{name}.json", f"{name}.onnx"]
    assert path.name == f"{name}.onnx"
    assert path.read_bytes() == ours
    assert done.out.strip() == (
        f"hf:{REPO} is in {path}: depthrt run VIDEO -m hf:{REPO} -o OUT.mp4"
    )
    assert DepthModel.load(f"hf:{REPO}", provider="cpu").spec.name == "tiny"
    assert list((tmp_path / "cache" / "depthrt" / "hub").iterdir()) == []
    told = {row["name"]: row for row in json.loads(command("models", "--json").out)}
    assert told[path.stem]["state"] == "pulled"
    assert told[path.stem]["source"] == f"{REPO}/onnx/model.onnx@{COMMIT}"
    assert hub.tokens <= {"", "Bearer hf_a_private_token"}


def test_what_is_here_is_not_fetched_again(hub: Hub, ours: bytes, command: Command) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    command("pull", f"hf:{REPO}")
    asked = len(hub.asked)
    again = command("pull", f"hf:{REPO}", "--json")
    assert (again.code, again.document["fetched"], len(hub.asked)) == (0, "", asked)
    over = command("pull", f"hf:{REPO}", "--json", "--overwrite")
    assert over.document["fetched"] == f"{REPO}/model.onnx@{COMMIT}"
    assert over.document["licence"] == "mit"
    assert len(hub.asked) > asked


def test_a_name_of_the_table_is_taken_from_its_place(
    hub: Hub, ours: bytes, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dataclasses.replace(
        hub_models.HUB_MODELS[0], revision=COMMIT, sha256=hashlib.sha256(ours).hexdigest()
    )
    monkeypatch.setattr(hub_models, "HUB_MODELS", (row,))
    hub.files[row.repo] = {row.file: ours}
    assert "fetch it with `depthrt pull depth-anything-v2-small`" in command("info", row.name).err
    done = command("pull", row.name)
    assert done.code == 0, done.err
    assert "licence mit; depthrt's makers have not tried it" in done.err
    assert find_model(row.name).read_bytes() == ours
    assert ("GET", f"/{row.repo}/resolve/{COMMIT}/{row.file}", "") in hub.asked


def test_another_file_than_the_tables_is_refused_and_removed(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dataclasses.replace(hub_models.HUB_MODELS[0], revision=COMMIT)
    monkeypatch.setattr(hub_models, "HUB_MODELS", (row,))
    hub.files[row.repo] = {row.file: ours}
    done = command("pull", row.name)
    assert done.code == 2
    found = hashlib.sha256(ours).hexdigest()
    assert (
        f"is not the file that was expected: its SHA-256 is {found[:16]}..., not afb6a5c28f3b6bf1"
        in done.err
    )
    assert in_cache(tmp_path) == []
    assert list((tmp_path / "cache").rglob("*.onnx")) == []


def test_a_file_that_the_hub_itself_describes_otherwise_is_refused(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path
) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    hub.lies = {"model.onnx"}
    done = command("pull", f"hf:{REPO}")
    assert done.code == 2
    assert "not 0000000000000000..." in done.err
    assert list((tmp_path / "cache").rglob("*.onnx")) == []


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client writes 100 bytes at a time, not 10 MB, and does not wait before a new attempt."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 100)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)


@pytest.mark.usefixtures("small_steps")
def test_a_download_that_breaks_off_goes_on_by_itself(
    hub: Hub, ours: bytes, command: Command
) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    hub.cuts = [310, 250]
    done = command("pull", f"hf:{REPO}")
    assert done.code == 0, done.err
    assert [ranges for _, _, ranges in hub.asked if ranges] == ["bytes=300-", "bytes=500-"]
    assert find_model(f"hf:{REPO}").read_bytes() == ours


@pytest.mark.usefixtures("small_steps")
def test_a_download_that_stopped_goes_on_with_the_next_command(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path
) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    hub.cuts = [310, *[0] * 50]
    stopped = command("pull", f"hf:{REPO}")
    assert stopped.code == 1
    assert stopped.err.splitlines()[-1] == (
        f"depthrt: the download of model.onnx of {REPO} from {hub.url.removeprefix('http://')} "
        "broke off: the same command goes on from there"
    )
    assert in_cache(tmp_path) == []
    hub.cuts.clear()
    hub.asked.clear()
    done = command("pull", f"hf:{REPO}")
    assert done.code == 0, done.err
    assert [ranges for _, _, ranges in hub.asked if ranges] == ["bytes=300-"]
    assert find_model(f"hf:{REPO}").read_bytes() == ours


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("hf:some-one/secret", 2, "is given only to those who accept its terms: accept them at"),
        ("hf:some-one/nothing", 2, "has no repository some-one/nothing, or does not show it"),
        (f"hf:{REPO}@v9", 2, f"{REPO} has no revision v9"),
        (f"hf:{REPO}/other.onnx", 2, "no file other.onnx (ONNX files: model.onnx)"),
        ("hf:nobody", 2, "'hf:nobody' is not hf:ORG/REPO"),
        ("hf:a/b/../../etc/passwd", 2, "is not hf:ORG/REPO"),
        ("no-such-name", 2, "'no-such-name' is not in the table: give hf:ORG/REPO, or one of dep"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path, name: str, code: int, sentence: str
) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    hub.gated = {"some-one/secret"}
    done = command("pull", name)
    assert sentence in done.complaint
    assert done.code == code
    assert "hf_a_private_token" not in done.err
    assert in_cache(tmp_path) == []


def test_a_hub_that_fails_is_said_with_its_answer(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.fails = 403
    done = command("pull", f"hf:{REPO}")
    host = hub.url.removeprefix("http://")
    assert done.complaint == f"{host} answered 403 when asked for {REPO}: try again"
    assert done.code == 1


def test_a_hub_that_cannot_be_reached_is_said_without_its_password(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://user:password@127.0.0.1:9")
    done = command("pull", f"hf:{REPO}")
    assert done.code == 1
    assert done.complaint == (
        f"127.0.0.1:9 cannot be reached for {REPO}: check the network, then try again"
    )


def test_offline_nothing_is_asked(hub: Hub, ours: bytes, tmp_path: Path) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    done = subprocess.run(
        [sys.executable, "-m", "depthrt", "pull", f"hf:{REPO}"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"depthrt: {REPO} cannot be fetched: HF_HUB_OFFLINE is set\n"
    assert hub.asked == []


def test_of_several_files_the_usual_one_is_taken_and_it_is_said(
    hub: Hub, ours: bytes, command: Command
) -> None:
    hub.files[REPO] = {"onnx/model.onnx": ours, "onnx/model_fp16.onnx": b"no", "onnx/x.onnx": b"no"}
    done = command("pull", f"hf:{REPO}")
    assert done.code == 0, done.err
    assert "onnx/model.onnx is taken; beside it: onnx/model_fp16.onnx, onnx/x.onnx" in done.err


def test_of_several_unusual_ones_it_is_asked(hub: Hub, ours: bytes, command: Command) -> None:
    hub.files[REPO] = {"large.onnx": ours, "small.onnx": ours}
    done = command("pull", f"hf:{REPO}")
    assert done.code == 2
    assert done.complaint == (
        f"{REPO} holds 2 ONNX files: say which, as in hf:{REPO}/large.onnx (ONNX files: "
        "large.onnx, small.onnx)"
    )
    assert command("pull", f"hf:{REPO}/small.onnx").code == 0
    assert find_model(f"hf:{REPO}/small.onnx").name.endswith("--a-depth-network--small.onnx")


def test_a_repository_without_a_network_is_said(hub: Hub, command: Command) -> None:
    hub.files[REPO] = {"README.md": b"nothing"}
    done = command("pull", f"hf:{REPO}")
    assert done.complaint == f"{REPO} holds neither an ONNX file nor weights of transformers"


def _zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model.onnx", b"x")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 99\n",
            "is a pointer of git LFS, not the",
        ),
        (_zip(), "zip"),
        (b"<!DOCTYPE html><html>Sign in</html>", "model.onnx"),
    ],
)
def test_what_is_no_model_is_refused_and_nothing_is_left_in_its_place(
    hub: Hub, command: Command, tmp_path: Path, content: bytes, word: str
) -> None:
    hub.files[REPO] = {"model.onnx": content}
    done = command("pull", f"hf:{REPO}", "--size", "48x64", "--kind", "depth")
    assert done.code == 2, done.err
    assert word in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    assert in_cache(tmp_path) == []


def test_a_model_that_is_broken_leaves_the_old_one(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path
) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    command("pull", f"hf:{REPO}")
    hub.files[REPO] = {"model.onnx": b"broken"}
    assert command("pull", f"hf:{REPO}", "--overwrite", "--size", "48x64").code == 2
    assert find_model(f"hf:{REPO}").read_bytes() == ours


def test_two_at_a_time_fetch_once(hub: Hub, ours: bytes, tmp_path: Path) -> None:
    hub.files[REPO] = {"model.onnx": ours}
    both = [outcome(process) for process in [spawn("pull", f"hf:{REPO}") for _ in range(2)]]
    assert [done.code for done in both] == [0, 0], both
    said = sorted("is here already" in done.out for done in both)
    assert said == [False, True]
    file = f"/{REPO}/resolve/{COMMIT}/model.onnx"
    assert [path for method, path, _ in hub.asked if method == "GET"].count(file) == 1


def test_a_name_that_leads_outside_is_refused(
    hub: Hub, ours: bytes, command: Command, tmp_path: Path
) -> None:
    hub.files[REPO] = {"../../../model.onnx": ours}
    done = command("pull", f"hf:{REPO}")
    assert done.code == 2
    assert done.err.endswith(f"{REPO} names a file outside itself: ../../../model.onnx\n")
    assert list(tmp_path.rglob("*.onnx")) == []


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_fetched(
    hub: Hub, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    done = command("pull", f"hf:{REPO}")
    assert done.code == 2
    assert done.complaint == (
        "models cannot be kept (Not a directory): set XDG_CACHE_HOME to a folder that can be "
        "written"
    )
    assert hub.asked == []


def test_without_the_client_it_says_what_to_install(
    hub: Hub, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("depthrt_export.hub.fetch.importlib.util.find_spec", lambda name: None)
    done = command("pull", f"hf:{REPO}")
    assert done.code == 2
    assert done.complaint.startswith(
        "huggingface_hub needed for pull is not installed: pip install"
    )
