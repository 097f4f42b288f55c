"""How depthrt is installed here, for advice that works as it is written."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname


def install_command(extra: str) -> str:
    """The command that adds an extra to this installation: ``pip install "depthrt[export]"``.

    From a checkout or an address it names that, as pip's record of the installation does (PEP 610).
    """
    origin = _origin()
    url = origin.get("url", "")
    folder = _folder(url) if "dir_info" in origin else None
    if folder is not None and folder.is_dir():
        edit = "-e " if origin["dir_info"].get("editable") else ""
        here = "." if folder == Path.cwd() else folder
        return f'pip install {edit}"{here}[{extra}]"'
    if "vcs_info" in origin:
        about = origin["vcs_info"]
        revision = about.get("requested_revision") or about.get("commit_id", "")
        url = f"{about.get('vcs', 'git')}+{url}" + (f"@{revision}" if revision else "")
    elif "archive_info" not in origin:
        return f'pip install "depthrt[{extra}]"'
    return f'pip install "depthrt[{extra}] @ {url}"'


def install_onnxruntime() -> str:
    """The command that installs onnxruntime, and what else to take in it."""
    return f"{install_command('cpu')} ([gpu] or [openvino] in the place of [cpu]; only one of them)"


def _origin() -> dict[str, Any]:
    """Pip's record of where depthrt was installed from; empty if from an index, or unknown."""
    try:
        record = json.loads(distribution("depthrt").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _folder(url: str) -> Path:
    return Path(url2pathname(urlsplit(url).path))
