"""The steps of a Containerfile, done in folders: each stage is a root of its own."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from experiments.containers.containerfile import Health, Step, expand, health
from experiments.containers.ignored import context_files
from experiments.containers.namespaces import Plan, bind, build_step

_SHELL = ["/bin/sh", "-c"]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass
class Image:
    """A root and what its Containerfile says of it; ``mb`` says what each step added to it."""

    root: Path
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": _PATH})
    labels: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0"
    shell: list[str] = field(default_factory=lambda: list(_SHELL))
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    volumes: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    health: Health | None = None
    mb: dict[str, float] = field(default_factory=dict)

    @property
    def uid_gid(self) -> tuple[int, int]:
        """The numbers of the user and the group.

        Raises:
            ValueError: the user is a name.
        """
        uid, _, gid = self.user.partition(":")
        return int(uid), int(gid or "0")


@dataclass(frozen=True)
class Aid:
    """What a build is lent from this machine: none of it stays in an image.

    - ``files``: shown in the root of RUN steps, by their path there;
    - ``variables``: of RUN steps.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)


class Build:
    """Build an image without a container engine.

    Args:
        context: the folder that files are copied from.
        work: an empty folder for the roots of the stages.
        base: makes the root of a base image: its name, and the folder to fill.
        arguments: values of ARG, as of ``--build-arg``.
        aid: what RUN steps are lent.
        tell: called with each step.
    """

    def __init__(
        self,
        context: Path,
        work: Path,
        base: Callable[[str, Path], None],
        *,
        arguments: Mapping[str, str] | None = None,
        aid: Aid | None = None,
        tell: Callable[[str], None] = lambda step: None,
    ) -> None:
        self._context, self._work, self._base = context, work, base
        self._given, self._aid, self._tell = dict(arguments or {}), aid or Aid(), tell
        self._global: dict[str, str] = {}
        self._local: dict[str, str] = {}
        self._stages: dict[str, Image] = {}
        self._image: Image | None = None

    def run(self, steps: Iterable[Step]) -> Image:
        """Do all steps; the last stage is the image.

        Raises:
            ValueError: a step that is not known.
            CalledProcessError: a RUN step failed.
        """
        for step in steps:
            self._tell(f"{step.keyword} {step.text}"[:110])
            if step.keyword == "FROM":
                self._image = self._begin(step)
            elif self._image is None:
                self._global.update(self._argument(step, {}))
            else:
                self._do(step, self._image)
        if self._image is None:
            raise ValueError("there is no FROM")
        return self._image

    def _begin(self, step: Step) -> Image:
        words = step.words(self._global)
        name = words[2] if len(words) == 3 and words[1].upper() == "AS" else str(len(self._stages))
        root = self._work / name
        root.mkdir()
        if words[0] in self._stages:
            raise ValueError(f"line {step.line}: a stage that begins with another is not built")
        if words[0] != "scratch":
            self._base(words[0], root)
        self._local = {}
        self._stages[name] = image = Image(root)
        image.mb[f"{step.keyword} {words[0]}"] = size_mb(root)
        return image

    def _argument(self, step: Step, variables: Mapping[str, str]) -> dict[str, str]:
        if step.keyword != "ARG":
            raise ValueError(f"line {step.line}: {step.keyword} before FROM")
        name = step.text.partition("=")[0].strip()
        pairs = step.pairs(variables)
        return {name: self._given.get(name, pairs.get(name, self._global.get(name, "")))}

    def _do(self, step: Step, image: Image) -> None:
        variables = {**self._local, **image.environment}
        keyword = step.keyword
        if keyword == "ARG":
            self._local.update(self._argument(step, variables))
        elif keyword == "ENV":
            image.environment.update(step.pairs(variables))
        elif keyword == "LABEL":
            image.labels.update(step.pairs(variables))
        elif keyword == "WORKDIR":
            image.workdir = str(Path(image.workdir, expand(step.text, variables)))
            _inside(image.root, image.workdir).mkdir(parents=True, exist_ok=True)
        elif keyword == "USER":
            image.user = expand(step.text, variables)
        elif keyword == "VOLUME":
            image.volumes += step.words(variables)
        elif keyword == "EXPOSE":
            image.ports += step.words(variables)
        elif keyword == "SHELL":
            image.shell = step.words({})
        elif keyword == "ENTRYPOINT":
            image.entrypoint = self._words(step)
        elif keyword == "CMD":
            image.command = self._words(step)
        elif keyword == "HEALTHCHECK":
            image.health = health(step)
        elif keyword in ("RUN", "COPY"):
            before_mb = size_mb(image.root)
            (self._run if keyword == "RUN" else self._copy)(step, image, variables)
            image.mb[f"{keyword} {step.text}"[:60]] = round(size_mb(image.root) - before_mb, 1)
        else:
            raise ValueError(f"line {step.line}: {keyword} is not known here")

    def _words(self, step: Step) -> list[str]:
        words = step.exec_form
        if words is None:
            raise ValueError(f"line {step.line}: {step.keyword} needs a shell")
        return words

    def _run(self, step: Step, image: Image, variables: Mapping[str, str]) -> None:
        if step.flags:
            raise ValueError(f"line {step.line}: RUN --{next(iter(step.flags))} is not done here")
        uid, gid = image.uid_gid
        lent = {"/etc/resolv.conf": Path("/etc/resolv.conf"), **self._aid.files}
        new = [_inside(image.root, name) for name in lent]
        new = [path for path in new if not path.exists()]
        mounts = [bind(source, _inside(image.root, name)) for name, source in lent.items()]
        argv = step.exec_form or [*image.shell, step.text]
        plan = Plan(str(image.root), argv, image.workdir, uid, gid, mounts=mounts)
        build_step(plan, {**self._aid.variables, **variables})
        for path in new:
            path.unlink()

    def _copy(self, step: Step, image: Image, variables: Mapping[str, str]) -> None:
        *sources, target = step.words(variables)
        place = _inside(image.root, str(Path(image.workdir, target)))
        stage = step.flags.get("from")
        if set(step.flags) - {"from"}:
            raise ValueError(f"line {step.line}: COPY --{', --'.join(step.flags)} is not done here")
        if stage is not None:
            for source in sources:
                _copy_tree(_inside(self._stages[stage].root, source), place)
            return
        with tempfile.TemporaryDirectory(dir=self._work) as folder:
            self._visible(Path(folder))
            for source in sources:
                origin = Path(folder, source)
                into = place / origin.name if target.endswith("/") and origin.is_file() else place
                _copy_tree(origin, into)

    def _visible(self, folder: Path) -> None:
        """Lay the files that `.dockerignore` lets through into a folder."""
        for below in context_files(self._context):
            (folder / below.parent).mkdir(parents=True, exist_ok=True)
            shutil.copy2(self._context / below, folder / below)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _copy_tree(source: Path, target: Path) -> None:
    """Copy a file, or what is in a folder, with owners and times, as COPY does."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        command = ["cp", "--archive", "--no-target-directory", f"{source}/.", str(target)]
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        command = ["cp", "--archive", str(source), str(target)]
    subprocess.run(command, check=True)


def size_mb(root: Path) -> float:
    """The bytes of all files below a folder, in MB (10^6), as engines count an image."""
    seen, total = set[tuple[int, int]](), 0
    for path in root.rglob("*"):
        found = path.lstat()
        if not path.is_dir() and (found.st_dev, found.st_ino) not in seen:
            seen.add((found.st_dev, found.st_ino))
            total += found.st_size
    return round(total / 1e6, 1)
