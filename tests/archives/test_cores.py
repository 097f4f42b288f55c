"""Workers of one machine keep to cores of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import os, sys
from depthrt_archives.work.cores import claim_cores
claim = claim_cores(1)
print(*sorted(os.sched_getaffinity(0)), flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2,
    reason="needs Linux and two cores",
)
def test_a_core_is_free_again_once_its_worker_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def worker() -> tuple[subprocess.Popen[str], str]:
        made = subprocess.Popen(
            [sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert made.stdout is not None
        return made, made.stdout.readline()

    first, second, third = worker(), None, None
    try:
        second = worker()
        assert first[1] != second[1]
        first[0].kill()
        first[0].communicate()
        third = worker()
        assert third[1] == first[1]
    finally:
        for each in (first, second, third):
            if each is not None:
                each[0].kill()
                each[0].communicate()
    assert [*tmp_path.iterdir()] == []
