"""Advice names the way in which depthrt is really installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from depthrt.system.installation import install_command, install_onnxruntime


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let pip's record of the installation say something."""
    info = tmp_path / "site/depthrt-9.9.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: depthrt\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(info.parent)

    def install(record: object) -> None:
        text = record if isinstance(record, str) else json.dumps(record)
        (info / "direct_url.json").write_text(text)

    return install


def test_from_an_index(installed: Any) -> None:
    assert install_command("export") == 'pip install "depthrt[export]"'


@pytest.mark.parametrize("record", ["", "{", "[]", {}, {"url": "file:///nowhere", "dir_info": {}}])
def test_a_record_that_says_nothing(installed: Any, record: object) -> None:
    installed(record)
    assert install_command("export") == 'pip install "depthrt[export]"'


def test_from_a_checkout(installed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "my checkout"
    place.mkdir()
    record = {"url": place.as_uri(), "dir_info": {}}
    installed(record)
    assert install_command("export") == f'pip install "{place}[export]"'
    installed({**record, "dir_info": {"editable": True}})
    assert install_command("bench") == f'pip install -e "{place}[bench]"'
    monkeypatch.chdir(place)
    assert install_command("cpu") == 'pip install -e ".[cpu]"'
    assert install_onnxruntime().startswith('pip install -e ".[cpu]" ([gpu] or [openvino]')


def test_from_a_repository_or_a_wheel_by_its_address(installed: Any) -> None:
    repository = {"url": "https://host/depthrt.git", "vcs_info": {"vcs": "git", "commit_id": "ab1"}}
    installed(repository)
    wanted = 'pip install "depthrt[gpu] @ git+https://host/depthrt.git@ab1"'
    assert install_command("gpu") == wanted
    repository["vcs_info"] = {"vcs": "git", "commit_id": "ab1", "requested_revision": "v1"}
    installed(repository)
    assert install_command("gpu") == wanted.replace("ab1", "v1")
    installed({"url": "https://host/depthrt-1.whl", "archive_info": {}})
    assert install_command("gpu") == 'pip install "depthrt[gpu] @ https://host/depthrt-1.whl"'
